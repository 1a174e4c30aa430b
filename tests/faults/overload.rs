//! S18: seats, queues and what is turned away, over both versions of HTTP. Time is a clock that the tests advance.

use crate::peer::{
    Answer, Client, Http2, MAPS, PATIENCE, RST_STREAM, Wire, connect, data, doing, exchange, get, http2, request, rule,
    with,
};
use rehearsal::Cluster;
use rehearsal::faults::Fault;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const BODY: &str = "Too many requests, please try again later.\n";
const PF: [&str; 2] = ["x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid"];

/// A cluster in which every get holds its seat for ten seconds of its clock, or as long as a test says.
struct Busy {
    cluster: Cluster,
    clock: rehearsal::Clock,
}

impl Busy {
    async fn start(overload: Fault) -> Self {
        Self::holding(overload, "10s").await
    }

    async fn holding(overload: Fault, time: &str) -> Self {
        let clock = rehearsal::Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
        let slow = rule(overload).fault(Fault::new("delay").knob("wait", time)).verb("get");
        let cluster = with(Cluster::builder().clock(clock.clone()), slow).await;
        Self { cluster, clock }
    }

    fn pass(&self, seconds: i64) {
        assert!(self.clock.advance(jiff::SignedDuration::from_secs(seconds)));
    }

    /// Waits until so many execute and so many wait.
    async fn until(&self, executing: u64, waiting: u64) {
        let faults = self.cluster.faults();
        let there = faults.loaded("it", |load| (load.executing, load.waiting) == (executing, waiting));
        match timeout(Duration::from_secs(60), there).await {
            Ok(load) => drop(load.unwrap()),
            Err(_) => panic!("{:?}", faults.load("it")),
        }
    }

    /// Reads an object on a connection of its own.
    fn get(&self) -> JoinHandle<Answer> {
        let address = self.cluster.server().address();
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            exchange(&mut stream, &one()).await
        })
    }

    /// Lets time pass until all are answered. Each step ends one request at most: the next begins its ten seconds after it.
    async fn run_out(&self, all: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
        self.pass_until(|| all.iter().all(JoinHandle::is_finished)).await;
        futures::future::join_all(all).await.into_iter().map(Result::unwrap).collect()
    }

    /// Lets time pass, for what it takes begins to count a moment after it can be seen.
    async fn pass_until(&self, done: impl Fn() -> bool) {
        while !done() {
            self.pass(10);
            let _ = timeout(Duration::from_millis(20), self.cluster.faults().changed()).await;
        }
    }

    async fn turned_away(&self, retry_after: &str) -> Answer {
        let answer = get(&self.cluster, &format!("{MAPS}/a")).await;
        assert_eq!((answer.code(), answer.text().as_str()), (429, BODY));
        assert_eq!(answer.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"));
        assert_eq!(answer.header("retry-after").as_deref(), Some(retry_after));
        answer
    }
}

crate::proof::wire_tests! {
    s18_overload_turns_away_what_finds_no_seat: Http1, Http2;
}

async fn s18_overload_turns_away_what_finds_no_seat(wire: Wire) {
    let slow = Fault::new("delay").knob("wait", "10h");
    let rule = doing("overload", &[("limitResponse", "reject"), ("seats", "1")]).fault(slow).verb("get");
    let clock = rehearsal::Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let cluster = with(Cluster::builder().clock(clock), rule).await;
    let client = Client::open(&cluster, wire).await;
    let mut first = client.begin("GET", &format!("{MAPS}/a"), &[], "").await;
    timeout(PATIENCE, cluster.faults().loaded("s18", |load| load.executing == 1)).await.unwrap().unwrap();
    let seen = wire.get(&cluster, &format!("{MAPS}/a")).await;
    assert_eq!((seen.code, seen.text().as_str()), (429, BODY));
    cluster.faults().disarm_all();
    assert_eq!(first.all().await.code, 200);
}

fn one() -> Vec<u8> {
    request("GET", &format!("{MAPS}/a"), "")
}

/// Nobody is turned away for having waited long, unless a test says so.
fn overload(seats: u64) -> Fault {
    Fault::new("overload").knob("seats", seats).knob("waitLimit", "24h")
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_overload_seats_queues_and_turns_away() {
    let tight = overload(1).knob("queues", 1u64).knob("handSize", 1u64).knob("queueLengthLimit", 2u64);
    let busy = Busy::start(tight).await;
    let mut all = vec![busy.get()];
    busy.until(1, 0).await;
    all.extend([busy.get(), busy.get()]);
    busy.until(1, 2).await;
    let refused = busy.turned_away("1").await;
    // A list is not meant by the rule; its flow headers are those of the refusal.
    let list = get(&busy.cluster, MAPS).await;
    assert_eq!(PF.map(|name| refused.header(name)), PF.map(|name| list.header(name)));
    assert!(list.header(PF[0]).is_some());
    assert!(busy.run_out(all).await.iter().all(|answer| answer.code() == 200));
    busy.until(0, 0).await;
    assert_eq!(busy.cluster.faults().load("it").unwrap().rejected, 1);
    let state = serde_json::to_value(busy.cluster.faults().state()).unwrap();
    let load = serde_json::json!({"executing": 0, "waiting": 0, "rejected": 1, "retryAfter": 1});
    assert_eq!(state["sets"][0]["rules"][0]["load"], load);
    let journal = busy.cluster.journal().entries();
    assert_eq!(journal.iter().filter(|entry| entry.code == 429).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_overload_waits_no_longer_than_its_limit() {
    let busy = Busy::holding(overload(1).knob("waitLimit", "4s"), "10h").await;
    let first = busy.get();
    busy.until(1, 0).await;
    let second = busy.get();
    busy.until(1, 1).await;
    let second = busy.run_out(vec![second]).await;
    assert_eq!((second[0].code(), second[0].text().as_str()), (429, BODY));
    busy.until(1, 0).await;
    busy.cluster.faults().disarm_all();
    assert_eq!(first.await.unwrap().code(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_overload_doubles_its_retry_after_while_many_are_turned_away() {
    let busy = Busy::start(overload(0).knob("limitResponse", "reject")).await;
    // Without a seat one executes all the same. It goes on through the whole test, for time passes below its delay.
    let first = busy.get();
    busy.until(1, 0).await;
    for (seconds, retry_after, times) in [(0, "1", 3), (1, "2", 6), (2, "4", 12), (4, "8", 1)] {
        if seconds > 0 {
            busy.pass(seconds);
        }
        for _ in 0..times {
            let refused = busy.turned_away(retry_after).await;
            assert!(PF.iter().all(|name| refused.header(name).is_some()));
        }
    }
    busy.cluster.faults().disarm_all();
    assert_eq!(first.await.unwrap().code(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_overload_as_the_filter_of_old_has_no_flow_headers() {
    let busy = Busy::start(overload(1).knob("limitResponse", "inflight")).await;
    let first = busy.get();
    busy.until(1, 0).await;
    for seconds in [0, 1, 1] {
        if seconds > 0 {
            busy.pass(seconds);
        }
        for _ in 0..4 {
            let refused = busy.turned_away("1").await;
            assert!(PF.iter().all(|name| refused.header(name).is_none()), "{}", refused.head());
        }
    }
    busy.cluster.faults().disarm_all();
    assert_eq!(first.await.unwrap().code(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_overload_gives_a_watch_a_seat_only_until_it_has_begun() {
    let cluster = with(Cluster::builder(), rule(overload(1).knob("limitResponse", "reject"))).await;
    let watches = [Wire::Http1.watch(&cluster, "", 2).await, Wire::Http1.watch(&cluster, "", 2).await];
    let free = cluster.faults().loaded("it", |load| load.executing == 0);
    assert_eq!(timeout(Duration::from_secs(60), free).await.unwrap().unwrap().rejected, 0);
    assert_eq!(get(&cluster, MAPS).await.code(), 200);
    drop(watches);
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_overload_forgets_who_goes_away() {
    let busy = Busy::start(overload(1)).await;
    let first = busy.get();
    busy.until(1, 0).await;
    let mut second = connect(&busy.cluster).await;
    second.write_all(&one()).await.unwrap();
    busy.until(1, 1).await;
    drop(second);
    busy.until(1, 0).await;
    busy.cluster.faults().disarm_all();
    assert_eq!(first.await.unwrap().code(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_overload_parks_streams_of_http2_and_not_their_connection() {
    let busy = Busy::start(overload(1).knob("queues", 1u64).knob("queueLengthLimit", 2u64)).await;
    let path = format!("{MAPS}/a");
    let mut h2 = http2(&busy.cluster).await;
    let first = h2.get(&path).await;
    busy.until(1, 0).await;
    let (second, third) = (h2.get(&path).await, h2.get(&path).await);
    busy.until(1, 2).await;
    let fourth = h2.get(&path).await;
    assert_eq!(data(&h2.answer(fourth).await), BODY);
    // Other requests are served on the same connection meanwhile.
    let list = h2.get(MAPS).await;
    assert!(data(&h2.answer(list).await).contains("ConfigMapList"));
    // The client no longer wants one of those that wait.
    h2.write(RST_STREAM, 0, second, &8u32.to_be_bytes()).await;
    busy.until(1, 1).await;
    busy.pass_until(|| busy.cluster.faults().load("it").unwrap().waiting == 0).await;
    assert!(ok(&mut h2, first).await);
    // Nothing holds the last one any more.
    busy.cluster.faults().disarm_all();
    assert!(ok(&mut h2, third).await);
}

async fn ok(h2: &mut Http2<TcpStream>, stream: u32) -> bool {
    data(&h2.answer(stream).await).contains("\"ConfigMap\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_overload_lets_everybody_go_when_its_plan_does() {
    let busy = Busy::start(overload(1)).await;
    let all = [busy.get(), busy.get(), busy.get()];
    busy.until(1, 2).await;
    busy.cluster.faults().disarm_all();
    for answer in all {
        assert_eq!(answer.await.unwrap().code(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_overload_serves_flows_in_turn() {
    let fair = overload(1).knob("flows", "namespace").knob("handSize", 1u64).knob("limitResponse", "queue");
    let busy = Busy::start(fair).await;
    let first = busy.get();
    busy.until(1, 0).await;
    let mut flood: Vec<_> = Vec::new();
    for n in 1..=12 {
        flood.push(busy.get());
        busy.until(1, n).await;
    }
    let address = busy.cluster.server().address();
    let quiet = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        exchange(&mut stream, &request("GET", "/api/v1/namespaces/kube-system/configmaps/none", "")).await
    });
    busy.until(1, 13).await;
    flood.extend([first, quiet]);
    busy.run_out(flood).await;
    // All came at the same time of the clock that stood still, so how long each took tells their order.
    let mut served = busy.cluster.journal().entries();
    served.sort_by_key(|entry| entry.latency_micros);
    let place = served.iter().position(|entry| entry.uri.contains("kube-system")).unwrap();
    // The one that executed, perhaps one more of the flood, then the other flow.
    assert!(place <= 2, "{:?}", served.iter().map(|e| (e.latency_micros, &e.uri)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_overload_makes_priority_levels_of_which_a_request_has_one() {
    let text = include_str!("../../examples/faults/priority_levels.yaml");
    let plan = rehearsal::faults::Plan::from_yaml("priority_levels.yaml", text).unwrap();
    let cluster = Cluster::builder().controllers(rehearsal::Controllers::none()).faults(plan).start().await.unwrap();
    assert_eq!(get(&cluster, MAPS).await.code(), 200);
    assert_eq!(get(&cluster, "/apis/coordination.k8s.io/v1/leases").await.code(), 200);
    let fired = ["leader-election", "node-high", "workload-high", "global-default"]
        .map(|rule| cluster.faults().count(rule).unwrap());
    assert_eq!(fired, [1, 0, 0, 1]);
}
