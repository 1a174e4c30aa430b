//! Validation of node affinity, pod affinity and pod anti-affinity.
//!
//! Counterpart: `validateAffinity`, `ValidateNodeSelector`, `validatePodAffinityTerm`.

use crate::strategies::access::{entries_at, has, int_at, list_at, str_at, strings_at};
use crate::strategies::rules::{Errors, complaints, dns_label, dns_subdomain, label_selector, qualified_name};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;
use std::collections::BTreeSet;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// `affinity` of a pod spec.
pub(super) fn affinity(affinity: &Value, path: &Path, errors: &mut Errors) {
    let (node, node_path) = (&affinity["nodeAffinity"], path.child("nodeAffinity"));
    if has(node, REQUIRED) {
        node_selector(&node[REQUIRED], &node_path.child(REQUIRED), errors);
    }
    for (i, term) in list_at(node, PREFERRED).iter().enumerate() {
        let path = node_path.child(PREFERRED).index(i);
        weight(term, &path, errors);
        node_selector_term(&term["preference"], false, &path.child("preference"), errors);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let (terms, path) = (&affinity[kind], path.child(kind));
        for (i, term) in list_at(terms, REQUIRED).iter().enumerate() {
            pod_affinity_term(term, &path.child(REQUIRED).index(i), errors);
        }
        for (i, term) in list_at(terms, PREFERRED).iter().enumerate() {
            let path = path.child(PREFERRED).index(i);
            weight(term, &path, errors);
            pod_affinity_term(&term["podAffinityTerm"], &path.child("podAffinityTerm"), errors);
        }
    }
}

fn weight(term: &Value, path: &Path, errors: &mut Errors) {
    let weight = int_at(term, "weight").unwrap_or_default();
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(path.child("weight"), weight, "must be in the range 1-100"));
    }
}

/// A node selector: at least one term, every requirement sound.
pub(crate) fn node_selector(selector: &Value, path: &Path, errors: &mut Errors) {
    let (terms, path) = (list_at(selector, "nodeSelectorTerms"), path.child("nodeSelectorTerms"));
    if terms.is_empty() {
        errors.push(FieldError::required(&path, "must have at least one node selector term"));
    }
    for (i, term) in terms.iter().enumerate() {
        node_selector_term(term, true, &path.index(i), errors);
    }
}

fn node_selector_term(term: &Value, check_values: bool, path: &Path, errors: &mut Errors) {
    for (i, requirement) in list_at(term, "matchExpressions").iter().enumerate() {
        label_requirement(requirement, check_values, &path.child("matchExpressions").index(i), errors);
    }
    for (i, requirement) in list_at(term, "matchFields").iter().enumerate() {
        field_requirement(requirement, &path.child("matchFields").index(i), errors);
    }
}

fn label_requirement(requirement: &Value, check_values: bool, path: &Path, errors: &mut Errors) {
    let (values, values_path) = (list_at(requirement, "values"), path.child("values"));
    match str_at(requirement, "operator") {
        "In" | "NotIn" => {
            if values.is_empty() {
                let text = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(&values_path, text));
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(&values_path, text));
            }
        }
        "Gt" | "Lt" => {
            if values.len() != 1 {
                let text = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.push(FieldError::required(&values_path, text));
            }
        }
        other => errors.push(FieldError::invalid(path.child("operator"), other, "not a valid selector operator")),
    }
    qualified_name(str_at(requirement, "key"), &path.child("key"), errors);
    for (i, value) in values.iter().enumerate().filter(|_| check_values) {
        let messages = words::is_valid_label_value(value.as_str().unwrap_or_default());
        complaints(messages, value, &values_path.index(i), errors);
    }
}

fn field_requirement(requirement: &Value, path: &Path, errors: &mut Errors) {
    let values: Vec<&str> = strings_at(requirement, "values").collect();
    match str_at(requirement, "operator") {
        "In" | "NotIn" => {
            if values.len() != 1 {
                let text = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.push(FieldError::required(path.child("values"), text));
            }
        }
        other => errors.push(FieldError::invalid(path.child("operator"), other, "not a valid selector operator")),
    }
    let key = str_at(requirement, "key");
    if key != "metadata.name" {
        errors.push(FieldError::invalid(path.child("key"), key, "not a valid field selector key"));
        return;
    }
    for (i, value) in values.iter().enumerate() {
        dns_subdomain(value, &path.child("values").index(i), errors);
    }
}

fn pod_affinity_term(term: &Value, path: &Path, errors: &mut Errors) {
    for name in ["labelSelector", "namespaceSelector"] {
        label_selector(&term[name], &path.child(name), errors);
    }
    for namespace in strings_at(term, "namespaces") {
        dns_label(namespace, &path.child("namespace"), errors);
    }
    label_keys(term, path, errors);
    let key = str_at(term, "topologyKey");
    if key.is_empty() {
        errors.push(FieldError::required(path.child("topologyKey"), "can not be empty"));
    }
    qualified_name(key, &path.child("topologyKey"), errors);
}

/// `matchLabelKeys` and `mismatchLabelKeys`. The former were merged into the selector when the Pod was created: a key
/// that occurs twice there was also written by the user.
fn label_keys(term: &Value, path: &Path, errors: &mut Errors) {
    let selector = &term["labelSelector"];
    for name in ["matchLabelKeys", "mismatchLabelKeys"] {
        let (keys, path) = (list_at(term, name), path.child(name));
        if !keys.is_empty() && selector.is_null() {
            errors.push(FieldError::forbidden(&path, "must not be specified when labelSelector is not set"));
            continue;
        }
        for (i, key) in keys.iter().enumerate() {
            qualified_name(key.as_str().unwrap_or_default(), &path.index(i), errors);
        }
    }
    let matching: Vec<&str> = strings_at(term, "matchLabelKeys").collect();
    let mut seen: BTreeSet<&str> = entries_at(selector, "matchLabels").map(|(key, _)| key).collect();
    for expression in list_at(selector, "matchExpressions") {
        let key = str_at(expression, "key");
        if let Some(i) = matching.iter().position(|k| *k == key).filter(|_| seen.contains(key)) {
            let text = "exists in both matchLabelKeys and labelSelector";
            errors.push(FieldError::invalid(path.index(i), key, text));
        }
        seen.insert(key);
    }
    let mismatching: BTreeSet<&str> = strings_at(term, "mismatchLabelKeys").collect();
    for (i, key) in matching.iter().enumerate().filter(|(_, key)| mismatching.contains(*key)) {
        let text = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.push(FieldError::invalid(path.child("matchLabelKeys").index(i), *key, text));
    }
}
