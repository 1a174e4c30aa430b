//! Bodies without what no two runs share: uids, resourceVersions, times, managed fields, key order, spelling of
//! quantities. What is left is what a client meant, and what a comparison looks at.

use crate::format::Tree;
use crate::redact::is_placeholder;
use rehearsal_apimachinery::quantity;
use serde_json::{Map, Value};

/// Members of any `metadata` that a server sets.
const SERVER_SET: [&str; 6] =
    ["creationTimestamp", "managedFields", "resourceVersion", "uid", "selfLink", "deletionTimestamp"];

/// Members that hold a quantity map wherever they occur.
const QUANTITIES: [&str; 6] = ["requests", "limits", "capacity", "allocatable", "hard", "used"];

/// One difference between a recorded and a live body.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where, dotted: `spec.containers.0.image`; empty for the whole.
    pub path: String,
    /// What was recorded; none where the live body has more.
    pub recorded: Option<Value>,
    /// What came; none where it is missing.
    pub live: Option<Value>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let side = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), brief);
        let path = if self.path.is_empty() { "the body" } else { &self.path };
        write!(f, "{path}: {} on the tape, {} now", side(&self.recorded), side(&self.live))
    }
}

/// A value on one short line.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= 80 {
        return text;
    }
    let end = (0..=77).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// What a body means, in a form that can be compared.
#[must_use]
pub fn normalise(tree: &Tree) -> Value {
    value(tree, "")
}

fn value(tree: &Tree, key: &str) -> Value {
    match tree {
        Tree::Text(text) => Value::String(mask(text)),
        Tree::List(items) => Value::Array(items.iter().map(|item| value(item, key)).collect()),
        Tree::Map(entries) => Value::Object(members(entries, key)),
        // 1 and 1.0 are one number to every client.
        Tree::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => Value::from(*float as i64),
        other => Value::from(other),
    }
}

fn members(entries: &[(String, Tree)], key: &str) -> Map<String, Value> {
    let mut map = Map::new();
    for (name, tree) in entries {
        if matches!(tree, Tree::Null) || key == "metadata" && SERVER_SET.contains(&name.as_str()) {
            continue;
        }
        let member = match (name.as_str(), tree) {
            ("resourceVersion", Tree::Text(_)) => Value::from("<rv>"),
            ("uid", Tree::Text(_)) => Value::from("<uid>"),
            (_, Tree::Text(text)) if QUANTITIES.contains(&key) => {
                Value::from(quantity::canonical(text).unwrap_or_else(|_| text.clone()))
            }
            _ => value(tree, name),
        };
        map.insert(name.clone(), member);
    }
    map
}

/// Text without uids, and nothing but a mark for text that is a time.
fn mask(text: &str) -> String {
    if is_time(text) {
        return "<time>".to_owned();
    }
    if text.len() < 36 {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.char_indices().map(|(at, _)| at).find(|at| is_uuid(rest.get(*at..*at + 36))) {
        out.push_str(&rest[..at]);
        out.push_str("<uid>");
        rest = &rest[at + 36..];
    }
    out.push_str(rest);
    out
}

fn is_uuid(text: Option<&str>) -> bool {
    text.is_some_and(|text| {
        text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

/// RFC 3339, as metav1.Time and MicroTime write it.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    (20..=30).contains(&bytes.len())
        && bytes.get(10) == Some(&b'T')
        && text.ends_with('Z')
        && text.get(..4).is_some_and(|year| year.bytes().all(|b| b.is_ascii_digit()))
        && bytes.get(4) == Some(&b'-')
        && bytes.get(13) == Some(&b':')
}

/// Whether two normal forms say the same. What was redacted in the recording is equal to anything.
#[must_use]
pub fn same(recorded: Option<&Value>, live: Option<&Value>) -> bool {
    match (recorded, live) {
        (Some(recorded), Some(live)) => recorded == live || differences(recorded, live, 1).is_empty(),
        (None, None) => true,
        _ => false,
    }
}

/// Where two normal forms differ, at most `most` places. Values of Secrets are not told.
#[must_use]
pub fn differences(recorded: &Value, live: &Value, most: usize) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(recorded, live, &mut String::new(), most, &mut found);
    let secret = |value: &Value| value.get("kind").and_then(Value::as_str) == Some("Secret");
    if secret(recorded) || secret(live) {
        let hidden = |side: &mut Option<Value>| side.iter_mut().for_each(|value| *value = Value::from("<hidden>"));
        for difference in found.iter_mut().filter(|difference| may_hold_secrets(&difference.path)) {
            hidden(&mut difference.recorded);
            hidden(&mut difference.live);
        }
    }
    found
}

/// Where a Secret keeps its values, copies of them in annotations included.
fn may_hold_secrets(path: &str) -> bool {
    path.is_empty() || ["data", "stringData", "metadata.annotations"].iter().any(|place| path.starts_with(place))
}

/// Whether a text stands for one that was redacted, itself or in base64.
fn redacted(text: &str) -> bool {
    use base64::Engine as _;
    if is_placeholder(text) {
        return true;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(text).ok();
    decoded.and_then(|bytes| String::from_utf8(bytes).ok()).is_some_and(|text| is_placeholder(&text))
}

fn compare(recorded: &Value, live: &Value, path: &mut String, most: usize, found: &mut Vec<Difference>) {
    if recorded == live || found.len() >= most {
        return;
    }
    match (recorded, live) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                within(path, key, |path| pair(a.get(key), b.get(key), path, most, found));
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for at in 0..a.len().max(b.len()) {
                within(path, &at.to_string(), |path| pair(a.get(at), b.get(at), path, most, found));
            }
        }
        (Value::String(text), Value::String(_)) if redacted(text) => {}
        _ => pair_differs(Some(recorded), Some(live), path, most, found),
    }
}

fn within(path: &mut String, key: &str, visit: impl FnOnce(&mut String)) {
    let length = path.len();
    if length > 0 {
        path.push('.');
    }
    path.push_str(key);
    visit(path);
    path.truncate(length);
}

fn pair(recorded: Option<&Value>, live: Option<&Value>, path: &mut String, most: usize, found: &mut Vec<Difference>) {
    match (recorded, live) {
        (Some(a), Some(b)) => compare(a, b, path, most, found),
        _ => pair_differs(recorded, live, path, most, found),
    }
}

fn pair_differs(recorded: Option<&Value>, live: Option<&Value>, path: &str, most: usize, found: &mut Vec<Difference>) {
    if found.len() < most {
        found.push(Difference { path: path.to_owned(), recorded: recorded.cloned(), live: live.cloned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(json: &str) -> Value {
        normalise(&Tree::from_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn two_runs_of_one_request_are_equal() {
        let one = normal(
            r#"{"metadata":{"name":"a","uid":"x","resourceVersion":"1","managedFields":[]},"spec":{"when":"2026-01-02T03:04:05Z",
            "resources":{"limits":{"cpu":"1000m"}},"who":"host_6ba7b810-9dad-11d1-80b4-00c04fd430c8","gone":null}}"#,
        );
        let two = normal(
            r#"{"spec":{"resources":{"limits":{"cpu":"1"}},"when":"2026-01-02T03:05:05.123456Z",
            "who":"host_7ca7b810-9dad-11d1-80b4-00c04fd430c8"},"metadata":{"name":"a"}}"#,
        );
        assert_eq!(one, two);
    }

    #[test]
    fn a_difference_says_where_and_what() {
        let found = differences(&normal(r#"{"a":{"b":[1,2]},"c":1}"#), &normal(r#"{"a":{"b":[1,3]}}"#), 10);
        let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["a.b.1: 2 on the tape, 3 now", "c: 1 on the tape, nothing now"]);
    }

    #[test]
    fn what_was_redacted_is_equal_to_anything_and_secrets_are_not_told() {
        let recorded = normal(r#"{"kind":"Secret","data":{"a":"cmVkYWN0ZWQtMDEyMzQ1Njc="}}"#);
        let live = normal(r#"{"kind":"Secret","data":{"a":"aHVudGVyMg=="}}"#);
        assert!(same(Some(&recorded), Some(&live)));
        let more = normal(r#"{"kind":"Secret","data":{"a":"aHVudGVyMg==","b":"c2VjcmV0"}}"#);
        let told = format!("{:?}", differences(&recorded, &more, 10));
        assert!(!told.contains("c2VjcmV0") && told.contains("data.b"), "{told}");
    }

    #[test]
    fn masking_does_not_split_characters() {
        assert_eq!(mask("äöüäöüäöüäöüäöüäöüäöüäöüäöü"), "äöüäöüäöüäöüäöüäöüäöüäöüäöü");
    }
}
