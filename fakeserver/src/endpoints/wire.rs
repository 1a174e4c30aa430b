//! Putting already encoded JSON together in the order in which Go writes struct members.

use rehearsal_apimachinery::catalog::Catalog;
use rehearsal_apimachinery::codec::json::encode;
use serde_json::Value;

/// An object of encoded members, in the given order.
pub(super) fn object<const N: usize>(members: [(&str, Vec<u8>); N]) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (i, (key, value)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        out.extend(value);
    }
    out.push(b'}');
    out
}

/// A list of encoded items.
pub(super) fn list(items: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut out = vec![b'['];
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend(item);
    }
    out.push(b']');
    out
}

/// A string.
pub(super) fn text(text: &str) -> Vec<u8> {
    encode(&Value::from(text), None)
}

/// A value as a built-in type writes it, or key-sorted when there is no such type.
pub(super) fn typed(value: &Value, name: &str) -> Vec<u8> {
    let types = &Catalog::builtin().types;
    encode(value, types.id(name).map(|id| (&**types, id)))
}
