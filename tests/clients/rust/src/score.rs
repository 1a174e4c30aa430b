//! The score card's adapter for kube-rs: `Api`, and a watcher that feeds a reflector as the mirror, all with defaults.
//!
//! The protocol is described in `docs/SCORECARD.md`.

#[path = "../../rehearsal/protocol.rs"]
mod protocol;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Client as KubeClient, Config, ResourceExt as _};
use protocol::{Client, Failure, Store, text};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

struct Kube {
    config: Config,
    maps: Api<ConfigMap>,
    mirror: Option<(reflector::Store<ConfigMap>, tokio::task::JoinHandle<()>)>,
}

/// The version of kube in the lock file.
fn version() -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split("[[package]]").find(|p| p.contains("\nname = \"kube\"\n"));
    let version = entry.and_then(|p| p.lines().find_map(|l| l.strip_prefix("version = ")));
    version.unwrap_or("unknown").trim_matches('"')
}

impl Client for Kube {
    fn hello() -> Value {
        json!({"name": "kube-rs", "version": version(), "runtime": "Rust", "options": []})
    }

    async fn open(kubeconfig: &str) -> Result<Self, Failure> {
        let other = |e: &dyn std::error::Error| Failure::new("other", e);
        let file = Kubeconfig::read_from(kubeconfig).map_err(|e| other(&e))?;
        let config =
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(|e| other(&e))?;
        let client = KubeClient::try_from(config.clone()).map_err(|e| failure(&e))?;
        Ok(Self { config, maps: Api::namespaced(client, "default"), mirror: None })
    }

    async fn call(&mut self, op: &str, args: &Value, deadline: Option<Duration>) -> Result<Value, Failure> {
        match op {
            "sync" => {
                self.sync(deadline)?;
                Ok(json!({}))
            }
            "store" => Ok(self.store()),
            "stop" => {
                self.stop();
                Ok(json!({}))
            }
            _ => match deadline {
                Some(deadline) => tokio::time::timeout(deadline, self.operate(op, args))
                    .await
                    .map_err(|_| Failure::new("timeout", "deadline has elapsed"))?,
                None => self.operate(op, args).await,
            },
        }
    }
}

impl Kube {
    async fn operate(&self, op: &str, args: &Value) -> Result<Value, Failure> {
        let (maps, name) = (&self.maps, text(args, "name"));
        let object =
            || serde_json::from_value::<ConfigMap>(args["object"].clone()).map_err(|e| Failure::new("other", &e));
        match op {
            "get" => plain(maps.get(name).await),
            "create" => plain(maps.create(&PostParams::default(), &object()?).await),
            "update" => {
                let object = object()?;
                plain(maps.replace(&object.name_any(), &PostParams::default(), &object).await)
            }
            "patch" => plain(maps.patch(name, &PatchParams::default(), &Patch::Merge(&args["patch"])).await),
            "delete" => maps.delete(name, &DeleteParams::default()).await.map(|_| json!({})).map_err(|e| failure(&e)),
            "list" if args.get("limit").is_some() => Err(Failure::unsupported("there is no pager")),
            "list" => {
                let list = maps.list(&ListParams::default()).await.map_err(|e| failure(&e))?;
                Ok(json!({"names": list.iter().map(|item| item.name_any()).collect::<Vec<_>>()}))
            }
            "burst" => {
                let names = args["names"].as_array().into_iter().flatten().filter_map(Value::as_str);
                for answer in futures::future::join_all(names.map(|name| maps.get(name))).await {
                    answer.map_err(|e| failure(&e))?;
                }
                Ok(json!({}))
            }
            _ => Err(Failure::unsupported(op)),
        }
    }

    /// With the longest silence of a watch, a client of its own keeps to it.
    fn sync(&mut self, silence: Option<Duration>) -> Result<(), Failure> {
        let maps = match silence {
            None => self.maps.clone(),
            Some(silence) => {
                let mut config = self.config.clone();
                config.read_timeout = Some(silence);
                Api::namespaced(KubeClient::try_from(config).map_err(|e| failure(&e))?, "default")
            }
        };
        let (reader, writer) = reflector::store();
        let stream = watcher(maps, watcher::Config::default()).default_backoff().reflect(writer);
        let task = tokio::spawn(stream.for_each(|_| futures::future::ready(())));
        self.mirror = Some((reader, task));
        Ok(())
    }

    fn store(&self) -> Value {
        let store = Store::default();
        if let Some((reader, _)) = &self.mirror {
            let value = |map: &ConfigMap| map.data.as_ref().and_then(|d| d.get("v").cloned()).unwrap_or_default();
            store.change(|all| all.extend(reader.state().iter().map(|map| (map.name_any(), value(map)))));
        }
        store.answer()
    }

    fn stop(&mut self) {
        if let Some((_, task)) = self.mirror.take() {
            task.abort();
        }
    }
}

impl Drop for Kube {
    fn drop(&mut self) {
        self.stop();
    }
}

fn plain<T: Serialize>(answer: Result<T, kube::Error>) -> Result<Value, Failure> {
    let object = answer.map_err(|e| failure(&e))?;
    serde_json::to_value(object).map_err(|e| Failure::new("other", &e))
}

fn failure(error: &kube::Error) -> Failure {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        message = format!("{message}: {inner}");
        source = inner.source();
    }
    let (class, code) = match error {
        kube::Error::Api(status) => ("api", Some(status.code)),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => ("decode", None),
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => ("transport", None),
        _ => ("other", None),
    };
    Failure { class, code, message }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    protocol::serve::<Kube>().await
}
