//! Validation of projected volumes: several sources in one directory.
//!
//! Counterpart: `validateProjectedVolumeSource`, `validateProjectionSources`.

use super::env::downward_api_file;
use super::volume_sources::{key_to_path, local_path, mode, required};
use crate::strategies::access::{has, int_at, list_at, str_at};
use crate::strategies::rules::{Errors, invalid_struct, label_selector, one_of};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;
use std::collections::BTreeSet;

/// A projected volume.
pub(super) fn projected(source: &Value, path: &Path, errors: &mut Errors) {
    mode(source, "defaultMode", path, errors);
    let mut paths = BTreeSet::new();
    for (i, projection) in list_at(source, "sources").iter().enumerate() {
        let item = path.child("sources").index(i);
        let mut count = 0;
        for (name, rule) in PROJECTIONS {
            if has(projection, name) {
                count += 1;
                rule(&projection[name], &item.child(name), path, &mut paths, errors);
            }
        }
        if count > 1 {
            let text = "may not specify more than 1 volume type per source";
            errors.push(FieldError::forbidden(item, text));
        }
    }
}

type Projection = for<'a> fn(&'a Value, &Path, &Path, &mut BTreeSet<&'a str>, &mut Errors);

const PROJECTIONS: [(&str, Projection); 6] = [
    ("secret", projected_keys),
    ("configMap", projected_keys),
    ("downwardAPI", projected_fields),
    ("serviceAccountToken", projected_token),
    ("clusterTrustBundle", projected_bundle),
    ("podCertificate", projected_certificate),
];

/// Remembers a path within a projected volume; the same path twice is reported at the volume with `value`.
fn unique<'a>(file: &'a str, value: &str, volume: &Path, paths: &mut BTreeSet<&'a str>, errors: &mut Errors) {
    if !file.is_empty() && !paths.insert(file) {
        errors.push(FieldError::invalid(volume, value, "conflicting duplicate paths"));
    }
}

fn projected_keys<'a>(
    source: &'a Value,
    path: &Path,
    volume: &Path,
    paths: &mut BTreeSet<&'a str>,
    errors: &mut Errors,
) {
    let name = str_at(source, "name");
    required(source, &["name"], path, errors);
    for (i, item) in list_at(source, "items").iter().enumerate() {
        key_to_path(item, &path.child("items").index(i), errors);
        unique(str_at(item, "path"), name, volume, paths, errors);
    }
}

fn projected_fields<'a>(
    source: &'a Value,
    path: &Path,
    volume: &Path,
    paths: &mut BTreeSet<&'a str>,
    errors: &mut Errors,
) {
    for file in list_at(source, "items") {
        downward_api_file(file, path, errors);
        unique(str_at(file, "path"), str_at(file, "path"), volume, paths, errors);
    }
}

fn projected_token<'a>(source: &'a Value, path: &Path, volume: &Path, _: &mut BTreeSet<&'a str>, errors: &mut Errors) {
    if let Some(seconds) = int_at(source, "expirationSeconds") {
        let path = path.child("expirationSeconds");
        if seconds < 600 {
            errors.push(FieldError::invalid(path, seconds, "may not specify a duration less than 10 minutes"));
        } else if seconds > 1 << 32 {
            let text = "may not specify a duration larger than 2^32 seconds";
            errors.push(FieldError::invalid(path, seconds, text));
        }
    }
    // The server reports the path at the volume, not at the source.
    let file = str_at(source, "path");
    if file.is_empty() {
        errors.push(FieldError::required(volume.child("path"), ""));
    } else {
        local_path(file, &volume.child("path"), errors);
    }
}

fn projected_bundle<'a>(
    source: &'a Value,
    path: &Path,
    volume: &Path,
    paths: &mut BTreeSet<&'a str>,
    errors: &mut Errors,
) {
    match (source["name"].as_str(), source["signerName"].as_str()) {
        (Some(_), Some(_)) => {
            let text = "only one of name and signerName may be used";
            errors.push(invalid_struct(path, "core.v1.ClusterTrustBundleProjection", source, text));
        }
        (Some(name), None) => {
            if name.is_empty() {
                errors.push(FieldError::required(path.child("name"), "must be a valid object name"));
            }
            for text in words::is_dns1123_subdomain(name.rsplit(':').next().unwrap_or_default()) {
                let text = format!("not a valid clustertrustbundlename: {text}");
                errors.push(FieldError::invalid(path.child("name"), name, text));
            }
            if has(source, "labelSelector") {
                let text = "labelSelector must be unset if name is specified";
                errors.push(FieldError::invalid(path.child("labelSelector"), source["labelSelector"].clone(), text));
            }
        }
        (None, Some(signer)) => {
            if signer.is_empty() {
                errors.push(FieldError::required(path.child("signerName"), "must be a valid signer name"));
            }
            signer_name(signer, &path.child("signerName"), errors);
            label_selector(&source["labelSelector"], &path.child("labelSelector"), errors);
        }
        (None, None) => errors.push(FieldError::required(path, "either name or signerName must be specified")),
    }
    required(source, &["path"], path, errors);
    let file = str_at(source, "path");
    local_path(file, &path.child("path"), errors);
    if !paths.insert(file) {
        errors.push(FieldError::invalid(volume, file, "conflicting duplicate paths"));
    }
}

/// `domain/path`: what names a signer.
fn signer_name(name: &str, path: &Path, errors: &mut Errors) {
    let Some((domain, rest)) = name.split_once('/') else {
        let text = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid(path, name, text));
        return;
    };
    for text in words::is_dns1123_subdomain(domain) {
        errors.push(FieldError::invalid(path, domain, format!("validating label \"{domain}\": {text}")));
    }
    if rest.is_empty() || rest.contains('/') {
        let text = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid(path, name, text));
    }
}

fn projected_certificate<'a>(
    source: &'a Value,
    path: &Path,
    volume: &Path,
    paths: &mut BTreeSet<&'a str>,
    errors: &mut Errors,
) {
    signer_name(str_at(source, "signerName"), &path.child("signerName"), errors);
    let types = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];
    one_of(str_at(source, "keyType"), &types, &path.child("keyType"), errors);
    let mut files = 0;
    for name in ["credentialBundlePath", "keyPath", "certificateChainPath"] {
        let file = str_at(source, name);
        if !file.is_empty() {
            files += 1;
            local_path(file, &path.child(name), errors);
            unique(file, file, volume, paths, errors);
        }
    }
    if files == 0 {
        let text = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        errors.push(FieldError::required(path, text));
    }
}
