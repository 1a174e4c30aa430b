//! Validation of every volume source, as one table in the server's order, and the path and mode rules they share.
//!
//! Counterpart: the `validate…VolumeSource` functions, with the odd field names that some of them report.

use super::env::downward_api_file;
use super::projected::projected;
use crate::strategies::access::{bool_at, has, int_at, is_empty_at, list_at, str_at};
use crate::strategies::claim_spec::claim_spec;
use crate::strategies::rules::{Errors, annotations, complaints, labels, one_of, required_at};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;

type Rule = fn(&Value, &Path, &mut Errors);

/// One volume source.
pub(super) struct Source {
    /// JSON name.
    pub(super) name: &'static str,
    /// Name in the paths of its own errors.
    pub(super) error_name: &'static str,
    /// Name in the path of the refusal of a second source.
    pub(super) refused_name: &'static str,
    /// Its rules.
    pub(super) rule: Rule,
}

const fn source(name: &'static str, rule: Rule) -> Source {
    Source { name, error_name: name, refused_name: name, rule }
}

/// All sources in the order in which the server looks for them.
pub(super) const SOURCES: [Source; 30] = [
    source("emptyDir", empty_dir),
    source("hostPath", host_path),
    source("gitRepo", git_repo),
    Source { error_name: "persistentDisk", ..source("gcePersistentDisk", gce_disk) },
    source("awsElasticBlockStore", aws_disk),
    source("secret", secret),
    source("nfs", nfs),
    source("iscsi", iscsi),
    source("glusterfs", glusterfs),
    source("flocker", flocker),
    source("persistentVolumeClaim", claim),
    source("rbd", rbd),
    source("cinder", cinder),
    Source { refused_name: "cephFS", ..source("cephfs", cephfs) },
    source("quobyte", quobyte),
    Source { refused_name: "downwarAPI", ..source("downwardAPI", downward_api) },
    source("fc", fibre_channel),
    source("flexVolume", flex_volume),
    source("configMap", config_map),
    source("azureFile", azure_file),
    source("vsphereVolume", vsphere),
    source("photonPersistentDisk", photon),
    source("portworxVolume", portworx),
    source("azureDisk", azure_disk),
    source("storageos", storageos),
    source("projected", projected),
    source("scaleIO", scale_io),
    source("csi", csi),
    source("ephemeral", ephemeral),
    source("image", image),
];

/// A relative path without `..` elements.
pub(super) fn descending_path(target: &str, path: &Path, errors: &mut Errors) {
    if target.starts_with('/') {
        errors.push(FieldError::invalid(path, target, "must be a relative path"));
    }
    no_backsteps(target, path, errors);
}

/// A descending path that does not start with `..` either.
pub(super) fn local_path(target: &str, path: &Path, errors: &mut Errors) {
    descending_path(target, path, errors);
    if target.starts_with("..") && !target.starts_with("../") {
        errors.push(FieldError::invalid(path, target, "must not start with '..'"));
    }
}

/// Whether a path has a `..` element.
pub(super) fn goes_up(target: &str) -> bool {
    target.split('/').any(|part| part == "..")
}

fn no_backsteps(target: &str, path: &Path, errors: &mut Errors) {
    if goes_up(target) {
        errors.push(FieldError::invalid(path, target, "must not contain '..'"));
    }
}

/// An optional file mode member.
pub(super) fn mode(object: &Value, name: &str, path: &Path, errors: &mut Errors) {
    if let Some(mode) = int_at(object, name).filter(|mode| !(0..=0o777).contains(mode)) {
        let text = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(FieldError::invalid(path.child(name), mode, text));
    }
}

/// Members that may not be empty.
pub(super) fn required(source: &Value, names: &[&str], path: &Path, errors: &mut Errors) {
    for name in names {
        if is_empty_at(source, name) {
            errors.push(FieldError::required(path.child(name), ""));
        }
    }
}

fn empty_dir(source: &Value, path: &Path, errors: &mut Errors) {
    if str_at(source, "sizeLimit").starts_with('-') {
        let text = "SizeLimit field must be a valid resource quantity";
        errors.push(FieldError::forbidden(path.child("sizeLimit"), text));
    }
}

fn host_path(source: &Value, path: &Path, errors: &mut Errors) {
    if !required_at(source, "path", path, errors) {
        return;
    }
    no_backsteps(str_at(source, "path"), &path.child("path"), errors);
    let types = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    one_of(str_at(source, "type"), &types, &path.child("type"), errors);
}

fn git_repo(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["repository"], path, errors);
    descending_path(str_at(source, "directory"), &path.child("directory"), errors);
}

fn partition(source: &Value, path: &Path, errors: &mut Errors) {
    let partition = int_at(source, "partition").unwrap_or_default();
    if !(0..=255).contains(&partition) {
        let text = "must be between 0 and 255, inclusive";
        errors.push(FieldError::invalid(path.child("partition"), partition, text));
    }
}

fn gce_disk(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["pdName"], path, errors);
    partition(source, path, errors);
}

fn aws_disk(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["volumeID"], path, errors);
    partition(source, path, errors);
}

fn secret(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["secretName"], path, errors);
    items(source, path, errors);
}

fn config_map(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["name"], path, errors);
    items(source, path, errors);
}

fn items(source: &Value, path: &Path, errors: &mut Errors) {
    mode(source, "defaultMode", path, errors);
    for (i, item) in list_at(source, "items").iter().enumerate() {
        key_to_path(item, &path.child("items").index(i), errors);
    }
}

/// An item of a ConfigMap or Secret and the file it becomes.
pub(super) fn key_to_path(item: &Value, path: &Path, errors: &mut Errors) {
    required(item, &["key", "path"], path, errors);
    local_path(str_at(item, "path"), &path.child("path"), errors);
    mode(item, "mode", path, errors);
}

fn nfs(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["server", "path"], path, errors);
    let target = str_at(source, "path");
    if !target.starts_with('/') {
        errors.push(FieldError::invalid(path.child("path"), target, "must be an absolute path"));
    }
}

fn iscsi(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["targetPortal"], path, errors);
    if required_at(source, "iqn", path, errors) {
        initiator(str_at(source, "iqn"), &path.child("iqn"), errors);
    }
    lun(source, path, errors);
    if (bool_at(source, "chapAuthDiscovery") || bool_at(source, "chapAuthSession")) && !has(source, "secretRef") {
        errors.push(FieldError::required(path.child("secretRef"), ""));
    }
    if let Some(name) = source["initiatorName"].as_str() {
        initiator(name, &path.child("initiatorname"), errors);
    }
}

fn initiator(name: &str, path: &Path, errors: &mut Errors) {
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    let fine = match (name.get(..3), name.get(4..)) {
        (Some("iqn"), rest) => rest.is_some_and(iqn_is_valid),
        (Some("eui"), rest) => rest.is_some_and(|r| r.len() == 16 && hex(r)),
        (Some("naa"), rest) => rest.is_some_and(|r| r.len() == 32 && hex(r)),
        _ => {
            let text = "must be valid format starting with iqn, eui, or naa";
            errors.push(FieldError::invalid(path, name, text));
            return;
        }
    };
    if !fine || name.as_bytes().get(3) != Some(&b'.') {
        errors.push(FieldError::invalid(path, name, "must be valid format"));
    }
}

/// `YYYY-MM.reversed.domain[:name]`, what follows `iqn.`.
fn iqn_is_valid(rest: &str) -> bool {
    let (date, tail) = rest.split_once('.').unwrap_or((rest, ""));
    let (domain, name) = tail.split_once(':').map_or((tail, "x"), |(domain, name)| (domain, name));
    let dated =
        date.len() == 7 && date.bytes().enumerate().all(|(i, b)| if i == 4 { b == b'-' } else { b.is_ascii_digit() });
    let label =
        |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    dated && label(domain) && !name.is_empty()
}

fn lun(source: &Value, path: &Path, errors: &mut Errors) {
    let lun = int_at(source, "lun").unwrap_or_default();
    complaints(words::is_in_range(lun, 0, 255), &lun.into(), &path.child("lun"), errors);
}

fn glusterfs(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["endpoints", "path"], path, errors);
}

fn flocker(source: &Value, path: &Path, errors: &mut Errors) {
    let (name, uuid) = (str_at(source, "datasetName"), str_at(source, "datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        errors.push(FieldError::required(path, "one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !uuid.is_empty() {
        let text = "datasetName and datasetUUID can not be specified simultaneously";
        errors.push(FieldError::invalid(path, "resource", text));
    }
    if name.contains('/') {
        errors.push(FieldError::invalid(path.child("datasetName"), name, "must not contain '/'"));
    }
}

fn claim(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["claimName"], path, errors);
}

fn rbd(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["monitors", "image"], path, errors);
}

fn cinder(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["volumeID"], path, errors);
    if has(source, "secretRef") {
        required(&source["secretRef"], &["name"], &path.child("secretRef"), errors);
    }
}

fn cephfs(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["monitors"], path, errors);
}

fn quobyte(source: &Value, path: &Path, errors: &mut Errors) {
    let (registry, text) =
        (str_at(source, "registry"), "must be a host:port pair or multiple pairs separated by commas");
    if registry.is_empty() {
        errors.push(FieldError::required(path.child("registry"), text));
    } else if str_at(source, "tenant").len() >= 65 {
        let text = "must be a UUID and may not exceed a length of 64 characters";
        errors.push(FieldError::required(path.child("tenant"), text));
    } else {
        for _ in registry.split(',').filter(|pair| pair.rsplit_once(':').is_none_or(|(host, _)| host.contains(':'))) {
            errors.push(FieldError::invalid(path.child("registry"), registry, text));
        }
    }
    required(source, &["volume"], path, errors);
}

fn downward_api(source: &Value, path: &Path, errors: &mut Errors) {
    mode(source, "defaultMode", path, errors);
    for file in list_at(source, "items") {
        downward_api_file(file, path, errors);
    }
}

fn fibre_channel(source: &Value, path: &Path, errors: &mut Errors) {
    let (names, ids) = (!list_at(source, "targetWWNs").is_empty(), !list_at(source, "wwids").is_empty());
    if !names && !ids {
        let text = "must specify either targetWWNs or wwids, but not both";
        errors.push(FieldError::required(path.child("targetWWNs"), text));
    }
    if names && ids {
        let text = "targetWWNs and wwids can not be specified simultaneously";
        errors.push(FieldError::invalid(path.child("targetWWNs"), source["targetWWNs"].clone(), text));
    }
    if names && !has(source, "lun") {
        errors.push(FieldError::required(path.child("lun"), "lun is required if targetWWNs is specified"));
    } else if names {
        lun(source, path, errors);
    }
}

fn flex_volume(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["driver"], path, errors);
    for key in source["options"].as_object().into_iter().flatten().map(|(key, _)| key) {
        let domain = format!(".{}", key.split('/').next().unwrap_or_default().to_lowercase());
        let plain = !key.contains('/');
        let domain = if plain { format!(".{}", key.to_lowercase()) } else { domain };
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let text = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(FieldError::invalid(path.child("options").key(key), key.as_str(), text));
        }
    }
}

fn azure_file(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["secretName", "shareName"], path, errors);
}

fn vsphere(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["volumePath"], path, errors);
}

fn photon(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["pdID"], path, errors);
}

fn portworx(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["volumeID"], path, errors);
}

fn azure_disk(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["diskName"], path, errors);
    if is_empty_at(source, "diskURI") {
        errors.push(FieldError::required(path.child("diskURI"), ""));
    }
    let caching = str_at(source, "cachingMode");
    if !["None", "ReadOnly", "ReadWrite", ""].contains(&caching) {
        let known = ["None", "ReadOnly", "ReadWrite"];
        errors.push(FieldError::not_supported(path.child("cachingMode"), caching, &known));
    }
    let kind = str_at(source, "kind");
    if !["Dedicated", "Managed", "Shared", ""].contains(&kind) {
        errors.push(FieldError::not_supported(path.child("kind"), kind, &["Dedicated", "Managed", "Shared"]));
    }
    let (uri, managed) = (str_at(source, "diskURI"), kind == "Managed");
    if managed && !uri.starts_with("/subscriptions/") {
        errors.push(FieldError::not_supported(
            path.child("diskURI"),
            uri,
            &["/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"],
        ));
    }
    if !managed && !kind.is_empty() && !uri.starts_with("https://") {
        errors.push(FieldError::not_supported(
            path.child("diskURI"),
            uri,
            &["https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"],
        ));
    }
}

fn storageos(source: &Value, path: &Path, errors: &mut Errors) {
    for name in ["volumeName", "volumeNamespace"] {
        let value = str_at(source, name);
        if name == "volumeName" && value.is_empty() {
            errors.push(FieldError::required(path.child(name), ""));
        } else if !value.is_empty() {
            complaints(words::is_dns1123_label(value), &value.into(), &path.child(name), errors);
        }
    }
    if has(source, "secretRef") {
        required(&source["secretRef"], &["name"], &path.child("secretRef"), errors);
    }
}

fn scale_io(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["gateway", "system", "volumeName"], path, errors);
}

fn csi(source: &Value, path: &Path, errors: &mut Errors) {
    let (driver, path_driver) = (str_at(source, "driver"), path.child("driver"));
    if driver.is_empty() {
        errors.push(FieldError::required(&path_driver, ""));
    }
    if driver.len() > 63 {
        errors.push(FieldError::too_long(&path_driver, 63));
    }
    let name = driver.to_lowercase();
    complaints(words::is_dns1123_subdomain(&name), &driver.into(), &path_driver, errors);
    let reference = &source["nodePublishSecretRef"];
    if !reference.is_null() {
        let (path, name) = (path.child("nodePublishSecretRef").child("name"), str_at(reference, "name"));
        if name.is_empty() {
            errors.push(FieldError::required(&path, ""));
        } else {
            complaints(words::is_dns1123_subdomain(name), &name.into(), &path, errors);
        }
    }
}

fn ephemeral(source: &Value, path: &Path, errors: &mut Errors) {
    let (template, path) = (&source["volumeClaimTemplate"], path.child("volumeClaimTemplate"));
    if template.is_null() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    labels(&template["metadata"]["labels"], &path.child("metadata").child("labels"), errors);
    annotations(&template["metadata"]["annotations"], &path.child("metadata").child("annotations"), errors);
    for name in template["metadata"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()) {
        if !matches!(name, "labels" | "annotations" | "creationTimestamp") {
            let text = "cannot be set for an Ephemeral Volume";
            errors.push(FieldError::forbidden(path.child("metadata").child(name), text));
        }
    }
    claim_spec(&template["spec"], &path.child("spec"), errors);
}

fn image(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, &["reference"], path, errors);
    if has(source, "pullPolicy") {
        let known = ["Always", "IfNotPresent", "Never"];
        one_of(str_at(source, "pullPolicy"), &known, &path.child("pullPolicy"), errors);
    }
}
