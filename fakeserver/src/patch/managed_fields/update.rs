//! Ownership after every write that is not an apply.
//!
//! Counterpart: apimachinery `managedfields/internal/{fieldmanager,skipnonapplied,managedfieldsupdater}.go`.

use super::entries::{cap_updaters, decode, encode};
use super::{Manager, UNTRACKED, empty, list, managed_fields, paths, set_managed_fields, updater};
use crate::patch::apply::{Duplicates, Managers, Operation, Schema, Updater, validate};
use rehearsal_apimachinery::{ObjectMeta, ObjectMetaMut};
use serde_json::Value;
use std::borrow::Cow;

/// Sets `new.metadata.managedFields` for a POST (`live` is `None`), PUT, JSON, merge or strategic patch.
///
/// What differs between the two objects becomes the manager's; fields that changed or went leave everybody else's
/// sets. `new` must have been decoded and defaulted, and must still hold `managedFields` as the client sent it, for a
/// client may edit it: `[]` and `[{}]` stop the tracking until the next apply, a list that cannot be read or none at
/// all keeps what is stored. Through a subresource what the client sent does not count.
///
/// `reset_fields` are dotted paths that the endpoint does not write, such as `status`: they are nobody's gain. An
/// object that does not fit its schema keeps the entries of `live`.
pub fn update(
    schema: &Schema<'_>,
    live: Option<&Value>,
    new: &mut Value,
    manager: &Manager<'_>,
    reset_fields: &[&str],
) {
    if !new.is_object() {
        return;
    }
    let sent = new.remove_meta("managedFields");
    let stored = live.and_then(managed_fields);
    let managers = sent_or_stored(sent.as_ref(), stored, manager);
    let creating = live.is_none_or(|l| l.uid().is_empty());
    if managers.entries.is_empty() && !creating {
        return;
    }
    if validate(new, schema.ty(), Duplicates::Allowed).is_err() {
        let stored = list(stored).to_vec();
        return set_managed_fields(new, stored);
    }
    let live = live.map_or_else(|| Cow::Owned(empty::empty_object(schema)), Cow::Borrowed);
    let updater = updater(schema, manager, reset_fields);
    let entries = encode(&updated(&updater, &live, new, managers, manager, manager.name));
    set_managed_fields(new, entries);
}

/// The managers an update starts from.
fn sent_or_stored<'a>(sent: Option<&'a Value>, stored: Option<&'a Value>, manager: &Manager<'_>) -> Managers<'a> {
    if manager.subresource.is_empty() {
        if sent.is_some_and(is_reset) {
            return Managers::default();
        }
        if let Some(managers) = decode(list(sent)).ok().filter(|m| !m.entries.is_empty()) {
            return managers;
        }
    }
    decode(list(stored)).unwrap_or_default()
}

/// Whether a client asks for ownership to be forgotten: an empty list, or one empty entry.
fn is_reset(sent: &Value) -> bool {
    let blank = |v: &Value| v.is_null() || v.as_str().is_some_and(str::is_empty);
    match sent.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([Value::Object(one)]) => one.values().all(blank),
        _ => false,
    }
}

/// The managers after a write that made `new` of `live`, on behalf of the manager called `name`.
pub(super) fn updated<'v>(
    updater: &Updater<'v>,
    live: &'v Value,
    new: &'v Value,
    mut managers: Managers<'v>,
    manager: &Manager<'v>,
    name: &'v str,
) -> Managers<'v> {
    let mine = updater.update(live, new, &mut managers).difference(&paths(&UNTRACKED));
    if !mine.is_empty() {
        let mut entry = manager.entry(name, Operation::Update, mine);
        if let Some(before) = managers.get(&entry.id) {
            entry.set = entry.set.union(before.set.clone());
        }
        entry.time = Some(manager.now);
        managers.put(entry);
    }
    cap_updaters(&mut managers);
    managers
}
