//! Writes that change nothing but the times of entries.
//!
//! Counterpart: apiserver `handlers/fieldmanager/equality.go`.

use super::{list, managed_fields, set_managed_fields};
use serde_json::Value;

/// Takes new times back where nothing else has changed, so that a write without effect stores nothing. Says whether
/// the objects are now equal altogether.
///
/// To be called on the final object of a PUT or patch, with everything the strategy restores from the stored object in
/// place (`uid`, `creationTimestamp`, `resourceVersion`), right before validating admission. Counterpart:
/// `fieldmanager.IgnoreManagedFieldsTimestampsTransformer`.
pub fn keep_times_if_unchanged(live: &Value, new: &mut Value) -> bool {
    let (before, after) = (managed_fields(live), managed_fields(new));
    if before == after {
        return live == new;
    }
    let (before, after) = (list(before), list(after));
    let same_sets = !after.is_empty()
        && before.len() == after.len()
        && before.iter().zip(after).all(|(a, b)| without_time(a) == without_time(b));
    if same_sets && same_but_managed_fields(live, new) {
        set_managed_fields(new, before.to_vec());
        return true;
    }
    false
}

fn without_time(entry: &Value) -> Vec<(&String, &Value)> {
    entry.as_object().into_iter().flatten().filter(|(k, _)| *k != "time").collect()
}

/// Whether two objects are equal but for `metadata.managedFields`.
pub(super) fn same_but_managed_fields(a: &Value, b: &Value) -> bool {
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return a == b };
    let rest = |m: &Value| m.as_object().map(|m| m.iter().filter(|(k, _)| *k != "managedFields").count());
    let same_meta = |a: &Value, b: &Value| match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            rest(a) == rest(b) && x.iter().all(|(k, v)| k == "managedFields" || y.get(k) == Some(v))
        }
        _ => a == b,
    };
    a.len() == b.len()
        && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| if k == "metadata" { same_meta(v, w) } else { v == w }))
}
