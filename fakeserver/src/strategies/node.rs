//! Node: allocatable, taints, what an update may change.
//!
//! Counterpart: `registry/core/node`, `SetDefaults_NodeStatus`, `ValidateNode` and `ValidateNodeUpdate`. A node keeps
//! the status it is created with, as kubelets register that way.

use super::access::{bool_at, copy, has, list_at, path_mut, semantic_eq, spec, str_at};
use super::checks::{each, qualified_name, required_one_of};
use super::internal::internal_json;
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation::is_valid_label_value;
use serde_json::Value;
use std::collections::BTreeSet;

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
const TAINT: &str = "io.k8s.api.core.v1.Taint";

/// Hooks of Node.
#[derive(Clone, Copy, Debug)]
pub struct NodeStrategy;

impl Strategy for NodeStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(status) = path_mut(object, &["status"])
            && !has(status, "allocatable")
            && has(status, "capacity")
        {
            status["allocatable"] = status["capacity"].clone();
        }
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        copy(old, object, if cx.subresource == "status" { "spec" } else { "status" });
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        taints(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = taints(object);
        errors.extend(set_once(object, old));
        errors
    }

    fn selectable_fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("spec.unschedulable", bool_at(spec(object), "unschedulable").to_string())]
    }
}

fn taints(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (i, taint) in list_at(spec(object), "taints").iter().enumerate() {
        let path = Path::new("spec").child("taints").index(i);
        let (key, value, effect) = (str_at(taint, "key"), str_at(taint, "value"), str_at(taint, "effect"));
        errors.extend(qualified_name(&path.child("key"), key));
        errors.extend(each(&path.child("value"), value, is_valid_label_value(value)));
        errors.extend(required_one_of(&path.child("effect"), effect, EFFECTS));
        if !seen.insert((effect, key)) {
            let mut error = FieldError::duplicate(&path, taint.clone()).shown_as(internal_json(TAINT, taint));
            error.detail = "taints must be unique by key and effect pair".into();
            errors.push(error);
        }
    }
    errors
}

fn set_once(object: &Value, old: &Value) -> Vec<FieldError> {
    let (new, old) = (spec(object), spec(old));
    let mut errors = Vec::new();
    if !list_at(old, "podCIDRs").is_empty() && new["podCIDRs"] != old["podCIDRs"] {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(FieldError::forbidden("spec.podCIDRs", detail));
    }
    if !str_at(old, "providerID").is_empty() && new["providerID"] != old["providerID"] {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(FieldError::forbidden("spec.providerID", detail));
    }
    if !semantic_eq(&new["configSource"], &old["configSource"]) || new["externalID"] != old["externalID"] {
        let detail = "node updates may only change labels, taints, or capacity (or configSource, if the DynamicKubeletConfig feature gate is enabled)";
        errors.push(FieldError::forbidden("[]", detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn allocatable_follows_capacity() {
        let mut node = json!({"status": {"capacity": {"cpu": "2"}}});
        NodeStrategy.default(&mut node);
        assert_eq!(node["status"]["allocatable"], json!({"cpu": "2"}));
    }

    #[test]
    fn taints_differ_by_key_and_effect() {
        let taint = json!({"key": "a", "effect": "NoSchedule"});
        let errors = taints(&json!({"spec": {"taints": [taint, taint]}}));
        assert_eq!(
            errors[0].to_string(),
            "spec.taints[1]: Duplicate value: {\"Key\":\"a\",\"Value\":\"\",\"Effect\":\"NoSchedule\",\"TimeAdded\":null}: taints must be unique by key and effect pair"
        );
    }
}
