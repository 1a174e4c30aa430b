//! The same seed makes the same decisions and leaves the same state, however concurrent requests interleave and whichever
//! version of HTTP they come over.

use crate::peer::{Client, End, Wire};
use rehearsal::faults::{Fault, Firing, Lane, Plan, Rule};
use rehearsal::{Cluster, Controllers, Snapshot};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const SEEDS: u64 = 1000;
/// Clusters that share the seeds among them, side by side.
const SHARDS: u64 = 4;
const LANES: [&str; 3] = ["red", "green", "blue"];
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// An object that all lanes write to.
const SHARED: &str = "/api/v1/namespaces/default/configmaps/shared";

/// Chances of all kinds, on every verb of the scenario.
fn plan(seed: u64) -> Plan {
    let plan = Plan::seed(seed)
        .rule(Rule::new("lost").verb("create").probability(0.3).fault("response-lost"))
        .rule(Rule::new("half-lost").verb("patch").probability(0.2).fault("response-lost"))
        .rule(Rule::new("never").verb("update").verb("patch").probability(0.3).fault("request-lost"))
        .rule(Rule::new("busy").verb("get").probability(0.3).fault(Fault::new("apf-reject")))
        .rule(Rule::new("storm").verb("delete").first(1).probability(0.5).fault("conflict"));
    LANES.iter().fold(plan, |plan, lane| plan.lane(*lane, Lane::new().user_agent(*lane)))
}

/// A logical client with a connection of its own, which it makes anew when a fault has taken it away.
struct Actor {
    wire: Wire,
    lane: &'static str,
    client: Option<Client>,
}

impl Actor {
    fn all(wire: Wire) -> [Self; 3] {
        LANES.map(|lane| Self { wire, lane, client: None })
    }

    /// The status of the answer; 0 when none came.
    async fn call(&mut self, cluster: &Cluster, method: &str, path: &str, body: &Value) -> u16 {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::open(cluster, self.wire).await,
        };
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("User-Agent", self.lane), ("Content-Type", kind)];
        let mut running = client.begin(method, path, &headers, &body).await;
        let seen = running.all().await;
        if seen.end == End::Proper {
            self.client = Some(running.client);
        }
        seen.code
    }

    /// Makes an object, changes it, writes its own key into the shared one, and reads its own; what failed it tries once
    /// more. Red deletes it then.
    async fn act(&mut self, cluster: &Cluster) {
        let (lane, path) = (self.lane, format!("{MAPS}/{}", self.lane));
        let object = |data: u32| json!({"metadata": {"name": lane}, "data": {"n": data.to_string()}});
        let steps = [
            ("POST", MAPS, object(0)),
            ("PUT", &path, object(7)),
            ("PATCH", SHARED, json!({"data": {lane: "was here"}})),
            ("GET", &path, Value::Null),
        ];
        let last = (lane == "red").then_some(("DELETE", path.as_str(), Value::Null));
        for (method, path, body) in steps.into_iter().chain(last) {
            if !(200..400).contains(&self.call(cluster, method, path, &body).await) {
                self.call(cluster, method, path, &body).await;
            }
        }
    }
}

/// Decisions by request, and objects by name with their data.
type Outcome = (BTreeMap<String, Vec<Value>>, BTreeMap<String, Value>);

fn decisions(firings: Vec<Firing>) -> BTreeMap<String, Vec<Value>> {
    let mut by_request: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for firing in firings {
        let mut value = serde_json::to_value(&firing).unwrap();
        value.as_object_mut().unwrap().remove("at");
        by_request.entry(firing.request).or_default().push(value);
    }
    by_request
}

/// A server and where every run of it begins.
struct Stage {
    cluster: Cluster,
    beginning: Snapshot,
}

impl Stage {
    async fn set() -> Self {
        let shared =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared", "namespace": "default"}});
        let cluster = Cluster::builder().controllers(Controllers::none()).objects([shared]).start().await.unwrap();
        let beginning = cluster.snapshot();
        Self { cluster, beginning }
    }

    /// One run from the beginning on: all at once.
    async fn run(&self, actors: &mut [Actor; 3], seed: u64) -> Outcome {
        self.cluster.restore(&self.beginning).unwrap();
        self.cluster.faults().add(&plan(seed)).unwrap();
        let [one, two, three] = actors;
        tokio::join!(one.act(&self.cluster), two.act(&self.cluster), three.act(&self.cluster));
        let snapshot = self.cluster.snapshot();
        let objects = snapshot.range("configmaps", "default/", "").map(|(key, object)| {
            let value: Value = serde_json::from_slice(object.bytes()).unwrap();
            (key.to_owned(), value["data"].clone())
        });
        let outcome = (decisions(self.cluster.faults().firings()), objects.collect());
        self.cluster.faults().clear();
        outcome
    }
}

/// How many faults happened for these seeds, and the states they have led to.
async fn twice_each(seeds: impl Iterator<Item = u64>) -> (usize, BTreeSet<String>) {
    let stage = Stage::set().await;
    let (mut fired, mut states) = (0, BTreeSet::new());
    let (mut over_http1, mut over_http2) = (Actor::all(Wire::Http1), Actor::all(Wire::Http2));
    for seed in seeds {
        let first = stage.run(&mut over_http1, seed).await;
        let second = stage.run(&mut over_http2, seed).await;
        // Another begins each time.
        over_http2.rotate_left(1);
        assert_eq!(first, second, "seed {seed}");
        fired += first.0.values().map(Vec::len).sum::<usize>();
        states.insert(format!("{:?}", first.1));
    }
    (fired, states)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_seeds_decide_the_same_over_both_versions_and_leave_the_same_state() {
    let shards = (0..SHARDS).map(|shard| tokio::spawn(twice_each((shard..SEEDS).step_by(SHARDS as usize))));
    let (mut fired, mut states) = (0, BTreeSet::new());
    for shard in shards.collect::<Vec<_>>() {
        let (more, ended) = shard.await.unwrap();
        fired += more;
        states.extend(ended);
    }
    assert!(fired > 3000, "only {fired} faults happened");
    assert!(states.len() > 10, "too many runs ended alike: {states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_firings_happen_again_without_their_chances() {
    let stage = Stage::set().await;
    let red = async || Actor { wire: Wire::Http2, lane: "red", client: None }.act(&stage.cluster).await;
    stage.cluster.faults().add(&plan(5)).unwrap();
    red().await;
    let recorded = stage.cluster.faults().firings();
    assert!(!recorded.is_empty());
    stage.cluster.faults().clear();
    stage.cluster.restore(&stage.beginning).unwrap();
    // Another seed would decide otherwise; the record decides here.
    stage.cluster.faults().repeat(&plan(6), &recorded).unwrap();
    red().await;
    let actions =
        |firings: &[Firing]| firings.iter().map(|f| (f.rule.clone(), f.request.clone(), f.repeat)).collect::<Vec<_>>();
    assert_eq!(actions(&stage.cluster.faults().firings()), actions(&recorded));
}
