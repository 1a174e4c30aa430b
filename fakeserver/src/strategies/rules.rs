//! Validation rules that many kinds share: numbers, names, labels, selectors, percentages, immutability.
//!
//! Counterpart: apimachinery `api/validation`, `meta/v1/validation` and the small helpers of `apis/core/validation` and
//! `apis/apps/validation`. Every rule appends to a list of errors in the server's order.

use super::access::{entries_at, has, int_at, list_at, semantic_eq, str_at, strings_at};
use super::internal::internal_json;
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;

/// Errors in the order found.
pub(crate) type Errors = Vec<FieldError>;

pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
pub(crate) const POSITIVE: &str = "must be greater than zero";
pub(crate) const IMMUTABLE: &str = "field is immutable";
/// Largest sum of key and value bytes of all annotations.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// One `Invalid` for every message about `value`.
pub(crate) fn complaints(messages: Vec<String>, value: &Value, path: &Path, errors: &mut Errors) {
    errors.extend(messages.into_iter().map(|text| FieldError::invalid(path, value.clone(), text)));
}

/// A DNS-1123 label.
pub(crate) fn dns_label(value: &str, path: &Path, errors: &mut Errors) {
    complaints(words::is_dns1123_label(value), &value.into(), path, errors);
}

/// A DNS-1123 subdomain.
pub(crate) fn dns_subdomain(value: &str, path: &Path, errors: &mut Errors) {
    complaints(words::is_dns1123_subdomain(value), &value.into(), path, errors);
}

/// A qualified name, as label keys are.
pub(crate) fn qualified_name(value: &str, path: &Path, errors: &mut Errors) {
    complaints(words::is_qualified_name(value), &value.into(), path, errors);
}

/// A member that must be a non-empty string; tells whether it is.
pub(crate) fn required_at(object: &Value, name: &str, path: &Path, errors: &mut Errors) -> bool {
    let given = !str_at(object, name).is_empty();
    if !given {
        errors.push(FieldError::required(path.child(name), ""));
    }
    given
}

/// A number that may not be negative.
pub(crate) fn non_negative(value: i64, path: &Path, errors: &mut Errors) {
    if value < 0 {
        errors.push(FieldError::invalid(path, value, NOT_NEGATIVE));
    }
}

/// Number members that may not be negative; absent ones pass.
pub(crate) fn non_negative_at(object: &Value, names: &[&str], path: &Path, errors: &mut Errors) {
    for name in names {
        non_negative(int_at(object, name).unwrap_or_default(), &path.child(name), errors);
    }
}

/// A word out of a closed list, named in the order given.
pub(crate) fn one_of(word: &str, supported: &[&str], path: &Path, errors: &mut Errors) {
    if !supported.contains(&word) {
        errors.push(FieldError::not_supported(path, word, supported));
    }
}

/// A required word out of a closed list.
pub(crate) fn required_one_of(word: &str, supported: &[&str], path: &Path, errors: &mut Errors) {
    if word.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        one_of(word, supported, path, errors);
    }
}

/// Members that an update may not change.
pub(crate) fn immutable_at(new: &Value, old: &Value, names: &[&str], path: &Path, errors: &mut Errors) {
    for name in names {
        if !semantic_eq(&new[*name], &old[*name]) {
            errors.push(FieldError::invalid(path.child(name), new[*name].clone(), IMMUTABLE));
        }
    }
}

/// `status` counters of `names` that may not exceed the counter `bound`.
pub(crate) fn not_above(object: &Value, names: &[&str], bound: &str, text: &str, path: &Path, errors: &mut Errors) {
    let limit = int_at(object, bound).unwrap_or_default();
    for name in names {
        let value = int_at(object, name).unwrap_or_default();
        if value > limit {
            errors.push(FieldError::invalid(path.child(name), value, text));
        }
    }
}

/// `collisionCount` may only grow.
pub(crate) fn collision_count_not_decremented(new: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    let (now, before) = (int_at(new, "collisionCount"), int_at(old, "collisionCount"));
    if before.is_some_and(|b| now.is_none_or(|n| n < b)) {
        let value = now.unwrap_or_default();
        errors.push(FieldError::invalid(path.child("collisionCount"), value, "cannot be decremented"));
    }
}

/// A label map: keys and values.
pub(crate) fn labels(map: &Value, path: &Path, errors: &mut Errors) {
    for (key, value) in map.as_object().into_iter().flatten() {
        qualified_name(key, path, errors);
        complaints(words::is_valid_label_value(value.as_str().unwrap_or_default()), value, path, errors);
    }
}

/// An annotation map: keys and total size.
pub(crate) fn annotations(map: &Value, path: &Path, errors: &mut Errors) {
    let mut size = 0;
    for (key, value) in map.as_object().into_iter().flatten() {
        complaints(words::is_qualified_name(&key.to_lowercase()), &key.as_str().into(), path, errors);
        size += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size > ANNOTATIONS_LIMIT {
        errors.push(FieldError::too_long(path, ANNOTATIONS_LIMIT));
    }
}

/// A `metav1.LabelSelector`; null passes.
pub(crate) fn label_selector(selector: &Value, path: &Path, errors: &mut Errors) {
    labels(&selector["matchLabels"], &path.child("matchLabels"), errors);
    for (i, requirement) in list_at(selector, "matchExpressions").iter().enumerate() {
        selector_requirement(requirement, &path.child("matchExpressions").index(i), errors);
    }
}

fn selector_requirement(requirement: &Value, path: &Path, errors: &mut Errors) {
    let values = list_at(requirement, "values");
    match str_at(requirement, "operator") {
        "In" | "NotIn" if values.is_empty() => {
            let text = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(FieldError::required(path.child("values"), text));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(path.child("values"), text));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(FieldError::invalid(path.child("operator"), other, "not a valid selector operator")),
    }
    qualified_name(str_at(requirement, "key"), &path.child("key"), errors);
    for (i, value) in values.iter().enumerate() {
        let messages = words::is_valid_label_value(value.as_str().unwrap_or_default());
        complaints(messages, value, &path.child("values").index(i), errors);
    }
}

/// Whether a `metav1.LabelSelector` selects nothing in particular (no requirement at all). Null is not empty: it
/// selects nothing.
pub(crate) fn selector_is_empty(selector: &Value) -> bool {
    !selector.is_null()
        && entries_at(selector, "matchLabels").next().is_none()
        && list_at(selector, "matchExpressions").is_empty()
}

/// Whether a `metav1.LabelSelector` selects these labels: null selects nothing, the empty one everything. `None` when
/// it is no valid selector.
pub(crate) fn selector_matches(selector: &Value, labels: &Value) -> Option<bool> {
    if selector.is_null() {
        return Some(false);
    }
    let mut errors = Errors::new();
    label_selector(selector, &Path::root(), &mut errors);
    if !errors.is_empty() {
        return None;
    }
    let equal = entries_at(selector, "matchLabels").all(|(key, value)| &labels[key] == value);
    Some(equal && list_at(selector, "matchExpressions").iter().all(|r| requirement_matches(r, labels)))
}

fn requirement_matches(requirement: &Value, labels: &Value) -> bool {
    let label = labels[str_at(requirement, "key")].as_str();
    let listed = || strings_at(requirement, "values").any(|value| Some(value) == label);
    match str_at(requirement, "operator") {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => label.is_some(),
        _ => label.is_none(),
    }
}

/// An `IntOrString` that is a port number or the name of a port; absent is the number 0.
pub(crate) fn port_number_or_name(port: &Value, path: &Path, errors: &mut Errors) {
    match port.as_str() {
        Some(name) => complaints(words::is_valid_port_name(name), port, path, errors),
        None => {
            let number = port.as_i64().unwrap_or_default();
            complaints(words::is_valid_port_num(number), &number.into(), path, errors);
        }
    }
}

/// An `IntOrString` that is a number not below 0 or a percentage; absent is the number 0.
pub(crate) fn count_or_percent(value: &Value, path: &Path, errors: &mut Errors) {
    match value.as_str() {
        Some(text) => complaints(words::is_valid_percent(text), value, path, errors),
        None => non_negative(value.as_i64().unwrap_or_default(), path, errors),
    }
}

/// The percentage behind an `IntOrString`, if it is one.
fn percent(value: &Value) -> Option<i64> {
    let text = value.as_str().filter(|text| words::is_valid_percent(text).is_empty())?;
    Some(text.trim_end_matches('%').parse().unwrap_or(i64::MAX))
}

/// The number or the percentage of an `IntOrString`, 0 when it is neither.
pub(crate) fn count_or_percent_value(value: &Value) -> i64 {
    percent(value).or_else(|| value.as_i64()).or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

/// A percentage may not exceed 100.
pub(crate) fn not_above_hundred_percent(value: &Value, path: &Path, errors: &mut Errors) {
    if percent(value).is_some_and(|p| p > 100) {
        errors.push(FieldError::invalid(path, value.clone(), "must not be greater than 100%"));
    }
}

/// `Invalid` that shows the value as the internal Go struct of the type `io.k8s.api.<type_name>`.
pub(crate) fn invalid_struct(path: impl Into<String>, type_name: &str, value: &Value, text: &str) -> FieldError {
    FieldError::invalid(path, value.clone(), text).shown_as(go_struct(type_name, value))
}

/// The internal Go struct of the type `io.k8s.api.<type_name>`, as compact JSON.
pub(crate) fn go_struct(type_name: &str, value: &Value) -> String {
    internal_json(&format!("io.k8s.api.{type_name}"), value)
}

/// `Invalid` without a value (`field.OmitValueType`).
pub(crate) fn invalid_without_value(path: impl Into<String>, text: impl Into<String>) -> FieldError {
    FieldError::invalid(path, Value::Null, "").shown_as(text)
}

/// Which of `names` are set, in order.
pub(crate) fn present<'n>(object: &Value, names: &[&'n str]) -> Vec<&'n str> {
    names.iter().copied().filter(|name| has(object, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_select_as_the_server_reads_them() {
        let labels = json!({"app": "a", "tier": "web"});
        let cases = [
            (json!(null), Some(false)),
            (json!({}), Some(true)),
            (json!({"matchLabels": {"app": "a"}}), Some(true)),
            (json!({"matchLabels": {"app": "b"}}), Some(false)),
            (json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["db"]}]}), Some(true)),
            (json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}), Some(true)),
            (json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]}), Some(false)),
            (json!({"matchExpressions": [{"key": "app", "operator": "Near"}]}), None),
        ];
        for (selector, want) in cases {
            assert_eq!(selector_matches(&selector, &labels), want, "{selector}");
        }
    }

    #[test]
    fn percentages_are_told_from_numbers() {
        assert_eq!(count_or_percent_value(&json!("30%")), 30);
        assert_eq!(count_or_percent_value(&json!(4)), 4);
        assert_eq!(count_or_percent_value(&json!("x")), 0);
        let mut errors = Errors::new();
        not_above_hundred_percent(&json!("101%"), &Path::new("a"), &mut errors);
        count_or_percent(&json!(-1), &Path::new("b"), &mut errors);
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "a: Invalid value: \"101%\": must not be greater than 100%",
                "b: Invalid value: -1: must be greater than or equal to 0"
            ]
        );
    }
}
