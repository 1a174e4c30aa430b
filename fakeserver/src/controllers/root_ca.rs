//! The ConfigMap `kube-root-ca.crt` of every namespace. Counterpart: `pkg/controller/certificates/rootcacertpublisher`.

use super::Parts;
use super::agent::Agent;
use super::per_namespace::PerNamespace;
use serde_json::json;

const NAME: &str = "kube-root-ca.crt";
/// Stands in for the certificate where there is none.
const PLAIN_HTTP: &str = "# This server speaks plain HTTP and has no certificate authority.\n";
/// As the real controller annotates it.
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                           endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
                           guaranteed across distributions of Kubernetes clusters.";

pub(super) fn controller(parts: &Parts) -> PerNamespace {
    let pem = if parts.ca_pem.is_empty() { PLAIN_HTTP } else { &parts.ca_pem };
    let annotations = json!({"kubernetes.io/description": DESCRIPTION});
    PerNamespace {
        agent: Agent::new(&parts.registry, "root-ca-cert-publisher"),
        resource: "configmaps",
        name: NAME,
        object: json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": NAME, "annotations": annotations}, "data": {"ca.crt": pem}}),
        kept: Some("data"),
    }
}
