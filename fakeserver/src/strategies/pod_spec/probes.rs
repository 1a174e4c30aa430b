//! Validation of probes, lifecycle hooks and their handlers.
//!
//! Counterpart: `validateProbe` and its three callers, `validateLifecycle`, `validateHandler`.

use super::validate::{Surroundings, stop_signal};
use crate::strategies::access::{has, int_at, list_at, str_at};
use crate::strategies::rules::{Errors, complaints, non_negative_at, one_of, port_number_or_name, required_at};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;

/// Lifecycle and the three probes of a container that runs as long as the Pod.
pub(super) fn health(container: &Value, around: &Surroundings<'_>, path: &Path, errors: &mut Errors) {
    let lifecycle = &container["lifecycle"];
    if !lifecycle.is_null() {
        let path = path.child("lifecycle");
        for hook in ["postStart", "preStop"] {
            if has(lifecycle, hook) {
                handler(
                    &lifecycle[hook],
                    &["exec", "httpGet", "tcpSocket", "sleep"],
                    around,
                    &path.child(hook),
                    errors,
                );
            }
        }
        stop_signal(lifecycle, around.os, &path, errors);
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if has(container, name) {
            probe(&container[name], name, around, &path.child(name), errors);
        }
    }
}

fn probe(probe: &Value, name: &str, around: &Surroundings<'_>, path: &Path, errors: &mut Errors) {
    handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], around, path, errors);
    let numbers = ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];
    non_negative_at(probe, &numbers, path, errors);
    let grace = int_at(probe, "terminationGracePeriodSeconds");
    let grace_path = path.child("terminationGracePeriodSeconds");
    if let Some(seconds) = grace.filter(|s| *s <= 0) {
        errors.push(FieldError::invalid(&grace_path, seconds, "must be greater than 0"));
    }
    if name == "readinessProbe" {
        if let Some(seconds) = grace {
            errors.push(FieldError::invalid(&grace_path, seconds, "must not be set for readinessProbes"));
        }
    } else if let Some(threshold) = int_at(probe, "successThreshold").filter(|n| *n != 1) {
        errors.push(FieldError::invalid(path.child("successThreshold"), threshold, "must be 1"));
    }
}

/// Exactly one of the handler types in `known`.
fn handler(handler: &Value, known: &[&str], around: &Surroundings<'_>, path: &Path, errors: &mut Errors) {
    let mut count = 0;
    for name in known.iter().copied().filter(|name| has(handler, name)) {
        let path = path.child(name);
        if count > 0 {
            errors.push(FieldError::forbidden(path, "may not specify more than 1 handler type"));
            continue;
        }
        count += 1;
        let action = &handler[name];
        match name {
            "exec" => {
                if list_at(action, "command").is_empty() {
                    errors.push(FieldError::required(path.child("command"), ""));
                }
            }
            "httpGet" => http_get(action, &path, errors),
            "sleep" => sleep(action, around, &path, errors),
            _ => port_number_or_name(&action["port"], &path.child("port"), errors),
        }
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
}

fn http_get(action: &Value, path: &Path, errors: &mut Errors) {
    if has(action, "path") {
        required_at(action, "path", path, errors);
    }
    port_number_or_name(&action["port"], &path.child("port"), errors);
    if has(action, "scheme") {
        one_of(str_at(action, "scheme"), &["HTTP", "HTTPS"], &path.child("scheme"), errors);
    }
    for header in list_at(action, "httpHeaders") {
        let name = str_at(header, "name");
        complaints(words::is_http_header_name(name), &name.into(), &path.child("httpHeaders"), errors);
    }
}

fn sleep(action: &Value, around: &Surroundings<'_>, path: &Path, errors: &mut Errors) {
    let seconds = int_at(action, "seconds").unwrap_or_default();
    if let Some(grace) = around.grace.filter(|grace| seconds < 0 || seconds > *grace) {
        let text = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(FieldError::invalid(path, seconds, text));
    }
}
