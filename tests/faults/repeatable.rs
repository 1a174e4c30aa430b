//! The same seed makes the same decisions and leaves the same state, however concurrent requests interleave.

use axum::body::Body;
use rehearsal::faults::{Fault, Firing, Lane, Plan, Rule};
use rehearsal::{Controllers, FakeServer, Snapshot};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SEEDS: u64 = 1000;
const LANES: [&str; 3] = ["red", "green", "blue"];
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Chances of all kinds, on every verb of the scenario.
fn plan(seed: u64) -> Plan {
    let plan = Plan::seed(seed)
        .rule(Rule::new("lost").verb("create").probability(0.3).fault("response-lost"))
        .rule(Rule::new("never").verb("update").probability(0.3).fault("request-lost"))
        .rule(Rule::new("busy").verb("get").probability(0.3).fault(Fault::new("apf-reject")))
        .rule(Rule::new("storm").verb("delete").first(1).probability(0.5).fault("conflict"));
    LANES.iter().fold(plan, |plan, lane| plan.lane(*lane, Lane::new().user_agent(*lane)))
}

async fn call(server: &FakeServer, lane: &str, method: &str, path: &str, body: Value) -> u16 {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("user-agent", lane)
        .header("content-type", "application/json")
        .body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) })
        .unwrap();
    server.call(request).await.status().as_u16()
}

/// What one lane does: makes an object, changes it twice, reads it; what failed it tries once more. Red deletes it then.
async fn act(server: &FakeServer, lane: &str) {
    let path = format!("{MAPS}/{lane}");
    let object = |data: u32| json!({"metadata": {"name": lane}, "data": {"n": data.to_string()}});
    let steps =
        [("POST", MAPS, object(0)), ("PUT", &path, object(7)), ("PUT", &path, object(8)), ("GET", &path, Value::Null)];
    let last = (lane == "red").then_some(("DELETE", path.as_str(), Value::Null));
    for (method, path, body) in steps.into_iter().chain(last) {
        if call(server, lane, method, path, body.clone()).await >= 400 {
            tokio::task::yield_now().await;
            call(server, lane, method, path, body).await;
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

/// One run from an empty namespace on; the lanes take turns in an order that `order` changes.
async fn run(server: &FakeServer, empty: &Snapshot, seed: u64, order: usize) -> Outcome {
    server.restore(empty).unwrap();
    server.faults().add(&plan(seed)).unwrap();
    let mut lanes = LANES;
    lanes.rotate_left(order % LANES.len());
    let [one, two, three] = lanes;
    if order.is_multiple_of(2) {
        tokio::join!(act(server, one), act(server, two), act(server, three));
    } else {
        // One after the other is an interleaving too.
        for lane in lanes {
            act(server, lane).await;
        }
    }
    let snapshot = server.snapshot();
    let objects = snapshot.range("configmaps", "default/", "").map(|(key, object)| {
        let value: Value = serde_json::from_slice(object.bytes()).unwrap();
        (key.to_owned(), value["data"].clone())
    });
    let outcome = (decisions(server.faults().firings()), objects.collect());
    server.faults().clear();
    outcome
}

#[tokio::test]
async fn a_thousand_seeds_decide_the_same_twice_and_leave_the_same_state() {
    let base = FakeServer::builder().controllers(Controllers::none()).start().await.unwrap();
    let empty = base.snapshot();
    let mut fired = 0;
    let mut states = std::collections::BTreeSet::new();
    for seed in 0..SEEDS {
        let first = run(&base, &empty, seed, 0).await;
        let second = run(&base, &empty, seed, 1 + seed as usize).await;
        assert_eq!(first, second, "seed {seed}");
        fired += first.0.values().map(Vec::len).sum::<usize>();
        states.insert(format!("{:?}", first.1));
    }
    assert!(fired > 1000, "only {fired} faults happened");
    assert!(states.len() > 3, "all runs ended alike: {states:?}");
}

#[tokio::test]
async fn recorded_firings_happen_again_without_their_chances() {
    let base = FakeServer::builder().controllers(Controllers::none()).start().await.unwrap();
    let server = base.fork().await.unwrap();
    server.faults().add(&plan(5)).unwrap();
    act(&server, "red").await;
    let recorded = server.faults().firings();
    assert!(!recorded.is_empty());
    let again = base.fork().await.unwrap();
    // Another seed would decide otherwise; the record decides here.
    again.faults().repeat(&plan(6), &recorded).unwrap();
    act(&again, "red").await;
    let actions =
        |firings: &[Firing]| firings.iter().map(|f| (f.rule.clone(), f.request.clone(), f.repeat)).collect::<Vec<_>>();
    assert_eq!(actions(&again.faults().firings()), actions(&recorded));
}
