//! The empty object of a kind, against which a created object is compared.
//!
//! Counterpart: the zero value of the Go struct as it serialises. Members without `omitempty`, and struct values in
//! any case, are there from the start; so their creator does not come to own them as such. A custom resource has no
//! Go struct and starts from nothing.

use crate::patch::apply::Schema;
use rehearsal_apimachinery::catalog::{Field, Form, Shape, TypeDef, Types};
use serde_json::{Map, Value, json};

/// The empty object.
pub(super) fn empty_object(schema: &Schema<'_>) -> Value {
    match schema.root {
        Some(root) => zero_struct(schema.types, &schema.types[root]),
        None => Value::Object(Map::new()),
    }
}

fn zero_struct(types: &Types, def: &TypeDef) -> Value {
    let members = def.fields.iter().filter_map(|f| Some((f.name.clone(), zero_member(types, f)?)));
    Value::Object(members.collect())
}

/// `None` where Go leaves the zero value out.
fn zero_member(types: &Types, field: &Field) -> Option<Value> {
    let from_go = !field.go_type.is_empty();
    if !from_go || field.omit_zero {
        return None;
    }
    match &field.shape {
        Shape::Named { id, .. } if !field.pointer => Some(zero_named(types, &types[*id])),
        _ if field.omit_empty => None,
        _ if field.pointer => Some(Value::Null),
        Shape::String => Some("".into()),
        Shape::Bool => Some(false.into()),
        Shape::Int32 | Shape::Int64 | Shape::Double => Some(0.into()),
        Shape::Bytes | Shape::List { .. } | Shape::Map { .. } | Shape::Named { .. } | Shape::Any => Some(Value::Null),
    }
}

fn zero_named(types: &Types, def: &TypeDef) -> Value {
    match def.form {
        Form::Struct => zero_struct(types, def),
        Form::Quantity => json!("0"),
        Form::IntOrString => json!(0),
        Form::Duration => json!("0s"),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rehearsal_apimachinery::{Catalog, GroupVersionKind};

    #[test]
    fn an_empty_deployment_has_its_struct_values_and_required_members() {
        let catalog = Catalog::builtin();
        let root = catalog.type_of(&GroupVersionKind::new("apps", "v1", "Deployment"));
        let want = json!({
            "metadata": {},
            "spec": {"selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": null}}},
            "status": {},
        });
        assert_eq!(empty_object(&Schema::new(&catalog.types, root)), want);
    }
}
