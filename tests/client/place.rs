//! Where a body is tested: in an in-process cluster always, and in a real one too when `KUBECONFIG_REAL` names its
//! kubeconfig. Each body has a namespace of its own, which is gone afterwards whatever became of the body.

use rehearsal::Cluster;
use rehearsal::client::*;
use serde_json::json;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a body may take before its test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server, and a namespace in it.
pub(crate) struct Place {
    /// From the kubeconfig, without a rate limit.
    pub(crate) config: Config,
    /// The kubeconfig.
    pub(crate) kubeconfig: PathBuf,
    /// For the body alone.
    pub(crate) namespace: String,
}

impl Place {
    async fn at(kubeconfig: PathBuf) -> Self {
        let (loaded, error) = ClientConfig::load(&LoadingRules::explicit(&kubeconfig));
        assert_eq!(error, None);
        let config = Config { qps: Qps(-1.0), ..loaded.client_config().unwrap() };
        let namespace =
            json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"generateName": "rehearsal-test-"}});
        let namespaces = GroupVersionResource::new("", "v1", "namespaces");
        let client = DynamicClient::for_config(&config).unwrap().resource(&namespaces);
        let made = client.create(&namespace, &CreateOptions::default(), &[]).await.unwrap();
        Self { config, kubeconfig, namespace: made["metadata"]["name"].as_str().unwrap().to_owned() }
    }

    /// The dynamic handle of a resource in the namespace.
    pub(crate) fn dynamic(&self, group: &str, version: &str, resource: &str) -> DynamicResource {
        let gvr = GroupVersionResource::new(group, version, resource);
        DynamicClient::for_config(&self.config).unwrap().resource(&gvr).namespace(&self.namespace)
    }

    /// A RESTClient for the core group.
    pub(crate) fn core(&self) -> RestClient {
        RestClient::unversioned(&self.config).unwrap().group_version(GroupVersion::new("", "v1"))
    }
}

async fn play<Fut>(kubeconfig: &Path, body: impl FnOnce(Place) -> Fut)
where
    Fut: Future<Output = ()> + Send + 'static,
{
    let place = Place::at(kubeconfig.to_owned()).await;
    let (config, name) = (place.config.clone(), place.namespace.clone());
    let played = tokio::spawn(tokio::time::timeout(PATIENCE, body(place))).await;
    let namespaces = GroupVersionResource::new("", "v1", "namespaces");
    let client = DynamicClient::for_config(&config).unwrap().resource(&namespaces);
    let deleted = client.delete(&name, &DeleteOptions::default(), &[]).await;
    match played {
        Ok(in_time) => in_time.expect("within two minutes"),
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
    deleted.unwrap();
}

/// Plays a body in each place.
pub(crate) async fn everywhere<Fut>(body: impl Fn(Place) -> Fut)
where
    Fut: Future<Output = ()> + Send + 'static,
{
    let cluster = Cluster::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kubeconfig");
    std::fs::write(&file, cluster.kubeconfig().unwrap()).unwrap();
    play(&file, &body).await;
    cluster.shutdown().await;
    if let Some(file) = std::env::var_os("KUBECONFIG_REAL").filter(|f| !f.is_empty()) {
        play(Path::new(&file), &body).await;
    }
}
