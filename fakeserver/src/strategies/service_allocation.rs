//! Cluster IPs and node ports: taken when a service is written, given back when it goes.
//!
//! Counterpart: `registry/core/service/{ipallocator,portallocator}` and `storage/alloc.go`. A taken address is an
//! `IPAddress` object, as in the real server; a taken node port is an object of the hidden collection
//! `nodeports.internal`. On a dry run nothing is chosen for an address, and node ports get dummy numbers.

use super::access::{int_at, list_at, list_mut, set, spec, str_at, strings_at};
use super::service::{is_headless, needs_cluster_ip, needs_health_check_port, needs_node_port};
use super::{SideEffect, WriteContext};
use rehearsal_apimachinery::field::FieldError;
use rehearsal_apimachinery::gvk::GroupKind;
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::status::Status;
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// Resource of the objects that stand for taken addresses.
pub(crate) const IP_ADDRESSES: &str = "ipaddresses.networking.k8s.io";
/// Hidden collection of taken node ports; a name is the port number.
pub(crate) const NODE_PORTS: &str = "nodeports.internal";
/// Service range of a cluster without `ServiceCIDR` objects.
const DEFAULT_RANGE: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 0, 0, 0), 24);
const FIRST_NODE_PORT: i64 = 30000;
const LAST_NODE_PORT: i64 = 32767;

/// Takes what the service needs beyond what `old` had, and gives back what it no longer needs.
pub(crate) fn allocate(
    cx: &WriteContext<'_>,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<Vec<SideEffect>, Status> {
    let mut effects = Vec::new();
    cluster_ips(cx, object, old, &mut effects)?;
    node_ports(cx, object, old, &mut effects)?;
    Ok(effects)
}

/// Gives back everything a removed service held.
pub(crate) fn release(object: &Value) -> Vec<SideEffect> {
    let ips = held_ips(object).into_iter().map(|ip| delete(IP_ADDRESSES, ip));
    ips.chain(held_ports(object).into_iter().map(|p| delete(NODE_PORTS, p.to_string()))).collect()
}

fn delete(resource: &str, name: String) -> SideEffect {
    SideEffect::Delete { resource: resource.into(), namespace: String::new(), name }
}

fn held_ips(service: &Value) -> Vec<String> {
    if !needs_cluster_ip(service) || is_headless(service) {
        return Vec::new();
    }
    strings_at(spec(service), "clusterIPs").map(str::to_owned).collect()
}

fn held_ports(service: &Value) -> Vec<i64> {
    let mut ports: Vec<i64> = Vec::new();
    if needs_node_port(service) {
        for port in list_at(spec(service), "ports").iter().filter_map(|p| int_at(p, "nodePort")) {
            if port != 0 && !ports.contains(&port) {
                ports.push(port);
            }
        }
    }
    if needs_health_check_port(service) {
        ports.extend(int_at(spec(service), "healthCheckNodePort").filter(|p| *p != 0));
    }
    ports
}

fn invalid(object: &Value, error: FieldError) -> Status {
    Status::invalid(&GroupKind::new("", "Service"), object.name(), &[error])
}

fn cluster_ips(
    cx: &WriteContext<'_>,
    object: &mut Value,
    old: Option<&Value>,
    effects: &mut Vec<SideEffect>,
) -> Result<(), Status> {
    let before = old.map(held_ips).unwrap_or_default();
    if needs_cluster_ip(object) && !is_headless(object) {
        let wanted: Vec<String> = strings_at(spec(object), "clusterIPs").map(str::to_owned).collect();
        for ip in wanted.iter().filter(|ip| !before.contains(ip)) {
            effects.push(take_ip(cx, object, ip)?);
        }
        if wanted.is_empty() && !cx.dry_run {
            let ip = choose_ip(cx, object)?.to_string();
            effects.push(ip_object(object, &ip));
            let spec = &mut object["spec"];
            set(spec, "clusterIP", ip.clone());
            set(spec, "clusterIPs", vec![ip]);
        }
    }
    let after = held_ips(object);
    effects.extend(before.into_iter().filter(|ip| !after.contains(ip)).map(|ip| delete(IP_ADDRESSES, ip)));
    Ok(())
}

fn take_ip(cx: &WriteContext<'_>, object: &Value, ip: &str) -> Result<SideEffect, Status> {
    let refuse = |why: &str| {
        let detail = format!("failed to allocate IP {ip}: {why}");
        invalid(object, FieldError::invalid("spec.clusterIPs", json!([ip]), detail))
    };
    let range = ip.parse().ok().and_then(|a: Ipv4Addr| Some((a, ranges(cx).into_iter().find(|r| r.contains(a))?)));
    let Some((address, range)) = range else {
        return Err(refuse("the provided network does not match the current range"));
    };
    if !(range.first()..=range.last()).contains(&u32::from(address)) {
        let text = format!("the provided IP ({ip}) is not in the valid range. The range of valid IPs is {range}");
        return Err(refuse(&text));
    }
    if is_taken(cx, object, address) {
        Err(refuse("provided IP is already allocated"))
    } else {
        Ok(ip_object(object, ip))
    }
}

fn is_taken(cx: &WriteContext<'_>, object: &Value, ip: Ipv4Addr) -> bool {
    let reserved = ip == Ipv4Addr::new(10, 0, 0, 1) && (object.namespace(), object.name()) != ("default", "kubernetes");
    reserved || cx.peek.get(IP_ADDRESSES, "", &ip.to_string()).is_some()
}

/// A random free address, from the upper part of a range first: the lower part is left to explicit requests.
fn choose_ip(cx: &WriteContext<'_>, object: &Value) -> Result<Ipv4Addr, Status> {
    for range in ranges(cx) {
        let (first, last) = (range.first(), range.last());
        let middle = first.saturating_add(range.reserved_band()).min(last);
        for (low, high) in [(middle, last), (first, middle.saturating_sub(1))] {
            if let Some(ip) = scan(cx, object, low, high) {
                return Ok(ip);
            }
        }
    }
    Err(Status::internal_error("failed to allocate a serviceIP: range is full"))
}

fn scan(cx: &WriteContext<'_>, object: &Value, low: u32, high: u32) -> Option<Ipv4Addr> {
    let size = u64::from(high.checked_sub(low)?) + 1;
    let start = cx.ids.below(size);
    (0..size)
        .filter_map(|i| u32::try_from((start + i) % size).ok())
        .map(|offset| Ipv4Addr::from(low + offset))
        .find(|ip| !is_taken(cx, object, *ip))
}

fn ip_object(service: &Value, ip: &str) -> SideEffect {
    SideEffect::Create {
        resource: IP_ADDRESSES.into(),
        namespace: String::new(),
        name: ip.into(),
        object: json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IPAddress",
            "metadata": {"name": ip, "labels": {
                "ipaddress.kubernetes.io/ip-family": "IPv4",
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            }},
            "spec": {"parentRef": {
                "resource": "services",
                "namespace": service.namespace(),
                "name": service.name(),
            }},
        }),
    }
}

/// An IPv4 block.
#[derive(Clone, Copy, Debug)]
struct Range {
    base: u32,
    bits: u8,
}

impl Range {
    fn new(address: Ipv4Addr, bits: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or_default();
        Self { base: u32::from(address) & mask, bits: bits.min(32) }
    }

    fn size(self) -> u32 {
        u32::MAX.checked_shr(u32::from(self.bits)).unwrap_or_default()
    }

    fn contains(self, ip: Ipv4Addr) -> bool {
        u32::from(ip).checked_sub(self.base).is_some_and(|offset| offset <= self.size())
    }

    /// The first address after that of the network.
    fn first(self) -> u32 {
        self.base.saturating_add(1)
    }

    /// The last address before the broadcast address.
    fn last(self) -> u32 {
        self.base.saturating_add(self.size()).saturating_sub(1)
    }

    /// Addresses at the start that are handed out last: a sixteenth, at least 16, at most 256.
    fn reserved_band(self) -> u32 {
        (self.size() / 16).clamp(16, 256)
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.bits)
    }
}

fn ranges(cx: &WriteContext<'_>) -> Vec<Range> {
    let mut out = Vec::new();
    for object in cx.peek.list("servicecidrs.networking.k8s.io", "").iter().filter(|o| !o.is_deleting()) {
        for cidr in strings_at(spec(object), "cidrs") {
            if let Some((address, bits)) = cidr.split_once('/')
                && let (Ok(address), Ok(bits)) = (address.parse::<Ipv4Addr>(), bits.parse::<u8>())
            {
                out.push(Range::new(address, bits));
            }
        }
    }
    if out.is_empty() {
        out.push(Range::new(DEFAULT_RANGE.0, DEFAULT_RANGE.1));
    }
    out
}

/// Node ports being taken for one service.
struct PortOperation<'a, 'b> {
    cx: &'a WriteContext<'b>,
    before: Vec<i64>,
    taken: Vec<i64>,
}

impl PortOperation<'_, '_> {
    fn take(&mut self, port: i64) -> Result<(), String> {
        if self.before.contains(&port) || self.taken.contains(&port) {
            return Ok(());
        }
        if !(FIRST_NODE_PORT..=LAST_NODE_PORT).contains(&port) {
            return Err(format!(
                "provided port is not in the valid range. The range of valid ports is {FIRST_NODE_PORT}-{LAST_NODE_PORT}"
            ));
        }
        if self.cx.peek.get(NODE_PORTS, "", &port.to_string()).is_some() {
            return Err("provided port is already allocated".into());
        }
        self.taken.push(port);
        Ok(())
    }

    fn next(&mut self) -> Result<i64, Status> {
        if self.cx.dry_run {
            let port = self.taken.iter().copied().max().unwrap_or(LAST_NODE_PORT).max(LAST_NODE_PORT) + 1;
            self.taken.push(port);
            return Ok(port);
        }
        let band = ((LAST_NODE_PORT - FIRST_NODE_PORT + 1) / 32).clamp(16, 128);
        for (low, high) in [(FIRST_NODE_PORT + band, LAST_NODE_PORT), (FIRST_NODE_PORT, FIRST_NODE_PORT + band - 1)] {
            let size = high - low + 1;
            let start = self.cx.ids.below(size.unsigned_abs()).cast_signed();
            for port in (0..size).map(|i| low + (start + i) % size) {
                if !self.before.contains(&port) && !self.taken.contains(&port) && self.take(port).is_ok() {
                    return Ok(port);
                }
            }
        }
        Err(Status::internal_error("failed to allocate a nodePort: range is full"))
    }
}

fn node_ports(
    cx: &WriteContext<'_>,
    object: &mut Value,
    old: Option<&Value>,
    effects: &mut Vec<SideEffect>,
) -> Result<(), Status> {
    let before = old.map(held_ports).unwrap_or_default();
    let mut operation = PortOperation { cx, before: before.clone(), taken: Vec::new() };
    if needs_node_port(object) {
        service_ports(object, old.is_none(), &mut operation)?;
    }
    if needs_health_check_port(object) {
        health_check_port(object, &mut operation)?;
    }
    let owner = json!({"namespace": object.namespace(), "name": object.name()});
    for port in &operation.taken {
        effects.push(SideEffect::Create {
            resource: NODE_PORTS.into(),
            namespace: String::new(),
            name: port.to_string(),
            object: json!({"metadata": {"name": port.to_string()}, "spec": {"service": owner}}),
        });
    }
    let after = held_ports(object);
    effects.extend(before.into_iter().filter(|p| !after.contains(p)).map(|p| delete(NODE_PORTS, p.to_string())));
    Ok(())
}

/// Ports with the same number share a node port on create (TCP and UDP of one port).
fn service_ports(object: &mut Value, create: bool, operation: &mut PortOperation<'_, '_>) -> Result<(), Status> {
    let allocate_missing = str_at(spec(object), "type") == "NodePort"
        || object["spec"]["allocateLoadBalancerNodePorts"].as_bool().unwrap_or(true);
    let mut ports: Vec<Value> = list_at(spec(object), "ports").to_vec();
    let mut by_port: Vec<(i64, i64)> = Vec::new();
    for i in 0..ports.len() {
        let number = int_at(&ports[i], "port").unwrap_or_default();
        let asked = int_at(&ports[i], "nodePort").unwrap_or_default();
        if asked == 0 && !allocate_missing {
            continue;
        }
        let shared = by_port.iter().find(|(p, _)| create && *p == number).map(|(_, n)| *n);
        let later = |ports: &[Value]| {
            ports
                .iter()
                .filter(|p| int_at(p, "port") == Some(number))
                .find_map(|p| int_at(p, "nodePort").filter(|n| *n != 0))
        };
        let wanted = match (asked, shared) {
            (0, Some(node_port)) => Some(node_port),
            (0, None) if create => later(&ports),
            (0, None) => None,
            (asked, _) => Some(asked),
        };
        let node_port = match wanted {
            Some(wanted) => {
                operation.take(wanted).map_err(|why| {
                    invalid(object, FieldError::invalid(format!("spec.ports[{i}].nodePort"), wanted, why))
                })?;
                wanted
            }
            None => operation.next()?,
        };
        by_port.push((number, node_port));
        set(&mut ports[i], "nodePort", node_port);
    }
    for (port, allocated) in list_mut(&mut object["spec"], "ports").iter_mut().zip(ports) {
        *port = allocated;
    }
    Ok(())
}

fn health_check_port(object: &mut Value, operation: &mut PortOperation<'_, '_>) -> Result<(), Status> {
    let asked = int_at(spec(object), "healthCheckNodePort").unwrap_or_default();
    if asked != 0 {
        return operation.take(asked).map_err(|why| {
            Status::internal_error(format!("failed to allocate requested HealthCheck NodePort {asked}: {why}"))
        });
    }
    let port = operation.next()?;
    set(&mut object["spec"], "healthCheckNodePort", port);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Strategy;
    use super::super::service::ServiceStrategy;
    use super::*;
    use crate::admission::testing::Cluster;

    fn service(spec: &Value) -> Value {
        let mut object = json!({"metadata": {"name": "a", "namespace": "n"}, "spec": spec});
        ServiceStrategy.default(&mut object);
        object
    }

    fn created(effects: &[SideEffect]) -> Vec<String> {
        let names = effects.iter().filter_map(|e| match e {
            SideEffect::Create { name, .. } => Some(name.clone()),
            SideEffect::Delete { .. } => None,
        });
        names.collect()
    }

    fn deleted(effects: &[SideEffect]) -> Vec<String> {
        let names = effects.iter().filter_map(|e| match e {
            SideEffect::Delete { name, .. } => Some(name.clone()),
            SideEffect::Create { .. } => None,
        });
        names.collect()
    }

    #[test]
    fn a_service_gets_an_address_and_node_ports() {
        let cluster = Cluster::new(vec![]);
        let cx = cluster.cx();
        let mut object = service(
            &json!({"type": "NodePort", "ports": [{"port": 80}, {"name": "u", "port": 80, "protocol": "UDP"}]}),
        );
        let effects = allocate(&cx, &mut object, None).unwrap();
        let ip: Ipv4Addr = str_at(spec(&object), "clusterIP").parse().unwrap();
        assert!((17..=254).contains(&ip.octets()[3]), "{ip} is not from the upper part");
        let ports = list_at(spec(&object), "ports");
        assert_eq!(ports[0]["nodePort"], ports[1]["nodePort"]);
        assert_eq!(created(&effects), [ip.to_string(), ports[0]["nodePort"].to_string()]);
        assert_eq!(deleted(&release(&object)), created(&effects));
    }

    #[test]
    fn a_dry_run_hands_out_nothing_real() {
        let cluster = Cluster::new(vec![]);
        let cx = WriteContext { dry_run: true, ..cluster.cx() };
        let mut object = service(&json!({"type": "NodePort", "ports": [{"port": 80}]}));
        allocate(&cx, &mut object, None).unwrap();
        assert!(object["spec"]["clusterIP"].is_null());
        assert_eq!(object["spec"]["ports"][0]["nodePort"], 32768);
    }

    #[test]
    fn a_change_of_type_gives_back_what_is_not_needed() {
        let cluster = Cluster::new(vec![]);
        let cx = cluster.cx();
        let mut old = service(&json!({"type": "NodePort", "ports": [{"port": 80}]}));
        let taken = created(&allocate(&cx, &mut old, None).unwrap());
        let mut new = service(&json!({"type": "ClusterIP", "ports": [{"port": 80}]}));
        ServiceStrategy.prepare_update(&cx, &mut new, &old);
        assert_eq!(new["spec"]["clusterIP"], old["spec"]["clusterIP"]);
        let effects = allocate(&cx, &mut new, Some(&old)).unwrap();
        assert_eq!((created(&effects), deleted(&effects)), (vec![], taken[1..].to_vec()));
        let mut last = service(&json!({"type": "ExternalName", "externalName": "a.b"}));
        ServiceStrategy.prepare_update(&cx, &mut last, &new);
        assert_eq!(last["spec"], json!({"type": "ExternalName", "externalName": "a.b", "sessionAffinity": "None"}));
        assert_eq!(deleted(&allocate(&cx, &mut last, Some(&new)).unwrap()), taken[..1]);
    }

    #[test]
    fn what_is_taken_or_out_of_range_is_refused() {
        let cluster = Cluster::new(vec![
            (IP_ADDRESSES, json!({"metadata": {"name": "10.0.0.9"}})),
            (NODE_PORTS, json!({"metadata": {"name": "30080"}})),
        ]);
        let refusal = |spec: Value| allocate(&cluster.cx(), &mut service(&spec), None).unwrap_err().message;
        let with_ip = |ip: &str| refusal(json!({"clusterIP": ip, "clusterIPs": [ip], "ports": [{"port": 80}]}));
        let head = "Service \"a\" is invalid: spec.clusterIPs: Invalid value: ";
        assert_eq!(
            with_ip("10.0.0.9"),
            format!("{head}[\"10.0.0.9\"]: failed to allocate IP 10.0.0.9: provided IP is already allocated")
        );
        assert_eq!(
            with_ip("10.0.0.1"),
            format!("{head}[\"10.0.0.1\"]: failed to allocate IP 10.0.0.1: provided IP is already allocated")
        );
        assert_eq!(
            with_ip("10.9.0.1"),
            format!(
                "{head}[\"10.9.0.1\"]: failed to allocate IP 10.9.0.1: the provided network does not match the current range"
            )
        );
        let with_port = |port: i64| refusal(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}));
        let head = "Service \"a\" is invalid: spec.ports[0].nodePort: Invalid value: ";
        assert_eq!(with_port(30080), format!("{head}30080: provided port is already allocated"));
        assert_eq!(
            with_port(80),
            format!("{head}80: provided port is not in the valid range. The range of valid ports is 30000-32767")
        );
    }
}
