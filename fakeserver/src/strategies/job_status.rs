//! The rules of a Job's status, which external controllers write too.
//!
//! Counterpart: `validateJobStatus`, `ValidateJobStatusUpdate` and the strategy's choice of what to check: a rule about
//! a member applies only when that member, or the outcome of the Job, changes.

use super::access::{has, int_at, list_at, semantic_eq, str_at};
use super::rules::{Errors, invalid_without_value, non_negative_at};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;
use std::collections::BTreeSet;

/// Validates a status write, metadata rules aside.
pub(super) fn status_update(object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("status");
    let (new, was) = (&object["status"], &old["status"]);
    non_negative_at(new, &["active", "succeeded", "failed", "ready", "terminating"], &path, &mut errors);
    uncounted(new, &path.child("uncountedTerminatedPods"), &mut errors);
    finished(object, old, &path, &mut errors);
    times(object, old, &path, &mut errors);
    outcome(new, was, &path.child("conditions"), &mut errors);
    counters(object, old, &path, &mut errors);
    errors
}

fn is_true(status: &Value, kind: &str) -> bool {
    list_at(status, "conditions").iter().any(|c| str_at(c, "type") == kind && str_at(c, "status") == "True")
}

fn is_finished(status: &Value) -> bool {
    is_true(status, "Complete") || is_true(status, "Failed")
}

fn changed(new: &Value, old: &Value, member: &str) -> bool {
    !semantic_eq(&new[member], &old[member])
}

fn uncounted(status: &Value, path: &Path, errors: &mut Errors) {
    let pods = &status["uncountedTerminatedPods"];
    let mut seen = BTreeSet::new();
    for list in ["succeeded", "failed"] {
        for (i, uid) in list_at(pods, list).iter().enumerate() {
            let (path, text) = (path.child(list).index(i), uid.as_str().unwrap_or_default());
            if text.is_empty() {
                errors.push(FieldError::invalid(path, "", "must not be empty"));
            } else if !seen.insert(text) {
                errors.push(FieldError::duplicate(path, text));
            }
        }
    }
}

/// What a finished Job may no longer have.
fn finished(object: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    let (new, was) = (&object["status"], &old["status"]);
    if !is_finished(new) {
        return;
    }
    let turned = is_finished(new) != is_finished(was);
    for name in ["active", "terminating"] {
        if let Some(count) = int_at(new, name).filter(|n| *n > 0 && (turned || changed(new, was, name))) {
            let text = format!("{name}>0 is invalid for finished job");
            errors.push(FieldError::invalid(path.child(name), count, text));
        }
    }
    let idle = object["spec"]["suspend"] == true && int_at(&object["spec"], "completions") == Some(0);
    if (turned || changed(new, was, "startTime")) && !has(new, "startTime") && !idle {
        errors.push(FieldError::required(path.child("startTime"), "startTime is required for finished job"));
    }
    let pods = &new["uncountedTerminatedPods"];
    let left = !list_at(pods, "succeeded").is_empty() || !list_at(pods, "failed").is_empty();
    if left && (turned || changed(new, was, "uncountedTerminatedPods")) {
        let text = "uncountedTerminatedPods needs to be empty for finished job";
        errors.push(FieldError::invalid(path.child("uncountedTerminatedPods"), pods.clone(), text));
    }
}

fn times(object: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    let (new, was) = (&object["status"], &old["status"]);
    let (start, end, end_path) = (&new["startTime"], &new["completionTime"], path.child("completionTime"));
    let (start_changed, end_changed) = (changed(new, was, "startTime"), changed(new, was, "completionTime"));
    if (start_changed || end_changed)
        && let (Some(start), Some(end)) = (start.as_str(), end.as_str())
        && end < start
    {
        errors.push(FieldError::invalid(&end_path, end, "completionTime cannot be set before startTime"));
    }
    let complete = is_true(new, "Complete");
    if complete != is_true(was, "Complete") || end_changed {
        if complete && end.is_null() {
            errors.push(FieldError::required(&end_path, "completionTime is required for Complete jobs"));
        }
        if !complete && !end.is_null() {
            let text = "cannot set completionTime when there is no Complete=True condition";
            errors.push(FieldError::invalid(&end_path, end.clone(), text));
        }
    }
    if end_changed && has(was, "completionTime") {
        errors.push(FieldError::invalid(&end_path, end.clone(), "field is immutable"));
    }
    let unsuspended = object["spec"]["suspend"] != true && has(was, "startTime");
    if start_changed && unsuspended && !is_true(was, "Suspended") {
        let text = if start.is_null() {
            FieldError::required(path.child("startTime"), "startTime cannot be removed for unsuspended job")
        } else {
            let text = "startTime cannot be changed for unsuspended job";
            FieldError::invalid(path.child("startTime"), start.clone(), text)
        };
        errors.push(text);
    }
}

/// How conditions exclude and require one another.
fn outcome(new: &Value, was: &Value, path: &Path, errors: &mut Errors) {
    let turned = |kinds: [&str; 2]| kinds.iter().any(|kind| is_true(new, kind) != is_true(was, kind));
    for [one, other] in [["Complete", "Failed"], ["Complete", "FailureTarget"], ["SuccessCriteriaMet", "Failed"]] {
        if turned([one, other]) && is_true(new, one) && is_true(new, other) {
            let text = format!("cannot set {one}=True and {other}=true conditions");
            errors.push(invalid_without_value(path, text));
        }
    }
    for [result, cause] in [["Complete", "SuccessCriteriaMet"], ["Failed", "FailureTarget"]] {
        if turned([result, cause]) && is_true(new, result) && !is_true(new, cause) {
            let text = format!("cannot set {result}=True condition without the {cause}=true condition");
            errors.push(invalid_without_value(path, text));
        }
    }
    for kind in ["FailureTarget", "Failed", "SuccessCriteriaMet", "Complete"] {
        if is_true(was, kind) && !is_true(new, kind) {
            let text = format!("cannot disable the terminal {kind}=True condition");
            errors.push(invalid_without_value(path, text));
        }
    }
}

fn counters(object: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    let (new, was) = (&object["status"], &old["status"]);
    let count = |status: &Value, name: &str| int_at(status, name).unwrap_or_default();
    if (changed(new, was, "ready") || changed(new, was, "active"))
        && let Some(ready) = int_at(new, "ready").filter(|ready| *ready > count(new, "active"))
    {
        let text = "cannot set more ready pods than active";
        errors.push(FieldError::invalid(path.child("ready"), ready, text));
    }
    let elastic = |job: &Value| job["spec"]["completions"] == job["spec"]["parallelism"];
    for name in ["failed", "succeeded"] {
        let may_shrink = name == "succeeded" && elastic(object) && elastic(old);
        if !may_shrink && count(new, name) < count(was, name) {
            let text = format!("cannot decrease the {name} counter");
            errors.push(FieldError::invalid(path.child(name), count(new, name), text));
        }
    }
}
