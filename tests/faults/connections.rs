//! Family T: what becomes of connections and of the bytes they carry.

use crate::peer::{
    Client, End, Ending, Http2, MAPS, PATIENCE, PING, Wire, advancing, bare, cluster, connect, doing, is_silent, map,
    plan, read_to_end, request, rule, tls, with,
};
use rehearsal::fault_wire::{Line, Surface};
use rehearsal::faults::Stage;
use rehearsal::{Clock, Cluster};
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

crate::proof::wire_tests! {
    t1_refuse_closes_the_port_before_the_client_knocks: Http1, Http2;
    t2_reset_is_rst_instead_of_an_answer: Http1, Http2;
    t3_reset_mid_body_is_a_head_and_some_bytes: Http1, Http2;
    t4_reset_mid_watch_comes_after_so_many_frames: Http1, Http2;
    t5_eof_is_fin_short_of_the_end: Http1, Http2;
    t6_tls_eof_lacks_the_close_notify: Http1, Http2;
    t7_half_open_neither_answers_nor_closes: Http1, Http2;
    t8_blackhole_lets_connecting_hang: Http1, Http2;
    t9_delay_holds_the_head_back: Http1, Http2;
    t10_throttle_lets_the_body_trickle: Http1, Http2;
    t11_segments_cut_where_it_hurts: Http1, Http2;
    t12_tls_handshake_fails_in_seven_ways: Http1, Http2;
}

/// The beginning of a list of config maps: ten bytes.
const TEN: &str = "{\"kind\":\"C";

async fn t1_refuse_closes_the_port_before_the_client_knocks(wire: Wire) {
    let cluster = bare(Cluster::builder()).await;
    let address = cluster.server().address();
    let (before, seen) = Client::open(&cluster, wire).await.get("/version").await;
    assert_eq!(seen.code, 200);
    let guard = cluster.faults().inject(doing("refuse", &[("lasts", "1h")]).count(1)).unwrap();
    // The rule has fired once the door is being closed; the port follows at once.
    timeout(PATIENCE, guard.fired("t1", 1)).await.unwrap();
    let refused = async {
        loop {
            match TcpStream::connect(address).await {
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => return,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
    // Who is inside stays there.
    assert_eq!(before.get("/version").await.1.code, 200);
    guard.finish().unwrap();
    let open = async {
        while TcpStream::connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, open).await.unwrap();
    assert_eq!(wire.get(&cluster, "/version").await.code, 200);
}

async fn t2_reset_is_rst_instead_of_an_answer(wire: Wire) {
    let cluster = cluster(doing("reset", &[]).first(1)).await;
    let seen = wire.get(&cluster, MAPS).await;
    assert_eq!((seen.is_nothing(), seen.end), (true, End::Reset));
    assert_eq!(wire.get(&cluster, MAPS).await.code, 200);
    let journal = cluster.journal().entries();
    assert_eq!((journal[0].code, journal[0].faults.firings().len()), (0, 1));
    let seen = wire.send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!((seen.is_nothing(), seen.end), (true, End::Reset));
    assert_eq!(wire.get(&cluster, &format!("{MAPS}/c")).await.end, End::Reset);
    assert_eq!(wire.get(&cluster, &format!("{MAPS}/c")).await.code, 404);
}

async fn t3_reset_mid_body_is_a_head_and_some_bytes(wire: Wire) {
    let cluster = cluster(doing("reset-mid-body", &[("afterBytes", "10")])).await;
    let seen = wire.get(&cluster, MAPS).await;
    assert_eq!((seen.code, seen.text().as_str(), seen.end), (200, TEN, End::Reset));
    assert!(seen.length() > 10, "the head announces all of it");
}

async fn t4_reset_mid_watch_comes_after_so_many_frames(wire: Wire) {
    let cluster = cluster(doing("reset-mid-watch", &[])).await;
    let seen = wire.watched(&cluster, "", 9).await;
    assert_eq!((seen.types(), seen.end), (vec!["ADDED".to_owned()], End::Reset));
    assert_eq!(seen.lines(), seen.text().lines().count(), "whole frames");
}

async fn t5_eof_is_fin_short_of_the_end(wire: Wire) {
    let before = cluster(doing("eof", &[])).await;
    let seen = wire.get(&before, MAPS).await;
    assert_eq!((seen.is_nothing(), seen.end), (true, End::Eof));
    let inside = cluster(doing("eof", &[("afterBytes", "10")])).await;
    let (mut client, seen) = Client::open(&inside, wire).await.get(MAPS).await;
    assert_eq!(seen.text(), TEN);
    assert!(seen.length() > 10, "short of what was announced");
    if wire == Wire::Http2 {
        // The stream ends, and the connection is as good as new.
        assert_eq!(seen.end, End::Proper);
        assert!(seen.goaway().is_none());
        let seen;
        (client, seen) = client.get(MAPS).await;
        assert_eq!((seen.text().as_str(), seen.end), (TEN, End::Proper));
    } else {
        assert_eq!(seen.end, End::Eof);
    }
    drop(client);
    let watched = cluster(doing("eof", &[("afterFrames", "1")]).verb("watch")).await;
    let seen = wire.watched(&watched, "", 9).await;
    let end = if wire == Wire::Http1 { End::Eof } else { End::Proper };
    assert_eq!((seen.end, seen.types().len()), (end, 1));
    // Above TLS the end is a proper one.
    let secure = with(Cluster::builder().tls(true), doing("eof", &[])).await;
    let mut stream = tls(&secure, wire == Wire::Http2).await.unwrap();
    if wire == Wire::Http2 {
        let mut h2 = Http2::begin(stream).await;
        h2.get(MAPS).await;
        assert_eq!(h2.rest().await, (vec![], Ending::Eof));
        stream = h2.stream;
    } else {
        stream.write_all(&request("GET", MAPS, "")).await.unwrap();
    }
    let mut all = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut all)).await.unwrap().expect("close_notify before FIN");
    assert_eq!(all, b"");
}

async fn t6_tls_eof_lacks_the_close_notify(wire: Wire) {
    let secure = with(Cluster::builder().tls(true), doing("tls-eof", &[])).await;
    let mut stream = tls(&secure, wire == Wire::Http2).await.unwrap();
    let mut all = Vec::new();
    let read = if wire == Wire::Http2 {
        let mut h2 = Http2::begin(stream).await;
        h2.get(MAPS).await;
        assert_eq!(h2.rest().await, (vec![], Ending::Eof));
        h2.stream.read_to_end(&mut all).await
    } else {
        stream.write_all(&request("GET", MAPS, "")).await.unwrap();
        timeout(PATIENCE, stream.read_to_end(&mut all)).await.unwrap()
    };
    // rustls says so when FIN comes without close_notify.
    let error = read.unwrap_err();
    assert_eq!((error.kind(), all.len()), (ErrorKind::UnexpectedEof, 0), "{error}");
    assert!(error.to_string().contains("close_notify"), "{error}");
}

async fn t7_half_open_neither_answers_nor_closes(wire: Wire) {
    let cluster = cluster(doing("half-open", &[]).verb("list")).await;
    let mut running = wire.begin(&cluster, "GET", MAPS, "").await;
    cluster.faults().fired("t7", 1).await.unwrap();
    // What was on the way before may still come. The kernel takes what is sent; nobody answers it, not even a PING.
    match &mut running.client {
        Client::Http1(stream) => stream.write_all(&request("GET", "/version", "")).await.unwrap(),
        Client::Http2(connection) => {
            while timeout(Duration::from_millis(300), connection.next()).await.is_ok() {}
            connection.write(PING, 0, 0, &[7; 8]).await;
            connection.get("/version").await;
        }
    }
    assert!(running.is_silent().await);
    assert!(running.seen().is_nothing());
    // Nothing is held any longer than its plan.
    cluster.faults().clear();
    let (seen, ending) = running.rest().await;
    assert!(seen.is_nothing());
    assert_ne!(ending, Ending::Open);
}

async fn t8_blackhole_lets_connecting_hang(wire: Wire) {
    let cluster = bare(Cluster::builder()).await;
    let address = cluster.server().address();
    let (before, seen) = Client::open(&cluster, wire).await.get("/version").await;
    assert_eq!(seen.code, 200);
    let guard = cluster.faults().inject(doing("blackhole", &[("lasts", "1h")]).count(1)).unwrap();
    timeout(PATIENCE, guard.fired("t8", 1)).await.unwrap();
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
    assert_eq!(before.get("/version").await.1.code, 200, "who is inside stays there");
    guard.finish().unwrap();
    assert_eq!(timeout(PATIENCE, wire.get(&cluster, "/version")).await.unwrap().code, 200);
}

async fn t9_delay_holds_the_head_back(wire: Wire) {
    let clock = Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let builder = Cluster::builder().clock(clock.clone());
    let cluster = with(builder, doing("delay", &[("wait", "3s")]).verb("list")).await;
    let mut running = wire.begin(&cluster, "GET", MAPS, "").await;
    cluster.faults().fired("t9", 1).await.unwrap();
    assert!(running.is_silent().await);
    assert!(running.seen().is_nothing());
    let seen = advancing(&clock, running.all()).await;
    assert_eq!((seen.code, seen.end), (200, End::Proper));
}

async fn t10_throttle_lets_the_body_trickle(wire: Wire) {
    let parts = cluster(doing("throttle", &[("chunks", "4"), ("over", "400ms")])).await;
    let started = tokio::time::Instant::now();
    let seen = wire.get(&parts, MAPS).await;
    assert_eq!(seen.json()["items"].as_array().unwrap().len(), 2);
    assert!(started.elapsed() >= Duration::from_millis(290), "{:?}", started.elapsed());
    if wire == Wire::Http2 {
        assert_eq!(seen.pieces.len(), 4, "a DATA frame a part");
    }
    let slow = cluster(doing("throttle", &[("rate", "2000")]).verb("watch")).await;
    let started = tokio::time::Instant::now();
    let seen = wire.watched(&slow, "", 2).await;
    assert_eq!(seen.types().len(), 2);
    assert!(seen.pieces.iter().all(|size| *size <= 200), "{:?}", seen.pieces);
    assert!(started.elapsed() >= Duration::from_millis(100), "{:?}", started.elapsed());
}

async fn t11_segments_cut_where_it_hurts(wire: Wire) {
    let inside = |how: &str| doing("segments", &[("how", how)]).verb("watch");
    // A chunk or a DATA frame ends inside the ü of the data.
    let utf8 = cluster(inside("inside-utf8")).await;
    let seen = wire.watched(&utf8, "", 2).await;
    assert_eq!(seen.types().len(), 2);
    let (mut at, mut split) = (0, false);
    for size in &seen.pieces {
        at += size;
        split |= std::str::from_utf8(&seen.body[..at]).is_err();
    }
    assert!(split, "{:?}", seen.pieces);
    // Every write is a byte, the size of a chunk and the head of a frame included; see below.
    for how in ["inside-chunk-size", "bytes"] {
        let bytes = cluster(inside(how)).await;
        assert_eq!(wire.watched(&bytes, "", 2).await.names(), ["a", "b"]);
        let mut sizes = WriteSizes(Vec::new());
        let line = Line::new(1);
        line.segment(1, &CancellationToken::new());
        let mut surface = Surface::new(&mut sizes, line, wire == Wire::Http2);
        let bytes = b"\0\0\x0c\0\0\0\0\0\x016\r\nchunk\n\r\n\0";
        surface.write_all(bytes).await.unwrap();
        assert_eq!(sizes.0, vec![1; bytes.len()]);
    }
    // Many events in one chunk or frame.
    let merged = cluster(inside("merged")).await;
    let seen = wire.watched(&merged, "", 2).await;
    assert_eq!((seen.pieces.len(), seen.types().len()), (1, 2));
}

/// A connection that notes how much is written at once: a peer cannot see it when the kernel puts segments together.
struct WriteSizes(Vec<usize>);

impl tokio::io::AsyncRead for WriteSizes {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for WriteSizes {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        self.0.push(buf.len());
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn t12_tls_handshake_fails_in_seven_ways(wire: Wire) {
    let failing = |how: &str| {
        let rule = doing("tls-handshake", &[("failure", how)]);
        async move { with(Cluster::builder().tls(true), rule).await }
    };
    let offers_http2 = wire == Wire::Http2;
    for (how, why) in [
        ("expired-certificate", "Expired"),
        ("wrong-name", "NotValidForName"),
        ("unknown-authority", "UnknownIssuer"),
        ("alert", "HandshakeFailure"),
        ("plaintext", "corrupt message"),
    ] {
        let cluster = failing(how).await;
        let error = tls(&cluster, offers_http2).await.expect_err(how);
        let text = format!("{error} {error:?}").to_lowercase();
        assert!(text.contains(&why.to_lowercase()) || how == "unknown-authority", "{how}: {text}");
    }
    let cluster = failing("no-http2").await;
    let stream = tls(&cluster, offers_http2).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    cluster.faults().clear();
    let stream = tls(&cluster, offers_http2).await.unwrap();
    let usual = if offers_http2 { &b"h2"[..] } else { b"http/1.1" };
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(usual));
    let cluster = failing("stall").await;
    let mut stream = connect(&cluster).await;
    stream.write_all(&[0x16, 3, 1, 0, 1, 1]).await.unwrap();
    cluster.faults().fired("t12", 1).await.unwrap();
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
        for wire in [Wire::Http1, Wire::Http2] {
            let cluster = bare(Cluster::builder()).await;
            cluster.faults().add(&plan(rule("reset").verb("create").at(stage))).unwrap();
            let seen = wire.send(&cluster, "POST", MAPS, &map("c")).await;
            assert_eq!((seen.is_nothing(), seen.end), (true, End::Reset), "{stage}");
            let found = wire.get(&cluster, &format!("{MAPS}/c")).await.code;
            assert_eq!(found, if stored { 200 } else { 404 }, "{stage}");
        }
    }
}
