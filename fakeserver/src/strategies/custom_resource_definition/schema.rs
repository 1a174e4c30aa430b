//! What a CRD's schema may contain at all: supported keywords, list and map types, defaults.
//!
//! Counterpart: `ValidateCustomResourceDefinitionOpenAPISchema`; that the schema is structural is checked afterwards in
//! `structural`, and only where nothing is wrong there the defaults are.

use super::structural;
use crate::schema::custom::{self, Schema, go_regex};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;

/// Members of the root schema that may be set beside a status subresource, by their Go names.
const ALLOWED_AT_ROOT: [(&str, &str); 23] = [
    ("description", "Description"),
    ("type", "Type"),
    ("format", "Format"),
    ("title", "Title"),
    ("maximum", "Maximum"),
    ("exclusiveMaximum", "ExclusiveMaximum"),
    ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"),
    ("maxLength", "MaxLength"),
    ("minLength", "MinLength"),
    ("pattern", "Pattern"),
    ("maxItems", "MaxItems"),
    ("minItems", "MinItems"),
    ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"),
    ("required", "Required"),
    ("enum", "Enum"),
    ("items", "Items"),
    ("properties", "Properties"),
    ("externalDocs", "ExternalDocs"),
    ("example", "Example"),
    ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields"),
    ("x-kubernetes-validations", "XValidations"),
];
const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn is_set(value: &Value, key: &str) -> bool {
    value.get(key).is_some_and(|v| !v.is_null())
}

/// Errors of a version's root schema.
pub(super) fn validate(schema: &Value, has_status: bool, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if has_status {
        errors.extend(beside_status(schema, path));
    }
    if flag(schema, "nullable") {
        errors.push(FieldError::forbidden(path.child("nullable"), "nullable cannot be true at the root"));
    }
    let mut walk = Walk { errors };
    walk.node(schema, path, &Place { root: true, ..Place::default() });
    let mut errors = walk.errors;
    let unsound = structural::validate(schema, path);
    if !unsound.is_empty() {
        errors.extend(unsound);
    } else if errors.is_empty() {
        errors.extend(custom::validate_defaults(&Schema::compile(schema), path));
    }
    errors
}

/// The status is validated alone, so the root must say nothing that spans both halves.
fn beside_status(schema: &Value, path: &Path) -> Option<FieldError> {
    let kind = text(schema, "type");
    if !kind.is_empty() && kind != "object" {
        let text =
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        return Some(FieldError::invalid(path.child("type"), kind, text));
    }
    let known = |key: &String| ALLOWED_AT_ROOT.iter().any(|(name, _)| name == key);
    let odd = schema.as_object()?.iter().any(|(key, value)| !known(key) && !value.is_null());
    odd.then(|| {
        let names: Vec<&str> = ALLOWED_AT_ROOT.iter().map(|(_, go)| *go).collect();
        let text = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            names.join(" ")
        );
        FieldError::invalid(path, schema.clone(), text)
    })
}

/// Where a node stands.
#[derive(Clone, Default)]
struct Place {
    root: bool,
    inside_metadata: bool,
    /// Why no default may be set here.
    no_default: Option<String>,
}

struct Walk {
    errors: Vec<FieldError>,
}

impl Walk {
    fn forbid(&mut self, path: Path, text: &str) {
        self.errors.push(FieldError::forbidden(path, text));
    }

    fn invalid(&mut self, path: Path, value: impl Into<Value>, text: &str) {
        self.errors.push(FieldError::invalid(path, value, text));
    }

    fn require(&mut self, path: Path, text: &str) {
        self.errors.push(FieldError::required(path, text));
    }

    fn node(&mut self, schema: &Value, path: &Path, place: &Place) {
        self.keywords(schema, path, place);
        self.children(schema, path, place);
        self.map_type(schema, path);
        self.list_type(schema, path);
        self.items_of_sets(schema, path);
        self.list_keys(schema, path);
        self.unique_keys(schema, path);
    }

    /// Keywords that are not supported or not here.
    fn keywords(&mut self, schema: &Value, path: &Path, place: &Place) {
        if let (Some(why), true) = (&place.no_default, is_set(schema, "default")) {
            self.forbid(path.child("default"), &format!("must not be set {why}"));
        }
        let unsupported = ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"];
        for key in unsupported.into_iter().filter(|key| is_set(schema, key)) {
            self.forbid(path.child(key), &format!("{key} is not supported"));
        }
        match text(schema, "type") {
            "null" => self.forbid(path.child("type"), "type cannot be set to null, use nullable as an alternative"),
            kind if !kind.is_empty() && !TYPES.contains(&kind) => {
                self.errors.push(FieldError::not_supported(path.child("type"), kind, &TYPES));
            }
            _ => {}
        }
        if schema.get("items").is_some_and(Value::is_array) {
            self.forbid(path.child("items"), "items must be a schema object and not an array");
        }
        if place.inside_metadata && flag(schema, "x-kubernetes-embedded-resource") {
            self.forbid(path.child("x-kubernetes-embedded-resource"), "must not be used inside of resource meta");
        }
        if flag(schema, "uniqueItems") {
            let text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.forbid(path.child("uniqueItems"), text);
        }
        if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            self.invalid(path.child("x-kubernetes-preserve-unknown-fields"), false, "must be true or undefined");
        }
    }

    fn children(&mut self, schema: &Value, path: &Path, place: &Place) {
        let properties = schema.get("properties").and_then(Value::as_object);
        if let Some(additional) = schema.get("additionalProperties").filter(|a| !a.is_null()) {
            let narrows = additional.is_object() || additional == &Value::Bool(false);
            if properties.is_some_and(|p| !p.is_empty()) && narrows {
                self.forbid(
                    path.child("additionalProperties"),
                    "additionalProperties and properties are mutual exclusive",
                );
            }
            if additional.is_object() {
                let why = "inside additionalProperties applying to object metadata".to_owned();
                let no_default = if place.inside_metadata { Some(why) } else { place.no_default.clone() };
                let place = Place { root: false, no_default, ..place.clone() };
                self.node(additional, &path.child("additionalProperties"), &place);
            }
        }
        let resource = place.root || flag(schema, "x-kubernetes-embedded-resource");
        for (name, inner) in properties.into_iter().flatten() {
            let mut here = Place { root: false, ..place.clone() };
            if resource && matches!(name.as_str(), "metadata" | "kind" | "apiVersion") {
                here.inside_metadata = true;
                if place.root {
                    here.no_default = Some(format!("in top-level {name}"));
                }
            }
            self.node(inner, &path.child("properties").key(name), &here);
        }
        let nested = Place { root: false, ..place.clone() };
        if let Some(not) = schema.get("not").filter(|n| n.is_object()) {
            self.node(not, &path.child("not"), &nested);
        }
        for key in ["allOf", "oneOf", "anyOf"] {
            let list = schema.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for (i, inner) in list.iter().enumerate() {
                self.node(inner, &path.child(key).index(i), &nested);
            }
        }
        if let Some(items) = schema.get("items").filter(|i| i.is_object()) {
            self.node(items, &path.child("items"), &nested);
        }
    }

    fn map_type(&mut self, schema: &Value, path: &Path) {
        let Some(value) = schema.get("x-kubernetes-map-type").and_then(Value::as_str) else { return };
        self.of_type(schema, path, "object", "x-kubernetes-map-type");
        if !matches!(value, "atomic" | "granular") {
            let at = path.child("x-kubernetes-map-type");
            self.errors.push(FieldError::not_supported(at, value, &["atomic", "granular"]));
        }
    }

    fn of_type(&mut self, schema: &Value, path: &Path, wanted: &str, keyword: &str) {
        let text_of = format!("must be {wanted} if {keyword} is specified");
        match text(schema, "type") {
            kind if kind == wanted => {}
            "" => self.require(path.child("type"), &text_of),
            kind => self.invalid(path.child("type"), kind, &text_of),
        }
    }

    fn list_type(&mut self, schema: &Value, path: &Path) {
        let kind = schema.get("x-kubernetes-list-type").and_then(Value::as_str);
        if let Some(kind) = kind {
            self.of_type(schema, path, "array", "x-kubernetes-list-type");
            if !matches!(kind, "atomic" | "set" | "map") {
                let at = path.child("x-kubernetes-list-type");
                self.errors.push(FieldError::not_supported(at, kind, &["atomic", "set", "map"]));
            }
        }
        let has_keys =
            schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).is_some_and(|k| !k.is_empty());
        let text = "must be map if x-kubernetes-list-map-keys is non-empty";
        match kind {
            _ if !has_keys => {}
            None => self.require(path.child("x-kubernetes-list-type"), text),
            Some("map") => {}
            Some(other) => self.invalid(path.child("x-kubernetes-list-type"), other, text),
        }
    }

    /// Items of a set are compared as a whole.
    fn items_of_sets(&mut self, schema: &Value, path: &Path) {
        let Some(items) = schema.get("items").filter(|_| text(schema, "x-kubernetes-list-type") == "set") else {
            return;
        };
        let key = match text(items, "type") {
            "array" => "x-kubernetes-list-type",
            "object" => "x-kubernetes-map-type",
            _ => return,
        };
        let value = items.get(key).cloned().unwrap_or_default();
        let unset_is_fine = key == "x-kubernetes-list-type" && value.is_null();
        if value != "atomic" && !unset_is_fine {
            let text = "must be atomic as item of a list with x-kubernetes-list-type=set";
            self.invalid(path.child("items").child(key), value, text);
        }
    }

    fn list_keys(&mut self, schema: &Value, path: &Path) {
        if text(schema, "x-kubernetes-list-type") != "map" {
            return;
        }
        let keys_at = path.child("x-kubernetes-list-map-keys");
        let given = schema.get("x-kubernetes-list-map-keys").cloned().unwrap_or_default();
        let keys: Vec<&str> = given.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if keys.is_empty() {
            self.require(keys_at.clone(), "must not be empty if x-kubernetes-list-type is map");
        }
        let Some(items) = schema.get("items").filter(|i| i.is_object()) else {
            return self.require(path.child("items"), "must have a schema if x-kubernetes-list-type is map");
        };
        let items_at = path.child("items");
        if text(items, "type") != "object" {
            let text_of = "must be object if parent array's x-kubernetes-list-type is map";
            return self.invalid(items_at.child("type"), text(items, "type"), text_of);
        }
        let mut seen = std::collections::HashSet::new();
        for key in keys {
            match items.get("properties").and_then(|p| p.get(key)) {
                Some(inner) if matches!(text(inner, "type"), "array" | "object") => {
                    let at = items_at.child("properties").key(key).child("type");
                    let text_of = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                    self.invalid(at, text(inner, "type"), text_of);
                }
                Some(_) => {}
                None => self.invalid(keys_at.clone(), given.clone(), "entries must all be names of item properties"),
            }
            if !seen.insert(key) {
                self.invalid(keys_at.clone(), given.clone(), "must not contain duplicate entries");
            }
        }
    }

    /// Items of sets and keyed lists are never null, and keys always there.
    fn unique_keys(&mut self, schema: &Value, path: &Path) {
        let kind = text(schema, "x-kubernetes-list-type");
        let Some(items) = schema.get("items").filter(|i| i.is_object() && matches!(kind, "set" | "map")) else {
            return;
        };
        let items_at = path.child("items");
        if flag(items, "nullable") {
            self.forbid(
                items_at.child("nullable"),
                &format!("cannot be nullable when x-kubernetes-list-type is {kind}"),
            );
        }
        if kind != "map" {
            return;
        }
        let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        let required = items.get("required").and_then(Value::as_array);
        for key in keys.into_iter().flatten().filter_map(Value::as_str) {
            let Some(inner) = items.get("properties").and_then(|p| p.get(key)) else { continue };
            let at = items_at.child("properties").key(key);
            let is_required = required.is_some_and(|r| r.iter().any(|name| name == key));
            if !is_required && !is_set(inner, "default") {
                let text = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                self.require(at.child("default"), text);
            }
            if flag(inner, "nullable") {
                let text = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
                self.forbid(at.child("nullable"), text);
            }
        }
    }
}

/// The error of a pattern that is no regular expression.
pub(super) fn pattern(schema: &Value, path: &Path) -> Option<FieldError> {
    let pattern = text(schema, "pattern");
    let why = go_regex(pattern).err().filter(|_| !pattern.is_empty())?;
    let why = why.to_string();
    let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let text = format!("must be a valid regular expression, but isn't: error parsing regexp: {why}");
    Some(FieldError::invalid(path.child("pattern"), pattern, text))
}
