//! The read-only type model: an arena of struct types with fields, list and map semantics, and wire numbers.
//!
//! Two tables are joined: the OpenAPI facts of a running server (shapes, list types, merge keys, protobuf numbers) and
//! the Go struct facts of `k8s.io/api` (member order, pointers, `omitempty`), which OpenAPI cannot say but every
//! byte on the wire depends on.

use crate::gvk::GroupVersionKind;
use serde::Deserialize;
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::Index;

/// Index of a type within its [`Types`] arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// An arena of types that refer to one another by [`TypeId`].
#[derive(Clone, Debug, Default)]
pub struct Types {
    defs: Vec<TypeDef>,
    by_name: HashMap<String, TypeId>,
}

impl Types {
    /// The type with this OpenAPI name, such as `io.k8s.api.core.v1.Pod`.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&TypeDef> {
        self.id(name).map(|id| &self[id])
    }

    /// The id of the type with this OpenAPI name.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    /// All ids, in name order for the built-in catalogue.
    pub fn ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        (0..u32::try_from(self.defs.len()).unwrap_or(u32::MAX)).map(TypeId)
    }

    /// Adds a type and returns its id; a later type of the same name hides the earlier one from lookups by name.
    ///
    /// # Panics
    /// Beyond 2^32 types.
    pub fn add(&mut self, mut def: TypeDef) -> TypeId {
        let id = TypeId(u32::try_from(self.defs.len()).expect("fewer than 2^32 types"));
        def.reindex();
        self.by_name.insert(def.name.clone(), id);
        self.defs.push(def);
        id
    }

    /// Replaces the definition behind an id (for recursive types that are reserved first and filled later).
    ///
    /// # Panics
    /// If the id is not of this arena.
    pub fn set(&mut self, id: TypeId, mut def: TypeDef) {
        def.reindex();
        self.defs[id.0 as usize] = def;
    }
}

impl Index<TypeId> for Types {
    type Output = TypeDef;
    fn index(&self, id: TypeId) -> &TypeDef {
        &self.defs[id.0 as usize]
    }
}

/// How a named type is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// An object with fields.
    #[default]
    Struct,
    /// RFC 3339 in whole seconds (`metav1.Time`).
    Time,
    /// RFC 3339 with microseconds (`metav1.MicroTime`).
    MicroTime,
    /// A quantity, canonicalised by built-in types.
    Quantity,
    /// A number or a string.
    IntOrString,
    /// Any object (`runtime.RawExtension`).
    RawExtension,
    /// Field sets (`metav1.FieldsV1`).
    FieldsV1,
    /// A Go duration string (`metav1.Duration`).
    Duration,
    /// Any JSON value (`apiextensions.JSON`).
    Json,
    /// `JSONSchemaPropsOrBool`, `…OrArray`, `…OrStringArray`: a schema or something simpler.
    SchemaOr,
}

/// How the items of a list relate (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListSemantics {
    /// One value as a whole.
    #[default]
    Atomic,
    /// Scalars without duplicates.
    Set,
    /// Objects told apart by these keys.
    Map(Vec<String>),
}

/// The shape of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A string.
    String,
    /// Bytes, base64 in JSON.
    Bytes,
    /// A boolean.
    Bool,
    /// A 32-bit integer.
    Int32,
    /// A 64-bit integer.
    Int64,
    /// A floating point number.
    Double,
    /// A type of the same arena; `atomic` when the field or the type is owned as a whole.
    Named {
        /// The type.
        id: TypeId,
        /// `x-kubernetes-map-type: atomic`.
        atomic: bool,
    },
    /// A list.
    List {
        /// Shape of an item.
        items: Box<Shape>,
        /// Semantics of the list.
        list: ListSemantics,
    },
    /// A map with string keys.
    Map {
        /// Shape of a value.
        values: Box<Shape>,
        /// Owned as a whole.
        atomic: bool,
    },
    /// Anything, kept as it is.
    Any,
}

/// One member of a struct type.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)]
pub struct Field {
    /// JSON name.
    pub name: String,
    /// Shape of the value.
    pub shape: Shape,
    /// OpenAPI `required`.
    pub required: bool,
    /// The Go member is a pointer: a zero value that was given is kept.
    pub pointer: bool,
    /// Go `omitempty`: zero scalars, empty lists and maps, nil pointers are left out. Never omits a struct value.
    pub omit_empty: bool,
    /// Go `omitzero`.
    pub omit_zero: bool,
    /// Allowed values, in the table's order; empty when open.
    pub enum_values: Vec<String>,
    /// OpenAPI default.
    pub default: Option<Value>,
    /// Strategic merge: lists are merged.
    pub patch_merge: bool,
    /// Strategic merge: keys not named are dropped.
    pub patch_retain_keys: bool,
    /// Strategic merge: key of list items.
    pub patch_merge_key: Option<String>,
    /// Protobuf field number; 0 when not on the wire.
    pub proto: u32,
    /// Protobuf type as the table writes it.
    pub proto_type: String,
    /// Go type as decode errors print it, such as `map[string]string`.
    pub go_type: String,
}

/// A protobuf message member whose own members appear flattened in JSON.
#[derive(Clone, Debug, Deserialize)]
pub struct Inline {
    /// OpenAPI name of the inner message, or a scalar for special types.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Field number.
    pub proto: u32,
    /// Member name.
    pub name: String,
}

/// A union: `fields` maps each member to the discriminator value that selects it.
#[derive(Clone, Debug, Deserialize)]
pub struct Union {
    /// The discriminator field, if there is one.
    #[serde(default)]
    pub discriminator: Option<String>,
    /// Member field to discriminator value.
    #[serde(rename = "fields-to-discriminateBy")]
    pub fields: BTreeMap<String, String>,
}

/// One type.
#[derive(Clone, Debug, Default)]
pub struct TypeDef {
    /// OpenAPI name.
    pub name: String,
    /// How it is written.
    pub form: Form,
    /// Members in Go struct order.
    pub fields: Vec<Field>,
    /// Kinds this type stands for.
    pub gvks: Vec<GroupVersionKind>,
    /// The whole struct is owned as one.
    pub atomic: bool,
    /// Protobuf members that JSON flattens.
    pub inline: Vec<Inline>,
    /// Exists on the protobuf wire alone.
    pub proto_only: bool,
    /// Unions among the members.
    pub unions: Vec<Union>,
    /// Unknown members are kept (custom resources with preserve-unknown-fields; always false for built-ins).
    pub preserve_unknown: bool,
    /// Positions in `fields`, by name: a search among few short names beats hashing them.
    index: Box<[u16]>,
}

impl TypeDef {
    /// The member with this JSON name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        let at = |i: &u16| &self.fields[usize::from(*i)];
        let found = self.index.binary_search_by(|i| by_length(&at(i).name, name));
        found.ok().map(|place| at(&self.index[place]))
    }

    /// The name without its package, as Go prints the struct: `PodSpec`.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    fn reindex(&mut self) {
        let mut index: Vec<u16> = (0..=u16::MAX).take(self.fields.len()).collect();
        let name = |i: u16| self.fields[usize::from(i)].name.as_str();
        index.sort_by(|a, b| by_length(name(*a), name(*b)));
        self.index = index.into();
    }
}

/// An order of names that is decided by their lengths nearly always.
fn by_length(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

// === loading the tables ===

#[derive(Deserialize)]
struct RawType {
    #[serde(default)]
    fields: BTreeMap<String, RawField>,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    gvk: Vec<GroupVersionKind>,
    #[serde(default, rename = "mapType")]
    map_type: Option<String>,
    #[serde(default)]
    inline: Vec<Inline>,
    #[serde(default, rename = "protoOnly")]
    proto_only: bool,
    #[serde(default)]
    unions: Vec<Union>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawField {
    #[serde(rename = "type")]
    kind: Option<String>,
    format: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    items: Option<Box<RawField>>,
    values: Option<Box<RawField>>,
    #[serde(default, rename = "enum")]
    enum_values: Vec<String>,
    default: Option<Value>,
    list_type: Option<String>,
    #[serde(default)]
    list_map_keys: Vec<String>,
    map_type: Option<String>,
    patch_strategy: Option<String>,
    patch_merge_key: Option<String>,
    #[serde(default)]
    proto: u32,
    #[serde(default)]
    proto_type: String,
}

#[derive(Deserialize)]
struct GoField {
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "g")]
    go_type: String,
    #[serde(default, rename = "f")]
    flags: String,
}

pub(super) fn load(types_json: &str, gostructs_json: &str) -> Types {
    let raw: BTreeMap<String, RawType> = serde_json::from_str(types_json).expect("types.json parses");
    let go: HashMap<String, Vec<GoField>> = serde_json::from_str(gostructs_json).expect("gostructs.json parses");
    let by_name: HashMap<String, TypeId> =
        raw.keys().enumerate().map(|(i, n)| (n.clone(), TypeId(u32::try_from(i).unwrap_or(u32::MAX)))).collect();
    let atomic: Vec<bool> = raw.values().map(|t| t.map_type.as_deref() == Some("atomic")).collect();
    let defs = raw.into_iter().map(|(name, t)| def(name, t, &go, &by_name, &atomic)).collect();
    Types { defs, by_name }
}

fn def(
    name: String,
    raw: RawType,
    go: &HashMap<String, Vec<GoField>>,
    by_name: &HashMap<String, TypeId>,
    atomic: &[bool],
) -> TypeDef {
    let required = raw.required;
    let mut fields: Vec<Field> = raw.fields.into_iter().map(|(n, f)| field(n, f, &required, by_name, atomic)).collect();
    match go.get(&name) {
        Some(order) => {
            for f in &mut fields {
                if let Some(g) = order.iter().find(|g| g.name == f.name) {
                    f.pointer = g.flags.contains('p');
                    f.omit_empty = g.flags.contains('e');
                    f.omit_zero = g.flags.contains('z');
                    f.go_type.clone_from(&g.go_type);
                }
            }
            fields.sort_by_key(|f| order.iter().position(|g| g.name == f.name).unwrap_or(usize::MAX));
        }
        None => fields.sort_by_key(|f| f.proto),
    }
    let mut def = TypeDef {
        form: form(&name),
        atomic: raw.map_type.as_deref() == Some("atomic"),
        name,
        fields,
        gvks: raw.gvk,
        inline: raw.inline,
        proto_only: raw.proto_only,
        unions: raw.unions,
        preserve_unknown: false,
        index: Box::default(),
    };
    def.reindex();
    def
}

fn field(
    name: String,
    raw: RawField,
    required: &[String],
    by_name: &HashMap<String, TypeId>,
    atomic: &[bool],
) -> Field {
    let strategy = raw.patch_strategy.clone().unwrap_or_default();
    Field {
        shape: shape(&raw, by_name, atomic),
        required: required.contains(&name),
        pointer: false,
        omit_empty: !required.contains(&name),
        omit_zero: false,
        enum_values: raw.enum_values,
        default: raw.default,
        patch_merge: strategy.split(',').any(|s| s == "merge"),
        patch_retain_keys: strategy.split(',').any(|s| s == "retainKeys"),
        patch_merge_key: raw.patch_merge_key,
        proto: raw.proto,
        proto_type: raw.proto_type,
        go_type: String::new(),
        name,
    }
}

fn shape(raw: &RawField, by_name: &HashMap<String, TypeId>, atomic: &[bool]) -> Shape {
    let field_atomic = raw.map_type.as_deref() == Some("atomic");
    if let Some(reference) = &raw.reference {
        return match by_name.get(reference) {
            Some(id) => Shape::Named { id: *id, atomic: field_atomic || atomic[id.0 as usize] },
            None => Shape::Any,
        };
    }
    match (raw.kind.as_deref(), raw.format.as_deref()) {
        (Some("string"), Some("byte")) => Shape::Bytes,
        (Some("string"), _) => Shape::String,
        (Some("boolean"), _) => Shape::Bool,
        (Some("integer"), Some("int32")) => Shape::Int32,
        (Some("integer"), _) => Shape::Int64,
        (Some("number"), _) => Shape::Double,
        (Some("array"), _) => Shape::List {
            items: Box::new(raw.items.as_deref().map_or(Shape::Any, |i| shape(i, by_name, atomic))),
            list: match raw.list_type.as_deref() {
                Some("set") => ListSemantics::Set,
                Some("map") => ListSemantics::Map(raw.list_map_keys.clone()),
                _ => ListSemantics::Atomic,
            },
        },
        (Some("object"), _) => match raw.values.as_deref() {
            Some(v) => Shape::Map { values: Box::new(shape(v, by_name, atomic)), atomic: field_atomic },
            None => Shape::Any,
        },
        _ => proto_shape(&raw.proto_type, by_name, atomic),
    }
}

/// Types that exist on the protobuf wire alone carry no OpenAPI shape, only the wire type.
fn proto_shape(proto_type: &str, by_name: &HashMap<String, TypeId>, atomic: &[bool]) -> Shape {
    if let Some(item) = proto_type.strip_prefix("repeated ") {
        let items = Box::new(proto_shape(item, by_name, atomic));
        return Shape::List { items, list: ListSemantics::Atomic };
    }
    match proto_type {
        "string" => Shape::String,
        "bytes" => Shape::Bytes,
        "bool" => Shape::Bool,
        "int32" => Shape::Int32,
        "int64" => Shape::Int64,
        "double" => Shape::Double,
        other => match by_name.get(other) {
            Some(id) => Shape::Named { id: *id, atomic: atomic[id.0 as usize] },
            None => Shape::Any,
        },
    }
}

fn form(name: &str) -> Form {
    match name {
        "io.k8s.apimachinery.pkg.apis.meta.v1.Time" => Form::Time,
        "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime" => Form::MicroTime,
        "io.k8s.apimachinery.pkg.api.resource.Quantity" => Form::Quantity,
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString" => Form::IntOrString,
        "io.k8s.apimachinery.pkg.runtime.RawExtension" => Form::RawExtension,
        "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1" => Form::FieldsV1,
        "io.k8s.apimachinery.pkg.apis.meta.v1.Duration" => Form::Duration,
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON" => Form::Json,
        n if n.starts_with("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOr") => {
            Form::SchemaOr
        }
        _ => Form::Struct,
    }
}
