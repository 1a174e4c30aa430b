//! The three clients, each as its users would write it.

use anyhow::{Context as _, ensure};
use bytes::{Buf as _, Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::{FutureExt as _, TryStreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::List;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use rehearsal_client::{Clientset, Config, GetOptions, ListOptions, Qps, TypedEvent, TypedResource};

/// The pod that is asked for.
pub(crate) const NAME: &str = "web-00000";
/// Where the listed pods are.
pub(crate) const LIST: &str = "bench-list";
/// Where the watched pods are.
pub(crate) const WATCH: &str = "bench-watch";

/// A client, and the three things it does. Each checks that it got all of it.
pub(crate) trait Rival {
    fn name(&self) -> &'static str;
    fn get(&self) -> BoxFuture<'_, anyhow::Result<()>>;
    fn list(&self, pods: usize) -> BoxFuture<'_, anyhow::Result<()>>;
    fn watch(&self, events: usize) -> BoxFuture<'_, anyhow::Result<()>>;
}

pub(crate) struct Ours {
    listed: TypedResource<Pod>,
    watched: TypedResource<Pod>,
}

impl Ours {
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let mut config = Config::new(url);
        config.qps = Qps(-1.0);
        config.disable_compression = true;
        let clientset = Clientset::for_config(&config)?;
        let core = clientset.core_v1();
        Ok(Self { listed: core.pods(LIST), watched: core.pods(WATCH) })
    }
}

impl Rival for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn get(&self) -> BoxFuture<'_, anyhow::Result<()>> {
        async move {
            let pod = self.listed.get(NAME, &GetOptions::default()).await?;
            ensure!(pod.metadata.name.as_deref() == Some(NAME));
            Ok(())
        }
        .boxed()
    }

    fn list(&self, pods: usize) -> BoxFuture<'_, anyhow::Result<()>> {
        async move {
            let list = self.listed.list(&ListOptions::default()).await?;
            ensure!(list.items.len() == pods);
            Ok(())
        }
        .boxed()
    }

    fn watch(&self, events: usize) -> BoxFuture<'_, anyhow::Result<()>> {
        async move {
            let options = ListOptions { resource_version: "0".into(), ..ListOptions::default() };
            let mut stream = self.watched.watch(&options).await?;
            for _ in 0..events {
                let event = stream.next().await.context("the watch ended")??;
                ensure!(matches!(event, TypedEvent::Added(_)));
            }
            Ok(())
        }
        .boxed()
    }
}

pub(crate) struct Kube {
    listed: Api<Pod>,
    watched: Api<Pod>,
}

impl Kube {
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let client = kube::Client::try_from(kube::Config::new(url.parse()?))?;
        Ok(Self { listed: Api::namespaced(client.clone(), LIST), watched: Api::namespaced(client, WATCH) })
    }
}

impl Rival for Kube {
    fn name(&self) -> &'static str {
        "kube"
    }

    fn get(&self) -> BoxFuture<'_, anyhow::Result<()>> {
        async move {
            let pod = self.listed.get(NAME).await?;
            ensure!(pod.metadata.name.as_deref() == Some(NAME));
            Ok(())
        }
        .boxed()
    }

    fn list(&self, pods: usize) -> BoxFuture<'_, anyhow::Result<()>> {
        async move {
            let list = self.listed.list(&ListParams::default()).await?;
            ensure!(list.items.len() == pods);
            Ok(())
        }
        .boxed()
    }

    fn watch(&self, events: usize) -> BoxFuture<'_, anyhow::Result<()>> {
        async move {
            let stream = self.watched.watch(&WatchParams::default(), "0").await?;
            let mut stream = std::pin::pin!(stream);
            for _ in 0..events {
                let event = stream.try_next().await?.context("the watch ended")?;
                ensure!(matches!(event, WatchEvent::Added(_)));
            }
            Ok(())
        }
        .boxed()
    }
}

/// hyper's pooling client and serde_json, nothing else.
pub(crate) struct Bare {
    client: Client<HttpConnector, Empty<Bytes>>,
    url: String,
}

#[derive(serde::Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[allow(dead_code)]
    object: Pod,
}

impl Bare {
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), url: url.to_owned() })
    }

    async fn body(&self, path: &str) -> anyhow::Result<hyper::body::Incoming> {
        let request = http::Request::get(format!("{}{path}", self.url))
            .header("accept", "application/json")
            .header("user-agent", "bare")
            .body(Empty::new())?;
        let response = self.client.request(request).await?;
        ensure!(response.status() == 200, "{path}: {}", response.status());
        Ok(response.into_body())
    }

    async fn bytes(&self, path: &str) -> anyhow::Result<Bytes> {
        Ok(self.body(path).await?.collect().await?.to_bytes())
    }
}

impl Rival for Bare {
    fn name(&self) -> &'static str {
        "hyper"
    }

    fn get(&self) -> BoxFuture<'_, anyhow::Result<()>> {
        async move {
            let bytes = self.bytes(&format!("/api/v1/namespaces/{LIST}/pods/{NAME}")).await?;
            let pod: Pod = serde_json::from_slice(&bytes)?;
            ensure!(pod.metadata.name.as_deref() == Some(NAME));
            Ok(())
        }
        .boxed()
    }

    fn list(&self, pods: usize) -> BoxFuture<'_, anyhow::Result<()>> {
        async move {
            let bytes = self.bytes(&format!("/api/v1/namespaces/{LIST}/pods")).await?;
            let list: List<Pod> = serde_json::from_slice(&bytes)?;
            ensure!(list.items.len() == pods);
            Ok(())
        }
        .boxed()
    }

    fn watch(&self, events: usize) -> BoxFuture<'_, anyhow::Result<()>> {
        async move {
            let mut body = self.body(&format!("/api/v1/namespaces/{WATCH}/pods?watch=true&resourceVersion=0")).await?;
            let (mut buffer, mut seen) = (BytesMut::new(), 0);
            while seen < events {
                if let Ok(data) = body.frame().await.context("the watch ended")??.into_data() {
                    buffer.extend_from_slice(&data);
                }
                while let Some(end) = memchr::memchr(b'\n', &buffer) {
                    let event: Event = serde_json::from_slice(&buffer[..end])?;
                    ensure!(event.kind == "ADDED");
                    buffer.advance(end + 1);
                    seen += 1;
                }
            }
            Ok(())
        }
        .boxed()
    }
}
