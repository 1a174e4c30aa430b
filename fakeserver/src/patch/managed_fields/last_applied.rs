//! The annotation of client-side apply, which server-side apply by `kubectl` honours and keeps up to date.
//!
//! Counterpart: apimachinery `managedfields/internal/{lastapplied,lastappliedmanager,lastappliedupdater}.go`.

use crate::patch::apply::{Conflict, Duplicates, Schema, Set, compare, field_set, validate};
use rehearsal_apimachinery::field::go_json;
use rehearsal_apimachinery::{ObjectMeta, ObjectMetaMut};
use serde_json::Value;

/// The only manager that honours the annotation.
pub(super) const KUBECTL: &str = "kubectl";

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Total size of keys and values of annotations that validation lets pass (bytes).
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// The configuration that client-side apply left behind.
pub(super) fn read(live: &Value) -> Option<Value> {
    serde_json::from_str(live.annotation(LAST_APPLIED).filter(|text| !text.is_empty())?).ok()
}

/// The conflicts that remain: a field which still holds what client-side apply put there is `kubectl`'s own. `None`
/// when the annotation cannot be used.
pub(super) fn remaining<'c>(
    schema: &Schema<'_>,
    live: &Value,
    last_applied: &Value,
    api_version: &str,
    conflicts: &[Conflict<'c>],
) -> Option<Vec<Conflict<'c>>> {
    if last_applied.get("apiVersion").and_then(Value::as_str) != Some(api_version) {
        return None;
    }
    let ty = schema.ty();
    validate(last_applied, ty, Duplicates::Refused).ok()?;
    let change = compare(last_applied, live, ty);
    let mut own: Set<'_> = field_set(last_applied, ty);
    for differing in [&change.modified, &change.added, &change.removed] {
        own = own.difference(differing);
    }
    Some(conflicts.iter().filter(|c| !own.has(&c.path)).cloned().collect())
}

/// Brings the annotation up to date where the object has one.
pub(super) fn write(object: &mut Value, applied: &Value) {
    if object.annotation(LAST_APPLIED).is_none_or(str::is_empty) {
        return;
    }
    let mut applied = applied.clone();
    if let Some(Value::Object(annotations)) = applied.pointer_mut("/metadata/annotations") {
        annotations.remove(LAST_APPLIED);
    }
    object.set_annotation(LAST_APPLIED, &format!("{}\n", go_json(&applied)));
    let size = |(k, v): (&String, &Value)| k.len() + v.as_str().map_or(0, str::len);
    let too_large = object.annotations().map_or(0, |a| a.iter().map(size).sum()) > MAX_ANNOTATIONS;
    if let (true, Some(Value::Object(annotations))) = (too_large, object.pointer_mut("/metadata/annotations")) {
        annotations.remove(LAST_APPLIED);
    }
}
