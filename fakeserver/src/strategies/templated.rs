//! What the kinds with a pod template have in common: selector against labels, restart policy, warnings, status rules.
//!
//! Counterpart: `ValidatePodTemplateSpecForReplicaSet` and its siblings in `apis/apps/validation`, and the
//! `WarningsOnCreate` of their strategies.

use super::access::{copy, has, semantic_eq, str_at};
use super::pod_spec::{pod_template, warnings};
use super::rules::{Errors, label_selector, selector_is_empty, selector_matches};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;

/// A main write keeps `status`, a status write keeps `spec`.
pub(crate) fn keep_other_half(subresource: &str, object: &mut Value, old: &Value) {
    copy(old, object, if subresource == "status" { "spec" } else { "status" });
}

/// A required label selector that must select something in particular. `kind` is the word in the refusal.
pub(crate) fn required_selector(spec: &Value, kind: &str, path: &Path, errors: &mut Errors) {
    let (selector, path) = (&spec["selector"], path.child("selector"));
    if selector.is_null() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    label_selector(selector, &path, errors);
    if selector_is_empty(selector) {
        let text = format!("empty selector is invalid for {kind}");
        errors.push(FieldError::invalid(path, selector.clone(), text));
    }
}

/// The selector must match the template's labels. Tells whether the selector is one at all.
pub(crate) fn selector_matches_template(spec: &Value, complaint: &str, path: &Path, errors: &mut Errors) -> bool {
    let (selector, labels) = (&spec["selector"], &spec["template"]["metadata"]["labels"]);
    match selector_matches(selector, labels) {
        Some(true) => true,
        Some(false) => {
            labels_mismatch(labels, path, errors);
            true
        }
        None => {
            if !complaint.is_empty() {
                errors.push(FieldError::invalid(path.child("selector"), selector.clone(), complaint));
            }
            false
        }
    }
}

/// The refusal of template labels that the selector does not match; `path` is that of the spec.
pub(crate) fn labels_mismatch(labels: &Value, path: &Path, errors: &mut Errors) {
    let path = path.child("template").child("metadata").child("labels");
    errors.push(FieldError::invalid(path, labels.clone(), "`selector` does not match template `labels`"));
}

/// Pods that are replaced when they end always restart and have no deadline. `kind` is the word in the refusal.
pub(crate) fn always_running(spec: &Value, kind: &str, path: &Path, errors: &mut Errors) {
    let (pod, path) = (&spec["template"]["spec"], path.child("template").child("spec"));
    let policy = pod["restartPolicy"].as_str().unwrap_or("Always");
    if policy != "Always" {
        errors.push(FieldError::not_supported(path.child("restartPolicy"), policy, &["Always"]));
    }
    if has(pod, "activeDeadlineSeconds") {
        let text = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(FieldError::forbidden(path.child("activeDeadlineSeconds"), text));
    }
}

/// The template of a Deployment or ReplicaSet: labels, pod spec, always running.
pub(crate) fn replica_set_template(spec: &Value, path: &Path, errors: &mut Errors) {
    if selector_matches_template(spec, "invalid label selector", path, errors) {
        pod_template(&spec["template"], &[], &path.child("template"), errors);
        always_running(spec, "ReplicaSet", path, errors);
    }
}

/// Warnings about a template at `path`, on create and on a changed spec.
pub(crate) fn template_warnings(template: &Value, path: &Path, object: &Value, old: Option<&Value>) -> Vec<String> {
    let unchanged = old.is_some_and(|old| semantic_eq(&old["spec"], &object["spec"]));
    if unchanged { Vec::new() } else { warnings::of_pod_or_template(template, path) }
}

/// The warning about a name that makes no good part of host names; only on create.
pub(crate) fn name_warning(object: &Value, used_in: &str, old: Option<&Value>) -> Option<String> {
    let messages = words::is_dns1123_label(str_at(&object["metadata"], "name"));
    (old.is_none() && !messages.is_empty()).then(|| {
        let messages = messages.join(" ");
        format!("metadata.name: this is used in {used_in}, which can result in surprising behavior; a DNS label is recommended: [{messages}]")
    })
}
