//! The `ephemeralcontainers` subresource of Pods.
//!
//! Counterpart: `dropNonEphemeralContainerUpdates`, `ValidatePodEphemeralContainersUpdate`.

use super::annotations::{MIRROR, pod_annotation_updates};
use super::pod_metadata_and_spec;
use crate::strategies::access::{copy, has, list_at, object_mut, semantic_eq, str_at};
use crate::strategies::diff;
use crate::strategies::rules::Errors;
use rehearsal_apimachinery::field::{FieldError, Path, go_quote};
use serde_json::Value;

/// Takes the old Pod and only the ephemeral containers and the resourceVersion of the new one.
pub(crate) fn keep_only(pod: &mut Value, old: &Value) {
    let mut kept = old.clone();
    if let (Some(spec), Some(meta)) = (kept.get_mut("spec"), pod.get("metadata")) {
        copy(&pod["spec"], spec, "ephemeralContainers");
        let meta = meta.clone();
        if let Some(kept) = kept.get_mut("metadata").and_then(object_mut) {
            for name in ["resourceVersion", "managedFields"] {
                match meta.get(name) {
                    Some(value) => kept.insert(name.to_owned(), value.clone()),
                    None => kept.remove(name),
                };
            }
        }
    }
    *pod = kept;
}

/// Validates the addition of ephemeral containers, metadata rules aside.
pub(crate) fn ephemeral_update(pod: &Value, old: &Value) -> Errors {
    if has(&old["metadata"]["annotations"], MIRROR) {
        return vec![FieldError::forbidden(Path::root(), "static pods do not support ephemeral containers")];
    }
    let mut errors = Errors::new();
    pod_metadata_and_spec(pod, &mut errors);
    pod_annotation_updates(pod, old, &Path::new("metadata").child("annotations"), &mut errors);
    let path = Path::new("spec").child("ephemeralContainers");
    let now = list_at(&pod["spec"], "ephemeralContainers");
    for container in list_at(&old["spec"], "ephemeralContainers") {
        let name = str_at(container, "name");
        let quoted = go_quote(name);
        match now.iter().find(|container| str_at(container, "name") == name) {
            None => {
                let text = format!("existing ephemeral containers {quoted} may not be removed\n");
                errors.push(FieldError::forbidden(&path, text));
            }
            Some(changed) if !semantic_eq(changed, container) => {
                let diff = diff::unified(container, changed);
                let text = format!("existing ephemeral containers {quoted} may not be changed\n{diff}");
                errors.push(FieldError::forbidden(&path, text));
            }
            Some(_) => {}
        }
    }
    errors
}
