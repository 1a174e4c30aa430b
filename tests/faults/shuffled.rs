//! Requests that really run at the same time, in any order: each identity meets the same faults.

use axum::body::Body;
use proptest::prelude::*;
use rehearsal::faults::{Fault, Lane, Per, Plan, Rule};
use rehearsal::{Controllers, FakeServer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const LANES: [&str; 3] = ["red", "green", "blue"];
const NAMES: [&str; 3] = ["p", "q", ""];

/// Chances, numbers and limits in every scope that interleaving must not touch.
fn plan(seed: u64) -> Plan {
    let get = |id: &str| Rule::new(id).verb("get").resource("configmaps");
    let plan = Plan::seed(seed)
        .rule(get("told").fault("warning").probability(0.5))
        .rule(get("second").name("p").nth(2).fault("apf-reject"))
        .rule(get("some").probability(0.4).count(2).fault(Fault::new("internal-error")))
        .rule(Rule::new("lists").verb("list").every(3).per(Per::Object).fault("too-many-inflight"));
    LANES.iter().fold(plan, |plan, lane| plan.lane(*lane, Lane::new().user_agent(*lane)))
}

/// Sends all at once, begun in this order. What fired, by rule, request and how many times that was asked before.
async fn all_at_once(server: &Arc<FakeServer>, seed: u64, requests: &[(usize, usize)]) -> BTreeMap<String, Value> {
    server.faults().clear();
    server.faults().add(&plan(seed)).unwrap();
    let tasks: Vec<_> = requests
        .iter()
        .map(|&(lane, name)| {
            let path = format!("/api/v1/namespaces/default/configmaps/{}", NAMES[name]);
            let request = http::Request::get(path.trim_end_matches('/')).header("user-agent", LANES[lane]);
            let (request, server) = (request.body(Body::empty()).unwrap(), server.clone());
            tokio::spawn(async move { server.call(request).await.status() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let fired = server.faults().firings().into_iter().map(|firing| {
        let key = format!("{} {} {}", firing.rule, firing.request, firing.repeat);
        let mut value = serde_json::to_value(firing).unwrap();
        value.as_object_mut().unwrap().remove("at");
        (key, value)
    });
    fired.collect()
}

#[test]
fn concurrent_requests_in_any_order_meet_the_same_faults() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let server = FakeServer::builder().controllers(Controllers::none()).start();
    let server = Arc::new(runtime.block_on(server).unwrap());
    let requests = prop::collection::vec((0..LANES.len(), 0..NAMES.len()), 1..60);
    let orders = requests.prop_flat_map(|sent| (Just(sent.clone()), Just(sent).prop_shuffle()));
    proptest!(ProptestConfig::with_cases(64), |(seed in any::<u64>(), (sent, shuffled) in orders)| {
        let one = runtime.block_on(all_at_once(&server, seed, &sent));
        let other = runtime.block_on(all_at_once(&server, seed, &shuffled));
        prop_assert_eq!(one, other);
    });
}
