//! A million small objects: what they take in memory, and whether work on one costs what it costs among a thousand.

#![allow(clippy::disallowed_methods, reason = "benchmarks measure the machine's own time")]

mod support;

use bytes::Bytes;
use http::Method;
use rehearsal::fakeserver::catalog::ResourceInfo;
use rehearsal::fakeserver::registry::{Registry, Target as Object, Write};
use rehearsal::{Cluster, Controllers};
use rehearsal_apimachinery::options::DeleteOptions;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::client::Client;
use support::process::resident;
use support::stats::median;
use support::{Options, Outcome, Report, Target, objects, runtime};

/// Objects worked on between two looks at the clock.
const BATCH: usize = 200;
/// Namespaces that the objects are spread over.
const NAMESPACES: usize = 100;

fn main() -> Outcome {
    let options = Options::parse();
    let mut report = Report::new("store");
    runtime()?.block_on(million(&options, &mut report))?;
    report.finish(options.record)
}

struct Store {
    cluster: Cluster,
    info: Arc<ResourceInfo>,
}

impl Store {
    async fn new() -> Outcome<Self> {
        let cluster = Cluster::builder().controllers(Controllers::none()).start().await?;
        for n in 0..NAMESPACES {
            let namespace =
                serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("n{n}")}});
            cluster.apply(namespace).await?;
        }
        let info = cluster.server().registry().table().lookup("", "v1", "configmaps").ok_or("no config maps")?;
        Ok(Self { cluster, info })
    }

    fn registry(&self) -> &Registry {
        self.cluster.server().registry()
    }

    fn target(&self, n: usize, prefix: &str) -> Object {
        // Spread over the key space as chance would.
        let n = n.wrapping_mul(2_654_435_761) % (1 << 32);
        let namespace = format!("n{}", n % NAMESPACES);
        Object { info: self.info.clone(), namespace, name: format!("{prefix}{n}"), subresource: String::new() }
    }

    async fn create(&self, target: &Object, object: Value) -> Outcome {
        let user = rehearsal::fakeserver::strategies::UserInfo::default();
        let mut write = Write { user: &user, manager: "bench".into(), dry_run: false, warnings: Vec::new() };
        self.registry().create(target, object, &mut write).await.map_err(|s| s.message)?;
        Ok(())
    }

    async fn delete(&self, target: &Object) -> Outcome {
        let user = rehearsal::fakeserver::strategies::UserInfo::default();
        let mut write = Write { user: &user, manager: "bench".into(), dry_run: false, warnings: Vec::new() };
        self.registry().delete(target, &DeleteOptions::default(), &mut write).await.map_err(|s| s.message)?;
        Ok(())
    }

    async fn fill(&self, objects: std::ops::Range<usize>) -> Outcome {
        for n in objects {
            let target = self.target(n, "c");
            self.create(&target, objects::config_map(&target.namespace, &target.name)).await?;
        }
        Ok(())
    }

    /// Objects to make among what is there, and objects to read.
    fn batch(&self, there: usize, round: usize) -> (Vec<Object>, Vec<Object>) {
        let made = (0..BATCH).map(|n| self.target(round * BATCH + n, "new")).collect();
        let read = (0..BATCH).map(|n| self.target((round * BATCH + n).wrapping_mul(7919) % there, "c")).collect();
        (made, read)
    }

    /// Microseconds of a create, a get and a delete as a client pays for them; what it makes is gone afterwards.
    async fn requests(&self, client: &mut Client, there: usize, round: usize) -> Outcome<[f64; 3]> {
        let (made, read) = self.batch(there, round);
        let collection = |t: &Object| format!("/api/v1/namespaces/{}/configmaps", t.namespace);
        let path = |t: &Object| format!("{}/{}", collection(t), t.name);
        let bodies: Vec<Bytes> =
            made.iter().map(|t| Bytes::from(objects::config_map(&t.namespace, &t.name).to_string())).collect();
        let create = Instant::now();
        for (target, body) in made.iter().zip(bodies) {
            client.call(Method::POST, &collection(target), body).await?;
        }
        let get = Instant::now();
        for target in &read {
            client.get(&path(target)).await?;
        }
        let delete = Instant::now();
        for target in &made {
            client.call(Method::DELETE, &path(target), Bytes::new()).await?;
        }
        Ok(micros([get - create, delete - get, delete.elapsed()]))
    }

    /// As [`requests`](Self::requests), at the registry: no HTTP, nothing but what grows with the store.
    async fn calls(&self, there: usize, round: usize) -> Outcome<[f64; 3]> {
        let (made, read) = self.batch(there, round);
        let bodies: Vec<Value> = made.iter().map(|t| objects::config_map(&t.namespace, &t.name)).collect();
        let create = Instant::now();
        for (target, body) in made.iter().zip(bodies) {
            self.create(target, body).await?;
        }
        let get = Instant::now();
        for target in &read {
            self.registry().get(target, "").await.map_err(|s| s.message)?;
        }
        let delete = Instant::now();
        for target in &made {
            self.delete(target).await?;
        }
        Ok(micros([get - create, delete - get, delete.elapsed()]))
    }

    async fn client(&self) -> Outcome<Client> {
        Client::connect(&self.cluster.url().replace("http://", "")).await
    }

    fn json_bytes(&self) -> usize {
        self.cluster.snapshot().range("configmaps", "", "").map(|(_, object)| object.bytes().len()).sum()
    }
}

/// A small cluster and a large one, worked on in turns.
#[allow(clippy::cast_precision_loss)]
async fn million(options: &Options, report: &mut Report) -> Outcome {
    let (few, many) = (1000, options.count(1_000_000, 100_000));
    let small = Store::new().await?;
    small.fill(0..few).await?;
    small.calls(few, 0).await?;
    let before = resident("self")?;
    let large = Store::new().await?;
    large.fill(0..many).await?;
    let (memory, json) = (resident("self")? - before, large.json_bytes());
    report.figure(
        format!("memory of {many} small objects, against their JSON"),
        Target::AtMost(2.0, "×"),
        memory / json as f64,
    );
    report.figure("JSON of one of them", Target::Shown("bytes"), json as f64 / many as f64);
    let (mut requests, mut calls) = (Costs::default(), Costs::default());
    let (mut one, mut other) = (small.client().await?, large.client().await?);
    for round in 0..options.count(101, 21) {
        requests.add(small.requests(&mut one, few, round).await?, large.requests(&mut other, many, round).await?);
        calls.add(small.calls(few, round).await?, large.calls(many, round).await?);
    }
    let names = [format!("among {many} objects, against among {few}"), format!("among {few}"), format!("among {many}")];
    requests.report(&names, Target::AtMost(1.3, "×"), report);
    calls.report(&names.map(|name| format!("{name}, at the registry alone")), Target::Shown("×"), report);
    Ok(())
}

/// A create, a get and a delete each.
#[allow(clippy::cast_precision_loss)]
fn micros(batches: [Duration; 3]) -> [f64; 3] {
    batches.map(|time| time.as_secs_f64() * 1e6 / BATCH as f64)
}

/// What the verbs cost in the small cluster and in the large one.
#[derive(Default)]
struct Costs([[Vec<f64>; 2]; 3]);

impl Costs {
    fn add(&mut self, small: [f64; 3], large: [f64; 3]) {
        for (verb, costs) in self.0.iter_mut().enumerate() {
            costs[0].push(small[verb]);
            costs[1].push(large[verb]);
        }
    }

    fn report(&mut self, names: &[String; 3], target: Target, report: &mut Report) {
        for (verb, [small, large]) in ["create", "get", "delete"].into_iter().zip(&mut self.0) {
            let (small, large) = (median(small), median(large));
            report.figure(format!("{verb} {}", names[0]), target, large / small);
            report.figure(format!("{verb} {}", names[1]), Target::Shown("µs"), small);
            report.figure(format!("{verb} {}", names[2]), Target::Shown("µs"), large);
        }
    }
}
