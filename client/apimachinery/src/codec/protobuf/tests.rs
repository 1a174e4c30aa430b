//! Protobuf of every kind: round trips, bytes of the real server, refusals.

use super::*;
use crate::catalog::{Catalog, TypeId};
use crate::codec::json;
use crate::gvk::GroupVersionKind;
use crate::testing;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

fn catalog() -> &'static Catalog {
    Catalog::builtin()
}

fn id(name: &str) -> TypeId {
    catalog().types.id(name).unwrap()
}

fn message(value: &Value, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode_message(value, &catalog().types, id(name), &mut out);
    out
}

fn read(raw: &[u8], name: &str) -> Result<Value, ProtobufError> {
    decode_message(raw, &catalog().types, id(name))
}

fn refusal(raw: &[u8], name: &str) -> String {
    read(raw, name).unwrap_err().to_string()
}

const CONFIG_MAP: &str = "io.k8s.api.core.v1.ConfigMap";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const SERVICE_PORT: &str = "io.k8s.api.core.v1.ServicePort";
const SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

// === bytes of a real server and of real clients ===

#[test]
fn bodies_of_the_transcripts_are_read() {
    let decode = |text: &str| decode_object(&STANDARD.decode(text).unwrap(), catalog()).unwrap();
    assert_eq!(
        decode("azhzAAoPCgJ2MRIJQ29uZmlnTWFwEikKFgoCcGJaEAoEZnJvbRIIcHJvdG9idWYSBgoBaxIBdhoHCgFiEgIBAg=="),
        json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "pb", "labels": {"from": "protobuf"}},
               "data": {"k": "v"}, "binaryData": {"b": "AQI="}})
    );
    assert_eq!(
        decode("azhzAAoPCgJ2MRIJQ29uZmlnTWFwEhYKBAoCcGISDAoBaxIHY2hhbmdlZCAB"),
        json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "pb"}, "data": {"k": "changed"}, "immutable": true})
    );
    assert_eq!(
        decode("azhzAAoTCgJ2MRINRGVsZXRlT3B0aW9ucxIFKgNBbGw="),
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]})
    );
}

#[test]
fn answers_begin_as_the_real_servers_do() {
    for (kind, start) in [
        ("ConfigMap", "azhzAAoPCgJ2MRIJQ29uZmlnTWFw"),
        ("ConfigMapList", "azhzAAoTCgJ2MRINQ29uZmlnTWFwTGlz"),
        ("Status", "azhzAAoMCgJ2MRIGU3RhdHVz"),
    ] {
        let bytes = encode_object(&json!({"kind": kind, "apiVersion": "v1"}), catalog()).unwrap();
        assert!(STANDARD.encode(bytes).starts_with(start), "{kind}");
    }
}

#[test]
fn empty_delete_options_take_36_bytes() {
    let options = json!({"kind": "DeleteOptions", "apiVersion": "apps/v1"});
    let bytes = encode_object(&options, catalog()).unwrap();
    assert_eq!(bytes, b"k8s\0\x0a\x18\x0a\x07apps/v1\x12\x0dDeleteOptions\x12\0\x1a\0\x22\0");
    assert_eq!(bytes.len(), 36);
    assert_eq!(decode_object(&bytes, catalog()), Ok(options));
}

#[test]
fn a_refusal_is_written_as_go_writes_it() {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "no",
                        "reason": "Forbidden", "details": {"kind": "pods"}, "code": 403});
    let want = b"k8s\0\n\x0c\n\x02v1\x12\x06Status\x12\x33\n\x06\n\0\x12\0\x1a\0\x12\x07Failure\x1a\x02no\
        \x22\x09Forbidden*\x0e\n\0\x12\0\x1a\x04pods(\x002\x000\x93\x03\x1a\0\x22\0";
    assert_eq!(encode_object(&status, catalog()).unwrap(), want);
}

#[test]
fn zeros_are_written_where_go_has_no_pointer() {
    assert_eq!(message(&json!({}), OBJECT_META), b"\n\0\x12\0\x1a\0\x22\0*\x002\x008\0B\0");
    assert_eq!(message(&json!({}), CONFIG_MAP), b"\n\x10\n\0\x12\0\x1a\0\x22\0*\x002\x008\0B\0");
    // A pointer is written only when it is there, but then even when it is zero.
    assert_eq!(message(&json!({"immutable": false}), CONFIG_MAP)[18..], *b"\x20\0");
    assert_eq!(
        message(&json!({"data": {"b": "", "a": "1"}}), CONFIG_MAP)[18..],
        *b"\x12\x06\n\x01a\x12\x011\x12\x05\n\x01b\x12\0"
    );
}

// === special forms ===

#[test]
fn special_forms_have_their_own_bytes() {
    const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
    let port = |target: Value| message(&json!({"targetPort": target}), SERVICE_PORT);
    let prefix = b"\n\0\x12\0\x18\0";
    let table: Vec<(Vec<u8>, &[u8])> = vec![
        (port(json!(80)), b"\x22\x06\x08\0\x10\x50\x1a\0\x28\0"),
        (port(json!("web")), b"\x22\x09\x08\x01\x10\0\x1a\x03web\x28\0"),
        (port(Value::Null), b"\x22\x06\x08\0\x10\0\x1a\0\x28\0"),
    ];
    for (got, want) in table {
        assert_eq!(got, [prefix, want].concat());
    }
    let meta = message(&json!({"creationTimestamp": "2024-01-01T00:00:00Z"}), OBJECT_META);
    assert_eq!(meta[14..], *b"B\x08\x08\x80\x81\xc8\xac\x06\x10\0");
    let lease = message(&json!({"renewTime": "1970-01-01T00:00:01.000002Z"}), "io.k8s.api.coordination.v1.LeaseSpec");
    assert_eq!(lease, b"\x22\x05\x08\x01\x10\xd0\x0f");
    let limits = message(&json!({"limits": {"cpu": "100m"}}), "io.k8s.api.core.v1.ResourceRequirements");
    assert_eq!(limits, b"\n\x0d\n\x03cpu\x12\x06\n\x04100m");
    let fields = message(&json!({"fieldsV1": {"f:a": {}}}), &format!("{META}ManagedFieldsEntry"));
    assert_eq!(fields, b"\n\0\x12\0\x1a\x002\0:\x0c\n\x0a{\"f:a\":{}}B\0");
    let revision = message(&json!({"data": {"x": 1}}), "io.k8s.api.apps.v1.ControllerRevision");
    assert_eq!(revision[18..], *b"\x12\x09\n\x07{\"x\":1}\x18\0");
    let user = message(&json!({"extra": {"a": ["x", "y"]}}), "io.k8s.api.authentication.v1.UserInfo");
    assert_eq!(user, b"\n\0\x12\0\x22\x0b\n\x01a\x12\x06\n\x01x\n\x01y");
    let resource = message(&json!({"verbs": ["get"]}), &format!("{META}APIResource"));
    assert_eq!(resource, b"\n\0\x10\0\x1a\0\x22\x05\n\x03get2\0B\0J\0R\0");
}

#[test]
fn flattened_members_have_messages_of_their_own() {
    let probe = message(&json!({"exec": {"command": ["x"]}, "periodSeconds": 5}), "io.k8s.api.core.v1.Probe");
    assert_eq!(probe, b"\n\x05\n\x03\n\x01x\x10\0\x18\0 \x05(\x000\0");
    let volume = message(&json!({"name": "v", "configMap": {"name": "c"}}), "io.k8s.api.core.v1.Volume");
    assert_eq!(volume, b"\n\x01v\x12\x08\x9a\x01\x05\n\x03\n\x01c");
    let rule = "io.k8s.api.admissionregistration.v1.NamedRuleWithOperations";
    let value = json!({"resourceNames": ["n"], "operations": ["*"], "apiGroups": ["g"]});
    assert_eq!(message(&value, rule), b"\n\x01n\x12\x08\n\x01*\x12\x03\n\x01g");
    assert_eq!(read(&message(&value, rule), rule), Ok(value));
}

#[test]
fn schemas_have_names_of_their_own() {
    let schema = json!({"$ref": "#/x", "items": [{"type": "string"}], "additionalProperties": true,
        "dependencies": {"a": ["b"], "c": {"type": "object"}}, "x-kubernetes-list-map-keys": ["k"],
        "x-kubernetes-preserve-unknown-fields": true, "default": {"a": 1}, "enum": [null, 1], "maximum": 1.5});
    let mut want = schema.clone();
    json::normalize(&mut want, &catalog().types, id(SCHEMA));
    assert_eq!(read(&message(&schema, SCHEMA), SCHEMA), Ok(want));
}

#[test]
fn zero_times_are_nothing_or_null() {
    assert_eq!(read(b"B\0", OBJECT_META), Ok(json!({})));
    let condition = read(b"\x22\0", "io.k8s.apimachinery.pkg.apis.meta.v1.Condition").unwrap();
    assert_eq!(condition["lastTransitionTime"], Value::Null);
    let beyond = b"B\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x10\0";
    assert_eq!(refusal(beyond, OBJECT_META), "Time.MarshalJSON: year outside of range [0,9999]");
}

#[test]
fn raw_extensions_hold_json_or_an_envelope() {
    let revision = "io.k8s.api.apps.v1.ControllerRevision";
    let inner =
        encode_object(&json!({"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]}), catalog()).unwrap();
    let wrap = |raw: &[u8]| {
        let mut w = Writer::new(0);
        w.nested(2, |w| w.bytes(1, raw));
        w.into_vec()
    };
    let data = |raw: &[u8]| read(&wrap(raw), revision).map(|v| v["data"].clone());
    assert_eq!(data(&inner), Ok(json!({"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]})));
    assert_eq!(data(br#"{"a": [1]}"#), Ok(json!({"a": [1]})));
    assert_eq!(data(b""), Ok(Value::Null));
    assert!(data(b"{").is_err());
    // Envelopes within envelopes end somewhere.
    let mut bytes = wrap(b"null");
    for _ in 0..200 {
        bytes = wrap(&encode_envelope("apps/v1", "ControllerRevision", &bytes));
    }
    assert_eq!(read(&bytes, revision), Err(ProtobufError::TooDeep));
}

// === what the wire allows ===

#[test]
fn unknown_members_and_groups_are_passed_over() {
    let raw = b"\xa2\x06\x03abc\x9b\x06\x08\x01\x9c\x06\x9d\x06\0\0\0\0\x99\x06\0\0\0\0\0\0\0\0\x0a\x03\n\x01x";
    assert_eq!(read(raw, CONFIG_MAP), Ok(json!({"metadata": {"name": "x"}})));
}

#[test]
fn later_values_win_and_messages_merge() {
    let raw = b"\n\x03\n\x01x\x20\x01\n\x06\n\x01y\x1a\x01n\x20\0\x12\x06\n\x01a\x12\x011\x12\x06\n\x01a\x12\x012";
    let want = json!({"metadata": {"name": "y", "namespace": "n"}, "immutable": false, "data": {"a": "2"}});
    assert_eq!(read(raw, CONFIG_MAP), Ok(want));
    assert_eq!(read(b"\n\x01x\n\0", OBJECT_META), Ok(json!({})));
}

#[test]
fn repeated_scalars_are_read_packed_or_not() {
    let name = "io.k8s.api.core.v1.PodSecurityContext";
    let groups = json!([1, 300]);
    assert_eq!(read(b"\x20\x01\x20\xac\x02", name).unwrap()["supplementalGroups"], groups);
    assert_eq!(read(b"\x22\x03\x01\xac\x02", name).unwrap()["supplementalGroups"], groups);
    assert_eq!(message(&json!({"supplementalGroups": groups}), name), b"\x20\x01\x20\xac\x02");
}

#[test]
fn negative_numbers_take_ten_bytes() {
    let raw = message(&json!({"terminationGracePeriodSeconds": -1}), "io.k8s.api.core.v1.PodSpec");
    assert!(raw.windows(11).any(|w| w == b"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    let scale = read(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "io.k8s.api.autoscaling.v1.ScaleSpec");
    assert_eq!(scale, Ok(json!({"replicas": -1})));
}

#[test]
fn map_entries_may_lack_either_half() {
    assert_eq!(read(b"\x12\x03\n\x01a", CONFIG_MAP).unwrap()["data"], json!({"a": ""}));
    assert_eq!(read(b"\x12\x03\x12\x01v", CONFIG_MAP).unwrap()["data"], json!({"": "v"}));
    assert_eq!(read(b"\x1a\x03\n\x01a", CONFIG_MAP).unwrap()["binaryData"], json!({"a": ""}));
}

#[test]
fn what_is_not_utf8_is_replaced() {
    assert_eq!(read(b"\n\x02a\xff", OBJECT_META), Ok(json!({"name": "a\u{fffd}"})));
}

#[test]
fn broken_messages_are_refused_as_generated_code_does() {
    for (raw, want) in [
        (b"\x08\x01".as_slice(), "proto: wrong wireType = 0 for field ObjectMeta"),
        (b"\n\x05\n", "unexpected EOF"),
        (b"\n\x02\x08\x01", "proto: wrong wireType = 0 for field Name"),
        (b"\x07", "proto: ConfigMap: illegal tag 0 (wire type 7)"),
        (b"\x0c", "proto: ConfigMap: wiretype end group for non-group"),
        (b"\xa6\x06", "proto: illegal wireType 6"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: integer overflow"),
    ] {
        assert_eq!(refusal(raw, CONFIG_MAP), want, "{raw:?}");
    }
}

#[test]
fn depth_is_limited() {
    let mut bytes = Vec::new();
    for _ in 0..1000 {
        let mut w = Writer::new(0);
        w.bytes(28, &bytes);
        bytes = w.into_vec();
    }
    assert_eq!(read(&bytes, SCHEMA), Err(ProtobufError::TooDeep));
}

// === the envelope ===

#[test]
fn envelopes_are_refused_in_gos_words() {
    let refusal = |bytes: &[u8]| decode_object(bytes, catalog()).unwrap_err().to_string();
    assert_eq!(refusal(b""), "empty data");
    assert_eq!(
        refusal(b"{}"),
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    );
    assert_eq!(refusal(b"k8s\0"), "empty body");
    assert_eq!(refusal(b"k8s\0\x08"), "proto: wrong wireType = 0 for field TypeMeta");
    assert_eq!(
        refusal(&encode_envelope("v1", "", b"")),
        r#"Object 'Kind' is missing in 'runtime.TypeMeta{APIVersion:"v1", Kind:""}'"#
    );
    assert_eq!(
        refusal(&encode_envelope("", "Pod", b"")),
        r#"Object 'apiVersion' is missing in 'runtime.TypeMeta{APIVersion:"", Kind:"Pod"}'"#
    );
    assert_eq!(
        refusal(&encode_envelope("v1", "Nope", b"")),
        r#"no kind "Nope" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30""#
    );
}

#[test]
fn an_expected_kind_fills_the_gaps() {
    let pod = GroupVersionKind::new("", "v1", "Pod");
    let value = decode_object_as(&encode_envelope("", "", b""), &pod, catalog()).unwrap();
    assert_eq!((&value["kind"], &value["apiVersion"]), (&json!("Pod"), &json!("v1")));
}

#[test]
fn kinds_that_openapi_does_not_name_are_known() {
    for (api_version, kind) in [
        ("meta.k8s.io/v1", "PartialObjectMetadata"),
        ("meta.k8s.io/v1", "PartialObjectMetadataList"),
        ("apidiscovery.k8s.io/v2", "APIGroupDiscoveryList"),
        ("v1", "List"),
        ("apps/v1", "CreateOptions"),
        ("autoscaling/v1", "Scale"),
        ("policy/v1", "Eviction"),
        ("v1", "Binding"),
        ("authentication.k8s.io/v1", "TokenRequest"),
    ] {
        let value = json!({"kind": kind, "apiVersion": api_version});
        let back = decode_object(&encode_object(&value, catalog()).unwrap(), catalog()).unwrap();
        assert_eq!(back["kind"], kind);
    }
    assert!(encode_object(&json!({"kind": "Foo", "apiVersion": "example.com/v1"}), catalog()).is_err());
    assert!(encode_object(&json!([]), catalog()).is_err());
}

#[test]
fn discovery_survives() {
    let value = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": [
        {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "freshness": "Current", "resources": [
            {"resource": "deployments", "responseKind": {"group": "", "version": "", "kind": "Deployment"},
             "scope": "Namespaced", "singularResource": "deployment", "verbs": ["get"],
             "subresources": [{"subresource": "x", "verbs": ["get"]}]}]}]}]});
    let back = decode_object(&encode_object(&value, catalog()).unwrap(), catalog()).unwrap();
    let resource = &back["items"][0]["versions"][0]["resources"][0];
    assert_eq!(resource["responseKind"]["kind"], "Deployment");
    assert_eq!(resource["subresources"][0].get("responseKind"), None);
}

#[test]
fn lists_are_the_same_from_items_as_from_a_value() {
    let items: Vec<Value> = (0..3).map(|i| json!({"metadata": {"name": format!("c{i}")}})).collect();
    let metadata = json!({"resourceVersion": "7"});
    let whole = json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": items});
    let gvk = GroupVersionKind::new("", "v1", "ConfigMapList");
    let bytes = encode_list(&gvk, &metadata, items.iter(), catalog()).unwrap();
    assert_eq!(bytes, encode_object(&whole, catalog()).unwrap());
    assert_eq!(bytes, encode_json(whole.to_string().as_bytes(), catalog()).unwrap());
    assert_eq!(decode_object(&bytes, catalog()), Ok(whole));
}

#[test]
fn lists_are_the_same_from_messages_made_before() {
    let items: Vec<Value> = (0..3)
        .map(|i| json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": format!("c{i}")}, "data": {"k": "v".repeat(i * 100)}}))
        .collect();
    let metadata = json!({"resourceVersion": "7", "continue": "x"});
    let gvk = GroupVersionKind::new("", "v1", "ConfigMapList");
    let root = catalog().type_of(&GroupVersionKind::new("", "v1", "ConfigMap")).unwrap();
    let messages: Vec<Vec<u8>> = items
        .iter()
        .flat_map(|item| {
            let message = encode_json_message(item.to_string().as_bytes(), root, catalog()).unwrap();
            [list_item_head(message.len()), message]
        })
        .collect();
    let (head, tail) = list_frame(&gvk, &metadata, messages.iter().map(Vec::len).sum(), catalog()).unwrap();
    let whole = encode_list(&gvk, &metadata, items.iter(), catalog()).unwrap();
    assert_eq!([head, messages.concat(), tail].concat(), whole);
}

// === every kind ===

/// A long string of bytes that looks random, from a seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

fn survives(id: TypeId, choices: &[u8]) {
    let value = testing::object(&catalog().types, id, choices);
    let bytes = encode_object(&value, catalog()).unwrap();
    let back = decode_object(&bytes, catalog()).unwrap();
    if back != value {
        let first = difference(&value, &back, "");
        panic!("{}: {first}", catalog().types[id].name);
    }
}

fn difference(a: &Value, b: &Value, path: &str) -> String {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys: std::collections::BTreeSet<_> = x.keys().chain(y.keys()).collect();
            let key = keys.into_iter().find(|k| x.get(*k) != y.get(*k)).unwrap();
            let (x, y) = (x.get(key), y.get(key));
            match (x, y) {
                (Some(x), Some(y)) => difference(x, y, &format!("{path}.{key}")),
                _ => format!("{path}.{key}: {x:?} became {y:?}"),
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            let i = (0..x.len()).find(|i| x[*i] != y[*i]).unwrap();
            difference(&x[i], &y[i], &format!("{path}[{i}]"))
        }
        _ => format!("{path}: {a} became {b}"),
    }
}

#[test]
fn rich_objects_of_every_kind_survive() {
    for id in testing::kinds(&catalog().types) {
        for seed in 1..4 {
            survives(id, &noise(seed * 77 + u64::from(id.0), 6000));
        }
    }
}

fn any_kind() -> impl Strategy<Value = TypeId> {
    let ids: Vec<_> = testing::kinds(&catalog().types).collect();
    (0..ids.len()).prop_map(move |i| ids[i])
}

// === straight into types ===

/// What a type sees is what it would see of the JSON value.
fn reads_alike(bytes: &[u8]) {
    match (decode_object(bytes, catalog()), deserialize_object::<Value>(bytes, catalog())) {
        (Ok(value), typed) => assert_eq!(typed, Ok(value)),
        (Err(_), Err(_)) => {}
        (Err(refused), Ok(value)) => panic!("{refused}, but {value}"),
    }
}

#[test]
fn types_are_read_without_a_value_in_between() {
    #[derive(serde::Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        name: Option<String>,
        labels: std::collections::BTreeMap<String, String>,
    }
    #[derive(serde::Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Map {
        api_version: String,
        metadata: Meta,
        immutable: Option<bool>,
        binary_data: Option<Value>,
    }
    let value = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a", "labels": {"k": "v", "l": ""}},
        "data": {"passed": "over"}, "immutable": false});
    let bytes = encode_object(&value, catalog()).unwrap();
    let map: Map = deserialize_object(&bytes, catalog()).unwrap();
    assert_eq!((map.api_version.as_str(), map.immutable, map.binary_data), ("v1", Some(false), None));
    let labels = [("k", "v"), ("l", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(map.metadata, Meta { name: Some("a".to_owned()), labels: labels.into() });
    let wrong = deserialize_object::<Vec<u8>>(&bytes, catalog()).unwrap_err();
    assert!(wrong.to_string().contains("a sequence"), "{wrong}");
}

#[test]
fn a_message_in_two_parts_is_merged_in_types_too() {
    let part = |value: Value| encode_object(&value, catalog()).unwrap();
    let one = part(json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "labels": {"a": "1"}},
        "spec": {"containers": [{"name": "c", "livenessProbe": {"exec": {"command": ["x"]}, "periodSeconds": 3}}]}}));
    let two = part(json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"namespace": "b", "labels": {"b": "2"}},
        "spec": {"containers": [{"name": "d"}], "nodeName": "n"}}));
    let raws = [&one, &two].map(|bytes| decode_envelope(bytes).unwrap().raw.to_vec()).concat();
    let bytes = encode_envelope("v1", "Pod", &raws);
    assert_eq!(decode_object(&bytes, catalog()).unwrap()["spec"]["containers"].as_array().unwrap().len(), 2);
    reads_alike(&bytes);
}

proptest! {
    #[test]
    fn types_see_what_the_json_says(id in any_kind(), choices in prop::collection::vec(any::<u8>(), 0..2000)) {
        reads_alike(&encode_object(&testing::object(&catalog().types, id, &choices), catalog()).unwrap());
    }

    #[test]
    fn types_see_what_the_json_says_of_mutated_messages(
        id in any_kind(),
        seed in any::<u64>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let value = testing::object(&catalog().types, id, &noise(seed, 1500));
        let mut bytes = encode_object(&value, catalog()).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        reads_alike(&bytes);
    }

    #[test]
    fn objects_of_every_kind_survive(id in any_kind(), choices in prop::collection::vec(any::<u8>(), 0..2000)) {
        survives(id, &choices);
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(id in any_kind(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_message(&bytes, &catalog().types, id);
        let _ = decode_object(&bytes, catalog());
        let _ = decode_object(&[&MAGIC, bytes.as_slice()].concat(), catalog());
    }

    #[test]
    fn mutated_messages_are_read_or_refused(
        id in any_kind(),
        seed in any::<u64>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let value = testing::object(&catalog().types, id, &noise(seed, 1500));
        let mut bytes = encode_object(&value, catalog()).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(value) = decode_object(&bytes, catalog()) {
            // Whatever was read can be written.
            let _ = encode_object(&value, catalog());
        }
        bytes.truncate(cut.index(bytes.len()));
        let _ = decode_object(&bytes, catalog());
    }
}
