//! Validation of what steers scheduling: tolerations, gates, topology spread.
//!
//! Counterpart: `ValidateTolerations`, `validateSchedulingGates`, `validateReadinessGates`,
//! `validateTopologySpreadConstraints`. Affinity is in [`super::affinity`].

use crate::strategies::access::{entries_at, has, int_at, list_at, str_at, strings_at};
use crate::strategies::rules::{Errors, POSITIVE, label_selector, one_of, qualified_name};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;
use std::collections::BTreeSet;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// A list of tolerations.
pub(crate) fn tolerations(tolerations: &[Value], path: &Path, errors: &mut Errors) {
    for (i, toleration) in tolerations.iter().enumerate() {
        let path = path.index(i);
        let [key, operator, value, effect] =
            ["key", "operator", "value", "effect"].map(|name| str_at(toleration, name));
        if !key.is_empty() {
            qualified_name(key, &path.child("key"), errors);
        } else if operator != "Exists" {
            let text = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(path.child("operator"), operator, text));
        }
        if has(toleration, "tolerationSeconds") && effect != "NoExecute" {
            let text = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(path.child("effect"), effect, text));
        }
        match operator {
            "Equal" | "" => {
                let messages = words::is_valid_label_value(value);
                if !messages.is_empty() {
                    errors.push(FieldError::invalid(path.child("operator"), value, messages.join(";")));
                }
            }
            "Exists" if !value.is_empty() => {
                let text = "value must be empty when `operator` is 'Exists'";
                errors.push(FieldError::invalid(path.child("operator"), value, text));
            }
            "Exists" => {}
            other => errors.push(FieldError::not_supported(path.child("operator"), other, &["Equal", "Exists"])),
        }
        if !effect.is_empty() {
            one_of(effect, &EFFECTS, &path.child("effect"), errors);
        }
    }
}

/// `readinessGates`.
pub(super) fn readiness_gates(spec: &Value, path: &Path, errors: &mut Errors) {
    for (i, gate) in list_at(spec, "readinessGates").iter().enumerate() {
        qualified_name(str_at(gate, "conditionType"), &path.index(i).child("conditionType"), errors);
    }
}

/// `schedulingGates`.
pub(super) fn scheduling_gates(spec: &Value, path: &Path, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    for (i, gate) in list_at(spec, "schedulingGates").iter().enumerate() {
        let (path, name) = (path.index(i), str_at(gate, "name"));
        qualified_name(name, &path, errors);
        if !names.insert(name) {
            errors.push(FieldError::duplicate(path, name));
        }
    }
}

/// `topologySpreadConstraints`.
pub(super) fn topology_spread(spec: &Value, path: &Path, errors: &mut Errors) {
    let constraints = list_at(spec, "topologySpreadConstraints");
    for (i, constraint) in constraints.iter().enumerate() {
        let path = path.index(i);
        let (key, action) = (str_at(constraint, "topologyKey"), str_at(constraint, "whenUnsatisfiable"));
        let skew = int_at(constraint, "maxSkew").unwrap_or_default();
        if skew <= 0 {
            errors.push(FieldError::invalid(path.child("maxSkew"), skew, POSITIVE));
        }
        if key.is_empty() {
            errors.push(FieldError::required(path.child("topologyKey"), "can not be empty"));
        }
        one_of(action, &["DoNotSchedule", "ScheduleAnyway"], &path.child("whenUnsatisfiable"), errors);
        let same = |other: &Value| str_at(other, "topologyKey") == key && str_at(other, "whenUnsatisfiable") == action;
        if constraints.iter().skip(i + 1).any(same) {
            let path = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(FieldError::duplicate(path, format!("{{{key}, {action}}}")));
        }
        min_domains(constraint, action, &path.child("minDomains"), errors);
        for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if has(constraint, name) {
                one_of(str_at(constraint, name), &["Honor", "Ignore"], &path.child(name), errors);
            }
        }
        match_label_keys(constraint, &path.child("matchLabelKeys"), errors);
        label_selector(&constraint["labelSelector"], &path.child("labelSelector"), errors);
    }
}

fn min_domains(constraint: &Value, action: &str, path: &Path, errors: &mut Errors) {
    let Some(domains) = int_at(constraint, "minDomains") else { return };
    if domains <= 0 {
        errors.push(FieldError::invalid(path, domains, POSITIVE));
    }
    if action != "DoNotSchedule" {
        let text = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
        errors.push(FieldError::invalid(path, domains, text));
    }
}

fn match_label_keys(constraint: &Value, path: &Path, errors: &mut Errors) {
    let keys: Vec<&str> = strings_at(constraint, "matchLabelKeys").collect();
    let selector = &constraint["labelSelector"];
    if keys.is_empty() {
        return;
    }
    if selector.is_null() {
        errors.push(FieldError::forbidden(path, "must not be specified when labelSelector is not set"));
    }
    for (i, key) in keys.iter().enumerate() {
        let path = path.index(i);
        qualified_name(key, &path, errors);
        if entries_at(selector, "matchLabels").any(|(name, _)| name == *key) {
            errors.push(FieldError::invalid(path, *key, "exists in both matchLabelKeys and labelSelector"));
        }
    }
}
