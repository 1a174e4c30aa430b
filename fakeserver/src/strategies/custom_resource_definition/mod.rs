//! CustomResourceDefinitions: names and conversion by default, storedVersions, and validation of what they define.
//!
//! Counterpart: apiextensions-apiserver `registry/customresourcedefinition` and `apis/apiextensions/validation`. The
//! schema is judged in `schema` and `structural`; which names are accepted is decided in `names`.

pub(crate) mod approval;
pub(crate) mod names;
mod schema;
mod spec;
mod structural;

use super::{Strategy, WriteContext};
use crate::schema::custom::Format;
use rehearsal_apimachinery::field::FieldError;
use serde_json::{Value, json};

/// Hooks of CustomResourceDefinitions.
#[derive(Debug)]
pub struct CustomResourceDefinition;

impl Strategy for CustomResourceDefinition {
    fn default(&self, object: &mut Value) {
        let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
        if let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) {
            let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            let empty = |v: Option<&Value>| v.and_then(Value::as_str).is_none_or(str::is_empty);
            if empty(names.get("singular")) && !kind.is_empty() {
                names.insert("singular".into(), kind.to_lowercase().into());
            }
            if empty(names.get("listKind")) && !kind.is_empty() {
                names.insert("listKind".into(), format!("{kind}List").into());
            }
        }
        if spec.get("conversion").is_none_or(Value::is_null) {
            spec.insert("conversion".into(), json!({"strategy": "None"}));
        }
    }

    fn prepare_create(&self, _cx: &WriteContext<'_>, object: &mut Value) {
        let empty = json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": null});
        if let Value::Object(map) = object {
            map.insert("status".into(), empty);
        }
        record_storage_version(object);
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, _old: &Value) {
        if cx.subresource.is_empty() {
            record_storage_version(object);
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        spec::validate(object, None)
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" { spec::validate_status(object) } else { spec::validate(object, Some(old)) }
    }

    fn warnings(&self, cx: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        if !cx.subresource.is_empty() {
            return Vec::new();
        }
        let known = old.map(unknown_formats).unwrap_or_default();
        let new = unknown_formats(object).into_iter().filter(|f| !known.contains(f));
        new.map(|format| format!("unrecognized format {format:?}")).collect()
    }
}

/// Formats that the schemas of a CRD name and the server ignores.
fn unknown_formats(crd: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for schema in spec::versions(crd).iter().filter_map(|v| v.pointer("/schema/openAPIV3Schema")) {
        collect_formats(schema, &mut found);
    }
    found
}

fn collect_formats(schema: &Value, found: &mut Vec<String>) {
    let (format, kind) = (schema::text(schema, "format"), schema::text(schema, "type"));
    if !format.is_empty() && !Format::is_known(format, kind) && !found.iter().any(|f| f == format) {
        found.push(format.to_owned());
    }
    for key in ["items", "additionalProperties", "not"] {
        if let Some(inner) = schema.get(key) {
            collect_formats(inner, found);
        }
    }
    for key in ["allOf", "oneOf", "anyOf"] {
        schema.get(key).and_then(Value::as_array).into_iter().flatten().for_each(|s| collect_formats(s, found));
    }
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties.for_each(|(_, inner)| collect_formats(inner, found));
}

/// Adds the storage version to those in which objects may be stored.
fn record_storage_version(object: &mut Value) {
    let storage = spec::versions(object).iter().find(|v| v["storage"] == true).map(|v| v["name"].clone());
    let Some(storage) = storage else { return };
    let Some(status) = object.get_mut("status").filter(|s| s.is_object()) else { return };
    if !status["storedVersions"].is_array() {
        status["storedVersions"] = json!([]);
    }
    if let Some(stored) = status["storedVersions"].as_array_mut()
        && !stored.contains(&storage)
    {
        stored.push(storage);
    }
}

#[cfg(test)]
mod tests;
