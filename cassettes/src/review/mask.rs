//! [`Mask`]: fields that differ between two recordings of one test, and so say nothing. Learnt from two tapes, kept in
//! `x.tape.mask.yaml` for people to review, and put over every comparison of bodies.
//!
//! A path is dotted and begins at the object, whether that came alone, in a list or in a watch event: `spec.nodeName`,
//! `spec.containers.*.env.*.value`. `*` stands for every item of a list or member of a map.

use super::diff::TapeDiff;
use crate::format::model::Tape;
use rehearsal_apimachinery::codec::yaml;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Fields that are not compared, by resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    paths: BTreeMap<String, BTreeSet<String>>,
}

/// A mask that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mask: {0}")]
pub struct MaskError(String);

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct MaskText {
    kind: String,
    version: u32,
    #[serde(default)]
    fields: BTreeMap<String, Vec<String>>,
}

impl Mask {
    /// What differs between two recordings of one test. What a comparison takes out anyway (uids, times) is not in it.
    #[must_use]
    pub fn learn(one: &Tape, two: &Tape) -> Self {
        let mut mask = Self::default();
        for (resource, path) in TapeDiff::of(one, two).places() {
            mask.add(resource, path);
        }
        mask
    }

    /// Adds a field: a path as a comparison tells it, with numbers for the items of lists.
    pub fn add(&mut self, resource: &str, path: &str) {
        let within = within_object(path);
        let parts: Vec<_> = within.iter().map(|part| if is_index(part) { "*" } else { part }).collect();
        if !parts.is_empty() {
            self.paths.entry(resource.to_owned()).or_default().insert(parts.join("."));
        }
    }

    /// Takes the fields of another mask too.
    pub fn extend(&mut self, other: Self) {
        for (resource, paths) in other.paths {
            self.paths.entry(resource).or_default().extend(paths);
        }
    }

    /// Reads a mask.
    ///
    /// # Errors
    /// Text that is no mask, or one of a newer version, with what is wrong.
    pub fn from_yaml(text: &str) -> Result<Self, MaskError> {
        let (value, _) = yaml::parse(text.as_bytes()).map_err(|error| MaskError(error.to_string()))?;
        let read: MaskText = serde_json::from_value(value).map_err(|error| MaskError(error.to_string()))?;
        if read.kind != "Mask" {
            return Err(MaskError(format!("kind is {:?}, not \"Mask\"", read.kind)));
        }
        if read.version != 1 {
            return Err(MaskError(format!("version {} is not known here, only 1 is", read.version)));
        }
        let mut mask = Self::default();
        for (resource, paths) in read.fields {
            if let Some(path) = paths.iter().find(|path| path.split('.').any(str::is_empty)) {
                return Err(MaskError(format!("fields.{resource}: {path:?} is no path like spec.containers.*.image")));
            }
            mask.paths.insert(resource, paths.into_iter().collect());
        }
        Ok(mask)
    }

    /// The mask as text, sorted, for a review.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut text = String::from("# Fields that are not compared: they differ between recordings of one test.\n");
        text.push_str("kind: Mask\nversion: 1\nfields:");
        text.push_str(if self.paths.is_empty() { " {}\n" } else { "\n" });
        for (resource, paths) in &self.paths {
            let _ = writeln!(text, "  {}:", quoted(resource));
            for path in paths {
                let _ = writeln!(text, "  - {}", quoted(path));
            }
        }
        text
    }

    /// How many fields it hides.
    #[must_use]
    pub fn len(&self) -> usize {
        self.paths.values().map(BTreeSet::len).sum()
    }

    /// Whether it hides nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether a place of a comparison is hidden: the field itself, or something within it.
    #[must_use]
    pub fn hides(&self, resource: &str, path: &str) -> bool {
        let parts = within_object(path);
        self.of(resource).any(|mask| {
            let mask: Vec<_> = mask.split('.').collect();
            mask.len() <= parts.len() && mask.iter().zip(&parts).all(|(mask, part)| *mask == "*" || mask == part)
        })
    }

    /// Takes the fields out of a body: an object, a list of them, or a watch event.
    pub fn apply(&self, resource: &str, body: &mut Value) {
        if self.is_empty() {
            return;
        }
        let paths: Vec<Vec<&str>> = self.of(resource).map(|path| path.split('.').collect()).collect();
        if paths.is_empty() {
            return;
        }
        let remove = |object: &mut Value| paths.iter().for_each(|path| remove_at(object, path));
        if let Some(Value::Array(items)) = body.get_mut("items") {
            items.iter_mut().for_each(remove);
        } else if body.get("type").is_some_and(Value::is_string) && body.get("object").is_some() {
            body.get_mut("object").into_iter().for_each(remove);
        } else {
            remove(body);
        }
    }

    fn of(&self, resource: &str) -> impl Iterator<Item = &String> {
        [resource, "*"].into_iter().filter_map(|resource| self.paths.get(resource)).flatten()
    }
}

/// A path within the object it is about, whatever the object came in.
fn within_object(path: &str) -> Vec<&str> {
    let parts: Vec<_> = path.split('.').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["items", index, rest @ ..] if is_index(index) && !rest.is_empty() => rest.to_vec(),
        ["object", rest @ ..] if !rest.is_empty() => rest.to_vec(),
        _ => parts,
    }
}

fn is_index(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn remove_at(value: &mut Value, path: &[&str]) {
    let Some((head, rest)) = path.split_first() else { return };
    match value {
        Value::Object(members) if rest.is_empty() && *head == "*" => members.clear(),
        Value::Object(members) if rest.is_empty() => drop(members.remove(*head)),
        Value::Object(members) if *head == "*" => members.values_mut().for_each(|value| remove_at(value, rest)),
        Value::Object(members) => members.get_mut(*head).into_iter().for_each(|value| remove_at(value, rest)),
        Value::Array(items) => {
            let at = head.parse::<usize>().ok();
            for (_, item) in items.iter_mut().enumerate().filter(|(n, _)| *head == "*" || at == Some(*n)) {
                if rest.is_empty() { *item = Value::Null } else { remove_at(item, rest) }
            }
        }
        _ => {}
    }
}

/// A YAML scalar: plain where it can be.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-');
    let simple = text.bytes().all(plain) && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if simple { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mask() -> Mask {
        let mut mask = Mask::default();
        mask.add("pods", "items.3.spec.containers.0.env.12.value");
        mask.add("pods", "object.spec.nodeName");
        mask.add("deployments.apps", "status");
        mask
    }

    #[test]
    fn a_mask_comes_back_from_its_text() {
        let text = mask().to_yaml();
        assert!(
            text.contains("  pods:\n  - spec.containers.*.env.*.value\n  - spec.nodeName\n") || text.contains('"'),
            "{text}"
        );
        assert_eq!(Mask::from_yaml(&text).unwrap(), mask());
        assert_eq!(Mask::from_yaml(&Mask::default().to_yaml()).unwrap(), Mask::default());
        assert_eq!(mask().len(), 3);
    }

    #[test]
    fn a_mask_hides_fields_wherever_their_object_is() {
        let mask = mask();
        assert!(mask.hides("pods", "items.0.spec.nodeName") && mask.hides("pods", "spec.containers.1.env.0.value"));
        assert!(mask.hides("deployments.apps", "object.status.replicas"));
        assert!(!mask.hides("nodes", "spec.nodeName") && !mask.hides("pods", "spec"));
        let pod = || json!({"spec": {"nodeName": "a", "x": 1}});
        let mut list = json!({"items": [pod(), pod()]});
        mask.apply("pods", &mut list);
        assert_eq!(list, json!({"items": [{"spec": {"x": 1}}, {"spec": {"x": 1}}]}));
        let mut event = json!({"type": "ADDED", "object": pod()});
        mask.apply("pods", &mut event);
        assert_eq!(event["object"], json!({"spec": {"x": 1}}));
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        let why = |text: &str| Mask::from_yaml(text).unwrap_err().to_string();
        assert_eq!(why("kind: Tape\nversion: 1\n"), "mask: kind is \"Tape\", not \"Mask\"");
        assert_eq!(why("kind: Mask\nversion: 2\n"), "mask: version 2 is not known here, only 1 is");
        assert!(why("kind: Mask\nversion: 1\nfield: {}\n").contains("unknown field"));
        assert!(why("kind: Mask\nversion: 1\nfields: {pods: [a..b]}\n").contains("is no path"));
        assert!(Mask::from_yaml("kind: [").is_err());
    }
}
