//! How many pods of a PodDisruptionBudget may be evicted now. Counterpart: `pkg/controller/disruption`.
//!
//! Evictions count `disruptionsAllowed` down and note the pod in `disruptedPods`; here both are made true again from the
//! pods there are.

use super::Parts;
use super::agent::Agent;
use super::runner::{Change, Controller, Item, Outcome};
use super::tracked::Tracked;
use crate::clock::rfc3339;
use crate::registry::Target;
use crate::store::{Collection, split_key};
use crate::strategies::Peek as _;
use crate::strategies::access::{entries_at, int_at, list_at, spec, str_at};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use rehearsal_apimachinery::ObjectMeta;
use rehearsal_apimachinery::selector::LabelSelector;
use rehearsal_apimachinery::status::Status;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const BUDGETS: &str = "poddisruptionbudgets.policy";
const PODS: &str = "pods";
/// What may own pods and says how many there should be, as (kind, collection).
const SCALED: [(&str, &str); 4] = [
    ("Deployment", "deployments.apps"),
    ("ReplicaSet", "replicasets.apps"),
    ("ReplicationController", "replicationcontrollers"),
    ("StatefulSet", "statefulsets.apps"),
];
/// How long an evicted pod that has not been deleted counts as gone (`DeletionTimeout`).
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);

/// Keeps the status of the budgets.
pub(super) struct Disruption {
    agent: Agent,
    budgets: Tracked,
}

/// What a budget's pods allow.
struct Figures {
    healthy: i64,
    desired: i64,
    expected: i64,
    disrupted: Map<String, Value>,
}

impl Figures {
    fn allowed(&self) -> i64 {
        // A budget of no pods allows nothing, rather than everything.
        if self.expected > 0 { (self.healthy - self.desired).max(0) } else { 0 }
    }
}

impl Disruption {
    pub(super) fn new(parts: &Parts) -> Self {
        Self { agent: Agent::new(&parts.registry, "disruption-controller"), budgets: Tracked::new(BUDGETS) }
    }

    async fn sync(&self, namespace: &str, name: &str) -> Result<Outcome, Status> {
        let target = self.agent.target(BUDGETS, namespace, name)?;
        let Some(budget) = self.agent.read(&target) else { return Ok(Outcome::Done) };
        let now = self.agent.registry.clock().now();
        let (disrupted, recheck) = self.disrupted(&budget, now);
        let figures = self.figures(&budget, disrupted);
        let status = Target { subresource: "status".into(), ..target };
        let change = |budget: &mut Value| {
            let generation = budget.generation();
            let verdict = match &figures {
                Ok(figures) => write_figures(budget, figures),
                Err(why) => {
                    budget["status"]["disruptionsAllowed"] = json!(0);
                    ("False", "SyncFailed", why.as_str())
                }
            };
            budget["status"]["observedGeneration"] = json!(generation);
            set_condition(budget, verdict, generation, now);
        };
        self.agent.patch(&status, budget.uid(), change).await?;
        Ok(recheck.map_or(Outcome::Done, Outcome::At))
    }

    /// The evicted pods that still have to go, and when one of them has had its time.
    fn disrupted(&self, budget: &Value, now: Timestamp) -> (Map<String, Value>, Option<Timestamp>) {
        let (mut kept, mut recheck) = (Map::new(), None::<Timestamp>);
        for (name, since) in entries_at(&budget["status"], "disruptedPods") {
            let pod = self.agent.registry.peek().get(PODS, budget.namespace(), name);
            let since: Option<Timestamp> = since.as_str().and_then(|since| since.parse().ok());
            let Some(until) = since.and_then(|since| since.checked_add(DELETION_TIMEOUT).ok()) else { continue };
            if pod.is_none_or(|pod| pod.is_deleting()) || until <= now {
                continue;
            }
            kept.insert(name.to_owned(), budget["status"]["disruptedPods"][name].clone());
            recheck = Some(recheck.map_or(until, |earlier| earlier.min(until)));
        }
        (kept, recheck)
    }

    fn figures(&self, budget: &Value, disrupted: Map<String, Value>) -> Result<Figures, String> {
        let pods = self.pods(budget)?;
        let healthy = pods.iter().filter(|pod| is_healthy(pod) && !disrupted.contains_key(pod.name())).count();
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let (most, least) = (&spec(budget)["maxUnavailable"], &spec(budget)["minAvailable"]);
        let (expected, desired) = if !most.is_null() {
            let expected = self.scale(&pods)?;
            (expected, (expected - share(most, expected)?).max(0))
        } else if least.is_i64() {
            (count(pods.len()), share(least, 0)?)
        } else if !least.is_null() {
            let expected = self.scale(&pods)?;
            (expected, share(least, expected)?)
        } else {
            (0, 0)
        };
        Ok(Figures { healthy: count(healthy), desired, expected, disrupted })
    }

    /// The pods a budget selects. Without a selector there are none.
    fn pods(&self, budget: &Value) -> Result<Vec<Arc<Value>>, String> {
        let selector = &spec(budget)["selector"];
        if selector.is_null() {
            return Ok(Vec::new());
        }
        let selector = LabelSelector::from_object(selector)?;
        let snapshot = self.agent.registry.storage().snapshot();
        let pods = snapshot.range(PODS, &format!("{}/", budget.namespace()), "").map(|(_, pod)| pod);
        Ok(pods.filter(|pod| selector.matches(|key| pod.label(key))).map(|pod| pod.value()).collect())
    }

    /// How many pods there should be, as those say who control the pods; pods that nobody controls do not count.
    fn scale(&self, pods: &[Arc<Value>]) -> Result<i64, String> {
        let mut replicas = BTreeMap::new();
        for pod in pods {
            let Some(owner) = controller(pod) else { continue };
            if !replicas.contains_key(str_at(owner, "uid")) {
                let found = self.controlled_by(pod.namespace(), owner);
                let (root, n) = found.ok_or_else(|| format!("found no controllers for pod {:?}", pod.name()))?;
                replicas.insert(root, n);
            }
        }
        Ok(replicas.values().sum())
    }

    /// The uid and replicas of a controller, or of the Deployment behind it.
    fn controlled_by(&self, namespace: &str, owner: &Value) -> Option<(String, i64)> {
        let (kind, collection) = SCALED.iter().find(|(kind, _)| *kind == str_at(owner, "kind"))?;
        let object = self.agent.registry.peek().get(collection, namespace, str_at(owner, "name"))?;
        if object.uid() != str_at(owner, "uid") {
            return None;
        }
        match controller(&object).filter(|above| *kind == "ReplicaSet" && str_at(above, "kind") == "Deployment") {
            Some(deployment) => self.controlled_by(namespace, deployment),
            None => Some((object.uid().to_owned(), int_at(spec(&object), "replicas").unwrap_or(1))),
        }
    }
}

fn controller(object: &Value) -> Option<&Value> {
    object.owner_references().iter().find(|owner| owner["controller"] == true)
}

fn is_healthy(pod: &Value) -> bool {
    let ready = |condition: &Value| str_at(condition, "type") == "Ready" && str_at(condition, "status") == "True";
    !pod.is_deleting() && list_at(&pod["status"], "conditions").iter().any(ready)
}

/// A number, or so many percent of a total, rounded up.
fn share(of: &Value, total: i64) -> Result<i64, String> {
    if let Some(number) = of.as_i64() {
        return Ok(number);
    }
    let text = of.as_str().unwrap_or_default();
    let percent = text.strip_suffix('%').and_then(|number| number.parse::<i64>().ok());
    let percent = percent.ok_or_else(|| format!("invalid value for IntOrString: {text:?}"))?;
    Ok(percent.saturating_mul(total).saturating_add(99) / 100)
}

/// Writes the figures; the condition they make: status, reason and message.
fn write_figures(budget: &mut Value, figures: &Figures) -> (&'static str, &'static str, &'static str) {
    let status = &mut budget["status"];
    status["currentHealthy"] = json!(figures.healthy);
    status["desiredHealthy"] = json!(figures.desired);
    status["expectedPods"] = json!(figures.expected);
    status["disruptionsAllowed"] = json!(figures.allowed());
    if !figures.disrupted.is_empty() {
        status["disruptedPods"] = Value::Object(figures.disrupted.clone());
    } else if let Some(status) = status.as_object_mut() {
        status.remove("disruptedPods");
    }
    if figures.allowed() > 0 { ("True", "SufficientPods", "") } else { ("False", "InsufficientPods", "") }
}

fn set_condition(budget: &mut Value, verdict: (&str, &str, &str), generation: i64, now: Timestamp) {
    const TYPE: &str = "DisruptionAllowed";
    let (status, reason, message) = verdict;
    let mut conditions = list_at(&budget["status"], "conditions").to_vec();
    let old = conditions.iter_mut().find(|condition| condition["type"] == TYPE);
    let since = match &old {
        Some(old) if old["status"] == status => old["lastTransitionTime"].clone(),
        _ => json!(rfc3339(now)),
    };
    let new = json!({"type": TYPE, "status": status, "observedGeneration": generation, "lastTransitionTime": since,
        "reason": reason, "message": message});
    match old {
        Some(old) => *old = new,
        None => conditions.push(new),
    }
    budget["status"]["conditions"] = Value::Array(conditions);
}

impl Controller for Disruption {
    fn watches(&self, collection: &str) -> bool {
        matches!(collection, BUDGETS | PODS) || SCALED.iter().any(|(_, scaled)| *scaled == collection)
    }

    fn forget(&mut self, collection: &Collection, work: &mut Vec<Item>) {
        work.extend(self.budgets.forget(collection));
    }

    fn observe(&mut self, change: &Change<'_>, work: &mut Vec<Item>) {
        if change.collection.as_str() == BUDGETS {
            self.budgets.follow(change, true);
            work.extend(change.after.map(|_| change.item()));
        } else {
            work.extend(self.budgets.of_namespace(split_key(change.key).0));
        }
    }

    fn reconcile<'a>(&'a mut self, item: &'a Item, _work: &'a mut Vec<Item>) -> BoxFuture<'a, Result<Outcome, Status>> {
        let (namespace, name) = split_key(&item.key);
        async move { self.sync(namespace, name).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_up() {
        assert_eq!(share(&json!(3), 10), Ok(3));
        assert_eq!(share(&json!("50%"), 5), Ok(3));
        assert_eq!(share(&json!("0%"), 5), Ok(0));
        assert!(share(&json!("half"), 5).is_err());
    }
}
