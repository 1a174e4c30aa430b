//! What a CustomResourceDefinition says of its objects, compiled: pruning, defaults, validation, selectable fields.
//!
//! Counterpart: apiextensions-apiserver `apiserver/schema` and the custom resource strategy. The other parts of the
//! server call the functions here for every custom row and need not know how schemas look inside.

mod arena;
mod defaulting;
mod embedded;
mod formats;
mod list_types;
mod pruning;
mod structural;
mod validation;

pub use formats::Format;
pub use structural::{Schema, go_regex};

use crate::catalog::ResourceInfo;
use crate::endpoints::ScalePaths;
use crate::schema::jsonpath::JsonPath;
use crate::store::{Revision, StoredObject};
use rehearsal_apimachinery::catalog::{TypeId, Types};
use rehearsal_apimachinery::field::{FieldError, Path, go_quote};
use rehearsal_apimachinery::status::Status;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Rules compiled from one version of a CRD.
#[derive(Clone, Debug, Default)]
pub struct CustomRules {
    /// Paths that field selectors of this version may use.
    pub selectable_fields: Vec<String>,
    /// The selectable fields of all versions, with their paths compiled.
    pub all_selectable: Arc<Vec<(String, JsonPath)>>,
    /// Where the scale subresource finds its numbers.
    pub scale: Option<ScalePaths>,
    /// Schema of this version.
    pub schema: Arc<Schema>,
    /// Schemas of all versions by name, whether served or not: objects are stored in any of them.
    pub schemas: Arc<BTreeMap<String, Arc<Schema>>>,
    /// From when to when the resource is served as this row describes it.
    pub life: Life,
}

/// The time during which rows hold.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// Cancelled when the resource is no longer served so.
    pub gone: CancellationToken,
    /// Objects written after this revision were written under these rules.
    pub since: Revision,
}

/// The type arena of a kind and its root, for the ownership engine.
#[must_use]
pub fn types_of(kind: &str, schema: &Schema) -> (Arc<Types>, TypeId) {
    let (types, root) = arena::build(kind, schema);
    (Arc::new(types), root)
}

/// Drops and reports what the schema and the metadata type do not know.
///
/// # Errors
/// 400 when the metadata does not fit its type.
pub fn prune(info: &ResourceInfo, mut value: Value, findings: &mut Vec<String>) -> Result<Value, Status> {
    let Some(rules) = &info.rules else { return Ok(value) };
    let refuse = |e| {
        let (kind, version) = (&info.kind, go_quote(&info.version));
        Status::bad_request(format!("{kind} in version {version} cannot be handled as a {kind}: {e}"))
    };
    let mut unknown = Vec::new();
    embedded::coerce(&mut value, &info.types, &mut unknown).map_err(refuse)?;
    let mut dropped = Vec::new();
    pruning::prune(&mut value, &rules.schema, true, &mut dropped);
    embedded::coerce_embedded(&mut value, &rules.schema, &info.types).map_err(refuse)?;
    unknown.extend(dropped.into_iter().map(|path| format!("unknown field \"{path}\"")));
    unknown.sort();
    findings.extend(unknown);
    Ok(value)
}

/// Fills in the defaults of the version that a row serves.
pub fn default(info: &ResourceInfo, object: &mut Value) {
    if let Some(rules) = &info.rules {
        defaulting::default(object, &rules.schema);
    }
}

/// Whether the stored bytes of an object are what a row serves. Objects written under the present rules are not looked
/// into.
#[must_use]
pub fn reads_as_stored(info: &ResourceInfo, stored: &StoredObject) -> bool {
    let Some(rules) = &info.rules else { return true };
    if info.serves_storage_form() && stored.revision() > rules.life.since {
        return true;
    }
    let object = stored.value();
    object.get("apiVersion").is_some_and(|v| *v == info.gvk().api_version()) && is_settled(&object, &rules.schema)
}

/// Whether reading would leave an object as it is.
fn is_settled(object: &Value, schema: &Schema) -> bool {
    pruning::is_pruned(object, schema, true) && defaulting::is_defaulted(object, schema)
}

/// A stored object in the version of a row: what neither its own version nor this one knows is dropped, what either
/// defaults is there.
#[must_use]
pub fn read(info: &ResourceInfo, mut object: Value) -> Value {
    let Some(rules) = &info.rules else { return object };
    let version = object.get("apiVersion").and_then(Value::as_str).and_then(|v| v.rsplit('/').next());
    let stored = version.and_then(|v| rules.schemas.get(v)).filter(|s| !Arc::ptr_eq(s, &rules.schema)).cloned();
    if let Value::Object(map) = &mut object {
        map.insert("apiVersion".into(), info.gvk().api_version().into());
    }
    for schema in stored.iter().chain([&rules.schema]) {
        pruning::prune(&mut object, schema, true, &mut Vec::new());
        defaulting::default(&mut object, schema);
    }
    object
}

/// An object as it is stored; conversion strategy `None` changes the version alone.
#[must_use]
pub fn write(info: &ResourceInfo, mut object: Value) -> Value {
    let Some(rules) = &info.rules else { return object };
    if let Value::Object(map) = &mut object {
        map.insert("apiVersion".into(), info.storage_gvk().api_version().into());
    }
    if let Some(schema) = rules.schemas.get(info.storage_version()) {
        pruning::prune(&mut object, schema, true, &mut Vec::new());
        defaulting::default(&mut object, schema);
    }
    object
}

/// Validates an object but for its metadata; `old` on update. On `/status` nothing but the status is judged.
#[must_use]
pub fn validate(info: &ResourceInfo, subresource: &str, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let Some(rules) = &info.rules else { return Vec::new() };
    let mut errors = if subresource == "status" {
        validate_status(&rules.schema, object, old)
    } else {
        validation::validate(object, old, &rules.schema, None)
    };
    if let Some(scale) = &rules.scale {
        if subresource != "status" {
            errors.extend(replicas(object, &scale.spec_replicas));
        }
        errors.extend(replicas(object, &scale.status_replicas));
    }
    if subresource != "status" {
        embedded::validate(object, &rules.schema, &Path::root(), &mut errors);
    }
    let doubled = list_types::duplicates(object, &rules.schema, &Path::root());
    let before = || old.is_some_and(|o| !list_types::duplicates(o, &rules.schema, &Path::root()).is_empty());
    if !doubled.is_empty() && !before() {
        errors.extend(doubled);
    }
    errors
}

fn validate_status(schema: &Schema, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    match (object.get("status"), schema.properties.get("status")) {
        (Some(status), Some(inner)) => {
            validation::validate(status, old.and_then(|o| o.get("status")), inner, Some("status"))
        }
        _ => Vec::new(),
    }
}

/// Replicas must be a number that a Scale can hold.
fn replicas(object: &Value, pointer: &str) -> Option<FieldError> {
    let count = object.pointer(pointer)?.as_i64()?;
    let path = pointer.replace('/', ".");
    if count < 0 {
        return Some(FieldError::invalid(path, count, "should be a non-negative integer"));
    }
    let most = i64::from(i32::MAX);
    (count > most).then(|| FieldError::invalid(path, count, format!("should be less than or equal to {most}")))
}

/// Values of the selectable fields.
#[must_use]
pub fn selectable_values(info: &ResourceInfo, object: &Value) -> Vec<(Cow<'static, str>, String)> {
    let Some(rules) = &info.rules else { return Vec::new() };
    let value = |path: &JsonPath| match path.find(object).unwrap_or_default().first() {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    rules.all_selectable.iter().map(|(name, path)| (Cow::Owned(name.clone()), value(path))).collect()
}

/// Errors of a schema's defaults: each must be known to its schema and satisfy it.
pub(crate) fn validate_defaults(schema: &Schema, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(default) = &schema.default {
        let at = path.child("default");
        if !pruning::is_pruned(default, schema, schema.embedded) {
            errors.push(FieldError::invalid(&at, default.clone(), "must not have unknown fields"));
        }
        embedded::validate(default, schema, &at, &mut errors);
        errors.extend(validation::validate(default, None, schema, Some(at.as_str())));
    }
    if let Some(items) = &schema.items {
        errors.extend(validate_defaults(items, &path.child("items")));
    }
    for (name, inner) in &schema.properties {
        errors.extend(validate_defaults(inner, &path.child("properties").key(name)));
    }
    errors
}

#[cfg(test)]
mod tests;
