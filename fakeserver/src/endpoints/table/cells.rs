//! What the printers of all areas share: access to members of an object, ages, selectors, shortened lists.

use super::age;
use jiff::Timestamp;
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::{Map, Value};

/// Printed where there is nothing.
pub(super) const NONE: &str = "<none>";
/// Printed where nothing was chosen.
pub(super) const UNSET: &str = "<unset>";
/// Printed where nothing is known.
pub(super) const UNKNOWN: &str = "<unknown>";

/// The member at a JSON pointer; null reads as missing.
pub(super) fn at<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    object.pointer(pointer).filter(|v| !v.is_null())
}

/// A string member, empty when missing.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    at(object, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A string member, or the given text when it is missing or empty.
pub(super) fn text_or<'a>(object: &'a Value, pointer: &str, missing: &'a str) -> &'a str {
    or(text(object, pointer), missing)
}

/// The text, or another one when it is empty.
pub(super) fn or<'a>(text: &'a str, empty: &'a str) -> &'a str {
    if text.is_empty() { empty } else { text }
}

/// An integer member, 0 when missing.
pub(super) fn int(object: &Value, pointer: &str) -> i64 {
    at(object, pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// A boolean member, false when missing.
pub(super) fn flag(object: &Value, pointer: &str) -> bool {
    at(object, pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// A list member, empty when missing.
pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    at(object, pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The number of entries of a map member.
pub(super) fn size(object: &Value, pointer: &str) -> usize {
    at(object, pointer).and_then(Value::as_object).map_or(0, Map::len)
}

/// The strings of a list member, joined.
pub(super) fn joined(object: &Value, pointer: &str, separator: &str) -> String {
    list(object, pointer).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(separator)
}

/// A quantity or an int-or-string member as text; `missing` when it is not there.
pub(super) fn scalar(object: &Value, pointer: &str, missing: &str) -> String {
    match at(object, pointer) {
        None => missing.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The name of the object as a cell.
pub(super) fn name(object: &Value) -> Value {
    object.name().into()
}

/// The age of the object as a cell.
pub(super) fn created(object: &Value, now: Timestamp) -> Value {
    age::since(at(object, "/metadata/creationTimestamp"), now).into()
}

/// `True`, `False` or the given text as the printers write a pointer to a bool.
pub(super) fn flag_text(object: &Value, pointer: &str) -> &'static str {
    match at(object, pointer).and_then(Value::as_bool) {
        None => UNSET,
        Some(true) => "True",
        Some(false) => "False",
    }
}

/// The condition of a type.
pub(super) fn condition<'a>(object: &'a Value, pointer: &str, kind: &str) -> Option<&'a Value> {
    list(object, pointer).iter().find(|c| text(c, "/type") == kind)
}

/// Names and images of containers, as two cells.
pub(super) fn containers(object: &Value, pointer: &str) -> [Value; 2] {
    let of = |member: &str| -> String {
        list(object, pointer).iter().map(|c| text(c, member)).collect::<Vec<_>>().join(",")
    };
    [of("/name").into(), of("/image").into()]
}

/// A map of labels as `k=v,…`.
pub(super) fn labels(object: &Value, pointer: &str) -> String {
    let pairs = at(object, pointer).and_then(Value::as_object).into_iter().flatten();
    let text = pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",");
    or(&text, NONE).to_owned()
}

/// A label selector, `<none>` when it is missing or selects by nothing, `<error>` when it is invalid.
pub(super) fn selector(object: &Value, pointer: &str) -> String {
    match at(object, pointer).map_or(Some(String::new()), selector_text) {
        None => "<error>".to_owned(),
        Some(text) => or(&text, NONE).to_owned(),
    }
}

/// A label selector in its string form; `None` when an operator is unknown.
pub(super) fn selector_text(selector: &Value) -> Option<String> {
    let mut requirements: Vec<(&str, String)> = Vec::new();
    for (key, value) in at(selector, "/matchLabels").and_then(Value::as_object).into_iter().flatten() {
        requirements.push((key, format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    for expression in list(selector, "/matchExpressions") {
        let key = text(expression, "/key");
        let mut values: Vec<&str> = list(expression, "/values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let printed = match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        };
        requirements.push((key, printed));
    }
    requirements.sort_by_key(|(key, _)| *key);
    Some(requirements.into_iter().map(|(_, printed)| printed).collect::<Vec<_>>().join(","))
}

/// The first items of a list that has `total`, with a note on how many are left out.
pub(super) fn shortened(shown: &[String], total: usize, max: usize) -> String {
    let text = shown.join(",");
    if total > max { format!("{text} + {} more...", total - max) } else { or(&text, UNSET).to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_print_sorted_by_key() {
        let object = json!({"s": {"matchLabels": {"x": "y", "a": "b"}, "matchExpressions": [
            {"key": "m", "operator": "In", "values": ["2", "1"]},
            {"key": "b", "operator": "DoesNotExist"},
            {"key": "z", "operator": "Exists"},
            {"key": "n", "operator": "NotIn", "values": ["q"]}
        ]}});
        assert_eq!(selector(&object, "/s"), "a=b,!b,m in (1,2),n notin (q),x=y,z");
        assert_eq!(selector(&object, "/nope"), "<none>");
        assert_eq!(selector(&json!({"s": {"matchExpressions": [{"operator": "?"}]}}), "/s"), "<error>");
    }

    #[test]
    fn null_reads_as_missing() {
        let object = json!({"a": null, "b": {"c": "x"}});
        assert_eq!(text_or(&object, "/a", "none"), "none");
        assert_eq!(text(&object, "/b/c"), "x");
    }
}
