//! PersistentVolume: phase, one source, what stays fixed.
//!
//! Counterpart: `registry/core/persistentvolume` and `ValidatePersistentVolume`. The protection finalizer is an
//! admission plugin's work.

use super::access::{copy, entries_at, has, is_empty_at, set, set_default, spec, str_at, strings_at};
use super::checks::{IMMUTABLE, dns_subdomain, immutable, one_of};
use super::diff::unified;
use super::resource_names::{quantity, resource_name};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::quantity::Quantity;
use serde_json::{Value, json};

/// Access modes, in the order in which refusals list them.
const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Volume sources, in the order in which the real server looks for them.
const SOURCES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

/// Members that a source must name: source, members.
const REQUIRED: &[(&str, &[&str])] = &[
    ("hostPath", &["path"]),
    ("nfs", &["server", "path"]),
    ("local", &["path"]),
    ("csi", &["driver", "volumeHandle"]),
    ("cinder", &["volumeID"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("flexVolume", &["driver"]),
    ("vsphereVolume", &["volumePath"]),
];

/// Hooks of PersistentVolume.
#[derive(Clone, Copy, Debug)]
pub struct PersistentVolumeStrategy;

impl Strategy for PersistentVolumeStrategy {
    fn default(&self, object: &mut Value) {
        set_default(&mut object["spec"], "persistentVolumeReclaimPolicy", "Retain");
        set_default(&mut object["spec"], "volumeMode", "Filesystem");
        set_default(&mut object["status"], "phase", "Pending");
    }

    fn prepare_create(&self, cx: &WriteContext<'_>, object: &mut Value) {
        set(object, "status", json!({"phase": "Pending", "lastPhaseTransitionTime": cx.clock.now_rfc3339()}));
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        if cx.subresource != "status" {
            copy(old, object, "status");
            return;
        }
        copy(old, object, "spec");
        let time = "lastPhaseTransitionTime";
        if str_at(&object["status"], "phase") == str_at(&old["status"], "phase") {
            if !has(&object["status"], time) {
                copy(&old["status"], &mut object["status"], time);
            }
        } else if !has(&object["status"], time) || object["status"][time] == old["status"][time] {
            set(&mut object["status"], time, cx.clock.now_rfc3339());
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        volume(object)
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return Vec::new();
        }
        let mut errors = volume(object);
        let (new, old) = (spec(object), spec(old));
        let path = Path::new("spec");
        if SOURCES.iter().any(|s| new[*s] != old[*s]) {
            let diff = unified(&only(old, SOURCES), &only(new, SOURCES));
            let detail = format!("spec.persistentvolumesource is immutable after creation\n{diff}");
            errors.push(FieldError::forbidden(path.child("persistentvolumesource"), detail));
        }
        errors.extend(immutable(&path.child("volumeMode"), &new["volumeMode"], &old["volumeMode"]));
        if has(old, "nodeAffinity") && new["nodeAffinity"] != old["nodeAffinity"] {
            errors.push(FieldError::invalid(path.child("nodeAffinity"), new["nodeAffinity"].clone(), IMMUTABLE));
        }
        errors
    }

    fn warnings(&self, _cx: &WriteContext<'_>, object: &Value, _old: Option<&Value>) -> Vec<String> {
        if str_at(spec(object), "persistentVolumeReclaimPolicy") == "Recycle" {
            vec!["spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.".to_owned()]
        } else {
            Vec::new()
        }
    }
}

fn only(spec: &Value, members: &[&str]) -> Value {
    let kept = spec.as_object().into_iter().flatten().filter(|(k, _)| members.contains(&k.as_str()));
    Value::Object(kept.map(|(k, v)| (k.clone(), v.clone())).collect())
}

fn volume(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = access_modes(spec, &path);
    capacity(spec, &path, &mut errors);
    let policy = str_at(spec, "persistentVolumeReclaimPolicy");
    if !policy.is_empty() {
        let at = path.child("persistentVolumeReclaimPolicy");
        errors.extend(one_of(&at, policy, &["Delete", "Recycle", "Retain"]));
    }
    sources(spec, &path, &mut errors);
    if str_at(&spec["hostPath"], "path") == "/" && policy == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden(path.child("persistentVolumeReclaimPolicy"), detail));
    }
    for name in ["storageClassName", "volumeAttributesClassName"] {
        if !is_empty_at(spec, name) {
            errors.extend(dns_subdomain(&path.child(name), str_at(spec, name)));
        }
    }
    if has(spec, "volumeMode") {
        errors.extend(one_of(&path.child("volumeMode"), str_at(spec, "volumeMode"), &["Block", "Filesystem"]));
    }
    errors
}

fn access_modes(spec: &Value, path: &Path) -> Vec<FieldError> {
    let at = path.child("accessModes");
    let modes: Vec<&str> = strings_at(spec, "accessModes").collect();
    let mut errors = Vec::new();
    if modes.is_empty() {
        errors.push(FieldError::required(&at, ""));
    }
    errors.extend(modes.iter().filter_map(|m| one_of(&at, m, ACCESS_MODES)));
    if modes.contains(&"ReadWriteOncePod") && modes.iter().any(|m| *m != "ReadWriteOncePod") {
        errors.push(FieldError::forbidden(&at, "may not use ReadWriteOncePod with other access modes"));
    }
    errors
}

fn capacity(spec: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let at = path.child("capacity");
    if is_empty_at(spec, "capacity") {
        errors.push(FieldError::required(&at, ""));
    }
    if !has(&spec["capacity"], "storage") || entries_at(spec, "capacity").count() > 1 {
        errors.push(FieldError::not_supported(&at, spec["capacity"].clone(), &["storage"]));
    }
    for (name, amount) in entries_at(spec, "capacity") {
        errors.extend(resource_name(&at.key(name), name));
        if quantity(amount) <= Quantity::ZERO {
            errors.push(FieldError::invalid(at.key(name), quantity(amount).to_string(), "must be greater than zero"));
        }
    }
}

fn sources(spec: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let given: Vec<&str> = SOURCES.iter().copied().filter(|s| has(spec, s)).collect();
    for (i, source) in given.iter().enumerate() {
        let at = path.child(source);
        if i > 0 {
            errors.push(FieldError::forbidden(&at, "may not specify more than 1 volume type"));
            continue;
        }
        let required = REQUIRED.iter().find(|(s, _)| s == source).map_or(&[][..], |(_, members)| *members);
        for member in required.iter().filter(|m| str_at(&spec[*source], m).is_empty()) {
            errors.push(FieldError::required(at.child(member), ""));
        }
        let file = str_at(&spec[*source], "path");
        if *source == "nfs" && !file.is_empty() && !file.starts_with('/') {
            errors.push(FieldError::invalid(at.child("path"), file, "must be an absolute path"));
        }
        if matches!(*source, "hostPath" | "local") && file.split('/').any(|part| part == "..") {
            errors.push(FieldError::invalid(at.child("path"), file, "must not contain '..'"));
        }
    }
    if given.is_empty() {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
    if has(spec, "local") && !has(spec, "nodeAffinity") {
        errors.push(FieldError::required(path.child("nodeAffinity"), "Local volume requires node affinity"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_needs_modes_capacity_and_a_source() {
        let texts: Vec<_> = volume(&json!({"spec": {}})).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.accessModes: Required value",
                "spec.capacity: Required value",
                "spec.capacity: Unsupported value: null: supported values: \"storage\"",
                "spec: Required value: must specify a volume type",
            ]
        );
    }
}
