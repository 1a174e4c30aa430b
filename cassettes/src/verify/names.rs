//! Objects of two lists side by side, and the names and uids within texts.

use super::bindings::Bindings;
use crate::format::Tree;
use std::collections::{HashMap, VecDeque};

/// The annotation of the bookmark that ends a watch's initial events.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Whether an object is no more than a resourceVersion, as bookmarks are.
pub(super) fn is_bookmark(object: &Tree) -> bool {
    let Some(metadata) = object.get("metadata") else { return false };
    metadata.get("uid").is_none() && metadata.get("name").is_none()
}

/// Whether a watch event is a bookmark that comes by the clock.
pub(super) fn is_timed(event: &Tree) -> bool {
    event.text_at(&["type"]) == "BOOKMARK"
        && event.at(&["object", "metadata", "annotations", INITIAL_EVENTS_END]).is_none()
}

/// Namespace and name.
pub(super) fn identity(object: &Tree) -> Option<(&str, &str)> {
    let metadata = object.get("metadata")?;
    let name = metadata.text_at(&["name"]);
    (!name.is_empty()).then(|| (metadata.text_at(&["namespace"]), name))
}

/// Which recorded item is which live one, by position: of one name, else of one generated kind of name, else of one
/// place.
pub(super) fn pairs(recorded: &[Tree], live: &[Tree], bindings: &Bindings) -> Vec<(usize, usize)> {
    if !recorded.iter().chain(live).all(|item| identity(item).is_some()) {
        return (0..recorded.len().min(live.len())).map(|at| (at, at)).collect();
    }
    let mut named: HashMap<(String, String), usize> = HashMap::new();
    for (at, item) in live.iter().enumerate() {
        if let Some((namespace, name)) = identity(item) {
            named.insert((namespace.to_owned(), name.to_owned()), at);
        }
    }
    let (mut found, mut open) = (Vec::new(), Vec::new());
    for (at, item) in recorded.iter().enumerate() {
        let key = identity(item).map(|(namespace, name)| (bindings.text(namespace), bindings.text(name)));
        match key.and_then(|key| named.remove(&key)) {
            Some(other) => found.push((at, other)),
            None => open.push(at),
        }
    }
    let generator = |item: &Tree| item.text_at(&["metadata", "generateName"]).to_owned();
    let mut rest: Vec<usize> = named.into_values().collect();
    rest.sort_unstable();
    let mut by_generator: HashMap<String, VecDeque<usize>> = HashMap::new();
    for at in rest {
        by_generator.entry(live.get(at).map(generator).unwrap_or_default()).or_default().push_back(at);
    }
    for at in open {
        let generator = recorded.get(at).map(generator).filter(|generator| !generator.is_empty());
        let other = generator.and_then(|generator| by_generator.get_mut(&generator)?.pop_front());
        found.extend(other.map(|other| (at, other)));
    }
    found.sort_unstable();
    found
}

/// Puts live items into the order of the recorded ones where names were generated: servers order by name.
pub(super) fn in_recorded_order(recorded: &Tree, live: Tree, bindings: &Bindings) -> Tree {
    let generated = |item: &Tree| !item.text_at(&["metadata", "generateName"]).is_empty();
    match (recorded, live) {
        (Tree::Map(_), Tree::Map(entries)) => {
            let ordered = entries.into_iter().map(|(key, value)| {
                let value = match recorded.get(&key) {
                    Some(old) if key == "items" || key == "rows" => in_recorded_order(old, value, bindings),
                    _ => value,
                };
                (key, value)
            });
            Tree::Map(ordered.collect())
        }
        (Tree::List(old), Tree::List(items)) if old.len() == items.len() && old.iter().any(generated) => {
            let pairs = pairs(old, &items, bindings);
            if pairs.len() < items.len() {
                return Tree::List(items);
            }
            Tree::List(pairs.iter().filter_map(|(_, at)| items.get(*at).cloned()).collect())
        }
        (_, live) => live,
    }
}

const fn in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// Corresponding parts of two dotted names, those that differ.
pub(super) fn tokens<'a>(a: &'a str, b: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    a.split('.').zip(b.split('.')).filter(|(a, b)| a != b)
}

/// Length of the token or placeholder at the start of a text; zero where there is none.
fn token_length(rest: &str) -> usize {
    let closed = |open: &str, close: &str| {
        let body = rest.strip_prefix(open)?;
        let end = body.find(close)?;
        let plain = body.get(..end)?.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_'));
        (plain && end > 0).then_some(open.len() + end + close.len())
    };
    closed("<", ">")
        .or_else(|| closed("{{", "}}"))
        .unwrap_or_else(|| rest.bytes().take_while(|byte| in_token(*byte)).count())
}

/// Replaces names, uids and placeholders within a text.
pub(super) fn replace<'m>(text: &str, known: impl Fn(&str) -> Option<&'m str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = token_length(rest);
        let (token, after) = rest.split_at(if length == 0 { first.len_utf8() } else { length });
        out.push_str(if length == 0 { None } else { known(token) }.unwrap_or(token));
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_replaced_whole_and_placeholders_too() {
        let known = |token: &str| match token {
            "web-a" => Some("web-b"),
            "<uid:1>" => Some("u"),
            "{{x}}" => Some("y"),
            _ => None,
        };
        assert_eq!(replace("/pods/web-a/é <uid:1>{{x}} web-ab <b {{", known), "/pods/web-b/é uy web-ab <b {{");
    }
}
