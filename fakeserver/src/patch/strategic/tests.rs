//! Strategic merge patches: merge keys, directives, refusals.

use super::*;
use proptest::prelude::*;
use rehearsal_apimachinery::Catalog;
use serde_json::json;

fn apply_to(doc: &Value, patch: &Value, kind: &str) -> Result<Value, Status> {
    let types = &Catalog::builtin().types;
    let mut doc = doc.clone();
    apply(&mut doc, patch.to_string().as_bytes(), types, types.id(kind).unwrap()).map(|_| doc)
}

fn pod_spec(doc: &Value, patch: &Value) -> Value {
    apply_to(doc, patch, "io.k8s.api.core.v1.PodSpec").unwrap()
}

fn refused(doc: &Value, patch: &Value) -> (u16, String) {
    let status = apply_to(doc, patch, "io.k8s.api.core.v1.PodSpec").unwrap_err();
    (status.code, status.message)
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect()
}

fn containers(list: &[&str]) -> Value {
    json!({"containers": list.iter().map(|n| json!({"name": n, "image": "i"})).collect::<Vec<_>>()})
}

#[test]
fn containers_merge_by_name_and_new_ones_go_in_front() {
    let got = pod_spec(&containers(&["a", "b"]), &json!({"containers": [{"name": "b", "image": "j"}, {"name": "c"}]}));
    assert_eq!(names(&got["containers"]), ["a", "b", "c"]);
    assert_eq!(got["containers"][1], json!({"name": "b", "image": "j"}));
    let got = pod_spec(&containers(&["a", "b"]), &json!({"containers": [{"name": "n"}]}));
    assert_eq!(names(&got["containers"]), ["n", "a", "b"]);
    let got = pod_spec(&containers(&["web", "side"]), &json!({"containers": [{"name": "web"}, {"name": "new"}]}));
    assert_eq!(names(&got["containers"]), ["web", "new", "side"]);
}

#[test]
fn directives_delete_replace_and_reorder() {
    let doc = containers(&["a", "b", "c"]);
    let got = pod_spec(&doc, &json!({"containers": [{"name": "b", "$patch": "delete"}]}));
    assert_eq!(names(&got["containers"]), ["a", "c"]);
    let got = pod_spec(&doc, &json!({"containers": [{"$patch": "replace"}, {"name": "z"}]}));
    assert_eq!(names(&got["containers"]), ["z"]);
    let order = json!({"$setElementOrder/containers": [{"name": "c"}, {"name": "n"}, {"name": "a"}], "containers": [{"name": "n"}]});
    assert_eq!(names(&pod_spec(&doc, &order)["containers"]), ["b", "c", "n", "a"]);
    let got = pod_spec(&doc, &json!({"$patch": "replace", "nodeName": "n"}));
    assert_eq!(got, json!({"nodeName": "n"}));
}

#[test]
fn a_patch_of_kubectl_apply_deletes_and_orders_at_every_level() {
    let doc = json!({"containers": [
        {"name": "web", "image": "nginx:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"name": "side", "image": "busybox:1"},
    ]});
    let patch = json!({
        "$setElementOrder/containers": [{"name": "web"}],
        "containers": [
            {
                "$setElementOrder/env": [{"name": "B"}, {"name": "C"}],
                "name": "web",
                "env": [{"name": "C", "value": "3"}, {"$patch": "delete", "name": "A"}],
            },
            {"$patch": "delete", "name": "side"},
        ],
    });
    let env = json!([{"name": "B", "value": "2"}, {"name": "C", "value": "3"}]);
    let want = json!({"containers": [{"name": "web", "image": "nginx:1", "env": env}]});
    assert_eq!(pod_spec(&doc, &patch), want);
}

#[test]
fn ports_and_mounts_keep_the_order_of_patch_and_server() {
    let ports = |list: &[u16]| {
        let ports: Vec<_> = list.iter().map(|p| json!({"containerPort": p})).collect();
        json!({"containers": [{"name": "c", "ports": ports}]})
    };
    assert_eq!(pod_spec(&ports(&[80, 443]), &ports(&[80, 9090])), ports(&[80, 9090, 443]));
    assert_eq!(pod_spec(&ports(&[1, 2, 3]), &ports(&[3, 1])), ports(&[2, 3, 1]));
}

#[test]
fn what_the_object_lacks_is_taken_without_directives() {
    let patch =
        json!({"containers": [{"name": "a", "$patch": "delete"}, {"name": "b"}], "affinity": {"$patch": "delete"}});
    assert_eq!(pod_spec(&json!({}), &patch), json!({"containers": [{"name": "b"}]}));
}

#[test]
fn nulls_delete_and_are_not_stored() {
    let doc = json!({"nodeName": "n", "securityContext": {"runAsUser": 1}});
    let patch =
        json!({"nodeName": null, "securityContext": {"runAsUser": null}, "affinity": {"podAffinity": null}, "x": null});
    assert_eq!(pod_spec(&doc, &patch), json!({"securityContext": {}, "affinity": {}}));
}

#[test]
fn retained_keys_drop_the_others() {
    let doc = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
    let patch = json!({"volumes": [{"name": "v", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}]});
    assert_eq!(pod_spec(&doc, &patch), json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}));
}

#[test]
fn primitive_lists_merge_as_sets() {
    let meta = |doc: &Value, patch: &Value| {
        apply_to(doc, patch, "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").unwrap()["finalizers"].clone()
    };
    let doc = json!({"finalizers": ["one", "two"]});
    assert_eq!(meta(&doc, &json!({"finalizers": ["two", "three"]})), json!(["one", "two", "three"]));
    assert_eq!(meta(&doc, &json!({"finalizers": ["y"]})), json!(["y", "one", "two"]));
    assert_eq!(meta(&doc, &json!({"$deleteFromPrimitiveList/finalizers": ["one", "q"]})), json!(["two"]));
    assert_eq!(meta(&doc, &json!({"$setElementOrder/finalizers": ["two", "one"]})), json!(["two", "one"]));
}

#[test]
fn lists_without_a_strategy_are_replaced() {
    let doc = json!({"tolerations": [{"key": "a"}], "containers": [{"name": "c", "command": ["x", "y"]}]});
    let patch = json!({"tolerations": [{"key": "b"}], "containers": [{"name": "c", "command": ["z"]}]});
    assert_eq!(pod_spec(&doc, &patch), patch);
}

#[test]
fn refusals_read_as_the_server_writes_them() {
    let doc = containers(&["a"]);
    let cases = [
        (json!({"containers": [{"image": "q"}]}), 500, "map: map[image:q] does not contain declared merge key: name"),
        (json!({"$patch": "foo"}), 500, "unknown patch type: foo in map: map[$patch:foo]"),
        (json!({"$setElementOrder/containers": "x"}), 500, "expected a []interface {}, but received a string"),
        (json!({"$retainKeys": "x"}), 400, "invalid patch format of retainKeys"),
        (json!({"$retainKeys": ["a"], "nodeName": "n"}), 400, "invalid patch format of retainKeys"),
        (json!({"$deleteFromPrimitiveList": ["a"]}), 400, "invalid patch format of primitive list"),
        (json!({"$setElementOrder": ["a"]}), 400, "invalid patch format of setElementOrder list"),
    ];
    for (patch, code, text) in cases {
        assert_eq!(refused(&doc, &patch), (code, text.to_owned()), "{patch}");
    }
}

#[test]
fn a_patch_that_is_no_object_is_400() {
    let types = &Catalog::builtin().types;
    let root = types.id("io.k8s.api.core.v1.PodSpec").unwrap();
    let refuse = |patch: &str| apply(&mut json!({}), patch.as_bytes(), types, root).unwrap_err().message;
    assert_eq!(refuse("x"), "invalid character 'x' looking for beginning of value");
    assert_eq!(refuse("[]"), "json: cannot unmarshal array into Go value of type map[string]interface {}");
}

fn patch_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!("delete")),
        Just(json!("replace")),
        Just(json!("a")),
        Just(json!(1)),
        Just(json!(["name"])),
    ];
    let keys = prop_oneof![
        Just("name"),
        Just("containers"),
        Just("env"),
        Just("tolerations"),
        Just("securityContext"),
        Just("nodeSelector"),
        Just("$patch"),
        Just("$retainKeys"),
        Just("$setElementOrder/containers"),
        Just("$deleteFromPrimitiveList/containers"),
    ];
    leaf.prop_recursive(4, 24, 3, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::vec((keys.clone(), inner), 0..4)
                .prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_patch_panics(doc in patch_value(), patch in patch_value()) {
        let _ = apply_to(&doc, &patch, "io.k8s.api.core.v1.PodSpec");
    }

    #[test]
    fn the_empty_patch_changes_nothing(doc in patch_value().prop_filter("an object", Value::is_object)) {
        prop_assert_eq!(apply_to(&doc, &json!({}), "io.k8s.api.core.v1.PodSpec").unwrap(), doc);
    }
}
