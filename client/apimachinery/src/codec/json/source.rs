//! What a document is read from: a freshly parsed tree that still has its order and duplicates, or a finished value.
//!
//! Both are taken apart by moving, so that fitting a document into a type copies no text.

use serde_json::{Map, Number, Value};
use std::borrow::Cow;

/// A parsed document in document order, duplicates included.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    String(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// A document taken apart by one level.
pub(super) enum Taken<'a, S: Source<'a>> {
    Null,
    Bool(bool),
    Number(Figure<'a>),
    String(Cow<'a, str>),
    List(S::Items),
    Object(S::Members),
}

/// A number, as written or as parsed.
pub(super) enum Figure<'a> {
    Written(&'a str),
    Parsed(Number),
}

impl Figure<'_> {
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Written(text) => Cow::Borrowed(text),
            Self::Parsed(n) => Cow::Owned(n.to_string()),
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Written(text) => text.parse().ok(),
            Self::Parsed(n) => n.as_i64(),
        }
    }

    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Self::Written(text) => text.parse().ok().filter(|f: &f64| f.is_finite()),
            Self::Parsed(n) => n.as_f64(),
        }
    }

    /// The number of an untyped value.
    pub(super) fn any(&self) -> Option<Number> {
        match self {
            Self::Written(text) => super::number::parse(text),
            Self::Parsed(n) => Some(n.clone()),
        }
    }
}

/// A document that can be taken apart.
pub(super) trait Source<'a>: Sized {
    type Items: ExactSizeIterator<Item = Self>;
    type Members: Iterator<Item = (Cow<'a, str>, Self)>;
    fn take(self) -> Taken<'a, Self>;
    /// The first byte of the text, which is what custom Go decoders look at.
    fn is_null(&self) -> bool;
}

impl<'a> Source<'a> for Node<'a> {
    type Items = std::vec::IntoIter<Self>;
    type Members = std::vec::IntoIter<(Cow<'a, str>, Self)>;

    fn take(self) -> Taken<'a, Self> {
        match self {
            Self::Null => Taken::Null,
            Self::Bool(b) => Taken::Bool(b),
            Self::Number(text) => Taken::Number(Figure::Written(text)),
            Self::String(s) => Taken::String(s),
            Self::List(items) => Taken::List(items.into_iter()),
            Self::Object(members) => Taken::Object(members.into_iter()),
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// The members of a value, keys as owned text.
pub(super) struct ValueMembers(<Map<String, Value> as IntoIterator>::IntoIter);

impl Iterator for ValueMembers {
    type Item = (Cow<'static, str>, Value);
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(k, v)| (Cow::Owned(k), v))
    }
}

impl Source<'static> for Value {
    type Items = std::vec::IntoIter<Self>;
    type Members = ValueMembers;

    fn take(self) -> Taken<'static, Self> {
        match self {
            Self::Null => Taken::Null,
            Self::Bool(b) => Taken::Bool(b),
            Self::Number(n) => Taken::Number(Figure::Parsed(n)),
            Self::String(s) => Taken::String(Cow::Owned(s)),
            Self::Array(items) => Taken::List(items.into_iter()),
            Self::Object(members) => Taken::Object(ValueMembers(members.into_iter())),
        }
    }

    fn is_null(&self) -> bool {
        Self::is_null(self)
    }
}

/// What Go calls the kind of a JSON value in its refusals.
pub(super) fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
