//! The objects that the benchmarks store.

use serde_json::{Value, json};

/// A ConfigMap with one short value.
pub(crate) fn config_map(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": {"key": name}})
}

/// A Pod of ordinary size: one container with ports, resources, a probe, a volume.
pub(crate) fn pod(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "web", "pod-template-hash": "5d4f8c7b6"}},
        "spec": {
            "containers": [{"name": "web", "image": "registry.example/web:1.27.3",
                "ports": [{"containerPort": 8080, "name": "http"}],
                "env": [{"name": "MODE", "value": "production"}, {"name": "LEVEL", "value": "info"}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 5},
                "volumeMounts": [{"name": "config", "mountPath": "/etc/web"}]}],
            "volumes": [{"name": "config", "configMap": {"name": "web"}}]}})
}

/// A Deployment with this many containers.
pub(crate) fn deployment(name: &str, containers: usize) -> Value {
    let containers: Vec<Value> = (0..containers)
        .map(|n| {
            json!({"name": format!("c{n}"), "image": format!("registry.example/app{n}:1.0"),
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "ports": [{"containerPort": 8000 + n}],
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}})
        })
        .collect();
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}}}})
}
