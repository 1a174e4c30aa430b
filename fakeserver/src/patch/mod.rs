//! Patches: how a request body and a stored object become the next object.
//!
//! Counterparts: apiserver `endpoints/handlers/patch.go`, `evanphx/json-patch`, apimachinery `strategicpatch` and
//! `util/managedfields`, `sigs.k8s.io/structured-merge-diff`. Each `apply` of a patch type returns the strict findings
//! about the patch itself; whether the result fits its type is decided by the caller.

mod print;
mod read;

pub mod apply;
pub mod json;
pub mod managed_fields;
pub mod merge;
pub mod strategic;

pub use print::go_print;

/// How deep a document is nested: 0 for a scalar, 1 for a list of scalars.
pub(crate) fn depth_of(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}
