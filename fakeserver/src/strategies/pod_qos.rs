//! Quality of service of a Pod, from the resources of its containers or its own.
//!
//! Counterpart: `apis/core/v1/helper/qos.ComputePodQOS`.

use super::access::{has, list_at, str_at};
use super::pod_spec::resources::{ResourceList, resource_list};
use rehearsal_apimachinery::quantity::Quantity;
use serde_json::Value;

/// The resources that count.
const COMPUTE: [&str; 2] = ["cpu", "memory"];

/// The class of a Pod: the recorded one, computed where there is none.
pub(crate) fn qos_of(pod: &Value) -> &str {
    match str_at(&pod["status"], "qosClass") {
        "" => compute_qos(pod),
        class => class,
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub(crate) fn compute_qos(pod: &Value) -> &'static str {
    let spec = &pod["spec"];
    let own = &spec["resources"];
    let (requests, limits, all_limited) = if has(own, "requests") || has(own, "limits") {
        let (requests, limits) = (positive(own, "requests"), positive(own, "limits"));
        let all = COMPUTE.iter().all(|name| limits.contains_key(name));
        (requests, limits, all)
    } else {
        of_containers(spec)
    };
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if all_limited && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn positive<'a>(resources: &'a Value, list: &str) -> ResourceList<'a> {
    let mut amounts = resource_list(resources, list);
    amounts.retain(|name, amount| COMPUTE.contains(name) && amount.signum() > 0);
    amounts
}

/// Sums over init and regular containers, and whether each has all limits.
fn of_containers(spec: &Value) -> (ResourceList<'_>, ResourceList<'_>, bool) {
    let (mut requests, mut limits, mut all_limited) = (ResourceList::new(), ResourceList::new(), true);
    for container in list_at(spec, "containers").iter().chain(list_at(spec, "initContainers")) {
        let own = positive(&container["resources"], "limits");
        all_limited &= own.len() == COMPUTE.len();
        add(&mut requests, positive(&container["resources"], "requests"));
        add(&mut limits, own);
    }
    (requests, limits, all_limited)
}

fn add<'a>(sum: &mut ResourceList<'a>, more: ResourceList<'a>) {
    for (name, amount) in more {
        let entry = sum.entry(name).or_insert(Quantity::ZERO);
        *entry = *entry + amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_class_follows_requests_and_limits() {
        let full = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1000m", "memory": "1024Mi"}});
        let cases = [
            (json!([{}]), "BestEffort"),
            (json!([{"resources": {"limits": {"example.com/gpu": "1"}}}]), "BestEffort"),
            (json!([{"resources": {"requests": {"cpu": "0"}}}]), "BestEffort"),
            (json!([{"resources": full}]), "Guaranteed"),
            (json!([{"resources": full}, {}]), "Burstable"),
            (json!([{"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}}]), "Burstable"),
        ];
        for (containers, want) in cases {
            assert_eq!(compute_qos(&json!({"spec": {"containers": containers}})), want, "{containers}");
        }
    }

    #[test]
    fn resources_of_the_whole_pod_decide_alone() {
        let own = json!({"requests": {"cpu": "1", "memory": "1"}, "limits": {"cpu": "1", "memory": "1"}});
        assert_eq!(compute_qos(&json!({"spec": {"resources": own, "containers": [{}]}})), "Guaranteed");
    }
}
