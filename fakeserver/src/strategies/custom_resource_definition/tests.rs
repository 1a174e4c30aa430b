//! Definitions that are accepted, and those that are refused, with the field that is wrong.

use super::*;
use serde_json::json;

fn crd(schema: impl Into<Value>) -> Value {
    let schema = schema.into();
    let mut crd = json!({
        "metadata": {"name": "foos.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
        "status": {"acceptedNames": {"plural": "", "kind": ""}, "storedVersions": ["v1"]},
    });
    CustomResourceDefinition.default(&mut crd);
    crd
}

fn errors(crd: &Value) -> Vec<String> {
    spec::validate(crd, None).iter().map(ToString::to_string).collect()
}

fn schema_errors(properties: impl Into<Value>) -> Vec<String> {
    errors(&crd(json!({"type": "object", "properties": properties.into()})))
}

#[test]
fn names_follow_from_the_kind() {
    let crd = crd(json!({"type": "object"}));
    assert_eq!(
        crd["spec"]["names"],
        json!({"plural": "foos", "singular": "foo", "kind": "Foo", "listKind": "FooList"})
    );
    assert_eq!(crd["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(errors(&crd), Vec::<String>::new());
}

#[test]
fn every_place_of_a_schema_is_typed() {
    let root = "spec.validation.openAPIV3Schema";
    for (properties, error) in [
        (json!({"a": {}}), ".properties[a].type: Required value: must not be empty for specified object fields"),
        (json!({"a": {"type": "array"}}), ".properties[a].items: Required value: must be specified"),
        (
            json!({"a": {"type": "array", "items": {}}}),
            ".properties[a].items.type: Required value: must not be empty for specified array items",
        ),
        (
            json!({"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}),
            ".properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata \
             is implicitly specified",
        ),
        (
            json!({"a": {"type": "object", "additionalProperties": {"type": "string"}, "properties": {"b": {"type": "string"}}}}),
            ".properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ),
        (
            json!({"a": {"type": "string", "uniqueItems": true}}),
            ".properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
        (
            json!({"a": {"type": "string", "default": 1}}),
            ".properties[a].default: Invalid value: \"integer\":  in body must be of type string: \"integer\"",
        ),
        (
            json!({"a": {"type": "object", "default": {"x": 1}}}),
            ".properties[a].default: Invalid value: {\"x\":1}: must not have unknown fields",
        ),
    ] {
        assert_eq!(schema_errors(properties), [format!("{root}{error}")]);
    }
    let fine = json!({"a": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}});
    assert_eq!(schema_errors(fine), Vec::<String>::new());
}

#[test]
fn what_differs_between_versions_is_judged_where_it_stands() {
    let mut crd = crd(json!({"type": "object"}));
    let other =
        json!({"name": "v2", "served": true, "storage": false, "schema": {"openAPIV3Schema": {"type": "array"}}});
    crd["spec"]["versions"].as_array_mut().unwrap().push(other);
    assert_eq!(
        errors(&crd),
        [
            "spec.versions[1].schema.openAPIV3Schema.items: Required value: must be specified",
            "spec.versions[1].schema.openAPIV3Schema.type: Invalid value: \"array\": must be object at the root",
        ]
    );
    crd["spec"]["versions"][1]["storage"] = json!(true);
    let texts = errors(&crd);
    assert!(texts.iter().any(|t| t.starts_with("spec.versions: Invalid value: [{\"Name\":\"v1\"")), "{texts:?}");
}

#[test]
fn some_things_never_change() {
    let old = crd(json!({"type": "object"}));
    let mut new = old.clone();
    new["spec"]["group"] = json!("other.com");
    new["spec"]["scope"] = json!("Cluster");
    let texts: Vec<String> = spec::validate(&new, Some(&old)).iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["spec.group: Invalid value: \"other.com\": field is immutable"]);
    let mut old = old;
    names::set_condition(&mut old["status"], &names::condition("Established", true, "r", "m"), "now");
    assert_eq!(spec::validate(&new, Some(&old)).len(), 2);
}

#[test]
fn names_of_others_are_not_accepted() {
    let crd = crd(json!({"type": "object"}));
    let free = names::accept(&crd, &[], "t");
    assert_eq!(free["acceptedNames"], crd["spec"]["names"]);
    let conditions: Vec<_> =
        free["conditions"].as_array().unwrap().iter().map(|c| (&c["type"], &c["status"])).collect();
    assert_eq!(conditions, [(&json!("NamesAccepted"), &json!("True")), (&json!("Established"), &json!("True"))]);
    let other = json!({"plural": "bars", "singular": "foo", "kind": "Bar", "listKind": "FooList"});
    let taken = names::accept(&crd, &[&other], "t");
    assert_eq!(taken["acceptedNames"], json!({"plural": "foos", "kind": "Foo"}));
    assert_eq!(taken["conditions"][0]["reason"], "ListKindConflict");
    assert_eq!(taken["conditions"][1]["reason"], "NotAccepted");
}

#[test]
fn community_groups_need_an_approval() {
    let mut crd = crd(json!({"type": "object"}));
    crd["spec"]["group"] = json!("x.k8s.io");
    crd["metadata"]["name"] = json!("foos.x.k8s.io");
    assert!(
        errors(&crd)[0]
            .starts_with("metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups")
    );
    crd["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": "https://example.com/pull/1"});
    assert_eq!(errors(&crd), Vec::<String>::new());
    let mut status = json!({});
    approval::condition(&crd, &mut status, "t");
    assert_eq!(status["conditions"][0]["message"], "approved in https://example.com/pull/1");
}

#[test]
fn a_storage_version_stays_recorded() {
    let mut crd = crd(json!({"type": "object"}));
    crd["spec"]["versions"][0]["name"] = json!("v2");
    record_storage_version(&mut crd);
    assert_eq!(crd["status"]["storedVersions"], json!(["v1", "v2"]));
    assert!(
        errors(&crd)[0].starts_with("status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions;")
    );
}
