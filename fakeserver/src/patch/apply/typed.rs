//! Types as the ownership engine sees them: scalars, lists and maps that are owned as a whole or by parts.
//!
//! Counterpart: kube-openapi `schemaconv` together with structured-merge-diff `schema`. Quantities and times are any
//! scalar; `RawExtension` is anything owned as a whole; what has no schema is *deduced*: maps by members, lists as a
//! whole.

use super::path::{Key, PathElement};
use rehearsal_apimachinery::catalog::{Field, Form, ListSemantics, Shape, TypeDef, TypeId, Types};
use rehearsal_apimachinery::field::go_quote;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::LazyLock;

/// The schema of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    /// The arena.
    pub types: &'a Types,
    /// The kind's type, which declares `apiVersion`, `kind` and `metadata` too. `None`: without schema, so that maps
    /// are owned by members and lists as a whole.
    pub root: Option<TypeId>,
    /// The API versions in which the kind is served, as `apiVersion` writes them. Ownership recorded in any other
    /// version is forgotten. `None`: every version is taken for served. Paths are read alike in all versions.
    pub served: Option<&'a [&'a str]>,
}

impl<'a> Schema<'a> {
    /// The schema of a kind whose API versions are all served.
    #[must_use]
    pub fn new(types: &'a Types, root: Option<TypeId>) -> Self {
        Self { types, root, served: None }
    }

    /// Names the API versions in which the kind is served.
    #[must_use]
    pub fn served(mut self, api_versions: &'a [&'a str]) -> Self {
        self.served = Some(api_versions);
        self
    }

    /// Whether ownership recorded in this API version still counts.
    pub(super) fn serves(&self, api_version: &str) -> bool {
        self.served.is_none_or(|served| served.contains(&api_version))
    }

    pub(in crate::patch) fn ty(&self) -> Ty<'a> {
        match self.root {
            Some(id) => named(self.types, &self.types[id], false, false),
            None => Ty::Deduced,
        }
    }
}

/// What scalars a place takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::patch) enum Scalar {
    String,
    Numeric,
    Boolean,
    Any,
}

/// The type of a place.
#[derive(Clone, Copy, Debug)]
pub(in crate::patch) enum Ty<'a> {
    /// A scalar.
    Scalar(Scalar),
    /// A list.
    List { types: &'a Types, items: &'a Shape, list: &'a ListSemantics, open: bool },
    /// An object with declared members; `open` when others are allowed.
    Struct { types: &'a Types, def: &'a TypeDef, atomic: bool, open: bool },
    /// An object with members of one shape.
    Map { types: &'a Types, values: &'a Shape, atomic: bool, open: bool },
    /// Anything: maps by members, lists as a whole.
    Deduced,
    /// Anything, owned as a whole.
    Untyped,
}

/// Which of its forms a value takes at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Map,
    Scalar,
    List,
}

fn named<'a>(types: &'a Types, def: &'a TypeDef, atomic: bool, open: bool) -> Ty<'a> {
    match def.form {
        Form::Time | Form::MicroTime | Form::Quantity => Ty::Scalar(Scalar::Any),
        Form::Duration => Ty::Scalar(Scalar::String),
        Form::IntOrString | Form::Json | Form::SchemaOr => Ty::Deduced,
        Form::RawExtension => Ty::Untyped,
        Form::Struct | Form::FieldsV1 => {
            Ty::Struct { types, def, atomic: atomic || def.atomic, open: open || def.preserve_unknown }
        }
    }
}

fn shaped<'a>(types: &'a Types, shape: &'a Shape, open: bool) -> Ty<'a> {
    match shape {
        Shape::String | Shape::Bytes => Ty::Scalar(Scalar::String),
        Shape::Bool => Ty::Scalar(Scalar::Boolean),
        Shape::Int32 | Shape::Int64 | Shape::Double => Ty::Scalar(Scalar::Numeric),
        Shape::Named { id, atomic } => named(types, &types[*id], *atomic, open),
        Shape::List { items, list } => Ty::List { types, items, list, open },
        Shape::Map { values, atomic } => Ty::Map { types, values, atomic: *atomic, open },
        Shape::Any => Ty::Deduced,
    }
}

impl<'a> Ty<'a> {
    /// The form a value is handled in. A null takes the map form where several are open.
    pub(super) fn case(self, value: &Value) -> Case {
        match self {
            Ty::Scalar(_) => Case::Scalar,
            Ty::List { .. } => Case::List,
            Ty::Struct { .. } | Ty::Map { .. } => Case::Map,
            Ty::Deduced | Ty::Untyped => match value {
                Value::Object(_) | Value::Null => Case::Map,
                Value::Array(_) => Case::List,
                _ => Case::Scalar,
            },
        }
    }

    /// Whether a value of this form is owned as a whole.
    pub(super) fn is_atomic(self, case: Case) -> bool {
        match (self, case) {
            (_, Case::Scalar) | (Ty::Scalar(_) | Ty::Untyped, _) => true,
            (Ty::Struct { atomic, .. } | Ty::Map { atomic, .. }, _) => atomic,
            (Ty::List { list, .. }, _) => *list == ListSemantics::Atomic,
            (Ty::Deduced, case) => case == Case::List,
        }
    }

    pub(super) fn scalar(self) -> Scalar {
        if let Ty::Scalar(s) = self { s } else { Scalar::Any }
    }

    fn declared_field(self, name: &str) -> Option<&'a Field> {
        if let Ty::Struct { def, .. } = self { def.field(name) } else { None }
    }

    /// Whether the schema names this member.
    pub(super) fn declares(self, name: &str) -> bool {
        self.declared_field(name).is_some()
    }

    /// The type of a member; `None` when the schema does not know it.
    pub(super) fn field(self, name: &str) -> Option<Ty<'a>> {
        match self {
            Ty::Struct { types, def, open, .. } => match def.field(name) {
                Some(field) => Some(shaped(types, &field.shape, open)),
                // An object without any declared member is free-form.
                None => (open || def.fields.is_empty()).then_some(Ty::Deduced),
            },
            Ty::Map { types, values, open, .. } => Some(shaped(types, values, open)),
            Ty::Deduced => Some(Ty::Deduced),
            Ty::Untyped => Some(Ty::Untyped),
            Ty::Scalar(_) | Ty::List { .. } => None,
        }
    }

    /// The type of a list's items.
    pub(super) fn item(self) -> Ty<'a> {
        match self {
            Ty::List { types, items, open, .. } => shaped(types, items, open),
            _ => Ty::Untyped,
        }
    }

    /// What a path element leads to; `None` where paths of that kind lead nowhere.
    pub(super) fn below(self, element: &PathElement<'_>) -> Option<Ty<'a>> {
        match (self, element) {
            (Ty::List { .. }, PathElement::Field(_)) => None,
            (_, PathElement::Field(name)) => self.field(name),
            (Ty::List { .. }, _) => Some(self.item()),
            _ => None,
        }
    }

    /// Whether this is free-form content, for which ownership is never re-read.
    pub(super) fn is_free_form(self) -> bool {
        match self {
            Ty::Deduced => true,
            Ty::Struct { def, .. } => def.fields.is_empty(),
            _ => false,
        }
    }

    /// Whether values of this type are lists or objects owned as a whole, whatever the value.
    pub(super) fn is_whole(self) -> bool {
        match self {
            Ty::Struct { atomic, .. } | Ty::Map { atomic, .. } => atomic,
            Ty::List { list, .. } => *list == ListSemantics::Atomic,
            Ty::Untyped => true,
            Ty::Scalar(_) | Ty::Deduced => false,
        }
    }

    /// The path element of a list item.
    ///
    /// # Errors
    /// Says why the item has none.
    pub(super) fn element<'v>(self, item: &'v Value) -> Result<PathElement<'v>, String>
    where
        'a: 'v,
    {
        match self {
            Ty::List { list: ListSemantics::Map(keys), .. } if !keys.is_empty() => keyed(self.item(), keys, item),
            _ => set_item(item),
        }
    }
}

fn keyed<'v, 'a: 'v>(item_ty: Ty<'a>, keys: &'a [String], item: &'v Value) -> Result<PathElement<'v>, String> {
    let map = match item {
        Value::Object(map) => map,
        Value::Null => return Err("associative list with keys may not have a null element".into()),
        _ => return Err("associative list with keys may not have non-map elements".into()),
    };
    let mut out: Vec<Key<'v>> = Vec::with_capacity(keys.len());
    for key in keys {
        let default = || item_ty.declared_field(key).and_then(key_default);
        let value = map.get(key).or_else(default).ok_or_else(|| {
            let key = go_quote(key);
            format!(
                "associative list with keys has an element that omits key field {key} (and doesn't have default value)"
            )
        })?;
        out.push((Cow::Borrowed(key), Cow::Borrowed(value)));
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(PathElement::Key(out.into()))
}

/// What a key counts as where it is left out: its default, which for a Go member without `omitempty` is its zero value.
fn key_default(field: &Field) -> Option<&Value> {
    static EMPTY: Value = Value::String(String::new());
    static FALSE: Value = Value::Bool(false);
    static ZERO: LazyLock<Value> = LazyLock::new(|| Value::from(0));
    let always_there = !field.go_type.is_empty() && !field.omit_empty && !field.pointer;
    field.default.as_ref().or(match field.shape {
        Shape::String if always_there => Some(&EMPTY),
        Shape::Bool if always_there => Some(&FALSE),
        Shape::Int32 | Shape::Int64 if always_there => Some(&ZERO),
        _ => None,
    })
}

fn set_item(item: &Value) -> Result<PathElement<'_>, String> {
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
        scalar => Ok(PathElement::Value(Cow::Borrowed(scalar))),
    }
}
