//! PodDisruptionBudgets.
//!
//! Counterpart: `registry/policy/poddisruptionbudget`, `ValidatePodDisruptionBudgetSpec`.

use super::access::{has, int_at, list_at, str_at};
use super::rules::{
    Errors, count_or_percent, invalid_struct, label_selector, non_negative_at, not_above_hundred_percent, one_of,
    qualified_name,
};
use super::templated::keep_other_half;
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;
use std::collections::BTreeSet;

/// The strategy of `poddisruptionbudgets.policy`.
pub struct PodDisruptionBudgetStrategy;

impl Strategy for PodDisruptionBudgetStrategy {
    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        keep_other_half(cx.subresource, object, old);
    }

    fn validate_create(&self, _: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (spec, path) = (&object["spec"], Path::new("spec"));
        if has(spec, "minAvailable") && has(spec, "maxUnavailable") {
            let text = "minAvailable and maxUnavailable cannot be both set";
            errors.push(invalid_struct(&path, "policy.v1.PodDisruptionBudgetSpec", spec, text));
        }
        for name in ["minAvailable", "maxUnavailable"] {
            if has(spec, name) {
                count_or_percent(&spec[name], &path.child(name), &mut errors);
                not_above_hundred_percent(&spec[name], &path.child(name), &mut errors);
            }
        }
        label_selector(&spec["selector"], &path.child("selector"), &mut errors);
        if has(spec, "unhealthyPodEvictionPolicy") {
            let path = path.child("unhealthyPodEvictionPolicy");
            one_of(str_at(spec, "unhealthyPodEvictionPolicy"), &["AlwaysAllow", "IfHealthyBudget"], &path, &mut errors);
        }
        errors
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, _: &Value) -> Vec<FieldError> {
        if cx.subresource != "status" {
            return self.validate_create(cx, object);
        }
        let mut errors = Errors::new();
        let (status, path) = (&object["status"], Path::new("status"));
        conditions(list_at(status, "conditions"), &path.child("conditions"), &mut errors);
        let counters = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
        non_negative_at(status, &counters, &path, &mut errors);
        errors
    }
}

/// A list of `metav1.Condition`.
pub(crate) fn conditions(conditions: &[Value], path: &Path, errors: &mut Errors) {
    let mut types = BTreeSet::new();
    for (i, condition) in conditions.iter().enumerate() {
        let (path, kind) = (path.index(i), str_at(condition, "type"));
        if !types.insert(kind) {
            errors.push(FieldError::duplicate(path.child("type"), kind));
        }
        qualified_name(kind, &path.child("type"), errors);
        one_of(str_at(condition, "status"), &["False", "True", "Unknown"], &path.child("status"), errors);
        if let Some(generation) = int_at(condition, "observedGeneration").filter(|n| *n < 0) {
            let text = "must be greater than or equal to zero";
            errors.push(FieldError::invalid(path.child("observedGeneration"), generation, text));
        }
        if !has(condition, "lastTransitionTime") {
            errors.push(FieldError::required(path.child("lastTransitionTime"), ""));
        }
        let reason = str_at(condition, "reason");
        if reason.is_empty() {
            errors.push(FieldError::required(path.child("reason"), ""));
        } else if !is_reason(reason) {
            let text = rehearsal_apimachinery::validation::regex_error(
                "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
                "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?",
                &["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"],
            );
            errors.push(FieldError::invalid(path.child("reason"), reason, text));
        }
        for (name, limit) in [("reason", 1024), ("message", 32 * 1024)] {
            if str_at(condition, name).len() > limit {
                errors.push(FieldError::too_long(path.child(name), limit));
            }
        }
    }
}

fn is_reason(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(|b| word(*b))
        && bytes.iter().all(|b| word(*b) || matches!(b, b',' | b':'))
}
