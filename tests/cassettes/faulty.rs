//! Faults in front of a recorded cluster: the client sees them, the cluster does not, the tape tells, and a replay lets
//! them happen again.

use crate::process::Rehearsal;
use crate::support::{Engine, config, config_map, config_of, sealed, whole};
use http::{Method, Request};
use rehearsal::hydrate::{Hydrate, HydrateOptions};
use rehearsal::recording::{self, ConfigUpstream, Recording, RecordingOptions};
use rehearsal::{Cluster, Controllers};
use rehearsal_cassettes::firings::Repetition;
use rehearsal_cassettes::format::model::{Call, End, Entry, Tape};
use rehearsal_cassettes::proxy::{Abilities, Lanes, Policy, Proxy, ProxyBuilder, Replay, proxy_faults};
use rehearsal_cassettes::replay::{Manner, Options, Player, ReplayService, Verdict};
use rehearsal_cassettes::{Mode, firings};
use rehearsal_client::{Body, Config, ConnectionPools, Transport};
use rehearsal_fault_wire::Faults;
use rehearsal_faults::{Firing, Plan};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ABILITIES: Abilities = Abilities { tls: true, supervises: false };

/// What the client under test calls itself.
const AGENT: &str = "probe/v1";

/// What goes wrong while a config map is made, read and watched.
const PLAN: &str = "
seed: 7
lanes: {sut: {auth: 'lane:controller'}}
rules:
  - {id: lose-answer, when: {lane: sut, verb: create, resource: configmaps, name: a}, do: response-lost, count: 1}
  - {id: lose-request, when: {verb: create, resource: configmaps, name: b}, do: request-lost}
  - {id: busy, when: {verb: get, resource: configmaps, name: c, first: 1}, do: {too-many-inflight: {retryAfter: 3}}}
  - {id: slow, when: {verb: get, resource: configmaps, name: a}, do: {delay: 20ms}}
  - {id: too-old, when: {verb: watch, resource: configmaps}, do: {watch-expired: {afterFrames: 1}}}
  - {id: cut, when: {verb: list, resource: configmaps}, do: {reset-mid-body: {afterBytes: 20}}}
";

/// One request over a connection of its own, and what became of it. No client library tries anything again here.
async fn ask(config: &Config, http2: bool, method: Method, target: &str, body: Option<Value>) -> String {
    let mut config = Config { pools: ConnectionPools::default(), ..config.clone() };
    config.tls.next_protos = vec![if http2 { "h2" } else { "http/1.1" }.to_owned()];
    let uri = format!("{}{target}", config.host.trim_end_matches('/'));
    let body = body.map_or_else(Body::empty, |value| Body::from(bytes::Bytes::from(value.to_string())));
    let request = Request::builder().method(method).uri(uri).header("content-type", "application/json").body(body);
    let Ok(mut response) = Transport::for_config(&config).unwrap().send(request.unwrap()).await else {
        return "no answer".to_owned();
    };
    let mut said = response.status().as_u16().to_string();
    if let Some(after) = response.headers().get("retry-after") {
        said += &format!(" retry-after={}", after.to_str().unwrap());
    }
    if !target.contains("watch=") {
        return match response.into_body().bytes().await {
            Ok(_) => said,
            Err(_) => said + " broken off",
        };
    }
    // What a watch says, up to its end.
    let mut text = Vec::new();
    while let Some(piece) = response.body_mut().chunk().await {
        match piece {
            Ok(piece) => text.extend_from_slice(&piece),
            Err(_) => {
                said += " broken off";
                break;
            }
        }
    }
    for event in serde_json::Deserializer::from_slice(&text).into_iter::<Value>().map(Result::unwrap) {
        let object = &event["object"];
        let what = object["metadata"]["name"].as_str().or(object["reason"].as_str()).unwrap_or_default();
        said += &format!(" {}:{what}", event["type"].as_str().unwrap());
    }
    said
}

/// What the client under test does, request by request.
async fn scenario(config: &Config, http2: bool) -> Vec<String> {
    let (get, post) = (|name: &str| format!("{MAPS}/{name}"), |name: &str| Some(config_map(name)));
    let mut seen = Vec::new();
    for (method, target, body) in [
        (Method::POST, MAPS.to_owned(), post("a")),
        (Method::GET, get("a"), None),
        (Method::POST, MAPS.to_owned(), post("a")),
        (Method::POST, MAPS.to_owned(), post("b")),
        (Method::GET, get("b"), None),
        (Method::GET, get("c"), None),
        (Method::GET, get("c"), None),
        (Method::GET, format!("{MAPS}?watch=true"), None),
        (Method::GET, MAPS.to_owned(), None),
    ] {
        seen.push(format!(
            "{method} {}: {}",
            target.replace(MAPS, ""),
            ask(config, http2, method.clone(), &target, body).await
        ));
    }
    seen
}

const SEEN: [&str; 9] = [
    "POST : no answer",
    "GET /a: 200",
    "POST : 409",
    "POST : no answer",
    "GET /b: 404",
    "GET /c: 429 retry-after=3",
    "GET /c: 404",
    "GET ?watch=true: 200 ADDED:a ERROR:Expired",
    "GET : 200 broken off",
];

#[allow(clippy::disallowed_methods, reason = "certificates are checked against the machine's clock")]
async fn start(builder: ProxyBuilder) -> Proxy {
    builder.start(jiff::Timestamp::now()).await.unwrap()
}

/// A recording proxy before a cluster, with a plan armed.
async fn faulty(cluster: &Cluster, tape: &Path, plan: &Plan) -> (Proxy, Recording) {
    let upstream = ConfigUpstream::new(&config(&cluster.kubeconfig().unwrap())).unwrap();
    let lanes = Lanes::new(["controller"]).unwrap();
    let options = RecordingOptions {
        path: tape.to_owned(),
        placement: "proxy".into(),
        plans: vec![plan.clone()],
        ..RecordingOptions::default()
    };
    let recording = recording::start(options).unwrap();
    let faults = proxy_faults(ABILITIES);
    faults.add(plan).unwrap();
    let builder = Proxy::builder(Arc::new(upstream), lanes).recorder(recording.recorder().clone()).faults(faults);
    (start(builder).await, recording)
}

/// The rules that let what was recorded happen again, and what they know lanes by.
struct Again {
    faults: Faults,
    lanes: Option<BTreeMap<String, String>>,
    count: usize,
}

/// A proxy that answers from a tape, with the recorded faults in front of it.
async fn repeating(engine: &Engine, lane: &str, again: &Again) -> Proxy {
    let lanes = Lanes::new([lane]).unwrap();
    let builder = match engine {
        Engine::Recorded(service) => {
            let replay: Arc<dyn Replay> = Arc::new(service.clone());
            let policy = Policy { mode: Mode::None, fresh: false, replay: Some(replay) };
            Proxy::builder(Arc::new(crate::support::Nobody), lanes).policy(policy)
        }
        Engine::Living(hydrate) => {
            let policy = Policy { mode: Mode::Passthrough, fresh: true, replay: None };
            Proxy::builder(Arc::new(hydrate.clone()), lanes).policy(policy)
        }
    };
    let builder = builder.faults(again.faults.clone());
    start(match &again.lanes {
        Some(told) => builder.fault_lanes(told.clone()),
        None => builder,
    })
    .await
}

/// Takes a recording apart: the tape that answers, and what happens again in front of it.
fn again(tape: &Tape) -> (Again, Tape) {
    let Repetition { tape, sets, lanes } = Repetition::of(tape).unwrap();
    let faults = proxy_faults(ABILITIES);
    for (plan, firings) in &sets {
        faults.repeat(plan, firings).unwrap();
    }
    let count = sets.iter().map(|(_, firings)| firings.len()).sum();
    (Again { faults, lanes, count }, tape)
}

fn rules(call: &Call) -> Vec<String> {
    call.faults.iter().map(|fault| fault.text_at(&["rule"]).to_owned()).collect()
}

/// The scenario, recorded with everything that goes wrong in it.
async fn recorded(http2: bool) -> (Tape, Vec<Firing>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    let cluster = Cluster::builder().controllers(Controllers::none()).start().await.unwrap();
    let plan = Plan::from_yaml("p.yaml", PLAN).unwrap();
    let (proxy, recording) = faulty(&cluster, &path, &plan).await;
    assert_eq!(scenario(&config(&proxy.kubeconfig("controller")), http2).await, SEEN);
    let fired = proxy.faults().firings();
    proxy.shutdown().await;
    recording.seal().await.unwrap();
    let there = |name: &str| {
        let mut object = config_map(name);
        object["metadata"]["namespace"] = "default".into();
        cluster.server().registry().present(&object).unwrap().is_some()
    };
    assert!(there("a"), "a lost answer was stored");
    assert!(!there("b"), "a lost request is never stored");
    cluster.shutdown().await;
    sealed(&path);
    (whole(&path), fired)
}

#[tokio::test]
async fn a_tape_tells_what_the_server_said_and_what_became_of_it() {
    for http2 in [false, true] {
        let (tape, fired) = recorded(http2).await;
        let plan = tape.header.plan.as_ref().unwrap();
        assert_eq!(Plan::from_yaml("header", &plan.text).unwrap(), Plan::from_yaml("p.yaml", PLAN).unwrap());
        assert_eq!(firings::plan_facts(&[Plan::from_yaml("p.yaml", PLAN).unwrap()]).unwrap().sha256, plan.sha256);
        let calls: Vec<&Call> = tape.calls().collect();
        let told: Vec<_> = calls
            .iter()
            .map(|call| (rules(call).join(","), call.response.as_ref().map(|response| response.status)))
            .collect();
        let rule = |rule: &str, status| (rule.to_owned(), status);
        assert_eq!(
            told,
            [
                rule("lose-answer", Some(201)),
                rule("slow", Some(200)),
                rule("", Some(409)),
                rule("lose-request", None),
                rule("", Some(404)),
                rule("busy", Some(429)),
                rule("", Some(404)),
                rule("too-old", Some(200)),
                rule("cut", Some(200)),
            ]
        );
        // The server's answer was whole, whatever the client got of it.
        assert_eq!((calls[0].end.clone(), calls[3].end.clone()), (End::Complete, End::Reset { code: None }));
        assert!(calls[8].response.as_ref().unwrap().body.is_some() && calls[8].end == End::Complete);
        let on_tape: Vec<Firing> = calls
            .iter()
            .flat_map(|call| &call.faults)
            .map(|fault| serde_json::from_value(fault.into()).unwrap())
            .collect();
        assert_eq!(on_tape, fired);
        assert_eq!(on_tape[0].request, "sut create configmaps default/a");
    }
}

/// Plays a recording again in every mode: the client sees the same, and everything fires as often.
async fn plays_again(tape: &Tape, lane: &str, http2: bool) {
    let config_of = |proxy: &Proxy| Config { user_agent: AGENT.into(), ..config(&proxy.kubeconfig(lane)) };
    for manner in [Manner::Strict, Manner::Lenient] {
        let (again, tape) = again(tape);
        let service = ReplayService::new(Player::new(&tape, Options { manner, ..Options::default() }), |_| None);
        let proxy = repeating(&Engine::Recorded(service.clone()), lane, &again).await;
        assert_eq!(scenario(&config_of(&proxy), http2).await, SEEN, "{manner:?} http2={http2}");
        assert_eq!(proxy.faults().firings().len(), again.count, "{manner:?} http2={http2}");
        assert_eq!(service.report().verdict(true), Verdict::Pass, "{manner:?}: {}", service.report());
        proxy.shutdown().await;
    }
    let (again, tape) = again(tape);
    let hydrate = Hydrate::start(&tape, HydrateOptions::default()).await.unwrap();
    let proxy = repeating(&Engine::Living(hydrate.clone()), lane, &again).await;
    assert_eq!(scenario(&config_of(&proxy), http2).await, SEEN, "hydrate http2={http2}");
    assert_eq!(proxy.faults().firings().len(), again.count);
    let report = hydrate.report().await;
    assert!(report.is_faithful(), "{report}");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_replay_lets_the_same_faults_happen_again_in_every_mode() {
    for http2 in [false, true] {
        let (tape, fired) = recorded(http2).await;
        assert_eq!(again(&tape).0.count, fired.len());
        plays_again(&tape, "controller", http2).await;
    }
}

#[tokio::test]
async fn a_server_that_records_itself_tells_what_rules_made_of_its_answers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    let plan = Plan::from_yaml("p.yaml", &PLAN.replace("auth: 'lane:controller'", "userAgent: 'probe/*'")).unwrap();
    let builder = Cluster::builder().controllers(Controllers::none()).faults(plan).record(&path);
    let cluster = builder.start().await.unwrap();
    let config = Config { user_agent: AGENT.into(), ..config(&cluster.kubeconfig().unwrap()) };
    assert_eq!(scenario(&config, false).await, SEEN);
    let fired = cluster.faults().firings();
    cluster.shutdown().await;
    let tape = whole(&path);
    let told: Vec<_> =
        tape.calls().map(|call| (rules(call).join(","), call.response.as_ref().map(|r| r.status))).collect();
    assert_eq!(told[0], ("lose-answer".to_owned(), Some(201)));
    assert_eq!(told[3], ("lose-request".to_owned(), None));
    assert_eq!(told[5], ("busy".to_owned(), Some(429)));
    let on_tape: usize = tape.calls().map(|call| call.faults.len()).sum();
    assert_eq!((told.len(), on_tape), (SEEN.len(), fired.len()));
    let calls: Vec<&Call> = tape.calls().collect();
    assert_eq!((calls[3].end.clone(), calls[8].end.clone()), (End::Reset { code: None }, End::Complete));
    let lanes = Repetition::of(&tape).unwrap().lanes.unwrap();
    assert_eq!(lanes.get("probe").map(String::as_str), Some("sut"));
    plays_again(&tape, "probe", false).await;
}

#[tokio::test]
async fn the_admin_api_arms_plans_that_the_tape_knows_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    let cluster = Cluster::builder().controllers(Controllers::none()).start().await.unwrap();
    let upstream = ConfigUpstream::new(&config(&cluster.kubeconfig().unwrap())).unwrap();
    let options = RecordingOptions { path: path.clone(), placement: "proxy".into(), ..RecordingOptions::default() };
    let recording = recording::start(options).unwrap();
    let builder = Proxy::builder(Arc::new(upstream), Lanes::new(["controller"]).unwrap());
    let proxy = start(builder.recorder(recording.recorder().clone()).admin_token("open sesame")).await;
    let sut = config(&proxy.kubeconfig("controller"));
    let admin = Config { bearer_token: "open sesame".into(), ..sut.clone() };
    let faults = "/_rehearsal/v1/faults";
    let plan = serde_json::json!({"rules": [{"id": "gone", "when": {"resource": "configmaps"}, "do": "unauthorized"}]});
    let store = serde_json::json!({"rules": [{"id": "forget", "do": "compact"}]});
    let post = |config: Config, body: Value| async move { ask(&config, true, Method::POST, faults, Some(body)).await };
    assert_eq!(post(sut.clone(), plan.clone()).await, "401", "a lane is no admin");
    assert_eq!(post(admin.clone(), store).await, "400");
    assert_eq!(ask(&sut, true, Method::GET, MAPS, None).await, "200");
    assert_eq!(post(admin.clone(), plan).await, "201");
    assert_eq!(ask(&sut, true, Method::GET, MAPS, None).await, "401");
    let fired = format!("{faults}/rules/gone/fired?count=1");
    assert_eq!(ask(&admin, true, Method::GET, &fired, None).await, "200");
    assert_eq!(ask(&admin, true, Method::DELETE, faults, None).await, "200");
    assert_eq!(ask(&sut, true, Method::GET, MAPS, None).await, "200");
    proxy.shutdown().await;
    recording.seal().await.unwrap();
    cluster.shutdown().await;
    let tape = whole(&path);
    assert_eq!(tape.calls().count(), 3, "the admin API is not on the tape");
    assert!(tape.entries.iter().any(|entry| matches!(entry, Entry::Mark(mark) if mark.what == firings::PLAN_MARK)));
    let (again, rest) = again(&tape);
    assert_eq!((again.count, rest.calls().count()), (1, 2));
}

#[tokio::test]
async fn a_reset_is_one_on_the_wire() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let cluster = Cluster::builder().controllers(Controllers::none()).start().await.unwrap();
    let upstream = ConfigUpstream::new(&config(&cluster.kubeconfig().unwrap())).unwrap();
    let lanes = Lanes::new(["controller"]).unwrap();
    let token = lanes.token("controller").unwrap().to_owned();
    let policy = Policy { mode: Mode::Passthrough, fresh: true, replay: None };
    let faults = proxy_faults(Abilities { tls: false, supervises: false });
    let proxy = start(Proxy::builder(Arc::new(upstream), lanes).policy(policy).tls(false).faults(faults)).await;
    for (fault, at, reset) in [("reset", "arrive", true), ("eof", "arrive", false), ("reset", "after-commit", true)] {
        let text = format!("rules: [{{id: cut, when: {{resource: configmaps}}, at: {at}, do: {fault}}}]");
        let guard = proxy.faults().arm(&Plan::from_yaml("p.yaml", &text).unwrap()).unwrap();
        let mut socket = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
        let request = format!("GET {MAPS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        let end = socket.read_to_end(&mut said).await;
        assert_eq!(end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset), reset, "{fault} {at}");
        assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
        guard.finish().unwrap();
    }
    proxy.shutdown().await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_connection_that_a_rule_spoils_is_a_mark_on_the_tape() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    let cluster = Cluster::builder().controllers(Controllers::none()).start().await.unwrap();
    let text = "rules: [{id: stranger, when: {connection: 1}, do: {tls-handshake: {failure: unknown-authority}}}]";
    let (proxy, recording) = faulty(&cluster, &path, &Plan::from_yaml("p.yaml", text).unwrap()).await;
    let config = config(&proxy.kubeconfig("controller"));
    let twice = |config: Config| async move {
        [ask(&config, true, Method::GET, MAPS, None).await, ask(&config, true, Method::GET, MAPS, None).await]
    };
    assert_eq!(twice(config).await, ["no answer", "200"]);
    proxy.shutdown().await;
    recording.seal().await.unwrap();
    cluster.shutdown().await;
    let tape = whole(&path);
    let marks: Vec<_> =
        tape.entries.iter().filter_map(|e| if let Entry::Mark(mark) = e { Some(mark) } else { None }).collect();
    assert_eq!((marks.len(), marks[0].what.as_str()), (1, firings::FAULT_MARK));
    assert!(marks[0].text.contains("stranger") && marks[0].text.contains("unknown-authority"), "{}", marks[0].text);
    let (again, tape) = again(&tape);
    let service = ReplayService::new(Player::new(&tape, Options::default()), |_| None);
    let proxy = repeating(&Engine::Recorded(service), "controller", &again).await;
    assert_eq!(twice(crate::support::config(&proxy.kubeconfig("controller"))).await, ["no answer", "200"]);
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_is_disarmed_stops_and_what_is_armed_later_meets_open_watches() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    let cluster = Cluster::builder().controllers(Controllers::none()).start().await.unwrap();
    let plan =
        Plan::from_yaml("p.yaml", "rules: [{id: busy, when: {resource: configmaps}, do: unauthorized}]").unwrap();
    let (proxy, recording) = faulty(&cluster, &path, &plan).await;
    let config = config(&proxy.kubeconfig("controller"));
    assert_eq!(ask(&config, false, Method::GET, MAPS, None).await, "401");
    proxy.faults().clear();
    assert_eq!(ask(&config, false, Method::GET, MAPS, None).await, "200");
    let watching = tokio::spawn({
        let config = config.clone();
        async move { ask(&config, false, Method::GET, &format!("{MAPS}?watch=true"), None).await }
    });
    // The watch is open once its first event has come through the recorder.
    let create = |name: &str| cluster.apply(config_map(name));
    create("a").await.unwrap();
    let part = dir.path().join("x.tape.part");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    while !std::fs::read_to_string(&part).unwrap().contains("ADDED") {
        assert!(tokio::time::Instant::now() < deadline, "the watch never began");
        tokio::task::yield_now().await;
    }
    let late =
        Plan::from_yaml("p.yaml", "rules: [{id: shut, when: {type: ADDED}, at: frame, do: close-watch}]").unwrap();
    let guard = proxy.faults().arm(&late).unwrap();
    create("b").await.unwrap();
    let said = watching.await.unwrap();
    assert!(said.starts_with("200 ADDED:a") && !said.contains("broken"), "{said}");
    guard.finish().unwrap();
    proxy.shutdown().await;
    recording.seal().await.unwrap();
    cluster.shutdown().await;
    let tape = whole(&path);
    let watch = tape.calls().find(|call| !call.frames.is_empty()).unwrap();
    assert_eq!(rules(watch), ["shut"]);
}

fn outcome(process: Rehearsal) -> (Option<i32>, String) {
    let (status, _, err) = process.end();
    (status.code(), err.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_records_repeats_and_names_a_run_that_failed() {
    let cluster = Cluster::builder().controllers(Controllers::none()).tls(true).start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("real"), cluster.kubeconfig().unwrap()).unwrap();
    std::fs::write(
        path("plan"),
        "seed: 7\nrules: [{id: gone, when: {verb: get, resource: configmaps}, do: unauthorized}]",
    )
    .unwrap();
    std::fs::write(path("store"), "rules:\n  - {id: forget, do: compact}\n").unwrap();
    let (real, tape, plan, store, kubeconfig) =
        (path("real"), path("x.tape.yaml"), path("plan"), path("store"), path("k"));
    let end = |process: Rehearsal| tokio::task::spawn_blocking(|| outcome(process));

    let refused = ["record", "--kubeconfig", &real, "-o", &tape, "--faults", &store];
    let (code, err) = end(Rehearsal::start(refused)).await.unwrap();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("store:2:") && err.contains("a proxy has no store"), "{err}");

    let args = ["record", "--kubeconfig", &real, "-o", &tape, "--faults", &plan, "--kubeconfig-out", &kubeconfig];
    let process = Rehearsal::start(args);
    process.ready();
    let get = format!("{MAPS}/a");
    assert_eq!(ask(&config_of(Path::new(&kubeconfig)), true, Method::GET, &get, None).await, "401");
    process.signal("INT");
    let (code, err) = end(process).await.unwrap();
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(rules(sealed(Path::new(&tape)).calls().next().unwrap()), ["gone"]);

    for (mode, asks, expected) in
        [("strict", true, 0), ("lenient", true, 0), ("hydrate", true, 0), ("hydrate", false, 6)]
    {
        let args = ["replay", &tape, "--mode", mode, "--faults", "recorded", "--kubeconfig-out", &kubeconfig];
        let process = Rehearsal::start(args);
        process.ready();
        if asks {
            assert_eq!(ask(&config_of(Path::new(&kubeconfig)), true, Method::GET, &get, None).await, "401");
        }
        process.signal("INT");
        let (code, err) = end(process).await.unwrap();
        assert_eq!(code, Some(expected), "{mode}: {err}");
        assert_eq!(err.contains("1 of 1 recorded faults happened again"), asks, "{mode}: {err}");
    }

    let tape = path("y.tape.yaml");
    let args = ["record", "--kubeconfig", &real, "-o", &tape, "--faults", &plan, "--", "sh", "-c", "exit 3"];
    let (code, err) = end(Rehearsal::start(args)).await.unwrap();
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("fault rule gone: never fired"), "{err}");
    let line = err.lines().find(|line| line.starts_with("reproduce: ")).unwrap_or_else(|| panic!("{err}"));
    assert!(line.contains(&format!("rehearsal replay {tape} --faults recorded -- sh -c 'exit 3' # tape ")), "{line}");
    assert!(line.ends_with(" seed 7"), "{line}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_kills_the_command_that_is_recorded() {
    let cluster = Cluster::builder().controllers(Controllers::none()).tls(true).start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("real"), cluster.kubeconfig().unwrap()).unwrap();
    std::fs::write(path("plan"), "rules: [{id: kill, when: {verb: get, resource: configmaps}, do: kill-client}]")
        .unwrap();
    let (real, tape, plan, kubeconfig, started) =
        (path("real"), path("x.tape.yaml"), path("plan"), path("k"), path("started"));
    let script = format!("touch {started}; exec sleep 600");
    let args = ["record", "--kubeconfig", &real, "-o", &tape, "--faults", &plan, "--kubeconfig-out", &kubeconfig];
    let process = Rehearsal::start(args.into_iter().chain(["--", "sh", "-c", &script]));
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    while !Path::new(&started).exists() {
        assert!(tokio::time::Instant::now() < deadline, "the command never began");
        tokio::task::yield_now().await;
    }
    ask(&config_of(Path::new(&kubeconfig)), true, Method::GET, &format!("{MAPS}/a"), None).await;
    let (code, err) = tokio::task::spawn_blocking(|| outcome(process)).await.unwrap();
    assert_eq!(code, Some(137), "{err}");
    assert_eq!(rules(sealed(Path::new(&tape)).calls().next().unwrap()), ["kill"]);
    cluster.shutdown().await;
}
