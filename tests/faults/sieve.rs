//! Sieve's three patterns: for each a small controller with the bug that the pattern finds, its fixed twin, and the plan
//! of one rule in `examples/faults` that tells them apart. Without the plan both pass.
//!
//! The world of all three: an app is a config map, its data the secret `NAME-data`, its key the secret `NAME-key`.

use rehearsal::client::{
    Config, CreateOptions, DeleteOptions, DynamicClient, DynamicResource, Error, GetOptions, GroupVersionResource,
    ListOptions, WatchEventType,
};
use rehearsal::faults::Plan;
use rehearsal::{Cluster, Controllers};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;

/// Which of two twins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twin {
    Buggy,
    Fixed,
}

/// What a controller works with.
struct World {
    apps: DynamicResource,
    secrets: DynamicResource,
}

impl World {
    /// As the lane `sut` sees the cluster.
    fn of(cluster: &Cluster) -> Self {
        Self::seen_by("sut", cluster)
    }

    fn seen_by(user_agent: &str, cluster: &Cluster) -> Self {
        let config = Config { user_agent: user_agent.into(), ..cluster.client_config().unwrap() };
        let client = DynamicClient::for_config(&config).unwrap();
        let core =
            |resource: &str| client.resource(&GroupVersionResource::new("", "v1", resource)).namespace("default");
        Self { apps: core("configmaps"), secrets: core("secrets") }
    }

    /// Names of the apps, and where the list was made. From whatever cache is near when `cached`.
    async fn list(&self, cached: bool) -> Result<(Vec<Value>, String), Error> {
        let options = ListOptions::default().resource_version(if cached { "0" } else { "" });
        let list = self.apps.list(&options).await?;
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        Ok((list["items"].as_array().cloned().unwrap_or_default(), version))
    }

    async fn create_secret(&self, name: &str) -> Result<(), Error> {
        let made = self.secrets.create(&secret(name), &CreateOptions::default(), &[]).await;
        made.map(drop).or_else(|error| if error.is_already_exists() { Ok(()) } else { Err(error) })
    }

    async fn delete_secret(&self, name: &str) -> Result<(), Error> {
        let gone = self.secrets.delete(name, &DeleteOptions::default(), &[]).await;
        gone.map(drop).or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error) })
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn is_retired(app: &Value) -> bool {
    app["data"]["phase"] == "retired"
}

fn app(name: &str, phase: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
        "data": {"phase": phase}})
}

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}})
}

/// Nobody but the test and its controller writes here: a plan may count revisions.
async fn cluster(objects: impl IntoIterator<Item = Value>) -> Cluster {
    Cluster::builder().controllers(Controllers::none()).objects(objects).start().await.unwrap()
}

fn secrets(cluster: &Cluster) -> Vec<String> {
    let snapshot = cluster.snapshot();
    snapshot.range("secrets", "default/", "").map(|(key, _)| key.trim_start_matches("default/").to_owned()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/faults")
}

fn plan(file: &str) -> Plan {
    let path = folder().join(file);
    Plan::from_yaml(file, &std::fs::read_to_string(path).unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

/// What a scenario leaves behind, under a plan or without one.
async fn under<T>(file: Option<&str>, cluster: Cluster, scenario: impl AsyncFnOnce(&Cluster) -> T) -> T {
    let guard = file.map(|file| cluster.faults().arm(&plan(file)).unwrap());
    let left = scenario(&cluster).await;
    if let Some(guard) = guard {
        guard.finish().unwrap();
    }
    left
}

// === stale state ===

/// Frees the data of retired apps. Its bug: it believes what it saw in a cache, and destroys by it.
async fn janitor(world: &World, twin: Twin) -> Result<(), Error> {
    for app in world.list(true).await?.0.iter().filter(|app| is_retired(app)) {
        let now = match twin {
            Twin::Buggy => app.clone(),
            // What cannot be undone is decided by a consistent read.
            Twin::Fixed => world.apps.get(name(app), &GetOptions::default(), &[]).await?,
        };
        if is_retired(&now) {
            world.delete_secret(&format!("{}-data", name(app))).await?;
        }
    }
    Ok(())
}

/// An app retires and comes back; the janitor is started anew. Says which secrets are left.
async fn retire_and_return(plan: Option<&str>, twin: Twin) -> Vec<String> {
    let cluster = cluster([app("web", "retired"), secret("web-data")]).await;
    under(plan, cluster, async |cluster| {
        janitor(&World::of(cluster), twin).await.unwrap();
        assert!(secrets(cluster).is_empty(), "a retired app keeps its data");
        cluster.apply(app("web", "active")).await.unwrap();
        cluster.apply(secret("web-data")).await.unwrap();
        janitor(&World::of(cluster), twin).await.unwrap();
        secrets(cluster)
    })
    .await
}

#[tokio::test]
async fn stale_state_makes_the_janitor_delete_live_data() {
    assert_eq!(retire_and_return(None, Twin::Buggy).await, ["web-data"]);
    assert!(retire_and_return(Some("stale_state.yaml"), Twin::Buggy).await.is_empty());
}

#[tokio::test]
async fn stale_state_does_not_fool_the_fixed_janitor() {
    assert_eq!(retire_and_return(Some("stale_state.yaml"), Twin::Fixed).await, ["web-data"]);
}

// === intermediate state ===

/// Gives each app its data and its key. Its bug: where there are data, it takes all for done.
async fn provisioner(world: &World, twin: Twin) -> Result<(), Error> {
    for app in world.list(true).await?.0 {
        let (data, key) = (format!("{}-data", name(&app)), format!("{}-key", name(&app)));
        if twin == Twin::Buggy && world.secrets.get(&data, &GetOptions::default(), &[]).await.is_ok() {
            continue;
        }
        world.create_secret(&data).await?;
        world.create_secret(&key).await?;
    }
    Ok(())
}

/// A provisioner that ends with every error and is started anew. Says which secrets there are.
async fn provide(plan: Option<&str>, twin: Twin) -> Vec<String> {
    under(plan, cluster([app("web", "active")]).await, async |cluster| {
        let mut starts = 1;
        while provisioner(&World::of(cluster), twin).await.is_err() {
            starts += 1;
            assert!(starts < 10, "it never settles");
        }
        secrets(cluster)
    })
    .await
}

#[tokio::test]
async fn intermediate_state_makes_the_provisioner_stop_half_way() {
    assert_eq!(provide(None, Twin::Buggy).await, ["web-data", "web-key"]);
    assert_eq!(provide(Some("intermediate_state.yaml"), Twin::Buggy).await, ["web-data"]);
}

#[tokio::test]
async fn intermediate_state_is_finished_by_the_fixed_provisioner() {
    assert_eq!(provide(Some("intermediate_state.yaml"), Twin::Fixed).await, ["web-data", "web-key"]);
}

// === unobserved state ===

/// Deletes the data of apps that went away, until the app `end` is there. Its bug: it hears of deletions by events only.
async fn undertaker(world: &World, twin: Twin, listed: oneshot::Sender<()>) -> Result<(), Error> {
    let (mut known, mut listed) = (BTreeSet::<String>::new(), Some(listed));
    loop {
        let (apps, mut version) = world.list(false).await?;
        let now: BTreeSet<String> = apps.iter().map(|app| name(app).to_owned()).collect();
        if twin == Twin::Fixed {
            // A list says as much about what is gone as about what is there.
            for gone in known.difference(&now) {
                world.delete_secret(&format!("{gone}-data")).await?;
            }
        }
        known = now;
        if let Some(listed) = listed.take() {
            let _ = listed.send(());
        }
        while !known.contains("end") {
            if !follow(world, &mut known, &mut version).await? {
                break;
            }
        }
        if known.contains("end") {
            return Ok(());
        }
    }
}

/// Watches until the stream ends. Says whether the watch can be taken up again.
async fn follow(world: &World, known: &mut BTreeSet<String>, version: &mut String) -> Result<bool, Error> {
    let mut watch = match world.apps.watch(&ListOptions::default().resource_version(version.as_str())).await {
        Err(error) if error.is_expired() || error.is_gone() => return Ok(false),
        watch => watch?,
    };
    while !known.contains("end") {
        let Some(event) = watch.next().await else { return Ok(true) };
        let name = name(&event.object).to_owned();
        match event.kind {
            WatchEventType::Deleted => {
                world.delete_secret(&format!("{name}-data")).await?;
                known.remove(&name);
            }
            WatchEventType::Error => return Ok(false),
            _ => {
                known.insert(name);
            }
        }
        event.object["metadata"]["resourceVersion"].as_str().unwrap_or_default().clone_into(version);
    }
    Ok(true)
}

/// An app is deleted while the undertaker watches. Says which secrets are left.
async fn bury(plan: Option<&str>, twin: Twin) -> Vec<String> {
    let cluster = cluster([app("web", "active"), secret("web-data")]).await;
    under(plan, cluster, async |cluster| {
        let world = World::of(cluster);
        let (listed, has_listed) = oneshot::channel();
        let user = async {
            has_listed.await.unwrap();
            let apps = World::seen_by("user", cluster).apps;
            apps.delete("web", &DeleteOptions::default(), &[]).await.unwrap();
            cluster.apply(app("end", "active")).await.unwrap();
        };
        let (controller, ()) = tokio::join!(undertaker(&world, twin, listed), user);
        controller.unwrap();
        secrets(cluster)
    })
    .await
}

#[tokio::test]
async fn unobserved_state_makes_the_undertaker_leave_data_behind() {
    assert!(bury(None, Twin::Buggy).await.is_empty());
    assert_eq!(bury(Some("unobserved_state.yaml"), Twin::Buggy).await, ["web-data"]);
}

#[tokio::test]
async fn unobserved_state_is_found_by_the_fixed_undertaker() {
    assert!(bury(Some("unobserved_state.yaml"), Twin::Fixed).await.is_empty());
}

// === the plans ===

#[test]
fn the_plans_of_the_examples_pass_the_check() {
    let mut plans: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The other examples are of other things, and `tests/cli/faults.rs` checks them all.
    plans.retain(|path| path.to_string_lossy().ends_with("_state.yaml"));
    plans.sort();
    assert_eq!(plans.len(), 3, "{plans:?}");
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_rehearsal"))
        .args(["faults", "check"])
        .args(&plans)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(checked.stderr.is_empty(), "{}", String::from_utf8_lossy(&checked.stderr));
}
