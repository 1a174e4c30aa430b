//! Namespace: its name label, its phase, and the finalizers in `spec` that only `/finalize` may change.
//!
//! Counterpart: `registry/core/namespace`. Termination itself is the registry's and the namespace controller's work.

use super::access::{copy, ensure_list, set, spec, str_at, strings_at};
use super::checks::qualified_name;
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::meta::{ObjectMeta, ObjectMetaMut};
use serde_json::{Value, json};

/// Label that repeats the name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Finalizer of the namespace controller.
const FINALIZER: &str = "kubernetes";

/// Hooks of Namespace.
#[derive(Clone, Copy, Debug)]
pub struct NamespaceStrategy;

impl Strategy for NamespaceStrategy {
    fn default(&self, object: &mut Value) {
        let name = object.name().to_owned();
        if !name.is_empty() && object.label(NAME_LABEL) != Some(&name) {
            object.set_label(NAME_LABEL, &name);
        }
    }

    fn prepare_create(&self, _cx: &WriteContext<'_>, object: &mut Value) {
        self.default(object);
        set(object, "status", json!({"phase": "Active"}));
        if let Some(list) = ensure_list(&mut object["spec"], "finalizers")
            && !list.iter().any(|f| f == FINALIZER)
        {
            list.push(FINALIZER.into());
        }
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        match cx.subresource {
            "status" => copy(old, object, "spec"),
            "finalize" => copy(old, object, "status"),
            _ => {
                copy(old, object, "spec");
                copy(old, object, "status");
            }
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        finalizers(object)
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        match cx.subresource {
            "finalize" => finalizers(object),
            "status" => phase(object),
            _ => Vec::new(),
        }
    }

    fn selectable_fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("status.phase", str_at(&object["status"], "phase").into())]
    }
}

fn finalizers(object: &Value) -> Vec<FieldError> {
    let path = Path::new("spec").child("finalizers");
    let mut errors = Vec::new();
    for name in strings_at(spec(object), "finalizers") {
        errors.extend(finalizer_name(&path, name));
    }
    errors
}

fn finalizer_name(path: &Path, name: &str) -> Vec<FieldError> {
    let mut errors = qualified_name(path, name);
    if !name.contains('/') && !matches!(name, FINALIZER | "orphan" | "foregroundDeletion") {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(FieldError::invalid(path, name, detail));
    }
    errors
}

fn phase(object: &Value) -> Vec<FieldError> {
    let phase = str_at(&object["status"], "phase");
    let (wanted, word) = if object.is_deleting() { ("Terminating", "not empty") } else { ("Active", "empty") };
    if phase == wanted {
        return Vec::new();
    }
    let detail = format!("may only be '{wanted}' if `deletionTimestamp` is {word}");
    vec![FieldError::invalid("status.Phase", phase, detail)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_label_cannot_lie() {
        let mut object = json!({"metadata": {"name": "a", "labels": {NAME_LABEL: "liar", "x": "y"}}});
        NamespaceStrategy.default(&mut object);
        assert_eq!(object["metadata"]["labels"], json!({NAME_LABEL: "a", "x": "y"}));
    }

    #[test]
    fn a_live_namespace_is_active() {
        let errors = phase(&json!({"status": {"phase": "Terminating"}}));
        assert_eq!(
            errors[0].to_string(),
            "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"
        );
    }
}
