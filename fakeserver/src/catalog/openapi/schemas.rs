//! Schemas of the published documents: built-in types from the catalogue, custom ones from their CRD.
//!
//! Counterpart: kube-openapi `pkg/builder` and `builder3`, apiextensions-apiserver `controller/openapi/v2`.

use crate::catalog::ResourceInfo;
use rehearsal_apimachinery::catalog::{Catalog, Field, Form, ListSemantics, Shape, TypeDef, TypeId, Types};
use rehearsal_apimachinery::gvk::GroupVersionKind;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Names of the types that every document needs.
pub(super) struct Meta {
    pub(super) object_meta: &'static str,
    pub(super) list_meta: &'static str,
    pub(super) status: &'static str,
    pub(super) delete_options: &'static str,
    pub(super) patch: &'static str,
    pub(super) watch_event: &'static str,
    pub(super) resource_list: &'static str,
    pub(super) group: &'static str,
    pub(super) group_list: &'static str,
    pub(super) versions: &'static str,
    pub(super) version_info: &'static str,
}

pub(super) const META: Meta = Meta {
    object_meta: "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    list_meta: "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta",
    status: "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
    delete_options: "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    patch: "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
    watch_event: "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent",
    resource_list: "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList",
    group: "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup",
    group_list: "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList",
    versions: "io.k8s.apimachinery.pkg.apis.meta.v1.APIVersions",
    version_info: "io.k8s.apimachinery.pkg.version.Info",
};

/// The version of OpenAPI that a schema is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Swagger 2.0.
    V2,
    /// OpenAPI 3.0.
    V3,
}

impl Dialect {
    /// A reference to a schema of the same document.
    pub(super) fn reference(self, name: &str) -> Value {
        match self {
            Self::V2 => json!({"$ref": format!("#/definitions/{name}")}),
            Self::V3 => json!({"$ref": format!("#/components/schemas/{name}")}),
        }
    }

    /// A reference with something to say beside it, which only `allOf` allows.
    fn annotated_reference(self, name: &str, extra: Map<String, Value>) -> Value {
        if extra.is_empty() || self == Self::V2 {
            return self.reference(name);
        }
        let mut schema = extra;
        schema.insert("allOf".to_owned(), json!([self.reference(name)]));
        Value::Object(schema)
    }
}

/// The schema name of a custom kind: the group backwards, then version and kind.
pub(super) fn custom_name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').rev().collect();
    parts.extend([version, kind]);
    parts.join(".")
}

/// The named built-in types and everything they refer to, by name.
pub(super) fn closure(dialect: Dialect, names: impl IntoIterator<Item = String>) -> BTreeMap<String, Value> {
    let types = &Catalog::builtin().types;
    let mut seen: BTreeSet<TypeId> = BTreeSet::new();
    let mut todo: Vec<TypeId> = names.into_iter().filter_map(|name| types.id(&name)).collect();
    while let Some(id) = todo.pop() {
        if seen.insert(id) && types[id].form == Form::Struct {
            types[id].fields.iter().for_each(|f| referred(&f.shape, &mut todo));
        }
    }
    seen.into_iter().map(|id| (types[id].name.clone(), of_type(dialect, types, &types[id]))).collect()
}

fn referred(shape: &Shape, found: &mut Vec<TypeId>) {
    match shape {
        Shape::Named { id, .. } => found.push(*id),
        Shape::List { items, .. } => referred(items, found),
        Shape::Map { values, .. } => referred(values, found),
        _ => {}
    }
}

/// The schema of a built-in type.
fn of_type(dialect: Dialect, types: &Types, def: &TypeDef) -> Value {
    match (def.form, dialect) {
        (Form::Time | Form::MicroTime, _) => json!({"type": "string", "format": "date-time"}),
        (Form::Duration, _) | (Form::Quantity, Dialect::V2) => json!({"type": "string"}),
        (Form::Quantity, Dialect::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        (Form::IntOrString, Dialect::V2) => json!({"type": "string", "format": "int-or-string"}),
        (Form::IntOrString, Dialect::V3) => {
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        }
        (Form::RawExtension | Form::FieldsV1, _) => json!({"type": "object"}),
        (Form::Json | Form::SchemaOr, _) => json!({}),
        (Form::Struct, _) => of_struct(dialect, types, def),
    }
}

fn of_struct(dialect: Dialect, types: &Types, def: &TypeDef) -> Value {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    let properties: Map<String, Value> =
        def.fields.iter().map(|f| (f.name.clone(), of_field(dialect, types, f))).collect();
    if !properties.is_empty() {
        schema.insert("properties".to_owned(), properties.into());
    }
    let mut required: Vec<&str> = def.fields.iter().filter(|f| f.required).map(|f| f.name.as_str()).collect();
    required.sort_unstable();
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    if !def.gvks.is_empty() {
        schema.insert("x-kubernetes-group-version-kind".to_owned(), def.gvks.iter().map(gvk).collect());
    }
    if def.atomic {
        schema.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
    }
    let unions: Vec<Value> = def
        .unions
        .iter()
        .map(|u| match &u.discriminator {
            Some(d) => json!({"discriminator": d, "fields-to-discriminateBy": u.fields}),
            None => json!({"fields-to-discriminateBy": u.fields}),
        })
        .collect();
    if !unions.is_empty() {
        schema.insert("x-kubernetes-unions".to_owned(), unions.into());
    }
    Value::Object(schema)
}

/// A kind as the documents write it.
pub(super) fn gvk(gvk: &GroupVersionKind) -> Value {
    json!({"group": gvk.group, "kind": gvk.kind, "version": gvk.version})
}

fn of_field(dialect: Dialect, types: &Types, field: &Field) -> Value {
    let mut extra = Map::new();
    if let Some(default) = &field.default {
        extra.insert("default".to_owned(), default.clone());
    }
    if !field.enum_values.is_empty() {
        extra.insert("enum".to_owned(), field.enum_values.clone().into());
    }
    let strategy = match (field.patch_merge, field.patch_retain_keys) {
        (true, true) => "merge,retainKeys",
        (true, false) => "merge",
        (false, true) => "retainKeys",
        (false, false) => "",
    };
    if !strategy.is_empty() {
        extra.insert("x-kubernetes-patch-strategy".to_owned(), strategy.into());
    }
    if let Some(key) = &field.patch_merge_key {
        extra.insert("x-kubernetes-patch-merge-key".to_owned(), key.clone().into());
    }
    if let Shape::Named { id, .. } = &field.shape {
        return dialect.annotated_reference(&types[*id].name, extra);
    }
    let mut schema = of_shape(dialect, types, &field.shape);
    if let Some(map) = schema.as_object_mut() {
        map.append(&mut extra);
    }
    schema
}

fn of_shape(dialect: Dialect, types: &Types, shape: &Shape) -> Value {
    match shape {
        Shape::String => json!({"type": "string"}),
        Shape::Bytes => json!({"type": "string", "format": "byte"}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Int32 => json!({"type": "integer", "format": "int32"}),
        Shape::Int64 => json!({"type": "integer", "format": "int64"}),
        Shape::Double => json!({"type": "number", "format": "double"}),
        Shape::Any => json!({"type": "object"}),
        Shape::Named { id, .. } => dialect.reference(&types[*id].name),
        Shape::List { items, list } => {
            let items = of_shape(dialect, types, items);
            match list {
                ListSemantics::Atomic => {
                    json!({"type": "array", "items": items, "x-kubernetes-list-type": "atomic"})
                }
                ListSemantics::Set => json!({"type": "array", "items": items, "x-kubernetes-list-type": "set"}),
                ListSemantics::Map(keys) => json!({"type": "array", "items": items,
                    "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}),
            }
        }
        Shape::Map { values, atomic } => {
            let mut schema = json!({"type": "object", "additionalProperties": of_shape(dialect, types, values)});
            if *atomic {
                schema["x-kubernetes-map-type"] = "atomic".into();
            }
            schema
        }
    }
}

// === custom resources ===

/// The schemas of a custom row: the kind and its list.
pub(super) fn of_custom(dialect: Dialect, row: &ResourceInfo) -> [(String, Value); 2] {
    let name = custom_name(&row.group, &row.version, &row.kind);
    let list_name = custom_name(&row.group, &row.version, &row.list_kind);
    let list_gvk = GroupVersionKind::new(&row.group, &row.version, &row.list_kind);
    let list = json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "items": {"type": "array", "items": dialect.reference(&name)},
            "metadata": dialect.reference(META.list_meta),
        },
        "x-kubernetes-group-version-kind": [gvk(&list_gvk)],
    });
    [(name, custom_schema(dialect, row)), (list_name, list)]
}

fn custom_schema(dialect: Dialect, row: &ResourceInfo) -> Value {
    let mut schema = row.schema.as_deref().filter(|s| s.is_object()).cloned().unwrap_or_else(|| json!({}));
    if dialect == Dialect::V2 {
        to_v2(&mut schema);
    }
    schema["type"] = "object".into();
    schema["x-kubernetes-group-version-kind"] = json!([gvk(&row.gvk())]);
    // Version 2 forgets the members of a schema that keeps unknown ones, and so do we: nothing but the type is left.
    if dialect == Dialect::V2 && schema.get("x-kubernetes-preserve-unknown-fields").is_some() {
        return schema;
    }
    if !schema.get("properties").is_some_and(Value::is_object) {
        schema["properties"] = json!({});
    }
    schema["properties"]["apiVersion"] = json!({"type": "string"});
    schema["properties"]["kind"] = json!({"type": "string"});
    schema["properties"]["metadata"] = dialect.reference(META.object_meta);
    schema
}

/// Drops what Swagger 2.0 cannot say. Clients of that version validate against the result, so it must be laxer than
/// the real schema, never stricter.
fn to_v2(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    for key in ["allOf", "anyOf", "oneOf", "not"] {
        map.remove(key);
    }
    let is_set = |map: &Map<String, Value>, key: &str| map.get(key) == Some(&Value::Bool(true));
    if is_set(map, "nullable") {
        ["nullable", "type", "items", "properties", "additionalProperties"].iter().for_each(|k| drop(map.remove(*k)));
    }
    if is_set(map, "x-kubernetes-preserve-unknown-fields") {
        ["items", "properties", "additionalProperties"].iter().for_each(|k| drop(map.remove(*k)));
    }
    if is_set(map, "x-kubernetes-int-or-string") {
        map.remove("type");
    }
    for key in ["items", "additionalProperties"] {
        map.get_mut(key).into_iter().for_each(to_v2);
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(to_v2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(dialect: Dialect, name: &str) -> Value {
        closure(dialect, [name.to_owned()]).remove(name).unwrap()
    }

    #[test]
    fn merge_keys_and_list_types_are_published() {
        for dialect in [Dialect::V2, Dialect::V3] {
            let containers = &schema(dialect, "io.k8s.api.core.v1.PodSpec")["properties"]["containers"];
            assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
            assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
            assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
        }
        let strategy = &schema(Dialect::V3, "io.k8s.api.apps.v1.DeploymentSpec")["properties"]["strategy"];
        assert_eq!(
            *strategy,
            json!({"allOf": [{"$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentStrategy"}],
                "x-kubernetes-patch-strategy": "retainKeys"})
        );
    }

    #[test]
    fn a_closure_has_no_loose_ends() {
        let schemas = closure(Dialect::V3, ["io.k8s.api.apps.v1.Deployment".to_owned()]);
        let text = serde_json::to_string(&schemas).unwrap();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
        assert_eq!(
            schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"],
            json!([{"group": "apps", "kind": "Deployment", "version": "v1"}])
        );
    }

    #[test]
    fn version_two_forgets_what_it_cannot_say() {
        let mut schema = json!({"type": "object", "oneOf": [{}], "properties": {
            "n": {"type": "object", "nullable": true, "properties": {"x": {"type": "string"}}},
            "p": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"x": {}}},
            "i": {"type": "integer", "x-kubernetes-int-or-string": true, "anyOf": [{}]}
        }});
        to_v2(&mut schema);
        assert_eq!(
            schema,
            json!({"type": "object", "properties": {
                "n": {},
                "p": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "i": {"x-kubernetes-int-or-string": true}
            }})
        );
    }

    #[test]
    fn custom_kinds_are_named_backwards() {
        assert_eq!(custom_name("stable.example.com", "v1", "CronTab"), "com.example.stable.v1.CronTab");
    }
}
