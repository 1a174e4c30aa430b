//! Rows of the core group's own types: namespaces, nodes, config maps, secrets, quotas.

use super::cells::{NONE, UNKNOWN, condition, created, flag, list, name, or, scalar, size, text, text_or};
use jiff::Timestamp;
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text(object, "/status/phase").into(), created(object, now)]
}

pub(super) fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), (size(object, "/data") + size(object, "/binaryData")).into(), created(object, now)]
}

pub(super) fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text(object, "/type").into(), size(object, "/data").into(), created(object, now)]
}

pub(super) fn name_and_age(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), created(object, now)]
}

pub(super) fn component_status(object: &Value) -> Vec<Value> {
    let healthy = condition(object, "/conditions", "Healthy");
    let of = |pointer| healthy.map_or("", |c| text(c, pointer));
    let status = match healthy {
        None => "Unknown",
        Some(c) if text(c, "/status") == "True" => "Healthy",
        Some(_) => "Unhealthy",
    };
    vec![name(object), status.into(), of("/message").into(), of("/error").into()]
}

pub(super) fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut status = match condition(object, "/status/conditions", "Ready") {
        None => "Unknown",
        Some(c) if text(c, "/status") == "True" => "Ready",
        Some(_) => "NotReady",
    }
    .to_owned();
    if flag(object, "/spec/unschedulable") {
        status.push_str(",SchedulingDisabled");
    }
    let address = |kind| {
        let addresses = list(object, "/status/addresses").iter();
        addresses.filter(|a| text(a, "/type") == kind).map(|a| text(a, "/address")).next().unwrap_or(NONE)
    };
    vec![
        name(object),
        status.into(),
        roles(object).into(),
        created(object, now),
        text(object, "/status/nodeInfo/kubeletVersion").into(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        text_or(object, "/status/nodeInfo/osImage", UNKNOWN).into(),
        text_or(object, "/status/nodeInfo/kernelVersion", UNKNOWN).into(),
        text_or(object, "/status/nodeInfo/containerRuntimeVersion", UNKNOWN).into(),
    ]
}

/// The roles that labels give a node, sorted.
fn roles(node: &Value) -> String {
    let mut roles = BTreeSet::new();
    for (label, value) in node.labels().into_iter().flatten() {
        match label.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => roles.insert(role),
            None if label == "kubernetes.io/role" => roles.insert(value.as_str().unwrap_or_default()),
            None => false,
        };
    }
    roles.remove("");
    let text = roles.into_iter().collect::<Vec<_>>().join(",");
    or(&text, NONE).to_owned()
}

/// Requests and limits apart, each `name: used/hard`.
pub(super) fn resource_quota(object: &Value, now: Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    let used = object.pointer("/status/used").cloned().unwrap_or_default();
    let hard = object.pointer("/status/hard").and_then(Value::as_object);
    for (resource, hard) in hard.into_iter().flatten() {
        let used = used.get(resource).map_or_else(|| "0".to_owned(), |q| scalar(q, "", "0"));
        let entry = format!("{resource}: {used}/{}", scalar(hard, "", "0"));
        if resource.starts_with("limits.") { limits.push(entry) } else { requests.push(entry) }
    }
    vec![name(object), requests.join(", ").into(), limits.join(", ").into(), created(object, now)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    #[test]
    fn a_node_without_status_is_unknown() {
        let object = json!({"metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": "",
            "kubernetes.io/role": "a"}}, "spec": {"unschedulable": true}});
        let cells = node(&object, now());
        assert_eq!(cells[1..3], [json!("Unknown,SchedulingDisabled"), json!("a,worker")]);
        assert_eq!(
            cells[4..],
            [json!(""), json!("<none>"), json!("<none>"), json!("<unknown>"), json!("<unknown>"), json!("<unknown>")]
        );
    }

    #[test]
    fn quotas_separate_limits_from_requests() {
        let object = json!({"metadata": {"name": "q"}, "status": {
            "hard": {"limits.cpu": "2", "pods": "10", "requests.cpu": "1"}, "used": {"pods": "3"}}});
        assert_eq!(
            resource_quota(&object, now())[1..3],
            [json!("pods: 3/10, requests.cpu: 0/1"), json!("limits.cpu: 0/2")]
        );
    }

    #[test]
    fn binary_data_counts_as_data() {
        let object = json!({"metadata": {"name": "c"}, "data": {"a": ""}, "binaryData": {"b": "", "c": ""}});
        assert_eq!(config_map(&object, now())[1], json!(3));
    }
}
