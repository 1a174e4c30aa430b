//! Defaults of a schema, and the nulls that it does not allow.
//!
//! Counterpart: apiextensions-apiserver `apiserver/schema/defaulting`. Runs on requests and on everything read from the
//! store, so that a default that came later shows on old objects.

use super::structural::Schema;
use serde_json::Value;

/// Fills absent members, and nulls where null is no value, from the schema; drops nulls that stay without a value.
pub(super) fn default(value: &mut Value, schema: &Schema) {
    match value {
        Value::Array(items) => {
            let Some(inner) = &schema.items else { return };
            for item in items {
                if let Some(value) = inner.default.as_ref().filter(|_| is_bad_null(item, inner)) {
                    *item = value.clone();
                }
                default(item, inner);
            }
        }
        Value::Object(members) => {
            for (name, inner) in &schema.properties {
                let Some(value) = &inner.default else { continue };
                if members.get(name).is_none_or(|old| is_bad_null(old, inner)) {
                    members.insert(name.clone(), value.clone());
                }
            }
            members.retain(|name, member| {
                let Some(inner) = schema.member(name) else { return true };
                if is_bad_null(member, inner) {
                    match &inner.default {
                        Some(value) => *member = value.clone(),
                        None => return false,
                    }
                }
                default(member, inner);
                true
            });
        }
        _ => {}
    }
}

/// Whether [`default`] would leave the value as it is.
pub(super) fn is_defaulted(value: &Value, schema: &Schema) -> bool {
    match value {
        Value::Array(items) => schema.items.as_deref().is_none_or(|inner| {
            items.iter().all(|item| (inner.default.is_none() || !is_bad_null(item, inner)) && is_defaulted(item, inner))
        }),
        Value::Object(members) => {
            schema.properties.iter().all(|(name, inner)| inner.default.is_none() || members.contains_key(name))
                && members.iter().all(|(name, member)| {
                    schema.member(name).is_none_or(|inner| !is_bad_null(member, inner) && is_defaulted(member, inner))
                })
        }
        _ => true,
    }
}

fn is_bad_null(value: &Value, schema: &Schema) -> bool {
    value.is_null() && !schema.nullable
}
