//! One step of a field path: a member, a list item by keys, a set item by value, an item by index.
//!
//! Counterpart: structured-merge-diff `fieldpath.PathElement`. Elements borrow from the objects they were found in.

use super::value;
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

/// One key of an associative list item: its name and its value.
pub(super) type Key<'a> = (Cow<'a, str>, Cow<'a, Value>);

/// One step of a path.
#[derive(Clone, Debug)]
pub(in crate::patch) enum PathElement<'a> {
    /// A member of an object.
    Field(&'a str),
    /// The item of an associative list with these keys, sorted by name.
    Key(Arc<[Key<'a>]>),
    /// The item of a set.
    Value(Cow<'a, Value>),
    /// The item of an atomic list; never produced, only kept.
    Index(i64),
}

impl PathElement<'_> {
    /// Order of elements: members, keyed items, set items, indexes.
    pub(super) fn order(&self, other: &PathElement<'_>) -> Ordering {
        match (self, other) {
            (PathElement::Field(a), PathElement::Field(b)) => (*a).cmp(*b),
            (PathElement::Key(a), PathElement::Key(b)) => order_keys(a, b),
            (PathElement::Value(a), PathElement::Value(b)) => value::order(a, b),
            (PathElement::Index(a), PathElement::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            PathElement::Field(_) => 0,
            PathElement::Key(_) => 1,
            PathElement::Value(_) => 2,
            PathElement::Index(_) => 3,
        }
    }
}

fn order_keys(a: &[Key<'_>], b: &[Key<'_>]) -> Ordering {
    let pairs = a.iter().zip(b);
    let differing = pairs.map(|(a, b)| a.0.cmp(&b.0).then_with(|| value::order(&a.1, &b.1))).find(|o| o.is_ne());
    differing.unwrap_or_else(|| a.len().cmp(&b.len()))
}

impl std::fmt::Display for PathElement<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PathElement::Field(name) => write!(f, ".{name}"),
            PathElement::Key(keys) => {
                let keys: Vec<_> = keys.iter().map(|(k, v)| format!("{k}={}", value::human(v))).collect();
                write!(f, "[{}]", keys.join(","))
            }
            PathElement::Value(v) => write!(f, "[={}]", value::human(v)),
            PathElement::Index(i) => write!(f, "[{i}]"),
        }
    }
}

/// A whole path, as conflicts print it: `.spec.containers[name="c"].image`.
pub(in crate::patch) fn print(path: &[PathElement<'_>]) -> String {
    path.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_print_as_conflicts_name_them() {
        let (port, protocol, item) = (json!(53), json!("UDP"), json!("a.io/x"));
        let keys: Arc<[Key<'_>]> =
            Arc::new([("port".into(), Cow::Borrowed(&port)), ("protocol".into(), Cow::Borrowed(&protocol))]);
        let path = [PathElement::Field("spec"), PathElement::Key(keys), PathElement::Value(Cow::Borrowed(&item))];
        assert_eq!(print(&path), r#".spec[port=53,protocol="UDP"][="a.io/x"]"#);
    }
}
