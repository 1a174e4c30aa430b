//! Whom a fault of a connection or of a port is kept to: every port fault on lane `sut`, while lane `other`, those of no
//! lane and the admin API go on; what a plan needs of the server; and what a lane's port says of its requests.

use crate::peer::{
    DATA, Ending, Frame, GOAWAY, HEADERS, Http2, MAPS, PATIENCE, SETTINGS, data, exchange, http2, is_silent, map,
    read_to_end, request, rule, tls, tls_at,
};
use rehearsal::client::ListOptions;
use rehearsal::faults::{Fault, Plan, ProblemKind, Rule, Stage};
use rehearsal::{Clock, Cluster, ClusterBuilder, ClusterLane, Controllers, StartError};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What clients of a test speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speak {
    Http1,
    Http1Tls,
    Http2Tls,
}

const BOTH: [Speak; 2] = [Speak::Http1, Speak::Http2Tls];
const SECURE: [Speak; 2] = [Speak::Http1Tls, Speak::Http2Tls];

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

/// A cluster with ports for two lanes, and a watch of `other` that must never end.
struct Theatre {
    cluster: Cluster,
    speak: Speak,
    sut: ClusterLane,
    other: ClusterLane,
    watching: Talk,
    /// Config maps made so far.
    made: u32,
}

/// A connection that takes one request at a time.
enum Talk {
    One(Box<dyn Io>),
    Two(Http2<Box<dyn Io>>),
}

impl Talk {
    /// Sends a request; the answer's status is 200, 0 for anything else, or how the connection ended.
    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
        header: (&str, &str),
    ) -> Result<(u16, String), Ending> {
        match self {
            Self::One(stream) => {
                let text = format!(
                    "{method} {path} HTTP/1.1\r\nHost: x\r\n{}: {}\r\nContent-Length: {}\r\n\r\n{body}",
                    header.0,
                    header.1,
                    body.len()
                );
                let answer = exchange(stream, text.as_bytes()).await;
                if answer.code() == 0 { Err(answer.ending) } else { Ok((answer.code(), answer.text())) }
            }
            Self::Two(h2) => {
                let stream = h2.send_with(method, path, &[header], body).await;
                let mut frames = Vec::new();
                loop {
                    let frame = h2.next().await?;
                    if frame.stream == stream {
                        let ends = frame.ends_stream();
                        frames.push(frame);
                        if ends {
                            return Ok((status(&frames), data(&frames)));
                        }
                    }
                }
            }
        }
    }

    async fn get(&mut self, path: &str) -> Result<(u16, String), Ending> {
        self.ask("GET", path, "", ("x-none", "-")).await
    }

    /// Begins a watch of config maps; nothing else is asked after it.
    async fn watch(&mut self) {
        let path = format!("{MAPS}?watch=1&resourceVersion=0");
        match self {
            Self::One(stream) => stream.write_all(&request("GET", &path, "")).await.unwrap(),
            Self::Two(h2) => {
                h2.get(&path).await;
            }
        }
    }

    /// Reads the watch until it shows the text, or ends.
    async fn shows(&mut self, text: &str) -> bool {
        let mut seen = String::new();
        while !seen.contains(text) {
            match self {
                Self::One(stream) => {
                    let mut chunk = [0; 4096];
                    match timeout(PATIENCE, stream.read(&mut chunk)).await.expect("no event and no end") {
                        Ok(n) if n > 0 => seen += &String::from_utf8_lossy(&chunk[..n]),
                        _ => return false,
                    }
                    if seen.contains("0\r\n\r\n") {
                        return false;
                    }
                }
                Self::Two(h2) => match h2.next().await {
                    Ok(frame) if frame.kind == DATA => {
                        seen += &String::from_utf8_lossy(&frame.payload);
                        if frame.ends_stream() {
                            return false;
                        }
                    }
                    Ok(frame) if frame.kind == GOAWAY => return false,
                    Ok(_) => {}
                    Err(_) => return false,
                },
            }
        }
        true
    }
}

/// `:status` of 200 is one byte, the 8th of the static table.
fn status(frames: &[Frame]) -> u16 {
    let head = frames.iter().find(|frame| frame.kind == HEADERS);
    if head.is_some_and(|frame| frame.payload.first() == Some(&0x88)) { 200 } else { 0 }
}

fn builder(speak: Speak) -> ClusterBuilder {
    Cluster::builder().controllers(Controllers::none()).tls(speak != Speak::Http1)
}

impl Theatre {
    async fn open(speak: Speak) -> Self {
        Self::with(builder(speak), speak).await
    }

    async fn with(builder: ClusterBuilder, speak: Speak) -> Self {
        let cluster = builder.lane("sut").start().await.unwrap();
        let (sut, other) = (cluster.lane("sut").await.unwrap(), cluster.lane("other").await.unwrap());
        let mut watching = talk(&cluster, speak, other.address()).await.unwrap();
        watching.watch().await;
        let mut theatre = Self { cluster, speak, sut, other, watching, made: 0 };
        theatre.assert_unharmed().await;
        theatre
    }

    async fn talk(&self, address: SocketAddr) -> std::io::Result<Talk> {
        talk(&self.cluster, self.speak, address).await
    }

    async fn sut(&self) -> Talk {
        self.talk(self.sut.address()).await.unwrap()
    }

    fn inject(&self, rule: Rule) -> rehearsal::Guard {
        self.cluster.faults().inject(rule).unwrap_or_else(|error| panic!("{error}"))
    }

    async fn admin(&self, method: &str, route: &str, body: &str) -> (u16, String) {
        let address = self.cluster.admin_url().split_once("://").unwrap().1.parse().unwrap();
        let token = format!("Bearer {}", self.cluster.admin_token());
        let mut talk = self.talk(address).await.unwrap();
        talk.ask(method, &format!("/_rehearsal/v1/{route}"), body, ("authorization", &token)).await.unwrap()
    }

    /// The admin API answers; those of no lane and lane `other` are served, on new connections and on the one that is open.
    async fn assert_unharmed(&mut self) {
        assert_eq!(self.admin("GET", "faults", "").await.0, 200);
        for address in [self.cluster.server().address(), self.other.address()] {
            let mut fresh = self.talk(address).await.unwrap();
            assert_eq!(fresh.get("/readyz").await.unwrap().0, 200);
            assert_eq!(fresh.get(MAPS).await.unwrap().0, 200);
        }
        self.made += 1;
        let name = format!("curtain-{}", self.made);
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}});
        self.cluster.apply(object).await.unwrap();
        assert!(self.watching.shows(&format!("\"name\":\"{name}\"")).await, "the watch of the other lane has ended");
    }

    async fn assert_served(&self) {
        assert_eq!(self.sut().await.get(MAPS).await.unwrap().0, 200);
    }
}

async fn talk(cluster: &Cluster, speak: Speak, address: SocketAddr) -> std::io::Result<Talk> {
    Ok(match speak {
        Speak::Http1 => Talk::One(Box::new(TcpStream::connect(address).await?)),
        Speak::Http1Tls => Talk::One(Box::new(tls_at(cluster, address, false).await?)),
        Speak::Http2Tls => {
            let stream: Box<dyn Io> = Box::new(tls_at(cluster, address, true).await?);
            Talk::Two(Http2::begin(stream).await)
        }
    })
}

/// Waits until connecting is refused, or is not any more.
async fn refuses(address: SocketAddr, refuses: bool) {
    let reached = async {
        while TcpStream::connect(address).await.is_err() != refuses {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap();
}

fn on_sut(fault: impl Into<Fault>) -> Rule {
    rule(fault).lane("sut")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_lane_is_alone_with_it() {
    for speak in BOTH {
        let mut theatre = Theatre::open(speak).await;
        let guard = theatre.inject(on_sut(Fault::new("refuse").knob("lasts", "1h")).count(1));
        timeout(PATIENCE, guard.fired("it", 1)).await.unwrap();
        refuses(theatre.sut.address(), true).await;
        theatre.assert_unharmed().await;
        guard.finish().unwrap();
        refuses(theatre.sut.address(), false).await;
        theatre.assert_served().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_in_a_black_hole_is_alone_with_it() {
    for speak in BOTH {
        let mut theatre = Theatre::open(speak).await;
        let guard = theatre.inject(on_sut(Fault::new("blackhole").knob("lasts", "1h")).count(1));
        timeout(PATIENCE, guard.fired("it", 1)).await.unwrap();
        // Before the backlog is full a few may still get in; they are not answered either.
        let mut inside = Vec::new();
        let hung = async {
            while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(theatre.sut.address())).await
            {
                inside.push(stream.unwrap());
            }
        };
        timeout(PATIENCE, hung).await.expect("connecting hangs");
        theatre.assert_unharmed().await;
        guard.finish().unwrap();
        timeout(PATIENCE, theatre.assert_served()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_fail_for_the_lane_alone() {
    for speak in SECURE {
        for failure in ["expired-certificate", "wrong-name", "unknown-authority", "alert", "plaintext"] {
            let mut theatre = Theatre::open(speak).await;
            let guard = theatre.inject(on_sut(Fault::new("tls-handshake").knob("failure", failure)));
            assert!(theatre.talk(theatre.sut.address()).await.is_err(), "{failure}");
            theatre.assert_unharmed().await;
            guard.finish().unwrap();
            theatre.assert_served().await;
        }
    }
    let mut theatre = Theatre::open(Speak::Http2Tls).await;
    let _guard = theatre.inject(on_sut(Fault::new("tls-handshake").knob("failure", "no-http2")));
    let stream = tls_at(&theatre.cluster, theatre.sut.address(), true).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    theatre.assert_unharmed().await;
}

/// What a server says first on HTTP/2: the payload of its SETTINGS.
async fn settings(theatre: &Theatre, address: SocketAddr) -> Vec<u8> {
    let mut stream = tls_at(&theatre.cluster, address, true).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], SETTINGS);
    let mut payload = vec![0; usize::from(head[2])];
    stream.read_exact(&mut payload).await.unwrap();
    payload
}

#[tokio::test(flavor = "multi_thread")]
async fn stingy_settings_are_the_lanes_alone() {
    let mut theatre = Theatre::open(Speak::Http2Tls).await;
    let guard = theatre.inject(on_sut(Fault::new("h2-limits").knob("streams", 1u64)));
    let streams = |payload: Vec<u8>| {
        let setting = payload.chunks(6).find(|setting| setting[..2] == [0, 3]).map(<[u8]>::to_vec);
        setting.map(|setting| u32::from_be_bytes(setting[2..].try_into().unwrap()))
    };
    assert_eq!(streams(settings(&theatre, theatre.sut.address()).await), Some(1));
    assert_eq!(streams(settings(&theatre, theatre.other.address()).await), Some(100));
    assert_eq!(streams(settings(&theatre, theatre.cluster.server().address()).await), Some(100));
    theatre.assert_unharmed().await;
    guard.finish().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_of_connections_is_the_lanes_alone() {
    for speak in BOTH {
        let mut theatre = Theatre::open(speak).await;
        let guard = theatre.inject(on_sut(Fault::new("delay").knob("wait", "1h")).at(Stage::Connection));
        let mut stream = TcpStream::connect(theatre.sut.address()).await.unwrap();
        stream.write_all(&request("GET", MAPS, "")).await.unwrap();
        timeout(PATIENCE, guard.fired("it", 1)).await.unwrap();
        assert!(is_silent(&mut stream).await);
        theatre.assert_unharmed().await;
        guard.finish().unwrap();
        theatre.assert_served().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_shuts_down_for_the_lane_alone() {
    for speak in BOTH {
        let clock = Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
        let mut theatre = Theatre::with(builder(speak).clock(clock.clone()), speak).await;
        let advance = |seconds| assert!(clock.advance(jiff::SignedDuration::from_secs(seconds)));
        let mut watching = theatre.sut().await;
        watching.watch().await;
        assert!(watching.shows("curtain-1").await);
        let mut kept = theatre.sut().await;
        let fault = Fault::new("shutdown").knob("delay", "3s").knob("drain", "1s").knob("down", "5s");
        let guard = theatre.inject(on_sut(fault).verb("list").count(1));
        // The signal.
        assert_eq!(kept.get(MAPS).await.unwrap().0, 200);
        assert_ne!(theatre.sut().await.get("/readyz").await.unwrap().0, 200);
        theatre.assert_unharmed().await;
        // The end of service.
        advance(4);
        assert!(!watching.shows("no map is called so").await, "the lane's watch ends");
        let refused = async { while theatre.sut().await.get(MAPS).await.is_ok_and(|(code, _)| code == 200) {} };
        timeout(PATIENCE, refused).await.unwrap();
        theatre.assert_unharmed().await;
        // The port closes.
        advance(2);
        refuses(theatre.sut.address(), true).await;
        let hung_up = async { while kept.get("/livez").await.is_ok() {} };
        timeout(PATIENCE, hung_up).await.unwrap();
        theatre.assert_unharmed().await;
        // And it comes back.
        advance(6);
        refuses(theatre.sut.address(), false).await;
        theatre.assert_served().await;
        assert_eq!(theatre.sut().await.get("/readyz").await.unwrap().0, 200);
        theatre.assert_unharmed().await;
        guard.finish().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_no_lane_is_everybodys_but_the_admin_apis() {
    for speak in BOTH {
        let theatre = Theatre::open(speak).await;
        let everybody = [theatre.cluster.server().address(), theatre.sut.address(), theatre.other.address()];
        let plan = "rules:\n  - {id: it, do: {refuse: {lasts: 1h}}, count: 1}\n";
        assert!(theatre.admin("POST", "faults", plan).await.1.contains("\"id\":1"));
        for address in everybody {
            refuses(address, true).await;
        }
        // A rule without a lane counts each port for itself.
        let (_, state) = theatre.admin("GET", "faults", "").await;
        let state: Value = serde_json::from_str(&state).unwrap();
        assert_eq!(state["sets"][0]["rules"][0]["fired"], 3);
        assert_eq!(theatre.admin("DELETE", "faults", "").await.0, 200);
        for address in everybody {
            refuses(address, false).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_hits_the_connection_of_its_request() {
    for speak in BOTH {
        let mut theatre = Theatre::open(speak).await;
        let mut idle = theatre.sut().await;
        assert_eq!(idle.get("/version").await.unwrap().0, 200);
        let guard = theatre.inject(on_sut("reset").verb("list"));
        let mut hit = theatre.sut().await;
        assert_eq!(hit.get(MAPS).await.unwrap_err(), Ending::Reset);
        assert_eq!(idle.get("/version").await.unwrap().0, 200, "another connection of the same lane");
        theatre.assert_unharmed().await;
        guard.finish().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_share_a_connection_share_its_end() {
    // What docs/FAULTS.md says of a proxy that sends requests of two lanes over one HTTP/2 connection.
    let cluster = builder(Speak::Http2Tls).start().await.unwrap();
    let _guard = cluster.faults().inject(on_sut("reset").verb("list")).unwrap();
    let mut shared = Http2::begin(tls(&cluster, true).await.unwrap()).await;
    let lane = |name| ("x-rehearsal-lane", name);
    let watch = shared.send_with("GET", &format!("{MAPS}?watch=1"), &[lane("other")], "").await;
    let head = shared.until(|frame| frame.stream == watch && frame.kind == HEADERS).await;
    assert_eq!(status(&head), 200);
    let list = shared.send_with("GET", MAPS, &[lane("other")], "").await;
    assert_eq!(status(&shared.answer(list).await), 200);
    shared.send_with("GET", MAPS, &[lane("sut")], "").await;
    assert_eq!(shared.rest().await.1, Ending::Reset);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_to_a_lanes_port_is_of_the_lane_whatever_it_says() {
    for speak in BOTH {
        let theatre = Theatre::open(speak).await;
        let plan = Plan::seed(0)
            .lane("sut", rehearsal::faults::Lane::new())
            .lane("other", rehearsal::faults::Lane::new().user_agent("*"));
        let plan = plan.rule(Rule::new("it").lane("sut").verb("list").fault("too-many-inflight"));
        let guard = theatre.cluster.faults().arm(&plan).unwrap();
        let claim = ("x-rehearsal-lane", "other");
        let mut sut = theatre.sut().await;
        assert_ne!(sut.ask("GET", MAPS, "", claim).await.unwrap().0, 200);
        for address in [theatre.cluster.server().address(), theatre.other.address()] {
            let mut another = theatre.talk(address).await.unwrap();
            assert_eq!(another.ask("GET", MAPS, "", claim).await.unwrap().0, 200);
        }
        assert_eq!(guard.finish().unwrap().rules[0].fired, 1);
        let entries = theatre.cluster.journal().entries();
        let lanes: Vec<&str> = entries.iter().rev().take(3).map(|entry| entry.lane.as_str()).collect();
        assert_eq!(lanes, ["other", "", "sut"]);
        assert!(entries.iter().filter(|entry| entry.lane == "other").all(|entry| entry.connection > 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_began_before_the_plan_is_of_its_ports_lane() {
    for speak in BOTH {
        let mut theatre = Theatre::open(speak).await;
        let mut watching = theatre.sut().await;
        watching.watch().await;
        assert!(watching.shows("curtain-1").await);
        let _guard = theatre.inject(on_sut("reset").at(Stage::Frame).verb("watch"));
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "default"}});
        theatre.cluster.apply(object).await.unwrap();
        assert!(!watching.shows("\"name\":\"x\"").await);
        theatre.assert_unharmed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted_at_each_port() {
    let theatre = Theatre::open(Speak::Http1).await;
    let guard = theatre.inject(on_sut(Fault::new("delay").knob("wait", "1h")).at(Stage::Connection).connection(2));
    theatre.assert_served().await;
    assert_eq!(guard.count("it"), 0);
    let mut second = TcpStream::connect(theatre.sut.address()).await.unwrap();
    timeout(PATIENCE, guard.fired("it", 1)).await.unwrap();
    theatre.assert_served().await;
    guard.finish().unwrap();
    second.write_all(&request("GET", MAPS, "")).await.unwrap();
    assert_eq!(exchange(&mut second, b"").await.code(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_this_server_cannot_do_is_refused_with_its_place() {
    let plain = builder(Speak::Http1).lane("sut").http2(false).start().await.unwrap();
    let refusal = |rule: Rule| plain.faults().inject(rule).expect_err("armed");
    let error = refusal(rule("refuse").lane("controller"));
    assert!(error.has(ProblemKind::Impossible));
    assert!(error.to_string().contains("lane `controller` has no listener of its own here"), "{error}");
    assert!(refusal(rule("tls-handshake")).to_string().contains("needs TLS"));
    assert!(refusal(rule("goaway")).to_string().contains("needs HTTP/2"));
    assert!(refusal(rule("shutdown").lane("other")).to_string().contains("no port can be closed to it alone"));
    plain.lane("controller").await.unwrap();
    drop(plain.faults().inject(rule("refuse").lane("controller")).unwrap().lenient());

    let theatre = Theatre::open(Speak::Http1).await;
    let (code, status) =
        theatre.admin("POST", "faults", "rules:\n  - {id: it, when: {lane: sud}, do: blackhole}\n").await;
    assert_eq!(code, 400);
    let status: Value = serde_json::from_str(&status).unwrap();
    let message = status["message"].as_str().unwrap();
    assert!(message.starts_with("body:2:") && message.contains("rules[0].when.lane: lane `sud` has no"), "{message}");
    assert!(message.ends_with("did you mean `sut`?"), "{message}");
    let plan = Plan::seed(0).rule(rule("refuse").lane("nobody"));
    let refused = builder(Speak::Http1).faults(plan).start().await.expect_err("started");
    assert!(matches!(refused, StartError::Faults(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_http2_speaks_none() {
    let secure = builder(Speak::Http1Tls).http2(false).start().await.unwrap();
    let stream = tls(&secure, true).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let plain = builder(Speak::Http1).http2(false).start().await.unwrap();
    let mut h2 = http2(&plain).await;
    assert!(read_to_end(&mut h2.stream).await.code() != 200);
    let admin = plain.admin_url().split_once("://").unwrap().1.parse::<SocketAddr>().unwrap();
    let mut stream = TcpStream::connect(admin).await.unwrap();
    assert_eq!(exchange(&mut stream, &request("GET", "/_rehearsal/v1/clock", "")).await.code(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_has_the_admin_api_and_nothing_else() {
    for speak in BOTH {
        let theatre = Theatre::open(speak).await;
        let address: SocketAddr = theatre.cluster.admin_url().split_once("://").unwrap().1.parse().unwrap();
        assert!(address.ip().is_loopback());
        let mut talk = theatre.talk(address).await.unwrap();
        for path in ["/", "/version", MAPS, "/_rehearsal/v1/clock"] {
            assert_ne!(talk.get(path).await.unwrap().0, 200, "{path} without the token");
        }
        assert_ne!(talk.ask("POST", MAPS, &map("intruder"), ("x-none", "-")).await.unwrap().0, 200);
        assert_eq!(theatre.admin("GET", "clock", "").await.0, 200);
        let (_, opened) = theatre.admin("POST", "lanes", r#"{"name":"third"}"#).await;
        let opened: Value = serde_json::from_str(&opened).unwrap();
        let (code, all) = theatre.admin("GET", "lanes", "").await;
        let all: Value = serde_json::from_str(&all).unwrap();
        let names: Vec<_> = all["lanes"].as_array().unwrap().iter().map(|lane| lane["name"].as_str()).collect();
        assert_eq!((code, names), (200, vec![Some("other"), Some("sut"), Some("third")]));
        assert_eq!(all["lanes"][2]["url"], opened["url"]);
        assert!(opened["kubeconfig"].as_str().unwrap().contains(opened["url"].as_str().unwrap()));
        assert_ne!(theatre.admin("POST", "lanes", r#"{"name":"../x"}"#).await.0, 200);
        assert_ne!(theatre.admin("POST", "lanes", "{}").await.0, 200);
        assert_ne!(theatre.admin("DELETE", "lanes", "").await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_has_clients_of_its_own() {
    let cluster = builder(Speak::Http2Tls).start().await.unwrap();
    let sut = cluster.lane("sut").await.unwrap();
    assert_eq!(cluster.lane("sut").await.unwrap().url(), sut.url());
    assert_ne!(sut.url(), cluster.url());
    let _guard = cluster.faults().inject(on_sut("forbidden").verb("list")).unwrap();
    let options = ListOptions::default();
    cluster.clientset().unwrap().core_v1().namespaces().list(&options).await.unwrap();
    sut.clientset().unwrap().core_v1().namespaces().list(&options).await.unwrap_err();
    let fork = cluster.fork().await.unwrap();
    assert_ne!(fork.admin_url(), cluster.admin_url());
    assert!(matches!(cluster.lane("a/b").await, Err(StartError::Lane(_))));
}
