//! TaintNodesByCondition: a new node is not ready until somebody says so.

use super::Attributes;
use crate::strategies::access::{ensure_list, str_at};
use serde_json::{Value, json};

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub(super) fn mutate(at: &Attributes<'_>, object: &mut Value) {
    if !at.is_create("", "nodes") {
        return;
    }
    if let Some(taints) = ensure_list(&mut object["spec"], "taints")
        && !taints.iter().any(|t| str_at(t, "key") == NOT_READY && str_at(t, "effect") == "NoSchedule")
    {
        taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
    }
}
