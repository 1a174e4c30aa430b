//! ResourceQuota: what a namespace may use, judged by `status.hard` and `status.used` alone.
//!
//! A quota without status bounds nothing yet. Usage is only ever raised here; lowering it is the controller's work.

use super::resource_quota_usage::{Usage, amounts, has_ended, in_scope, unspecified, usage};
use super::{Attributes, Operation, QuotaUpdate};
use crate::strategies::WriteContext;
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::quantity::Quantity;
use rehearsal_apimachinery::status::Status;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

pub(super) fn validate(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &Value) -> Result<Vec<QuotaUpdate>, Status> {
    let update = at.operation == Operation::Update;
    let relevant = matches!(at.operation, Operation::Create) || update && changes_usage(at);
    if !relevant || !at.subresource.is_empty() || at.namespace.is_empty() || has_ended(at, object) {
        return Ok(Vec::new());
    }
    let quotas = cx.peek.list("resourcequotas", at.namespace);
    if quotas.is_empty() {
        return Ok(Vec::new());
    }
    let mut asked = usage(at, object);
    if let Some(old) = at.old.filter(|_| update) {
        let before = usage(at, old);
        for (name, amount) in &mut asked {
            *amount = *amount - before.get(name).copied().unwrap_or(Quantity::ZERO);
        }
    }
    let mut updates = Vec::new();
    for quota in quotas.iter().filter(|q| in_scope(at, q, object)) {
        updates.extend(one_quota(at, object, quota, &asked)?);
    }
    Ok(updates)
}

/// Kinds of which an update may use more.
fn changes_usage(at: &Attributes<'_>) -> bool {
    at.group.is_empty() && matches!(at.resource, "services" | "persistentvolumeclaims")
}

fn one_quota(at: &Attributes<'_>, object: &Value, quota: &Value, asked: &Usage) -> Result<Option<QuotaUpdate>, Status> {
    let hard = amounts(&quota["status"], "hard");
    let used = amounts(&quota["status"], "used");
    let asked: Usage =
        asked.iter().filter(|(name, _)| hard.contains_key(*name)).map(|(n, q)| (n.clone(), *q)).collect();
    let name = quota.name();
    if at.operation == Operation::Create {
        let bounded: BTreeSet<&str> = hard.keys().map(String::as_str).collect();
        let open = unspecified(at, object, &bounded);
        if !open.is_empty() {
            return Err(at.forbidden(Some(object), format!("failed quota: {name}: must specify {open}")));
        }
    }
    let unknown: Vec<&str> = asked.keys().filter(|n| !used.contains_key(*n)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let why = format!("status unknown for quota: {name}, resources: {}", unknown.join(","));
        return Err(at.forbidden(Some(object), why));
    }
    let rising: Usage = asked.into_iter().filter(|(_, amount)| *amount > Quantity::ZERO).collect();
    let zero = Quantity::ZERO;
    let sum = |n: &String, amount: Quantity| used.get(n).copied().unwrap_or(zero) + amount;
    let exceeded: Vec<&String> =
        rising.iter().filter(|(n, a)| hard.get(*n).is_some_and(|h| sum(n, **a) > *h)).map(|(n, _)| n).collect();
    if !exceeded.is_empty() {
        let print = |from: &Usage| {
            let parts = exceeded.iter().map(|n| format!("{n}={}", from.get(*n).copied().unwrap_or(zero)));
            parts.collect::<Vec<_>>().join(",")
        };
        let why = format!(
            "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
            print(&rising),
            print(&used),
            print(&hard)
        );
        return Err(at.forbidden(Some(object), why));
    }
    if rising.is_empty() {
        return Ok(None);
    }
    let raised: Map<String, Value> =
        rising.iter().map(|(n, amount)| (n.clone(), sum(n, *amount).to_string().into())).collect();
    Ok(Some(QuotaUpdate { namespace: at.namespace.into(), name: name.into(), used: Value::Object(raised) }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Cluster, create};
    use super::*;
    use serde_json::json;

    fn cluster(hard: &Value, used: &Value) -> Cluster {
        Cluster::new(vec![(
            "resourcequotas",
            json!({"metadata": {"name": "q", "namespace": "n"}, "status": {"hard": hard, "used": used}}),
        )])
    }

    #[test]
    fn objects_are_counted() {
        let quota = cluster(&json!({"secrets": "1"}), &json!({"secrets": "0"}));
        let updates = validate(&quota.cx(), &create("secrets"), &json!({})).unwrap();
        assert_eq!(updates[0].used, json!({"secrets": "1"}));
        let quota = cluster(&json!({"secrets": "1"}), &json!({"secrets": "1"}));
        assert_eq!(
            validate(&quota.cx(), &create("secrets"), &json!({})).unwrap_err().message,
            "secrets \"p\" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=1, limited: secrets=1"
        );
    }

    #[test]
    fn compute_is_summed_and_must_be_specified() {
        let hard = json!({"requests.cpu": "1", "limits.memory": "1Gi", "pods": "2"});
        let used = json!({"requests.cpu": "600m", "limits.memory": "600Mi", "pods": "1"});
        let quota = cluster(&hard, &used);
        let pod = |resources: Value| json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
        let refusal = |pod| validate(&quota.cx(), &create("pods"), &pod).unwrap_err().message;
        assert_eq!(
            refusal(pod(json!({}))),
            "pods \"p\" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c"
        );
        assert_eq!(
            refusal(pod(json!({"requests": {"cpu": "600m"}, "limits": {"memory": "600Mi"}}))),
            "pods \"p\" is forbidden: exceeded quota: q, requested: limits.memory=600Mi,requests.cpu=600m, used: limits.memory=600Mi,requests.cpu=600m, limited: limits.memory=1Gi,requests.cpu=1"
        );
        let small = pod(json!({"requests": {"cpu": "100m"}, "limits": {"memory": "100Mi"}}));
        let updates = validate(&quota.cx(), &create("pods"), &small).unwrap();
        assert_eq!(updates[0].used, json!({"requests.cpu": "700m", "limits.memory": "700Mi", "pods": "2"}));
    }

    #[test]
    fn a_quota_without_status_bounds_nothing() {
        let quota = Cluster::new(vec![(
            "resourcequotas",
            json!({"metadata": {"name": "q", "namespace": "n"}, "spec": {"hard": {"secrets": "0"}}}),
        )]);
        assert_eq!(validate(&quota.cx(), &create("secrets"), &json!({})), Ok(vec![]));
        let quota = Cluster::new(vec![(
            "resourcequotas",
            json!({"metadata": {"name": "q", "namespace": "n"}, "status": {"hard": {"configmaps": "1"}}}),
        )]);
        assert_eq!(
            validate(&quota.cx(), &create("configmaps"), &json!({})).unwrap_err().message,
            "configmaps \"p\" is forbidden: status unknown for quota: q, resources: configmaps"
        );
    }
}
