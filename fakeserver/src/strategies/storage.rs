//! The kinds of `storage.k8s.io`: classes, CSI drivers and nodes, capacities, attachments, attribute classes.
//!
//! Counterpart: `registry/storage` and `apis/storage/validation`.

use super::access::{copy, entries_at, has, is_empty_at, list_at, set, set_default, spec, str_at, strings_at};
use super::checks::{IMMUTABLE, dns_subdomain, immutable, label_selector, one_of, qualified_name, required_one_of};
use super::diff::unified;
use super::resource_names::quantity;
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::quantity::Quantity;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETER_BYTES: usize = 256 * 1024;

/// Hooks of StorageClass.
#[derive(Clone, Copy, Debug)]
pub struct StorageClassStrategy;

impl Strategy for StorageClassStrategy {
    fn default(&self, object: &mut Value) {
        set_default(object, "reclaimPolicy", "Delete");
        set_default(object, "volumeBindingMode", "Immediate");
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        storage_class(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = storage_class(object);
        for name in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
            errors.extend(immutable(&Path::new(name), &object[name], &old[name]));
        }
        errors
    }
}

fn storage_class(object: &Value) -> Vec<FieldError> {
    let mut errors = provisioner(&Path::new("provisioner"), str_at(object, "provisioner"));
    errors.extend(parameters(&Path::new("parameters"), object, true));
    let policy = str_at(object, "reclaimPolicy");
    if !policy.is_empty() {
        errors.extend(one_of(&Path::new("reclaimPolicy"), policy, &["Delete", "Retain"]));
    }
    let mode = str_at(object, "volumeBindingMode");
    errors.extend(required_one_of(&Path::new("volumeBindingMode"), mode, &["Immediate", "WaitForFirstConsumer"]));
    for (i, term) in list_at(object, "allowedTopologies").iter().enumerate() {
        topology(&Path::new("allowedTopologies").index(i), term, &mut errors);
    }
    errors
}

fn provisioner(path: &Path, name: &str) -> Vec<FieldError> {
    if name.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let lower = name.to_lowercase();
    qualified_name(path, &lower)
}

fn parameters(path: &Path, object: &Value, may_be_empty: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let count = entries_at(object, "parameters").count();
    if count > MAX_PARAMETERS {
        errors.push(FieldError::too_long(path, MAX_PARAMETERS));
        return errors;
    }
    if count == 0 && !may_be_empty {
        errors.push(FieldError::required(path, "must contain at least one key/value pair"));
    }
    let mut bytes = 0;
    for (key, value) in entries_at(object, "parameters") {
        if key.is_empty() {
            errors.push(FieldError::invalid(path, key, "field can not be empty."));
        }
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > MAX_PARAMETER_BYTES {
        errors.push(FieldError::too_long(path, MAX_PARAMETER_BYTES));
    }
    errors
}

fn topology(path: &Path, term: &Value, errors: &mut Vec<FieldError>) {
    let mut keys = BTreeSet::new();
    for (i, requirement) in list_at(term, "matchLabelExpressions").iter().enumerate() {
        let at = path.child("matchLabelExpressions").index(i);
        let key = str_at(requirement, "key");
        if list_at(requirement, "values").is_empty() {
            errors.push(FieldError::required(at.child("values"), ""));
        }
        errors.extend(qualified_name(&at.child("key"), key));
        let mut values = BTreeSet::new();
        for (j, value) in strings_at(requirement, "values").enumerate() {
            if !values.insert(value) {
                errors.push(FieldError::duplicate(at.child("values").index(j), value));
            }
        }
        if !keys.insert(key) {
            errors.push(FieldError::duplicate(at.child("key"), key));
        }
    }
}

/// Hooks of CSIDriver.
#[derive(Clone, Copy, Debug)]
pub struct CsiDriverStrategy;

impl Strategy for CsiDriverStrategy {
    fn default(&self, object: &mut Value) {
        let spec = &mut object["spec"];
        set_default(spec, "attachRequired", true);
        for name in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
            set_default(spec, name, false);
        }
        set_default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        if is_empty_at(spec, "volumeLifecycleModes") {
            set(spec, "volumeLifecycleModes", json!(["Persistent"]));
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        csi_driver(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = csi_driver(object);
        let (new, old) = (spec(object), spec(old));
        for name in ["attachRequired", "volumeLifecycleModes"] {
            errors.extend(immutable(&Path::new("spec").child(name), &new[name], &old[name]));
        }
        errors
    }
}

fn csi_driver(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = Vec::new();
    for name in ["attachRequired", "podInfoOnMount", "storageCapacity"] {
        if !has(spec, name) {
            errors.push(FieldError::required(path.child(name), ""));
        }
    }
    let policy = str_at(spec, "fsGroupPolicy");
    errors.extend(required_one_of(&path.child("fsGroupPolicy"), policy, &["File", "None", "ReadWriteOnceWithFSType"]));
    let mut audiences = BTreeSet::new();
    for (i, request) in list_at(spec, "tokenRequests").iter().enumerate() {
        let at = path.child("tokenRequests").index(i);
        let audience = str_at(request, "audience");
        if !audiences.insert(audience) {
            errors.push(FieldError::duplicate(at.child("audience"), audience));
        }
        let seconds = request["expirationSeconds"].as_i64();
        if let Some(seconds) = seconds.filter(|s| *s < 600) {
            let detail = "may not specify a duration less than 10 minutes";
            errors.push(FieldError::invalid(at.child("expirationSeconds"), seconds, detail));
        }
        if let Some(seconds) = seconds.filter(|s| *s > 1 << 32) {
            let detail = "may not specify a duration larger than 2^32 seconds";
            errors.push(FieldError::invalid(at.child("expirationSeconds"), seconds, detail));
        }
    }
    for mode in strings_at(spec, "volumeLifecycleModes") {
        errors.extend(one_of(&path.child("volumeLifecycleModes"), mode, &["Ephemeral", "Persistent"]));
    }
    errors
}

/// Hooks of CSINode.
#[derive(Clone, Copy, Debug)]
pub struct CsiNodeStrategy;

impl Strategy for CsiNodeStrategy {
    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        csi_node(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = csi_node(object);
        let drivers = list_at(spec(object), "drivers");
        for before in list_at(spec(old), "drivers") {
            let twin = drivers.iter().find(|d| d["name"] == before["name"]);
            if let Some(twin) = twin.filter(|d| ["nodeID", "topologyKeys"].iter().any(|m| d[*m] != before[*m])) {
                let detail = "field is immutable";
                errors.push(FieldError::invalid("spec.drivers", twin.clone(), detail));
            }
        }
        errors
    }
}

fn csi_node(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    for (i, driver) in list_at(spec(object), "drivers").iter().enumerate() {
        let path = Path::new("spec").child("drivers").index(i);
        let (name, id) = (str_at(driver, "name"), str_at(driver, "nodeID"));
        errors.extend(csi_driver_name(&path.child("name"), name));
        if id.is_empty() {
            errors.push(FieldError::required(path.child("nodeID"), ""));
        } else if id.len() > 256 {
            errors.push(FieldError::invalid(path.child("nodeID"), id, "must be 256 characters or less"));
        }
        if let Some(count) = driver["allocatable"]["count"].as_i64().filter(|c| *c < 0) {
            let at = path.child("allocatable").child("count");
            errors.push(FieldError::invalid(at, count, "must be greater than or equal to 0"));
        }
        if !names.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        }
        let mut keys = BTreeSet::new();
        for key in strings_at(driver, "topologyKeys") {
            if key.is_empty() {
                errors.push(FieldError::required(&path, ""));
            }
            if !keys.insert(key) {
                errors.push(FieldError::duplicate(&path, key));
            }
            errors.extend(qualified_name(&path, key));
        }
    }
    errors
}

/// The name of a CSI driver: a DNS subdomain of at most 63 bytes in which case does not matter.
fn csi_driver_name(path: &Path, name: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return errors;
    }
    if name.len() > 63 {
        errors.push(FieldError::too_long(path, 63));
    }
    errors.extend(dns_subdomain(path, &name.to_lowercase()));
    errors
}

/// Hooks of CSIStorageCapacity.
#[derive(Clone, Copy, Debug)]
pub struct CsiStorageCapacityStrategy;

impl Strategy for CsiStorageCapacityStrategy {
    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        capacity(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = capacity(object);
        for name in ["nodeTopology", "storageClassName"] {
            errors.extend(immutable(&Path::new(name), &object[name], &old[name]));
        }
        errors
    }
}

fn capacity(object: &Value) -> Vec<FieldError> {
    let mut errors = label_selector(&Path::new("nodeTopology"), &object["nodeTopology"]);
    errors.extend(dns_subdomain(&Path::new("storageClassName"), str_at(object, "storageClassName")));
    for name in ["capacity", "maximumVolumeSize"] {
        if has(object, name) && quantity(&object[name]) < Quantity::ZERO {
            let text = quantity(&object[name]).to_string();
            errors.push(FieldError::invalid(name, text, "must be greater than or equal to 0"));
        }
    }
    errors
}

/// Hooks of VolumeAttachment.
#[derive(Clone, Copy, Debug)]
pub struct VolumeAttachmentStrategy;

impl Strategy for VolumeAttachmentStrategy {
    fn prepare_create(&self, _cx: &WriteContext<'_>, object: &mut Value) {
        set(object, "status", json!({"attached": false}));
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        copy(old, object, if cx.subresource == "status" { "spec" } else { "status" });
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        attachment(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = attachment(object);
        if spec(object) != spec(old) {
            errors.push(FieldError::invalid("spec", spec(object).clone(), IMMUTABLE));
        }
        errors
    }
}

fn attachment(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = csi_driver_name(&path.child("attacher"), str_at(spec, "attacher"));
    let source = &spec["source"];
    let at = path.child("source");
    let name = str_at(source, "persistentVolumeName");
    match (has(source, "inlineVolumeSpec"), has(source, "persistentVolumeName")) {
        (false, false) => {
            errors.push(FieldError::required(
                &at,
                "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
            ));
        }
        (true, true) => {
            let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            errors.push(FieldError::invalid(&at, source.clone(), detail));
        }
        (false, true) if name.is_empty() => {
            errors.push(FieldError::required(
                at.child("persistentVolumeName"),
                "must specify non empty persistentVolumeName",
            ));
        }
        _ => {}
    }
    errors.extend(dns_subdomain(&path.child("nodeName"), str_at(spec, "nodeName")));
    errors
}

/// Hooks of VolumeAttributesClass.
#[derive(Clone, Copy, Debug)]
pub struct VolumeAttributesClassStrategy;

impl Strategy for VolumeAttributesClassStrategy {
    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = provisioner(&Path::new("driverName"), str_at(object, "driverName"));
        errors.extend(parameters(&Path::new("parameters"), object, false));
        errors
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if object["driverName"] != old["driverName"] {
            errors.push(FieldError::forbidden("driverName", "updates to driverName are forbidden."));
        }
        if object["parameters"] != old["parameters"] {
            let diff = unified(&old["parameters"], &object["parameters"]);
            errors.push(FieldError::forbidden("parameters", format!("updates to parameters are forbidden.\n{diff}")));
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_class_needs_a_provisioner() {
        let mut class = json!({});
        StorageClassStrategy.default(&mut class);
        assert_eq!(texts(&storage_class(&class)), ["provisioner: Required value"]);
    }

    #[test]
    fn an_attachment_names_one_source() {
        let object = json!({"spec": {"attacher": "a.b", "nodeName": "n", "source": {}}});
        assert_eq!(
            texts(&attachment(&object)),
            ["spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"]
        );
    }

    #[test]
    fn a_driver_is_attached_and_persistent_by_default() {
        let mut driver = json!({"spec": {}});
        CsiDriverStrategy.default(&mut driver);
        assert_eq!(
            driver["spec"],
            json!({
                "attachRequired": true, "podInfoOnMount": false, "storageCapacity": false, "requiresRepublish": false,
                "seLinuxMount": false, "fsGroupPolicy": "ReadWriteOnceWithFSType", "volumeLifecycleModes": ["Persistent"],
            })
        );
    }
}
