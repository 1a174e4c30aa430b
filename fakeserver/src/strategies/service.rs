//! Service: defaults that follow from the type, and what an update keeps or drops when the type changes.
//!
//! Counterpart: `registry/core/service` (`strategy.go`, and the normalisation in `storage/storage.go`). The rules for
//! fields are in `service_validation`, addresses and node ports in `service_allocation`. The cluster is single-stack
//! IPv4, and answers requests for more as such a cluster does.

use super::access::{
    copy, has, int_at, is_empty_at, list_at, list_mut, path_mut, remove, set, set_default, spec, str_at,
};
use super::{SideEffect, Strategy, WriteContext, service_allocation, service_validation};
use rehearsal_apimachinery::field::FieldError;
use rehearsal_apimachinery::status::Status;
use serde_json::{Value, json};

/// Hooks of Service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceStrategy;

/// Whether the type has cluster IPs.
pub(crate) fn needs_cluster_ip(service: &Value) -> bool {
    matches!(str_at(spec(service), "type"), "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// Whether the type has node ports.
pub(crate) fn needs_node_port(service: &Value) -> bool {
    matches!(str_at(spec(service), "type"), "NodePort" | "LoadBalancer")
}

/// Whether the service is reached from outside the cluster.
pub(crate) fn is_externally_accessible(service: &Value) -> bool {
    let spec = spec(service);
    needs_node_port(service) || str_at(spec, "type") == "ClusterIP" && !is_empty_at(spec, "externalIPs")
}

/// Whether the service has a health check port of its own.
pub(crate) fn needs_health_check_port(service: &Value) -> bool {
    let spec = spec(service);
    str_at(spec, "type") == "LoadBalancer" && str_at(spec, "externalTrafficPolicy") == "Local"
}

/// Whether the cluster IP is `None`.
pub(crate) fn is_headless(service: &Value) -> bool {
    list_at(spec(service), "clusterIPs").first().and_then(Value::as_str) == Some("None")
}

impl Strategy for ServiceStrategy {
    fn default(&self, object: &mut Value) {
        let spec = &mut object["spec"];
        set_default(spec, "sessionAffinity", "None");
        set_default(spec, "type", "ClusterIP");
        default_session_affinity(spec);
        for port in list_mut(spec, "ports") {
            default_port(port);
        }
        default_traffic(object);
    }

    fn prepare_create(&self, _cx: &WriteContext<'_>, object: &mut Value) {
        let spec = &mut object["spec"];
        if list_at(spec, "clusterIPs").is_empty() && !str_at(spec, "clusterIP").is_empty() {
            let ip = spec["clusterIP"].clone();
            set(spec, "clusterIPs", json!([ip]));
        }
        // Errors show again in validation.
        let _ = init_ip_families(object);
        set(object, "status", json!({"loadBalancer": {}}));
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        if cx.subresource == "status" {
            return;
        }
        copy(old, object, "status");
        keep_allocated(object, old);
        sync_cluster_ips(&mut object["spec"], spec(old));
        if needs_cluster_ip(object) {
            if list_at(spec(object), "ipFamilies").is_empty() && needs_cluster_ip(old) {
                copy(spec(old), &mut object["spec"], "ipFamilies");
            }
            if !has(spec(object), "ipFamilyPolicy") && needs_cluster_ip(old) {
                copy(spec(old), &mut object["spec"], "ipFamilyPolicy");
            }
            let _ = init_ip_families(object);
        }
        drop_fields_of_the_old_type(object, old);
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let early = init_ip_families(&mut object.clone());
        if early.is_empty() { service_validation::service(object) } else { early }
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return service_validation::status(object);
        }
        let early = init_ip_families(&mut object.clone());
        if early.is_empty() { service_validation::update(object, old) } else { early }
    }

    fn warnings(&self, _cx: &WriteContext<'_>, object: &Value, _old: Option<&Value>) -> Vec<String> {
        service_validation::warnings(object)
    }

    fn allocate(
        &self,
        cx: &WriteContext<'_>,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<Vec<SideEffect>, Status> {
        if cx.subresource.is_empty() { service_allocation::allocate(cx, object, old) } else { Ok(Vec::new()) }
    }

    fn release(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<SideEffect> {
        service_allocation::release(object)
    }

    fn selectable_fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        let spec = spec(object);
        vec![("spec.clusterIP", str_at(spec, "clusterIP").into()), ("spec.type", str_at(spec, "type").into())]
    }
}

fn default_session_affinity(spec: &mut Value) {
    if str_at(spec, "sessionAffinity") == "None" {
        remove(spec, "sessionAffinityConfig");
        return;
    }
    if str_at(spec, "sessionAffinity") == "ClientIP"
        && !has(&spec["sessionAffinityConfig"]["clientIP"], "timeoutSeconds")
    {
        set(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10800}}));
    }
}

fn default_port(port: &mut Value) {
    set_default(port, "protocol", "TCP");
    let unset = match &port["targetPort"] {
        Value::Null => true,
        Value::String(s) => s.is_empty(),
        n => n.as_i64() == Some(0),
    };
    if unset {
        let number = int_at(port, "port").unwrap_or_default();
        set(port, "targetPort", number);
    }
}

fn default_traffic(object: &mut Value) {
    let external = is_externally_accessible(object);
    let internal = needs_cluster_ip(object);
    let spec = &mut object["spec"];
    if external && str_at(spec, "externalTrafficPolicy").is_empty() {
        set(spec, "externalTrafficPolicy", "Cluster");
    }
    if internal {
        set_default(spec, "internalTrafficPolicy", "Cluster");
    }
    if str_at(spec, "type") != "LoadBalancer" {
        return;
    }
    set_default(spec, "allocateLoadBalancerNodePorts", true);
    let Some(balancer) = path_mut(object, &["status", "loadBalancer"]) else { return };
    for ingress in list_mut(balancer, "ingress") {
        if !is_empty_at(ingress, "ip") {
            set_default(ingress, "ipMode", "VIP");
        }
    }
}

/// Fills in what a client leaves out because the server chose it (`patchAllocatedValues`).
fn keep_allocated(object: &mut Value, old: &Value) {
    if needs_cluster_ip(old) && needs_cluster_ip(object) {
        let (spec, before) = (&mut object["spec"], spec(old));
        if str_at(spec, "clusterIP").is_empty() {
            copy(before, spec, "clusterIP");
        }
        if list_at(spec, "clusterIPs").is_empty() && spec["clusterIP"] == before["clusterIP"] {
            copy(before, spec, "clusterIPs");
        }
    }
    if needs_node_port(old) && needs_node_port(object) {
        keep_node_ports(object, old);
    }
    if needs_health_check_port(old)
        && needs_health_check_port(object)
        && int_at(spec(object), "healthCheckNodePort").unwrap_or_default() == 0
    {
        copy(spec(old), &mut object["spec"], "healthCheckNodePort");
    }
}

fn keep_node_ports(object: &mut Value, old: &Value) {
    let node_ports = |service: &Value| -> Vec<i64> {
        list_at(spec(service), "ports").iter().filter_map(|p| int_at(p, "nodePort")).collect()
    };
    let new = node_ports(object);
    let mut used: Vec<i64> = node_ports(old).into_iter().filter(|p| new.contains(p)).collect();
    for port in list_mut(&mut object["spec"], "ports") {
        if int_at(port, "nodePort").unwrap_or_default() != 0 {
            continue;
        }
        let twin = list_at(spec(old), "ports").iter().rfind(|p| str_at(p, "name") == str_at(port, "name"));
        let number = twin.and_then(|p| int_at(p, "nodePort")).unwrap_or_default();
        if number != 0 && !used.contains(&number) {
            set(port, "nodePort", number);
            used.push(number);
        }
    }
}

/// Lets the plural follow a change of the singular by a client that knows only that (`normalizeClusterIPs`).
fn sync_cluster_ips(new: &mut Value, old: &Value) {
    let (ip, before) = (str_at(new, "clusterIP").to_owned(), str_at(old, "clusterIP"));
    let same_list = list_at(new, "clusterIPs") == list_at(old, "clusterIPs");
    if ip.is_empty() {
        if !before.is_empty() && same_list {
            remove(new, "clusterIPs");
        }
    } else if (ip != before && same_list) || list_at(new, "clusterIPs").is_empty() {
        set(new, "clusterIPs", json!([ip]));
    }
}

/// Drops the fields of the former type that the client merely carried along (`dropTypeDependentFields`).
fn drop_fields_of_the_old_type(object: &mut Value, old: &Value) {
    if needs_cluster_ip(old) && !needs_cluster_ip(object) {
        if spec(object)["clusterIPs"] == spec(old)["clusterIPs"] || is_empty_at(spec(object), "clusterIPs") {
            drop_same(object, old, &["clusterIP"]);
            remove(&mut object["spec"], "clusterIPs");
        }
        drop_same(object, old, &["ipFamilies", "ipFamilyPolicy"]);
    }
    if needs_node_port(old) && !needs_node_port(object) && same_node_ports(object, old) {
        for port in list_mut(&mut object["spec"], "ports") {
            remove(port, "nodePort");
        }
    }
    if needs_health_check_port(old) && !needs_health_check_port(object) {
        drop_same(object, old, &["healthCheckNodePort"]);
    }
    if str_at(spec(old), "type") == "LoadBalancer" && str_at(spec(object), "type") != "LoadBalancer" {
        drop_same(object, old, &["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
    }
    if is_externally_accessible(old) && !is_externally_accessible(object) {
        drop_same(object, old, &["externalTrafficPolicy"]);
    }
    if needs_cluster_ip(old) && !needs_cluster_ip(object) {
        drop_same(object, old, &["internalTrafficPolicy"]);
    }
}

fn drop_same(object: &mut Value, old: &Value, names: &[&str]) {
    for name in names {
        if spec(object)[*name] == spec(old)[*name] {
            remove(&mut object["spec"], name);
        }
    }
}

fn same_node_ports(new: &Value, old: &Value) -> bool {
    let numbers = |service: &Value| -> Vec<i64> {
        list_at(spec(service), "ports").iter().map(|p| int_at(p, "nodePort").unwrap_or_default()).collect()
    };
    let (new, old) = (numbers(new), numbers(old));
    new.iter().all(|p| *p == 0 || old.contains(p))
}

/// Chooses `ipFamilies` and `ipFamilyPolicy`; errors are those of a cluster with IPv4 alone.
fn init_ip_families(object: &mut Value) -> Vec<FieldError> {
    if !needs_cluster_ip(object) {
        return Vec::new();
    }
    let mut errors = service_validation::cluster_ips(object);
    if !errors.is_empty() {
        return errors;
    }
    let headless_without_selector = is_headless(object) && is_empty_at(spec(object), "selector");
    let spec = &mut object["spec"];
    let mut families: Vec<String> = super::access::strings_at(spec, "ipFamilies").map(str::to_owned).collect();
    for (i, ip) in super::access::strings_at(spec, "clusterIPs").enumerate().filter(|(_, ip)| *ip != "None") {
        if i >= families.len() {
            if ip.contains(':') {
                let path = format!("spec.clusterIPs[{i}]");
                errors.push(FieldError::invalid(
                    path,
                    spec["clusterIPs"].clone(),
                    "IPv6 is not configured on this cluster",
                ));
            } else {
                families.push("IPv4".into());
            }
        }
    }
    if !errors.is_empty() {
        return errors;
    }
    if headless_without_selector {
        set_default(spec, "ipFamilyPolicy", "RequireDualStack");
        if families.is_empty() {
            families.push("IPv4".into());
        }
        if families.len() == 1 && str_at(spec, "ipFamilyPolicy") != "SingleStack" {
            let other = if families[0] == "IPv4" { "IPv6" } else { "IPv4" };
            families.push(other.into());
        }
        set(spec, "ipFamilies", families);
        return errors;
    }
    if !has(spec, "ipFamilyPolicy") {
        let two = list_at(spec, "clusterIPs").len() == 2 || families.len() == 2;
        set(spec, "ipFamilyPolicy", if two { "RequireDualStack" } else { "SingleStack" });
    }
    if str_at(spec, "ipFamilyPolicy") == "RequireDualStack" {
        let detail = "this cluster is not configured for dual-stack services";
        errors.push(FieldError::invalid("spec.ipFamilyPolicy", "RequireDualStack", detail));
    }
    for (i, family) in families.iter().enumerate().filter(|(_, f)| *f != "IPv4") {
        let path = format!("spec.ipFamilies[{i}]");
        errors.push(FieldError::invalid(path, family.as_str(), "not configured on this cluster"));
    }
    if families.is_empty() {
        families.push("IPv4".into());
    }
    set(spec, "ipFamilies", families);
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaulted(spec: &Value) -> Value {
        let mut service = json!({"metadata": {"name": "a"}, "spec": spec});
        ServiceStrategy.default(&mut service);
        service
    }

    #[test]
    fn defaults_follow_the_type_and_are_idempotent() {
        let mut service =
            defaulted(&json!({"type": "LoadBalancer", "ports": [{"port": 80}], "sessionAffinity": "ClientIP"}));
        let expected = json!({
            "type": "LoadBalancer",
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
            "externalTrafficPolicy": "Cluster",
            "internalTrafficPolicy": "Cluster",
            "allocateLoadBalancerNodePorts": true,
        });
        assert_eq!(service["spec"], expected);
        ServiceStrategy.default(&mut service);
        assert_eq!(service["spec"], expected);
    }

    #[test]
    fn an_external_name_has_no_ip_fields() {
        let service = defaulted(&json!({"type": "ExternalName", "externalName": "a.b"}));
        assert_eq!(service["spec"], json!({"type": "ExternalName", "externalName": "a.b", "sessionAffinity": "None"}));
    }

    #[test]
    fn a_headless_service_without_selector_claims_both_families() {
        let mut service = defaulted(&json!({"clusterIP": "None", "clusterIPs": ["None"]}));
        assert!(init_ip_families(&mut service).is_empty());
        assert_eq!(service["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
        assert_eq!(service["spec"]["ipFamilyPolicy"], "RequireDualStack");
    }

    #[test]
    fn dual_stack_cannot_be_required_of_a_single_stack_cluster() {
        let mut service = defaulted(&json!({"ports": [{"port": 1}], "ipFamilyPolicy": "RequireDualStack"}));
        assert_eq!(
            init_ip_families(&mut service)[0].to_string(),
            "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services"
        );
    }
}
