//! What a strategic merge patch must know about types: the shape of a member, its strategy and its merge key.
//!
//! Counterparts: `strategicpatch/meta.go` and the forked `json.LookupPatchMetadataForStruct`.

use super::{Outcome, Refusal};
use rehearsal_apimachinery::catalog::{Shape, TypeId, Types};
use rehearsal_apimachinery::field::go_quote;

/// The type a map or a list item of the patch is merged by.
#[derive(Clone, Copy)]
pub(super) struct Schema<'a> {
    types: &'a Types,
    at: At<'a>,
}

#[derive(Clone, Copy)]
enum At<'a> {
    Type(TypeId),
    Shape(&'a Shape),
}

/// A member of a map, as the merge sees it.
pub(super) struct Member<'a> {
    /// Schema of the value, or of an item if the value is a list.
    pub(super) schema: Schema<'a>,
    /// Strategy `merge`.
    pub(super) merge: bool,
    /// Merge key of list items; empty when there is none.
    pub(super) merge_key: &'a str,
}

impl<'a> Schema<'a> {
    pub(super) fn root(types: &'a Types, id: TypeId) -> Self {
        Self { types, at: At::Type(id) }
    }

    /// The member `name`, whose value in the patch is a map.
    pub(super) fn member(self, name: &str) -> Outcome<Member<'a>> {
        let plain = |shape: &'a Shape| Member {
            schema: Schema { types: self.types, at: At::Shape(shape) },
            merge: false,
            merge_key: "",
        };
        let id = match self.at {
            At::Type(id) => id,
            At::Shape(Shape::Named { id, .. }) => *id,
            At::Shape(Shape::Map { values, .. }) => return Ok(plain(values)),
            // Raw JSON is a list of bytes to Go; free-form maps merge all the way down.
            At::Shape(shape) => return if *shape == Shape::Any { Ok(plain(shape)) } else { Err(not_struct(shape)) },
        };
        let def = &self.types[id];
        let field = def.field(name).or_else(|| def.fields.iter().find(|f| f.name.eq_ignore_ascii_case(name)));
        match field {
            Some(field) => Ok(Member {
                merge: field.patch_merge,
                merge_key: field.patch_merge_key.as_deref().unwrap_or_default(),
                ..plain(&field.shape)
            }),
            None => Err(Refusal::Other(format!(
                "unable to find api field in struct {} for the json field {}",
                def.short_name(),
                go_quote(name)
            ))),
        }
    }

    /// The member `name`, whose value in the patch is a list.
    pub(super) fn list_member(self, name: &str) -> Outcome<Member<'a>> {
        let member = self.member(name)?;
        let items: &'a Shape = match member.schema.at {
            At::Shape(Shape::List { items, .. }) => items,
            At::Shape(Shape::Any) => return Ok(member),
            At::Shape(_) | At::Type(_) => {
                return Err(Refusal::Other(format!("expected slice or array type, but got: {}", self.kind())));
            }
        };
        if matches!(items, Shape::List { .. }) {
            return Err(Refusal::Other("unexpected slice of slice".into()));
        }
        Ok(Member { schema: Schema { types: self.types, at: At::Shape(items) }, ..member })
    }

    /// Go's kind of the type.
    pub(super) fn kind(self) -> &'static str {
        match self.at {
            At::Type(_) => "struct",
            At::Shape(shape) => kind(shape),
        }
    }
}

fn kind(shape: &Shape) -> &'static str {
    match shape {
        Shape::String => "string",
        Shape::Bool => "bool",
        Shape::Int32 => "int32",
        Shape::Int64 => "int64",
        Shape::Double => "float64",
        Shape::Named { .. } => "struct",
        Shape::Bytes | Shape::List { .. } => "slice",
        Shape::Map { .. } => "map",
        Shape::Any => "interface",
    }
}

fn not_struct(shape: &Shape) -> Refusal {
    let kind = kind(shape);
    Refusal::Other(format!("merging an object in json but data type is not struct, instead is: {kind}"))
}
