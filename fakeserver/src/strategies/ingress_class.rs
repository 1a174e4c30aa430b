//! IngressClass: controller and parameters.
//!
//! Counterpart: `registry/networking/ingressclass` and `ValidateIngressClass`.

use super::access::{has, path_mut, set_default, spec, str_at};
use super::checks::{dns_label, dns_subdomain, immutable, required_one_of};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation::is_domain_prefixed_path;
use serde_json::Value;

/// Hooks of IngressClass.
#[derive(Clone, Copy, Debug)]
pub struct IngressClassStrategy;

impl Strategy for IngressClassStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(parameters) = path_mut(object, &["spec", "parameters"])
            && parameters.is_object()
        {
            set_default(parameters, "scope", "Cluster");
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        class(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let path = Path::new("spec").child("controller");
        let mut errors: Vec<_> =
            immutable(&path, &spec(object)["controller"], &spec(old)["controller"]).into_iter().collect();
        errors.extend(class(object));
        errors
    }
}

fn class(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let controller = str_at(spec, "controller");
    let mut errors = Vec::new();
    if controller.len() > 250 {
        errors.push(FieldError::too_long(path.child("controller"), 250));
    }
    errors.extend(is_domain_prefixed_path(&path.child("controller"), controller));
    if has(spec, "parameters") {
        parameters(&path.child("parameters"), &spec["parameters"], &mut errors);
    }
    errors
}

fn parameters(path: &Path, parameters: &Value, errors: &mut Vec<FieldError>) {
    let group = str_at(parameters, "apiGroup");
    if !group.is_empty() {
        errors.extend(dns_subdomain(&path.child("apiGroup"), group));
    }
    for name in ["kind", "name"] {
        if str_at(parameters, name).is_empty() {
            errors.push(FieldError::required(path.child(name), format!("{name} is required")));
        }
    }
    let scope = str_at(parameters, "scope");
    errors.extend(required_one_of(&path.child("scope"), scope, &["Cluster", "Namespace"]));
    let namespace = str_at(parameters, "namespace");
    let at = path.child("namespace");
    match scope {
        "Namespace" if namespace.is_empty() => {
            errors.push(FieldError::required(at, "`parameters.scope` is set to 'Namespace'"));
        }
        "Namespace" => errors.extend(dns_label(&at, namespace)),
        "Cluster" if has(parameters, "namespace") => {
            errors.push(FieldError::forbidden(at, "`parameters.scope` is set to 'Cluster'"));
        }
        _ => {}
    }
}
