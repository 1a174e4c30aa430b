//! Binding a Pod to a node: the change that `pods/binding` makes.
//!
//! Counterpart: `registry/core/pod/storage.BindingREST` (`assignPod`, `setPodNodeAndMetadata`) and
//! `ValidatePodBinding`. Reading and writing the Pod is the caller's business.

use super::access::{ensure_list, ensure_path, entries_at, has, list_at, set, set_default, str_at};
use jiff::Timestamp;
use rehearsal_apimachinery::field::FieldError;
use rehearsal_apimachinery::gvk::GroupResource;
use rehearsal_apimachinery::status::Status;
use serde_json::{Value, json};

/// Assigns `pod` to the binding's target: node name, condition `PodScheduled`, annotations and labels of the
/// binding.
///
/// # Errors
/// 400 when the binding names another Pod, 409 when the Pod is bound, being deleted or behind scheduling gates, 500
/// when the target is none.
pub fn apply_binding(pod: &mut Value, binding: &Value, now: Timestamp) -> Result<(), Status> {
    let name = str_at(&pod["metadata"], "name").to_owned();
    let bound = str_at(&binding["metadata"], "name");
    if !bound.is_empty() && bound != name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    let target = valid_target(binding).map_err(Status::bare500)?.to_owned();
    if let Some(why) = not_bindable(pod, &name) {
        return Err(Status::conflict(&GroupResource::new("", "pods/binding"), &name, why));
    }
    if let Some(spec) = ensure_path(pod, &["spec"]) {
        set(spec, "nodeName", target);
    }
    for member in ["annotations", "labels"] {
        for (key, value) in entries_at(&binding["metadata"], member) {
            if let Some(notes) = ensure_path(pod, &["metadata", member]) {
                set(notes, key, value.clone());
            }
        }
    }
    scheduled(pod, now);
    Ok(())
}

/// The node's name, or the errors as one text.
fn valid_target(binding: &Value) -> Result<&str, String> {
    let target = &binding["target"];
    let (kind, node) = (str_at(target, "kind"), str_at(target, "name"));
    let mut errors = Vec::new();
    if !matches!(kind, "" | "Node") {
        errors.push(FieldError::not_supported("target.kind", kind, &["Node", "<empty>"]));
    }
    if node.is_empty() {
        errors.push(FieldError::required("target.name", ""));
    }
    if errors.is_empty() { Ok(node) } else { Err(rehearsal_apimachinery::field::aggregate(&errors)) }
}

fn not_bindable(pod: &Value, name: &str) -> Option<String> {
    let node = str_at(&pod["spec"], "nodeName");
    if has(&pod["metadata"], "deletionTimestamp") {
        Some(format!("pod {name} is being deleted, cannot be assigned to a host"))
    } else if !node.is_empty() {
        Some(format!("pod {name} is already assigned to node {node:?}"))
    } else if !list_at(&pod["spec"], "schedulingGates").is_empty() {
        Some(format!("pod {name} has non-empty .spec.schedulingGates"))
    } else {
        None
    }
}

/// Sets condition `PodScheduled` to True.
fn scheduled(pod: &mut Value, now: Timestamp) {
    let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let Some(conditions) = ensure_path(pod, &["status"]).and_then(|status| ensure_list(status, "conditions")) else {
        return;
    };
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": time,
    });
    match conditions.iter_mut().find(|condition| condition["type"] == "PodScheduled") {
        Some(old) if old["status"] == "True" => set_default(old, "lastTransitionTime", time),
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(node: &str) -> Value {
        json!({"metadata": {"name": "a", "annotations": {"x": "y"}, "labels": {"zone": "z"}}, "target": {"kind": "Node", "name": node}})
    }

    #[test]
    fn a_pod_is_bound_once() {
        let mut pod = json!({"metadata": {"name": "a"}, "spec": {}});
        apply_binding(&mut pod, &binding("n1"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(pod["spec"]["nodeName"], "n1");
        assert_eq!(pod["metadata"]["annotations"], json!({"x": "y"}));
        assert_eq!(pod["metadata"]["labels"], json!({"zone": "z"}));
        assert_eq!(pod["status"]["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:00Z");
        let again = apply_binding(&mut pod, &binding("n2"), Timestamp::UNIX_EPOCH).unwrap_err();
        let want = r#"Operation cannot be fulfilled on pods/binding "a": pod a is already assigned to node "n1""#;
        assert_eq!((again.code, again.message.as_str()), (409, want));
        assert_eq!(again.details.unwrap().kind, "pods/binding");
    }

    #[test]
    fn a_binding_needs_a_target_and_the_right_name() {
        let mut pod = json!({"metadata": {"name": "a"}});
        let none = apply_binding(&mut pod, &json!({"metadata": {"name": "a"}}), Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!((none.code, none.message.as_str()), (500, "target.name: Required value"));
        let other = apply_binding(&mut pod, &json!({"metadata": {"name": "b"}}), Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(other.code, 400);
    }
}
