//! Field checks that several kinds share: labels, selectors, names, numbers, immutability.
//!
//! Counterpart: the helpers of `apis/core/validation` and apimachinery `api/validation`. Each returns errors; none
//! decides whether the field had to be there.

use super::access::{entries_at, list_at, semantic_eq, str_at, strings_at};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation::{
    is_dns1123_label, is_dns1123_subdomain, is_qualified_name, is_valid_label_value,
};
use serde_json::Value;

/// The detail of every change to a field that may not change.
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// One `Invalid` error per message of a string rule.
pub(crate) fn each(path: &Path, value: &str, messages: Vec<String>) -> Vec<FieldError> {
    messages.into_iter().map(|m| FieldError::invalid(path, value, m)).collect()
}

/// A DNS label.
pub(crate) fn dns_label(path: &Path, value: &str) -> Vec<FieldError> {
    each(path, value, is_dns1123_label(value))
}

/// A DNS subdomain.
pub(crate) fn dns_subdomain(path: &Path, value: &str) -> Vec<FieldError> {
    each(path, value, is_dns1123_subdomain(value))
}

/// A label key, annotation key or other qualified name.
pub(crate) fn qualified_name(path: &Path, value: &str) -> Vec<FieldError> {
    each(path, value, is_qualified_name(value))
}

/// Keys and values of a map of labels; both are reported at the map.
pub(crate) fn labels(path: &Path, labels: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        errors.extend(qualified_name(path, key));
        let value = value.as_str().unwrap_or_default();
        errors.extend(each(path, value, is_valid_label_value(value)));
    }
    errors
}

/// A `LabelSelector`; absent is fine.
pub(crate) fn label_selector(path: &Path, selector: &Value) -> Vec<FieldError> {
    let mut errors = labels(&path.child("matchLabels"), &selector["matchLabels"]);
    for (i, requirement) in list_at(selector, "matchExpressions").iter().enumerate() {
        errors.extend(requirement_errors(&path.child("matchExpressions").index(i), requirement));
    }
    errors
}

fn requirement_errors(path: &Path, requirement: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let empty = list_at(requirement, "values").is_empty();
    match str_at(requirement, "operator") {
        "In" | "NotIn" if empty => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(FieldError::required(path.child("values"), detail));
        }
        "Exists" | "DoesNotExist" if !empty => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(path.child("values"), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(FieldError::invalid(path.child("operator"), other, "not a valid selector operator")),
    }
    errors.extend(qualified_name(&path.child("key"), str_at(requirement, "key")));
    for (i, value) in strings_at(requirement, "values").enumerate() {
        errors.extend(each(&path.child("values").index(i), value, is_valid_label_value(value)));
    }
    errors
}

/// `field is immutable`, if the two differ.
pub(crate) fn immutable(path: &Path, new: &Value, old: &Value) -> Option<FieldError> {
    (!semantic_eq(new, old)).then(|| FieldError::invalid(path, new.clone(), IMMUTABLE))
}

/// `must be greater than or equal to 0`.
pub(crate) fn non_negative(path: &Path, value: i64) -> Option<FieldError> {
    (value < 0).then(|| FieldError::invalid(path, value, "must be greater than or equal to 0"))
}

/// `Unsupported value`, if the word is none of these.
pub(crate) fn one_of(path: &Path, value: &str, supported: &[&str]) -> Option<FieldError> {
    (!supported.contains(&value)).then(|| FieldError::not_supported(path, value, supported))
}

/// `Required value`, if the word is empty, else `Unsupported value`, if it is none of these.
pub(crate) fn required_one_of(path: &Path, value: &str, supported: &[&str]) -> Option<FieldError> {
    if value.is_empty() { Some(FieldError::required(path, "")) } else { one_of(path, value, supported) }
}

/// Keys and byte lengths of ConfigMap and Secret data, summed.
pub(crate) fn data_size(object: &Value, member: &str, decoded: impl Fn(&str) -> usize) -> usize {
    entries_at(object, member).filter_map(|(_, v)| v.as_str()).map(decoded).sum()
}

/// The number of bytes behind standard base64 text.
pub(crate) fn base64_len(text: &str) -> usize {
    let padding = text.bytes().rev().take_while(|b| *b == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selector_requirements_need_values_where_the_operator_says_so() {
        let selector = json!({"matchExpressions": [
            {"key": "a", "operator": "In"},
            {"key": "a", "operator": "Exists", "values": ["x"]},
            {"key": "a", "operator": "Like"},
        ]});
        let texts: Vec<_> = label_selector(&Path::new("s"), &selector).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "s.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                "s.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                "s.matchExpressions[2].operator: Invalid value: \"Like\": not a valid selector operator",
            ]
        );
    }

    #[test]
    fn base64_lengths_discount_the_padding() {
        assert_eq!(base64_len("dg=="), 1);
        assert_eq!(base64_len("aGVsbG8="), 5);
        assert_eq!(base64_len(""), 0);
    }
}
