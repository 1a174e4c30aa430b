//! The kinds of `resource.k8s.io`, as far as a cluster without a scheduler needs them: immutability and basic shape.
//!
//! Counterpart: `registry/resource` and `apis/resource/validation`. Selectors in CEL are not compiled here.

use super::access::{copy, has, list_at, set, spec, str_at};
use super::checks::{IMMUTABLE, dns_label, dns_subdomain};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const MAX_REQUESTS: usize = 32;

/// Hooks of DeviceClass.
#[derive(Clone, Copy, Debug)]
pub struct DeviceClassStrategy;

impl Strategy for DeviceClassStrategy {}

/// Hooks of ResourceClaim.
#[derive(Clone, Copy, Debug)]
pub struct ResourceClaimStrategy;

impl Strategy for ResourceClaimStrategy {
    fn default(&self, object: &mut Value) {
        default_requests(&mut object["spec"]);
    }

    fn prepare_create(&self, _cx: &WriteContext<'_>, object: &mut Value) {
        set(object, "status", json!({}));
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        copy(old, object, if cx.subresource == "status" { "spec" } else { "status" });
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        claim(&Path::new("spec"), spec(object))
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = fixed_spec(object, old);
        errors.extend(claim(&Path::new("spec"), spec(object)));
        errors
    }
}

/// Hooks of ResourceClaimTemplate.
#[derive(Clone, Copy, Debug)]
pub struct ResourceClaimTemplateStrategy;

impl Strategy for ResourceClaimTemplateStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(inner) = super::access::path_mut(object, &["spec", "spec"]) {
            default_requests(inner);
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        claim(&Path::new("spec").child("spec"), &spec(object)["spec"])
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = fixed_spec(object, old);
        errors.extend(claim(&Path::new("spec").child("spec"), &spec(object)["spec"]));
        errors
    }
}

/// Hooks of ResourceSlice.
#[derive(Clone, Copy, Debug)]
pub struct ResourceSliceStrategy;

impl Strategy for ResourceSliceStrategy {
    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        slice(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = slice(object);
        for name in ["driver", "nodeName"] {
            if spec(object)[name] != spec(old)[name] {
                let path = Path::new("spec").child(name);
                errors.push(FieldError::invalid(path, spec(object)[name].clone(), IMMUTABLE));
            }
        }
        errors
    }

    fn selectable_fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        let spec = spec(object);
        vec![("spec.nodeName", str_at(spec, "nodeName").into()), ("spec.driver", str_at(spec, "driver").into())]
    }
}

fn default_requests(spec: &mut Value) {
    let Some(requests) = spec.get_mut("devices").and_then(|d| d.get_mut("requests")).and_then(Value::as_array_mut)
    else {
        return;
    };
    for request in requests {
        let exactly = request.get_mut("exactly").filter(|e| e.is_object());
        let Some(exactly) = exactly else { continue };
        if str_at(exactly, "allocationMode").is_empty() {
            set(exactly, "allocationMode", "ExactCount");
        }
        if str_at(exactly, "allocationMode") == "ExactCount" && !has(exactly, "count") {
            set(exactly, "count", 1);
        }
    }
}

fn fixed_spec(object: &Value, old: &Value) -> Vec<FieldError> {
    if spec(object) == spec(old) {
        return Vec::new();
    }
    vec![FieldError::invalid("spec", spec(object).clone(), IMMUTABLE)]
}

fn claim(path: &Path, spec: &Value) -> Vec<FieldError> {
    let path = path.child("devices").child("requests");
    let requests = list_at(&spec["devices"], "requests");
    let mut errors = Vec::new();
    if requests.len() > MAX_REQUESTS {
        errors.push(FieldError::too_many(&path, requests.len(), MAX_REQUESTS));
    }
    let mut names = BTreeSet::new();
    for (i, request) in requests.iter().enumerate() {
        let at = path.index(i);
        let name = str_at(request, "name");
        errors.extend(dns_label(&at.child("name"), name));
        if !names.insert(name) {
            errors.push(FieldError::duplicate(&at, name));
        }
        match (has(request, "exactly"), has(request, "firstAvailable")) {
            (false, false) => {
                errors.push(FieldError::required(&at, "exactly one of `exactly` or `firstAvailable` is required"));
            }
            (true, true) => {
                let detail = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
                errors.push(FieldError::invalid(&at, Value::Null, detail));
            }
            (true, false) => {
                let at = at.child("exactly").child("deviceClassName");
                let class = str_at(&request["exactly"], "deviceClassName");
                if class.is_empty() {
                    errors.push(FieldError::required(at, ""));
                } else {
                    errors.extend(dns_subdomain(&at, class));
                }
            }
            (false, true) => {}
        }
    }
    errors
}

fn slice(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = Vec::new();
    if str_at(spec, "driver").is_empty() {
        errors.push(FieldError::required(path.child("driver"), ""));
    } else {
        errors.extend(dns_subdomain(&path.child("driver"), str_at(spec, "driver")));
    }
    if str_at(&spec["pool"], "name").is_empty() {
        errors.push(FieldError::required(path.child("pool").child("name"), ""));
    }
    errors
}
