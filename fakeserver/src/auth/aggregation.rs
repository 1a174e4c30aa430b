//! What aggregated ClusterRoles must hold, as a function of all ClusterRoles.
//!
//! Counterpart: kube-controller-manager `clusterroleaggregation`. Writing the result back is the controller's work.

use super::policy::{PolicyRule, items, strings, text};
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::{Map, Value};
use std::borrow::Borrow;
use std::collections::BTreeMap;

/// The aggregated ClusterRoles whose stored rules are out of date, with the rules they should have, in name order.
/// Roles that gather from other aggregated roles are followed to the end. An empty list is stored as `rules: null`.
#[must_use]
pub fn aggregate<T: Borrow<Value>>(cluster_roles: &[T]) -> Vec<(String, Vec<PolicyRule>)> {
    let roles: BTreeMap<&str, &Value> =
        cluster_roles.iter().map(Borrow::borrow).map(|role| (role.name(), role)).collect();
    let stored: BTreeMap<&str, Vec<PolicyRule>> =
        roles.iter().map(|(name, role)| (*name, PolicyRule::list(role))).collect();
    let mut wanted = stored.clone();
    // Each pass carries rules one step along a chain of roles; a circle of roles ends with the last pass.
    for _ in 0..roles.len() {
        let mut changed = false;
        for (name, role) in &roles {
            let Some(selectors) = selectors(role) else { continue };
            let gathered = gather(name, selectors, &roles, &wanted);
            if wanted.get(name) != Some(&gathered) {
                wanted.insert(name, gathered);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let changed = wanted.into_iter().filter(|(name, rules)| stored.get(name) != Some(rules));
    changed.map(|(name, rules)| (name.to_owned(), rules)).collect()
}

fn selectors(role: &Value) -> Option<&[Value]> {
    role.get("aggregationRule").filter(|rule| rule.is_object()).map(|rule| items(rule, "clusterRoleSelectors"))
}

fn gather(
    name: &str,
    selectors: &[Value],
    roles: &BTreeMap<&str, &Value>,
    rules: &BTreeMap<&str, Vec<PolicyRule>>,
) -> Vec<PolicyRule> {
    let mut gathered: Vec<PolicyRule> = Vec::new();
    for selector in selectors {
        let parts = roles.iter().filter(|(part, role)| **part != name && selects(selector, role.labels()));
        for rule in parts.filter_map(|(part, _)| rules.get(part)).flatten() {
            if !gathered.contains(rule) {
                gathered.push(rule.clone());
            }
        }
    }
    gathered
}

/// Whether a `metav1.LabelSelector` selects an object with these labels; an unknown operator selects nothing.
fn selects(selector: &Value, labels: Option<&Map<String, Value>>) -> bool {
    let value = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
    let by_label = selector.get("matchLabels").and_then(Value::as_object);
    let labels_match = by_label.into_iter().flatten().all(|(key, wanted)| value(key) == wanted.as_str());
    labels_match
        && items(selector, "matchExpressions").iter().all(|expression| {
            let found = value(&text(expression, "key"));
            let listed = found.is_some_and(|f| strings(expression.get("values")).iter().any(|v| v == f));
            match text(expression, "operator").as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn part(name: &str, label: &str, verb: &str) -> Value {
        json!({"metadata": {"name": name, "labels": {label: "yes"}},
               "rules": [{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}]})
    }

    fn sum(name: &str, label: &str, gathers: &str) -> Value {
        json!({"metadata": {"name": name, "labels": {label: "yes"}}, "rules": null,
               "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {gathers: "yes"}}]}})
    }

    fn verbs(found: &[(String, Vec<PolicyRule>)]) -> Vec<(String, String)> {
        let join = |rules: &[PolicyRule]| rules.iter().flat_map(|r| r.verbs.clone()).collect::<Vec<_>>().join(",");
        found.iter().map(|(name, rules)| (name.clone(), join(rules))).collect()
    }

    #[test]
    fn rules_travel_along_chains_of_roles() {
        let roles = [
            sum("admin", "x", "to-admin"),
            sum("edit", "to-admin", "to-edit"),
            sum("view", "to-edit", "to-view"),
            part("v", "to-view", "get"),
            part("e", "to-edit", "create"),
        ];
        let expected = [("admin", "create,get"), ("edit", "create,get"), ("view", "get")];
        assert_eq!(verbs(&aggregate(&roles)), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn own_rules_of_an_aggregated_role_are_replaced() {
        let mut role = sum("s", "x", "nobody");
        role["rules"] = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
        assert_eq!(aggregate(&[role]), [("s".to_owned(), Vec::new())]);
    }

    #[test]
    fn what_is_up_to_date_is_left_alone() {
        assert!(aggregate(&[sum("s", "x", "none"), part("p", "y", "get")]).is_empty());
    }
}
