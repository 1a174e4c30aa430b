//! What mutating admission may do to `metadata.managedFields`.
//!
//! Counterpart: apiserver `handlers/fieldmanager/admission.go`.

use super::entries::decode;
use super::{list, managed_fields, set_managed_fields};
use serde_json::Value;

/// Puts the entries from before mutating admission (`before` is the object then) back where admission has left
/// entries that cannot be read. Returns the text of the `Warning` the client then receives.
#[must_use = "the client is warned with this text"]
pub fn restore_if_unreadable(before: &Value, admitted: &mut Value) -> Option<String> {
    let why = decode(list(managed_fields(admitted))).err()?;
    set_managed_fields(admitted, list(managed_fields(before)).to_vec());
    Some(format!(
        ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating \
         admission controller; please fix your requests: {why}"
    ))
}
