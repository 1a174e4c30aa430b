//! Kubernetes protobuf as a codec of the client: built-in kinds only, driven by the type catalogue.
//!
//! Counterpart: apimachinery `runtime/serializer/protobuf`. Kinds that are not built in have no protobuf form, and
//! members newer than the catalogue have no number; requests that carry either fall back to JSON.

use super::{MEDIA_PROTOBUF, ObjectCodec};
use rehearsal_apimachinery::catalog::{Form, Shape, TypeId};
use rehearsal_apimachinery::codec::protobuf::{decode_object, encode_object, type_of};
use rehearsal_apimachinery::{Catalog, GroupVersion};
use serde_json::Value;

/// Protobuf in its `k8s\0` envelope. The catalogue is loaded when the first object is read or written.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProtobufCodec;

impl ObjectCodec for ProtobufCodec {
    fn media_type(&self) -> &str {
        MEDIA_PROTOBUF
    }

    fn encode(&self, object: &Value) -> Result<Vec<u8>, String> {
        encode_object(object, Catalog::builtin()).map_err(|e| e.to_string())
    }

    fn decode(&self, body: &[u8]) -> Result<Value, String> {
        decode_object(body, Catalog::builtin()).map_err(|e| e.to_string())
    }

    fn holds(&self, object: &Value) -> bool {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let id = type_named(text("apiVersion"), text("kind"));
        id.is_some_and(|id| all_known(&Shape::Named { id, atomic: false }, object))
    }
}

impl ProtobufCodec {
    /// Whether a kind is built in.
    #[must_use]
    pub fn knows(self, api_version: &str, kind: &str) -> bool {
        type_named(api_version, kind).is_some()
    }
}

fn type_named(api_version: &str, kind: &str) -> Option<TypeId> {
    type_of(&GroupVersion::parse(api_version)?.kind(kind), Catalog::builtin())
}

/// Whether the catalogue has every member of a value. Its depth is that of the catalogue's types and of the value.
fn all_known(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (Shape::Named { id, .. }, Value::Object(members)) => {
            let def = &Catalog::builtin().types[*id];
            let known = |(name, value): (&String, &Value)| match def.field(name) {
                Some(field) => all_known(&field.shape, value),
                None => value.is_null(),
            };
            def.form != Form::Struct || members.iter().all(known)
        }
        (Shape::List { items, .. }, Value::Array(values)) => values.iter().all(|value| all_known(items, value)),
        (Shape::Map { values, .. }, Value::Object(members)) => members.values().all(|value| all_known(values, value)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn built_in_objects_return_as_they_were_sent() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
            "spec": {"containers": [{"name": "a", "image": "nginx", "resources": {"limits": {"cpu": "100m"}}}]}});
        let bytes = ProtobufCodec.encode(&pod).unwrap();
        assert!(bytes.starts_with(b"k8s\0"));
        let back = ProtobufCodec.decode(&bytes).unwrap();
        assert_eq!(back["spec"]["containers"][0]["resources"]["limits"]["cpu"], "100m");
        assert_eq!((&back["kind"], &back["apiVersion"]), (&json!("Pod"), &json!("v1")));
    }

    #[test]
    fn only_built_in_kinds_are_known() {
        assert!(ProtobufCodec.knows("apps/v1", "Deployment"));
        assert!(ProtobufCodec.knows("v1", "Status"));
        assert!(ProtobufCodec.knows("v1", "DeleteOptions"));
        assert!(ProtobufCodec.knows("meta.k8s.io/v1", "PartialObjectMetadata"));
        assert!(!ProtobufCodec.knows("demo.io/v1", "Widget"));
        assert!(!ProtobufCodec.knows("a/b/c", "Widget"));
        assert!(ProtobufCodec.encode(&json!({"apiVersion": "demo.io/v1", "kind": "Widget"})).is_err());
    }

    #[test]
    fn what_would_be_lost_is_not_held() {
        let pod =
            |spec: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}}, "spec": spec});
        let probe = json!({"containers": [{"name": "a", "livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1}}],
            "volumes": [{"name": "v", "configMap": {"name": "c"}}], "nodeName": null});
        assert!(ProtobufCodec.holds(&pod(probe)));
        assert!(!ProtobufCodec.holds(&pod(json!({"containers": [{"name": "a", "newerThanUs": 1}]}))));
        assert!(!ProtobufCodec.holds(&json!({"apiVersion": "demo.io/v1", "kind": "Widget"})));
        assert!(!ProtobufCodec.holds(&json!([])));
        let revision =
            json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {"any": [1]}});
        assert!(ProtobufCodec.holds(&revision));
    }

    #[test]
    fn bytes_that_are_no_protobuf_are_refused() {
        for bytes in [&b""[..], b"{}", b"k8s\0", b"k8s\0\xff"] {
            assert!(ProtobufCodec.decode(bytes).is_err(), "{bytes:?}");
        }
    }
}
