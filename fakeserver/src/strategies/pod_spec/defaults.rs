//! Defaults of a pod spec that depend on other members, for Pods and for templates.
//!
//! Counterpart: `SetDefaults_Container`, `SetDefaults_Volume`, `SetDefaults_PodSpec`, `SetDefaults_Pod` of
//! `apis/core/v1/defaults.go`. What is the same for every object comes from the data table.

use crate::strategies::access::{
    bool_at, ensure_path, has, int_at, is_empty_at, list_mut, object_mut, remove, set, set_default, str_at,
};
use rehearsal_apimachinery::quantity::Quantity;
use serde_json::{Map, Value, json};

use super::volume_sources::SOURCES;

/// Defaults of any pod spec.
pub(crate) fn pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    mirror_service_account(spec);
    for list in ["containers", "initContainers"] {
        for container in list_mut(spec, list) {
            pull_policy(container);
            sleep_and_probe_defaults(container);
        }
    }
    for container in list_mut(spec, "ephemeralContainers") {
        pull_policy(container);
    }
    for volume in list_mut(spec, "volumes") {
        volume_source(volume);
    }
}

/// Defaults of a template inside another object, at the path of its spec.
pub(crate) fn template(object: &mut Value, path: &[&str]) {
    if let Some(spec) = crate::strategies::access::path_mut(object, path) {
        pod_spec(spec);
    }
}

/// Defaults of a live Pod: those of its spec, host ports, and limits that stand in for requests.
pub(crate) fn pod(pod: &mut Value) {
    let Some(spec) = ensure_path(pod, &["spec"]) else { return };
    pod_spec(spec);
    set_default(spec, "enableServiceLinks", true);
    let host_network = bool_at(spec, "hostNetwork");
    for list in ["containers", "initContainers"] {
        for container in list_mut(spec, list) {
            if host_network {
                host_ports(container);
            }
            if let Some(resources) = ensure_path(container, &["resources"]) {
                requests_from_limits(resources);
            }
        }
    }
    pod_level_requests(spec);
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are written, the new one wins.
fn mirror_service_account(spec: &mut Value) {
    if is_empty_at(spec, "serviceAccountName") {
        let old = str_at(spec, "serviceAccount").to_owned();
        if !old.is_empty() {
            set(spec, "serviceAccountName", old);
        }
    }
    let name = str_at(spec, "serviceAccountName").to_owned();
    if name.is_empty() {
        remove(spec, "serviceAccount");
    } else {
        set(spec, "serviceAccount", name);
    }
}

/// `Always` for a moving tag, `IfNotPresent` for a fixed one.
fn pull_policy(container: &mut Value) {
    if !container.is_object() || !is_empty_at(container, "imagePullPolicy") {
        return;
    }
    let policy = if tag(str_at(container, "image")) == Some("latest") { "Always" } else { "IfNotPresent" };
    set(container, "imagePullPolicy", policy);
}

/// The tag of an image: `latest` when it names none and no digest, `None` when the text is no reference.
fn tag(image: &str) -> Option<&str> {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(':').map(|(_, tag)| tag);
    if !is_reference(name) {
        return None;
    }
    match (tag, digest) {
        (Some(tag), _) => Some(tag),
        (None, Some(_)) => Some(""),
        (None, None) => Some("latest"),
    }
}

/// A rough check of the reference grammar: no blanks, no upper case in the repository.
fn is_reference(name: &str) -> bool {
    let repository = match name.rsplit_once('/') {
        Some((head, last)) => format!(
            "{}/{}",
            head.split_once('/').map_or("", |(_, rest)| rest),
            last.split(':').next().unwrap_or_default()
        ),
        None => name.split(':').next().unwrap_or_default().to_owned(),
    };
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_graphic())
        && !repository.bytes().any(|b| b.is_ascii_uppercase())
}

/// Actions whose members default with the action itself.
fn sleep_and_probe_defaults(container: &mut Value) {
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).filter(|probe| probe.is_object()) {
            for (name, value) in
                [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
            {
                if int_at(probe, name).unwrap_or_default() == 0 {
                    set(probe, name, value);
                }
            }
            http_get(probe);
            if let Some(grpc) = probe.get_mut("grpc").filter(|grpc| grpc.is_object()) {
                set_default(grpc, "service", "");
            }
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(hook) = container.pointer_mut(&format!("/lifecycle/{hook}")) {
            http_get(hook);
        }
    }
}

fn http_get(handler: &mut Value) {
    if let Some(action) = handler.get_mut("httpGet").filter(|action| action.is_object()) {
        for (name, value) in [("path", "/"), ("scheme", "HTTP")] {
            if is_empty_at(action, name) {
                set(action, name, value);
            }
        }
    }
}

/// In the host's network every container port is the node's.
fn host_ports(container: &mut Value) {
    for port in list_mut(container, "ports") {
        if let Some(number) = int_at(port, "containerPort").filter(|n| *n != 0)
            && int_at(port, "hostPort").unwrap_or_default() == 0
        {
            set(port, "hostPort", number);
        }
    }
}

fn volume_source(volume: &mut Value) {
    if !volume.is_object() {
        return;
    }
    if !SOURCES.iter().any(|source| has(volume, source.name)) {
        set(volume, "emptyDir", Value::Object(Map::new()));
    }
    for name in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(name).filter(|source| source.is_object()) {
            set_default(source, "defaultMode", 420);
        }
    }
    if let Some(source) = volume.get_mut("hostPath").filter(|source| source.is_object()) {
        set_default(source, "type", "");
    }
    if let Some(source) = volume.get_mut("projected") {
        for projection in list_mut(source, "sources") {
            if let Some(token) = projection.get_mut("serviceAccountToken").filter(|token| token.is_object()) {
                set_default(token, "expirationSeconds", 3600);
            }
        }
    }
    if let Some(claim) = volume.pointer_mut("/ephemeral/volumeClaimTemplate/spec") {
        set_default(claim, "volumeMode", "Filesystem");
    }
    if let Some(image) = volume.get_mut("image").filter(|image| image.is_object())
        && is_empty_at(image, "pullPolicy")
    {
        let policy = if tag(str_at(image, "reference")) == Some("latest") { "Always" } else { "IfNotPresent" };
        set(image, "pullPolicy", policy);
    }
}

/// Limits without a request are requested.
fn requests_from_limits(resources: &mut Value) {
    let Some(limits) = resources["limits"].as_object().filter(|limits| !limits.is_empty()).cloned() else { return };
    let Some(requests) = ensure_path(resources, &["requests"]).and_then(object_mut) else { return };
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}

/// Requests of the whole Pod: what its containers request together, else its limits.
fn pod_level_requests(spec: &mut Value) {
    let limits = &spec["resources"]["limits"];
    if limits.as_object().is_none_or(serde_json::Map::is_empty) {
        return;
    }
    let sums: Vec<(String, Quantity)> = super::resources::sum_of_containers(spec, "requests")
        .into_iter()
        .filter(|(name, _)| matches!(*name, "cpu" | "memory") || name.starts_with("hugepages-"))
        .map(|(name, sum)| (name.to_owned(), sum))
        .collect();
    let limits = limits.clone();
    let Some(requests) = ensure_path(spec, &["resources", "requests"]).and_then(object_mut) else { return };
    for (name, sum) in sums {
        requests.entry(name).or_insert_with(|| json!(sum.to_string()));
    }
    for (name, limit) in limits.as_object().into_iter().flatten() {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_moving_tag_is_always_pulled() {
        let cases = [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.2", "IfNotPresent"),
            ("reg.example:5000/nginx", "Always"),
            ("reg.example:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:0123", "IfNotPresent"),
            ("", "IfNotPresent"),
        ];
        for (image, want) in cases {
            let mut container = json!({"name": "c", "image": image});
            pull_policy(&mut container);
            assert_eq!(container["imagePullPolicy"], want, "{image}");
        }
    }

    #[test]
    fn limits_stand_in_for_missing_requests_of_pods_alone() {
        let resources = json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}});
        let mut live = json!({"spec": {"containers": [{"name": "c", "image": "x:1", "resources": resources}]}});
        let mut templated = live.clone();
        pod(&mut live);
        template(&mut templated, &["spec"]);
        let requests = "/spec/containers/0/resources/requests";
        assert_eq!(live.pointer(requests), Some(&json!({"cpu": "1", "memory": "1Gi"})));
        assert_eq!(templated.pointer(requests), Some(&json!({"cpu": "1"})));
    }

    #[test]
    fn volumes_and_host_ports_of_a_pod_default() {
        let mut object = json!({"spec": {"hostNetwork": true, "volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "a"}}],
            "containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}});
        pod(&mut object);
        let spec = &object["spec"];
        assert_eq!(spec["volumes"][0], json!({"name": "v", "emptyDir": {}}));
        assert_eq!(spec["volumes"][1]["secret"]["defaultMode"], 420);
        assert_eq!(spec["containers"][0]["ports"][0]["hostPort"], 80);
    }
}
