//! Dropping what the schema does not know.
//!
//! Counterpart: apiextensions-apiserver `apiserver/schema/pruning`.

use super::structural::{Additional, Schema};
use serde_json::Value;

/// Members every resource has, which the schema need not name.
const TYPE_META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops unknown members in place and reports their paths, in key order. `resource`: the value is a whole object.
pub(super) fn prune(value: &mut Value, schema: &Schema, resource: bool, dropped: &mut Vec<String>) {
    walk(value, schema, resource || schema.embedded, &mut String::new(), dropped);
}

fn walk(value: &mut Value, schema: &Schema, resource: bool, path: &mut String, dropped: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            let Some(inner) = &schema.items else { return };
            for (i, item) in items.iter_mut().enumerate() {
                below(path, &format!("[{i}]"), |path| walk(item, inner, inner.embedded, path, dropped));
            }
        }
        Value::Object(members) => members.retain(|key, member| {
            if resource && TYPE_META.contains(&key.as_str()) {
                return true;
            }
            let step = if path.is_empty() { key.clone() } else { format!(".{key}") };
            let Some(inner) = schema.member(key) else {
                if schema.preserve_unknown || matches!(schema.additional, Additional::Allowed(true)) {
                    return true;
                }
                dropped.push(format!("{path}{step}"));
                return false;
            };
            below(path, &step, |path| walk(member, inner, inner.embedded, path, dropped));
            true
        }),
        _ => {}
    }
}

fn below(path: &mut String, step: &str, work: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push_str(step);
    work(path);
    path.truncate(length);
}

/// Whether pruning would leave the value as it is.
pub(super) fn is_pruned(value: &Value, schema: &Schema, resource: bool) -> bool {
    match value {
        Value::Array(items) => match &schema.items {
            Some(inner) => items.iter().all(|item| is_pruned(item, inner, inner.embedded)),
            None => true,
        },
        Value::Object(members) => members.iter().all(|(key, member)| match schema.member(key) {
            _ if resource && TYPE_META.contains(&key.as_str()) => true,
            Some(inner) => is_pruned(member, inner, inner.embedded),
            None => schema.preserve_unknown || matches!(schema.additional, Additional::Allowed(true)),
        }),
        _ => true,
    }
}
