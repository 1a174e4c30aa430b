//! The `status` subresource of Pods.
//!
//! Counterpart: `ValidatePodStatusUpdate`, `ValidateContainerStateTransition`, `validatePodIPs`, `validateHostIPs`.

use super::annotations::pod_annotation_updates;
use super::is_sidecar;
use crate::strategies::access::{has, int_at, list_at, str_at};
use crate::strategies::rules::{Errors, complaints, dns_subdomain, immutable_at, qualified_name};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Validates a status write, metadata rules aside.
pub(crate) fn status_update(pod: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let (meta, path) = (Path::new("metadata"), Path::new("status"));
    let (new, was) = (&pod["status"], &old["status"]);
    pod_annotation_updates(pod, old, &meta.child("annotations"), &mut errors);
    for (i, condition) in list_at(new, "conditions").iter().enumerate() {
        let kind = str_at(condition, "type");
        if !matches!(kind, "PodScheduled" | "Ready" | "Initialized") {
            qualified_name(kind, &meta.child("conditions").index(i).child("Type"), &mut errors);
        }
    }
    if pod["spec"]["nodeName"] != old["spec"]["nodeName"] {
        errors.push(FieldError::forbidden(path.child("nodeName"), "may not be changed directly"));
    }
    let nominated = str_at(new, "nominatedNodeName");
    if !nominated.is_empty() && nominated != str_at(was, "nominatedNodeName") {
        dns_subdomain(nominated, &path.child("nominatedNodeName"), &mut errors);
    }
    immutable_at(new, was, &["qosClass"], &path, &mut errors);
    let policy = str_at(&old["spec"], "restartPolicy");
    for (list, policy) in
        [("containerStatuses", policy), ("initContainerStatuses", policy), ("ephemeralContainerStatuses", "Never")]
    {
        transitions(new, old, list, policy, &path.child(list), &mut errors);
    }
    claim_statuses(pod, &path.child("resourceClaimStatuses"), &mut errors);
    addresses(list_at(new, "podIPs"), &path.child("podIPs"), &mut errors);
    host_addresses(new, &path.child("hostIPs"), &mut errors);
    errors
}

/// A container that has ended for good stays ended.
fn transitions(new: &Value, old: &Value, list: &str, policy: &str, path: &Path, errors: &mut Errors) {
    if matches!(policy, "Always" | "") {
        return;
    }
    let restarts = |name: &str| {
        list == "initContainerStatuses"
            && list_at(&old["spec"], "initContainers").iter().any(|c| str_at(c, "name") == name && is_sidecar(c))
    };
    for (i, was) in list_at(&old["status"], list).iter().enumerate() {
        let (ended, name) = (&was["state"]["terminated"], str_at(was, "name"));
        let failed = int_at(ended, "exitCode").unwrap_or_default() != 0;
        if ended.is_null() || failed && policy == "OnFailure" || restarts(name) {
            continue;
        }
        for now in list_at(new, list) {
            if str_at(now, "name") == name && !has(&now["state"], "terminated") {
                let text = "may not be transitioned to non-terminated state";
                errors.push(FieldError::forbidden(path.index(i).child("state"), text));
            }
        }
    }
}

fn claim_statuses(pod: &Value, path: &Path, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    for (i, status) in list_at(&pod["status"], "resourceClaimStatuses").iter().enumerate() {
        let (path, name) = (path.index(i).child("name"), str_at(status, "name"));
        if !list_at(&pod["spec"], "resourceClaims").iter().any(|claim| str_at(claim, "name") == name) {
            let text = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(FieldError::invalid(&path, name, text));
        }
        if !names.insert(name) {
            errors.push(FieldError::duplicate(&path, name));
        }
        if let Some(claim) = status["resourceClaimName"].as_str() {
            complaints(words::is_dns1123_subdomain(claim), &claim.into(), &path, errors);
        }
    }
}

/// At most one address of each family, each once.
fn addresses(addresses: &[Value], path: &Path, errors: &mut Errors) {
    for (i, address) in addresses.iter().enumerate() {
        let ip = str_at(address, "ip");
        complaints(words::is_valid_ip(ip), &ip.into(), &path.index(i), errors);
    }
    if addresses.len() < 2 {
        return;
    }
    let six = addresses.iter().filter(|address| str_at(address, "ip").contains(':')).count();
    if addresses.len() > 2 || six != 1 {
        let shown: Vec<Value> = addresses.iter().map(|address| json!({"IP": str_at(address, "ip")})).collect();
        let text = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid(path, Value::from(shown), text));
    }
    let mut seen = BTreeSet::new();
    for (i, address) in addresses.iter().enumerate() {
        let ip = str_at(address, "ip");
        if !seen.insert(ip) {
            errors.push(FieldError::duplicate(path.index(i), json!({"IP": ip})));
        }
    }
}

fn host_addresses(status: &Value, path: &Path, errors: &mut Errors) {
    let hosts = list_at(status, "hostIPs");
    let Some(first) = hosts.first() else { return };
    if str_at(first, "ip") != str_at(status, "hostIP") {
        let text = "must be equal to `hostIP`";
        errors.push(FieldError::invalid(path.index(0).child("ip"), str_at(first, "ip"), text));
    }
    addresses(hosts, path, errors);
}

/// Keeps the first of `podIPs` and `podIP` the same, as the conversion between versions does.
pub(crate) fn mirror_pod_ip(pod: &mut Value) {
    let Some(status) = pod.get_mut("status").filter(|status| status.is_object()) else { return };
    let first = list_at(status, "podIPs").first().map(|ip| str_at(ip, "ip").to_owned());
    let single = str_at(status, "podIP").to_owned();
    match first {
        Some(first) if single.is_empty() => crate::strategies::access::set(status, "podIP", first),
        Some(first) if first == single => {}
        _ if single.is_empty() => {}
        _ => crate::strategies::access::set(status, "podIPs", json!([{"ip": single}])),
    }
}
