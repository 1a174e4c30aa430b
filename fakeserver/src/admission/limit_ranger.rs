//! LimitRanger: containers get default requests and limits, pods and claims stay within bounds.

use super::{Attributes, Operation};
use crate::strategies::WriteContext;
use crate::strategies::access::{entries_at, list_at, list_mut, object_mut, spec, str_at};
use crate::strategies::resource_names::quantity;
use rehearsal_apimachinery::meta::ObjectMetaMut;
use rehearsal_apimachinery::quantity::Quantity;
use rehearsal_apimachinery::status::Status;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

type Amounts = BTreeMap<String, Quantity>;

/// Sets what the limit ranges of the namespace give to containers that do not say themselves.
pub(super) fn mutate(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &mut Value) {
    if !at.is_create("", "pods") {
        return;
    }
    for range in cx.peek.list("limitranges", at.namespace) {
        let mut requests = Map::new();
        let mut limits = Map::new();
        for item in list_at(spec(&range), "limits").iter().filter(|i| str_at(i, "type") == "Container") {
            requests.extend(entries_at(item, "defaultRequest").map(|(k, v)| (k.to_owned(), v.clone())));
            limits.extend(entries_at(item, "default").map(|(k, v)| (k.to_owned(), v.clone())));
        }
        let mut notes = Vec::new();
        for (member, word) in [("containers", "container"), ("initContainers", "init container")] {
            for container in list_mut(&mut object["spec"], member) {
                let name = str_at(container, "name").to_owned();
                for (kind, values) in [("request", &requests), ("limit", &limits)] {
                    let set = fill(container, &format!("{kind}s"), values);
                    if !set.is_empty() {
                        notes.push(format!("{} {kind} for {word} {name}", set.join(", ")));
                    }
                }
            }
        }
        if !notes.is_empty() {
            object.set_annotation(ANNOTATION, &format!("LimitRanger plugin set: {}", notes.join("; ")));
        }
    }
}

fn fill(container: &mut Value, member: &str, values: &Map<String, Value>) -> Vec<String> {
    let mut set = Vec::new();
    if values.is_empty() {
        return set;
    }
    if let Some(own) = object_mut(&mut container["resources"][member]) {
        for (name, amount) in values {
            if !own.contains_key(name) {
                own.insert(name.clone(), amount.clone());
                set.push(name.clone());
            }
        }
    }
    set
}

/// Refuses what exceeds the bounds of a limit range of the namespace.
pub(super) fn validate(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &Value) -> Result<(), Status> {
    let claim = at.is("", "persistentvolumeclaims");
    let update = at.operation == Operation::Update;
    if !(at.is_create("", "pods") || claim && (update || at.operation == Operation::Create)) {
        return Ok(());
    }
    for range in cx.peek.list("limitranges", at.namespace) {
        let mut errors = Vec::new();
        for item in list_at(spec(&range), "limits") {
            match (str_at(item, "type"), claim) {
                ("Container", false) => {
                    for member in ["containers", "initContainers"] {
                        for container in list_at(spec(object), member) {
                            let resources = &container["resources"];
                            check(item, &amounts(resources, "requests"), &amounts(resources, "limits"), &mut errors);
                        }
                    }
                }
                ("Pod", false) => check(item, &pod_sum(object, "requests"), &pod_sum(object, "limits"), &mut errors),
                ("PersistentVolumeClaim", true) => {
                    check_claim(item, &amounts(&spec(object)["resources"], "requests"), &mut errors);
                }
                _ => {}
            }
        }
        if let [only] = &errors[..] {
            return Err(at.forbidden(Some(object), only));
        }
        if !errors.is_empty() {
            return Err(at.forbidden(Some(object), format!("[{}]", errors.join(", "))));
        }
    }
    Ok(())
}

fn amounts(parent: &Value, member: &str) -> Amounts {
    entries_at(parent, member).map(|(name, amount)| (name.to_owned(), quantity(amount))).collect()
}

/// What a pod as a whole asks for: its containers together, or the largest init container if that is more.
pub(super) fn pod_sum(pod: &Value, member: &str) -> Amounts {
    let spec = spec(pod);
    let mut sum = Amounts::new();
    for container in list_at(spec, "containers") {
        add(&mut sum, amounts(&container["resources"], member));
    }
    let mut sidecars = Amounts::new();
    for container in list_at(spec, "initContainers") {
        let own = amounts(&container["resources"], member);
        if str_at(container, "restartPolicy") == "Always" {
            add(&mut sum, own.clone());
            add(&mut sidecars, own);
            continue;
        }
        let mut peak = sidecars.clone();
        add(&mut peak, own);
        for (name, amount) in peak {
            let entry = sum.entry(name).or_insert(amount);
            *entry = (*entry).max(amount);
        }
    }
    let overhead = amounts(spec, "overhead");
    let counted = |name: &String| member == "requests" || sum.contains_key(name);
    let overhead: Amounts = overhead.into_iter().filter(|(name, _)| counted(name)).collect();
    add(&mut sum, overhead);
    sum
}

fn add(to: &mut Amounts, more: Amounts) {
    for (name, amount) in more {
        let entry = to.entry(name).or_insert(Quantity::ZERO);
        *entry = *entry + amount;
    }
}

fn check(item: &Value, requests: &Amounts, limits: &Amounts, errors: &mut Vec<String>) {
    let kind = str_at(item, "type");
    for (name, bound) in amounts(item, "min") {
        let head = format!("minimum {name} usage per {kind} is {bound}");
        match requests.get(&name) {
            None => errors.push(format!("{head}.  No request is specified")),
            Some(request) if *request < bound => errors.push(format!("{head}, but request is {request}")),
            Some(_) => {
                if let Some(limit) = limits.get(&name).filter(|l| **l < bound) {
                    errors.push(format!("{head}, but limit is {limit}"));
                }
            }
        }
    }
    for (name, bound) in amounts(item, "max") {
        let head = format!("maximum {name} usage per {kind} is {bound}");
        match limits.get(&name) {
            None => errors.push(format!("{head}.  No limit is specified")),
            Some(limit) if *limit > bound => errors.push(format!("{head}, but limit is {limit}")),
            Some(_) => {
                if let Some(request) = requests.get(&name).filter(|r| **r > bound) {
                    errors.push(format!("{head}, but request is {request}"));
                }
            }
        }
    }
    for (name, bound) in amounts(item, "maxLimitRequestRatio") {
        errors.extend(ratio(&name, kind, bound, requests.get(&name), limits.get(&name)));
    }
}

#[allow(clippy::cast_precision_loss, reason = "the real server divides floats, too")]
fn ratio(
    name: &str,
    kind: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let head = format!("{name} max limit to request ratio per {kind} is {bound}");
    let Some(request) = request.filter(|r| !r.is_zero()) else {
        return Some(format!("{head}, but no request is specified or request is 0"));
    };
    let Some(limit) = limit.filter(|l| !l.is_zero()) else {
        return Some(format!("{head}, but no limit is specified or limit is 0"));
    };
    let observed = limit.milli_value() as f64 / request.milli_value() as f64;
    let exceeded = observed > bound.milli_value() as f64 / 1000.0;
    exceeded.then(|| format!("{head}, but provided ratio is {observed:.6}"))
}

fn check_claim(item: &Value, requests: &Amounts, errors: &mut Vec<String>) {
    let kind = str_at(item, "type");
    for (member, word, too) in [("min", "minimum", -1), ("max", "maximum", 1)] {
        for (name, bound) in amounts(item, member) {
            let head = format!("{word} {name} usage per {kind} is {bound}");
            match requests.get(&name) {
                None => errors.push(format!("{head}.  No request is specified")),
                Some(request) if request.cmp(&bound) as i32 == too => {
                    errors.push(format!("{head}, but request is {request}"));
                }
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Cluster, create};
    use super::*;
    use serde_json::json;

    fn cluster(limit: &Value) -> Cluster {
        Cluster::new(vec![(
            "limitranges",
            json!({"metadata": {"name": "lr", "namespace": "n"}, "spec": {"limits": [limit]}}),
        )])
    }

    #[test]
    fn defaults_are_set_and_noted() {
        let cluster = cluster(
            &json!({"type": "Container", "default": {"cpu": "200m", "memory": "128Mi"}, "defaultRequest": {"cpu": "100m", "memory": "128Mi"}}),
        );
        let mut pod = json!({"spec": {"containers": [
            {"name": "c", "resources": {"requests": {"cpu": "150m"}}},
            {"name": "d", "resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}}},
        ]}});
        mutate(&cluster.cx(), &create("pods"), &mut pod);
        assert_eq!(
            pod["metadata"]["annotations"][ANNOTATION],
            "LimitRanger plugin set: memory request for container c; cpu, memory limit for container c; cpu request for container d; cpu limit for container d"
        );
        assert_eq!(pod["spec"]["containers"][1]["resources"]["limits"], json!({"memory": "64Mi", "cpu": "200m"}));
    }

    #[test]
    fn bounds_are_kept() {
        let cluster = cluster(&json!({"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "100m"}}));
        let refusal = |resources: Value| {
            let pod = json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
            validate(&cluster.cx(), &create("pods"), &pod).unwrap_err().message
        };
        assert_eq!(
            refusal(json!({"limits": {"cpu": "2"}, "requests": {"cpu": "1"}})),
            "pods \"p\" is forbidden: maximum cpu usage per Container is 1, but limit is 2"
        );
        assert_eq!(
            refusal(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "50m"}})),
            "pods \"p\" is forbidden: minimum cpu usage per Container is 100m, but request is 50m"
        );
    }
}
