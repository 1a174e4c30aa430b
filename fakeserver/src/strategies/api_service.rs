//! APIService: name, priorities, the backing service.
//!
//! Counterpart: kube-aggregator `registry/apiservice` and `ValidateAPIService`.

use super::access::{bool_at, copy, has, int_at, is_empty_at, path_mut, set, set_default, spec, str_at};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::validation::{is_dns1035_label, is_dns1123_subdomain};
use serde_json::{Value, json};

/// Hooks of APIService.
#[derive(Clone, Copy, Debug)]
pub struct ApiServiceStrategy;

impl Strategy for ApiServiceStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(service) = path_mut(object, &["spec", "service"]).filter(|s| s.is_object()) {
            set_default(service, "port", 443);
        }
    }

    fn prepare_create(&self, cx: &WriteContext<'_>, object: &mut Value) {
        let status = if has(spec(object), "service") {
            json!({})
        } else {
            json!({"conditions": [{
                "type": "Available",
                "status": "True",
                "lastTransitionTime": cx.clock.now_rfc3339(),
                "reason": "Local",
                "message": "Local APIServices are always available",
            }]})
        };
        set(object, "status", status);
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        copy(old, object, if cx.subresource == "status" { "spec" } else { "status" });
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        api_service(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        api_service(object)
    }
}

fn api_service(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = Vec::new();
    let (group, version) = (str_at(spec, "group"), str_at(spec, "version"));
    let name = format!("{version}.{group}");
    if object.name() != name && object.name() != format!("{version}.") {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {name:?}");
        errors.push(FieldError::invalid("metadata.name", object.name(), detail));
    }
    if !group.is_empty() {
        let at = path.child("group");
        errors.extend(is_dns1123_subdomain(group).into_iter().map(|m| FieldError::invalid(&at, group, m)));
    }
    let at = path.child("version");
    errors.extend(is_dns1035_label(version).into_iter().map(|m| FieldError::invalid(&at, version, m)));
    for (name, max) in [("groupPriorityMinimum", 20000), ("versionPriority", 1000)] {
        let value = int_at(spec, name).unwrap_or_default();
        if value <= 0 || value > max {
            let detail = format!("must be positive and less than {max}");
            errors.push(FieldError::invalid(path.child(name), value, detail));
        }
    }
    let insecure = bool_at(spec, "insecureSkipTLSVerify");
    let bundle = !is_empty_at(spec, "caBundle");
    if !has(spec, "service") {
        if bundle {
            let value = spec["caBundle"].clone();
            errors.push(FieldError::invalid(
                path.child("caBundle"),
                value,
                "local APIServices may not have a caBundle",
            ));
        }
        if insecure {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(FieldError::invalid(path.child("insecureSkipTLSVerify"), true, detail));
        }
        return errors;
    }
    let service = path.child("service");
    for name in ["namespace", "name"] {
        if str_at(&spec["service"], name).is_empty() {
            errors.push(FieldError::required(service.child(name), ""));
        }
    }
    if insecure && bundle {
        let at = path.child("insecureSkipTLSVerify");
        errors.push(FieldError::invalid(at, true, "may not be true if caBundle is present"));
    }
    errors
}
