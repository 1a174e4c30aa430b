//! Playing scenarios: a server of its own for each, several beside one another, so that waits overlap.

use super::card::{Card, SCHEMA, ScenarioResult};
use super::driver::{Exit, Lease, Outcome, Pool};
use super::elsewhere::Elsewhere;
use super::login;
use super::measure::{Measured, seen};
use super::scenario::{Login, MADE, Scenario, Step};
use super::scenarios::{Profile, select};
use super::verdict::Evidence;
use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use rehearsal_fakeserver::FakeServer;
use rehearsal_fakeserver::auth::write_atomically;
use rehearsal_fakeserver::clock::Clock;
use rehearsal_faults::Plan;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

/// How often a mirror is compared with the server.
const COMPARING: Duration = Duration::from_millis(50);
/// How long an adapter may take for what needs no server.
const PROMPTLY: Duration = Duration::from_secs(10);
/// How many requests of a timeline are kept.
const KEPT: usize = 300;

/// What is to be played.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Which scenarios.
    pub profile: Profile,
    /// Words that their ids must have one of; none for all.
    pub only: Vec<String>,
    /// How many are played at a time.
    pub jobs: usize,
    /// The adapter and its arguments.
    pub command: Vec<OsString>,
    /// Whether the adapters' standard error is shown.
    pub show_stderr: bool,
}

/// Plays the scenarios. `progress` hears of each as it ends.
///
/// # Errors
/// When the adapter cannot be started or breaks the protocol, or a server does not start.
pub async fn play(suite: &Suite, progress: impl Fn(&ScenarioResult)) -> anyhow::Result<Card> {
    let scenarios = select(suite.profile, &suite.only);
    if scenarios.is_empty() {
        bail!("no scenario of the profile {} has any of {:?} in its name", suite.profile.as_str(), suite.only);
    }
    let clock = Clock::real();
    let began = clock.now();
    let pool = Pool::new(suite.command.clone(), suite.jobs, suite.show_stderr, clock.clone());
    let client = pool.hello().await?;
    pool.warm(suite.jobs.min(scenarios.len()).saturating_sub(1)).await?;
    let playing = scenarios.iter().map(|scenario| async {
        let result = one(scenario, &pool, &clock).await.with_context(|| format!("scenario {}", scenario.id));
        result.iter().for_each(&progress);
        result
    });
    let results: Vec<_> = futures::stream::iter(playing).buffered(scenarios.len()).collect().await;
    pool.close().await;
    Ok(Card {
        schema_version: SCHEMA,
        suite: env!("CARGO_PKG_VERSION").to_owned(),
        profile: suite.profile.as_str().to_owned(),
        date: began.strftime("%Y-%m-%d").to_string(),
        took_ms: clock.now().duration_since(began).as_secs_f64() * 1000.0,
        client,
        scenarios: results.into_iter().collect::<anyhow::Result<_>>()?,
    })
}

async fn one(scenario: &Scenario, pool: &Pool, clock: &Clock) -> anyhow::Result<ScenarioResult> {
    // The process first: windows of a plan begin with the server.
    let mut lease = pool.lease().await?;
    let stage = Stage::set(scenario).await?;
    let opened = pool.open(&mut lease, &stage.kubeconfig()).await;
    let began = clock.now();
    let mut played = Played::default();
    if opened.is_ok() {
        played.play(scenario, &stage, &mut lease, clock).await;
    }
    played.memory = lease.memory();
    pool.give_back(lease).await;
    opened?;
    Ok(stage.judge(scenario, played, began, clock))
}

/// A server in the state that a scenario begins with.
struct Stage {
    server: FakeServer,
    elsewhere: Elsewhere,
    dir: tempfile::TempDir,
    planned: bool,
}

impl Stage {
    async fn set(scenario: &Scenario) -> anyhow::Result<Self> {
        let elsewhere = Elsewhere::start().await.context("listen as another host")?;
        let mut builder = FakeServer::builder().objects(scenario.objects.clone()).tls(scenario.tls);
        let planned = !scenario.plan.is_empty();
        if planned {
            let text = scenario.plan.replace("${elsewhere}", elsewhere.url());
            builder = builder.faults(Plan::from_yaml(&scenario.id, &text)?);
        }
        let server = builder.start().await?;
        let dir =
            tempfile::Builder::new().prefix("rehearsal-score-").tempdir().context("make a temporary directory")?;
        let stage = Self { server, elsewhere, dir, planned };
        let kubeconfig = stage.server.kubeconfig()?;
        let kubeconfig = login::kubeconfig(&kubeconfig, scenario.tls, scenario.login, stage.dir.path())?;
        write_atomically(&stage.kubeconfig(), &kubeconfig).context("write the kubeconfig")?;
        Ok(stage)
    }

    fn kubeconfig(&self) -> std::path::PathBuf {
        self.dir.path().join("kubeconfig")
    }

    /// Somebody else writes.
    async fn put(&self, object: &Value) {
        if let Err(status) = self.server.apply(object.clone()).await {
            tracing::warn!(%status, "an object of a scenario was refused");
        }
    }

    /// Names and `data.v` of all ConfigMaps in the namespace `default`.
    fn objects(&self) -> BTreeMap<String, String> {
        let snapshot = self.server.snapshot();
        let all = snapshot.range("configmaps", "default/", "").map(|(key, object)| {
            let name = key.rsplit('/').next().unwrap_or_default().to_owned();
            let value = object.value();
            (name, value.pointer("/data/v").and_then(Value::as_str).unwrap_or_default().to_owned())
        });
        all.collect()
    }

    fn judge(&self, scenario: &Scenario, played: Played, began: jiff::Timestamp, clock: &Clock) -> ScenarioResult {
        let mut timeline = seen(&self.server.journal().entries(), began);
        let objects = self.objects();
        let made = objects.keys().filter(|name| name.starts_with(MADE)).count();
        let firings = self.server.faults().firings();
        let runs = (scenario.login == Login::Plugin).then(|| login::plugin_runs(self.dir.path()));
        let numbers = Measured {
            duplicates: made.saturating_sub(1),
            plugin_runs: runs,
            memory_bytes: played.memory,
            ..Measured::of(&timeline, scenario.watched, played.mirrored_ms)
        };
        let evidence = Evidence {
            measured: numbers.with_connections(&firings),
            objects,
            mirror: played.mirror,
            elsewhere: self.elsewhere.heads(),
            faulty: !self.planned || !firings.is_empty(),
            outcomes: played.outcomes,
        };
        let evidence = evidence.completed(&scenario.checks);
        timeline.truncate(KEPT);
        ScenarioResult {
            id: scenario.id.clone(),
            group: scenario.group,
            title: scenario.title.clone(),
            plan: scenario.plan.clone(),
            took_ms: clock.now().duration_since(began).as_secs_f64() * 1000.0,
            checks: scenario.checks.iter().map(|check| evidence.judge(check)).collect(),
            outcomes: evidence.outcomes,
            measured: evidence.measured,
            timeline,
        }
    }
}

/// What has come of a scenario so far.
#[derive(Debug, Default)]
struct Played {
    outcomes: Vec<Outcome>,
    mirror: Option<BTreeMap<String, String>>,
    mirrored_ms: Option<f64>,
    memory: Option<u64>,
}

impl Played {
    async fn play(&mut self, scenario: &Scenario, stage: &Stage, lease: &mut Lease<'_>, clock: &Clock) {
        let mut meanwhile = None;
        for step in &scenario.steps {
            match step {
                Step::Call { op, args, deadline } => {
                    let others = async {
                        if let Some((time, object)) = meanwhile.take() {
                            tokio::time::sleep(time).await;
                            stage.put(object).await;
                        }
                    };
                    let call = lease.call(op, args, *deadline, scenario.patience);
                    self.outcomes.push(futures::join!(call, others).0);
                }
                Step::Put(object) => stage.put(object).await,
                Step::Meanwhile(time, object) => meanwhile = Some((*time, object)),
                Step::Pass(time) => tokio::time::sleep(*time).await,
                Step::Mark(name) => stage.server.faults().mark(name),
                Step::Rotate => {
                    if let Err(error) = login::rotate(stage.dir.path(), 2) {
                        tracing::warn!(%error, "a token was not replaced");
                    }
                }
                Step::Mirror(bound) => self.compare(*bound, stage, lease, clock).await,
            }
            if self.outcomes.last().is_some_and(|o| matches!(o.exit, Exit::Crash | Exit::Never | Exit::Unsupported)) {
                return;
            }
        }
        if scenario.steps.iter().any(|step| matches!(step, Step::Mirror(_))) {
            lease.call("stop", &json!({}), None, PROMPTLY).await;
        }
    }

    /// Waits until the mirror is like the server, but no longer than the bound.
    async fn compare(&mut self, bound: Duration, stage: &Stage, lease: &mut Lease<'_>, clock: &Clock) {
        let began = clock.now();
        loop {
            let outcome = lease.call("store", &json!({}), None, PROMPTLY).await;
            if outcome.exit != Exit::Ok {
                self.outcomes.push(outcome);
                return;
            }
            let mirror = mirror(&outcome.result);
            let alike = mirror == stage.objects();
            self.mirror = Some(mirror);
            let took = clock.now().duration_since(began).as_secs_f64();
            self.mirrored_ms = alike.then_some(took * 1000.0);
            if alike || took > bound.as_secs_f64() {
                return;
            }
            tokio::time::sleep(COMPARING).await;
        }
    }
}

/// The objects of an answer to `store`.
fn mirror(result: &Value) -> BTreeMap<String, String> {
    let objects = result.get("objects").and_then(Value::as_object);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    objects.map(|all| all.iter().map(|(name, value)| (name.clone(), text(value))).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_names_and_values() {
        let found = mirror(&json!({"objects": {"a": "one", "b": null}}));
        assert_eq!(found, BTreeMap::from([("a".into(), "one".into()), ("b".into(), String::new())]));
    }
}
