//! Validation of the annotations that mean something to a Pod: mirror, deletion cost, seccomp, AppArmor.
//!
//! Counterpart: `ValidatePodSpecificAnnotations`, `ValidatePodSpecificAnnotationUpdates`,
//! `validateSeccompAnnotationsAndFields`, `validateAppArmorAnnotationsAndFieldsMatchOnCreate`.

use super::containers;
use super::volume_sources::descending_path;
use crate::strategies::access::str_at;
use crate::strategies::rules::Errors;
use rehearsal_apimachinery::field::{FieldError, Path, go_quote};
use serde_json::Value;

/// Marks the Pod that stands for a static one.
pub(crate) const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
pub(super) const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
pub(super) const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
pub(super) const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Validates the special annotations of a Pod or a template.
pub(crate) fn pod_annotations(annotations: &Value, spec: &Value, path: &Path, errors: &mut Errors) {
    if let Some(mirror) = annotations[MIRROR].as_str().filter(|_| str_at(spec, "nodeName").is_empty()) {
        let text = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(FieldError::invalid(path.key(MIRROR), mirror, text));
    }
    if let Some(cost) = annotations[DELETION_COST].as_str().filter(|cost| !is_cost(cost)) {
        errors.push(FieldError::invalid(path.key(DELETION_COST), cost, "must be a 32bit integer"));
    }
    let entries = || annotations.as_object().into_iter().flatten().map(|(k, v)| (k, v.as_str().unwrap_or_default()));
    for (key, profile) in entries() {
        if key == SECCOMP_POD || key.starts_with(SECCOMP_CONTAINER) {
            seccomp_profile(profile, &path.child(key), errors);
        }
    }
    for (key, profile) in entries() {
        let Some(name) = key.strip_prefix(APP_ARMOR) else { continue };
        if !containers(spec, &Path::root()).any(|(container, _)| str_at(container, "name") == name) {
            errors.push(FieldError::invalid(path.key(key), name, "container not found"));
        }
        let known = matches!(profile, "" | "runtime/default" | "unconfined") || profile.starts_with("localhost/");
        if !known {
            let text = format!("invalid AppArmor profile name: {}", go_quote(profile));
            errors.push(FieldError::invalid(path.key(key), profile, text));
        }
    }
}

/// A 32-bit integer without sign `+` or leading zeros.
fn is_cost(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits == "0" && text == "0" || !digits.starts_with('0');
    text.is_empty() || plain && !text.starts_with('+') && text.parse::<i32>().is_ok()
}

fn seccomp_profile(profile: &str, path: &Path, errors: &mut Errors) {
    match profile.strip_prefix("localhost/") {
        Some(file) => descending_path(file, path, errors),
        None if matches!(profile, "runtime/default" | "docker/default" | "unconfined") => {}
        None => errors.push(FieldError::invalid(path, profile, "must be a valid seccomp profile")),
    }
}

/// What an update may do to the special annotations.
pub(crate) fn pod_annotation_updates(pod: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    let (new, old) = (&pod["metadata"]["annotations"], &old["metadata"]["annotations"]);
    let entries = |map: &'_ Value| map.as_object().cloned().unwrap_or_default();
    for (key, profile) in entries(new) {
        if key.starts_with(APP_ARMOR) && old[key.as_str()] != profile {
            let text = "may not add AppArmor annotations";
            if old.get(&key).is_none() {
                errors.push(FieldError::forbidden(path.key(&key), text));
            } else {
                errors.push(FieldError::forbidden(path.key(&key), "may not remove or update AppArmor annotations"));
            }
        }
    }
    for (key, _) in entries(old) {
        if key.starts_with(APP_ARMOR) && new.get(&key).is_none() {
            errors.push(FieldError::forbidden(path.key(&key), "may not remove or update AppArmor annotations"));
        }
    }
    if new[MIRROR] != old[MIRROR] {
        let text = match (new[MIRROR].is_null(), old[MIRROR].is_null()) {
            (true, _) => "may not remove mirror pod annotation",
            (_, true) => "may not add mirror pod annotation",
            _ => "may not update mirror pod annotation",
        };
        errors.push(FieldError::forbidden(path.key(MIRROR), text));
    }
}

/// Where seccomp is given as annotation and as field, both must say the same.
pub(super) fn seccomp_annotations_match(meta: &Value, spec: &Value, path: &Path, errors: &mut Errors) {
    let holders = std::iter::once((spec, path.clone(), SECCOMP_POD.to_owned()))
        .chain(containers(spec, path).map(|(c, path)| (c, path, format!("{SECCOMP_CONTAINER}{}", str_at(c, "name")))));
    for (holder, path, key) in holders {
        let profile = &holder["securityContext"]["seccompProfile"];
        if let Some(annotation) = meta["annotations"][key.as_str()].as_str().filter(|_| !profile.is_null()) {
            let path = path.child("securityContext").child("seccompProfile");
            profiles_match(annotation, profile, "seccomp", &path, errors);
        }
    }
}

/// Where AppArmor is given as annotation and as field, both must say the same (new Pods only).
pub(crate) fn app_armor_annotations_match(pod: &Value, errors: &mut Errors) {
    let spec = &pod["spec"];
    if str_at(&spec["os"], "name") == "windows" {
        return;
    }
    for (container, path) in containers(spec, &Path::new("spec")) {
        let own = &container["securityContext"]["appArmorProfile"];
        let profile = if own.is_null() { &spec["securityContext"]["appArmorProfile"] } else { own };
        let key = format!("{APP_ARMOR}{}", str_at(container, "name"));
        if let Some(annotation) = pod["metadata"]["annotations"][key.as_str()].as_str().filter(|_| !profile.is_null()) {
            let path = path.child("securityContext").child("appArmorProfile");
            profiles_match(annotation, profile, "apparmor", &path, errors);
        }
    }
}

/// [`seccomp_annotations_match`] for a Pod.
pub(crate) fn pod_seccomp_annotations_match(pod: &Value, errors: &mut Errors) {
    seccomp_annotations_match(&pod["metadata"], &pod["spec"], &Path::new("spec"), errors);
}

fn profiles_match(annotation: &str, profile: &Value, what: &str, path: &Path, errors: &mut Errors) {
    let wrong_type = match str_at(profile, "type") {
        "Unconfined" => annotation != "unconfined",
        "RuntimeDefault" => annotation != "runtime/default" && (what != "seccomp" || annotation != "docker/default"),
        "Localhost" => !annotation.starts_with("localhost/"),
        _ => return,
    };
    if wrong_type {
        let text = format!("{what} type in annotation and field must match");
        errors.push(FieldError::forbidden(path.child("type"), text));
    } else if let Some(file) = annotation.strip_prefix("localhost/")
        && profile["localhostProfile"] != file
    {
        let text = format!("{what} profile in annotation and field must match");
        errors.push(FieldError::forbidden(path.child("localhostProfile"), text));
    }
}
