//! Ingress: hosts, paths, backends.
//!
//! Counterpart: `registry/networking/ingress` and `ValidateIngress`. The default class is an admission plugin's work.

use super::access::{copy, has, int_at, is_empty_at, list_at, set, spec, str_at, strings_at};
use super::checks::{dns_label, dns_subdomain, each, one_of};
use super::service_validation::{ingress_points, port_number};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::validation::{is_valid_port_name, is_wildcard_dns1123_subdomain, parse_ip_sloppy};
use serde_json::{Value, json};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const BAD_SEQUENCES: &[&str] = &["//", "/./", "/../", "%2f", "%2F"];
const BAD_SUFFIXES: &[&str] = &["/..", "/."];

/// Hooks of Ingress.
#[derive(Clone, Copy, Debug)]
pub struct IngressStrategy;

impl Strategy for IngressStrategy {
    fn prepare_create(&self, _cx: &WriteContext<'_>, object: &mut Value) {
        set(object, "status", json!({"loadBalancer": {}}));
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        copy(old, object, if cx.subresource == "status" { "spec" } else { "status" });
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = ingress(object);
        if object.annotation(CLASS_ANNOTATION).is_some() && has(spec(object), "ingressClassName") {
            let path = Path::new("annotations").child(CLASS_ANNOTATION);
            let detail = "can not be set when the class field is also set";
            errors.push(FieldError::invalid(path, object.annotation(CLASS_ANNOTATION).unwrap_or_default(), detail));
        }
        errors
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            let path = Path::new("status").child("loadBalancer").child("ingress");
            return ingress_points(&path, list_at(&object["status"]["loadBalancer"], "ingress"));
        }
        ingress(object)
    }

    fn warnings(&self, _cx: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        if old.is_none() && object.annotation(CLASS_ANNOTATION).is_some() {
            vec![
                "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
                    .to_owned(),
            ]
        } else {
            Vec::new()
        }
    }
}

fn ingress(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = Vec::new();
    let rules = list_at(spec, "rules");
    if rules.is_empty() && !has(spec, "defaultBackend") {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid(&path, spec["rules"].clone(), detail));
    }
    if has(spec, "defaultBackend") {
        backend(&path.child("defaultBackend"), &spec["defaultBackend"], &mut errors);
    }
    for (i, rule) in rules.iter().enumerate() {
        self::rule(&path.child("rules").index(i), rule, &mut errors);
    }
    for (i, tls) in list_at(spec, "tls").iter().enumerate() {
        self::tls(&path.child("tls").index(i), tls, &mut errors);
    }
    if has(spec, "ingressClassName") {
        errors.extend(dns_subdomain(&path.child("ingressClassName"), str_at(spec, "ingressClassName")));
    }
    errors
}

fn host(path: &Path, host: &str) -> Vec<FieldError> {
    if host.contains('*') { each(path, host, is_wildcard_dns1123_subdomain(host)) } else { dns_subdomain(path, host) }
}

fn rule(path: &Path, rule: &Value, errors: &mut Vec<FieldError>) {
    let name = str_at(rule, "host");
    if !name.is_empty() {
        let at = path.child("host");
        if parse_ip_sloppy(name).is_some() {
            errors.push(FieldError::invalid(&at, name, "must be a DNS name, not an IP address"));
        }
        errors.extend(host(&at, name));
    }
    if !has(rule, "http") {
        return;
    }
    let at = path.child("http").child("paths");
    let paths = list_at(&rule["http"], "paths");
    if paths.is_empty() {
        errors.push(FieldError::required(&at, ""));
    }
    for (i, item) in paths.iter().enumerate() {
        http_path(&at.index(i), item, errors);
    }
}

fn http_path(path: &Path, item: &Value, errors: &mut Vec<FieldError>) {
    if !has(item, "pathType") {
        errors.push(FieldError::required(path.child("pathType"), "pathType must be specified"));
        return;
    }
    let kind = str_at(item, "pathType");
    let text = str_at(item, "path");
    let at = path.child("path");
    match kind {
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                errors.push(FieldError::invalid(&at, text, "must be an absolute path"));
            }
            if !text.is_empty() {
                for sequence in BAD_SEQUENCES.iter().filter(|s| text.contains(**s)) {
                    errors.push(FieldError::invalid(&at, text, format!("must not contain '{sequence}'")));
                }
                for suffix in BAD_SUFFIXES.iter().filter(|s| text.ends_with(**s)) {
                    errors.push(FieldError::invalid(&at, text, format!("cannot end with '{suffix}'")));
                }
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                errors.push(FieldError::invalid(&at, text, "must be an absolute path"));
            }
        }
        other => {
            let supported = ["Exact", "ImplementationSpecific", "Prefix"];
            errors.extend(one_of(&path.child("pathType"), other, &supported));
        }
    }
    backend(&path.child("backend"), &item["backend"], errors);
}

fn backend(path: &Path, backend: &Value, errors: &mut Vec<FieldError>) {
    let (service, resource) = (has(backend, "service"), has(backend, "resource"));
    if service && resource {
        errors.push(FieldError::invalid(path, "", "cannot set both resource and service backends"));
    } else if resource {
        resource_backend(&path.child("resource"), &backend["resource"], errors);
    } else if service {
        service_backend(path, &backend["service"], errors);
    } else {
        errors.push(FieldError::required(path, "resource or service backend is required"));
    }
}

fn resource_backend(path: &Path, resource: &Value, errors: &mut Vec<FieldError>) {
    let group = str_at(resource, "apiGroup");
    if !group.is_empty() {
        errors.extend(dns_subdomain(&path.child("apiGroup"), group));
    }
    for name in ["kind", "name"] {
        if str_at(resource, name).is_empty() {
            errors.push(FieldError::required(path.child(name), ""));
        }
    }
}

fn service_backend(path: &Path, service: &Value, errors: &mut Vec<FieldError>) {
    let at = path.child("service");
    let name = str_at(service, "name");
    if name.is_empty() {
        errors.push(FieldError::required(at.child("name"), ""));
    } else {
        errors.extend(dns_label(&at.child("name"), name));
    }
    let port = &service["port"];
    let number = int_at(port, "number").unwrap_or_default();
    let port_name = str_at(port, "name");
    match (port_name.is_empty(), number) {
        (false, 0) => {
            errors.extend(each(&at.child("port").child("name"), port_name, is_valid_port_name(port_name)));
        }
        (false, _) => errors.push(FieldError::invalid(path, "", "cannot set both port name & port number")),
        (true, 0) => errors.push(FieldError::required(path, "port name or number is required")),
        (true, number) => errors.extend(port_number(&at.child("port").child("number"), number)),
    }
}

fn tls(path: &Path, tls: &Value, errors: &mut Vec<FieldError>) {
    for (i, name) in strings_at(tls, "hosts").enumerate() {
        errors.extend(host(&path.child("hosts").index(i), name));
    }
    if !is_empty_at(tls, "secretName") {
        errors.extend(dns_subdomain(&path.child("secretName"), str_at(tls, "secretName")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_read_as_the_real_servers() {
        let cases = [
            (json!({}), vec!["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]),
            (
                json!({"rules": [{"http": {"paths": [{"path": "relative", "backend": {}}]}}]}),
                vec!["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
            ),
            (
                json!({"rules": [{"http": {"paths": [{"path": "/", "pathType": "Regex", "backend": {"service": {"name": "a", "port": {}}}}]}}]}),
                vec![
                    "spec.rules[0].http.paths[0].pathType: Unsupported value: \"Regex\": supported values: \"Exact\", \"ImplementationSpecific\", \"Prefix\"",
                    "spec.rules[0].http.paths[0].backend: Required value: port name or number is required",
                ],
            ),
        ];
        for (spec, expected) in cases {
            let texts: Vec<_> = ingress(&json!({"spec": spec})).iter().map(ToString::to_string).collect();
            assert_eq!(texts, expected);
        }
    }
}
