//! `metadata.managedFields` as data: reading and writing its entries, their order, and the cap on updaters.
//!
//! Counterpart: apimachinery `managedfields/internal/{managedfields,capmanagers}.go`.

use crate::patch::apply::{Entry, Id, Managers, Operation, from_fields_v1, to_fields_v1};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// More updaters than this are folded together (`DefaultMaxUpdateManagers`).
const MAX_UPDATERS: usize = 10;

/// The manager that holds what was folded.
const ANCIENT: &str = "ancient-changes";

/// Reads a list of entries; of several entries of one manager the last counts.
///
/// # Errors
/// Says what is wrong with an entry.
pub(super) fn decode(entries: &[Value]) -> Result<Managers<'_>, String> {
    let mut managers = Managers::default();
    for (i, entry) in entries.iter().enumerate() {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".into()),
        };
        let api_version = text("apiVersion");
        if api_version.is_empty() {
            return Err("apiVersion must not be empty".into());
        }
        match text("fieldsType") {
            "FieldsV1" => {}
            "" => return Err(format!("missing fieldsType in managed fields entry {i}")),
            other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {i}")),
        }
        let set = match entry.get("fieldsV1") {
            Some(fields) => from_fields_v1(fields).map_err(|e| format!("error decoding set: {e}"))?,
            None => Default::default(),
        };
        managers.put(Entry {
            id: id(text("manager"), operation, api_version, text("subresource")),
            api_version,
            time: entry.get("time").and_then(Value::as_str),
            set,
        });
    }
    Ok(managers)
}

/// What tells a manager apart.
pub(super) fn id<'a>(manager: &'a str, operation: Operation, api_version: &'a str, subresource: &'a str) -> Id<'a> {
    let api_version = if operation == Operation::Apply { "" } else { api_version };
    Id { manager, operation, api_version, subresource }
}

/// The text by which managers sort where the server sorts them by identity.
pub(super) fn identity(id: &Id<'_>) -> String {
    let members = [
        ("manager", id.manager),
        ("operation", id.operation.as_str()),
        ("apiVersion", id.api_version),
        ("subresource", id.subresource),
    ];
    let members = members.iter().filter(|(_, v)| !v.is_empty());
    let members: Vec<_> = members.map(|(k, v)| format!("\"{k}\":{}", Value::from(*v))).collect();
    format!("{{{}}}", members.join(","))
}

/// Writes the entries: appliers before updaters, each by time, manager, version, subresource.
pub(super) fn encode(managers: &Managers<'_>) -> Vec<Value> {
    let mut entries: Vec<_> = managers.entries.iter().collect();
    entries.sort_by_key(|e| (e.id.operation, seconds(e.time), e.id.manager, e.api_version, e.id.subresource));
    entries.into_iter().map(encode_entry).collect()
}

fn encode_entry(entry: &Entry<'_>) -> Value {
    let mut out = Map::new();
    let mut text = |key: &str, value: &str| {
        if !value.is_empty() {
            out.insert(key.into(), value.into());
        }
    };
    text("manager", entry.id.manager);
    text("operation", entry.id.operation.as_str());
    text("apiVersion", entry.api_version);
    text("time", entry.time.unwrap_or_default());
    text("fieldsType", "FieldsV1");
    text("subresource", entry.id.subresource);
    out.insert("fieldsV1".into(), to_fields_v1(&entry.set));
    Value::Object(out)
}

/// A missing or unreadable time is the oldest.
fn seconds(time: Option<&str>) -> i64 {
    time.and_then(|t| t.parse::<jiff::Timestamp>().ok()).map_or(0, jiff::Timestamp::as_second)
}

/// Folds the oldest updaters into one entry a version until at most ten are left.
pub(super) fn cap_updaters(managers: &mut Managers<'_>) {
    let mut updaters: Vec<_> = managers.entries.iter().filter(|e| e.id.operation == Operation::Update).collect();
    if updaters.len() <= MAX_UPDATERS {
        return;
    }
    updaters.sort_by_cached_key(|e| (seconds(e.time), identity(&e.id)));
    let oldest: Vec<Id<'_>> = updaters.iter().map(|e| e.id).collect();
    let mut left = oldest.len();
    let mut first_of: HashMap<&str, Id<'_>> = HashMap::new();
    for id in oldest {
        if left <= MAX_UPDATERS {
            break;
        }
        let Some(version) = managers.get(&id).map(|e| e.api_version) else { continue };
        let Some(first) = first_of.get(version).copied() else {
            first_of.insert(version, id);
            continue;
        };
        let bucket = Id { manager: ANCIENT, operation: Operation::Update, api_version: version, subresource: "" };
        if managers.get(&bucket).is_none() {
            rename(managers, &first, bucket);
        }
        fold(managers, &id, &bucket);
        left -= 1;
    }
}

fn rename<'a>(managers: &mut Managers<'a>, from: &Id<'_>, to: Id<'a>) {
    if let Some(entry) = managers.entries.iter_mut().find(|e| e.id == *from) {
        entry.id = to;
    }
}

/// Moves one manager's fields into another's entry, which takes the more recent time.
fn fold(managers: &mut Managers<'_>, from: &Id<'_>, into: &Id<'_>) {
    let Some(at) = managers.entries.iter().position(|e| e.id == *from) else { return };
    let folded = managers.entries.remove(at);
    if let Some(bucket) = managers.entries.iter_mut().find(|e| e.id == *into) {
        bucket.set = std::mem::take(&mut bucket.set).union(folded.set);
        bucket.time = folded.time;
    }
}
