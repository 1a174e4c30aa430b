//! Field ownership through sequences of applies and updates.

use super::entries::decode;
use super::*;
use proptest::prelude::*;
use rehearsal_apimachinery::catalog::{Field, ListSemantics, Shape, TypeDef, Types};
use rehearsal_apimachinery::{Catalog, GroupVersionKind, Status};
use serde_json::{Map, json};

const T1: &str = "2026-01-01T00:00:01Z";
const T2: &str = "2026-01-01T00:00:02Z";

fn builtin(group: &str, version: &str, kind: &str) -> Schema<'static> {
    let catalog = Catalog::builtin();
    let id = catalog.type_of(&GroupVersionKind::new(group, version, kind));
    assert!(id.is_some(), "no type for {kind}");
    Schema::new(&catalog.types, id)
}

fn config_map() -> Schema<'static> {
    builtin("", "v1", "ConfigMap")
}

fn manager<'a>(name: &'a str, api_version: &'a str) -> Manager<'a> {
    Manager { name, api_version, subresource: "", now: T1 }
}

/// A server of one object, as far as ownership goes.
struct Server {
    schema: Schema<'static>,
    api_version: &'static str,
    live: Option<Value>,
    reset: &'static [&'static str],
}

impl Server {
    fn new(schema: Schema<'static>, api_version: &'static str) -> Self {
        Self { schema, api_version, live: None, reset: &["status"] }
    }

    fn store(&mut self, mut object: Value) {
        drop_nulls(&mut object);
        object.set_meta("uid", "u");
        self.live = Some(object);
    }

    fn apply_as(&mut self, manager: &Manager<'_>, force: bool, patch: &Value) -> Result<(), Status> {
        if let Some(new) = apply(&self.schema, self.live.as_ref(), patch, manager, force, self.reset)? {
            self.store(new);
        }
        Ok(())
    }

    fn apply(&mut self, name: &str, patch: &Value) -> Result<(), Status> {
        self.apply_as(&manager(name, self.api_version), false, patch)
    }

    fn force(&mut self, name: &str, patch: &Value) {
        self.apply_as(&manager(name, self.api_version), true, patch).unwrap();
    }

    fn put(&mut self, name: &str, object: &Value) {
        let mut new = object.clone();
        if self.live.is_some() {
            new.set_meta("uid", "u");
        }
        update(&self.schema, self.live.as_ref(), &mut new, &manager(name, self.api_version), self.reset);
        self.store(new);
    }

    fn live(&self) -> &Value {
        self.live.as_ref().unwrap()
    }

    /// `manager/operation` with its fields, in the order of the entries.
    fn owners(&self) -> Value {
        let entries = list(managed_fields(self.live()));
        entries.iter().map(|e| json!([e["manager"], e["operation"], e["fieldsV1"]])).collect()
    }
}

/// What decoding into a Go struct does to nulls.
fn drop_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, v| !v.is_null());
        map.values_mut().for_each(drop_nulls);
    }
}

fn cm(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

/// The configuration of a manager that has nothing to say.
fn nothing() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
}

fn data_of(server: &Server) -> &Value {
    &server.live()["data"]
}

#[test]
fn creating_by_apply_owns_what_was_applied() {
    let mut server = Server::new(config_map(), "v1");
    let mut config = cm(&json!({"k": "v"}));
    config["metadata"]["labels"] = json!({"app": "web"});
    server.apply("one", &config).unwrap();
    let want = json!([{
        "manager": "one", "operation": "Apply", "apiVersion": "v1", "time": T1, "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:k": {}}, "f:metadata": {"f:labels": {"f:app": {}}}},
    }]);
    assert_eq!(managed_fields(server.live()), Some(&want));
}

#[test]
fn an_object_without_tracked_content_has_no_entries() {
    let mut server = Server::new(config_map(), "v1");
    server.apply("one", &nothing()).unwrap();
    assert_eq!(managed_fields(server.live()), None);
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let mut server = Server::new(config_map(), "v1");
    server.apply("one", &cm(&json!({"k": "v"}))).unwrap();
    let later = Manager { now: T2, ..manager("one", "v1") };
    let again = apply(&server.schema, server.live.as_ref(), &cm(&json!({"k": "v"})), &later, false, &[]);
    assert_eq!(again.unwrap(), None);
}

#[test]
fn fields_no_longer_applied_are_removed() {
    let mut server = Server::new(config_map(), "v1");
    let mut config = cm(&json!({"k": "v", "other": "o"}));
    config["metadata"]["labels"] = json!({"app": "web"});
    server.apply("one", &config).unwrap();
    server.apply("one", &cm(&json!({"k": "v2", "new": "n"}))).unwrap();
    assert_eq!(data_of(&server), &json!({"k": "v2", "new": "n"}));
    assert_eq!(server.live()["metadata"].get("labels"), None);
    assert_eq!(server.owners(), json!([["one", "Apply", {"f:data": {"f:k": {}, "f:new": {}}}]]));
}

#[test]
fn conflicts_name_managers_and_fields() {
    let mut server = Server::new(config_map(), "v1");
    server.apply("one", &cm(&json!({"k": "v", "other": "o"}))).unwrap();
    let status = server.apply("two", &cm(&json!({"k": "mine", "other": "too", "fresh": "f"}))).unwrap_err();
    assert_eq!(status.message, "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.k\n- .data.other");
    let causes = status.details.unwrap().causes;
    assert_eq!(causes[1].message, "conflict with \"one\"");
    assert_eq!(causes[1].reason, "FieldManagerConflict");
    assert_eq!(causes[1].field, ".data.other");
    assert_eq!((status.code, data_of(&server)), (409, &json!({"k": "v", "other": "o"})));
}

#[test]
fn conflicts_are_grouped_by_manager_and_updaters_name_their_version() {
    let mut server = Server::new(config_map(), "v1");
    server.apply("zed", &cm(&json!({"a": "1", "b": "1"}))).unwrap();
    server.put("editor", &cm(&json!({"a": "2", "b": "1"})));
    let status = server.apply("two", &cm(&json!({"a": "3", "b": "3"}))).unwrap_err();
    assert_eq!(
        status.message,
        "Apply failed with 2 conflicts: conflicts with \"editor\" using v1:\n- .data.a\nconflicts with \"zed\":\n- .data.b"
    );
}

#[test]
fn force_takes_fields_over() {
    let mut server = Server::new(config_map(), "v1");
    server.apply("one", &cm(&json!({"k": "v", "other": "o"}))).unwrap();
    server.force("two", &cm(&json!({"k": "mine"})));
    assert_eq!(data_of(&server), &json!({"k": "mine", "other": "o"}));
    assert_eq!(
        server.owners(),
        json!([["one", "Apply", {"f:data": {"f:other": {}}}], ["two", "Apply", {"f:data": {"f:k": {}}}]])
    );
    let status = server.apply("one", &cm(&json!({"k": "v", "other": "o"}))).unwrap_err();
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"two\": .data.k");
}

#[test]
fn a_shared_field_survives_until_its_last_owner_drops_it() {
    let mut server = Server::new(config_map(), "v1");
    server.apply("one", &cm(&json!({"k": "v", "other": "o"}))).unwrap();
    server.apply("two", &cm(&json!({"k": "v"}))).unwrap();
    let two = &list(managed_fields(server.live()))[0];
    assert_eq!((&two["manager"], two.get("time")), (&json!("two"), None), "sharing changes nothing, so has no time");
    server.apply("one", &cm(&json!({"other": "o"}))).unwrap();
    assert_eq!(data_of(&server), &json!({"k": "v", "other": "o"}));
    server.apply("two", &nothing()).unwrap();
    assert_eq!(data_of(&server), &json!({"other": "o"}));
    assert_eq!(server.owners(), json!([["one", "Apply", {"f:data": {"f:other": {}}}]]));
}

fn deployment(containers: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"template": {"spec": {"containers": containers}}},
    })
}

fn containers_of(server: &Server) -> &Value {
    &server.live()["spec"]["template"]["spec"]["containers"]
}

#[test]
fn containers_are_keyed_by_name_and_removed_one_by_one() {
    let mut server = Server::new(builtin("apps", "v1", "Deployment"), "apps/v1");
    let mut first = deployment(&json!([{"name": "web", "image": "nginx:1", "args": ["a"]}]));
    first["spec"]["selector"] = json!({"matchLabels": {"app": "d"}});
    server.apply("one", &first).unwrap();
    let web = json!({"k:{\"name\":\"web\"}": {".": {}, "f:args": {}, "f:image": {}, "f:name": {}}});
    let fields = json!({"f:spec": {"f:selector": {}, "f:template": {"f:spec": {"f:containers": web}}}});
    assert_eq!(server.owners(), json!([["one", "Apply", fields]]));

    let second = deployment(&json!([
        {"name": "side", "image": "busybox:1"},
        {"name": "web", "env": [{"name": "A", "value": "b"}]},
    ]));
    server.apply("two", &second).unwrap();
    assert_eq!(
        containers_of(&server),
        &json!([
            {"name": "side", "image": "busybox:1"},
            {"name": "web", "image": "nginx:1", "args": ["a"], "env": [{"name": "A", "value": "b"}]},
        ])
    );
    let env = json!({"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}});
    let two = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
        "k:{\"name\":\"side\"}": {".": {}, "f:image": {}, "f:name": {}},
        "k:{\"name\":\"web\"}": {".": {}, "f:env": env, "f:name": {}},
    }}}}});
    assert_eq!(server.owners()[1], json!(["two", "Apply", two]));

    let nothing = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}});
    server.apply("two", &nothing).unwrap();
    assert_eq!(containers_of(&server), &json!([{"name": "web", "image": "nginx:1", "args": ["a"]}]));
    assert_eq!(server.owners(), json!([["one", "Apply", fields]]));
}

#[test]
fn what_defaulting_added_below_an_applied_item_stays_with_it() {
    let mut server = Server::new(builtin("apps", "v1", "Deployment"), "apps/v1");
    server
        .apply("one", &deployment(&json!([{"name": "web", "image": "nginx:1"}, {"name": "x", "image": "x"}])))
        .unwrap();
    let mut defaulted = server.live().clone();
    defaulted["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
    defaulted["spec"]["template"]["spec"]["containers"][1]["imagePullPolicy"] = json!("Always");
    server.store(defaulted);
    server.apply("one", &deployment(&json!([{"name": "web", "image": "nginx:2"}]))).unwrap();
    assert_eq!(
        containers_of(&server),
        &json!([{"name": "web", "image": "nginx:2", "imagePullPolicy": "Always"}]),
        "the dropped item goes with its defaults, the kept one keeps them"
    );
}

fn service(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec})
}

#[test]
fn keys_left_out_of_a_list_item_count_with_their_default() {
    let mut server = Server::new(builtin("", "v1", "Service"), "v1");
    let ports = json!([{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "http", "port": 80}]);
    server.apply("one", &service(&json!({"clusterIP": "None", "ports": ports}))).unwrap();
    let fields = json!({"f:spec": {"f:clusterIP": {}, "f:ports": {
        "k:{\"port\":53,\"protocol\":\"UDP\"}": {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}},
        "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}},
    }}});
    assert_eq!(server.owners(), json!([["one", "Apply", fields]]));
    server.apply("two", &service(&json!({"ports": [{"name": "dns-tcp", "port": 53, "protocol": "TCP"}]}))).unwrap();
    server.apply("one", &service(&json!({"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}))).unwrap();
    assert_eq!(
        server.live()["spec"]["ports"],
        json!([{"name": "http", "port": 80}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}])
    );
}

#[test]
fn finalizers_are_a_set() {
    let mut server = Server::new(config_map(), "v1");
    let with = |finalizers: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "finalizers": finalizers}});
    server.apply("one", &with(json!(["example.com/one"]))).unwrap();
    server.apply("two", &with(json!(["example.com/two"]))).unwrap();
    assert_eq!(server.live()["metadata"]["finalizers"], json!(["example.com/one", "example.com/two"]));
    assert_eq!(
        server.owners()[1],
        json!(["two", "Apply", {"f:metadata": {"f:finalizers": {"v:\"example.com/two\"": {}}}}])
    );
    server.apply("one", &nothing()).unwrap();
    assert_eq!(server.live()["metadata"]["finalizers"], json!(["example.com/two"]));
}

#[test]
fn atomic_lists_and_maps_conflict_as_a_whole() {
    let mut server = Server::new(builtin("", "v1", "Service"), "v1");
    server.apply("one", &service(&json!({"selector": {"app": "a"}, "externalIPs": ["1.2.3.4"]}))).unwrap();
    let other = service(&json!({"selector": {"tier": "b"}, "externalIPs": ["5.6.7.8"]}));
    let status = server.apply("two", &other).unwrap_err();
    let want = "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.externalIPs\n- .spec.selector";
    assert_eq!(status.message, want);
    server.force("two", &service(&json!({"selector": {"tier": "b"}})));
    assert_eq!(server.live()["spec"]["selector"], json!({"tier": "b"}));
    assert_eq!(
        server.owners(),
        json!([["one", "Apply", {"f:spec": {"f:externalIPs": {}}}], ["two", "Apply", {"f:spec": {"f:selector": {}}}]])
    );
}

#[test]
fn updates_take_what_they_change_and_nothing_else() {
    let mut server = Server::new(config_map(), "v1");
    server.put("maker", &cm(&json!({"k": "v", "other": "o"})));
    assert_eq!(server.owners(), json!([["maker", "Update", {"f:data": {".": {}, "f:k": {}, "f:other": {}}}]]));
    server.put("patcher", &cm(&json!({"k": "v2", "other": "o"})));
    assert_eq!(
        server.owners(),
        json!([
            ["maker", "Update", {"f:data": {".": {}, "f:other": {}}}],
            ["patcher", "Update", {"f:data": {"f:k": {}}}],
        ])
    );
    let mut labelled = cm(&json!({"k": "v2", "other": "o"}));
    labelled["metadata"]["labels"] = json!({"l": "m"});
    server.put("maker", &labelled);
    let labels = json!({"f:labels": {".": {}, "f:l": {}}});
    assert_eq!(
        server.owners()[0],
        json!(["maker", "Update", {"f:data": {".": {}, "f:other": {}}, "f:metadata": labels}])
    );
    server.put("remover", &cm(&json!({"k": "v2"})));
    assert_eq!(
        server.owners(),
        json!([["maker", "Update", {"f:data": {}}], ["patcher", "Update", {"f:data": {"f:k": {}}}]]),
        "taking away is owning nothing"
    );
}

#[test]
fn the_creator_owns_members_but_not_the_structs_around_them() {
    let mut server = Server::new(builtin("apps", "v1", "Deployment"), "apps/v1");
    server.put(
        "maker",
        &json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": "d"}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
                "template": {
                    "metadata": {"labels": {"app": "d"}},
                    "spec": {"containers": [{"name": "c", "image": "i", "resources": {}}], "securityContext": {}},
                },
            },
            "status": {},
        }),
    );
    let want = json!({"f:spec": {
        "f:replicas": {},
        "f:selector": {},
        "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
        "f:template": {
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {}, "f:resources": {}}},
                "f:securityContext": {},
            },
        },
    }});
    assert_eq!(server.owners(), json!([["maker", "Update", want]]));
}

#[test]
fn an_updated_field_conflicts_with_its_former_applier() {
    let mut server = Server::new(config_map(), "v1");
    server.apply("one", &cm(&json!({"k": "v", "other": "o"}))).unwrap();
    server.put("editor", &cm(&json!({"k": "edited", "other": "o", "extra": "e"})));
    let status = server.apply("one", &cm(&json!({"k": "v"}))).unwrap_err();
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"editor\" using v1: .data.k");
    server.force("one", &cm(&json!({"k": "v"})));
    assert_eq!(data_of(&server), &json!({"extra": "e", "k": "v"}));
    assert_eq!(
        server.owners(),
        json!([["one", "Apply", {"f:data": {"f:k": {}}}], ["editor", "Update", {"f:data": {"f:extra": {}}}]])
    );
}

// === custom resources ===

fn field(name: &str, shape: Shape) -> Field {
    Field {
        name: name.into(),
        shape,
        required: false,
        pointer: false,
        omit_empty: true,
        omit_zero: false,
        enum_values: Vec::new(),
        default: None,
        patch_merge: false,
        patch_retain_keys: false,
        patch_merge_key: None,
        proto: 0,
        proto_type: String::new(),
        go_type: String::new(),
    }
}

fn list_of(items: Shape, list: ListSemantics) -> Shape {
    Shape::List { items: Box::new(items), list }
}

/// The widget of the transcripts: sets, keyed lists, an atomic map, free-form content, a status.
fn widget() -> Schema<'static> {
    let mut types = Types::default();
    let mut add = |name: &str, fields| {
        let mut def = TypeDef::default();
        (def.name, def.fields) = (name.into(), fields);
        let id = types.add(def);
        Shape::Named { id, atomic: name == "Box" }
    };
    let keyed = |keys: &[&str]| ListSemantics::Map(keys.iter().map(ToString::to_string).collect());
    let part = vec![field("name", Shape::String), field("port", Shape::Int64), field("note", Shape::String)];
    let part = add("Part", part);
    let cardboard = add("Box", vec![field("a", Shape::String), field("b", Shape::String)]);
    let spec = vec![
        field("size", Shape::Int64),
        field("steps", list_of(Shape::String, ListSemantics::Atomic)),
        field("tags", list_of(Shape::String, ListSemantics::Set)),
        field("parts", list_of(part, keyed(&["name", "port"]))),
        field("box", cardboard),
        field("free", Shape::Any),
    ];
    let spec = add("Spec", spec);
    let condition = add("Condition", vec![field("type", Shape::String), field("status", Shape::String)]);
    let status = vec![field("ready", Shape::Bool), field("conditions", list_of(condition, keyed(&["type"])))];
    let status = add("Status", status);
    let root = vec![
        field("apiVersion", Shape::String),
        field("kind", Shape::String),
        field("metadata", Shape::Any),
        field("spec", spec),
        field("status", status),
    ];
    let Shape::Named { id, .. } = add("Widget", root) else { unreachable!("made above") };
    Schema::new(Box::leak(Box::new(types)), Some(id))
}

const WIDGETS: &str = "example.com/v1";

fn widget_with(key: &str, value: &Value) -> Value {
    json!({"apiVersion": WIDGETS, "kind": "Widget", "metadata": {"name": "w"}, key: value})
}

fn spec(value: &Value) -> Value {
    widget_with("spec", value)
}

#[test]
fn list_types_of_custom_resources_are_honoured() {
    let mut server = Server::new(widget(), WIDGETS);
    let first = spec(&json!({
        "size": 1, "steps": ["x", "y"], "tags": ["a", "b"], "parts": [{"name": "p", "port": 1, "note": "one"}],
        "box": {"a": "1"}, "free": {"deep": {"er": 1}},
    }));
    server.apply("one", &first).unwrap();
    let one = json!({"f:spec": {
        "f:box": {},
        "f:free": {"f:deep": {".": {}, "f:er": {}}},
        "f:parts": {"k:{\"name\":\"p\",\"port\":1}": {".": {}, "f:name": {}, "f:note": {}, "f:port": {}}},
        "f:size": {},
        "f:steps": {},
        "f:tags": {"v:\"a\"": {}, "v:\"b\"": {}},
    }});
    assert_eq!(server.owners(), json!([["one", "Apply", one]]));
    let second = spec(&json!({
        "tags": ["b", "c"], "parts": [{"name": "p", "port": 2}, {"name": "p", "port": 1}], "free": {"deep": {"too": 2}},
    }));
    server.apply("two", &second).unwrap();
    assert_eq!(
        server.live()["spec"],
        json!({
            "box": {"a": "1"}, "free": {"deep": {"er": 1, "too": 2}},
            "parts": [{"name": "p", "port": 2}, {"name": "p", "note": "one", "port": 1}],
            "size": 1, "steps": ["x", "y"], "tags": ["a", "b", "c"],
        })
    );
    let third = spec(&json!({"steps": ["z"], "box": {"b": "2"}}));
    let status = server.apply("two", &third).unwrap_err();
    assert_eq!(status.message, "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.box\n- .spec.steps");
}

#[test]
fn each_endpoint_owns_its_own_half() {
    let mut server = Server::new(widget(), WIDGETS);
    let mut both = spec(&json!({"size": 1}));
    both["status"] = json!({"ready": true});
    server.apply("one", &both).unwrap();
    assert_eq!(server.owners(), json!([["one", "Apply", {"f:spec": {"f:size": {}}}]]));
    let mut live = server.live().clone();
    live.as_object_mut().unwrap().remove("status");
    server.store(live);

    server.reset = &["spec"];
    let through = |name| Manager { subresource: "status", ..manager(name, WIDGETS) };
    let conditions = |kind: &str| json!({"conditions": [{"type": kind, "status": "True"}]});
    server.apply_as(&through("ctl"), false, &widget_with("status", &conditions("Ready"))).unwrap();
    server.apply_as(&through("other"), false, &widget_with("status", &conditions("Synced"))).unwrap();
    server.apply_as(&through("ctl"), false, &widget_with("status", &json!({}))).unwrap();
    assert_eq!(server.live()["status"], conditions("Synced"));
    assert_eq!(list(managed_fields(server.live()))[0]["subresource"], "status");
    assert_eq!(server.owners()[0], json!(["ctl", "Apply", {"f:status": {}}]));

    let status = server.apply_as(
        &through("third"),
        false,
        &widget_with("status", &json!({"conditions": [{"type": "Synced", "status": "False"}]})),
    );
    assert_eq!(
        status.unwrap_err().message,
        "Apply failed with 1 conflict: conflict with \"other\" with subresource \"status\": .status.conditions[type=\"Synced\"].status"
    );
}

#[test]
fn without_schema_lists_are_owned_whole_and_maps_by_member() {
    let mut server = Server::new(Schema::new(&Catalog::builtin().types, None), WIDGETS);
    server.apply("one", &spec(&json!({"list": [{"name": "a"}], "map": {"x": {"y": 1}}}))).unwrap();
    let map = json!({".": {}, "f:x": {".": {}, "f:y": {}}});
    assert_eq!(server.owners(), json!([["one", "Apply", {"f:spec": {".": {}, "f:list": {}, "f:map": map}}]]));
}

// === refusals ===

fn refusal(schema: Schema<'static>, api_version: &'static str, patch: &Value) -> Status {
    Server::new(schema, api_version).apply("one", patch).unwrap_err()
}

#[test]
fn what_does_not_fit_the_schema_is_a_plain_500() {
    let cases = [
        (json!({"foo": 1}), ".foo: field not declared in schema"),
        (json!({"data": {"num": 5}}), ".data.num: expected string, got &value.valueUnstructured{Value:5}"),
        (json!({"data": []}), ".data: expected map, got &{[]}"),
        (json!({"immutable": "x"}), ".immutable: expected boolean, got &{x}"),
        (json!({"metadata": {"finalizers": {}}}), ".metadata.finalizers: expected list, got &{map[]}"),
        (json!({"metadata": {"finalizers": ["a", "a"]}}), ".metadata.finalizers: duplicate entries for key [=\"a\"]"),
    ];
    for (body, want) in cases {
        let mut patch = json!({"apiVersion": "v1", "kind": "ConfigMap"});
        patch.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let status = refusal(config_map(), "v1", &patch);
        let want = format!("failed to create typed patch object (/; /v1, Kind=ConfigMap): {want}");
        assert_eq!((status.code, status.reason, status.message), (500, None, want));
    }
}

#[test]
fn keys_without_default_are_required_and_go_zero_values_are_defaults() {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "secrets": [{"namespace": "n"}]});
    assert_eq!(
        refusal(builtin("", "v1", "ServiceAccount"), "v1", &account).message,
        "failed to create typed patch object (/; /v1, Kind=ServiceAccount): .secrets: element 0: associative list with \
         keys has an element that omits key field \"name\" (and doesn't have default value)"
    );
    let twins = deployment(&json!([{"image": "a"}, {"image": "b"}]));
    let status = refusal(builtin("apps", "v1", "Deployment"), "apps/v1", &twins);
    assert!(status.message.ends_with(".containers: duplicate entries for key [name=\"\"]"), "{status}");
}

#[test]
fn typed_errors_name_their_place_below_list_items() {
    let schema = || builtin("apps", "v1", "Deployment");
    let mut patch = deployment(&json!([{"name": "c", "env": [{"name": "A", "value": 1}]}]));
    patch["metadata"]["namespace"] = json!("ns");
    patch["spec"]["replicas"] = json!("three");
    assert_eq!(
        refusal(schema(), "apps/v1", &patch).message,
        "failed to create typed patch object (ns/d; apps/v1, Kind=Deployment): errors:\n  \
         .spec.replicas: expected numeric (int or float), got string\n  \
         .spec.template.spec.containers[name=\"c\"].env[name=\"A\"].value: expected string, got \
         &value.valueUnstructured{Value:1}"
    );
    let twins = deployment(&json!([{"name": "c"}, {"name": "c"}]));
    assert_eq!(
        refusal(schema(), "apps/v1", &twins).message,
        "failed to create typed patch object (/d; apps/v1, Kind=Deployment): \
         .spec.template.spec.containers: duplicate entries for key [name=\"c\"]"
    );
}

#[test]
fn quantities_may_be_numbers_and_ports_names() {
    let mut server = Server::new(builtin("apps", "v1", "Deployment"), "apps/v1");
    let probe = json!({"httpGet": {"port": "http"}});
    let container = json!({"name": "c", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "livenessProbe": probe});
    server.apply("one", &deployment(&json!([container]))).unwrap();
}

#[test]
fn other_kinds_and_foreign_entries_are_refused() {
    let other = json!({"apiVersion": "v1", "kind": "Secret"});
    let want = GroupVersionKind::new("", "v1", "ConfigMap");
    assert_eq!(check_kind(&other, &want).unwrap_err().message, "invalid object type: /v1, Kind=Secret");
    let status = refusal(config_map(), "v1", &json!({"kind": "ConfigMap"}));
    assert_eq!((status.code, status.message.as_str()), (400, "invalid object type: /, Kind=ConfigMap"));
    let mut patch = nothing();
    patch["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    let status = refusal(config_map(), "v1", &patch);
    assert_eq!((status.code, status.message.as_str()), (400, "metadata.managedFields must be nil"));
}

// === the life of entries ===

#[test]
fn the_eleventh_updater_folds_the_oldest() {
    let mut server = Server::new(config_map(), "v1");
    let mut data = Map::new();
    for i in 10..22 {
        data.insert(format!("k{i}"), "v".into());
        let (name, now) = (format!("m{i}"), format!("2026-01-01T00:00:{i}Z"));
        let manager = Manager { name: &name, now: &now, ..manager("", "v1") };
        let mut new = cm(&Value::Object(data.clone()));
        new.set_meta("uid", "u");
        update(&server.schema, server.live.as_ref(), &mut new, &manager, &[]);
        server.store(new);
    }
    let entries = list(managed_fields(server.live()));
    assert_eq!(entries.len(), 10);
    assert_eq!(entries[0]["manager"], "ancient-changes");
    assert_eq!(entries[0]["time"], "2026-01-01T00:00:12Z");
    assert_eq!(entries[0]["fieldsV1"], json!({"f:data": {".": {}, "f:k10": {}, "f:k11": {}, "f:k12": {}}}));
    assert_eq!(entries[1]["manager"], "m13");
}

#[test]
fn the_first_apply_gives_what_was_there_to_before_first_apply() {
    for reset in [json!([]), json!([{}])] {
        let mut server = Server::new(config_map(), "v1");
        server.put("maker", &cm(&json!({"k": "v"})));
        let mut forget = cm(&json!({"k": "v"}));
        forget["metadata"]["managedFields"] = reset;
        server.put("maker", &forget);
        assert_eq!(managed_fields(server.live()), None);
        server.put("editor", &cm(&json!({"k": "v2"})));
        assert_eq!(managed_fields(server.live()), None, "nothing is tracked until the next apply");
        server.apply("one", &cm(&json!({"new": "n"}))).unwrap();
        assert_eq!(
            server.owners(),
            json!([
                ["one", "Apply", {"f:data": {"f:new": {}}}],
                ["before-first-apply", "Update", {"f:data": {".": {}, "f:k": {}}}],
            ])
        );
        let status = server.apply("one", &cm(&json!({"k": "mine"}))).unwrap_err();
        let want = "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.k";
        assert_eq!(status.message, want);
    }
}

#[test]
fn unreadable_entries_of_a_client_are_dropped() {
    let mut server = Server::new(config_map(), "v1");
    server.put("maker", &cm(&json!({"k": "v"})));
    let before = server.owners();
    let fields = json!({"spec": {}});
    for bad in [
        json!({"operation": "Apply"}),
        json!({"operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}),
    ] {
        let mut sent = cm(&json!({"k": "v"}));
        sent["metadata"]["managedFields"] = json!([bad]);
        server.put("maker", &sent);
        assert_eq!(server.owners(), before);
    }
}

#[test]
fn a_client_may_edit_entries_but_not_through_a_subresource() {
    let mut server = Server::new(config_map(), "v1");
    server.put("maker", &cm(&json!({"k": "v"})));
    let mut sent = server.live().clone();
    sent["metadata"]["managedFields"][0]["manager"] = json!("heir");
    let through = Manager { subresource: "status", ..manager("x", "v1") };
    let mut new = sent.clone();
    update(&server.schema, server.live.as_ref(), &mut new, &through, &[]);
    assert_eq!(managed_fields(&new), managed_fields(server.live()));
    server.put("maker", &sent);
    assert_eq!(server.owners()[0][0], "heir");
}

#[test]
fn times_come_back_when_nothing_else_has_changed() {
    let mut server = Server::new(config_map(), "v1");
    server.put("maker", &cm(&json!({"k": "v"})));
    let mut new = server.live().clone();
    new["metadata"]["managedFields"][0]["time"] = json!(T2);
    assert!(keep_times_if_unchanged(server.live(), &mut new));
    assert_eq!(&new, server.live());
    new["metadata"]["managedFields"][0]["time"] = json!(T2);
    new["data"]["k"] = json!("v2");
    assert!(!keep_times_if_unchanged(server.live(), &mut new));
    assert_eq!(new["metadata"]["managedFields"][0]["time"], T2);
}

#[test]
fn entries_that_admission_breaks_are_put_back() {
    let mut server = Server::new(config_map(), "v1");
    server.put("maker", &cm(&json!({"k": "v"})));
    let mut admitted = server.live().clone();
    assert_eq!(restore_if_unreadable(server.live(), &mut admitted), None);
    admitted["metadata"]["managedFields"][0]["operation"] = json!("Mutate");
    let warning = restore_if_unreadable(server.live(), &mut admitted).unwrap();
    assert!(warning.ends_with("please fix your requests: operation must be `Apply` or `Update`"), "{warning}");
    assert_eq!(&admitted, server.live());
}

#[test]
fn ownership_recorded_in_versions_that_are_gone_is_forgotten() {
    let mut server = Server::new(widget(), WIDGETS);
    server.apply("old", &spec(&json!({"size": 1}))).unwrap();
    let mut live = server.live().clone();
    live["metadata"]["managedFields"][0]["apiVersion"] = json!("example.com/v1alpha1");
    server.store(live);
    server.schema = server.schema.served(&[WIDGETS]);
    server.apply("new", &spec(&json!({"size": 2}))).unwrap();
    assert_eq!(server.owners(), json!([["new", "Apply", {"f:spec": {"f:size": {}}}]]));
}

#[test]
fn owners_of_parts_of_what_has_become_atomic_own_the_whole() {
    let mut server = Server::new(widget(), WIDGETS);
    server.apply("one", &spec(&json!({"box": {"a": "1"}}))).unwrap();
    let mut live = server.live().clone();
    live["metadata"]["managedFields"][0]["fieldsV1"] = json!({"f:spec": {"f:box": {"f:a": {}}}});
    server.store(live);
    let status = server.apply("two", &spec(&json!({"box": {"b": "2"}}))).unwrap_err();
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.box");
}

#[test]
fn kubectl_takes_over_what_its_client_side_apply_left() {
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let mut server = Server::new(config_map(), "v1");
    let mut object = cm(&json!({"k": "v", "other": "o"}));
    object["metadata"]["annotations"] = json!({annotation: cm(&json!({"k": "v", "other": "o"})).to_string()});
    server.put("kubectl-client-side-apply", &object);
    assert!(server.apply("someone", &cm(&json!({"k": "v2"}))).is_err());
    server.apply("kubectl", &cm(&json!({"k": "v2"}))).unwrap();
    assert_eq!(data_of(&server), &json!({"k": "v2", "other": "o"}));
    let text = server.live().annotation(annotation).unwrap();
    assert_eq!(text, format!("{}\n", cm(&json!({"k": "v2"}))));

    let mut edited = server.live().clone();
    edited["data"]["other"] = json!("edited");
    server.put("editor", &edited);
    let status = server.apply("kubectl", &cm(&json!({"k": "v2", "other": "mine"}))).unwrap_err();
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"editor\" using v1: .data.other");
}

#[test]
fn managers_are_read_from_user_agents() {
    assert_eq!(manager_from_user_agent("my-controller/v1.2 (linux/amd64) abc"), "my-controller");
    assert_eq!(manager_from_user_agent("Plain Agent"), "Plain Agent");
    assert_eq!(manager_from_user_agent(""), "unknown");
    assert_eq!(manager_from_user_agent("a\u{7}b\u{200b}c"), "abc");
    assert_eq!(manager_from_user_agent(&"ä".repeat(100)).len(), 128);
}

#[test]
fn a_write_to_scale_takes_the_replicas_of_the_parent() {
    let paths: ReplicasPaths<'_> = &[("apps/v1", &["spec", "replicas"])];
    let entry = |manager: &str, operation: &str, version: &str, fields: Value| {
        json!({"manager": manager, "operation": operation, "apiVersion": version, "time": T1,
               "fieldsType": "FieldsV1", "fieldsV1": fields})
    };
    let replicas = json!({"f:spec": {"f:replicas": {}}});
    let parent = [entry("one", "Apply", "apps/v1", json!({"f:spec": {"f:replicas": {}, "f:selector": {}}}))];
    let scale = to_scale(&parent, paths);
    assert_eq!(scale, [entry("one", "Apply", "autoscaling/v1", replicas.clone())]);
    assert_eq!(to_parent(&parent, &scale, "apps/v1", paths), parent);

    let mut written = entry("kubectl", "Update", "autoscaling/v1", replicas.clone());
    written["subresource"] = json!("scale");
    let after = to_parent(&parent, &[written], "apps/v1", paths);
    assert_eq!(after[0]["fieldsV1"], json!({"f:spec": {"f:selector": {}}}));
    assert_eq!((&after[1]["apiVersion"], &after[1]["fieldsV1"]), (&json!("apps/v1"), &replicas));
}

// === algebra ===

fn configs() -> impl Strategy<Value = Value> {
    let tags = prop::collection::btree_set("[a-c]", 0..3);
    let parts = prop::collection::btree_map(0..3i64, prop::option::of("[x-z]"), 0..3);
    let free = prop::collection::btree_map("[m-o]", 0..2i64, 0..3);
    (prop::option::of(0..3i64), tags, parts, free, prop::option::of("[st]")).prop_map(
        |(size, tags, parts, free, step)| {
            let mut out = Map::new();
            if let Some(size) = size {
                out.insert("size".into(), size.into());
            }
            if !tags.is_empty() {
                out.insert("tags".into(), tags.into_iter().collect());
            }
            if !parts.is_empty() {
                let part = |(port, note)| match note {
                    Some(note) => json!({"name": "p", "port": port, "note": note}),
                    None => json!({"name": "p", "port": port}),
                };
                out.insert("parts".into(), parts.into_iter().map(part).collect());
            }
            if !free.is_empty() {
                out.insert("free".into(), json!(free));
            }
            if let Some(step) = step {
                out.insert("steps".into(), json!([step]));
            }
            spec(&Value::Object(out))
        },
    )
}

/// Lists by key, so that orders do not matter; entries by manager, without times.
fn settled(object: &Value) -> Value {
    let mut object = object.clone();
    for (list, key) in [("tags", None), ("parts", Some("port"))] {
        if let Some(Value::Array(items)) = object.pointer_mut(&format!("/spec/{list}")) {
            items.sort_by_key(|i| key.map_or(i, |k| &i[k]).to_string());
        }
    }
    if let Some(Value::Array(entries)) = object.pointer_mut("/metadata/managedFields") {
        for entry in entries.iter_mut() {
            entry.as_object_mut().unwrap().remove("time");
        }
        entries.sort_by_key(|e| e["manager"].to_string());
    }
    object
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once(a in configs(), b in configs()) {
        let mut server = Server::new(widget(), WIDGETS);
        server.apply("one", &a).unwrap();
        server.force("two", &b);
        let before = server.live().clone();
        server.force("two", &b);
        prop_assert_eq!(server.live(), &before);
    }

    #[test]
    fn applying_nothing_takes_back_what_one_applied_alone(a in configs(), b in configs()) {
        let mut alone = Server::new(widget(), WIDGETS);
        alone.apply("one", &a).unwrap();
        let before = settled(alone.live());
        if alone.apply("two", &b).is_ok() {
            alone.apply("two", &json!({"apiVersion": WIDGETS, "kind": "Widget", "metadata": {"name": "w"}})).unwrap();
            let mut after = settled(alone.live());
            if before.get("spec") == Some(&json!({})) {
                after["spec"] = json!({});
            }
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn applies_that_do_not_conflict_commute(a in configs(), b in configs()) {
        let (mut ab, mut ba) = (Server::new(widget(), WIDGETS), Server::new(widget(), WIDGETS));
        ab.apply("one", &a).unwrap();
        ba.apply("two", &b).unwrap();
        let second = ab.apply("two", &b).is_ok();
        prop_assert_eq!(second, ba.apply("one", &a).is_ok(), "a conflict is one either way round");
        if second {
            prop_assert_eq!(settled(ab.live()), settled(ba.live()));
        }
    }

    #[test]
    fn every_recorded_field_exists(a in configs(), b in configs(), c in configs()) {
        let mut server = Server::new(widget(), WIDGETS);
        server.apply("one", &a).unwrap();
        server.force("two", &b);
        server.force("one", &c);
        let managers = decode(list(managed_fields(server.live()))).unwrap();
        let there = crate::patch::apply::field_set(server.live(), server.schema.ty());
        // An empty `spec` that was applied is owned as a leaf, also when others have filled it since.
        let there = there.union(Set::of_fields([["spec"]]));
        for entry in &managers.entries {
            prop_assert!(entry.set.difference(&there).is_empty(), "{:?} of {}", entry, server.live());
        }
    }

    #[test]
    fn an_update_takes_what_it_changes_from_everybody_else(a in configs(), b in configs()) {
        let mut server = Server::new(widget(), WIDGETS);
        server.apply("one", &a).unwrap();
        let before = server.live().clone();
        server.put("two", &b);
        let change = crate::patch::apply::compare(&before, server.live(), server.schema.ty());
        let managers = decode(list(managed_fields(server.live()))).unwrap();
        for entry in managers.entries.iter().filter(|e| e.id.manager == "one") {
            for changed in [&change.added, &change.modified, &change.removed] {
                prop_assert!(entry.set.intersection(changed).is_empty());
            }
        }
    }

    #[test]
    fn no_content_whatever_is_more_than_a_refusal(live in json_of_a_pod(), patch in json_of_a_pod(), force: bool) {
        for schema in [builtin("", "v1", "Pod"), Schema::new(&Catalog::builtin().types, None)] {
            let manager = manager("kubectl", "v1");
            let _ = apply(&schema, Some(&live), &patch, &manager, force, &["status"]);
            let mut new = patch.clone();
            update(&schema, Some(&live), &mut new, &manager, &["status", "metadata.labels"]);
            keep_times_if_unchanged(&live, &mut new);
        }
    }
}

/// Anything under names that mean something to a Pod.
fn json_of_a_pod() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..3i64).prop_map(Value::from),
        Just(json!(1.5)),
        "[ab:]{0,2}".prop_map(Value::from),
    ];
    let names = [
        "metadata",
        "managedFields",
        "fieldsV1",
        "f:spec",
        "k:{\"name\":\"a\"}",
        "labels",
        "annotations",
        "finalizers",
        "spec",
        "containers",
        "name",
        "ports",
        "env",
        "resources",
        "limits",
        "overhead",
        "nodeSelector",
        "uid",
        "x",
    ];
    let value = scalar.prop_recursive(6, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((prop::sample::select(names.to_vec()), inner), 0..5)
                .prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    });
    (value.clone(), value)
        .prop_map(|(metadata, spec)| json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
}
