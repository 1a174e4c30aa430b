//! Family T: what becomes of connections and of the bytes they carry.

use crate::peer::{
    Ending, Http2, MAPS, PATIENCE, cluster, connect, data, exchange, get, http2, is_silent, map, plan, read_to_end,
    read_while, request, rule, send, tls, types, watch, with,
};
use rehearsal::Cluster;
use rehearsal::faults::{Fault, Stage};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn t1_refuse_closes_the_port_before_the_client_knocks() {
    let cluster = Cluster::start().await.unwrap();
    let address = cluster.server().address();
    let guard = cluster.faults().inject(rule(Fault::new("refuse").knob("lasts", "1h")).count(1)).unwrap();
    // The rule has fired once the door is being closed; the port follows at once.
    timeout(PATIENCE, guard.fired("it", 1)).await.unwrap();
    let refused = async {
        loop {
            match TcpStream::connect(address).await {
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => return,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
    guard.finish().unwrap();
    let open = async {
        while TcpStream::connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, open).await.unwrap();
    assert_eq!(get(&cluster, "/version").await.code(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn t2_reset_is_rst_instead_of_an_answer() {
    let cluster = cluster(rule("reset").first(1)).await;
    let answer = get(&cluster, MAPS).await;
    assert_eq!((answer.raw.len(), answer.ending), (0, Ending::Reset));
    assert_eq!(get(&cluster, MAPS).await.code(), 200);
    let journal = cluster.journal().entries();
    assert_eq!((journal[0].code, journal[0].faults.firings().len()), (0, 1));
    assert_eq!(send(&cluster, "POST", MAPS, &map("c")).await.ending, Ending::Reset);
    assert_eq!(get(&cluster, &format!("{MAPS}/c")).await.ending, Ending::Reset);
    assert_eq!(get(&cluster, &format!("{MAPS}/c")).await.code(), 404);
    let mut h2 = http2(&cluster).await;
    h2.get("/api/v1/namespaces/default/secrets").await;
    assert_eq!(h2.rest().await.1, Ending::Reset);
}

#[tokio::test(flavor = "multi_thread")]
async fn t3_reset_mid_body_is_a_head_and_some_bytes() {
    let cluster = cluster(rule(Fault::new("reset-mid-body").knob("afterBytes", 10u64))).await;
    let answer = read_after(&cluster).await;
    assert_eq!((answer.code(), answer.ending), (200, Ending::Reset));
    assert_eq!(answer.text(), "{\"kind\":\"C");
    assert!(answer.header("content-length").is_some_and(|length| length.parse::<usize>().unwrap() > 10));
    let mut h2 = http2(&cluster).await;
    h2.get(MAPS).await;
    let (frames, ending) = h2.rest().await;
    assert_eq!((data(&frames).as_str(), ending), ("{\"kind\":\"C", Ending::Reset));
}

/// Reads a list until the connection ends.
async fn read_after(cluster: &Cluster) -> crate::peer::Answer {
    let mut stream = connect(cluster).await;
    stream.write_all(&request("GET", MAPS, "")).await.unwrap();
    read_to_end(&mut stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn t4_reset_mid_watch_comes_after_so_many_frames() {
    let cluster = cluster(rule("reset-mid-watch")).await;
    let (_, answer) = watch(&cluster, "", 9).await;
    assert_eq!((types(&answer), answer.ending), (vec!["ADDED".to_owned()], Ending::Reset));
    let mut h2 = http2(&cluster).await;
    h2.get(&format!("{MAPS}?watch=1")).await;
    let (frames, ending) = h2.rest().await;
    assert_eq!((data(&frames).lines().count(), ending), (1, Ending::Reset));
}

#[tokio::test(flavor = "multi_thread")]
async fn t5_eof_is_fin_short_of_the_end() {
    let before = cluster(rule("eof")).await;
    let answer = get(&before, MAPS).await;
    assert_eq!((answer.raw.len(), answer.ending), (0, Ending::Eof));
    let inside = cluster(rule(Fault::new("eof").knob("afterBytes", 10u64))).await;
    let answer = read_after(&inside).await;
    assert_eq!((answer.text().as_str(), answer.ending), ("{\"kind\":\"C", Ending::Eof));
    // HTTP/2: the stream ends, short of what was announced, and the connection is as good as new.
    let mut h2 = http2(&inside).await;
    for _ in 0..2 {
        let stream = h2.get(MAPS).await;
        let frames = h2.answer(stream).await;
        assert_eq!(data(&frames), "{\"kind\":\"C");
        assert!(frames.last().unwrap().ends_stream());
    }
    let watched = cluster(rule(Fault::new("eof").knob("afterFrames", 1u64)).verb("watch")).await;
    let (_, answer) = watch(&watched, "", 9).await;
    assert_eq!((answer.ending, answer.is_terminated(), types(&answer).len()), (Ending::Eof, false, 1));
    // Above TLS the end is a proper one.
    let secure = with(Cluster::builder().tls(true), rule(Fault::new("eof").knob("afterBytes", 10u64))).await;
    let mut stream = tls(&secure, false).await.unwrap();
    stream.write_all(&request("GET", MAPS, "")).await.unwrap();
    let mut all = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut all)).await.unwrap().expect("close_notify before FIN");
    assert!(all.ends_with(b"{\"kind\":\"C"));
}

#[tokio::test(flavor = "multi_thread")]
async fn t6_tls_eof_lacks_the_close_notify() {
    for http2 in [false, true] {
        let secure = with(Cluster::builder().tls(true), rule("tls-eof")).await;
        let mut stream = tls(&secure, http2).await.unwrap();
        let mut all = Vec::new();
        let read = if http2 {
            let mut h2 = Http2::begin(stream).await;
            h2.get(MAPS).await;
            let (_, ending) = h2.rest().await;
            assert_eq!(ending, Ending::Eof);
            h2.stream.read_to_end(&mut all).await
        } else {
            stream.write_all(&request("GET", MAPS, "")).await.unwrap();
            timeout(PATIENCE, stream.read_to_end(&mut all)).await.unwrap()
        };
        // rustls says so when FIN comes without close_notify.
        let error = read.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
        assert!(error.to_string().contains("close_notify"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t7_half_open_neither_answers_nor_closes() {
    let cluster = cluster(rule("half-open").verb("list")).await;
    let mut stream = connect(&cluster).await;
    stream.write_all(&request("GET", MAPS, "")).await.unwrap();
    cluster.faults().fired("it", 1).await.unwrap();
    assert!(is_silent(&mut stream).await);
    // The kernel still takes what is sent.
    stream.write_all(&request("GET", "/version", "")).await.unwrap();
    let mut h2 = http2(&cluster).await;
    h2.get(MAPS).await;
    cluster.faults().fired("it", 2).await.unwrap();
    // What was on the way before may still come; PING gets no answer.
    h2.write(crate::peer::PING, 0, 0, &[7; 8]).await;
    while !is_silent(&mut h2.stream).await {}
    // Nothing is held any longer than its plan.
    cluster.faults().clear();
    assert_ne!(read_to_end(&mut stream).await.ending, Ending::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn t8_blackhole_lets_connecting_hang() {
    let cluster = Cluster::start().await.unwrap();
    let address = cluster.server().address();
    let guard = cluster.faults().inject(rule(Fault::new("blackhole").knob("lasts", "1h")).count(1)).unwrap();
    timeout(PATIENCE, guard.fired("it", 1)).await.unwrap();
    // Before the backlog is full a few may still get in; they are not answered either.
    let mut inside = Vec::new();
    let hung = async {
        loop {
            match timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
                Ok(Ok(stream)) => inside.push(stream),
                Ok(Err(e)) => panic!("{e}"),
                Err(_) => return,
            }
        }
    };
    timeout(PATIENCE, hung).await.expect("connecting hangs");
    guard.finish().unwrap();
    assert_eq!(timeout(PATIENCE, get(&cluster, "/version")).await.unwrap().code(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn t9_delay_holds_the_head_back() {
    let start = "2026-01-02T03:04:05Z".parse().unwrap();
    let clock = rehearsal::Clock::manual(start);
    let builder = Cluster::builder().clock(clock.clone());
    let cluster = with(builder, rule(Fault::new("delay").knob("wait", "3s")).verb("list")).await;
    for protocol2 in [false, true] {
        let seen = cluster.faults().count("it").unwrap();
        let mut stream = connect(&cluster).await;
        if protocol2 {
            let mut h2 = Http2::begin(stream).await;
            let id = h2.get(MAPS).await;
            cluster.faults().fired("it", seen + 1).await.unwrap();
            let mut often = tokio::time::interval(Duration::from_millis(10));
            let advance = async {
                loop {
                    often.tick().await;
                    assert!(clock.advance(jiff(4)));
                }
            };
            tokio::select! {
                frames = h2.answer(id) => assert!(frames.last().unwrap().ends_stream()),
                () = advance => {}
            }
        } else {
            stream.write_all(&request("GET", MAPS, "")).await.unwrap();
            cluster.faults().fired("it", seen + 1).await.unwrap();
            assert!(is_silent(&mut stream).await);
            assert!(clock.advance(jiff(4)));
            assert_eq!(exchange(&mut stream, b"").await.code(), 200);
        }
    }
}

fn jiff(seconds: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_secs(seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn t10_throttle_lets_the_body_trickle() {
    let parts = cluster(rule(Fault::new("throttle").knob("chunks", 4u64).knob("over", "400ms"))).await;
    let started = tokio::time::Instant::now();
    let answer = get(&parts, MAPS).await;
    assert!(answer.json()["items"].as_array().unwrap().len() >= 2);
    assert!(started.elapsed() >= Duration::from_millis(290), "{:?}", started.elapsed());
    let slow = cluster(rule(Fault::new("throttle").knob("rate", 2000u64)).verb("watch")).await;
    let started = tokio::time::Instant::now();
    let (_, answer) = watch(&slow, "", 2).await;
    assert_eq!(types(&answer).len(), 2);
    assert!(answer.chunks().iter().all(|size| *size <= 200), "{:?}", answer.chunks());
    assert!(started.elapsed() >= Duration::from_millis(100), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn t11_segments_cut_where_it_hurts() {
    let inside = |how: &str| rule(Fault::new("segments").knob("how", how)).verb("watch");
    // A chunk ends inside the ü of the data.
    let utf8 = cluster(inside("inside-utf8")).await;
    let (_, answer) = watch(&utf8, "", 2).await;
    assert_eq!(types(&answer).len(), 2);
    let (mut at, mut split) = (0, false);
    for size in answer.chunks() {
        at += size;
        split |= std::str::from_utf8(&answer.body()[..at]).is_err();
    }
    assert!(split, "{:?}", answer.chunks());
    // Every write is a byte, the size of a chunk included.
    for how in ["inside-chunk-size", "bytes"] {
        let bytes = cluster(inside(how)).await;
        let mut stream = connect(&bytes).await;
        stream.write_all(&request("GET", &format!("{MAPS}?watch=1"), "")).await.unwrap();
        let mut first = [0; 1];
        stream.read_exact(&mut first).await.unwrap();
        let rest = read_while(&mut stream, |answer| answer.text().matches('\n').count() < 2).await;
        assert_eq!((first[0], types(&rest).len()), (b'H', 2));
        let mut h2 = http2(&bytes).await;
        h2.get(&format!("{MAPS}?watch=1")).await;
        let frames = h2.until(|frame| frame.kind == crate::peer::DATA).await;
        assert!(data(&frames).contains("ADDED"));
    }
    // Many events in one chunk.
    let merged = cluster(inside("merged")).await;
    let (_, answer) = watch(&merged, "", 2).await;
    assert_eq!((answer.chunks().len(), types(&answer).len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn t12_tls_handshake_fails_in_seven_ways() {
    let failing = |how: &str| {
        let rule = rule(Fault::new("tls-handshake").knob("failure", how));
        async move { with(Cluster::builder().tls(true), rule).await }
    };
    for (how, why) in [
        ("expired-certificate", "Expired"),
        ("wrong-name", "NotValidForName"),
        ("unknown-authority", "UnknownIssuer"),
        ("alert", "HandshakeFailure"),
        ("plaintext", "corrupt message"),
    ] {
        let cluster = failing(how).await;
        let error = tls(&cluster, true).await.expect_err(how);
        let text = format!("{error} {error:?}").to_lowercase();
        assert!(text.contains(&why.to_lowercase()) || how == "unknown-authority", "{how}: {text}");
    }
    let cluster = failing("no-http2").await;
    let stream = tls(&cluster, true).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let cluster = failing("stall").await;
    let mut stream = connect(&cluster).await;
    stream.write_all(&[0x16, 3, 1, 0, 1, 1]).await.unwrap();
    cluster.faults().fired("it", 1).await.unwrap();
    assert!(is_silent(&mut stream).await);
    // The bytes of the alert, and of the clear text.
    for (how, bytes) in [("alert", &[0x15, 3, 3, 0, 2, 2, 40][..]), ("plaintext", b"HTTP/1.1 400 Bad Request\r\n")] {
        let cluster = failing(how).await;
        let mut stream = connect(&cluster).await;
        stream.write_all(&[0x16, 3, 1, 0, 1, 1]).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.raw.starts_with(bytes), "{how}: {:?}", answer.raw);
        assert_eq!(answer.ending, Ending::Eof);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_at_each_stage_looks_the_same_and_leaves_different_stores() {
    for (stage, stored) in
        [(Stage::Arrive, false), (Stage::BeforeCommit, false), (Stage::AfterCommit, true), (Stage::Head, true)]
    {
        let cluster = Cluster::start().await.unwrap();
        cluster.faults().add(&plan(rule("reset").verb("create").at(stage))).unwrap();
        let answer = send(&cluster, "POST", MAPS, &map("c")).await;
        assert_eq!((answer.raw.len(), answer.ending), (0, Ending::Reset), "{stage}");
        let found = get(&cluster, &format!("{MAPS}/c")).await.code();
        assert_eq!(found, if stored { 200 } else { 404 }, "{stage}");
    }
}
