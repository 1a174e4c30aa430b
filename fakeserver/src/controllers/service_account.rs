//! The ServiceAccount `default` of every namespace. Counterpart: `serviceaccounts_controller.go`.

use super::Parts;
use super::agent::Agent;
use super::per_namespace::PerNamespace;
use serde_json::json;

pub(super) fn controller(parts: &Parts) -> PerNamespace {
    PerNamespace {
        agent: Agent::new(&parts.registry, "service-account-controller"),
        resource: "serviceaccounts",
        name: "default",
        object: json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}),
        kept: None,
    }
}
