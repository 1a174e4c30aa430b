//! Rows of role bindings, certificate signing requests and admission configuration.

use super::cells::{NONE, UNSET, at, created, list, name, selector_text, text, text_or};
use jiff::Timestamp;
use rehearsal_apimachinery::time::human_duration;
use serde_json::Value;

/// Bindings of both scopes.
pub(super) fn role_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let subjects = |kind: &str| -> Value {
        let of_kind = list(object, "/subjects").iter().filter(|s| text(s, "/kind") == kind);
        let names = of_kind.map(|s| match (kind, text(s, "/namespace")) {
            ("ServiceAccount", namespace) if !namespace.is_empty() => format!("{namespace}/{}", text(s, "/name")),
            _ => text(s, "/name").to_owned(),
        });
        names.collect::<Vec<_>>().join(", ").into()
    };
    vec![
        name(object),
        format!("{}/{}", text(object, "/roleRef/kind"), text(object, "/roleRef/name")).into(),
        created(object, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

pub(super) fn certificate_signing_request(object: &Value, now: Timestamp) -> Vec<Value> {
    let duration = at(object, "/spec/expirationSeconds").and_then(Value::as_i64);
    let duration = duration.map_or_else(|| NONE.to_owned(), human_duration);
    vec![
        name(object),
        created(object, now),
        text_or(object, "/spec/signerName", NONE).into(),
        text(object, "/spec/username").into(),
        duration.into(),
        csr_status(object).into(),
    ]
}

fn csr_status(csr: &Value) -> String {
    let has = |kind| list(csr, "/status/conditions").iter().any(|c| text(c, "/type") == kind);
    let decision = match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    };
    let failed = if has("Failed") { ",Failed" } else { "" };
    let issued = if text(csr, "/status/certificate").is_empty() { "" } else { ",Issued" };
    format!("{decision}{failed}{issued}")
}

// === admission ===

pub(super) fn webhook_configuration(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), list(object, "/webhooks").len().into(), created(object, now)]
}

/// Policies of both sorts; `rules` is where their expressions are.
pub(super) fn admission_policy(object: &Value, rules: &str, now: Timestamp) -> Vec<Value> {
    let kind = at(object, "/spec/paramKind")
        .map_or_else(|| UNSET.to_owned(), |k| format!("{}/{}", text(k, "/apiVersion"), text(k, "/kind")));
    vec![name(object), list(object, rules).len().into(), kind.into(), created(object, now)]
}

/// Bindings of both sorts.
pub(super) fn admission_policy_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let policy = text(object, "/spec/policyName").into();
    vec![name(object), policy, param_ref(object).into(), created(object, now)]
}

fn param_ref(binding: &Value) -> String {
    let Some(reference) = at(binding, "/spec/paramRef") else { return UNSET.to_owned() };
    let param = text(reference, "/name");
    if !param.is_empty() {
        // Whether the parameter has a namespace cannot be told from here.
        return format!("{}/{param}", text_or(reference, "/namespace", "*"));
    }
    let selector = at(reference, "/selector");
    selector.map_or_else(|| UNSET.to_owned(), |s| selector_text(s).unwrap_or_else(|| "<error>".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    #[test]
    fn subjects_are_sorted_into_their_columns() {
        let object = json!({"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": [
            {"kind": "User", "name": "u1"}, {"kind": "User", "name": "u2"}, {"kind": "Group", "name": "g"},
            {"kind": "ServiceAccount", "namespace": "ns", "name": "sa"}]});
        let cells = role_binding(&object, now());
        assert_eq!(cells[1], json!("Role/r"));
        assert_eq!(cells[3..], [json!("u1, u2"), json!("g"), json!("ns/sa")]);
    }

    #[test]
    fn requests_sum_up_their_conditions() {
        let object = |kinds: &[&str], certificate: &str| {
            let conditions: Vec<_> = kinds.iter().map(|k| json!({"type": k})).collect();
            csr_status(&json!({"status": {"conditions": conditions, "certificate": certificate}}))
        };
        assert_eq!(object(&[], ""), "Pending");
        assert_eq!(object(&["Approved"], "eA=="), "Approved,Issued");
        assert_eq!(object(&["Approved", "Failed"], ""), "Approved,Failed");
    }

    #[test]
    fn bindings_name_their_parameter() {
        let of = |reference: &Value| param_ref(&json!({"spec": {"paramRef": reference}}));
        assert_eq!(of(&json!({"name": "p"})), "*/p");
        assert_eq!(of(&json!({"name": "p", "namespace": "n"})), "n/p");
        assert_eq!(of(&Value::Null), "<unset>");
    }
}
