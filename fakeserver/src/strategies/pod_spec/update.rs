//! What an update may change in a live Pod.
//!
//! Counterpart: `ValidatePodUpdate` with `ValidateContainerUpdates`, `validateOnlyAddedTolerations`,
//! `validateOnlyDeletedSchedulingGates` and the rules for gated Pods.

use super::annotations::pod_annotation_updates;
use super::{pod_metadata_and_spec, scheduling};
use crate::strategies::access::{copy, has, int_at, list_at, list_mut, remove, semantic_eq, set, str_at};
use crate::strategies::diff;
use crate::strategies::rules::{Errors, complaints};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;

const MUTABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Validates an update of the Pod itself, metadata rules aside.
pub(crate) fn pod_update(pod: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec");
    pod_metadata_and_spec(pod, &mut errors);
    pod_annotation_updates(pod, old, &Path::new("metadata").child("annotations"), &mut errors);
    let (new, old) = (&pod["spec"], &old["spec"]);
    for list in ["containers", "initContainers"] {
        if !same_containers(list_at(new, list), list_at(old, list), &path.child(list), &mut errors) {
            return errors;
        }
    }
    if !deadline(new, old, &path.child("activeDeadlineSeconds"), &mut errors) {
        return errors;
    }
    added_tolerations(new, old, &path.child("tolerations"), &mut errors);
    deleted_gates(new, old, &path.child("schedulingGates"), &mut errors);
    if semantic_eq(new, old) {
        return errors;
    }
    let mut allowed = with_mutable_fields_of(new, old);
    if !list_at(old, "schedulingGates").is_empty() {
        gated(&mut allowed, old, &path, &mut errors);
    }
    if !semantic_eq(&allowed, old) {
        let text = format!("pod updates may not change fields other than {MUTABLE}\n{}", diff::unified(old, &allowed));
        errors.push(FieldError::forbidden(&path, text));
    }
    errors
}

/// Images may change, the number of containers may not.
fn same_containers(new: &[Value], old: &[Value], path: &Path, errors: &mut Errors) -> bool {
    if new.len() != old.len() {
        errors.push(FieldError::forbidden(path, "pod updates may not add or remove containers"));
        return false;
    }
    for (i, container) in new.iter().enumerate() {
        let image = str_at(container, "image");
        let path = path.index(i).child("image");
        if image.is_empty() {
            errors.push(FieldError::required(&path, ""));
        }
        if image.trim().len() != image.len() {
            errors.push(FieldError::invalid(path, image, "must not have leading or trailing whitespace"));
        }
    }
    true
}

/// The deadline may be set once and then only shrink. False ends the validation.
fn deadline(new: &Value, old: &Value, path: &Path, errors: &mut Errors) -> bool {
    let name = "activeDeadlineSeconds";
    match (int_at(new, name), int_at(old, name)) {
        (Some(now), before) => {
            let messages = words::is_in_range(now, 0, i64::from(i32::MAX));
            let broken = !messages.is_empty();
            complaints(messages, &now.into(), path, errors);
            let grown = !broken && before.is_some_and(|before| before < now);
            if grown {
                errors.push(FieldError::invalid(path, now, "must be less than or equal to previous value"));
            }
            !broken && !grown
        }
        (None, Some(_)) => {
            let text = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(path, Value::Null, text));
            true
        }
        (None, None) => true,
    }
}

fn added_tolerations(new: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    let stripped = |toleration: &Value| {
        let mut toleration = toleration.clone();
        remove(&mut toleration, "tolerationSeconds");
        toleration
    };
    let now: Vec<Value> = list_at(new, "tolerations").iter().map(stripped).collect();
    if list_at(old, "tolerations").iter().any(|toleration| !now.contains(&stripped(toleration))) {
        let text = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(path, text));
        return;
    }
    scheduling::tolerations(list_at(new, "tolerations"), path, errors);
}

fn deleted_gates(new: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    for (i, gate) in list_at(new, "schedulingGates").iter().enumerate() {
        let name = str_at(gate, "name");
        if !list_at(old, "schedulingGates").iter().any(|gate| str_at(gate, "name") == name) {
            let text = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.push(FieldError::forbidden(path.index(i).child("name"), text));
        }
    }
}

/// The new spec with all that may change put back; what then differs is forbidden.
fn with_mutable_fields_of(new: &Value, old: &Value) -> Value {
    let mut munged = new.clone();
    for list in ["containers", "initContainers"] {
        for (container, old) in list_mut(&mut munged, list).iter_mut().zip(list_at(old, list)) {
            copy(old, container, "image");
        }
    }
    for name in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        copy(old, &mut munged, name);
    }
    let grace = "terminationGracePeriodSeconds";
    if int_at(old, grace).is_some_and(|seconds| seconds < 0) && int_at(new, grace) == Some(1) {
        copy(old, &mut munged, grace);
    }
    munged
}

/// A Pod behind scheduling gates may be restricted further.
fn gated(munged: &mut Value, old: &Value, path: &Path, errors: &mut Errors) {
    if !semantic_eq(&munged["nodeSelector"], &old["nodeSelector"]) {
        node_selector_additions(munged, old, &path.child("nodeSelector"), errors);
        copy(old, munged, "nodeSelector");
    }
    let (now, before) = (munged["affinity"]["nodeAffinity"].clone(), &old["affinity"]["nodeAffinity"]);
    if semantic_eq(&now, before) {
        return;
    }
    node_affinity_additions(&now, before, &path.child("affinity").child("nodeAffinity"), errors);
    let only_node = !has(&munged["affinity"], "podAffinity") && !has(&munged["affinity"], "podAntiAffinity");
    if !has(old, "affinity") && only_node {
        remove(munged, "affinity");
    } else {
        let mut affinity = munged["affinity"].clone();
        copy(&old["affinity"], &mut affinity, "nodeAffinity");
        set(munged, "affinity", affinity);
    }
}

fn node_selector_additions(new: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    for (key, value) in old["nodeSelector"].as_object().into_iter().flatten() {
        if new["nodeSelector"][key.as_str()] != *value {
            let text = "only additions are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid(path, new["nodeSelector"].clone(), text));
            return;
        }
    }
}

fn node_affinity_additions(new: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let (was, now) = (&old[required]["nodeSelectorTerms"], &new[required]["nodeSelectorTerms"]);
    let Some(was) = was.as_array().filter(|terms| !terms.is_empty()) else { return };
    let now = now.as_array().map_or(&[][..], Vec::as_slice);
    let path = path.child(required).child("nodeSelectorTerms");
    if was.len() != now.len() {
        let text = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(FieldError::invalid(path, Value::from(now.to_vec()), text));
        return;
    }
    for (i, (was, now)) in was.iter().zip(now).enumerate() {
        let kept = ["matchExpressions", "matchFields"].iter().all(|list| {
            let (was, now) = (list_at(was, list), list_at(now, list));
            was.len() <= now.len() && was.iter().zip(now).all(|(was, now)| semantic_eq(was, now))
        });
        if !kept {
            let text = "only additions are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid(path.index(i), now.clone(), text));
        }
    }
}
