//! PersistentVolumeClaim: phase, data sources, what stays fixed.
//!
//! Counterpart: `registry/core/persistentvolumeclaim` and `ValidatePersistentVolumeClaimUpdate`. The default class and
//! the protection finalizer are admission plugins' work.

use super::access::{copy, has, remove, semantic_eq, set, set_default, spec, str_at};
use super::checks::immutable;
use super::claim_spec::claim_spec;
use super::diff::unified;
use super::resource_names::quantity;
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::{Value, json};

/// Hooks of PersistentVolumeClaim.
#[derive(Clone, Copy, Debug)]
pub struct PersistentVolumeClaimStrategy;

impl Strategy for PersistentVolumeClaimStrategy {
    fn default(&self, object: &mut Value) {
        set_default(&mut object["spec"], "volumeMode", "Filesystem");
        set_default(&mut object["status"], "phase", "Pending");
    }

    fn prepare_create(&self, _cx: &WriteContext<'_>, object: &mut Value) {
        set(object, "status", json!({"phase": "Pending"}));
        same_data_sources(&mut object["spec"]);
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        if cx.subresource == "status" {
            copy(old, object, "spec");
        } else {
            copy(old, object, "status");
            same_data_sources(&mut object["spec"]);
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        claim(spec(object))
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return Vec::new();
        }
        let mut errors = claim(spec(object));
        errors.extend(update(object, old));
        errors
    }
}

/// `dataSource` and `dataSourceRef` say the same, whichever is given.
fn same_data_sources(spec: &mut Value) {
    if has(spec, "dataSource") && !has(spec, "dataSourceRef") {
        spec["dataSourceRef"] = spec["dataSource"].clone();
    } else if has(spec, "dataSourceRef")
        && !has(spec, "dataSource")
        && str_at(&spec["dataSourceRef"], "namespace").is_empty()
    {
        let mut source = spec["dataSourceRef"].clone();
        remove(&mut source, "namespace");
        spec["dataSource"] = source;
    }
}

fn claim(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    claim_spec(spec, &Path::new("spec"), &mut errors);
    errors
}

fn update(object: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (new, before) = (spec(object), spec(old));
    let bound = str_at(&object["status"], "phase") == "Bound" && !str_at(before, "volumeName").is_empty();
    let mut free = new.clone();
    if str_at(before, "volumeName").is_empty() {
        copy(before, &mut free, "volumeName");
    }
    if !has(before, "storageClassName") {
        copy(before, &mut free, "storageClassName");
    }
    if bound {
        if has(&free["resources"]["requests"], "storage") {
            free["resources"]["requests"]["storage"] = before["resources"]["requests"]["storage"].clone();
        }
        copy(before, &mut free, "volumeAttributesClassName");
    }
    if !semantic_eq(&free, before) {
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{}",
            unified(before, &free)
        );
        errors.push(FieldError::forbidden("spec", detail));
    }
    let size = |o: &Value| quantity(&spec(o)["resources"]["requests"]["storage"]);
    if bound && size(object) < size(old) && size(object) < quantity(&old["status"]["capacity"]["storage"]) {
        let detail = "field can not be less than status.capacity";
        errors.push(FieldError::forbidden("spec.resources.requests.storage", detail));
    }
    errors.extend(immutable(&Path::new("spec.volumeMode"), &new["volumeMode"], &before["volumeMode"]));
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(mode: &str, phase: &str, size: &str) -> Value {
        json!({"spec": {"accessModes": [mode], "volumeName": "v", "resources": {"requests": {"storage": size}}}, "status": {"phase": phase}})
    }

    #[test]
    fn only_bound_claims_may_grow() {
        let first = |new, old| update(&new, &old).first().map(ToString::to_string).unwrap_or_default();
        let refusal = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";
        assert!(first(object("A", "Pending", "2Gi"), object("A", "Pending", "1Gi")).starts_with(refusal));
        assert_eq!(first(object("A", "Bound", "2Gi"), object("A", "Bound", "1Gi")), "");
        assert!(first(object("B", "Bound", "1Gi"), object("A", "Bound", "1Gi")).starts_with(refusal));
    }
}
