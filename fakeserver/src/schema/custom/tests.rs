//! Custom resources against their schemas: pruning, defaults, validation.

use super::*;
use serde_json::json;

fn row(schema: &Value) -> ResourceInfo {
    let compiled = Arc::new(Schema::compile(schema));
    let builtin = crate::catalog::ResourceTable::builtin();
    let mut row = (*builtin.lookup("apps", "v1", "deployments").unwrap()).clone();
    let (types, root) = types_of("Widget", &compiled);
    row.group = "example.com".into();
    row.kind = "Widget".into();
    row.custom = true;
    row.storage = row.group_version();
    row.types = types;
    row.root = Some(root);
    let schemas = [("v1".to_owned(), compiled.clone())].into();
    row.rules = Some(Arc::new(CustomRules { schema: compiled, schemas: Arc::new(schemas), ..CustomRules::default() }));
    row
}

fn widget(spec: impl Into<Value>) -> Value {
    let spec = spec.into();
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec})
}

fn of_spec(properties: impl Into<Value>) -> ResourceInfo {
    row(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": properties.into()}}}))
}

fn errors(info: &ResourceInfo, spec: impl Into<Value>) -> Vec<String> {
    validate(info, "", &widget(spec), None).iter().map(ToString::to_string).collect()
}

#[test]
fn unknown_members_are_dropped_and_reported_in_order() {
    let info = of_spec(json!({
        "a": {"type": "string"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"in": {"type": "object", "properties": {"k": {"type": "string"}}}}},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"d": {"type": "string"}}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"c": {"type": "string"}}}},
    }));
    let mut object = widget(json!({
        "a": "1", "x": 1, "free": {"y": {"z": 1}, "in": {"k": "1", "no": 1}}, "map": {"k": {"d": "4", "x": 1}},
        "list": [{"c": "1"}, {"x": 1}],
    }));
    object["metadata"]["odd"] = json!(1);
    let mut findings = Vec::new();
    let pruned = prune(&info, object, &mut findings).unwrap();
    let spec = json!({
        "a": "1", "free": {"y": {"z": 1}, "in": {"k": "1"}}, "map": {"k": {"d": "4"}}, "list": [{"c": "1"}, {}],
    });
    assert_eq!(pruned, widget(spec));
    let paths = ["metadata.odd", "spec.free.in.no", "spec.list[1].x", "spec.map.k.x", "spec.x"];
    assert_eq!(findings, paths.map(|p| format!("unknown field \"{p}\"")));
    assert!(is_settled(&pruned, &info.rules.unwrap().schema));
}

#[test]
fn metadata_must_fit_its_type() {
    let mut object = widget(json!({}));
    object["metadata"]["labels"] = json!({"a": 1});
    let status = prune(&of_spec(json!({})), object, &mut Vec::new()).unwrap_err();
    assert_eq!(status.code, 400);
    assert!(
        status.message.starts_with("Widget in version \"v1\" cannot be handled as a Widget: json: cannot unmarshal")
    );
}

#[test]
fn embedded_resources_keep_their_own_members() {
    let info = of_spec(json!({"t": {"type": "object", "x-kubernetes-embedded-resource": true,
        "properties": {"spec": {"type": "object", "properties": {"k": {"type": "string"}}}}}}));
    let given = json!({"t": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "odd": 1}, "spec": {"k": "v", "x": 1}}});
    let pruned = prune(&info, widget(given), &mut Vec::new()).unwrap();
    let kept = json!({"t": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"k": "v"}}});
    assert_eq!(pruned, widget(kept));
    assert_eq!(
        errors(&info, json!({"t": {}})),
        ["spec.t.apiVersion: Required value: must not be empty", "spec.t.kind: Required value: must not be empty"]
    );
}

#[test]
fn defaults_fill_what_is_absent_or_a_null_that_may_not_be() {
    let info = of_spec(json!({
        "size": {"type": "integer", "default": 3},
        "null": {"type": "string", "nullable": true, "default": "x"},
        "gone": {"type": "string"},
        "deep": {"type": "object", "default": {}, "properties": {"mode": {"type": "string", "default": "auto"}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"p": {"type": "string", "default": "TCP"}}}},
    }));
    let mut object = widget(json!({"size": null, "null": null, "gone": null, "list": [{}]}));
    default(&info, &mut object);
    let filled = json!({"size": 3, "null": null, "deep": {"mode": "auto"}, "list": [{"p": "TCP"}]});
    assert_eq!(object, widget(filled));
    let schema = &info.rules.unwrap().schema;
    assert!(is_settled(&object, schema));
    assert!(!is_settled(&widget(json!({"null": null})), schema));
}

#[test]
fn values_are_refused_in_the_words_of_the_server() {
    let info = of_spec(json!({
        "size": {"type": "integer", "minimum": 2, "maximum": 10, "exclusiveMaximum": true},
        "i": {"type": "integer", "format": "int32"},
        "half": {"type": "number", "multipleOf": 0.5},
        "name": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^[a-z]+$"},
        "color": {"type": "string", "enum": ["red", "blue"]},
        "when": {"type": "string", "format": "date-time"},
        "list": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
        "mixed": {"x-kubernetes-int-or-string": true},
    }));
    for (spec, error) in [
        (json!({"size": 10}), "spec.size: Invalid value: 10: spec.size in body should be less than 10"),
        (json!({"size": 1}), "spec.size: Invalid value: 1: spec.size in body should be greater than or equal to 2"),
        (
            json!({"size": "1"}),
            "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"",
        ),
        (
            json!({"i": 2_147_483_648_i64}),
            "<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in spec.i",
        ),
        (json!({"half": 0.7}), "spec.half: Invalid value: 0.7: spec.half in body should be a multiple of 0.5"),
        (json!({"name": "a"}), "spec.name: Invalid value: \"a\": spec.name in body should be at least 2 chars long"),
        (json!({"name": "abcd"}), "spec.name: Too long: may not be more than 3 bytes"),
        (json!({"name": "a1"}), "spec.name: Invalid value: \"a1\": spec.name in body should match '^[a-z]+$'"),
        (json!({"color": "x"}), "spec.color: Unsupported value: \"x\": supported values: \"red\", \"blue\""),
        (json!({"when": "x"}), "spec.when: Invalid value: \"x\": spec.when in body must be of type date-time: \"x\""),
        (json!({"list": []}), "spec.list: Invalid value: 0: spec.list in body should have at least 1 items"),
        (json!({"list": ["a", "b", "c"]}), "spec.list: Too many: 3: must have at most 2 items"),
        (
            json!({"mixed": true}),
            "spec.mixed: Invalid value: \"boolean\": spec.mixed in body must be of type integer,string: \"boolean\"",
        ),
    ] {
        assert_eq!(errors(&info, spec), [error]);
    }
    let fine = json!({"size": 2, "i": 1.0, "half": 1.5, "name": "äb".replace('ä', "a"), "color": "red", "mixed": "80%",
        "when": "2024-05-06T07:08:09.123Z", "list": ["a"]});
    assert_eq!(errors(&info, fine), Vec::<String>::new());
}

#[test]
fn of_alternatives_the_one_that_got_furthest_is_shown() {
    let info = of_spec(json!({
        "pair": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        "not": {"type": "string", "not": {"pattern": "^x"}},
    }));
    assert_eq!(
        errors(&info, json!({"pair": {}})),
        [
            "<nil>: Invalid value: \"\": \"spec.pair\" must validate one and only one schema (oneOf). Found none valid",
            "spec.pair.a: Required value"
        ]
    );
    assert_eq!(errors(&info, json!({"pair": {"b": "1"}})), Vec::<String>::new());
    assert_eq!(
        errors(&info, json!({"not": "xy"})),
        ["<nil>: Invalid value: \"\": \"spec.not\" must not validate the schema (not)"]
    );
}

#[test]
fn what_an_update_leaves_alone_is_not_judged_again() {
    let info = of_spec(json!({
        "max": {"type": "integer", "maximum": 5},
        "other": {"type": "string"},
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
            "items": {"type": "object", "properties": {"n": {"type": "string"}, "v": {"type": "integer", "maximum": 2}}}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
    }));
    let old = widget(json!({"max": 9, "keyed": [{"n": "a", "v": 5}, {"n": "b", "v": 1}], "set": ["x", "x"]}));
    let judge = |spec: Value| -> Vec<String> {
        validate(&info, "", &widget(spec), Some(&old)).iter().map(ToString::to_string).collect()
    };
    let kept = json!({"max": 9, "other": "x", "keyed": [{"n": "b", "v": 2}, {"n": "a", "v": 5}], "set": ["x", "x"]});
    assert_eq!(judge(kept), Vec::<String>::new());
    assert_eq!(
        judge(json!({"max": 8, "keyed": [{"n": "a", "v": 6}], "set": ["y", "y"]})),
        [
            "spec.keyed[0].v: Invalid value: 6: spec.keyed[0].v in body should be less than or equal to 2",
            "spec.max: Invalid value: 8: spec.max in body should be less than or equal to 5",
        ]
    );
}

#[test]
fn sets_and_keyed_lists_have_no_duplicates() {
    let info = of_spec(json!({
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n", "p"],
            "items": {"type": "object", "properties": {"n": {"type": "string"}, "p": {"type": "integer"}}}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
    }));
    let spec = json!({"keyed": [{"n": "a", "p": 1}, {"n": "a", "p": 2}, {"n": "a", "p": 1}], "set": ["x", "y", "x"]});
    assert_eq!(
        errors(&info, spec),
        ["spec.keyed[2]: Duplicate value: {\"n\":\"a\",\"p\":1}", "spec.set[2]: Duplicate value: \"x\""]
    );
}

#[test]
fn a_status_is_judged_alone_under_short_names() {
    let info = row(&json!({"type": "object", "required": ["spec"], "properties": {
        "status": {"type": "object", "properties": {"n": {"type": "integer"}}}}}));
    let object = json!({"metadata": {"name": "w"}, "status": {"n": "x"}});
    let errors = validate(&info, "status", &object, None);
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].to_string(),
        "status.n: Invalid value: \"string\": n in body must be of type integer: \"string\""
    );
}

#[test]
fn patterns_are_read_as_go_reads_them() {
    assert!(!go_regex("^\\d+$").unwrap().is_match("٣"));
    assert!(go_regex("^[\\w.]+$").unwrap().is_match("a.b_1"));
    assert!(go_regex("^[[a]$").unwrap().is_match("["));
    assert!(go_regex("(").is_err());
}

#[test]
fn formats_know_their_texts() {
    for (format, yes, no) in [
        ("ipv4", "10.0.0.1", "10.0.0"),
        ("ipv6", "::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
        ("uuid4", "123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
        ("mac", "00:00:5e:00:53:01", "00:00:5e:00:53"),
        ("date", "2024-02-29", "2023-02-29"),
        ("date-time", "2024-05-06T07:08:09Z", "2024-05-06 07:08:09"),
        ("duration", "1h30m", "soon"),
        ("email", "a@example.com", "a.example.com"),
        ("hostname", "a.example.com", "-a"),
        ("uri", "https://example.com/x", "example"),
        ("byte", "aGk=", "a*"),
        ("hexcolor", "#ffF", "#ffff"),
        ("rgbcolor", "rgb(1, 2,255)", "rgb(1,2,256)"),
        ("isbn13", "978-0321751041", "978-0321751042"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("quantity", "10Gi", "ten"),
        ("k8s-short-name", "a-b", "a.b"),
    ] {
        let known = Format::named(format).unwrap();
        assert!(known.accepts(yes), "{format} {yes}");
        assert!(!known.accepts(no), "{format} {no}");
    }
    assert!(Format::named("int32").is_none() && Format::is_known("int32", "integer"));
}
