//! No duplicates in sets and keyed lists.
//!
//! Counterpart: apiextensions-apiserver `apiserver/schema/listtype`.

use super::structural::Schema;
use rehearsal_apimachinery::catalog::ListSemantics;
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::{Map, Value};

/// The duplicates of a value.
pub(super) fn duplicates(value: &Value, schema: &Schema, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(value, schema, path, &mut errors);
    errors
}

fn walk(value: &Value, schema: &Schema, path: &Path, errors: &mut Vec<FieldError>) {
    match value {
        Value::Array(items) => {
            match &schema.list {
                ListSemantics::Atomic => {}
                ListSemantics::Set => report(items.iter().cloned(), path, errors),
                ListSemantics::Map(keys) => report(items.iter().map(|item| keys_of(item, keys)), path, errors),
            }
            let Some(inner) = &schema.items else { return };
            for (i, item) in items.iter().enumerate() {
                walk(item, inner, &path.index(i), errors);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                if let Some(inner) = schema.properties.get(name) {
                    walk(member, inner, &path.child(name), errors);
                } else if let Some(inner) = schema.member(name) {
                    walk(member, inner, &path.key(name), errors);
                }
            }
        }
        _ => {}
    }
}

/// The keys an item is told apart by; absent ones are left out.
pub(super) fn keys_of(item: &Value, keys: &[String]) -> Value {
    let found = keys.iter().filter_map(|k| item.get(k).map(|v| (k.clone(), v.clone())));
    Value::Object(found.collect::<Map<_, _>>())
}

fn report(items: impl Iterator<Item = Value>, path: &Path, errors: &mut Vec<FieldError>) {
    let mut seen = std::collections::HashSet::new();
    for (i, item) in items.enumerate() {
        if !seen.insert(item.to_string()) {
            errors.push(FieldError::duplicate(path.index(i), item));
        }
    }
}
