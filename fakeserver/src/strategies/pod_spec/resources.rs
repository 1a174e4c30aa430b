//! Validation of resource requirements: of containers, of the whole Pod, and its overhead.
//!
//! Counterpart: `ValidateContainerResourceRequirements`, `validatePodResources`, `validateOverhead` and the resource
//! name helpers of `apis/core/helper`. Go visits the maps in random order, this in name order.

use crate::strategies::access::{entries_at, has, list_at, str_at};
use crate::strategies::rules::{Errors, NOT_NEGATIVE, one_of, qualified_name};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::quantity::Quantity;
use rehearsal_apimachinery::validation as words;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use super::is_sidecar;

/// A resource list with parsed quantities; what does not parse is left out.
pub(crate) type ResourceList<'a> = BTreeMap<&'a str, Quantity>;

/// Resources that have a meaning to the server somewhere.
const STANDARD: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];
/// Standard resources that are counted in whole pieces.
const WHOLE: [&str; 9] = [
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
const HUGE_PAGES: &str = "hugepages-";

/// A quantity as it stands in JSON, `None` when it is none.
pub(crate) fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// The entries of a resource list member.
pub(crate) fn resource_list<'a>(object: &'a Value, name: &str) -> ResourceList<'a> {
    entries_at(object, name).filter_map(|(key, value)| Some((key, quantity(value)?))).collect()
}

/// Whether a resource is the cluster's own: unqualified, or of a `kubernetes.io` domain.
pub(crate) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && words::is_qualified_name(&format!("requests.{name}")).is_empty()
}

fn may_overcommit(name: &str) -> bool {
    is_native(name) && !name.starts_with(HUGE_PAGES)
}

fn is_whole(name: &str) -> bool {
    WHOLE.contains(&name) || is_extended(name)
}

/// Validates `resources` of a container. `claims` are the names of the Pod's resource claims.
pub(super) fn of_container(resources: &Value, claims: &BTreeSet<&str>, path: &Path, errors: &mut Errors) {
    requirements(resources, container_resource_name, path, errors);
    claim_names(list_at(resources, "claims"), claims, &path.child("claims"), errors);
}

/// Validates `overhead`, a bare list of limits.
pub(super) fn overhead(overhead: &Value, path: &Path, errors: &mut Errors) {
    requirements(&serde_json::json!({"limits": overhead}), container_resource_name, path, errors);
}

type NameRule = fn(&str, &Path, &mut Errors);

fn requirements(resources: &Value, name_rule: NameRule, path: &Path, errors: &mut Errors) {
    let limits = resource_list(resources, "limits");
    for (name, amount) in &limits {
        let path = path.child("limits").key(name);
        name_rule(name, &path, errors);
        amount_of(name, *amount, &path, errors);
    }
    let requests = resource_list(resources, "requests");
    for (name, amount) in &requests {
        let item = path.child("requests").key(name);
        name_rule(name, &item, errors);
        amount_of(name, *amount, &item, errors);
        within_limit(name, *amount, limits.get(name), path, errors);
        if name.starts_with(HUGE_PAGES) {
            huge_page_multiple(name, *amount, &item, errors);
        }
    }
    let names = || limits.keys().chain(requests.keys());
    if names().any(|name| name.starts_with(HUGE_PAGES)) && !names().any(|name| matches!(*name, "cpu" | "memory")) {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
}

fn within_limit(name: &str, amount: Quantity, limit: Option<&Quantity>, path: &Path, errors: &mut Errors) {
    let Some(limit) = limit else {
        if !may_overcommit(name) {
            let text = "Limit must be set for non overcommitable resources";
            errors.push(FieldError::required(path.child("limits"), text));
        }
        return;
    };
    let text = if !may_overcommit(name) && amount != *limit {
        format!("must be equal to {name} limit of {limit}")
    } else if amount > *limit {
        format!("must be less than or equal to {name} limit of {limit}")
    } else {
        return;
    };
    errors.push(FieldError::invalid(path.child("requests"), amount.to_string(), text));
}

fn amount_of(name: &str, amount: Quantity, path: &Path, errors: &mut Errors) {
    if amount.signum() < 0 {
        errors.push(FieldError::invalid(path, amount.to_string(), NOT_NEGATIVE));
    }
    if is_whole(name) && amount.milli_value() % 1000 != 0 {
        errors.push(FieldError::invalid(path, amount.to_string(), "must be an integer"));
    }
}

fn huge_page_multiple(name: &str, amount: Quantity, path: &Path, errors: &mut Errors) {
    let size: Option<Quantity> = name.strip_prefix(HUGE_PAGES).and_then(|size| size.parse().ok());
    let divisible = size.is_some_and(|size| size.value() > 0 && amount.value() % size.value() == 0);
    if !divisible {
        let text = format!("{amount} is not positive integer multiple of {name}");
        errors.push(FieldError::invalid(path, amount.to_string(), text));
    }
}

/// A name that a container may request or limit.
pub(crate) fn container_resource_name(name: &str, path: &Path, errors: &mut Errors) {
    let before = errors.len();
    qualified_name(name, path, errors);
    if errors.len() > before {
        return;
    }
    if name.contains('/') {
        if !is_native(name) && !is_extended(name) {
            errors.push(FieldError::invalid(path, name, "doesn't follow extended resource name standard"));
        }
        return;
    }
    standard_resource_name(name, path, errors);
    if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !name.starts_with(HUGE_PAGES) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
    }
}

fn standard_resource_name(name: &str, path: &Path, errors: &mut Errors) {
    let huge = name.starts_with(HUGE_PAGES) || name.starts_with("requests.hugepages-");
    if !name.contains('/') && !STANDARD.contains(&name) && !huge {
        let text = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid(path, name, text));
    }
}

fn pod_resource_name(name: &str, path: &Path, errors: &mut Errors) {
    let before = errors.len();
    qualified_name(name, path, errors);
    standard_resource_name(name, path, errors);
    if errors.len() == before && !name.starts_with(HUGE_PAGES) {
        one_of(name, &["cpu", "hugepages-", "memory"], path, errors);
    }
}

fn claim_names(used: &[Value], known: &BTreeSet<&str>, path: &Path, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    for (i, claim) in used.iter().enumerate() {
        let (path, name, request) = (path.index(i), str_at(claim, "name"), str_at(claim, "request"));
        if name.is_empty() {
            errors.push(FieldError::required(path, ""));
            continue;
        }
        let shown = if request.is_empty() { name.to_owned() } else { format!("{name}/{request}") };
        if !names.insert(shown.clone()) {
            errors.push(FieldError::duplicate(&path, shown));
        }
        if !known.contains(name) {
            errors.push(FieldError {
                detail: "must be one of the names in pod.spec.resourceClaims".into(),
                ..FieldError::not_found(&path, name)
            });
        }
    }
}

/// Validates `resources` of the Pod as a whole, and that its containers fit.
pub(super) fn pod_level(spec: &Value, path: &Path, errors: &mut Errors) {
    let resources = &spec["resources"];
    if resources.is_null() {
        return;
    }
    if str_at(&spec["os"], "name") == "windows" {
        errors.push(FieldError::forbidden(path, "may not be set for a windows pod"));
        return;
    }
    if has(resources, "claims") {
        let text = "claims cannot be set for Resources at pod-level";
        errors.push(FieldError::forbidden(path.child("claims"), text));
    }
    requirements(resources, pod_resource_name, path, errors);
    containers_fit(spec, path, errors);
}

fn containers_fit(spec: &Value, path: &Path, errors: &mut Errors) {
    let requests = resource_list(&spec["resources"], "requests");
    for (name, sum) in sum_of_containers(spec, "requests") {
        if let Some(own) = requests.get(name).filter(|own| sum > **own) {
            let text = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.push(FieldError::invalid(path.child("requests").key(name), own.to_string(), text));
        }
    }
    let limits = resource_list(&spec["resources"], "limits");
    for (name, sum) in sum_of_containers(spec, "limits") {
        if let Some(own) = limits.get(name).filter(|own| name.starts_with(HUGE_PAGES) && sum > **own) {
            let text = format!("must be greater than or equal to aggregate container limits of {sum}");
            errors.push(FieldError::invalid(path.child("limits").key(name), own.to_string(), text));
        }
    }
    for (i, container) in list_at(spec, "containers").iter().enumerate() {
        for (name, limit) in resource_list(&container["resources"], "limits") {
            if let Some(own) = limits.get(name).filter(|own| limit > **own) {
                let path = path.child("containers").index(i).key(name).child("limits");
                let text = format!("must be less than or equal to pod limits of {own}");
                errors.push(FieldError::invalid(path, limit.to_string(), text));
            }
        }
    }
}

/// What all containers need together: the regular ones and the sidecars add up, each plain init container needs its
/// own beside the sidecars started before it; the larger of the two counts. `list` is `requests` or `limits`.
pub(crate) fn sum_of_containers<'a>(spec: &'a Value, list: &str) -> ResourceList<'a> {
    let mut sum = ResourceList::new();
    for container in list_at(spec, "containers") {
        add(&mut sum, &resource_list(&container["resources"], list));
    }
    let (mut sidecars, mut peak) = (ResourceList::new(), ResourceList::new());
    for container in list_at(spec, "initContainers") {
        let own = resource_list(&container["resources"], list);
        let mut now = sidecars.clone();
        add(&mut now, &own);
        if is_sidecar(container) {
            add(&mut sum, &own);
            sidecars = now.clone();
        }
        raise(&mut peak, &now);
    }
    raise(&mut sum, &peak);
    sum
}

fn add<'a>(sum: &mut ResourceList<'a>, more: &ResourceList<'a>) {
    for (name, amount) in more {
        let entry = sum.entry(name).or_insert(Quantity::ZERO);
        *entry = *entry + *amount;
    }
}

fn raise<'a>(sum: &mut ResourceList<'a>, other: &ResourceList<'a>) {
    for (name, amount) in other {
        let entry = sum.entry(name).or_insert(*amount);
        *entry = (*entry).max(*amount);
    }
}
