//! What is behind a Service: its EndpointSlices and, for those who still read them, its Endpoints.
//!
//! Counterparts: `pkg/controller/endpointslice` and `pkg/controller/endpoint`. Topology hints and the annotations about
//! change times and capacity are not written. Slices go with their Service through the garbage collector.

use super::Parts;
use super::agent::Agent;
use super::runner::{Change, Controller, Item, Outcome};
use crate::store::{Collection, StoredObject, split_key};
use crate::strategies::Peek as _;
use crate::strategies::access::{list_at, spec, str_at};
use futures::FutureExt;
use futures::future::BoxFuture;
use rehearsal_apimachinery::options::DeleteOptions;
use rehearsal_apimachinery::selector::LabelSelector;
use rehearsal_apimachinery::status::Status;
use rehearsal_apimachinery::{ObjectMeta, ObjectMetaMut};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const SERVICES: &str = "services";
const PODS: &str = "pods";
const NODES: &str = "nodes";
const ENDPOINTS: &str = "endpoints";
const SLICES: &str = "endpointslices.discovery.k8s.io";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const SLICE_MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const SLICE_CONTROLLER: &str = "endpointslice-controller.k8s.io";
const ENDPOINTS_MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const ZONE: &str = "topology.kubernetes.io/zone";
/// Most endpoints of a slice (`--max-endpoints-per-slice`).
const SLICE_SIZE: usize = 100;

/// Which of the two representations is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Slices,
    Endpoints,
}

/// Keeps the endpoints of the Services that have a selector.
pub(super) struct EndpointsController {
    agent: Agent,
    form: Form,
    /// Their selectors, by key.
    services: BTreeMap<String, LabelSelector>,
}

impl EndpointsController {
    pub(super) fn new(parts: &Parts, form: Form) -> Self {
        let account = if form == Form::Slices { "endpointslice-controller" } else { "endpoint-controller" };
        Self { agent: Agent::new(&parts.registry, account), form, services: BTreeMap::new() }
    }

    async fn sync(&self, namespace: &str, name: &str) -> Result<(), Status> {
        let service = self.agent.registry.peek().get(SERVICES, namespace, name);
        let key = crate::store::object_key(namespace, name);
        let selected = service.zip(self.services.get(&key)).filter(|(service, _)| !service.is_deleting());
        match (selected, self.form) {
            (Some((service, selector)), Form::Slices) => {
                self.sync_slices(&service, &self.pods(namespace, selector)).await
            }
            (Some((service, selector)), Form::Endpoints) => {
                self.sync_endpoints(&service, &self.pods(namespace, selector)).await
            }
            (None, Form::Endpoints) => self.remove_endpoints(namespace, name).await,
            (None, Form::Slices) => Ok(()),
        }
    }

    /// The pods of a Service that have an address and have not ended.
    fn pods(&self, namespace: &str, selector: &LabelSelector) -> Vec<Arc<Value>> {
        let snapshot = self.agent.registry.storage().snapshot();
        let objects = snapshot.range(PODS, &format!("{namespace}/"), "").map(|(_, object)| object);
        let selected = objects.filter(|object| selector.matches(|key| object.label(key))).map(|object| object.value());
        let ended = |pod: &Value| matches!(str_at(&pod["status"], "phase"), "Failed" | "Succeeded");
        selected.filter(|pod| !ended(pod) && !addresses(pod).is_empty()).collect()
    }

    async fn sync_slices(&self, service: &Value, pods: &[Arc<Value>]) -> Result<(), Status> {
        let mut wanted = Vec::new();
        for family in families(service) {
            let of_family = pods.iter().filter_map(|pod| Some((pod, address(pod, family)?)));
            let mut groups: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
            for (pod, ip) in of_family {
                let ports = ports(service, pod);
                let group = groups.entry(ports.to_string()).or_insert_with(|| (ports, Vec::new()));
                group.1.push(self.endpoint(service, pod, ip));
            }
            if groups.is_empty() {
                groups.insert(String::new(), (Value::Null, Vec::new()));
            }
            for (ports, endpoints) in groups.into_values() {
                let mut chunks: Vec<Vec<Value>> = endpoints.chunks(SLICE_SIZE).map(<[Value]>::to_vec).collect();
                if chunks.is_empty() {
                    chunks.push(Vec::new());
                }
                wanted.extend(chunks.into_iter().map(|endpoints| slice(service, family, &ports, &endpoints)));
            }
        }
        self.replace_slices(service, wanted).await
    }

    /// Makes the slices of a Service the wanted ones, reusing those there are in the order of their names.
    async fn replace_slices(&self, service: &Value, wanted: Vec<Value>) -> Result<(), Status> {
        let namespace = service.namespace();
        let all = self.agent.registry.peek().list(SLICES, namespace);
        let ours = |slice: &&Arc<Value>| {
            slice.label(SERVICE_NAME) == Some(service.name()) && slice.label(SLICE_MANAGED_BY) == Some(SLICE_CONTROLLER)
        };
        let mut live: Vec<&Arc<Value>> = all.iter().filter(ours).collect();
        for new in wanted {
            // The address type cannot be changed.
            match live.iter().position(|slice| slice["addressType"] == new["addressType"]) {
                Some(index) => {
                    let slice = live.remove(index);
                    let target = self.agent.target(SLICES, namespace, slice.name())?;
                    let change = |slice: &mut Value| {
                        slice["endpoints"] = new["endpoints"].clone();
                        slice["ports"] = new["ports"].clone();
                        slice.set_meta("labels", new["metadata"]["labels"].clone());
                        slice.set_meta("ownerReferences", new["metadata"]["ownerReferences"].clone());
                    };
                    self.agent.patch(&target, slice.uid(), change).await?;
                }
                None => self.agent.create(&self.agent.target(SLICES, namespace, "")?, new).await?,
            }
        }
        for slice in live {
            self.agent.delete(&self.agent.target(SLICES, namespace, slice.name())?, &DeleteOptions::default()).await?;
        }
        Ok(())
    }

    fn endpoint(&self, service: &Value, pod: &Value, ip: &str) -> Value {
        let (serving, terminating) = (is_ready(pod), pod.is_deleting());
        let ready = publishes_all(service) || serving && !terminating;
        let mut endpoint = json!({"addresses": [ip], "targetRef": reference(pod),
            "conditions": {"ready": ready, "serving": serving, "terminating": terminating}});
        let node = str_at(spec(pod), "nodeName");
        if !node.is_empty() {
            endpoint["nodeName"] = json!(node);
            let zone = self.agent.registry.peek().get(NODES, "", node).and_then(|n| n.label(ZONE).map(str::to_owned));
            if let Some(zone) = zone {
                endpoint["zone"] = json!(zone);
            }
        }
        endpoint
    }

    async fn sync_endpoints(&self, service: &Value, pods: &[Arc<Value>]) -> Result<(), Status> {
        let subsets = subsets(service, pods);
        let mut labels = labels(service);
        labels[ENDPOINTS_MANAGED_BY] = json!("endpoint-controller");
        let target = self.agent.target(ENDPOINTS, service.namespace(), service.name())?;
        let Some(live) = self.agent.read(&target) else {
            let metadata = json!({"name": service.name(), "namespace": service.namespace(), "labels": labels});
            let endpoints = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets});
            return self.agent.create(&target, endpoints).await;
        };
        let change = |endpoints: &mut Value| {
            endpoints["subsets"] = json!(subsets);
            endpoints.set_meta("labels", labels.clone());
        };
        self.agent.patch(&target, live.uid(), change).await.map(drop)
    }

    /// Endpoints go with their Service; those that somebody else made stay.
    async fn remove_endpoints(&self, namespace: &str, name: &str) -> Result<(), Status> {
        if self.agent.registry.peek().get(SERVICES, namespace, name).is_some() {
            return Ok(());
        }
        let target = self.agent.target(ENDPOINTS, namespace, name)?;
        match self.agent.read(&target) {
            Some(endpoints) if endpoints.label(ENDPOINTS_MANAGED_BY).is_some() => {
                self.agent.delete(&target, &DeleteOptions::default()).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}

fn subsets(service: &Value, pods: &[Arc<Value>]) -> Vec<Value> {
    let family = families(service).first().copied().unwrap_or("IPv4");
    let mut groups: BTreeMap<String, Value> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| publishes_all(service) || !pod.is_deleting()) {
        let Some(ip) = address(pod, family) else { continue };
        let mut address = json!({"ip": ip, "targetRef": reference(pod)});
        if let Some(node) = spec(pod).get("nodeName") {
            address["nodeName"] = node.clone();
        }
        let side = if publishes_all(service) || is_ready(pod) { "addresses" } else { "notReadyAddresses" };
        let ports = ports(service, pod);
        let subset = groups.entry(ports.to_string()).or_insert_with(|| json!({"ports": ports}));
        match subset.get_mut(side).and_then(Value::as_array_mut) {
            Some(list) => list.push(address),
            None => subset[side] = json!([address]),
        }
    }
    let mut subsets: Vec<Value> = groups.into_values().collect();
    for subset in &mut subsets {
        for side in ["addresses", "notReadyAddresses"] {
            if let Some(list) = subset.get_mut(side).and_then(Value::as_array_mut) {
                list.sort_by(|a, b| str_at(a, "ip").cmp(str_at(b, "ip")));
            }
        }
    }
    subsets.sort_by_key(|subset| subset["ports"].to_string());
    subsets
}

fn slice(service: &Value, family: &str, ports: &Value, endpoints: &[Value]) -> Value {
    let mut labels = labels(service);
    labels[SERVICE_NAME] = json!(service.name());
    labels[SLICE_MANAGED_BY] = json!(SLICE_CONTROLLER);
    let owner = json!({"apiVersion": "v1", "kind": "Service", "name": service.name(), "uid": service.uid(),
        "controller": true, "blockOwnerDeletion": true});
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
        "metadata": {"generateName": format!("{}-", service.name()), "labels": labels, "ownerReferences": [owner],
            "namespace": service.namespace()},
        "endpoints": endpoints, "ports": ports})
}

/// The labels of the Service, and the one that marks headless ones.
fn labels(service: &Value) -> Value {
    let mut labels = json!(service.labels().cloned().unwrap_or_default());
    if str_at(spec(service), "clusterIP") == "None" {
        labels["service.kubernetes.io/headless"] = json!("");
    }
    labels
}

fn families(service: &Value) -> Vec<&str> {
    let families: Vec<&str> = list_at(spec(service), "ipFamilies").iter().filter_map(Value::as_str).collect();
    if families.is_empty() { vec!["IPv4"] } else { families }
}

fn addresses(pod: &Value) -> Vec<&str> {
    let all = list_at(&pod["status"], "podIPs").iter().map(|entry| str_at(entry, "ip"));
    let one = std::iter::once(str_at(&pod["status"], "podIP"));
    all.chain(one).filter(|ip| !ip.is_empty()).collect()
}

fn address<'a>(pod: &'a Value, family: &str) -> Option<&'a str> {
    addresses(pod).into_iter().find(|ip| ip.contains(':') == (family == "IPv6"))
}

/// The ports of a Service as a pod serves them; named target ports are looked up in the pod's containers.
fn ports(service: &Value, pod: &Value) -> Value {
    let resolved = list_at(spec(service), "ports").iter().filter_map(|port| {
        let mut found = json!({"name": str_at(port, "name"), "port": number(port, pod)?, "protocol": port["protocol"]});
        if let Some(protocol) = port.get("appProtocol") {
            found["appProtocol"] = protocol.clone();
        }
        Some(found)
    });
    resolved.collect()
}

fn number(port: &Value, pod: &Value) -> Option<i64> {
    match &port["targetPort"] {
        Value::String(name) => {
            let containers = list_at(spec(pod), "containers").iter();
            let mut declared = containers.flat_map(|container| list_at(container, "ports"));
            declared.find(|p| str_at(p, "name") == name && p["protocol"] == port["protocol"])?["containerPort"].as_i64()
        }
        Value::Number(number) if number.as_i64() != Some(0) => number.as_i64(),
        _ => port["port"].as_i64(),
    }
}

fn reference(pod: &Value) -> Value {
    json!({"kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid()})
}

fn is_ready(pod: &Value) -> bool {
    let ready = |condition: &Value| str_at(condition, "type") == "Ready" && str_at(condition, "status") == "True";
    list_at(&pod["status"], "conditions").iter().any(ready)
}

fn publishes_all(service: &Value) -> bool {
    spec(service)["publishNotReadyAddresses"] == true
}

impl Controller for EndpointsController {
    fn watches(&self, collection: &str) -> bool {
        let own = if self.form == Form::Slices { SLICES } else { ENDPOINTS };
        matches!(collection, SERVICES | PODS | NODES) || collection == own
    }

    fn forget(&mut self, collection: &Collection, work: &mut Vec<Item>) {
        if collection.as_str() == SERVICES {
            self.services.clear();
        }
        let services = Collection::new(SERVICES);
        work.extend(self.services.keys().map(|key| Item::new(&services, key)));
    }

    fn observe(&mut self, change: &Change<'_>, work: &mut Vec<Item>) {
        let services = Collection::new(SERVICES);
        let (namespace, _) = split_key(change.key);
        let states = || change.before.into_iter().chain(change.after);
        match change.collection.as_str() {
            SERVICES => {
                let service = change.after.map(StoredObject::value);
                let selector = service.as_ref().and_then(|service| spec(service)["selector"].as_object());
                match selector.filter(|selector| !selector.is_empty()) {
                    Some(selector) => {
                        drop(self.services.insert(change.key.to_owned(), LabelSelector::from_map(selector)));
                    }
                    None => drop(self.services.remove(change.key)),
                }
                work.push(change.item());
            }
            PODS => {
                let prefix = format!("{namespace}/");
                let here = self.services.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
                let selects = |selector: &LabelSelector| states().any(|pod| selector.matches(|key| pod.label(key)));
                work.extend(here.filter(|(_, s)| selects(s)).map(|(key, _)| Item::new(&services, key)));
            }
            NODES if self.form == Form::Slices => {
                work.extend(self.services.keys().map(|key| Item::new(&services, key)));
            }
            ENDPOINTS => work.push(Item::new(&services, change.key)),
            SLICES => {
                let names = states().filter_map(|slice| slice.label(SERVICE_NAME));
                work.extend(names.map(|name| Item::new(&services, &format!("{namespace}/{name}"))));
            }
            _ => {}
        }
    }

    fn reconcile<'a>(&'a mut self, item: &'a Item, _work: &'a mut Vec<Item>) -> BoxFuture<'a, Result<Outcome, Status>> {
        let (namespace, name) = split_key(&item.key);
        async move { self.sync(namespace, name).await.map(|()| Outcome::Done) }.boxed()
    }
}
