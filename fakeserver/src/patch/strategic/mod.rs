//! Strategic merge patch.
//!
//! Counterparts: apimachinery `strategicpatch` (the applying half) and `interpretStrategicMergePatchError` of the patch
//! handler. Merge keys and strategies come from the type catalogue. Order: what `$setElementOrder` or the patch says
//! stands, server-only items are woven in where their old order allows.

mod decode;
mod lists;
mod schema;

pub use decode::convertible;

use super::{go_print, read};
use lists::{Items, merge_slice, set_element_orders};
use rehearsal_apimachinery::catalog::{TypeId, Types};
use rehearsal_apimachinery::status::StatusDetails;
use rehearsal_apimachinery::{Status, StatusReason};
use schema::Schema;
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// Why a patch cannot be applied.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// The patch is malformed: 400.
    Format(&'static str),
    /// The patch asks for what does not exist: 422 with the generic text.
    Unprocessable,
    /// Anything else: 500 without reason.
    Other(String),
}

type Outcome<T> = Result<T, Refusal>;

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Format(text) => Self::bad_request(text),
            Refusal::Unprocessable => {
                let text = "the server rejected our request due to an error in our request";
                Self::failure(422, StatusReason::Invalid, text).details(StatusDetails::default())
            }
            Refusal::Other(text) => Self::bare500(text),
        }
    }
}

/// Applies a strategic merge patch in place; on refusal the document is unchanged. Returns the strict findings.
///
/// # Errors
/// 400 for a patch that is no JSON object or has malformed directives, 500 without reason for most other failures.
pub fn apply(doc: &mut Value, patch: &[u8], types: &Types, root: TypeId) -> Result<Vec<String>, Status> {
    let (patch, findings) = read::parse(patch).map_err(Status::bad_request)?;
    let patch = match patch {
        Value::Object(patch) => patch,
        Value::Null => Map::new(),
        other => {
            let kind = super::json::kind(&other);
            let text = format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}");
            return Err(Status::bad_request(text));
        }
    };
    let original = doc.as_object().cloned().unwrap_or_default();
    *doc = Value::Object(merge_map(original, patch, Schema::root(types, root))?);
    Ok(findings)
}

/// A patch as the 422 for an undecodable result shows it: Go's print of the map.
#[must_use]
pub fn print_patch(patch: &[u8]) -> String {
    read::parse(patch).map(|(value, _)| go_print(&value)).unwrap_or_default()
}

fn no_merge_key(item: &Map<String, Value>, key: &str) -> Refusal {
    let shown = go_print(&Value::Object(item.clone()));
    Refusal::Other(format!("map: {shown} does not contain declared merge key: {key}"))
}

/// Go's name of the type its decoder gives a value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn expected(wanted: &str, got: &Value) -> Refusal {
    Refusal::Other(format!("expected a {wanted}, but received a {}", go_type(got)))
}

fn expected_list(got: &Value) -> Refusal {
    expected("[]interface {}", got)
}

fn expected_map(got: &Value) -> Refusal {
    expected("map[string]interface {}", got)
}

fn bad_directive(directive: &Value, patch: &Map<String, Value>) -> Refusal {
    let directive = match directive {
        Value::String(text) => text.clone(),
        Value::Null => "%!s(<nil>)".into(),
        other => format!("%!s({}={})", go_type(other), go_print(other)),
    };
    Refusal::Other(format!("unknown patch type: {directive} in map: {}", go_print(&Value::Object(patch.clone()))))
}

/// Merges a map of the patch into a map of the object.
fn merge_map(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    schema: Schema<'_>,
) -> Outcome<Map<String, Value>> {
    match patch.get(DIRECTIVE) {
        None => {}
        Some(Value::String(word)) if word == "replace" => {
            patch.remove(DIRECTIVE);
            return Ok(patch);
        }
        Some(Value::String(word)) if word == "delete" => return Ok(Map::new()),
        Some(other) => return Err(bad_directive(other, &patch)),
    }
    retain_keys(&mut original, &mut patch)?;
    set_element_orders(&mut original, &mut patch, schema)?;
    for (key, value) in patch {
        match key.strip_prefix(DELETE_FROM) {
            None => merge_member(&mut original, key, value, false, schema)?,
            Some(rest) => match rest.strip_prefix('/') {
                // An empty field name counts as none, so the directive itself becomes the key.
                Some("") => merge_member(&mut original, key, value, true, schema)?,
                Some(field) => merge_member(&mut original, field.to_owned(), value, true, schema)?,
                None => return Err(Refusal::Format("invalid patch format of primitive list")),
            },
        }
    }
    Ok(original)
}

/// `$retainKeys`: drops every member of the object that the list does not name.
fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Outcome<()> {
    const MALFORMED: Refusal = Refusal::Format("invalid patch format of retainKeys");
    let Some(directive) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(listed) = directive else { return Err(MALFORMED) };
    let named = |key: &String| listed.iter().any(|k| k.as_str() == Some(key));
    let exempt =
        |key: &String, value: &Value| value.is_null() || key.starts_with(DELETE_FROM) || key.starts_with(SET_ORDER);
    if patch.iter().any(|(key, value)| !exempt(key, value) && !named(key)) {
        return Err(MALFORMED);
    }
    original.retain(|key, _| named(key));
    Ok(())
}

fn merge_member(
    original: &mut Map<String, Value>,
    key: String,
    mut value: Value,
    deletion: bool,
    schema: Schema<'_>,
) -> Outcome<()> {
    if value.is_null() {
        original.remove(&key);
        return Ok(());
    }
    let same_type = original.get(&key).map(|current| go_type(current) == go_type(&value));
    if same_type != Some(true) {
        if !deletion {
            discard_nulls(&mut value);
            put(original, key, value);
        }
        return Ok(());
    }
    let current = original.get_mut(&key).map(Value::take).unwrap_or_default();
    let merged = match (current, value) {
        (Value::Object(current), Value::Object(value)) => {
            let field = schema.member(&key)?;
            Value::Object(merge_map(current, value, field.schema)?)
        }
        (Value::Array(current), Value::Array(value)) => {
            let field = schema.list_member(&key)?;
            Value::Array(if field.merge || deletion { merge_slice(current, value, &field, deletion)? } else { value })
        }
        (_, value) => value,
    };
    original.insert(key, merged);
    Ok(())
}

/// Stores what the object did not have, less the parts that are directives.
fn put(original: &mut Map<String, Value>, key: String, mut value: Value) {
    if remove_directives(&mut value) {
        original.insert(key, value);
    } else {
        original.remove(&key);
    }
}

/// Drops null members of maps, at any depth.
fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// Drops every map that holds a `$patch` directive; false when the value itself is one.
fn remove_directives(value: &mut Value) -> bool {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => return false,
        Value::Object(map) => map.retain(|_, v| remove_directives(v)),
        Value::Array(items) => items.retain_mut(remove_directives),
        _ => {}
    }
    true
}

fn is_list(value: Value) -> Outcome<Items> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(expected_list(&other)),
    }
}

#[cfg(test)]
mod tests;
