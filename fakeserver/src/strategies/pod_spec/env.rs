//! Validation of a container's environment: variables, their sources, and whole sources.
//!
//! Counterpart: `ValidateEnv`, `ValidateEnvFrom`, `validateObjectFieldSelector`, `validateContainerResourceFieldSelector`.

use super::volume_sources::{local_path, mode};
use crate::strategies::access::{has, is_empty_at, str_at};
use crate::strategies::rules::{Errors, complaints, dns_label, dns_subdomain, qualified_name};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;

/// Field paths that an environment variable may name, sorted.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Field paths that a downward API file may name, sorted.
const FILE_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Field paths of a Pod that the downward API knows at all.
const POD_FIELDS: [&str; 14] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];
const RESOURCE_FIELDS: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const DIVISORS: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// The `env` list.
pub(super) fn env(variables: &[Value], path: &Path, errors: &mut Errors) {
    for (i, variable) in variables.iter().enumerate() {
        let (path, name) = (path.index(i), str_at(variable, "name"));
        if name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        } else {
            complaints(words::is_env_var_name(name), &name.into(), &path.child("name"), errors);
        }
        if has(variable, "valueFrom") {
            value_from(variable, &path.child("valueFrom"), errors);
        }
    }
}

fn value_from(variable: &Value, path: &Path, errors: &mut Errors) {
    let source = &variable["valueFrom"];
    let mut sources = 0;
    for name in ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"] {
        if !has(source, name) {
            continue;
        }
        sources += 1;
        let (reference, path) = (&source[name], path.child(name));
        match name {
            "fieldRef" => field_reference(reference, &ENV_FIELDS, &path, errors),
            "resourceFieldRef" => resource_reference(reference, false, &path, errors),
            "fileKeyRef" => file_key(reference, &path, errors),
            _ => object_key(reference, &path, errors),
        }
    }
    let complaint = if sources == 0 {
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
    } else if !str_at(variable, "value").is_empty() {
        "may not be specified when `value` is not empty"
    } else if sources > 1 {
        "may not have more than one field specified at a time"
    } else {
        return;
    };
    errors.push(FieldError::invalid(path, "", complaint));
}

/// A key of a ConfigMap or a Secret.
fn object_key(reference: &Value, path: &Path, errors: &mut Errors) {
    dns_subdomain(str_at(reference, "name"), &path.child("name"), errors);
    let key = str_at(reference, "key");
    if key.is_empty() {
        errors.push(FieldError::required(path.child("key"), ""));
    } else {
        complaints(words::is_config_map_key(key), &key.into(), &path.child("key"), errors);
    }
}

/// A key of a file of environment variables in a volume.
fn file_key(reference: &Value, path: &Path, errors: &mut Errors) {
    let (key, volume, file) = (str_at(reference, "key"), str_at(reference, "volumeName"), str_at(reference, "path"));
    if key.is_empty() {
        errors.push(FieldError::required(path.child("key"), ""));
    } else {
        complaints(words::is_env_var_name(key), &key.into(), &path.child("key"), errors);
    }
    if volume.is_empty() {
        errors.push(FieldError::required(path.child("volumeName"), ""));
    } else {
        dns_label(volume, &path.child("volumeName"), errors);
    }
    if file.is_empty() {
        errors.push(FieldError::required(path.child("path"), ""));
    } else {
        local_path(file, &path.child("path"), errors);
    }
}

/// A field of the Pod itself.
fn field_reference(reference: &Value, supported: &[&str], path: &Path, errors: &mut Errors) {
    let field = str_at(reference, "fieldPath");
    if field.is_empty() {
        errors.push(FieldError::required(path.child("fieldPath"), ""));
        return;
    }
    let version = str_at(reference, "apiVersion");
    if !matches!(version, "v1" | "") {
        let text = format!("error converting fieldPath: unsupported pod version: {version}");
        errors.push(FieldError::invalid(path.child("fieldPath"), field, text));
        return;
    }
    match subscripted(field) {
        Some(("metadata.annotations", key)) => {
            complaints(words::is_qualified_name(&key.to_lowercase()), &key.to_lowercase().into(), path, errors);
        }
        Some(("metadata.labels", key)) => qualified_name(key, path, errors),
        Some(_) => {
            let text = format!("error converting fieldPath: field label does not support subscript: {field}");
            errors.push(FieldError::invalid(path.child("fieldPath"), field, text));
        }
        None => {
            let field = if field == "spec.host" { "spec.nodeName" } else { field };
            if !POD_FIELDS.contains(&field) {
                let text = format!("error converting fieldPath: field label not supported: {field}");
                errors.push(FieldError::invalid(path.child("fieldPath"), field, text));
            } else if !supported.contains(&field) {
                errors.push(FieldError::not_supported(path.child("fieldPath"), field, supported));
            }
        }
    }
}

/// Splits `metadata.labels['key']`.
fn subscripted(field: &str) -> Option<(&str, &str)> {
    let (path, key) = field.strip_suffix("']")?.split_once("['")?;
    (!path.is_empty()).then_some((path, key))
}

/// A resource of a container.
fn resource_reference(reference: &Value, in_volume: bool, path: &Path, errors: &mut Errors) {
    let resource = str_at(reference, "resource");
    let huge = resource.starts_with("requests.hugepages-") || resource.starts_with("limits.hugepages-");
    if in_volume && str_at(reference, "containerName").is_empty() {
        errors.push(FieldError::required(path.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(path.child("resource"), ""));
    } else if !RESOURCE_FIELDS.contains(&resource) && !huge {
        errors.push(FieldError::not_supported(path.child("resource"), resource, &RESOURCE_FIELDS));
    }
    let divisor = str_at(reference, "divisor");
    if divisor.is_empty() || divisor == "0" {
        return;
    }
    let units = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
    let what = match resource {
        "limits.cpu" | "requests.cpu" if !["1m", "1"].contains(&divisor) => {
            let text = "only divisor's values 1m and 1 are supported with the cpu resource";
            errors.push(FieldError::invalid(path.child("divisor"), resource, text));
            return;
        }
        "limits.memory" | "requests.memory" => "memory",
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => "local ephemeral storage",
        _ if huge => "hugepages",
        _ => return,
    };
    if !DIVISORS.contains(&divisor) {
        let text = format!("only divisor's values {units} are supported with the {what} resource");
        errors.push(FieldError::invalid(path.child("divisor"), resource, text));
    }
}

/// The `envFrom` list. Some paths lack the index, as the server's do.
pub(super) fn env_from(sources: &[Value], path: &Path, errors: &mut Errors) {
    for (i, source) in sources.iter().enumerate() {
        let (item, prefix) = (path.index(i), str_at(source, "prefix"));
        if !prefix.is_empty() {
            complaints(words::is_env_var_name(prefix), &prefix.into(), &item.child("prefix"), errors);
        }
        let mut count = 0;
        for name in ["configMapRef", "secretRef"] {
            if has(source, name) {
                count += 1;
                object_name(&source[name], &item.child(name), errors);
            }
        }
        if count == 0 {
            errors.push(FieldError::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"));
        } else if count > 1 {
            errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
        }
    }
}

fn object_name(reference: &Value, path: &Path, errors: &mut Errors) {
    let (name, path) = (str_at(reference, "name"), path.child("name"));
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        // The server checks these two as prefixes: one trailing dash passes.
        let name = name.strip_suffix('-').unwrap_or(name);
        dns_subdomain(name, &path, errors);
    }
}

/// One file of a downward API volume.
pub(super) fn downward_api_file(file: &Value, path: &Path, errors: &mut Errors) {
    if is_empty_at(file, "path") {
        errors.push(FieldError::required(path.child("path"), ""));
    }
    local_path(str_at(file, "path"), &path.child("path"), errors);
    match (has(file, "fieldRef"), has(file, "resourceFieldRef")) {
        (true, both) => {
            field_reference(&file["fieldRef"], &FILE_FIELDS, &path.child("fieldRef"), errors);
            if both {
                let text = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(FieldError::invalid(path, "resource", text));
            }
        }
        (false, true) => resource_reference(&file["resourceFieldRef"], true, &path.child("resourceFieldRef"), errors),
        (false, false) => {
            errors.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required"));
        }
    }
    mode(file, "mode", path, errors);
}
