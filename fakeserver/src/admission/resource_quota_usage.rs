//! What an object uses of the resources that quotas count.
//!
//! Counterpart: `pkg/quota/v1/evaluator`.

use super::Attributes;
use super::limit_ranger::pod_sum;
use crate::strategies::access::{entries_at, has, list_at, spec, str_at};
use crate::strategies::resource_names::quantity;
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::quantity::{Format, Quantity};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Amounts by resource name, in name order.
pub(crate) type Usage = BTreeMap<String, Quantity>;

const ONE: Quantity = Quantity::new(1, Format::DecimalSi);
const COUNTED: &[&str] = &[
    "pods",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "resourcequotas",
];
const POD_COMPUTE: &[&str] = &["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/// All that one object uses.
pub(crate) fn usage(at: &Attributes<'_>, object: &Value) -> Usage {
    let mut out = Usage::new();
    let suffix = if at.group.is_empty() { String::new() } else { format!(".{}", at.group) };
    out.insert(format!("count/{}{suffix}", at.resource), ONE);
    if !at.group.is_empty() {
        return out;
    }
    if COUNTED.contains(&at.resource) {
        out.insert(at.resource.to_owned(), ONE);
    }
    match at.resource {
        "pods" => pod(object, &mut out),
        "services" => service(object, &mut out),
        "persistentvolumeclaims" => claim(object, &mut out),
        _ => {}
    }
    out
}

fn pod(object: &Value, out: &mut Usage) {
    for (name, amount) in pod_sum(object, "requests") {
        if !name.contains('/') {
            out.insert(name.clone(), amount);
        }
        out.insert(format!("requests.{name}"), amount);
    }
    for (name, amount) in pod_sum(object, "limits") {
        out.insert(format!("limits.{name}"), amount);
    }
}

fn service(object: &Value, out: &mut Usage) {
    let ports = i64::try_from(list_at(spec(object), "ports").len()).unwrap_or(i64::MAX);
    let (nodes, balancers) = match str_at(spec(object), "type") {
        "NodePort" => (ports, 0),
        "LoadBalancer" if spec(object)["allocateLoadBalancerNodePorts"] == false => {
            let own = list_at(spec(object), "ports").iter().filter(|p| has(p, "nodePort")).count();
            (i64::try_from(own).unwrap_or(i64::MAX), 1)
        }
        "LoadBalancer" => (ports, 1),
        _ => (0, 0),
    };
    out.insert("services.nodeports".into(), Quantity::new(nodes, Format::DecimalSi));
    out.insert("services.loadbalancers".into(), Quantity::new(balancers, Format::DecimalSi));
}

fn claim(object: &Value, out: &mut Usage) {
    let class = match object.annotation("volume.beta.kubernetes.io/storage-class") {
        Some(class) => class,
        None => str_at(spec(object), "storageClassName"),
    };
    let of_class = |name: &str| format!("{class}.storageclass.storage.k8s.io/{name}");
    if !class.is_empty() {
        out.insert(of_class("persistentvolumeclaims"), ONE);
    }
    if let Some(storage) = spec(object)["resources"]["requests"].get("storage").map(quantity) {
        out.insert("requests.storage".into(), storage);
        if !class.is_empty() {
            out.insert(of_class("requests.storage"), storage);
        }
    }
}

/// Says which bounded compute resources which containers of a pod leave open; empty when none.
pub(super) fn unspecified(at: &Attributes<'_>, object: &Value, hard: &BTreeSet<&str>) -> String {
    if !at.group.is_empty() || at.resource != "pods" {
        return String::new();
    }
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for member in ["containers", "initContainers"] {
        for container in list_at(spec(object), member) {
            for name in POD_COMPUTE.iter().filter(|n| hard.contains(**n)) {
                let (list, resource) = match name.split_once('.') {
                    Some(("limits", resource)) => ("limits", resource),
                    Some((_, resource)) => ("requests", resource),
                    None => ("requests", *name),
                };
                if !has(&container["resources"][list], resource) {
                    missing.entry(name).or_default().insert(str_at(container, "name"));
                }
            }
        }
    }
    let parts = missing.iter().map(|(name, containers)| {
        let list: Vec<&str> = containers.iter().copied().collect();
        format!("{name} for: {}", list.join(","))
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// Whether a quota's scopes cover the object.
pub(crate) fn in_scope(at: &Attributes<'_>, quota: &Value, object: &Value) -> bool {
    let spec = spec(quota);
    let plain = list_at(spec, "scopes").iter().filter_map(Value::as_str).all(|s| matches(at, s, "Exists", &[], object));
    let selected = list_at(&spec["scopeSelector"], "matchExpressions")
        .iter()
        .all(|e| matches(at, str_at(e, "scopeName"), str_at(e, "operator"), list_at(e, "values"), object));
    plain && selected
}

fn matches(at: &Attributes<'_>, scope: &str, operator: &str, values: &[Value], object: &Value) -> bool {
    if !at.group.is_empty() || at.resource != "pods" {
        return false;
    }
    let spec = spec(object);
    let terminating = spec["activeDeadlineSeconds"].as_i64().is_some_and(|s| s >= 0);
    let best_effort = || pod_sum(object, "requests").is_empty() && pod_sum(object, "limits").is_empty();
    match scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => best_effort(),
        "NotBestEffort" => !best_effort(),
        "PriorityClass" => {
            let class = &spec["priorityClassName"];
            let named = class.as_str().is_some_and(|c| !c.is_empty());
            match operator {
                "In" => named && values.contains(class),
                "NotIn" => !values.contains(class),
                "DoesNotExist" => !named,
                _ => named,
            }
        }
        "CrossNamespacePodAffinity" => crosses_namespaces(&spec["affinity"]),
        _ => false,
    }
}

fn crosses_namespaces(affinity: &Value) -> bool {
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let required = list_at(&affinity[*kind], "requiredDuringSchedulingIgnoredDuringExecution").iter();
        let preferred = list_at(&affinity[*kind], "preferredDuringSchedulingIgnoredDuringExecution").iter();
        let terms = required.chain(preferred.map(|p| &p["podAffinityTerm"]));
        terms.into_iter().any(|t| !list_at(t, "namespaces").is_empty() || has(t, "namespaceSelector"))
    })
}

/// Whether a pod has ended and no longer counts.
pub(crate) fn has_ended(at: &Attributes<'_>, object: &Value) -> bool {
    at.group.is_empty() && at.resource == "pods" && matches!(str_at(&object["status"], "phase"), "Failed" | "Succeeded")
}

/// The amounts of a map member.
pub(crate) fn amounts(parent: &Value, member: &str) -> Usage {
    entries_at(parent, member).map(|(name, amount)| (name.to_owned(), quantity(amount))).collect()
}
