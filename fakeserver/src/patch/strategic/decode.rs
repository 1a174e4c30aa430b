//! What a strategically merged document must be to go into its Go struct.
//!
//! Counterpart: apimachinery `runtime/converter.go` (`FromUnstructured`), which words its refusals unlike the JSON
//! decoder that all other patches go through. Types with an `UnmarshalJSON` of their own are left to that decoder.

use super::go_type;
use rehearsal_apimachinery::catalog::{Form, Shape, TypeId, Types};
use serde_json::Value;

/// Looks for the first value that does not go into its type, in the order of the Go struct's members.
///
/// # Errors
/// The converter's text, such as `cannot convert int64 to string`.
pub fn convertible(value: &Value, types: &Types, root: TypeId) -> Result<(), String> {
    named(value, types, root)
}

fn named(value: &Value, types: &Types, id: TypeId) -> Result<(), String> {
    let def = &types[id];
    if def.form != Form::Struct {
        return Ok(());
    }
    let Value::Object(members) = value else { return Err(format!("cannot restore struct from: {}", kind(value))) };
    let mut fields = def.fields.iter().filter_map(|field| Some((field, members.get(&field.name)?)));
    fields.try_for_each(|(field, member)| check(member, types, &field.shape, field.go_type.trim_start_matches('*')))
}

fn check(value: &Value, types: &Types, shape: &Shape, go: &str) -> Result<(), String> {
    if value.is_null() {
        return Ok(());
    }
    match (shape, value) {
        (Shape::Any, _) | (Shape::Bytes | Shape::String, Value::String(_)) | (Shape::Bool, Value::Bool(_)) => Ok(()),
        (Shape::Named { id, .. }, _) => named(value, types, *id),
        (Shape::List { items, .. }, Value::Array(list)) => {
            let go = go.strip_prefix("[]").unwrap_or_default();
            list.iter().try_for_each(|item| check(item, types, items, go))
        }
        (Shape::Map { values, .. }, Value::Object(map)) => {
            let go = go.strip_prefix("map[string]").unwrap_or_default();
            map.values().try_for_each(|member| check(member, types, values, go))
        }
        (Shape::List { .. } | Shape::Bytes, _) => Err(format!("cannot restore slice from {}", kind(value))),
        (Shape::Map { .. }, _) => Err(format!("cannot restore map from {}", kind(value))),
        (Shape::Double, Value::Number(_)) => Ok(()),
        (Shape::Int32 | Shape::Int64, Value::Number(n)) if n.as_f64().is_none_or(|f| f == f.trunc()) => Ok(()),
        (Shape::Int32 | Shape::Int64, Value::Number(_)) => Err(unconvertible(value, shape, go)),
        (Shape::String, Value::Number(n)) if !n.is_f64() => Err(unconvertible(value, shape, go)),
        _ => Err(format!("unrecognized type: {}", base(shape))),
    }
}

fn unconvertible(value: &Value, shape: &Shape, go: &str) -> String {
    let go = if go.is_empty() { base(shape) } else { go };
    format!("cannot convert {} to {go}", go_type(value))
}

/// Go's `reflect.Kind` of the target.
fn base(shape: &Shape) -> &'static str {
    match shape {
        Shape::Bool => "bool",
        Shape::Int32 => "int32",
        Shape::Int64 => "int64",
        Shape::Double => "float64",
        _ => "string",
    }
}

/// Go's `reflect.Kind` of the value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
        other => go_type(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rehearsal_apimachinery::{Catalog, GroupVersionKind};
    use serde_json::json;

    fn refusal(group: &str, kind: &str, value: &Value) -> String {
        let catalog = Catalog::builtin();
        let root = catalog.type_of(&GroupVersionKind::new(group, "v1", kind)).unwrap();
        convertible(value, &catalog.types, root).err().unwrap_or_default()
    }

    #[test]
    fn refusals_are_worded_by_the_converter_not_by_the_json_decoder() {
        assert_eq!(refusal("", "ConfigMap", &json!({"data": {"a": 5}})), "cannot convert int64 to string");
        assert_eq!(refusal("", "ConfigMap", &json!({"data": {"a": 1.5}})), "unrecognized type: string");
        assert_eq!(refusal("", "ConfigMap", &json!({"data": "x"})), "cannot restore map from string");
        assert_eq!(refusal("", "ConfigMap", &json!({"immutable": "x"})), "unrecognized type: bool");
        assert_eq!(refusal("", "Pod", &json!({"spec": 1})), "cannot restore struct from: int64");
        assert_eq!(refusal("", "Pod", &json!({"spec": {"containers": {}}})), "cannot restore slice from map");
        assert_eq!(
            refusal("apps", "Deployment", &json!({"spec": {"replicas": 1.5}})),
            "cannot convert float64 to int32"
        );
        assert_eq!(refusal("apps", "Deployment", &json!({"spec": {"replicas": "x"}})), "unrecognized type: int32");
    }

    #[test]
    fn what_fits_and_what_has_its_own_decoder_passes() {
        assert_eq!(refusal("apps", "Deployment", &json!({"spec": {"replicas": 2.0, "template": null}})), "");
        assert_eq!(refusal("", "ResourceQuota", &json!({"spec": {"hard": {"cpu": "lots"}}})), "");
    }
}
