//! ServiceAccount: references to secrets are cut down to names.
//!
//! Counterpart: `registry/core/serviceaccount`. Tokens are issued elsewhere.

use super::access::{list_mut, str_at};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

const ENFORCE_MOUNTABLE: &str = "kubernetes.io/enforce-mountable-secrets";

/// Hooks of ServiceAccount.
#[derive(Clone, Copy, Debug)]
pub struct ServiceAccountStrategy;

impl Strategy for ServiceAccountStrategy {
    fn prepare_create(&self, _cx: &WriteContext<'_>, object: &mut Value) {
        keep_names_only(object);
    }

    fn prepare_update(&self, _cx: &WriteContext<'_>, object: &mut Value, _old: &Value) {
        keep_names_only(object);
    }

    fn warnings(&self, _cx: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let set = |o: &Value| o.annotation(ENFORCE_MOUNTABLE).is_some();
        if set(object) && !old.is_some_and(set) {
            vec![format!(
                "metadata.annotations[{ENFORCE_MOUNTABLE}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
            )]
        } else {
            Vec::new()
        }
    }
}

fn keep_names_only(object: &mut Value) {
    for secret in list_mut(object, "secrets") {
        let name = str_at(secret, "name");
        *secret = if name.is_empty() { json!({}) } else { json!({"name": name}) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lose_all_but_the_name() {
        let mut object = json!({"secrets": [{"name": "a", "kind": "Secret", "uid": "u"}]});
        keep_names_only(&mut object);
        assert_eq!(object, json!({"secrets": [{"name": "a"}]}));
    }
}
