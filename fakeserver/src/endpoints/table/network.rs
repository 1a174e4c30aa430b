//! Rows of services, endpoints, ingresses, network policies and addresses.

use super::cells::{
    NONE, UNKNOWN, at, created, int, joined, labels, list, name, or, scalar, selector, shortened, text, text_or,
};
use jiff::Timestamp;
use rehearsal_apimachinery::gvk::GroupResource;
use serde_json::Value;
use std::collections::BTreeSet;

/// Lists longer than this are cut.
const SHOWN: usize = 3;

pub(super) fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        text(object, "/spec/type").into(),
        text_or(object, "/spec/clusterIPs/0", NONE).into(),
        external_ip(object).into(),
        or(&service_ports(object), NONE).into(),
        created(object, now),
        labels(object, "/spec/selector").into(),
    ]
}

fn service_ports(service: &Value) -> String {
    let ports = list(service, "/spec/ports").iter().map(|port| {
        let (number, protocol) = (int(port, "/port"), text(port, "/protocol"));
        match int(port, "/nodePort") {
            node_port if node_port > 0 => format!("{number}:{node_port}/{protocol}"),
            _ => format!("{number}/{protocol}"),
        }
    });
    ports.collect::<Vec<_>>().join(",")
}

fn external_ip(service: &Value) -> String {
    let external = joined(service, "/spec/externalIPs", ",");
    match text(service, "/spec/type") {
        "ClusterIP" | "NodePort" => or(&external, NONE).to_owned(),
        "LoadBalancer" => match (ingress_points(service), external) {
            (ingress, external) if ingress.is_empty() => or(&external, "<pending>").to_owned(),
            (ingress, external) if external.is_empty() => ingress,
            (ingress, external) => format!("{ingress},{external}"),
        },
        "ExternalName" => text(service, "/spec/externalName").to_owned(),
        _ => UNKNOWN.to_owned(),
    }
}

/// Addresses of a load balancer, each once, sorted.
fn ingress_points(object: &Value) -> String {
    let points = list(object, "/status/loadBalancer/ingress").iter();
    let points: BTreeSet<&str> =
        points.map(|p| or(text(p, "/ip"), text(p, "/hostname"))).filter(|p| !p.is_empty()).collect();
    points.into_iter().collect::<Vec<_>>().join(",")
}

pub(super) fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let tls = !list(object, "/spec/tls").is_empty();
    vec![
        name(object),
        at(object, "/spec/ingressClassName").and_then(Value::as_str).unwrap_or(NONE).into(),
        hosts(object).into(),
        ingress_points(object).into(),
        if tls { "80, 443" } else { "80" }.into(),
        created(object, now),
    ]
}

fn hosts(ingress: &Value) -> String {
    let rules = list(ingress, "/spec/rules");
    let mut hosts: Vec<&str> = Vec::new();
    let mut more = false;
    for rule in rules {
        more |= hosts.len() == SHOWN;
        let host = text(rule, "/host");
        if !more && !host.is_empty() {
            hosts.push(host);
        }
    }
    let text = hosts.join(",");
    match more {
        // The real server counts rules here, not hosts.
        true => format!("{text} + {} more...", rules.len() - SHOWN),
        false => or(&text, "*").to_owned(),
    }
}

pub(super) fn ingress_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let parameters = at(object, "/spec/parameters").map_or_else(
        || NONE.to_owned(),
        |p| {
            let group = at(p, "/apiGroup").and_then(Value::as_str).map(|g| format!(".{g}")).unwrap_or_default();
            format!("{}{group}/{}", text(p, "/kind"), text(p, "/name"))
        },
    );
    vec![name(object), text(object, "/spec/controller").into(), parameters.into(), created(object, now)]
}

pub(super) fn network_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), selector(object, "/spec/podSelector").into(), created(object, now)]
}

pub(super) fn endpoints(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), endpoint_list(object).into(), created(object, now)]
}

fn endpoint_list(object: &Value) -> String {
    let subsets = list(object, "/subsets");
    if subsets.is_empty() {
        return NONE.to_owned();
    }
    let mut all: Vec<String> = Vec::new();
    for subset in subsets {
        let addresses = || list(subset, "/addresses").iter().map(|a| text(a, "/ip"));
        let ports = list(subset, "/ports");
        // Headless services may have no ports at all.
        if ports.is_empty() {
            all.extend(addresses().map(str::to_owned));
        }
        for port in ports {
            all.extend(addresses().map(|ip| host_port(ip, int(port, "/port"))));
        }
    }
    let total = all.len();
    all.truncate(SHOWN);
    let text = all.join(",");
    if total > SHOWN { format!("{text} + {} more...", total - SHOWN) } else { text }
}

fn host_port(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

pub(super) fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports = list(object, "/ports");
    let shown: Vec<String> = ports.iter().take(SHOWN).map(slice_port).collect();
    let addresses = || list(object, "/endpoints").iter().flat_map(|e| list(e, "/addresses"));
    let shown_addresses: Vec<String> = addresses().filter_map(Value::as_str).take(SHOWN).map(str::to_owned).collect();
    vec![
        name(object),
        text(object, "/addressType").into(),
        shortened(&shown, ports.len(), SHOWN).into(),
        shortened(&shown_addresses, addresses().count(), SHOWN).into(),
        created(object, now),
    ]
}

fn slice_port(port: &Value) -> String {
    match at(port, "/name").and_then(Value::as_str) {
        Some(name) => scalar(port, "/port", name),
        None => scalar(port, "/port", "*"),
    }
}

pub(super) fn service_cidr(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), joined(object, "/spec/cidrs", ",").into(), created(object, now)]
}

/// Three cells under two headers: the real printer adds an age that its columns do not announce.
pub(super) fn ip_address(object: &Value, now: Timestamp) -> Vec<Value> {
    let parent = at(object, "/spec/parentRef").map_or_else(
        || NONE.to_owned(),
        |p| {
            let resource = GroupResource::new(text(p, "/group"), text(p, "/resource")).to_string().to_lowercase();
            let namespace = text(p, "/namespace");
            let namespace = if namespace.is_empty() { String::new() } else { format!("/{namespace}") };
            format!("{resource}{namespace}/{}", text(p, "/name"))
        },
    );
    vec![name(object), parent.into(), created(object, now)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    #[test]
    fn services_show_where_they_can_be_reached() {
        let load_balancer = |ips: &Value, ingress: &Value| {
            external_ip(&json!({"spec": {"type": "LoadBalancer", "externalIPs": ips},
                "status": {"loadBalancer": {"ingress": ingress}}}))
        };
        assert_eq!(load_balancer(&json!([]), &json!([])), "<pending>");
        assert_eq!(load_balancer(&json!([]), &json!([{"ip": "2.2.2.2"}, {"hostname": "a"}])), "2.2.2.2,a");
        assert_eq!(load_balancer(&json!(["1.1.1.1"]), &json!([{"ip": "2.2.2.2"}])), "2.2.2.2,1.1.1.1");
        assert_eq!(external_ip(&json!({"spec": {"type": "ClusterIP"}})), "<none>");
        let ports = json!({"spec": {"ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"},
            {"port": 53, "protocol": "UDP"}]}});
        assert_eq!(service_ports(&ports), "80:30080/TCP,53/UDP");
    }

    #[test]
    fn ingresses_show_three_hosts() {
        let rules = |hosts: &[&str]| {
            let rules: Vec<_> = hosts.iter().map(|h| json!({"host": h})).collect();
            hosts_of(&json!({"spec": {"rules": rules}}))
        };
        fn hosts_of(object: &Value) -> String {
            hosts(object)
        }
        assert_eq!(rules(&[]), "*");
        assert_eq!(rules(&["a", "", "b"]), "a,b");
        assert_eq!(rules(&["a", "b", "c", "d", "e"]), "a,b,c + 2 more...");
    }

    #[test]
    fn endpoints_pair_addresses_with_ports() {
        let object = json!({"subsets": [
            {"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "ports": [{"port": 80}, {"port": 443}]},
            {"addresses": [{"ip": "10.0.0.9"}]}
        ]});
        assert_eq!(endpoint_list(&object), "10.0.0.1:80,[fd00::1]:80,10.0.0.1:443 + 2 more...");
        assert_eq!(endpoint_list(&json!({})), "<none>");
    }

    #[test]
    fn endpoint_slices_fall_back_to_port_names() {
        let object = json!({"metadata": {"name": "s"}, "addressType": "IPv4",
            "ports": [{"port": 80}, {"name": "x"}, {}], "endpoints": []});
        assert_eq!(endpoint_slice(&object, now())[1..4], [json!("IPv4"), json!("80,x,*"), json!("<unset>")]);
    }

    #[test]
    fn addresses_name_their_parent() {
        let object = json!({"metadata": {"name": "10.0.0.1"},
            "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "kubernetes"}}});
        assert_eq!(ip_address(&object, now())[1], json!("services/default/kubernetes"));
    }
}
