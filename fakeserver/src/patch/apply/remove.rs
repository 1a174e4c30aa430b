//! Removing paths from a value.
//!
//! Counterpart: structured-merge-diff `typed/remove.go`.

use super::path::PathElement;
use super::set::Set;
use super::typed::{Case, Ty};
use serde_json::Value;

/// Takes the paths of `gone` out of a value. What loses all its content becomes null, and so does anything owned as
/// a whole that has a path below it removed.
pub(super) fn remove(value: &mut Value, gone: &Set<'_>, ty: Ty<'_>) {
    if gone.is_empty() {
        return;
    }
    match (ty.case(value), &mut *value) {
        (Case::Scalar, _) => return,
        (case, _) if ty.is_atomic(case) => *value = Value::Null,
        (Case::Map, Value::Object(map)) => map.retain(|name, member| {
            let Some(node) = gone.node(&PathElement::Field(name)) else { return true };
            if !node.member {
                remove(member, &node.children, ty.field(name).unwrap_or(Ty::Deduced));
            }
            !node.member
        }),
        (Case::List, Value::Array(items)) => items.retain_mut(|item| {
            let Ok(element) = ty.element(item) else { return true };
            let Some(node) = gone.node(&element) else { return true };
            if !node.member {
                remove(item, &node.children, ty.item());
            }
            !node.member
        }),
        _ => *value = Value::Null,
    }
    if value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty) {
        *value = Value::Null;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Schema;
    use super::super::fields_v1::from_fields_v1;
    use super::*;
    use rehearsal_apimachinery::{Catalog, GroupVersionKind};
    use serde_json::json;

    fn removed(value: Value, gone: &Value) -> Value {
        let catalog = Catalog::builtin();
        let ty = Schema::new(&catalog.types, catalog.type_of(&GroupVersionKind::new("", "v1", "Service"))).ty();
        let mut out = value;
        remove(&mut out, &from_fields_v1(gone).unwrap(), ty);
        out
    }

    #[test]
    fn items_and_members_go_one_by_one() {
        let service = json!({"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81}], "type": "NodePort"}});
        let gone = json!({"f:spec": {"f:type": {}, "f:ports": {
            "k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:name": {}},
            "k:{\"port\":81,\"protocol\":\"TCP\"}": {},
        }}});
        assert_eq!(removed(service, &gone), json!({"spec": {"ports": [{"port": 80}]}}));
    }

    #[test]
    fn what_is_emptied_and_what_is_owned_whole_becomes_null() {
        let service = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"selector": {"a": "1"}, "type": "x"}});
        let gone = json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:selector": {"f:a": {}}}});
        let want = json!({"metadata": {"labels": null}, "spec": {"selector": null, "type": "x"}});
        assert_eq!(removed(service, &gone), want);
    }
}
