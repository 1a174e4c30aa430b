//! DefaultTolerationSeconds: pods tolerate a failing node for five minutes.

use super::{Attributes, Operation};
use crate::strategies::access::{ensure_list, list_at, spec, str_at};
use serde_json::{Value, json};

const TAINTS: &[&str] = &["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const SECONDS: i64 = 300;

pub(super) fn mutate(at: &Attributes<'_>, object: &mut Value) {
    if !at.is("", "pods") || !matches!(at.operation, Operation::Create | Operation::Update) {
        return;
    }
    let tolerated = |key: &str| {
        list_at(spec(object), "tolerations").iter().any(|t| {
            matches!(str_at(t, "key"), k if k == key || k.is_empty()) && matches!(str_at(t, "effect"), "NoExecute" | "")
        })
    };
    let missing: Vec<&str> = TAINTS.iter().copied().filter(|key| !tolerated(key)).collect();
    if missing.is_empty() {
        return;
    }
    if let Some(tolerations) = ensure_list(&mut object["spec"], "tolerations") {
        tolerations.extend(
            missing.into_iter().map(
                |key| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}),
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::create;
    use super::*;

    #[test]
    fn what_a_pod_tolerates_itself_stays() {
        let mut pod = json!({"spec": {"tolerations": [{"operator": "Exists"}]}});
        mutate(&create("pods"), &mut pod);
        assert_eq!(pod["spec"]["tolerations"], json!([{"operator": "Exists"}]));
        let mut pod = json!({"spec": {}});
        mutate(&create("pods"), &mut pod);
        assert_eq!(list_at(&pod["spec"], "tolerations").len(), 2);
    }
}
