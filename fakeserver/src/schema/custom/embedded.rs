//! Kind, version and metadata of objects: the object itself and resources embedded in it.
//!
//! Counterpart: apiextensions-apiserver `apiserver/schema/objectmeta`.

use super::arena::OBJECT_META;
use super::structural::Schema;
use crate::registry::metadata::{NameRule, validate_object_meta};
use rehearsal_apimachinery::catalog::Types;
use rehearsal_apimachinery::codec::json::{self, DecodeError};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::{GroupVersion, ObjectMeta, ObjectMetaMut, validation};
use serde_json::Value;

/// Fits the metadata of an object into its type; unknown members are dropped and reported.
///
/// # Errors
/// When the metadata cannot be read.
pub(super) fn coerce(object: &mut Value, types: &Types, findings: &mut Vec<String>) -> Result<(), DecodeError> {
    let (Some(id), Some(metadata)) = (types.id(OBJECT_META), object.get_mut("metadata")) else { return Ok(()) };
    let mut unknown = Vec::new();
    *metadata = json::conform(metadata.take(), types, id, &mut unknown)?;
    findings.extend(unknown.into_iter().map(|text| text.replacen(" field \"", " field \"metadata.", 1)));
    Ok(())
}

/// As [`coerce`], for all embedded resources below a value, silently.
///
/// # Errors
/// When the metadata of one cannot be read.
pub(super) fn coerce_embedded(value: &mut Value, schema: &Schema, types: &Types) -> Result<(), DecodeError> {
    match value {
        Value::Array(items) => {
            let Some(inner) = &schema.items else { return Ok(()) };
            items.iter_mut().try_for_each(|item| resource(item, inner, types))
        }
        Value::Object(members) => members.iter_mut().try_for_each(|(name, member)| match schema.member(name) {
            Some(inner) => resource(member, inner, types),
            None => Ok(()),
        }),
        _ => Ok(()),
    }
}

fn resource(value: &mut Value, schema: &Schema, types: &Types) -> Result<(), DecodeError> {
    if schema.embedded && value.is_object() {
        coerce(value, types, &mut Vec::new())?;
    }
    coerce_embedded(value, schema, types)
}

/// Errors of the resources embedded in a value.
pub(super) fn validate(value: &Value, schema: &Schema, path: &Path, errors: &mut Vec<FieldError>) {
    match value {
        Value::Array(items) => {
            let Some(inner) = &schema.items else { return };
            for (i, item) in items.iter().enumerate() {
                one(item, inner, &path.index(i), errors);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                if let Some(inner) = schema.properties.get(name) {
                    one(member, inner, &path.child(name), errors);
                } else if let Some(inner) = schema.member(name) {
                    one(member, inner, &path.key(name), errors);
                }
            }
        }
        _ => {}
    }
}

fn one(value: &Value, schema: &Schema, path: &Path, errors: &mut Vec<FieldError>) {
    if schema.embedded && value.is_object() {
        type_meta(value, path, errors);
        if value.get("metadata").is_some_and(Value::is_object) {
            let mut named = value.clone();
            if named.name().is_empty() {
                named.set_meta("name", "fakename");
            }
            let namespaced = !named.namespace().is_empty();
            errors.extend(validate_object_meta(&named, namespaced, NameRule::PathSegment, &path.child("metadata")));
        }
    }
    validate(value, schema, path, errors);
}

fn type_meta(value: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let at = |name: &str| path.child(name);
    match value.get("apiVersion") {
        None => errors.push(FieldError::required(at("apiVersion"), "must not be empty")),
        Some(Value::String(text)) if text.is_empty() => {
            errors.push(FieldError::invalid(at("apiVersion"), text.clone(), "must not be empty"));
        }
        Some(Value::String(text)) if GroupVersion::parse(text).is_none() => {
            let why = format!("unexpected GroupVersion string: {text}");
            errors.push(FieldError::invalid(at("apiVersion"), text.clone(), why));
        }
        Some(Value::String(_)) => {}
        Some(other) => errors.push(FieldError::invalid(at("apiVersion"), other.clone(), "must be a string")),
    }
    match value.get("kind") {
        None => errors.push(FieldError::required(at("kind"), "must not be empty")),
        Some(Value::String(text)) if text.is_empty() => {
            errors.push(FieldError::invalid(at("kind"), text.clone(), "must not be empty"));
        }
        Some(Value::String(text)) => {
            let why = validation::is_dns1035_label(&text.to_lowercase());
            if !why.is_empty() {
                let why = format!("may have mixed case, but should otherwise match: {}", why.join(","));
                errors.push(FieldError::invalid(at("kind"), text.clone(), why));
            }
        }
        Some(other) => errors.push(FieldError::invalid(at("kind"), other.clone(), "must be a string")),
    }
}
