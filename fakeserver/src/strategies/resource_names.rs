//! Names of compute and object resources, as quotas, limits and capacities use them.
//!
//! Counterpart: `apis/core/helper` and the resource name rules of `apis/core/validation`.

use super::checks::qualified_name;
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::quantity::Quantity;
use serde_json::Value;

const COMPUTE: &[&str] = &["cpu", "memory", "ephemeral-storage"];
const PREFIXED: &[&str] = &[
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];
const OBJECTS: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")
}

/// Whether quotas know this name without a prefix.
pub(crate) fn is_quota_resource(name: &str) -> bool {
    COMPUTE.contains(&name)
        || PREFIXED.contains(&name)
        || OBJECTS.contains(&name)
        || name == "requests.storage"
        || is_huge_page(name)
}

fn is_standard(name: &str) -> bool {
    is_quota_resource(name) || name == "storage"
}

fn is_container_resource(name: &str) -> bool {
    COMPUTE.contains(&name) || name.starts_with("hugepages-")
}

/// Whether amounts are whole numbers.
fn is_integer(name: &str) -> bool {
    OBJECTS.contains(&name) || is_extended(name)
}

/// A resource of a device plugin: qualified, outside `kubernetes.io`.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !is_native(name) && !name.starts_with("requests.")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether limits above requests are possible.
pub(crate) fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// Any resource name.
pub(crate) fn resource_name(path: &Path, name: &str) -> Vec<FieldError> {
    let mut errors = qualified_name(path, name);
    if errors.is_empty() && !name.contains('/') && !is_standard(name) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource type or fully qualified"));
    }
    errors
}

/// The name of a resource that a quota bounds.
pub(crate) fn quota_resource_name(path: &Path, name: &str) -> Vec<FieldError> {
    let mut errors = resource_name(path, name);
    if !name.contains('/') && !is_quota_resource(name) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource for quota"));
    }
    errors
}

/// The name of a resource that a container uses.
pub(crate) fn container_resource_name(path: &Path, name: &str) -> Vec<FieldError> {
    let mut errors = resource_name(path, name);
    if !name.contains('/') && !is_container_resource(name) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
    } else if name.contains('/') && !is_native(name) && !is_extended(name) {
        errors.push(FieldError::invalid(path, name, "doesn't follow extended resource name standard"));
    }
    errors
}

/// The quantity behind a JSON value, zero when it is none.
pub(crate) fn quantity(value: &Value) -> Quantity {
    match value {
        Value::String(text) => text.parse().unwrap_or(Quantity::ZERO),
        Value::Number(n) => n.to_string().parse().unwrap_or(Quantity::ZERO),
        _ => Quantity::ZERO,
    }
}

/// An amount of a resource: not negative, whole where the resource is counted.
pub(crate) fn resource_quantity(path: &Path, name: &str, value: &Value) -> Vec<FieldError> {
    let amount = quantity(value);
    let mut errors = Vec::new();
    if amount < Quantity::ZERO {
        errors.push(FieldError::invalid(path, amount.to_string(), "must be greater than or equal to 0"));
    }
    if is_integer(name) && amount.milli_value() % 1000 != 0 {
        errors.push(FieldError::invalid(path, amount.to_string(), "must be an integer"));
    }
    errors
}
