//! Validation of the `volumes` list: names, exactly one source each, claims made for the Pod.
//!
//! Counterpart: `ValidateVolumes`, `validateVolumeSource`. The sources themselves are in [`super::volume_sources`].

use super::validate::Subject;
use super::volume_sources::{SOURCES, Source};
use crate::strategies::access::{has, str_at};
use crate::strategies::rules::{Errors, dns_label};
use rehearsal_apimachinery::field::go_quote;
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;
use std::collections::BTreeMap;

/// Validates the list and returns the valid volumes by name.
pub(super) fn volumes<'a>(
    volumes: &'a [Value],
    subject: Subject<'_>,
    path: &Path,
    errors: &mut Errors,
) -> BTreeMap<&'a str, &'a Value> {
    let mut valid: BTreeMap<&str, &Value> = BTreeMap::new();
    for (i, volume) in volumes.iter().enumerate() {
        let (path, name) = (path.index(i), str_at(volume, "name"));
        let mut own = Errors::new();
        source(volume, subject, &path, &mut own);
        if name.is_empty() {
            own.push(FieldError::required(path.child("name"), ""));
        } else {
            dns_label(name, &path.child("name"), &mut own);
        }
        if valid.contains_key(name) {
            own.push(FieldError::duplicate(path.child("name"), name));
        }
        if own.is_empty() {
            valid.insert(name, volume);
        }
        errors.append(&mut own);
        not_a_made_claim(volume, volumes, subject, &path, errors);
    }
    valid
}

fn source(volume: &Value, subject: Subject<'_>, path: &Path, errors: &mut Errors) {
    let mut count = 0;
    for Source { name, error_name, refused_name, rule } in SOURCES {
        if !has(volume, name) {
            continue;
        }
        if count > 0 {
            errors.push(FieldError::forbidden(path.child(refused_name), "may not specify more than 1 volume type"));
            continue;
        }
        count += 1;
        rule(&volume[name], &path.child(error_name), errors);
        if name == "ephemeral" {
            made_claim_name(volume, subject, path, errors);
        }
    }
    let iscsi = &volume["iscsi"];
    if has(iscsi, "initiatorName") && str_at(volume, "name").len() + 1 + str_at(iscsi, "targetPortal").len() > 64 {
        let text = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
        errors.push(FieldError::invalid(path.child("name"), str_at(volume, "name"), text));
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
}

/// The claim made for an ephemeral volume is named after Pod and volume.
fn made_claim_name(volume: &Value, subject: Subject<'_>, path: &Path, errors: &mut Errors) {
    let name = str_at(volume, "name");
    let Subject::Pod(pod) = subject else { return };
    if pod.is_empty() || name.is_empty() {
        return;
    }
    let claim = format!("{pod}-{name}");
    for text in words::is_dns1123_subdomain(&claim) {
        let text = format!("PVC name {}: {text}", go_quote(&claim));
        errors.push(FieldError::invalid(path.child("name"), name, text));
    }
}

/// A volume may not name the claim that another, ephemeral one makes.
fn not_a_made_claim(volume: &Value, all: &[Value], subject: Subject<'_>, path: &Path, errors: &mut Errors) {
    let Subject::Pod(pod) = subject else { return };
    let claim = str_at(&volume["persistentVolumeClaim"], "claimName");
    let made = |other: &Value| has(other, "ephemeral") && format!("{pod}-{}", str_at(other, "name")) == claim;
    if !pod.is_empty() && has(volume, "persistentVolumeClaim") && all.iter().any(made) {
        let text = "must not reference a PVC that gets created for an ephemeral volume";
        errors.push(FieldError::invalid(path.child("persistentVolumeClaim").child("claimName"), claim, text));
    }
}
