//! JSON as a Go server reads and writes it: strict findings, Go's refusals, struct order, HTML escaping.
//!
//! Counterparts: `sigs.k8s.io/json` (reading) and `encoding/json` (writing). [`parse`] reads any document, [`conform`]
//! fits a document into a type, [`normalize`] leaves what Go would print, [`encode`] prints it.

mod base64;
mod conform;
mod encode;
mod normalize;
mod number;
mod parse;
mod source;

pub use conform::{conform, decode, parse};
pub use encode::{Encoded, encode, encode_with_hole, to_pretty};
pub use normalize::normalize;
pub(super) use number::from_f64;

use serde_json::Value;

/// Deepest nesting of a document; deeper ones are refused as Go refuses its own limit.
pub const MAX_DEPTH: usize = 128;

/// A document fitted into a type.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object, with unknown members dropped.
    pub value: Value,
    /// Strict findings in document order: `unknown field "spec.foo"`, `duplicate field "data.a"`.
    pub findings: Vec<String>,
}

/// Why a body is not the object it should be; `Display` is the text Go would print.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body is not JSON, or its `kind` and `apiVersion` are not strings: what follows
    /// `couldn't get version/kind; json parse error: `.
    #[error("{0}")]
    Syntax(String),
    /// The body does not fit its type: what follows `cannot be handled as a X: `.
    #[error("{0}")]
    Type(String),
}

/// The `apiVersion` and `kind` of a document, empty where it names none.
///
/// # Errors
/// [`DecodeError::Syntax`] if the document is no object or either is not a string.
pub fn interpret(value: &Value) -> Result<(&str, &str), DecodeError> {
    let refuse =
        |word: &str, target: String| DecodeError::Syntax(format!("json: cannot unmarshal {word} into Go {target}"));
    let members = match value {
        Value::Object(members) => members,
        Value::Null => return Ok(("", "")),
        other => {
            let fields = r#"APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"""#;
            return Err(refuse(source::word(other), format!("value of type struct {{ {fields} }}")));
        }
    };
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(s)) => Ok(s.as_str()),
        Some(other) => Err(refuse(source::word(other), format!("struct field .{name} of type string"))),
    };
    Ok((text("apiVersion")?, text("kind")?))
}

#[cfg(test)]
mod tests;
