//! Objects reduced to their metadata: `PartialObjectMetadata` and its list.
//!
//! Counterpart: apimachinery `meta.AsPartialObjectMetadata` and the apiserver's `handlers/response.go`.

use super::wire;
use crate::catalog::ResourceInfo;
use rehearsal_apimachinery::status::{Status, StatusReason};
use serde_json::{Value, json};

/// An object reduced to its metadata. `version` is `v1` or `v1beta1`.
#[must_use]
pub fn partial_object(object: &Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

/// A list reduced to the metadata of its items. An empty one has `items: null`, as the real server writes it.
#[must_use]
pub fn partial_list<'a>(list_meta: &Value, items: impl IntoIterator<Item = &'a Value>, version: &str) -> Value {
    let items: Vec<Value> = items.into_iter().map(|item| partial_object(item, version)).collect();
    json!({
        "kind": "PartialObjectMetadataList",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": list_meta,
        "items": if items.is_empty() { Value::Null } else { Value::Array(items) },
    })
}

/// A partial object or list of them as compact JSON in wire order, which the built-in types do not know of.
#[must_use]
pub fn to_json(partial: &Value) -> Vec<u8> {
    let head = |kind: &str| {
        let member = |key: &str| wire::text(partial.get(key).and_then(Value::as_str).unwrap_or_default());
        let metadata = wire::typed(partial.get("metadata").unwrap_or(&Value::Null), kind);
        [("kind", member("kind")), ("apiVersion", member("apiVersion")), ("metadata", metadata)]
    };
    let Some(items) = partial.get("items") else {
        return wire::object(head("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"));
    };
    let [kind, api_version, metadata] = head("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta");
    let items = match items.as_array() {
        Some(items) => wire::list(items.iter().map(to_json)),
        None => b"null".to_vec(),
    };
    wire::object([kind, api_version, metadata, ("items", items)])
}

/// The 406 to a request for `PartialObjectMetadata` where the answer is a list.
#[must_use]
pub fn refuse_list(info: &ResourceInfo) -> Status {
    let text = format!(
        "you requested PartialObjectMetadata, but the requested object is a list (*{})",
        go_type(info, &info.list_kind, "UnstructuredList")
    );
    Status::failure(406, StatusReason::NotAcceptable, text)
}

/// The 406 to a request for `PartialObjectMetadataList` where the answer is a single object.
#[must_use]
pub fn refuse_object(info: &ResourceInfo) -> Status {
    let text = format!(
        "you requested PartialObjectMetadataList, but the requested object is not a list (*{})",
        go_type(info, &info.kind, "Unstructured")
    );
    Status::failure(406, StatusReason::NotAcceptable, text)
}

/// The Go type that the real server holds the answer in: its internal types live in packages named after groups.
fn go_type(info: &ResourceInfo, kind: &str, custom: &str) -> String {
    if info.custom {
        return format!("unstructured.{custom}");
    }
    let package = match info.storage.group.split('.').next() {
        None | Some("") => "core",
        Some(first) => first,
    };
    format!("{package}.{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_metadata_is_left_of_an_object() {
        let object = json!({"kind": "Pod", "metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {}});
        assert_eq!(
            partial_object(&object, "v1"),
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"name": "a", "labels": {"x": "y"}}})
        );
    }

    #[test]
    fn partial_objects_come_in_wire_order() {
        let object = json!({"metadata": {"name": "a", "labels": {"x": "<"}, "namespace": "n"}});
        let list = partial_list(&json!({"resourceVersion": "5"}), [&object], "v1");
        assert_eq!(
            String::from_utf8(to_json(&list)).unwrap(),
            r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"5"},"items":[{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a","namespace":"n","labels":{"x":"\u003c"}}}]}"#
        );
    }

    #[test]
    fn refusals_name_the_internal_type() {
        let table = crate::catalog::ResourceTable::builtin();
        let of = |group: &str, resource: &str| table.lookup(group, "v1", resource).unwrap();
        assert_eq!(
            refuse_list(&of("", "configmaps")).message,
            "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)"
        );
        assert_eq!(
            refuse_object(&of("rbac.authorization.k8s.io", "roles")).message,
            "you requested PartialObjectMetadataList, but the requested object is not a list (*rbac.Role)"
        );
        assert!(refuse_object(&of("events.k8s.io", "events")).message.ends_with("(*core.Event)"));
    }

    #[test]
    fn an_empty_list_has_null_items() {
        let list = partial_list(&json!({"resourceVersion": "5"}), [], "v1");
        assert_eq!(list["items"], Value::Null);
        assert_eq!(list["metadata"]["resourceVersion"], "5");
    }
}
