//! The server and what it holds.

use crate::rivals::{LIST, WATCH};
use anyhow::Context as _;
use rehearsal_client::{Config, GroupVersion, Qps, RestClient};
use rehearsal_fakeserver::FakeServer;
use serde_json::{Value, json};

/// Keeps a server's runtime, and with it the server.
pub(crate) type Running = (tokio::runtime::Runtime, FakeServer);

/// A server on a runtime of its own, as it would be in another process.
pub(crate) fn server() -> anyhow::Result<(String, Option<Running>)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let server = runtime.block_on(FakeServer::builder().start())?;
    Ok((server.url(), Some((runtime, server))))
}

/// Creates both namespaces with their pods. What is there already stays.
pub(crate) async fn pods(url: &str, listed: usize, watched: usize) -> anyhow::Result<()> {
    let mut config = Config::new(url);
    config.qps = Qps(-1.0);
    let client = RestClient::unversioned(&config)?.group_version(GroupVersion::new("", "v1"));
    for (namespace, count) in [(LIST, listed), (WATCH, watched)] {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        create(client.post().resource("namespaces").object(&object)).await?;
        for n in 0..count {
            let pod = pod(&format!("web-{n:05}"));
            create(client.post().namespace(namespace).resource("pods").object(&pod)).await?;
        }
    }
    Ok(())
}

async fn create(request: rehearsal_client::Request) -> anyhow::Result<()> {
    let answer = request.send().await?;
    match answer.error() {
        Some(error) if answer.status_code() != 409 => Err(error).context("create"),
        _ => Ok(()),
    }
}

/// A pod of ordinary size.
fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web", "pod-template-hash": "5d4f8c7b6"}},
        "spec": {
            "containers": [{"name": "web", "image": "registry.example/web:1.27.3",
                "ports": [{"containerPort": 8080, "name": "http"}],
                "env": [{"name": "MODE", "value": "production"}, {"name": "LEVEL", "value": "info"}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 5},
                "volumeMounts": [{"name": "config", "mountPath": "/etc/web"}]}],
            "volumes": [{"name": "config", "configMap": {"name": "web"}}]}})
}
