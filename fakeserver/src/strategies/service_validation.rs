//! The field rules of Service.
//!
//! Counterpart: `ValidateService`, `ValidateServiceUpdate` and `ValidateServiceStatusUpdate` of `apis/core/validation`.

use super::access::{has, int_at, is_empty_at, list_at, spec, str_at, strings_at};
use super::checks::{dns_label, dns_subdomain, each, labels, one_of, qualified_name, required_one_of};
use super::internal::internal_json;
use super::service::{is_externally_accessible, is_headless, needs_health_check_port};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::validation::{is_valid_port_name, is_valid_port_num, parse_cidr_sloppy, parse_ip_sloppy};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;

const PORT: &str = "io.k8s.api.core.v1.ServicePort";
const FAMILIES: &[&str] = &["IPv4", "IPv6"];
const POLICIES: &[&str] = &["PreferDualStack", "RequireDualStack", "SingleStack"];
const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const DISTRIBUTIONS: &[&str] = &["PreferClose", "PreferSameNode", "PreferSameZone"];
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const KUBELET_PORT: i64 = 10250;
const MAX_AFFINITY_SECONDS: i64 = 86400;
const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";

/// Rules for a whole service.
pub(crate) fn service(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = Vec::new();
    if list_at(spec, "ports").is_empty() && !is_headless(object) && str_at(spec, "type") != "ExternalName" {
        errors.push(FieldError::required(path.child("ports"), ""));
    }
    type_rules(object, &path, &mut errors);
    let mut names = BTreeSet::new();
    let ports = list_at(spec, "ports");
    for (i, port) in ports.iter().enumerate() {
        port_rules(&path.child("ports").index(i), port, ports.len() > 1, &mut names, &mut errors);
    }
    errors.extend(labels(&path.child("selector"), &spec["selector"]));
    session_affinity(spec, &path, &mut errors);
    errors.extend(cluster_ips(object));
    external_ips(spec, &path, &mut errors);
    errors.extend(required_one_of(&path.child("type"), str_at(spec, "type"), TYPES));
    duplicate_ports(spec, &path, &mut errors);
    source_ranges(object, &path, &mut errors);
    load_balancer_fields(spec, &path, &mut errors);
    traffic(object, &path, &mut errors);
    errors
}

/// Rules for a changed service.
pub(crate) fn update(object: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (new_spec, old_spec) = (spec(object), spec(old));
    let external = |s: &Value| str_at(s, "type") == "ExternalName";
    let still_headless = is_headless(object) && is_headless(old);
    if !external(new_spec) && !external(old_spec) && !still_headless {
        grown_or_shrunk(new_spec, old_spec, "clusterIPs", "clusterIP", &mut errors);
        grown_or_shrunk(new_spec, old_spec, "ipFamilies", "ipFamily", &mut errors);
    }
    let balanced = |s: &Value| str_at(s, "type") == "LoadBalancer";
    if balanced(new_spec) && balanced(old_spec) && new_spec["loadBalancerClass"] != old_spec["loadBalancerClass"] {
        let value = new_spec["loadBalancerClass"].clone();
        errors.push(FieldError::invalid("spec.loadBalancerClass", value, "may not change once set"));
    }
    errors.extend(service(object));
    errors
}

/// Rules for a written status.
pub(crate) fn status(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let balancer = &object["status"]["loadBalancer"];
    let path = Path::new("status").child("loadBalancer").child("ingress");
    if str_at(spec(object), "type") != "LoadBalancer" && !list_at(balancer, "ingress").is_empty() {
        errors.push(FieldError::forbidden(&path, "may only be used when `spec.type` is \"LoadBalancer\""));
        return errors;
    }
    errors.extend(ingress_points(&path, list_at(balancer, "ingress")));
    errors
}

/// Rules for `status.loadBalancer.ingress`, shared with Ingress.
pub(crate) fn ingress_points(path: &Path, points: &[Value]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (i, point) in points.iter().enumerate() {
        let path = path.index(i);
        let (ip, host) = (str_at(point, "ip"), str_at(point, "hostname"));
        if !ip.is_empty() && parse_ip_sloppy(ip).is_none() {
            errors.push(FieldError::invalid(path.child("ip"), ip, BAD_IP));
        }
        if !host.is_empty() {
            errors.extend(dns_subdomain(&path.child("hostname"), host));
            if parse_ip_sloppy(host).is_some() {
                errors.push(FieldError::invalid(path.child("hostname"), host, "must be a DNS name, not an IP address"));
            }
        }
    }
    errors
}

/// What the server says of text that is no address.
pub(crate) const BAD_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/// Texts for `Warning` headers.
pub(crate) fn warnings(object: &Value) -> Vec<String> {
    let mut out = Vec::new();
    let spec = spec(object);
    if object.annotations().is_some_and(|a| a.contains_key("service.kubernetes.io/topology-aware-hints")) {
        out.push("annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead".to_owned());
    }
    let kind = str_at(spec, "type");
    let external_ips = !is_empty_at(spec, "externalIPs");
    if kind == "ClusterIP" && is_headless(object) {
        if !str_at(spec, "loadBalancerIP").is_empty() {
            out.push("spec.loadBalancerIP is ignored for headless services".to_owned());
        }
        if external_ips {
            out.push("spec.externalIPs is ignored for headless services".to_owned());
        }
        if str_at(spec, "sessionAffinity") != "None" {
            out.push("spec.SessionAffinity is ignored for headless services".to_owned());
        }
    }
    if kind == "ExternalName" && external_ips {
        out.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if kind != "ExternalName" && !str_at(spec, "externalName").is_empty() {
        out.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if str_at(spec, "trafficDistribution") == "PreferClose" {
        out.push("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned());
    }
    out
}

/// Rules that tie `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy` together.
pub(crate) fn cluster_ips(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let mut errors = Vec::new();
    if str_at(spec, "type") == "ExternalName" {
        return errors;
    }
    let path = Path::new("spec");
    let ips: Vec<&str> = strings_at(spec, "clusterIPs").collect();
    singular_and_plural(spec, &ips, &path, &mut errors);
    let valid_families = family_rules(spec, &path, &mut errors);
    let list = || spec["clusterIPs"].clone();
    let before = errors.len();
    for (i, ip) in ips.iter().enumerate() {
        let at = path.child("clusterIPs").index(i);
        if i == 0 && *ip == "None" {
            if ips.len() > 1 {
                errors.push(FieldError::invalid(&at, list(), "'None' must be the first and only value"));
            }
        } else if parse_ip_sloppy(ip).is_none() {
            errors.push(FieldError::invalid(&at, *ip, BAD_IP));
        }
    }
    if ips.len() > 2 {
        errors.push(FieldError::invalid(path.child("clusterIPs"), list(), "may only hold up to 2 values"));
    }
    if errors.len() > before || ips.first() == Some(&"None") {
        return errors;
    }
    let is_v6 = |ip: &str| ip.contains(':');
    if let [a, b] = ips[..]
        && is_v6(a) == is_v6(b)
    {
        let detail = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid(path.child("clusterIPs"), list(), detail));
    }
    if valid_families {
        for (i, (ip, family)) in ips.iter().zip(strings_at(spec, "ipFamilies")).enumerate() {
            if is_v6(ip) != (family == "IPv6") {
                let detail = format!("expected an {family} value as indicated by `ipFamilies[{i}]`");
                errors.push(FieldError::invalid(path.child("clusterIPs").index(i), *ip, detail));
            }
        }
    }
    errors
}

fn singular_and_plural(spec: &Value, ips: &[&str], path: &Path, errors: &mut Vec<FieldError>) {
    let ip = str_at(spec, "clusterIP");
    match (ip.is_empty(), ips.first()) {
        (true, Some(_)) => errors.push(FieldError::invalid(
            path.child("clusterIPs"),
            spec["clusterIPs"].clone(),
            "must be empty when `clusterIP` is not specified",
        )),
        (false, Some(first)) if *first != ip => errors.push(FieldError::invalid(
            path.child("clusterIPs").index(0),
            spec["clusterIPs"].clone(),
            "first value must match `clusterIP`",
        )),
        _ => {}
    }
}

fn family_rules(spec: &Value, path: &Path, errors: &mut Vec<FieldError>) -> bool {
    let before = errors.len();
    let mut seen = BTreeSet::new();
    for (i, family) in strings_at(spec, "ipFamilies").enumerate() {
        let at = path.child("ipFamilies").index(i);
        errors.extend(one_of(&at, family, FAMILIES));
        if !seen.insert(family) {
            errors.push(FieldError::duplicate(&at, family));
        }
    }
    let valid = errors.len() == before;
    if has(spec, "ipFamilyPolicy") {
        errors.extend(one_of(&path.child("ipFamilyPolicy"), str_at(spec, "ipFamilyPolicy"), POLICIES));
    }
    valid
}

fn type_rules(object: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let spec = spec(object);
    let kind = str_at(spec, "type");
    match kind {
        "LoadBalancer" => {
            for (i, _) in list_at(spec, "ports").iter().enumerate().filter(|(_, p)| p["port"] == KUBELET_PORT) {
                let detail = format!("may not expose port {KUBELET_PORT} externally since it is used by kubelet");
                errors.push(FieldError::invalid(path.child("ports").index(i), KUBELET_PORT, detail));
            }
        }
        "ExternalName" => {
            for name in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                if !is_empty_at(spec, name) {
                    errors.push(FieldError::forbidden(path.child(name), "may not be set for ExternalName services"));
                }
            }
            let name = str_at(spec, "externalName");
            match name.strip_suffix('.').unwrap_or(name) {
                "" => errors.push(FieldError::required(path.child("externalName"), "")),
                name => errors.extend(dns_subdomain(&path.child("externalName"), name)),
            }
        }
        _ => {}
    }
    if matches!(kind, "LoadBalancer" | "NodePort") && is_headless(object) {
        let detail = format!("may not be set to 'None' for {kind} services");
        errors.push(FieldError::invalid(path.child("clusterIPs").index(0), "None", detail));
    }
}

fn port_rules<'a>(
    path: &Path,
    port: &'a Value,
    name_required: bool,
    names: &mut BTreeSet<&'a str>,
    errors: &mut Vec<FieldError>,
) {
    let name = str_at(port, "name");
    if !name.is_empty() {
        errors.extend(dns_label(&path.child("name"), name));
        if !names.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        }
    } else if name_required {
        errors.push(FieldError::required(path.child("name"), ""));
    }
    errors.extend(port_number(&path.child("port"), int_at(port, "port").unwrap_or_default()));
    errors.extend(required_one_of(&path.child("protocol"), str_at(port, "protocol"), &["SCTP", "TCP", "UDP"]));
    errors.extend(port_number_or_name(&path.child("targetPort"), &port["targetPort"]));
    if has(port, "appProtocol") {
        errors.extend(qualified_name(&path.child("appProtocol"), str_at(port, "appProtocol")));
    }
}

/// A port number from 1 to 65535.
pub(crate) fn port_number(path: &Path, number: i64) -> Vec<FieldError> {
    is_valid_port_num(number).into_iter().map(|m| FieldError::invalid(path, number, m)).collect()
}

/// A port number or the name of one.
pub(crate) fn port_number_or_name(path: &Path, port: &Value) -> Vec<FieldError> {
    match port.as_str() {
        Some(name) => each(path, name, is_valid_port_name(name)),
        None => port_number(path, port.as_i64().unwrap_or_default()),
    }
}

fn session_affinity(spec: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let affinity = str_at(spec, "sessionAffinity");
    errors.extend(required_one_of(&path.child("sessionAffinity"), affinity, &["ClientIP", "None"]));
    if affinity != "ClientIP" {
        return;
    }
    let at = path.child("sessionAffinityConfig").child("clientIP").child("timeoutSeconds");
    if let Some(seconds) = int_at(&spec["sessionAffinityConfig"]["clientIP"], "timeoutSeconds")
        && !(1..=MAX_AFFINITY_SECONDS).contains(&seconds)
    {
        let detail = format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}");
        errors.push(FieldError::invalid(at, seconds, detail));
    }
}

fn external_ips(spec: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    for (i, ip) in strings_at(spec, "externalIPs").enumerate() {
        let at = path.child("externalIPs").index(i);
        match parse_ip_sloppy(ip) {
            None => errors.push(FieldError::invalid(&at, ip, BAD_IP)),
            Some(address) => errors.extend(special_ip(&at, ip, address)),
        }
    }
}

/// Refuses addresses that mean the machine itself or its link.
pub(crate) fn special_ip(path: &Path, text: &str, address: IpAddr) -> Vec<FieldError> {
    let link_local = match address {
        IpAddr::V4(a) => a.is_link_local(),
        IpAddr::V6(a) => a.segments()[0] & 0xffc0 == 0xfe80,
    };
    let link_multicast = match address {
        IpAddr::V4(a) => a.octets()[..3] == [224, 0, 0],
        IpAddr::V6(a) => a.segments()[0] & 0xff0f == 0xff02,
    };
    let rules = [
        (address.is_unspecified(), "may not be unspecified (0.0.0.0 or ::)"),
        (address.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (link_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    ];
    rules.iter().filter(|(hit, _)| *hit).map(|(_, detail)| FieldError::invalid(path, text, *detail)).collect()
}

fn duplicate_ports(spec: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let ports = list_at(spec, "ports");
    let node_port = |p: &Value| int_at(p, "nodePort").unwrap_or_default();
    if str_at(spec, "type") == "ClusterIP" {
        for (i, _) in ports.iter().enumerate().filter(|(_, p)| node_port(p) != 0) {
            let at = path.child("ports").index(i).child("nodePort");
            errors.push(FieldError::forbidden(at, "may not be used when `type` is 'ClusterIP'"));
        }
    }
    let mut seen = BTreeSet::new();
    for (i, port) in ports.iter().enumerate().filter(|(_, p)| node_port(p) != 0) {
        if !seen.insert((str_at(port, "protocol"), node_port(port))) {
            errors.push(FieldError::duplicate(path.child("ports").index(i).child("nodePort"), node_port(port)));
        }
    }
    let mut seen = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        if !seen.insert((str_at(port, "protocol"), int_at(port, "port").unwrap_or_default())) {
            let key = json!({"protocol": port["protocol"], "port": port["port"]});
            let shown = internal_json(PORT, &key);
            errors.push(FieldError::duplicate(path.child("ports").index(i), key).shown_as(shown));
        }
    }
}

fn source_ranges(object: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let spec = spec(object);
    let balanced = str_at(spec, "type") == "LoadBalancer";
    if !is_empty_at(spec, "loadBalancerSourceRanges") {
        let at = path.child("LoadBalancerSourceRanges");
        if !balanced {
            errors.push(FieldError::forbidden(&at, ONLY_LOAD_BALANCER));
        }
        for (i, range) in strings_at(spec, "loadBalancerSourceRanges").enumerate() {
            errors.extend(cidr(&at.index(i), range.trim()));
        }
    } else if let Some(ranges) = object.annotation(SOURCE_RANGES) {
        let at = Path::new("metadata").child("annotations").key(SOURCE_RANGES);
        if !balanced {
            errors.push(FieldError::forbidden(&at, ONLY_LOAD_BALANCER));
        }
        for range in ranges.split(',').map(str::trim).filter(|r| !ranges.trim().is_empty() || !r.is_empty()) {
            errors.extend(cidr(&at, range));
        }
    }
}

/// A CIDR block.
pub(crate) fn cidr(path: &Path, text: &str) -> Option<FieldError> {
    let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    parse_cidr_sloppy(text).is_none().then(|| FieldError::invalid(path, text, detail))
}

fn load_balancer_fields(spec: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let balanced = str_at(spec, "type") == "LoadBalancer";
    if has(spec, "allocateLoadBalancerNodePorts") && !balanced {
        errors.push(FieldError::forbidden(path.child("allocateLoadBalancerNodePorts"), ONLY_LOAD_BALANCER));
    }
    if has(spec, "loadBalancerClass") {
        let at = path.child("loadBalancerClass");
        if balanced {
            errors.extend(qualified_name(&at, str_at(spec, "loadBalancerClass")));
        } else {
            errors.push(FieldError::forbidden(at, ONLY_LOAD_BALANCER));
        }
    }
}

fn traffic(object: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let spec = spec(object);
    let policy = str_at(spec, "externalTrafficPolicy");
    let at = path.child("externalTrafficPolicy");
    if is_externally_accessible(object) {
        errors.extend(required_one_of(&at, policy, &["Cluster", "Local"]));
    } else if !policy.is_empty() {
        errors.push(FieldError::invalid(at, policy, "may only be set for externally-accessible services"));
    }
    let port = int_at(spec, "healthCheckNodePort").unwrap_or_default();
    let at = path.child("healthCheckNodePort");
    if port != 0 && !needs_health_check_port(object) {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(FieldError::invalid(at, port, detail));
    } else if port != 0 {
        errors.extend(port_number(&at, port));
    }
    if has(spec, "internalTrafficPolicy") {
        let policy = str_at(spec, "internalTrafficPolicy");
        errors.extend(one_of(&path.child("internalTrafficPolicy"), policy, &["Cluster", "Local"]));
    }
    if has(spec, "trafficDistribution") {
        let word = str_at(spec, "trafficDistribution");
        errors.extend(one_of(&path.child("trafficDistribution"), word, DISTRIBUTIONS));
    }
}

fn grown_or_shrunk(new: &Value, old: &Value, list: &str, noun: &str, errors: &mut Vec<FieldError>) {
    let (after, before) = (list_at(new, list), list_at(old, list));
    let path = Path::new("spec").child(list);
    let value = || if new[list].is_null() { Value::Null } else { new[list].clone() };
    let changed = |i: usize| FieldError::invalid(path.index(i), value(), "may not change once set");
    if after.is_empty() && !before.is_empty() {
        errors.push(FieldError::invalid(path.index(0), value(), format!("primary {noun} can not be unset")));
        return;
    }
    let compared = if after.len() < before.len() { 1 } else { before.len() };
    errors.extend((0..compared).filter(|i| after.get(*i) != before.get(*i)).map(changed));
    if after.len() == 1 && before.len() == 2 && str_at(new, "ipFamilyPolicy") != "SingleStack" {
        let detail = format!("must be set to 'SingleStack' when releasing the secondary {noun}");
        errors.push(FieldError::invalid("spec.ipFamilyPolicy", new["ipFamilyPolicy"].clone(), detail));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Strategy;
    use super::super::service::ServiceStrategy;
    use super::*;

    fn errors(spec: &Value) -> Vec<String> {
        let mut object = json!({"metadata": {"name": "a"}, "spec": spec});
        ServiceStrategy.default(&mut object);
        service(&object).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn refusals_read_as_the_real_servers() {
        let cases = [
            (json!({"selector": {"a": "b"}}), vec!["spec.ports: Required value"]),
            (
                json!({"ports": [{"port": 0}]}),
                vec![
                    "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                    "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
                ],
            ),
            (
                json!({"ports": [{"port": 80, "protocol": "HTTP"}]}),
                vec![
                    "spec.ports[0].protocol: Unsupported value: \"HTTP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
                ],
            ),
            (
                json!({"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]}),
                vec![
                    r#"spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}"#,
                ],
            ),
            (
                json!({"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]}),
                vec!["spec.ports[1].name: Duplicate value: \"a\""],
            ),
            (
                json!({"ports": [{"port": 80}, {"name": "tls", "port": 443}]}),
                vec!["spec.ports[0].name: Required value"],
            ),
            (json!({"type": "ExternalName"}), vec!["spec.externalName: Required value"]),
            (
                json!({"type": "Weird", "ports": [{"port": 1}]}),
                vec![
                    r#"spec.type: Unsupported value: "Weird": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort""#,
                ],
            ),
            (
                json!({"ports": [{"port": 1, "nodePort": 30000}], "externalIPs": ["127.0.0.1"], "externalTrafficPolicy": "Cluster"}),
                vec![
                    "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
                    "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
                ],
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(errors(&spec), expected);
        }
    }

    #[test]
    fn a_cluster_ip_may_not_change() {
        let old = json!({"spec": {"type": "ClusterIP", "clusterIP": "10.0.0.5", "clusterIPs": ["10.0.0.5"], "sessionAffinity": "None", "ports": [{"port": 1, "protocol": "TCP", "targetPort": 1}]}});
        let mut new = old.clone();
        new["spec"]["clusterIP"] = json!("10.0.0.99");
        new["spec"]["clusterIPs"] = json!(["10.0.0.99"]);
        let texts: Vec<_> = update(&new, &old).iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.99\"]: may not change once set"]);
    }
}
