//! A controller with a planted bug: every ConfigMap labelled `app` gets one PersistentVolumeClaim.
//!
//! It decides by what its watch of claims has told it so far. The claim that it made a moment ago is not there yet, so
//! an app that changes twice in a row gets two claims. The fixed one remembers what it made until the watch has told it.

use rehearsal_client::{
    Config, CreateOptions, DynamicClient, DynamicResource, Error, GroupVersionResource, ListOptions, WatchEvent,
    WatchEventType, WatchStream,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The label that says which app an object belongs to.
pub(crate) const LABEL: &str = "app";
/// Where the apps are.
pub(crate) const NAMESPACE: &str = "shop";
/// A rollout changes an app several times; the controller lets that pass before it looks.
const BURST: Duration = Duration::from_millis(20);

/// How the controller runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Without the bug.
    pub(crate) fixed: bool,
    /// It ends when nothing has happened for so long.
    pub(crate) quiet: Duration,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every app has at most one claim; so many claims were made.
    Calm(usize),
    /// This app has more than one.
    TwoClaims(String),
}

/// The resource of an app or of a claim.
pub(crate) fn resource(client: &DynamicClient, plural: &str) -> DynamicResource {
    client.resource(&GroupVersionResource::new("", "v1", plural)).namespace(NAMESPACE)
}

/// Runs until nothing happens any more, or until an app is seen to have two claims.
///
/// # Errors
/// What the server refuses.
pub(crate) async fn run(config: &Config, settings: Settings) -> Result<Outcome, Error> {
    let client = DynamicClient::for_config(config)?;
    let (apps, mut app_events) = begin(&resource(&client, "configmaps")).await?;
    let (claims, mut claim_events) = begin(&resource(&client, "persistentvolumeclaims")).await?;
    let mut controller = Controller {
        claims: resource(&client, "persistentvolumeclaims"),
        cache: BTreeMap::new(),
        awaited: BTreeMap::new(),
        made: 0,
        fixed: settings.fixed,
    };
    claims.iter().for_each(|claim| controller.observe(WatchEventType::Added, claim));
    for app in &apps {
        controller.reconcile(app).await?;
    }
    loop {
        let event = tokio::select! {
            biased;
            Some(WatchEvent { kind, object, .. }) = app_events.next() => {
                if matches!(kind, WatchEventType::Added | WatchEventType::Modified) {
                    controller.reconcile(&object).await?;
                }
                continue;
            }
            Some(event) = claim_events.next() => event,
            () = tokio::time::sleep(settings.quiet) => return Ok(Outcome::Calm(controller.made)),
        };
        controller.observe(event.kind, &event.object);
        if let Some(app) = controller.doubled() {
            return Ok(Outcome::TwoClaims(app));
        }
    }
}

/// What is there, and a watch of what comes.
async fn begin(resource: &DynamicResource) -> Result<(Vec<Value>, WatchStream), Error> {
    let options = ListOptions::default().labels(LABEL);
    let list = resource.list(&options).await?;
    let from = text(&list, "/metadata/resourceVersion");
    let items = list["items"].as_array().cloned().unwrap_or_default();
    Ok((items, resource.watch(&options.resource_version(from)).await?))
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

struct Controller {
    claims: DynamicResource,
    /// Apps of the claims that the watch has told of, by the claim's name.
    cache: BTreeMap<String, String>,
    /// The same of claims that were made and not told of yet. Nobody fills it in the version with the bug.
    awaited: BTreeMap<String, String>,
    made: usize,
    fixed: bool,
}

impl Controller {
    fn observe(&mut self, kind: WatchEventType, claim: &Value) {
        let name = text(claim, "/metadata/name").to_owned();
        self.awaited.remove(&name);
        match kind {
            WatchEventType::Added | WatchEventType::Modified => {
                self.cache.insert(name, text(claim, "/metadata/labels/app").to_owned());
            }
            WatchEventType::Deleted => drop(self.cache.remove(&name)),
            _ => {}
        }
    }

    async fn reconcile(&mut self, app: &Value) -> Result<(), Error> {
        tokio::time::sleep(BURST).await;
        let app = text(app, "/metadata/name");
        if self.cache.values().chain(self.awaited.values()).any(|owner| owner == app) {
            return Ok(());
        }
        let claim = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"generateName": format!("{app}-"), "labels": {LABEL: app}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        });
        let made = self.claims.create(&claim, &CreateOptions::default(), &[]).await?;
        self.made += 1;
        if self.fixed {
            self.awaited.insert(text(&made, "/metadata/name").to_owned(), app.to_owned());
        }
        Ok(())
    }

    /// An app with more than one claim.
    fn doubled(&self) -> Option<String> {
        let owners = || self.cache.values();
        owners().find(|owner| owners().filter(|other| other == owner).count() > 1).cloned()
    }
}
