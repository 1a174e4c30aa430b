//! Validation of volume mounts and volume devices of a container.
//!
//! Counterpart: `ValidateVolumeMounts`, `ValidateVolumeDevices`. Some paths lack the index, as the server's do.

use super::validate::Surroundings;
use super::volume_sources::{descending_path, goes_up};
use crate::strategies::access::{bool_at, has, list_at, str_at};
use crate::strategies::rules::{Errors, one_of};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;
use std::collections::BTreeSet;

/// The `volumeMounts` list of `container`.
pub(super) fn volume_mounts(container: &Value, around: &Surroundings<'_>, path: &Path, errors: &mut Errors) {
    let devices = list_at(container, "volumeDevices");
    let mut paths = BTreeSet::new();
    for (i, mount) in list_at(container, "volumeMounts").iter().enumerate() {
        let item = path.index(i);
        let (name, mount_path) = (str_at(mount, "name"), str_at(mount, "mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(item.child("name"), ""));
        }
        let volume = around.volumes.get(name);
        if volume.is_none() {
            errors.push(FieldError::not_found(item.child("name"), name));
        }
        if mount_path.is_empty() {
            errors.push(FieldError::required(item.child("mountPath"), ""));
        }
        if !paths.insert(mount_path) {
            errors.push(FieldError::invalid(item.child("mountPath"), mount_path, "must be unique"));
        }
        if devices.iter().any(|device| str_at(device, "name") == name) {
            let text = "must not already exist in volumeDevices";
            errors.push(FieldError::invalid(item.child("name"), name, text));
        }
        if devices.iter().any(|device| str_at(device, "devicePath") == mount_path) {
            let text = "must not already exist as a path in volumeDevices";
            errors.push(FieldError::invalid(item.child("mountPath"), mount_path, text));
        }
        sub_paths(mount, path, &item, errors);
        propagation(mount, container, path, errors);
        recursive_read_only(mount, &path.child("recursiveReadOnly"), errors);
    }
}

fn sub_paths(mount: &Value, list: &Path, item: &Path, errors: &mut Errors) {
    let (plain, expression) = (str_at(mount, "subPath"), str_at(mount, "subPathExpr"));
    if !plain.is_empty() {
        descending_path(plain, &list.child("subPath"), errors);
    }
    if !expression.is_empty() {
        if !plain.is_empty() {
            let text = "subPathExpr and subPath are mutually exclusive";
            errors.push(FieldError::invalid(item.child("subPathExpr"), expression, text));
        }
        descending_path(expression, &list.child("subPathExpr"), errors);
    }
}

fn propagation(mount: &Value, container: &Value, list: &Path, errors: &mut Errors) {
    if !has(mount, "mountPropagation") {
        return;
    }
    let (mode, path) = (str_at(mount, "mountPropagation"), list.child("mountPropagation"));
    one_of(mode, &["Bidirectional", "HostToContainer", "None"], &path, errors);
    if mode == "Bidirectional" && !bool_at(&container["securityContext"], "privileged") {
        let text = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(FieldError::forbidden(path, text));
    }
}

fn recursive_read_only(mount: &Value, path: &Path, errors: &mut Errors) {
    match mount["recursiveReadOnly"].as_str() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if !bool_at(mount, "readOnly") {
                errors.push(FieldError::forbidden(path, "may only be specified when readOnly is true"));
            }
            if has(mount, "mountPropagation") && mount["mountPropagation"] != "None" {
                let text = "may only be specified when mountPropagation is None or not specified";
                errors.push(FieldError::forbidden(path, text));
            }
        }
        Some(other) => {
            errors.push(FieldError::not_supported(path, other, &["Disabled", "Enabled", "IfPossible"]));
        }
    }
}

/// The `volumeDevices` list of `container`.
pub(super) fn volume_devices(container: &Value, around: &Surroundings<'_>, path: &Path, errors: &mut Errors) {
    let mounts = list_at(container, "volumeMounts");
    let (mut paths, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (i, device) in list_at(container, "volumeDevices").iter().enumerate() {
        let item = path.index(i);
        let (name, device_path) = (str_at(device, "name"), str_at(device, "devicePath"));
        if name.is_empty() {
            errors.push(FieldError::required(item.child("name"), ""));
        }
        if !name.is_empty() && !names.insert(name) {
            errors.push(FieldError::invalid(item.child("name"), name, "must be unique"));
        }
        match around.volumes.get(name) {
            Some(volume) if !has(volume, "persistentVolumeClaim") && !has(volume, "ephemeral") => {
                let text = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(FieldError::invalid(item.child("name"), name, text));
            }
            Some(_) => {}
            None => errors.push(FieldError::not_found(item.child("name"), name)),
        }
        if device_path.is_empty() {
            errors.push(FieldError::required(item.child("devicePath"), ""));
        }
        if paths.contains(device_path) {
            errors.push(FieldError::invalid(item.child("devicePath"), device_path, "must be unique"));
        }
        if goes_up(device_path) {
            let text = "can not contain backsteps ('..')";
            errors.push(FieldError::invalid(item.child("devicePath"), device_path, text));
        } else {
            paths.insert(device_path);
        }
        if mounts.iter().any(|mount| str_at(mount, "name") == name) {
            let text = "must not already exist in volumeMounts";
            errors.push(FieldError::invalid(item.child("name"), name, text));
        }
        if mounts.iter().any(|mount| str_at(mount, "mountPath") == device_path) {
            let text = "must not already exist as a path in volumeMounts";
            errors.push(FieldError::invalid(item.child("devicePath"), device_path, text));
        }
    }
}
