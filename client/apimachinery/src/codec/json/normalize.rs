//! What a Go round trip leaves of an object: zero values dropped where `omitempty` says so, written where it does not.
//!
//! Counterpart: the tags of `k8s.io/api` as `encoding/json` applies them, after a round trip through protobuf storage.

use super::conform::{SchemaOther, schema_or};
use crate::catalog::{Field, Form, Shape, TypeDef, TypeId, Types};
use serde_json::{Map, Value};

/// Normalises an object of a type in place. Idempotent. Values that do not fit the type are left alone.
pub fn normalize(value: &mut Value, types: &Types, root: TypeId) {
    named(value, types, &types[root]);
}

fn named(value: &mut Value, types: &Types, def: &TypeDef) {
    match (def.form, value) {
        (Form::Struct, Value::Object(members)) => structure(members, types, def),
        (Form::Struct, value @ Value::Null) => {
            let mut members = Map::new();
            structure(&mut members, types, def);
            *value = Value::Object(members);
        }
        (Form::SchemaOr, value) => schema(value, types, def),
        _ => {}
    }
}

fn schema(value: &mut Value, types: &Types, def: &TypeDef) {
    let (id, other) = schema_or(def, Some(types));
    match (value, other) {
        (Value::Object(members), _) => {
            if let Some(id) = id {
                structure(members, types, &types[id]);
            }
        }
        (Value::Array(items), SchemaOther::Schemas(shape)) => {
            items.iter_mut().for_each(|item| self::shape(item, types, &shape));
        }
        _ => {}
    }
}

fn shape(value: &mut Value, types: &Types, shape: &Shape) {
    match (shape, value) {
        (Shape::Named { id, .. }, value) => named(value, types, &types[*id]),
        (Shape::List { items, .. }, Value::Array(list)) if deep(items) => {
            list.iter_mut().for_each(|item| self::shape(item, types, items));
        }
        (Shape::Map { values, .. }, Value::Object(map)) if deep(values) => {
            map.values_mut().for_each(|v| self::shape(v, types, values));
        }
        _ => {}
    }
}

/// Whether anything inside such values can be normalised.
fn deep(shape: &Shape) -> bool {
    match shape {
        Shape::Named { .. } => true,
        Shape::List { items, .. } => deep(items),
        Shape::Map { values, .. } => deep(values),
        _ => false,
    }
}

fn structure(members: &mut Map<String, Value>, types: &Types, def: &TypeDef) {
    members.retain(|name, value| match def.field(name) {
        None => def.preserve_unknown,
        Some(field) => member(value, types, field),
    });
    for field in def.fields.iter().filter(|f| always_printed(f, types)) {
        if !members.contains_key(&field.name) {
            members.insert(field.name.clone(), zero(types, field));
        }
    }
}

/// Normalises a member that is there and tells whether it stays.
fn member(value: &mut Value, types: &Types, field: &Field) -> bool {
    if field.pointer {
        if value.is_null() {
            return !field.omit_empty;
        }
        shape(value, types, &field.shape);
        return true;
    }
    if value.is_null() {
        if !always_printed(field, types) {
            return matches!(field.shape, Shape::Any);
        }
        *value = zero(types, field);
        return true;
    }
    shape(value, types, &field.shape);
    if !field.omit_empty && matches!(field.shape, Shape::List { .. } | Shape::Map { .. }) && empty(value, &field.shape)
    {
        // Storage is protobuf, which cannot tell an empty list from none.
        *value = Value::Null;
    }
    !(field.omit_empty && empty(value, &field.shape) || field.omit_zero && is_zero(value, types, &field.shape))
}

/// Whether Go's `omitempty` drops the value; structs never are.
fn empty(value: &Value, shape: &Shape) -> bool {
    match shape {
        Shape::Named { .. } | Shape::Any => false,
        _ => match value {
            Value::Null => true,
            Value::Bool(b) => !b,
            Value::Number(n) => n.as_f64() == Some(0.0),
            Value::String(s) => s.is_empty(),
            Value::Array(a) => a.is_empty(),
            Value::Object(o) => o.is_empty(),
        },
    }
}

/// Whether Go's `omitzero` drops the value.
fn is_zero(value: &Value, types: &Types, shape: &Shape) -> bool {
    match (shape, value) {
        (_, Value::Null) => true,
        (Shape::Named { id, .. }, Value::Object(members)) => {
            let def = &types[*id];
            members.iter().all(|(name, v)| def.field(name).is_some_and(|f| !f.pointer && is_zero(v, types, &f.shape)))
        }
        (Shape::List { .. } | Shape::Map { .. } | Shape::Named { .. }, _) => false,
        _ => empty(value, shape),
    }
}

/// Whether Go prints the member even when it is zero.
fn always_printed(field: &Field, types: &Types) -> bool {
    if field.omit_zero {
        return false;
    }
    if !field.omit_empty {
        return true;
    }
    match &field.shape {
        Shape::Named { id, .. } => !field.pointer && !types[*id].proto_only,
        _ => false,
    }
}

/// What Go prints for a zero member.
fn zero(types: &Types, field: &Field) -> Value {
    if field.pointer {
        return Value::Null;
    }
    match &field.shape {
        Shape::String => Value::String(String::new()),
        Shape::Bool => Value::Bool(false),
        Shape::Int32 | Shape::Int64 | Shape::Double => Value::from(0),
        Shape::Named { id, .. } => {
            let def = &types[*id];
            match def.form {
                Form::Struct => {
                    let mut members = Map::new();
                    structure(&mut members, types, def);
                    Value::Object(members)
                }
                Form::Quantity => Value::from("0"),
                Form::IntOrString => Value::from(0),
                Form::Duration => Value::from("0s"),
                Form::SchemaOr if def.name.ends_with("OrBool") => Value::Bool(false),
                _ => Value::Null,
            }
        }
        Shape::Bytes | Shape::List { .. } | Shape::Map { .. } | Shape::Any => Value::Null,
    }
}
