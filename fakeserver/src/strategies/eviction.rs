//! Whether a Pod may be evicted, as a decision without effects.
//!
//! Counterpart: `registry/core/pod/storage/eviction.go`. Deleting the Pod, writing its condition and the budget's
//! status are the caller's business, in the order: budget, condition, deletion.

use super::access::{has, int_at, list_at, set, str_at};
use super::rules::{selector_is_empty, selector_matches};
use jiff::Timestamp;
use rehearsal_apimachinery::status::{Status, StatusReason};
use serde_json::{Value, json};

/// At most this many Pods may be on their way out under one budget.
const MAX_DISRUPTED: usize = 2000;

/// What to do about an eviction.
#[derive(Debug, PartialEq)]
pub enum EvictionDecision {
    /// Delete the Pod; no budget is touched.
    Delete,
    /// Write this budget's new status, then the Pod's condition [`disruption_target`], then delete the Pod.
    Disrupt {
        /// The budget with `disruptionsAllowed` taken and the Pod recorded.
        budget: Value,
    },
    /// The answer is this refusal.
    Refuse(Box<Status>),
}

/// Decides about evicting `pod`; `budgets` are the PodDisruptionBudgets of its namespace.
pub fn eviction(pod: &Value, budgets: &[Value], now: Timestamp) -> EvictionDecision {
    let phase = str_at(&pod["status"], "phase");
    if matches!(phase, "Succeeded" | "Failed" | "Pending") || has(&pod["metadata"], "deletionTimestamp") {
        return EvictionDecision::Delete;
    }
    let labels = &pod["metadata"]["labels"];
    let matching: Vec<&Value> = budgets.iter().filter(|budget| covers(budget, labels)).collect();
    let budget = match matching.as_slice() {
        [] => return EvictionDecision::Delete,
        [budget] => *budget,
        _ => {
            let text =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return refuse(Status::bare500(text));
        }
    };
    if !is_ready(pod) && unready_may_go(budget) {
        return EvictionDecision::Delete;
    }
    match disrupt(pod, budget, now) {
        Ok(budget) => EvictionDecision::Disrupt { budget },
        Err(status) => refuse(*status),
    }
}

fn refuse(status: Status) -> EvictionDecision {
    EvictionDecision::Refuse(Box::new(status))
}

/// In policy/v1 the empty selector covers all Pods, a missing one none.
fn covers(budget: &Value, labels: &Value) -> bool {
    let selector = &budget["spec"]["selector"];
    selector_is_empty(selector) || selector_matches(selector, labels) == Some(true)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = list_at(&pod["status"], "conditions");
    conditions.iter().any(|c| str_at(c, "type") == "Ready" && str_at(c, "status") == "True")
}

/// Whether a Pod that is not ready may be evicted without taking from the budget.
fn unready_may_go(budget: &Value) -> bool {
    if str_at(&budget["spec"], "unhealthyPodEvictionPolicy") == "AlwaysAllow" {
        return true;
    }
    let status = &budget["status"];
    let (current, desired) = (count(status, "currentHealthy"), count(status, "desiredHealthy"));
    current >= desired && desired > 0
}

fn count(status: &Value, name: &str) -> i64 {
    int_at(status, name).unwrap_or_default()
}

/// The budget after one more disruption.
fn disrupt(pod: &Value, budget: &Value, now: Timestamp) -> Result<Value, Box<Status>> {
    let (status, name) = (&budget["status"], str_at(&budget["metadata"], "name"));
    if count(status, "observedGeneration") < count(&budget["metadata"], "generation") {
        let cause = format!("The disruption budget {name} is still being processed by the server.");
        return Err(Box::new(too_many(&cause).retry_after(10)));
    }
    let allowed = count(status, "disruptionsAllowed");
    if allowed < 0 {
        let why = "pdb disruptions allowed is negative";
        return Err(Box::new(forbidden(name, why)));
    }
    if status["disruptedPods"].as_object().is_some_and(|pods| pods.len() > MAX_DISRUPTED) {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Box::new(forbidden(name, why)));
    }
    if allowed == 0 {
        return Err(Box::new(too_many(&exhausted(name, status))));
    }
    let mut budget = budget.clone();
    if let Some(status) = budget.get_mut("status") {
        set(status, "disruptionsAllowed", allowed - 1);
        let mut pods = status["disruptedPods"].clone();
        set(&mut pods, str_at(&pod["metadata"], "name"), rfc3339(now));
        set(status, "disruptedPods", pods);
    }
    Ok(budget)
}

fn exhausted(name: &str, status: &Value) -> String {
    let (current, desired) = (count(status, "currentHealthy"), count(status, "desiredHealthy"));
    let condition = list_at(status, "conditions").iter().find(|c| str_at(c, "type") == "DisruptionAllowed");
    let text = |name: &str| condition.map_or("", |c| str_at(c, name));
    if text("status") == "False" && text("reason") == "SyncFailed" {
        format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed sync: {}",
            text("message")
        )
    } else if current <= desired {
        format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
    } else if text("status") == "False" {
        format!(
            "The disruption budget {name} does not allow evicting pods currently ({}): {}",
            text("reason"),
            text("message")
        )
    } else {
        format!("The disruption budget {name} does not allow evicting pods currently")
    }
}

fn too_many(cause: &str) -> Status {
    let text = "Cannot evict pod as it would violate the pod's disruption budget.";
    Status::failure(429, StatusReason::TooManyRequests, text).cause("DisruptionBudget", cause, "")
}

fn forbidden(name: &str, why: &str) -> Status {
    Status::forbidden(&rehearsal_apimachinery::gvk::GroupResource::new("policy", "poddisruptionbudget"), name, why)
}

fn rfc3339(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The condition that marks a Pod as evicted.
pub fn disruption_target(now: Timestamp) -> Value {
    json!({
        "type": "DisruptionTarget",
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": rfc3339(now),
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(phase: &str, ready: &str) -> Value {
        json!({"metadata": {"name": "p", "labels": {"a": "b"}},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}})
    }

    fn budget(status: &Value) -> Value {
        json!({"metadata": {"name": "pdb", "generation": 1}, "spec": {"selector": {"matchLabels": {"a": "b"}}}, "status": status})
    }

    fn cause(decision: EvictionDecision) -> String {
        let EvictionDecision::Refuse(status) = decision else { return format!("{decision:?}") };
        status.details.as_ref().map_or_else(|| status.message.clone(), |d| d.causes[0].message.clone())
    }

    #[test]
    fn a_budget_lets_go_until_it_is_used_up() {
        let now = Timestamp::UNIX_EPOCH;
        let open = budget(
            &json!({"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 3, "desiredHealthy": 2}),
        );
        let EvictionDecision::Disrupt { budget: used } = eviction(&pod("Running", "True"), &[open], now) else {
            panic!("not disrupted");
        };
        assert_eq!(used["status"]["disruptionsAllowed"], 0);
        assert_eq!(used["status"]["disruptedPods"]["p"], "1970-01-01T00:00:00Z");
        let full = budget(
            &json!({"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 3, "desiredHealthy": 3}),
        );
        let want = "The disruption budget pdb needs 3 healthy pods and has 3 currently";
        assert_eq!(cause(eviction(&pod("Running", "True"), std::slice::from_ref(&full), now)), want);
        assert_eq!(eviction(&pod("Pending", "True"), std::slice::from_ref(&full), now), EvictionDecision::Delete);
        assert_eq!(eviction(&pod("Running", "False"), &[full], now), EvictionDecision::Delete);
    }

    #[test]
    fn stale_and_double_budgets_are_refused() {
        let now = Timestamp::UNIX_EPOCH;
        let stale = budget(&json!({}));
        let decision = eviction(&pod("Running", "True"), std::slice::from_ref(&stale), now);
        let EvictionDecision::Refuse(status) = &decision else { panic!("{decision:?}") };
        assert_eq!((status.code, status.retry_after_seconds()), (429, Some(10)));
        assert_eq!(cause(decision), "The disruption budget pdb is still being processed by the server.");
        let EvictionDecision::Refuse(status) = eviction(&pod("Running", "True"), &[stale.clone(), stale], now) else {
            panic!("not refused");
        };
        assert_eq!((status.code, status.reason.is_none()), (500, true));
    }
}
