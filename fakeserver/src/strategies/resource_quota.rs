//! ResourceQuota: names and amounts of what is bounded, scopes.
//!
//! Counterpart: `registry/core/resourcequota` and `ValidateResourceQuota`. Enforcement is the admission plugin's work.

use super::access::{copy, entries_at, list_at, set, spec, str_at, strings_at};
use super::checks::IMMUTABLE;
use super::resource_names::{is_quota_resource, quota_resource_name, resource_quantity};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SCOPES: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

/// Hooks of ResourceQuota.
#[derive(Clone, Copy, Debug)]
pub struct ResourceQuotaStrategy;

impl Strategy for ResourceQuotaStrategy {
    fn prepare_create(&self, _cx: &WriteContext<'_>, object: &mut Value) {
        set(object, "status", json!({}));
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        copy(old, object, if cx.subresource == "status" { "spec" } else { "status" });
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        quota(object)
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return status(object);
        }
        let mut errors = quota(object);
        let scopes = |o: &Value| strings_at(spec(o), "scopes").map(str::to_owned).collect::<BTreeSet<_>>();
        if scopes(object) != scopes(old) {
            errors.push(FieldError::invalid("spec.scopes", spec(object)["scopes"].clone(), IMMUTABLE));
        }
        errors
    }
}

fn quota(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let mut errors = amounts(&Path::new("spec").child("hard"), spec, "hard");
    let path = Path::new("spec").child("scopes");
    let scopes: Vec<&str> = strings_at(spec, "scopes").collect();
    let shown = || spec["scopes"].clone();
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            errors.push(FieldError::invalid(&path, shown(), "unsupported scope"));
        }
        for (name, _) in entries_at(spec, "hard") {
            if is_quota_resource(name) && !fits(scope, name) {
                errors.push(FieldError::invalid(&path, shown(), "unsupported scope applied to resource"));
            }
        }
    }
    let both = |a, b| scopes.contains(&a) && scopes.contains(&b);
    if both("BestEffort", "NotBestEffort") || both("Terminating", "NotTerminating") {
        errors.push(FieldError::invalid(&path, shown(), "conflicting scopes"));
    }
    scope_selector(spec, &mut errors);
    errors
}

fn amounts(path: &Path, parent: &Value, member: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (name, amount) in entries_at(parent, member) {
        let at = path.key(name);
        errors.extend(quota_resource_name(&at, name));
        errors.extend(resource_quantity(&at, name, amount));
    }
    errors
}

fn fits(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => matches!(
            resource,
            "pods" | "cpu" | "memory" | "limits.cpu" | "limits.memory" | "requests.cpu" | "requests.memory"
        ),
        _ => true,
    }
}

fn scope_selector(spec: &Value, errors: &mut Vec<FieldError>) {
    let path = Path::new("spec").child("scopeSelector").child("matchExpressions");
    for (i, requirement) in list_at(&spec["scopeSelector"], "matchExpressions").iter().enumerate() {
        let at = path.index(i);
        let (scope, operator) = (str_at(requirement, "scopeName"), str_at(requirement, "operator"));
        if !SCOPES.contains(&scope) {
            errors.push(FieldError::invalid(at.child("scopeName"), scope, "unsupported scope"));
        }
        let empty = list_at(requirement, "values").is_empty();
        match operator {
            "In" | "NotIn" if empty => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.push(FieldError::required(at.child("values"), detail));
            }
            "Exists" | "DoesNotExist" if !empty => {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.push(FieldError::invalid(at.child("values"), requirement["values"].clone(), detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                errors.push(FieldError::invalid(at.child("operator"), other, "not a valid selector operator"));
            }
        }
        if !matches!(scope, "PriorityClass" | "VolumeAttributesClass") && operator != "Exists" {
            let detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.push(FieldError::invalid(at.child("operator"), operator, detail));
        }
    }
}

fn status(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if object.resource_version().is_empty() {
        errors.push(FieldError::required("resourceVersion", ""));
    }
    for member in ["hard", "used"] {
        errors.extend(amounts(&Path::new("status").child(member), &object["status"], member));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_read_as_the_real_servers() {
        let cases = [
            (json!({"pods": "-1"}), vec!["spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0"]),
            (json!({"pods": "1500m"}), vec!["spec.hard[pods]: Invalid value: \"1500m\": must be an integer"]),
            (
                json!({"gold": "1"}),
                vec![
                    "spec.hard[gold]: Invalid value: \"gold\": must be a standard resource type or fully qualified",
                    "spec.hard[gold]: Invalid value: \"gold\": must be a standard resource for quota",
                ],
            ),
            (json!({"count/widgets.example.com": "3", "requests.cpu": "1"}), vec![]),
        ];
        for (hard, expected) in cases {
            let texts: Vec<_> = quota(&json!({"spec": {"hard": hard}})).iter().map(ToString::to_string).collect();
            assert_eq!(texts, expected);
        }
    }
}
