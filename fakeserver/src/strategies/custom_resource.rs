//! Custom resources: warnings about their finalizers. All else is compiled from their CRD.
//!
//! Counterpart: apiextensions-apiserver `registry/customresource/strategy.go`.

use super::{Strategy, WriteContext};
use rehearsal_apimachinery::ObjectMeta;
use serde_json::Value;

/// Hooks of all custom resources.
#[derive(Debug)]
pub struct CustomResource;

impl Strategy for CustomResource {
    fn warnings(&self, cx: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        if !cx.subresource.is_empty() {
            return Vec::new();
        }
        let known = old.map(ObjectMeta::finalizers).unwrap_or_default();
        let mut new: Vec<&str> = object.finalizers().into_iter().filter(|f| !known.contains(f)).collect();
        new.sort_unstable();
        new.dedup();
        let standard = ["kubernetes", "orphan", "foregroundDeletion"];
        let bare = new.into_iter().filter(|f| !f.contains('/') && !standard.contains(f));
        let text =
            "prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers";
        bare.map(|f| format!("metadata.finalizers: {f:?}: {text}")).collect()
    }
}
