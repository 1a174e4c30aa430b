//! The objects that a fresh server creates for itself.
//!
//! The table `data/bootstrap.json` was taken from a running 1.36 server; what depends on addresses or moments (the
//! `kubernetes` service, its endpoints, the lease of the server) is made here.

use super::{Registry, Target};
use crate::store::{Collection, Draft, Expect, Op};
use rehearsal_apimachinery::status::Status;
use rehearsal_apimachinery::{ObjectMeta, ObjectMetaMut};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::OnceLock;

type Table = BTreeMap<String, Vec<Value>>;

/// What a template has for its uid and its time, as long as the real ones.
const NO_UID: &str = "00000000-0000-4000-8000-000000000000";
const NO_TIME: &str = "2006-01-02T15:04:05Z";

/// An encoded object of the table. Every cluster has the same ones but for their uids and times, so a process encodes
/// them once, and a cluster more costs copies.
struct Template {
    collection: Collection,
    key: String,
    draft: Draft,
    uid_at: usize,
    /// The creation time, and the times of conditions.
    times_at: Vec<usize>,
}

impl Template {
    fn new(op: Op) -> Option<Self> {
        let Op::Put { collection, key, draft, .. } = op else { return None };
        let uid_at = memchr::memmem::find(&draft.json, NO_UID.as_bytes())?;
        let times_at = memchr::memmem::find_iter(&draft.json, NO_TIME.as_bytes()).collect();
        Some(Self { collection, key, draft, uid_at, times_at })
    }

    fn put(&self, uid: String, time: &str) -> Op {
        let mut draft = self.draft.clone();
        let times = self.times_at.iter().map(|at| (*at, time));
        for (at, text) in times.chain([(self.uid_at, uid.as_str())]) {
            if let Some(place) = draft.json.get_mut(at..at + text.len()) {
                place.copy_from_slice(text.as_bytes());
            }
        }
        draft.header.uid = uid;
        Op::Put { collection: self.collection.clone(), key: self.key.clone(), draft, expect: Expect::Absent }
    }
}

impl Registry {
    /// Creates the bootstrap objects in one transaction.
    ///
    /// # Errors
    /// When the storage refuses, which a fresh one does not.
    pub async fn bootstrap(&self, address: SocketAddr) -> Result<(), Status> {
        let now = self.clock.now_rfc3339();
        let templates = self.templates().iter();
        let mut ops: Vec<Op> = templates.map(|template| template.put(self.ids.uid(), &now)).collect();
        for (path, object) in self.addresses(address) {
            ops.extend(self.bootstrap_op(path, object, &self.ids.uid(), &now));
        }
        self.storage.txn(ops).await.map(|_| ()).map_err(|e| Status::internal_error(e.to_string()))
    }

    /// The table, encoded. A fresh registry serves the built-in kinds alone, so all of them make the same.
    fn templates(&self) -> &'static [Template] {
        static TEMPLATES: OnceLock<Vec<Template>> = OnceLock::new();
        TEMPLATES.get_or_init(|| {
            let table: Table =
                serde_json::from_str(include_str!("../../data/bootstrap.json")).expect("bootstrap.json parses");
            let all = table.into_iter().flat_map(|(path, objects)| objects.into_iter().map(move |o| (path.clone(), o)));
            all.filter_map(|(path, object)| self.bootstrap_op(&path, object, NO_UID, NO_TIME))
                .filter_map(Template::new)
                .collect()
        })
    }

    fn bootstrap_op(&self, path: &str, mut object: Value, uid: &str, time: &str) -> Option<Op> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, resource) = match parts.as_slice() {
            ["api", version, resource] => ("", *version, *resource),
            ["apis", group, version, resource] => (*group, *version, *resource),
            _ => return None,
        };
        let info = self.table().lookup(group, version, resource)?;
        let target = Target {
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            subresource: String::new(),
            info,
        };
        if let Value::Object(map) = &mut object {
            map.insert("kind".into(), json!(target.info.kind));
            map.insert("apiVersion".into(), json!(target.info.gvk().api_version()));
        }
        object.set_meta("uid", uid);
        object.set_meta("creationTimestamp", time);
        for condition in object.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten() {
            condition["lastTransitionTime"] = json!(time);
        }
        Self::normalize(&target, &mut object);
        let draft = self.draft(&target, &object);
        Some(Op::Put { collection: target.info.collection(), key: target.key(), draft, expect: Expect::Absent })
    }

    /// The `kubernetes` service with its endpoints, and this server's lease.
    fn addresses(&self, address: SocketAddr) -> Vec<(&'static str, Value)> {
        let (ip, port) = (address.ip().to_string(), address.port());
        let now = crate::clock::rfc3339_micro(self.clock.now());
        vec![
            (
                "/api/v1/services",
                json!({"metadata": {"name": "kubernetes", "namespace": "default",
                        "labels": {"component": "apiserver", "provider": "kubernetes"}},
                    "spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "internalTrafficPolicy": "Cluster",
                        "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None", "type": "ClusterIP",
                        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}]},
                    "status": {"loadBalancer": {}}}),
            ),
            (
                "/api/v1/endpoints",
                json!({"metadata": {"name": "kubernetes", "namespace": "default",
                        "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
                    "subsets": [{"addresses": [{"ip": ip}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}]}),
            ),
            (
                "/apis/discovery.k8s.io/v1/endpointslices",
                json!({"metadata": {"name": "kubernetes", "namespace": "default",
                        "labels": {"kubernetes.io/service-name": "kubernetes"}},
                    "addressType": "IPv4", "endpoints": [{"addresses": [ip], "conditions": {"ready": true}}],
                    "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}),
            ),
            (
                "/apis/coordination.k8s.io/v1/leases",
                json!({"metadata": {"name": "apiserver-rehearsal", "namespace": "kube-system",
                        "labels": {"apiserver.kubernetes.io/identity": "kube-apiserver"}},
                    "spec": {"holderIdentity": "apiserver-rehearsal", "leaseDurationSeconds": 3600, "renewTime": now}}),
            ),
        ]
    }
}
