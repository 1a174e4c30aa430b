//! Pods. The rules of the spec are in `pod_spec`; here is what makes a Pod more than its spec: status, QoS,
//! subresources, selectable fields.
//!
//! Counterpart: `registry/core/pod/strategy.go`. Generation is the registry's business: 1 at first, +1 on a changed
//! spec and on graceful delete, not on binding or status.

use super::access::{bool_at, copy, ensure_list, ensure_path, entries_at, has, list_at, list_mut, set, str_at};
use super::pod_qos::compute_qos;
use super::pod_spec::{defaults, ephemeral, resize, status, update, warnings};
use super::rules::Errors;
use super::templated::name_warning;
use super::{Strategy, WriteContext, pod_spec};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::{Value, json};

/// The strategy of `pods`.
pub struct PodStrategy;

impl Strategy for PodStrategy {
    fn default(&self, object: &mut Value) {
        defaults::pod(object);
        status::mirror_pod_ip(object);
    }

    fn prepare_create(&self, _: &WriteContext<'_>, object: &mut Value) {
        set(object, "status", json!({"phase": "Pending", "qosClass": compute_qos(object)}));
        gate(object);
        merge_label_keys(object);
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        match cx.subresource {
            "status" => prepare_status(object, old),
            "ephemeralcontainers" => ephemeral::keep_only(object, old),
            "resize" => resize::keep_only(object, old),
            _ => copy(old, object, "status"),
        }
    }

    fn validate_create(&self, _: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (spec, path) = (&object["spec"], Path::new("spec"));
        pod_spec::pod_metadata_and_spec(object, &mut errors);
        if !list_at(spec, "ephemeralContainers").is_empty() {
            errors.push(FieldError::forbidden(path.child("ephemeralContainers"), "cannot be set on create"));
        }
        if !str_at(spec, "nodeName").is_empty() && !list_at(spec, "schedulingGates").is_empty() {
            let text = "cannot be set until all schedulingGates have been cleared";
            errors.push(FieldError::forbidden(path.child("nodeName"), text));
        }
        pod_spec::annotations_match_fields(object, &mut errors);
        errors
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        match cx.subresource {
            "status" => status::status_update(object, old),
            "ephemeralcontainers" => ephemeral::ephemeral_update(object, old),
            "resize" => resize::resize(object, old),
            _ => update::pod_update(object, old),
        }
    }

    fn warnings(&self, cx: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let settled = old.is_some() && (cx.subresource == "status" || has(&object["metadata"], "deletionTimestamp"));
        if settled {
            return Vec::new();
        }
        let mut out: Vec<String> = name_warning(object, "the Pod's hostname", old).into_iter().collect();
        out.extend(warnings::of_pod_or_template(object, &Path::root()));
        out
    }

    fn selectable_fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let text = |holder: &Value, name: &str| str_at(holder, name).to_owned();
        let ips: Vec<&str> = list_at(status, "podIPs").iter().map(|ip| str_at(ip, "ip")).collect();
        vec![
            ("spec.nodeName", text(spec, "nodeName")),
            ("spec.restartPolicy", text(spec, "restartPolicy")),
            ("spec.schedulerName", text(spec, "schedulerName")),
            ("spec.serviceAccountName", text(spec, "serviceAccountName")),
            ("spec.hostNetwork", bool_at(spec, "hostNetwork").to_string()),
            ("status.phase", text(status, "phase")),
            ("status.podIP", ips.first().map(|ip| (*ip).to_owned()).unwrap_or_else(|| text(status, "podIP"))),
            ("status.podIPs", ips.join(",")),
            ("status.nominatedNodeName", text(status, "nominatedNodeName")),
        ]
    }
}

/// Owners, deletion and QoS are not for status writers; labels and annotations are.
fn prepare_status(object: &mut Value, old: &Value) {
    copy(old, object, "spec");
    if let Some(meta) = object.get_mut("metadata") {
        for name in ["ownerReferences", "deletionTimestamp", "deletionGracePeriodSeconds"] {
            copy(&old["metadata"], meta, name);
        }
    }
    if !has(&object["status"], "qosClass")
        && let Some(status) = ensure_path(object, &["status"])
    {
        copy(&old["status"], status, "qosClass");
    }
}

/// A Pod behind gates says so from the start.
fn gate(object: &mut Value) {
    if list_at(&object["spec"], "schedulingGates").is_empty() {
        return;
    }
    if let Some(conditions) = object.get_mut("status").and_then(|status| ensure_list(status, "conditions")) {
        conditions.push(json!({
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": null,
            "lastTransitionTime": null,
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }));
    }
}

/// Turns `matchLabelKeys` and `mismatchLabelKeys` into requirements with the Pod's own label values.
fn merge_label_keys(object: &mut Value) {
    let labels: Vec<(String, Value)> =
        entries_at(&object["metadata"], "labels").map(|(k, v)| (k.to_owned(), v.clone())).collect();
    let value_of = |key: &str| labels.iter().find(|(label, _)| label == key).map(|(_, value)| value.clone());
    let Some(spec) = object.get_mut("spec") else { return };
    for constraint in list_mut(spec, "topologySpreadConstraints") {
        merge(constraint, "matchLabelKeys", "In", &value_of);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(terms) = spec.pointer_mut(&format!("/affinity/{kind}")) else { continue };
        for term in list_mut(terms, "requiredDuringSchedulingIgnoredDuringExecution") {
            merge_term(term, &value_of);
        }
        for term in list_mut(terms, "preferredDuringSchedulingIgnoredDuringExecution") {
            if let Some(term) = term.get_mut("podAffinityTerm") {
                merge_term(term, &value_of);
            }
        }
    }
}

fn merge_term(term: &mut Value, value_of: &dyn Fn(&str) -> Option<Value>) {
    merge(term, "matchLabelKeys", "In", value_of);
    merge(term, "mismatchLabelKeys", "NotIn", value_of);
}

fn merge(holder: &mut Value, keys: &str, operator: &str, value_of: &dyn Fn(&str) -> Option<Value>) {
    let keys: Vec<String> = list_at(holder, keys).iter().filter_map(|key| key.as_str().map(str::to_owned)).collect();
    let Some(selector) = holder.get_mut("labelSelector").filter(|selector| selector.is_object()) else { return };
    for key in keys {
        if let Some(value) = value_of(&key)
            && let Some(expressions) = ensure_list(selector, "matchExpressions")
        {
            expressions.push(json!({"key": key, "operator": operator, "values": [value]}));
        }
    }
}
