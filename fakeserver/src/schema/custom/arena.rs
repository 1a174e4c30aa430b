//! The types of a custom resource as the ownership engine and the codecs read them.
//!
//! Counterpart: the OpenAPI models that apiextensions-apiserver builds for structured-merge-diff.

use super::structural::{Additional, Schema};
use rehearsal_apimachinery::Catalog;
use rehearsal_apimachinery::catalog::{Field, Shape, TypeDef, TypeId, Types};
use std::collections::HashMap;

/// Name of the metadata type in every arena.
pub(super) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Builds the arena of a kind; returns it with the kind's type.
pub(super) fn build(kind: &str, schema: &Schema) -> (Types, TypeId) {
    let mut builder = Builder { types: Types::default(), copied: HashMap::new(), metadata: Shape::Any };
    let catalog = Catalog::builtin();
    if let Some(id) = catalog.types.id(OBJECT_META) {
        builder.metadata = Shape::Named { id: builder.copy(&catalog.types, id), atomic: false };
    }
    let def = builder.resource(kind, schema);
    let root = builder.types.add(def);
    (builder.types, root)
}

struct Builder {
    types: Types,
    copied: HashMap<TypeId, TypeId>,
    metadata: Shape,
}

impl Builder {
    /// Copies a built-in type with all it refers to.
    fn copy(&mut self, from: &Types, id: TypeId) -> TypeId {
        if let Some(done) = self.copied.get(&id) {
            return *done;
        }
        let here = self.types.add(def(&from[id].name, Vec::new(), false, false));
        self.copied.insert(id, here);
        let mut copy = from[id].clone();
        for field in &mut copy.fields {
            self.recast(from, &mut field.shape);
        }
        self.types.set(here, copy);
        here
    }

    fn recast(&mut self, from: &Types, shape: &mut Shape) {
        match shape {
            Shape::Named { id, .. } => *id = self.copy(from, *id),
            Shape::List { items, .. } => self.recast(from, items),
            Shape::Map { values, .. } => self.recast(from, values),
            _ => {}
        }
    }

    /// An object that has a kind, a version and metadata of its own.
    fn resource(&mut self, name: &str, schema: &Schema) -> TypeDef {
        let mut def = self.object(name, schema);
        def.fields.retain(|f| !matches!(f.name.as_str(), "apiVersion" | "kind" | "metadata"));
        let own = [("apiVersion", Shape::String), ("kind", Shape::String), ("metadata", self.metadata.clone())];
        def.fields.extend(own.map(|(name, shape)| field(name, shape)));
        def
    }

    fn object(&mut self, name: &str, schema: &Schema) -> TypeDef {
        let mut fields = Vec::with_capacity(schema.properties.len());
        for (member, inner) in &schema.properties {
            let shape = self.shape(&format!("{name}.{member}"), inner);
            fields.push(Field {
                default: inner.default.clone(),
                required: schema.rules.required.contains(member),
                ..field(member, shape)
            });
        }
        def(name, fields, schema.preserve_unknown, schema.atomic_map)
    }

    fn shape(&mut self, name: &str, schema: &Schema) -> Shape {
        if schema.int_or_string {
            return Shape::Any;
        }
        match schema.types.first().map(String::as_str) {
            Some("string") => Shape::String,
            Some("boolean") => Shape::Bool,
            Some("integer") => Shape::Int64,
            Some("number") => Shape::Double,
            Some("array") => {
                let items = schema.items.as_deref().map_or(Shape::Any, |i| self.shape(&format!("{name}[]"), i));
                Shape::List { items: Box::new(items), list: schema.list.clone() }
            }
            Some("object") => self.object_shape(name, schema),
            _ => Shape::Any,
        }
    }

    fn object_shape(&mut self, name: &str, schema: &Schema) -> Shape {
        if schema.embedded {
            let def = self.resource(name, schema);
            return Shape::Named { id: self.types.add(def), atomic: schema.atomic_map };
        }
        match &schema.additional {
            Additional::Schema(values) if schema.properties.is_empty() => {
                let values = self.shape(&format!("{name}{{}}"), values);
                Shape::Map { values: Box::new(values), atomic: schema.atomic_map }
            }
            Additional::Allowed(true) if schema.properties.is_empty() => {
                Shape::Map { values: Box::new(Shape::Any), atomic: schema.atomic_map }
            }
            _ if schema.properties.is_empty() && schema.preserve_unknown && !schema.atomic_map => Shape::Any,
            _ => {
                let def = self.object(name, schema);
                Shape::Named { id: self.types.add(def), atomic: schema.atomic_map }
            }
        }
    }
}

fn def(name: &str, fields: Vec<Field>, preserve_unknown: bool, atomic: bool) -> TypeDef {
    let mut def = TypeDef::default();
    def.name = name.to_owned();
    def.fields = fields;
    def.preserve_unknown = preserve_unknown;
    def.atomic = atomic;
    def
}

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
