//! The score card's adapter for our own client, with its defaults; `--improved` for what goes beyond client-go.
//!
//! The protocol is described in `docs/SCORECARD.md`.

mod protocol;

use protocol::{Client, Failure, Store, text};
use rehearsal_client::{
    Config, DEFAULT_RETRY, DynamicClient, DynamicResource, Error, GetOptions, GroupVersion, GroupVersionResource,
    ListOptions, LoadingRules, Pager, PatchType, Request, RestClient, RetryOptions, RetryWatcher, UpdateOptions,
    WATCH_BACKOFF, WatchEventType, retry_on_conflict,
};
use serde_json::{Value, json};
use std::time::Duration;

struct Rehearsal {
    config: Config,
    rest: RestClient,
    maps: DynamicResource,
    store: Store,
    mirror: Option<tokio::task::JoinHandle<()>>,
}

fn improved() -> bool {
    std::env::args().any(|a| a == "--improved")
}

impl Client for Rehearsal {
    fn hello() -> Value {
        let mut options = vec!["qps -1"];
        if improved() {
            options.extend(["RetryOptions::improved", "renew_credentials_on_401"]);
        }
        json!({"name": "rehearsal-client", "version": env!("CARGO_PKG_VERSION"), "runtime": "Rust", "options": options})
    }

    async fn open(kubeconfig: &str) -> Result<Self, Failure> {
        let (config, error) = rehearsal_client::ClientConfig::load(&LoadingRules::explicit(kubeconfig));
        if let Some(error) = error {
            return Err(failure(&error.into()));
        }
        let mut config = config.client_config().map_err(|e| failure(&e.into()))?;
        config.qps = rehearsal_client::Qps(-1.0);
        if improved() {
            config.retry = RetryOptions::improved();
            config.renew_credentials_on_401 = true;
        }
        let client = || -> Result<Self, Error> {
            let rest = RestClient::unversioned(&config)?.group_version(GroupVersion::new("", "v1"));
            let maps = maps(&rest);
            Ok(Self { config, rest, maps, store: Store::default(), mirror: None })
        };
        client().map_err(|error| failure(&error))
    }

    async fn call(&mut self, op: &str, args: &Value, deadline: Option<Duration>) -> Result<Value, Failure> {
        let name = text(args, "name");
        let send = async |request: Request| {
            let request = match deadline {
                Some(deadline) => request.within(deadline),
                None => request,
            };
            let object = request.namespace("default").resource("configmaps").send().await;
            object.and_then(|answer| answer.object()).map_err(|error| failure(&error))
        };
        match op {
            "get" => send(self.rest.get().name(name)).await,
            "create" => send(self.rest.post().object(&args["object"])).await,
            "update" => {
                send(self.rest.put().name(text(&args["object"]["metadata"], "name")).object(&args["object"])).await
            }
            "patch" => {
                let body = args["patch"].to_string();
                send(self.rest.patch(PatchType::Merge).name(name).body(body)).await
            }
            "delete" => send(self.rest.delete().name(name)).await,
            "list" => match args.get("limit").and_then(Value::as_i64) {
                Some(size) => {
                    let list = Pager::new(self.maps.clone()).page_size(size).list(&ListOptions::default()).await;
                    list.map(|(list, _)| names(&list)).map_err(|error| failure(&error))
                }
                None => send(self.rest.get()).await.map(|list| names(&list)),
            },
            "modify" => self.modify(name, text(args, "value")).await,
            "burst" => self.burst(&args["names"]).await,
            "sync" => self.sync(deadline).map_err(|error| failure(&error)),
            "store" => Ok(self.store.answer()),
            "stop" => {
                self.stop();
                Ok(json!({}))
            }
            _ => Err(Failure::unsupported(op)),
        }
    }
}

fn maps(rest: &RestClient) -> DynamicResource {
    DynamicClient::new(rest).resource(&GroupVersionResource::new("", "v1", "configmaps")).namespace("default")
}

impl Rehearsal {
    /// With the longest silence of a watch, a client of its own keeps to it.
    fn sync(&mut self, silence: Option<Duration>) -> Result<Value, Error> {
        let maps = match silence {
            None => self.maps.clone(),
            Some(silence) => {
                let config = Config { body_idle_timeout: Some(silence), ..self.config.clone() };
                maps(&RestClient::unversioned(&config)?.group_version(GroupVersion::new("", "v1")))
            }
        };
        self.mirror = Some(tokio::spawn(mirror(maps, self.store.clone())));
        Ok(json!({}))
    }

    async fn burst(&self, names: &Value) -> Result<Value, Failure> {
        let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
        let all = names.map(|name| self.rest.get().namespace("default").resource("configmaps").name(name));
        let all: Vec<Request> = all.collect();
        let answers = futures::future::join_all(all.iter().map(Request::send)).await;
        for answer in answers {
            answer.and_then(|a| a.object()).map_err(|error| failure(&error))?;
        }
        Ok(json!({}))
    }

    async fn modify(&self, name: &str, value: &str) -> Result<Value, Failure> {
        let modified = retry_on_conflict(DEFAULT_RETRY, async || {
            let mut object = self.maps.get(name, &GetOptions::default(), &[]).await?;
            object["data"]["v"] = json!(value);
            self.maps.update(&object, &UpdateOptions::default(), &[]).await
        });
        modified.await.map_err(|error| failure(&error))
    }

    fn stop(&mut self) {
        if let Some(mirror) = self.mirror.take() {
            mirror.abort();
        }
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a program with this client does for a mirror: list, watch from there, and list again when that is too old.
async fn mirror(maps: DynamicResource, store: Store) {
    let pager = Pager::new(maps.clone());
    loop {
        if let Ok((list, _)) = pager.list(&ListOptions::default()).await {
            let items = list["items"].as_array().into_iter().flatten().map(entry);
            store.change(|objects| *objects = items.collect());
            let version = text(&list["metadata"], "resourceVersion").to_owned();
            if let Ok(watcher) = RetryWatcher::try_new(maps.clone(), ListOptions::default().resource_version(&version))
            {
                let mut watcher = watcher.backoff(WATCH_BACKOFF);
                while let Some(event) = watcher.next().await {
                    let (name, value) = entry(&event.object);
                    match event.kind {
                        WatchEventType::Added | WatchEventType::Modified => {
                            store.change(|objects| drop(objects.insert(name, value)));
                        }
                        WatchEventType::Deleted => store.change(|objects| drop(objects.remove(&name))),
                        _ => {}
                    }
                }
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn entry(object: &Value) -> (String, String) {
    (text(&object["metadata"], "name").to_owned(), text(&object["data"], "v").to_owned())
}

fn names(list: &Value) -> Value {
    let items = list["items"].as_array().into_iter().flatten();
    json!({"names": items.map(|o| text(&o["metadata"], "name")).collect::<Vec<_>>()})
}

fn failure(error: &Error) -> Failure {
    let class = match error.current() {
        Error::Status(_) => "api",
        Error::Transport { .. } | Error::Body { .. } => "transport",
        Error::DeadlineExceeded(_) => "timeout",
        Error::Decode(_) => "decode",
        Error::Throttled(_) => "throttled",
        Error::UnknownOutcome { .. } => "unknown-outcome",
        _ => "other",
    };
    let code = error.status().map(|status| status.code);
    Failure { class, code, message: error.to_string() }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    protocol::serve::<Rehearsal>().await
}
