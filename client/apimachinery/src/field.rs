//! Field paths and validation errors with the server's wording.
//!
//! Counterpart: apimachinery `util/validation/field`. An error knows its path, its type and the offending value; the
//! body text and the cause reason follow from these.

use serde_json::Value;
use std::fmt::{self, Write as _};

/// A path such as `spec.containers[0].name` or `metadata.annotations[foo]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// A path that starts with one member name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The empty path: the object itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The member `name` below this path.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    /// The list item at `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The map entry `key`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&Path> for String {
    fn from(path: &Path) -> Self {
        path.0.clone()
    }
}

impl From<Path> for String {
    fn from(path: Path) -> Self {
        path.0
    }
}

/// The kind of a validation error (`field.ErrorType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ErrorKind {
    Required,
    Forbidden,
    Invalid,
    TypeInvalid,
    NotSupported,
    Duplicate,
    NotFound,
    TooLong,
    TooMany,
    TooFew,
    Internal,
}

impl ErrorKind {
    /// The `reason` of the cause that reports it.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Forbidden => "FieldValueForbidden",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::NotFound => "FieldValueNotFound",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TooFew => "FieldValueTooFew",
            Self::Internal => "InternalError",
        }
    }
}

/// One validation error. `kind` decides how `value` and `detail` are printed; see [`FieldError::body`].
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// Type of the error.
    pub kind: ErrorKind,
    /// Path of the field; empty prints as nothing before the colon.
    pub field: String,
    /// Offending value, where the type shows one.
    pub value: Value,
    /// Explanation.
    pub detail: String,
    /// What is printed instead of `value`, where Go prints a struct in an order or under names that JSON lacks.
    pub shown: Option<String>,
}

impl FieldError {
    fn new(kind: ErrorKind, field: impl Into<String>, value: Value, detail: impl Into<String>) -> Self {
        Self { kind, field: field.into(), value, detail: detail.into(), shown: None }
    }

    /// `Required value[: detail]`
    #[must_use]
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Required, field, Value::Null, detail)
    }

    /// `Forbidden: detail`
    #[must_use]
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Forbidden, field, Value::Null, detail)
    }

    /// `Invalid value: <value>: detail`
    #[must_use]
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, field, value.into(), detail)
    }

    /// `Invalid value: <value>: detail` with reason `FieldValueTypeInvalid`
    #[must_use]
    pub fn type_invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::TypeInvalid, field, value.into(), detail)
    }

    /// `Unsupported value: <value>: supported values: "A", "B"`, in the order given.
    #[must_use]
    pub fn not_supported<S: AsRef<str>>(field: impl Into<String>, value: impl Into<Value>, supported: &[S]) -> Self {
        let mut detail = String::new();
        for (i, s) in supported.iter().enumerate() {
            let _ = write!(detail, "{}{}", if i == 0 { "supported values: " } else { ", " }, go_quote(s.as_ref()));
        }
        Self::new(ErrorKind::NotSupported, field, value.into(), detail)
    }

    /// `Duplicate value: <value>`
    #[must_use]
    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(ErrorKind::Duplicate, field, value.into(), "")
    }

    /// `Not found: <value>`
    #[must_use]
    pub fn not_found(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(ErrorKind::NotFound, field, value.into(), "")
    }

    /// `Too long: may not be more than N bytes`
    #[must_use]
    pub fn too_long(field: impl Into<String>, max_bytes: usize) -> Self {
        let unit = if max_bytes == 1 { "byte" } else { "bytes" };
        Self::new(ErrorKind::TooLong, field, Value::Null, format!("may not be more than {max_bytes} {unit}"))
    }

    /// `Too many: <actual>: must have at most N items`
    #[must_use]
    pub fn too_many(field: impl Into<String>, actual: usize, max: usize) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self::new(ErrorKind::TooMany, field, Value::from(actual), format!("must have at most {max} {unit}"))
    }

    /// `Too few: <actual>: must have at least N items`
    #[must_use]
    pub fn too_few(field: impl Into<String>, actual: usize, min: usize) -> Self {
        let unit = if min == 1 { "item" } else { "items" };
        Self::new(ErrorKind::TooFew, field, Value::from(actual), format!("must have at least {min} {unit}"))
    }

    /// `Internal error: detail`
    #[must_use]
    pub fn internal(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, field, Value::Null, detail)
    }

    /// Prints this text in place of the value: the compact JSON of a Go struct in member order.
    #[must_use]
    pub fn shown_as(mut self, text: impl Into<String>) -> Self {
        self.shown = Some(text.into());
        self
    }

    /// The text without the path (`Error.ErrorBody`).
    #[must_use]
    pub fn body(&self) -> String {
        let value = || self.shown.clone().unwrap_or_else(|| show(&self.value));
        let with = |head: String| if self.detail.is_empty() { head } else { format!("{head}: {}", self.detail) };
        match self.kind {
            ErrorKind::Required => with("Required value".into()),
            ErrorKind::Forbidden => with("Forbidden".into()),
            ErrorKind::TooLong => with("Too long".into()),
            ErrorKind::Internal => with("Internal error".into()),
            ErrorKind::Invalid | ErrorKind::TypeInvalid => with(format!("Invalid value: {}", value())),
            ErrorKind::NotSupported => with(format!("Unsupported value: {}", value())),
            ErrorKind::Duplicate => with(format!("Duplicate value: {}", value())),
            ErrorKind::NotFound => with(format!("Not found: {}", value())),
            ErrorKind::TooMany => with(format!("Too many: {}", value())),
            ErrorKind::TooFew => with(format!("Too few: {}", value())),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// Prints a value as an error shows it: strings Go-quoted, numbers and booleans plain, all else JSON.
fn show(value: &Value) -> String {
    match value {
        Value::String(s) => go_quote(s),
        other => go_json(other),
    }
}

/// Compact JSON as Go's encoder writes it: `<`, `>`, `&`, U+2028 and U+2029 escaped.
#[must_use]
pub fn go_json(value: &Value) -> String {
    let plain = value.to_string();
    if !plain.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return plain;
    }
    let mut out = String::with_capacity(plain.len() + 16);
    for c in plain.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

/// Go's `%q`: double quotes, `\"`, `\\`, `\n`, `\t`, `\x00`, `\u200b`; printable characters stay.
#[must_use]
pub fn go_quote(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{07}' => out.push_str("\\a"),
            '\u{08}' => out.push_str("\\b"),
            '\u{0c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{0b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c if go_printable(c) => out.push(c),
            c if (c as u32) < 0x1_0000 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => {
                let _ = write!(out, "\\U{:08x}", c as u32);
            }
        }
    }
    out.push('"');
    out
}

fn go_printable(c: char) -> bool {
    c == ' '
        || !(c.is_control()
            || c.is_whitespace()
            || matches!(c as u32, 0x200b..=0x200f | 0x2028..=0x202e | 0xfeff | 0xe000..=0xf8ff | 0xad))
}

/// Joins errors as `errors.NewInvalid` does: duplicates dropped, one bare, several as `[a, b]`.
#[must_use]
pub fn aggregate(errors: &[FieldError]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for e in errors {
        let text = e.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    if texts.len() == 1 { texts.remove(0) } else { format!("[{}]", texts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_read_as_the_server_writes_them() {
        let cases = [
            (FieldError::required("a", ""), "a: Required value"),
            (FieldError::invalid("a", "x\"y", "bad"), "a: Invalid value: \"x\\\"y\": bad"),
            (FieldError::invalid("a", json!({"k": 1}), "bad"), "a: Invalid value: {\"k\":1}: bad"),
            (
                FieldError::not_supported("a", "z", &["A", "B"]),
                "a: Unsupported value: \"z\": supported values: \"A\", \"B\"",
            ),
            (FieldError::too_long("a", 128), "a: Too long: may not be more than 128 bytes"),
            (FieldError::too_many("a", 4, 3), "a: Too many: 4: must have at most 3 items"),
        ];
        for (error, text) in cases {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn control_characters_are_quoted_as_go_quotes_them() {
        assert_eq!(go_quote("a\nb\u{1}c\u{200b}"), "\"a\\nb\\x01c\\u200b\"");
    }
}
