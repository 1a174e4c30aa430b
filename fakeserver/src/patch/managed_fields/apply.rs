//! Server-side apply: the configuration merged, what its manager dropped removed, ownership moved.
//!
//! Counterpart: apimachinery `managedfields/internal/{versioncheck,skipnonapplied,structuredmerge}.go`.

use super::conflict::conflict_status;
use super::entries::{decode, encode};
use super::times::same_but_managed_fields;
use super::update::updated;
use super::{Manager, UNTRACKED, empty, last_applied, list, managed_fields, paths, set_managed_fields, updater};
use crate::patch::apply::{Duplicates, Managers, Operation, Refusal, Schema, Set, Updater, validate};
use rehearsal_apimachinery::{GroupVersion, GroupVersionKind, ObjectMeta, Status};
use serde_json::{Map, Value};

/// The manager that is given what an object held before it was first applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Refuses an applied configuration of another kind than the endpoint's. Comes before everything else about the body.
///
/// # Errors
/// 400 `invalid object type: /v1, Kind=Secret`.
pub fn check_kind(patch: &Value, want: &GroupVersionKind) -> Result<(), Status> {
    let got = kind_of(patch);
    if got == *want { Ok(()) } else { Err(Status::bad_request(format!("invalid object type: {got}"))) }
}

fn kind_of(object: &Value) -> GroupVersionKind {
    let text = |key| object.get(key).and_then(Value::as_str).unwrap_or_default();
    GroupVersion::parse(text("apiVersion")).unwrap_or_default().kind(text("kind"))
}

/// Server-side apply of a configuration to the stored object (`None`: the apply creates it).
///
/// The result has `managedFields` set; `Ok(None)` says that neither the object nor its ownership changes. The result
/// holds the configuration's values as they were written, so the caller must decode it into the kind (which drops
/// nulls and brings quantities to their canonical form; [`undecodable`] words its failure) and default it, as it does with the result of any patch;
/// defaults belong to nobody. `resourceVersion` and `uid` of the configuration are merged like any other field, for
/// the caller's preconditions. [`check_kind`] comes first.
///
/// # Errors
/// 400 for another API version and for `metadata.managedFields` in the configuration; a plain 500 for one that does
/// not fit the schema; 409 for fields of others, unless forced.
pub fn apply(
    schema: &Schema<'_>,
    live: Option<&Value>,
    patch: &Value,
    manager: &Manager<'_>,
    force: bool,
    reset_fields: &[&str],
) -> Result<Option<Value>, Status> {
    let kind = kind_of(patch);
    if kind.api_version() != manager.api_version {
        return Err(Status::bad_request(format!("invalid object type: {kind}")));
    }
    let nothing = Value::Object(Map::new());
    let live = live.unwrap_or(&nothing);
    let before = list(managed_fields(live));
    let mut managers = decode(before).map_err(|e| Status::bare500(format!("failed to decode managed fields: {e}")))?;
    check_configuration(schema, live, patch)?;
    let updater = updater(schema, manager, reset_fields);
    let empty;
    if managers.entries.is_empty() {
        empty = empty::empty_object(schema);
        managers = updated(&updater, &empty, live, managers, manager, BEFORE_FIRST_APPLY);
    }
    let (mut new, mut managers) = merged(&updater, live, patch, managers, manager, force)?;
    let own = manager.entry(manager.name, Operation::Apply, Set::default()).id;
    let changed = !same_but_managed_fields(live, &new);
    if let Some(entry) = managers.entries.iter_mut().find(|e| e.id == own) {
        entry.set = entry.set.difference(&paths(&UNTRACKED));
        entry.time = if changed { Some(manager.now) } else { entry.time };
    }
    managers.drop_empty();
    let entries = encode(&managers);
    if manager.name == last_applied::KUBECTL {
        last_applied::write(&mut new, patch);
    }
    if entries == before && same_but_managed_fields(live, &new) {
        return Ok(None);
    }
    set_managed_fields(&mut new, entries);
    Ok(Some(new))
}

/// The refusal of a merged object that does not decode into its kind, such as one with a malformed quantity: a plain
/// 500. `why` is the decode error.
#[must_use]
pub fn undecodable(patch: &Value, why: impl std::fmt::Display) -> Status {
    let (kind, namespace, name) = (kind_of(patch), patch.namespace(), patch.name());
    Status::bare500(format!(
        "failed to convert new object ({namespace}/{name}; {kind}) to proper version: unable to convert unstructured \
         object to {kind}: {why}"
    ))
}

fn check_configuration(schema: &Schema<'_>, live: &Value, patch: &Value) -> Result<(), Status> {
    if managed_fields(patch).is_some_and(Value::is_array) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let refusal = |what: &str, object: &Value, why: &str| {
        let (namespace, name) = (object.namespace(), object.name());
        Status::bare500(format!(
            "failed to create typed {what} object ({namespace}/{name}; {}): {why}",
            kind_of(object)
        ))
    };
    validate(patch, schema.ty(), Duplicates::Refused).map_err(|e| refusal("patch", patch, &e))?;
    validate(live, schema.ty(), Duplicates::Allowed).map_err(|e| refusal("live", live, &e))
}

/// Merges, and merges again by force where `kubectl` meets only what its own client-side apply left behind.
fn merged<'v>(
    updater: &Updater<'v>,
    live: &'v Value,
    patch: &'v Value,
    managers: Managers<'v>,
    manager: &Manager<'v>,
    force: bool,
) -> Result<(Value, Managers<'v>), Status> {
    let own = manager.entry(manager.name, Operation::Apply, Set::default()).id;
    let attempt = |mut managers: Managers<'v>, force| {
        let mut new = without_managed_fields(live);
        updater.apply(live, &mut new, patch, &mut managers, own, force)?;
        Ok((new, managers))
    };
    let legacy = if manager.name == last_applied::KUBECTL && !force { last_applied::read(live) } else { None };
    let Some(legacy) = legacy else { return attempt(managers, force).map_err(refused) };
    let conflicts = match attempt(managers.clone(), false) {
        Err(Refusal::Conflicts(conflicts)) => conflicts,
        other => return other.map_err(refused),
    };
    match last_applied::remaining(&updater.schema, live, &legacy, manager.api_version, &conflicts) {
        Some(rest) if rest.is_empty() => attempt(managers, true).map_err(refused),
        Some(rest) => Err(conflict_status(rest)),
        None => Err(conflict_status(conflicts)),
    }
}

fn refused(refusal: Refusal<'_>) -> Status {
    match refusal {
        Refusal::Conflicts(conflicts) => conflict_status(conflicts),
        Refusal::Other(message) => Status::bare500(message),
    }
}

fn without_managed_fields(object: &Value) -> Value {
    let Value::Object(map) = object else { return object.clone() };
    let strip = |(k, v): (&String, &Value)| match v {
        Value::Object(meta) if k == "metadata" => {
            let kept = meta.iter().filter(|(k, _)| *k != "managedFields");
            (k.clone(), Value::Object(kept.map(|(k, v)| (k.clone(), v.clone())).collect()))
        }
        _ => (k.clone(), v.clone()),
    };
    Value::Object(map.iter().map(strip).collect())
}
