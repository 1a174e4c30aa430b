//! The `resize` subresource of Pods: cpu and memory of containers.
//!
//! Counterpart: `dropNonResizeUpdates`, `ValidatePodResize`.

use super::annotations::MIRROR;
use super::{is_sidecar, pod_metadata_and_spec};
use crate::strategies::access::{copy, has, is_empty_at, list_at, list_mut, object_mut, semantic_eq, set, str_at};
use crate::strategies::pod_qos::{compute_qos, qos_of};
use crate::strategies::rules::Errors;
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::{Value, json};

const LISTS: [&str; 2] = ["containers", "initContainers"];

/// Takes the old Pod and only resources and resize policies of the new one's containers. A Pod with other containers
/// is left as it is: validation refuses it.
pub(crate) fn keep_only(pod: &mut Value, old: &Value) {
    let names = |pod: &Value, list| -> Vec<String> {
        list_at(&pod["spec"], list).iter().map(|c| str_at(c, "name").to_owned()).collect()
    };
    if LISTS.iter().any(|list| names(pod, list).len() != names(old, list).len()) {
        return;
    }
    let mut kept = old.clone();
    for list in LISTS.into_iter().filter(|list| names(pod, list) == names(old, list)) {
        let Some(spec) = kept.get_mut("spec") else { return };
        for (container, new) in list_mut(spec, list).iter_mut().zip(list_at(&pod["spec"], list)) {
            copy(new, container, "resources");
            copy(new, container, "resizePolicy");
        }
    }
    for list in LISTS.into_iter().filter(|list| names(pod, list) != names(old, list)) {
        if let Some(spec) = kept.get_mut("spec") {
            copy(&pod["spec"], spec, list);
        }
    }
    if let Some(meta) = kept.get_mut("metadata").and_then(object_mut) {
        for name in ["resourceVersion", "managedFields"] {
            match pod["metadata"].get(name) {
                Some(value) => meta.insert(name.to_owned(), value.clone()),
                None => meta.remove(name),
            };
        }
    }
    *pod = kept;
}

/// Validates a resize, metadata rules aside.
pub(crate) fn resize(pod: &Value, old: &Value) -> Errors {
    if let Some(text) = not_resizable(pod, old) {
        return vec![FieldError::forbidden(Path::root(), text)];
    }
    let mut errors = Errors::new();
    let path = Path::new("spec");
    pod_metadata_and_spec(pod, &mut errors);
    let (new, old_spec) = (&pod["spec"], &old["spec"]);
    if LISTS.iter().any(|list| list_at(new, list).len() != list_at(old_spec, list).len()) {
        errors.push(FieldError::forbidden(&path, "containers may not be added or removed on resize"));
        return errors;
    }
    if qos_of(old) != compute_qos(pod) {
        let shown = str_at(&pod["status"], "qosClass");
        errors.push(FieldError::invalid(&path, shown, "Pod QOS Class may not change as a result of resizing"));
    }
    let running = list_at(&old["status"], "containerStatuses").iter().find(|status| has(&status["state"], "running"));
    if running.is_some_and(|status| !has(status, "resources")) {
        errors.push(FieldError::forbidden(&path, "Pod running on node without support for resize"));
    }
    for list in ["initContainers", "containers"] {
        for (i, (now, was)) in list_at(new, list).iter().zip(list_at(old_spec, list)).enumerate() {
            if list == "containers" || is_sidecar(was) {
                nothing_removed(now, was, &path.child(list).index(i).child("resources"), &mut errors);
            }
        }
    }
    for list in LISTS {
        for (now, was) in list_at(new, list).iter().zip(list_at(old_spec, list)) {
            only_cpu_and_memory(now, was, list, &path, &mut errors);
        }
    }
    errors
}

/// Why a Pod cannot be resized at all.
fn not_resizable(pod: &Value, old: &Value) -> Option<&'static str> {
    let pod_level = |pod: &Value| {
        let resources = &pod["spec"]["resources"];
        !is_empty_at(resources, "requests") || !is_empty_at(resources, "limits")
    };
    if pod_level(pod) || pod_level(old) {
        Some("pods with pod-level resources cannot be resized")
    } else if has(&old["metadata"]["annotations"], MIRROR) {
        Some("static pods cannot be resized")
    } else if str_at(&old["spec"]["os"], "name") == "windows" {
        Some("windows pods cannot be resized")
    } else {
        None
    }
}

fn nothing_removed(now: &Value, was: &Value, path: &Path, errors: &mut Errors) {
    for (list, text) in
        [("requests", "resource requests cannot be removed"), ("limits", "resource limits cannot be removed")]
    {
        let (now, was) = (&now["resources"][list], &was["resources"][list]);
        if was.as_object().into_iter().flatten().any(|(name, _)| now.get(name).is_none()) {
            errors.push(FieldError::forbidden(path.child(list), text));
        }
    }
}

fn only_cpu_and_memory(now: &Value, was: &Value, list: &str, path: &Path, errors: &mut Errors) {
    let text = match (list, is_sidecar(now)) {
        ("containers", _) => "only cpu and memory resources are mutable",
        (_, true) => "only cpu and memory resources for sidecar containers are mutable",
        (_, false) => "resources for non-sidecar init containers are immutable",
    };
    let mut munged = now.clone();
    if list == "containers" || is_sidecar(now) {
        set(&mut munged, "resources", with_cpu_and_memory_of(&now["resources"], &was["resources"]));
        copy(was, &mut munged, "resizePolicy");
    }
    if !semantic_eq(&munged, was) {
        errors.push(FieldError::forbidden(path, text));
    }
}

/// The resources with cpu and memory as they were.
fn with_cpu_and_memory_of(now: &Value, was: &Value) -> Value {
    let mut munged = now.clone();
    for list in ["limits", "requests"] {
        let mut amounts = if now[list].is_null() { json!({}) } else { now[list].clone() };
        for name in ["cpu", "memory"] {
            copy(&was[list], &mut amounts, name);
        }
        set(&mut munged, list, amounts);
    }
    munged
}
