//! YAML in and out, and where in the text a node is. The only user of the YAML package.
//!
//! The package tells places in its errors only, so [`locate`] reads the text once more and fails on purpose at the node
//! in question. That costs nothing until a plan is wrong.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use crate::error::{Path, Step};

/// A node of a document: scalars are kept as text, maps keep their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Scalar(text.into())
    }

    /// What the node is, for messages.
    pub(crate) fn shape(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a value",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Reads one document. The error is a message and, where known, line and column.
pub(crate) fn read(text: &str) -> Result<Node, (String, Option<(usize, usize)>)> {
    serde_yaml::from_str(text).map_err(|error| {
        let place = error.location().map(|location| (location.line(), location.column()));
        let message = error.to_string();
        // The place is told apart; the message need not repeat it.
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        (message, place)
    })
}

/// Writes one document.
pub(crate) fn write(node: &Node) -> String {
    serde_yaml::to_string(node).unwrap_or_default()
}

/// Line and column of the node at `path`: of its key, where it is a member of a map. Falls back to the nearest ancestor.
pub(crate) fn locate(text: &str, path: &Path) -> Option<(usize, usize)> {
    (0..=path.0.len()).rev().find_map(|length| {
        let found = Locate(&path.0[..length]).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
        if !found.to_string().contains(FOUND) {
            return None;
        }
        found.location().map(|location| (location.line(), location.column()))
    })
}

const FOUND: &str = "here is the node that was asked for";

struct Locate<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Locate<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Locate<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FOUND)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.end()
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.end()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.end()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.end()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.end()
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.end()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((Step::Index(wanted), rest)) = self.0.split_first() else {
            return self.end();
        };
        for _ in 0..*wanted {
            items.next_element::<IgnoredAny>()?;
        }
        items.next_element_seed(Locate(rest))?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.0.split_first() else {
            return self.end();
        };
        while let Some(found) = members.next_key_seed(LocateKey { wanted, last: rest.is_empty() })? {
            if found {
                members.next_value_seed(Locate(rest))?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

impl Locate<'_> {
    fn end<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.0.is_empty() { Err(E::custom(FOUND)) } else { Ok(()) }
    }
}

/// Fails at the wanted key when it is the last step; otherwise says whether this is the key.
struct LocateKey<'p> {
    wanted: &'p str,
    last: bool,
}

impl<'de> DeserializeSeed<'de> for LocateKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for LocateKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        match (key == self.wanted, self.last) {
            (true, true) => Err(E::custom(FOUND)),
            (found, _) => Ok(found),
        }
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault plan")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut map: Vec<(String, Node)> = Vec::new();
        while let Some(key) = members.next_key_seed(NewKey(&map))? {
            map.push((key, members.next_value()?));
        }
        Ok(Node::Map(map))
    }
}

/// A key that the map does not have yet. Refused here, so that the error stands at the second of the two.
struct NewKey<'m>(&'m [(String, Node)]);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word as key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        if self.0.iter().any(|(known, _)| known == key) {
            return Err(E::custom(format!("`{key}` is given twice")));
        }
        Ok(key.to_owned())
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Scalar(text) => scalar(text, serializer),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Map(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

/// Numbers and booleans go out unquoted, but only where they read back as the same text.
fn scalar<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if let Some(number) = text.parse::<u64>().ok().filter(|n| n.to_string() == text) {
        return serializer.serialize_u64(number);
    }
    if let Some(number) = text.parse::<f64>().ok().filter(|n| n.is_finite() && n.to_string() == text) {
        return serializer.serialize_f64(number);
    }
    match text {
        "true" => serializer.serialize_bool(true),
        "false" => serializer.serialize_bool(false),
        _ => serializer.serialize_str(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "seed: 7\nrules:\n  - id: a\n    when: {verb: get, nth: 2}\n  - id: b\n    do: reset\n";

    #[test]
    fn nodes_are_found_where_they_stand() {
        let rules = Path::default().key("rules");
        assert_eq!(locate(TEXT, &Path::default().key("seed")), Some((1, 1)));
        assert_eq!(locate(TEXT, &rules.index(0).key("when").key("nth")), Some((4, 23)));
        assert_eq!(locate(TEXT, &rules.index(1).key("do")), Some((6, 5)));
        assert_eq!(locate(TEXT, &rules.index(1)), Some((5, 5)));
    }

    #[test]
    fn what_is_not_there_is_found_at_its_nearest_ancestor() {
        let path = Path::rule(1).key("when").key("nth");
        assert_eq!(locate(TEXT, &path), Some((5, 5)));
    }

    #[test]
    fn nodes_read_back_what_they_print() {
        let node = read("a: 1\nb: [x, 0.5, true, 'no', '007', ~]\nc: {d: 'e: f'}\n").unwrap();
        assert_eq!(read(&write(&node)), Ok(node));
    }

    #[test]
    fn a_key_given_twice_is_refused_with_its_place() {
        let (message, place) = read("a: 1\na: 2\n").unwrap_err();
        assert_eq!((message.as_str(), place), ("`a` is given twice", Some((2, 1))));
    }
}
