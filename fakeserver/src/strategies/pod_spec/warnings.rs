//! Warnings about a pod spec: what is accepted and yet probably wrong, deprecated or without effect.
//!
//! Counterpart: `api/pod/warnings.go`, `api/node/util.go` (deprecated node labels).

use super::annotations::{APP_ARMOR, SECCOMP_CONTAINER, SECCOMP_POD};
use super::containers;
use crate::strategies::access::{entries_at, has, int_at, list_at, str_at};
use rehearsal_apimachinery::field::{Path, go_quote};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use super::resources::quantity;

/// Node labels that have a successor.
const OLD_NODE_LABELS: [(&str, &str); 6] = [
    ("beta.kubernetes.io/arch", r#"deprecated since v1.14; use "kubernetes.io/arch" instead"#),
    ("beta.kubernetes.io/os", r#"deprecated since v1.14; use "kubernetes.io/os" instead"#),
    (
        "failure-domain.beta.kubernetes.io/region",
        r#"deprecated since v1.17; use "topology.kubernetes.io/region" instead"#,
    ),
    ("failure-domain.beta.kubernetes.io/zone", r#"deprecated since v1.17; use "topology.kubernetes.io/zone" instead"#),
    ("beta.kubernetes.io/instance-type", r#"deprecated since v1.17; use "node.kubernetes.io/instance-type" instead"#),
    ("kubernetes.io/legacy-host-ip", "deprecated since v1.23"),
];
const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        r#"non-functional in v1.16+; use the "priorityClassName" field instead"#,
    ),
    ("security.alpha.kubernetes.io/sysctls", r#"non-functional in v1.11+; use the "sysctls" field instead"#),
    ("security.alpha.kubernetes.io/unsafe-sysctls", r#"non-functional in v1.11+; use the "sysctls" field instead"#),
];
/// Volume sources that are on their way out: JSON name, name shown, text.
const OLD_VOLUMES: [(&str, &str, &str); 9] = [
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];
const BYTES: [&str; 2] = ["memory", "ephemeral-storage"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Warnings about a Pod (`path` is the root) or a template (`path` is where it stands).
pub(crate) fn of_pod_or_template(object: &Value, path: &Path) -> Vec<String> {
    let (spec, at) = (&object["spec"], path.child("spec"));
    let mut out = Vec::new();
    node_labels(spec, &at, &mut out);
    spread(spec, &at, &mut out);
    let notes = path.child("metadata").child("annotations");
    for (key, text) in OLD_ANNOTATIONS {
        if has(&object["metadata"]["annotations"], key) {
            out.push(format!("{}: {text}", notes.key(key)));
        }
    }
    volumes(spec, &at, &mut out);
    repeated(spec, "hostAliases", "ip", &at, &mut out);
    repeated(spec, "imagePullSecrets", "name", &at, &mut out);
    for (i, secret) in list_at(spec, "imagePullSecrets").iter().enumerate() {
        if str_at(secret, "name").is_empty() {
            let path = at.child("imagePullSecrets").index(i).child("name");
            out.push(format!("{path}: invalid empty name \"\""));
        }
    }
    fractions(spec, "overhead", &at.child("overhead"), &mut out);
    old_profiles(object, path, &notes, &mut out);
    for (container, path) in containers(spec, &at) {
        for list in ["limits", "requests"] {
            fractions(&container["resources"], list, &path.child("resources").child(list), &mut out);
        }
        hidden_variables(container, &path, &mut out);
    }
    ports(spec, &at, &mut out);
    if int_at(spec, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        let path = at.child("terminationGracePeriodSeconds");
        out.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    pod_affinity(spec, &at, &mut out);
    out
}

fn old_node_label(key: &str) -> Option<&'static str> {
    OLD_NODE_LABELS.iter().find(|(label, _)| *label == key).map(|(_, text)| *text)
}

fn node_labels(spec: &Value, path: &Path, out: &mut Vec<String>) {
    for (key, _) in entries_at(spec, "nodeSelector") {
        if let Some(text) = old_node_label(key) {
            out.push(format!("{}: {text}", path.child("nodeSelector").key(key)));
        }
    }
    let (affinity, path) = (&spec["affinity"]["nodeAffinity"], path.child("affinity").child("nodeAffinity"));
    for (i, term) in list_at(&affinity[REQUIRED], "nodeSelectorTerms").iter().enumerate() {
        node_selector_term(term, &path.child(REQUIRED).child("nodeSelectorTerms").index(i), out);
    }
    for (i, term) in list_at(affinity, PREFERRED).iter().enumerate() {
        node_selector_term(&term["preference"], &path.child(PREFERRED).index(i).child("preference"), out);
    }
}

fn node_selector_term(term: &Value, path: &Path, out: &mut Vec<String>) {
    for (i, expression) in list_at(term, "matchExpressions").iter().enumerate() {
        let key = str_at(expression, "key");
        if let Some(text) = old_node_label(key) {
            let path = path.child("matchExpressions").index(i).child("key");
            out.push(format!("{path}: {key} is {text}"));
        }
    }
}

fn spread(spec: &Value, path: &Path, out: &mut Vec<String>) {
    for (i, constraint) in list_at(spec, "topologySpreadConstraints").iter().enumerate() {
        let (path, key) = (path.child("topologySpreadConstraints").index(i), str_at(constraint, "topologyKey"));
        if let Some(text) = old_node_label(key) {
            out.push(format!("{}: {key} is {text}", path.child("topologyKey")));
        }
        null_selector(constraint, &path, out);
    }
}

fn null_selector(holder: &Value, path: &Path, out: &mut Vec<String>) {
    if !has(holder, "labelSelector") {
        out.push(format!("{}: a null labelSelector results in matching no pod", path.child("labelSelector")));
    }
}

fn volumes(spec: &Value, path: &Path, out: &mut Vec<String>) {
    let volumes = list_at(spec, "volumes");
    for (i, volume) in volumes.iter().enumerate() {
        for (name, shown, text) in OLD_VOLUMES {
            if has(volume, name) {
                out.push(format!("{}: {text}", path.child("volumes").index(i).child(shown)));
            }
        }
    }
    let sources = |volume: &'_ Value| list_at(&volume["projected"], "sources").to_vec();
    let tokens: BTreeSet<String> = volumes
        .iter()
        .flat_map(sources)
        .filter(|source| has(source, "serviceAccountToken"))
        .map(|source| str_at(&source["serviceAccountToken"], "path").to_owned())
        .collect();
    for (i, volume) in volumes.iter().enumerate() {
        let path = path.child("volumes").index(i).child("projected").child("sources");
        for source in sources(volume) {
            for (name, shown) in [("configMap", "configMap"), ("secret", "secrets"), ("downwardAPI", "downwardAPI")] {
                for (j, item) in list_at(&source[name], "items").iter().enumerate() {
                    token_overlap(str_at(item, "path"), &tokens, &path.child(shown).index(j), out);
                }
            }
            if has(&source, "clusterTrustBundle") {
                let file = str_at(&source["clusterTrustBundle"], "path");
                token_overlap(file, &tokens, &path.child("ClusterTrustBundle"), out);
            }
        }
    }
}

fn token_overlap(file: &str, tokens: &BTreeSet<String>, path: &Path, out: &mut Vec<String>) {
    if tokens.contains(file) {
        out.push(format!("{path}: has duplicated path with ServiceAccountToken {}", go_quote(file)));
    }
}

/// Items of a list that repeat a member.
fn repeated(spec: &Value, list: &str, member: &str, path: &Path, out: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (i, item) in list_at(spec, list).iter().enumerate() {
        let value = str_at(item, member);
        if !seen.insert(value) {
            let path = path.child(list).index(i).child(member);
            out.push(format!("{path}: duplicate {member} {}", go_quote(value)));
        }
    }
}

/// Bytes that are not whole.
fn fractions(holder: &Value, list: &str, path: &Path, out: &mut Vec<String>) {
    for name in BYTES {
        if let Some(amount) = quantity(&holder[list][name]).filter(|amount| amount.milli_value() % 1000 != 0) {
            let shown = go_quote(&amount.to_string());
            out.push(format!("{}: fractional byte value {shown} is invalid, must be an integer", path.key(name)));
        }
    }
}

/// Security profiles given as annotations only.
fn old_profiles(object: &Value, path: &Path, notes: &Path, out: &mut Vec<String>) {
    let (spec, annotations) = (&object["spec"], &object["metadata"]["annotations"]);
    let seccomp = r#"non-functional in v1.27+; use the "seccompProfile" field instead"#;
    if has(annotations, SECCOMP_POD) && !has(&spec["securityContext"], "seccompProfile") {
        out.push(format!("{}: {seccomp}", notes.key(SECCOMP_POD)));
    }
    for (container, _) in containers(spec, path) {
        let (name, context) = (str_at(container, "name"), &container["securityContext"]);
        let key = format!("{SECCOMP_CONTAINER}{name}");
        if has(annotations, &key) && !has(context, "seccompProfile") {
            out.push(format!("{}: {seccomp}", notes.key(&key)));
        }
        let key = format!("{APP_ARMOR}{name}");
        let field = has(context, "appArmorProfile") || has(&spec["securityContext"], "appArmorProfile");
        if has(annotations, &key) && !field {
            let text = r#"deprecated since v1.30; use the "appArmorProfile" field instead"#;
            out.push(format!("{}: {text}", notes.key(&key)));
        }
    }
}

/// Variables that hide an earlier one of the same name without building on it.
fn hidden_variables(container: &Value, path: &Path, out: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (i, variable) in list_at(container, "env").iter().enumerate() {
        let (name, value) = (str_at(variable, "name"), str_at(variable, "value"));
        let reference = format!("$({name})");
        if !seen.insert(name) && (has(variable, "valueFrom") || value == reference || !value.contains(&reference)) {
            let (path, name) = (path.child("env").index(i), go_quote(name));
            out.push(format!("{path}: hides previous definition of {name}, which may be dropped when using apply"));
        }
    }
}

/// Port definitions that overlap within the Pod.
fn ports(spec: &Value, path: &Path, out: &mut Vec<String>) {
    let mut known: BTreeMap<(i64, &str), Vec<(Path, &Value)>> = BTreeMap::new();
    for (container, path) in containers(spec, path) {
        for (i, port) in list_at(container, "ports").iter().enumerate() {
            let path = path.child("ports").index(i);
            let (host, ip) = (int_at(port, "hostPort").unwrap_or_default(), str_at(port, "hostIP"));
            if !ip.is_empty() && host == 0 {
                out.push(format!("{path}: hostIP set without hostPort: {}", go_port(port)));
            }
            let number = int_at(port, "containerPort").unwrap_or_default();
            let others = known.entry((number, str_at(port, "protocol"))).or_default();
            for (other_path, other) in others.iter() {
                let (other_host, other_ip) = (int_at(other, "hostPort").unwrap_or_default(), str_at(other, "hostIP"));
                let what = if (host, ip) == (other_host, other_ip) {
                    "duplicate"
                } else if host == 0 || other_host == 0 {
                    "overlapping"
                } else if host == other_host && ip.is_empty() != other_ip.is_empty() {
                    "dangerously ambiguous"
                } else {
                    continue;
                };
                out.push(format!("{path}: {what} port definition with {other_path}"));
            }
            others.push((path, port));
        }
    }
}

/// A port as Go's `%+v` prints the struct.
fn go_port(port: &Value) -> String {
    format!(
        "{{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}",
        str_at(port, "name"),
        int_at(port, "hostPort").unwrap_or_default(),
        int_at(port, "containerPort").unwrap_or_default(),
        str_at(port, "protocol"),
        str_at(port, "hostIP"),
    )
}

fn pod_affinity(spec: &Value, path: &Path, out: &mut Vec<String>) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let (terms, path) = (&spec["affinity"][kind], path.child("affinity").child(kind));
        for (i, term) in list_at(terms, REQUIRED).iter().enumerate() {
            null_selector(term, &path.child(REQUIRED).index(i), out);
        }
        for (i, term) in list_at(terms, PREFERRED).iter().enumerate() {
            let path = path.child(PREFERRED).index(i).child("podAffinityTerm");
            null_selector(&term["podAffinityTerm"], &path, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn suspicious_pods_are_told_why() {
        let pod = json!({"metadata": {}, "spec": {
            "terminationGracePeriodSeconds": -1,
            "nodeSelector": {"beta.kubernetes.io/os": "linux"},
            "containers": [{
                "name": "c",
                "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "A", "value": "$(A)3"}],
                "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "TCP"}],
                "resources": {"limits": {"memory": "100m"}},
            }],
        }});
        assert_eq!(
            of_pod_or_template(&pod, &Path::root()),
            [
                r#"spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead"#,
                r#"spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid, must be an integer"#,
                r#"spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply"#,
                "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
                "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
            ]
        );
    }
}
