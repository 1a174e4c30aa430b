//! Kubeconfigs that lead to the proxy: its address, its authority, a lane's token, and nothing of the real ones.

use super::lanes::Lanes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A kubeconfig with one context a lane, named after it; `current` is the one in force. JSON, which YAML readers read.
pub(crate) fn kubeconfig(url: &str, ca_pem: Option<&str>, lanes: &Lanes, current: &str, namespace: &str) -> String {
    let name = "rehearsal-record";
    let mut cluster = json!({"server": url});
    if let Some(pem) = ca_pem {
        cluster["certificate-authority-data"] = STANDARD.encode(pem).into();
    }
    let users: Vec<Value> = lanes.iter().map(|(lane, token)| json!({"name": lane, "user": {"token": token}})).collect();
    let context = |lane: &str| {
        let mut context = json!({"cluster": name, "user": lane});
        if !namespace.is_empty() {
            context["namespace"] = namespace.into();
        }
        json!({"name": lane, "context": context})
    };
    let contexts: Vec<Value> = lanes.iter().map(|(lane, _)| context(lane)).collect();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": users,
        "contexts": contexts,
        "current-context": current,
    });
    format!("{config:#}\n")
}
