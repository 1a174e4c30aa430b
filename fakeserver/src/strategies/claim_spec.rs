//! Validation of a PersistentVolumeClaim's spec, also where it is embedded (ephemeral volumes, StatefulSets).
//!
//! Counterpart: `ValidatePersistentVolumeClaimSpec`. What an update may change is for the claim's own strategy.

use super::access::{at, has, str_at, strings_at};
use super::pod_spec::resources::quantity;
use super::rules::{Errors, POSITIVE, dns_label, dns_subdomain, label_selector, one_of};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Validates the spec of a claim.
pub(crate) fn claim_spec(spec: &Value, path: &Path, errors: &mut Errors) {
    let modes: Vec<&str> = strings_at(spec, "accessModes").collect();
    let modes_path = path.child("accessModes");
    if modes.is_empty() {
        errors.push(FieldError::required(&modes_path, "at least 1 access mode is required"));
    }
    label_selector(&spec["selector"], &path.child("selector"), errors);
    for mode in &modes {
        one_of(mode, &ACCESS_MODES, &modes_path, errors);
    }
    let single = modes.contains(&"ReadWriteOncePod");
    if single && modes.iter().any(|mode| *mode != "ReadWriteOncePod" && ACCESS_MODES.contains(mode)) {
        errors.push(FieldError::forbidden(&modes_path, "may not use ReadWriteOncePod with other access modes"));
    }
    storage(spec, &path.child("resources").key("storage"), errors);
    class_name(spec, "storageClassName", path, errors);
    if has(spec, "volumeMode") {
        one_of(str_at(spec, "volumeMode"), &["Block", "Filesystem"], &path.child("volumeMode"), errors);
    }
    for name in ["dataSource", "dataSourceRef"] {
        if has(spec, name) {
            data_source(&spec[name], &path.child(name), errors);
        }
    }
    class_name(spec, "volumeAttributesClassName", path, errors);
}

fn class_name(spec: &Value, name: &str, path: &Path, errors: &mut Errors) {
    let class = str_at(spec, name);
    if !class.is_empty() {
        dns_subdomain(class, &path.child(name), errors);
    }
}

fn storage(spec: &Value, path: &Path, errors: &mut Errors) {
    let amount = at(spec, &["resources", "requests", "storage"]);
    if amount.is_null() {
        errors.push(FieldError::required(path, ""));
    } else if quantity(amount).is_some_and(|q| q.signum() <= 0) {
        errors.push(FieldError::invalid(path, amount.clone(), POSITIVE));
    }
}

fn data_source(source: &Value, path: &Path, errors: &mut Errors) {
    for name in ["name", "kind"] {
        if str_at(source, name).is_empty() {
            errors.push(FieldError::required(path.child(name), ""));
        }
    }
    let (group, kind) = (str_at(source, "apiGroup"), str_at(source, "kind"));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(FieldError::invalid(path, kind, text));
    }
    if !group.is_empty() {
        dns_subdomain(group, &path.child("apiGroup"), errors);
    }
    let namespace = str_at(source, "namespace");
    if !namespace.is_empty() {
        dns_label(namespace, &path.child("namespace"), errors);
    }
}

/// The claim templates of a StatefulSet, as volumes that its pods may mount.
pub(crate) fn as_volumes(templates: &[Value]) -> Vec<Value> {
    templates
        .iter()
        .map(|template| {
            let name = str_at(&template["metadata"], "name");
            serde_json::json!({"name": name, "persistentVolumeClaim": {"claimName": name}})
        })
        .collect()
}
