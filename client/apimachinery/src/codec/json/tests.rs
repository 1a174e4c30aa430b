//! JSON read and written as a Go server does it: findings, refusals, order, escapes.

use super::*;
use crate::Catalog;
use crate::gvk::GroupVersionKind;
use proptest::prelude::*;
use serde_json::json;

fn read(gvk: (&str, &str, &str), text: &str) -> Result<Decoded, String> {
    let catalog = Catalog::builtin();
    let id = catalog.type_of(&GroupVersionKind::new(gvk.0, gvk.1, gvk.2)).unwrap();
    decode(text.as_bytes(), &catalog.types, id).map_err(|e| e.to_string())
}

/// Reads, normalises and prints, as a write and the answer to it do.
fn round_trip(gvk: (&str, &str, &str), text: &str) -> String {
    let catalog = Catalog::builtin();
    let id = catalog.type_of(&GroupVersionKind::new(gvk.0, gvk.1, gvk.2)).unwrap();
    let mut value = read(gvk, text).unwrap().value;
    normalize(&mut value, &catalog.types, id);
    String::from_utf8(encode(&value, Some((&catalog.types, id)))).unwrap()
}

const CONFIG_MAP: (&str, &str, &str) = ("", "v1", "ConfigMap");
const POD: (&str, &str, &str) = ("", "v1", "Pod");
const DEPLOYMENT: (&str, &str, &str) = ("apps", "v1", "Deployment");

#[test]
fn syntax_errors_are_gos() {
    for (text, want) in [
        ("", "unexpected end of JSON input"),
        (" \n", "unexpected end of JSON input"),
        ("hello", "invalid character 'h' looking for beginning of value"),
        ("{nonsense", "invalid character 'n' looking for beginning of object key string"),
        ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
        ("{\"a\":1} trailing", "invalid character 't' after top-level value"),
        ("{\"a\":1", "unexpected end of JSON input"),
        ("{\"a\" 1}", "invalid character '1' after object key"),
        ("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("tru e", "invalid character ' ' in literal true (expecting 'e')"),
        ("\"a\nb\"", "invalid character '\\n' in string literal"),
        ("\"\\x\"", "invalid character 'x' in string escape code"),
        ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
        ("-a", "invalid character 'a' in numeric literal"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1ex", "invalid character 'x' in exponent of numeric literal"),
        ("012", "invalid character '1' after top-level value"),
        ("'a'", "invalid character '\\'' looking for beginning of value"),
    ] {
        assert_eq!(parse(text.as_bytes()), Err(DecodeError::Syntax(want.to_owned())), "{text}");
    }
    assert_eq!(parse(b"\x81").unwrap_err().to_string(), "invalid character '\\u0081' looking for beginning of value");
    let deep = "[".repeat(100_000);
    assert_eq!(parse(deep.as_bytes()).unwrap_err().to_string(), "exceeded max depth");
}

#[test]
fn bad_utf8_and_lone_surrogates_become_replacement_characters() {
    let (value, _) = parse(b"[\"a\xe2\x82b\",\"\\ud800x\",\"\\ud83d\\ude00\",\"\\ud800\\u0041\"]").unwrap();
    assert_eq!(value, json!(["a\u{FFFD}\u{FFFD}b", "\u{FFFD}x", "😀", "\u{FFFD}A"]));
}

#[test]
fn duplicates_are_found_with_their_paths_and_the_later_wins() {
    let (value, findings) = parse(br#"{"spec":{"size":1,"size":2,"l":[{"a":1,"a":2}]},"spec":{"x":1}}"#).unwrap();
    assert_eq!(value, json!({"spec": {"x": 1}}));
    let want = [r#"duplicate field "spec.size""#, r#"duplicate field "spec.l[0].a""#, r#"duplicate field "spec""#];
    assert_eq!(findings, want);
}

#[test]
fn strict_findings_come_in_document_order() {
    let text = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","name":"b"},"data":{"k":"1","k":"2"},"data":{"l":"3"},"Metadata":{}}"#;
    let decoded = read(CONFIG_MAP, text).unwrap();
    assert_eq!(
        decoded.findings,
        [
            r#"duplicate field "metadata.name""#,
            r#"duplicate field "data.k""#,
            r#"duplicate field "data""#,
            r#"unknown field "Metadata""#
        ]
    );
    assert_eq!(decoded.value["metadata"], json!({"name": "b"}));
    assert_eq!(decoded.value["data"], json!({"k": "2", "l": "3"}));
    let text = r#"{"metadata":{"name":"a","foo":1},"spec":{"replica":2,"template":{"spec":{"containers":[{"name":"c","imagePullpolicy":"Always"},{"name":"d","ports":[{"port":80}]}]}}}}"#;
    assert_eq!(
        read(DEPLOYMENT, text).unwrap().findings,
        [
            r#"unknown field "metadata.foo""#,
            r#"unknown field "spec.replica""#,
            r#"unknown field "spec.template.spec.containers[0].imagePullpolicy""#,
            r#"unknown field "spec.template.spec.containers[1].ports[0].port""#
        ]
    );
}

#[test]
fn wrong_types_are_refused_in_gos_words() {
    for (gvk, text, want) in [
        (
            CONFIG_MAP,
            r#"{"data":{"k":1}}"#,
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            DEPLOYMENT,
            r#"{"spec":{"replicas":"3"}}"#,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            DEPLOYMENT,
            r#"{"spec":{"replicas":1.5}}"#,
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            DEPLOYMENT,
            r#"{"spec":{"replicas":3000000000}}"#,
            "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            POD,
            r#"{"spec":{"containers":{"name":"c"}}}"#,
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            POD,
            r#"{"spec":{"containers":["c"]}}"#,
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type v1.Container",
        ),
        (
            POD,
            r#"{"spec":{"containers":[{"env":[{"value":5}]}]}}"#,
            "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string",
        ),
        (
            POD,
            r#"{"spec":{"containers":[{"imagePullPolicy":5}]}}"#,
            "json: cannot unmarshal number into Go struct field Container.spec.containers.imagePullPolicy of type v1.PullPolicy",
        ),
        (
            POD,
            r#"{"spec":{"containers":[{"livenessProbe":[]}]}}"#,
            "json: cannot unmarshal array into Go struct field Container.spec.containers.livenessProbe of type v1.Probe",
        ),
        (
            POD,
            r#"{"spec":{"hostNetwork":"yes"}}"#,
            "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool",
        ),
        (
            POD,
            r#"{"spec":{"containers":[{"resources":{"requests":{"cpu":"lots"}}}]}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            CONFIG_MAP,
            r#"{"metadata":{"creationTimestamp":"yesterday"}}"#,
            r#"parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006""#,
        ),
        (
            CONFIG_MAP,
            r#"{"metadata":{"creationTimestamp":5}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        (
            CONFIG_MAP,
            r#"{"metadata":[]}"#,
            "json: cannot unmarshal array into Go struct field ConfigMap.metadata of type v1.ObjectMeta",
        ),
        (CONFIG_MAP, "[]", "json: cannot unmarshal array into Go value of type v1.ConfigMap"),
        (("", "v1", "Secret"), r#"{"data":{"k":"!!!!"}}"#, "illegal base64 data at input byte 0"),
    ] {
        assert_eq!(read(gvk, text), Err(want.to_owned()), "{text}");
    }
}

#[test]
fn nulls_are_absence_but_zero_values_in_collections() {
    let decoded = read(CONFIG_MAP, r#"{"metadata":{"name":null,"labels":null,"finalizers":[null]},"data":{"k":null}}"#);
    assert_eq!(decoded.unwrap().value, json!({"metadata": {"finalizers": [""]}, "data": {"k": ""}}));
}

#[test]
fn special_types_are_canonical() {
    let text = r#"{"metadata":{"creationTimestamp":"2024-05-01T10:00:00+02:00","deletionTimestamp":null},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":1,"memory":"1024Mi"}},"livenessProbe":{"httpGet":{"port":"http"}}}]}}"#;
    let value = read(POD, text).unwrap().value;
    assert_eq!(value["metadata"], json!({"creationTimestamp": "2024-05-01T08:00:00Z"}));
    assert_eq!(value["spec"]["containers"][0]["resources"]["limits"], json!({"cpu": "1", "memory": "1Gi"}));
    assert_eq!(value["spec"]["containers"][0]["livenessProbe"]["httpGet"]["port"], json!("http"));
}

#[test]
fn a_round_trip_prints_what_go_prints() {
    assert_eq!(
        round_trip(
            CONFIG_MAP,
            r#"{"data":{"b":"<&>","a":""},"kind":"ConfigMap","metadata":{"labels":{},"name":"a"},"immutable":false,"apiVersion":"v1"}"#
        ),
        r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"immutable":false,"data":{"a":"","b":"\u003c\u0026\u003e"}}"#
    );
    assert_eq!(
        round_trip(DEPLOYMENT, r#"{"metadata":{"name":"a"},"spec":{"replicas":0}}"#),
        r#"{"metadata":{"name":"a"},"spec":{"replicas":0,"selector":null,"template":{"metadata":{},"spec":{"containers":null}},"strategy":{}},"status":{}}"#
    );
    assert_eq!(
        round_trip(POD, r#"{"spec":{"containers":[{"name":"c","tty":false,"env":[{"name":"A","value":""}]}]}}"#),
        r#"{"metadata":{},"spec":{"containers":[{"name":"c","env":[{"name":"A"}],"resources":{}}]},"status":{}}"#
    );
}

#[test]
fn schemas_of_custom_resources_survive() {
    let gvk = ("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let text = r#"{"spec":{"group":"g","names":{"plural":"p","kind":"K"},"scope":"Namespaced","versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","nope":1,"additionalProperties":false,"properties":{"a":{"type":"array","items":{"type":"string","default":"x","oops":2},"enum":[null,1,{"b":0,"a":""}]},"b":{"items":[{"type":"string"}],"dependencies":{"z":["q"],"y":{"type":"object"}},"maximum":1.0}}}}}]}}"#;
    let decoded = read(gvk, text).unwrap();
    assert_eq!(decoded.findings, [r#"unknown field "spec.versions[0].schema.openAPIV3Schema.nope""#]);
    let printed = round_trip(gvk, text);
    assert!(
        printed.contains(r#""openAPIV3Schema":{"type":"object","properties":{"a":{"type":"array","enum":[null,1,{"a":"","b":0}],"items":{"type":"string","default":"x"}},"b":{"maximum":1,"items":[{"type":"string"}],"dependencies":{"y":{"type":"object"},"z":["q"]}}},"additionalProperties":false}"#),
        "{printed}"
    );
}

#[test]
fn the_hole_is_after_uid_and_empty() {
    let catalog = Catalog::builtin();
    let id = catalog.type_of(&GroupVersionKind::new("", "v1", "ConfigMap")).unwrap();
    let value = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "77", "generation": 2}});
    let typed = encode_with_hole(&value, Some((&catalog.types, id)));
    assert_eq!(
        String::from_utf8_lossy(&typed.json),
        r#"{"metadata":{"name":"a","uid":"u","resourceVersion":"","generation":2}}"#
    );
    assert_eq!(&typed.json[typed.hole.unwrap() - 2..][..3], b":\"\"");
    let sorted =
        encode_with_hole(&json!({"metadata": {"name": "a", "uid": "u"}, "spec": {"metadata": {"z": 1}}}), None);
    assert_eq!(
        String::from_utf8_lossy(&sorted.json),
        r#"{"metadata":{"name":"a","resourceVersion":"","uid":"u"},"spec":{"metadata":{"z":1}}}"#
    );
    assert_eq!(&sorted.json[sorted.hole.unwrap() - 2..][..3], b":\"\"");
    assert_eq!(encode_with_hole(&json!({"a": 1}), None).hole, None);
}

#[test]
fn numbers_print_as_go_prints_them() {
    let (value, _) =
        parse(b"[1.0,1e21,1e-7,100000000000000000000,1.5,-0,9223372036854775807,18446744073709551615]").unwrap();
    let text = String::from_utf8(encode(&value, None)).unwrap();
    assert_eq!(text, "[1,1e+21,1e-7,100000000000000000000,1.5,0,9223372036854775807,18446744073709552000]");
    let huge = parse(b"{\"a\":1e400}").unwrap_err().to_string();
    assert_eq!(huge, "json: cannot unmarshal number 1e400 into Go value of type float64");
}

#[test]
fn pretty_printing_keeps_order_and_closed_empties() {
    let pretty = to_pretty(br#"{"b":[],"a":{"x":[1,{"y":"z,{\"}"}]},"c":{}}"#);
    let want = "{\n  \"b\": [],\n  \"a\": {\n    \"x\": [\n      1,\n      {\n        \"y\": \"z,{\\\"}\"\n      }\n    ]\n  },\n  \"c\": {}\n}";
    assert_eq!(String::from_utf8(pretty).unwrap(), want);
}

#[test]
fn kind_and_version_are_interpreted_as_go_does() {
    assert_eq!(interpret(&json!({"apiVersion": "v1", "kind": null})), Ok(("v1", "")));
    let refusal = |v: Value| interpret(&v).unwrap_err().to_string();
    assert_eq!(refusal(json!({"kind": 5})), "json: cannot unmarshal number into Go struct field .kind of type string");
    assert_eq!(
        refusal(json!([])),
        r#"json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9_f64..1e9).prop_filter("whole floats read back as integers", |f| f.fract() != 0.0).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..6).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// Objects made of names that built-in types know.
fn likely_object() -> impl Strategy<Value = Value> {
    let names = "(metadata|spec|status|template|containers|name|labels|replicas|strategy|resources|limits|cpu|ports|data|env|value|selector|matchLabels|volumes|secret|defaultMode)";
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(Value::from(0)),
        Just(Value::from("")),
        Just(Value::from("1")),
        Just(Value::from(false)),
        Just(json!([])),
        Just(json!({}))
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            4 => prop::collection::btree_map(names, inner, 0..6).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn printing_then_parsing_is_the_identity(value in any_json()) {
        let text = encode(&value, None);
        prop_assert_eq!(parse(&text).unwrap(), (value.clone(), vec![]));
        prop_assert_eq!(parse(&to_pretty(&text)).unwrap().0, value);
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
        let _ = to_pretty(&bytes);
    }

    #[test]
    fn near_json_agrees_with_serde(text in r#"[\[\]{}:,"a0-9.e\\ \-]{0,24}"#) {
        prop_assert_eq!(parse(text.as_bytes()).is_ok(), serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn normalising_and_the_wire_are_idempotent(value in likely_object(), pod in any::<bool>()) {
        let catalog = Catalog::builtin();
        let (group, kind) = if pod { ("", "Pod") } else { ("apps", "Deployment") };
        let id = catalog.type_of(&GroupVersionKind::new(group, "v1", kind)).unwrap();
        let mut findings = Vec::new();
        if let Ok(mut value) = conform(value, &catalog.types, id, &mut findings) {
            normalize(&mut value, &catalog.types, id);
            let mut again = value.clone();
            normalize(&mut again, &catalog.types, id);
            prop_assert_eq!(&again, &value);
            let text = encode(&value, Some((&catalog.types, id)));
            let mut back = decode(&text, &catalog.types, id).unwrap().value;
            normalize(&mut back, &catalog.types, id);
            prop_assert_eq!(back, value);
        }
    }
}
