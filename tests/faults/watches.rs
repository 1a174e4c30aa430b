//! Family W: what becomes of watch streams. The cluster holds the config maps `a` and `b`.

use crate::peer::{Client, End, MAPS, Wire, bare, cluster, doing, map, send};
use rehearsal::Cluster;
use rehearsal::faults::{EventType, Fault, Plan, Rule, Stage};

crate::proof::wire_tests! {
    w1_watch_expired_is_an_error_frame_or_http_410: Http1, Http2;
    w1_protobuf_watches_get_the_same_status: Http1, Http2;
    w2_watch_error_is_another_status: Http1, Http2;
    w3_close_watch_is_a_clean_end: Http1, Http2;
    w3_a_watch_that_was_there_before_its_rule_is_met_too: Http1, Http2;
    w4_silence_sends_nothing_and_stays_open: Http1, Http2;
    w5_bookmarks_are_missing_rare_or_late: Http1, Http2;
    w6_hold_frames_gathers_and_coalesces: Http1, Http2;
    w7_gap_ends_and_makes_resuming_too_old: Http1, Http2;
    w8_shuffle_initial_changes_the_order_and_nothing_else: Http1, Http2;
    w9_tamper_frame_drops_doubles_and_swaps: Http1, Http2;
    w10_odd_frame_is_well_formed_and_surprising: Http1, Http2;
    w11_truncated_frame_is_half_a_line_and_the_end: Http1, Http2;
    b4_inject_frame_comes_before_the_others: Http1, Http2;
}

/// The rest of the connection is as good as new after a watch that ended properly.
async fn serves_on(client: Client) {
    assert_eq!(client.get("/version").await.1.code, 200);
}

async fn w1_watch_expired_is_an_error_frame_or_http_410(wire: Wire) {
    let frame = cluster(doing("watch-expired", &[("afterFrames", "1")])).await;
    let watch = wire.watch(&frame, "&resourceVersion=0", 9).await;
    let seen = watch.seen();
    assert_eq!((seen.code, seen.end), (200, End::Proper));
    assert_eq!(seen.types(), ["ADDED", "ERROR"]);
    let at = frame.snapshot().revision();
    let last = seen.text().lines().last().unwrap().to_owned();
    let expected = format!(
        "{{\"type\":\"ERROR\",\"object\":{{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{{}},\"status\":\"Failure\",\"message\":\"too old resource version: 0 ({at})\",\"reason\":\"Expired\",\"code\":410}}}}"
    );
    assert_eq!(last, expected);
    serves_on(watch.client).await;
    // At the start: nothing else comes.
    let start = cluster(doing("watch-expired", &[])).await;
    let seen = wire.watched(&start, "", 9).await;
    assert_eq!((seen.code, seen.types(), seen.end), (200, vec!["ERROR".to_owned()], End::Proper));
    let http = cluster(doing("watch-expired", &[("form", "http")])).await;
    let seen = wire.get(&http, &format!("{MAPS}?watch=1")).await;
    assert_eq!((seen.code, seen.json()["reason"].as_str()), (410, Some("Expired")));
}

async fn w1_protobuf_watches_get_the_same_status(wire: Wire) {
    let cluster = cluster(doing("watch-expired", &[])).await;
    let accept = [("Accept", "application/vnd.kubernetes.protobuf;stream=watch")];
    let client = Client::open(&cluster, wire).await;
    let seen = client.begin("GET", &format!("{MAPS}?watch=1"), &accept, "").await.all().await;
    let body = &seen.body;
    let length = u32::from_be_bytes(body[..4].try_into().unwrap()) as usize;
    assert_eq!(length, body.len() - 4);
    let catalog = rehearsal::apimachinery::Catalog::builtin();
    let (kind, status) = rehearsal::apimachinery::codec::frames::decode_protobuf_event(&body[4..], catalog).unwrap();
    assert_eq!(
        (kind.as_str(), status["reason"].as_str(), status["code"].as_u64()),
        ("ERROR", Some("Expired"), Some(410))
    );
}

async fn w2_watch_error_is_another_status(wire: Wire) {
    for (form, what) in [
        ("internal", "Internal error occurred: etcdserver: leader changed"),
        ("cache-not-ready", "storage is (re)initializing"),
        ("unknown", "\"message\":\"etcdserver: leader changed\",\"code\":500"),
    ] {
        let cluster = cluster(doing("watch-error", &[("form", form)])).await;
        let seen = wire.watched(&cluster, "", 9).await;
        assert_eq!((seen.code, seen.types(), seen.end), (200, vec!["ERROR".to_owned()], End::Proper));
        assert!(seen.text().contains(what), "{}", seen.text());
    }
}

async fn w3_close_watch_is_a_clean_end(wire: Wire) {
    let now = cluster(doing("close-watch", &[])).await;
    let watch = wire.watch(&now, "", 9).await;
    let seen = watch.seen();
    assert_eq!((seen.code, seen.end, seen.body.len()), (200, End::Proper, 0));
    assert!(seen.goaway().is_none());
    serves_on(watch.client).await;
    let after = cluster(doing("close-watch", &[("afterFrames", "1")])).await;
    let seen = wire.watched(&after, "", 9).await;
    assert_eq!((seen.types(), seen.end), (vec!["ADDED".to_owned()], End::Proper));
    let timed = cluster(doing("close-watch", &[("after", "50ms")])).await;
    let seen = wire.watched(&timed, "", 9).await;
    assert_eq!((seen.types().len(), seen.end), (2, End::Proper));
}

async fn w3_a_watch_that_was_there_before_its_rule_is_met_too(wire: Wire) {
    let cluster = bare(Cluster::builder()).await;
    let mut watch = wire.watch(&cluster, "", 0).await;
    assert_eq!(send(&cluster, "POST", MAPS, &map("a")).await.code(), 201);
    assert_eq!(watch.lines(1).await.names(), ["a"]);
    let rule = doing("close-watch", &[]).at(Stage::Frame).event(EventType::Added).name("b");
    let guard = cluster.faults().inject(rule).unwrap();
    assert_eq!(send(&cluster, "POST", MAPS, &map("b")).await.code(), 201);
    let seen = watch.all().await;
    assert_eq!((seen.names(), seen.end), (vec!["a".to_owned()], End::Proper));
    guard.finish().unwrap();
}

async fn w4_silence_sends_nothing_and_stays_open(wire: Wire) {
    let cluster = cluster(doing("silence", &[("afterFrames", "1")])).await;
    let mut watch = wire.watch(&cluster, "", 1).await;
    send(&cluster, "POST", MAPS, &map("c")).await;
    assert!(watch.is_silent().await);
    assert_eq!((watch.seen().names(), watch.seen().end), (vec!["a".to_owned()], End::Open));
    // When its plan is gone, the watch goes on where it stood.
    cluster.faults().clear();
    assert_eq!(watch.lines(3).await.names(), ["a", "b", "c"]);
}

async fn w5_bookmarks_are_missing_rare_or_late(wire: Wire) {
    let begin = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let of = |mode: &str| cluster(doing("bookmarks", &[("mode", mode), ("delay", "100ms")]));
    let plain = of("missing").await;
    plain.faults().clear();
    let seen = wire.watched(&plain, begin, 3).await;
    assert_eq!(seen.types(), ["ADDED", "ADDED", "BOOKMARK"], "as it is without the fault");
    for mode in ["missing", "rare"] {
        let cluster = of(mode).await;
        let mut watch = wire.watch(&cluster, begin, 2).await;
        send(&cluster, "POST", MAPS, &map("c")).await;
        assert_eq!(watch.lines(3).await.types(), ["ADDED", "ADDED", "ADDED"], "{mode}");
    }
    for mode in ["initial-only", "initial-late"] {
        let seen = wire.watched(&of(mode).await, begin, 3).await;
        assert_eq!(seen.types(), ["ADDED", "ADDED", "BOOKMARK"], "{mode}");
    }
}

async fn w6_hold_frames_gathers_and_coalesces(wire: Wire) {
    let gathers = cluster(doing("hold-frames", &[("frames", "3"), ("lasts", "1h")])).await;
    let mut watch = wire.watch(&gathers, "", 0).await;
    assert!(watch.is_silent().await);
    send(&gathers, "POST", MAPS, &map("c")).await;
    assert_eq!(watch.lines(3).await.names(), ["a", "b", "c"]);
    let knobs = [("frames", "4"), ("lasts", "1h"), ("coalesce", "true")];
    let coalesces = cluster(doing("hold-frames", &knobs)).await;
    let mut watch = wire.watch(&coalesces, "", 0).await;
    for _ in 0..2 {
        let revision = coalesces.snapshot().revision();
        let body = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"a"}},"data":{{"n":"{revision}"}}}}"#
        );
        assert_eq!(send(&coalesces, "PUT", &format!("{MAPS}/a"), &body).await.code(), 200);
    }
    let seen = watch.lines(2).await;
    assert_eq!((seen.names(), seen.types()), (vec!["a".to_owned(), "b".to_owned()], vec!["ADDED".to_owned(); 2]));
    assert!(seen.text().contains("\"n\""));
}

async fn w7_gap_ends_and_makes_resuming_too_old(wire: Wire) {
    let cluster = cluster(doing("gap", &[("afterFrames", "2")]).count(1)).await;
    let seen = wire.watched(&cluster, "", 9).await;
    assert_eq!((seen.types().len(), seen.end), (2, End::Proper));
    let last: serde_json::Value = serde_json::from_str(seen.text().lines().last().unwrap()).unwrap();
    let version = last["object"]["metadata"]["resourceVersion"].as_str().unwrap();
    let resumed = wire.watched(&cluster, &format!("&resourceVersion={version}"), 9).await;
    assert_eq!((resumed.code, resumed.types(), resumed.end), (200, vec!["ERROR".to_owned()], End::Proper));
    assert!(resumed.text().contains("too old resource version"), "{}", resumed.text());
    let list = wire.get(&cluster, MAPS).await.json();
    let fresh = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let mut watch = wire.watch(&cluster, &format!("&resourceVersion={fresh}"), 0).await;
    send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!(watch.lines(1).await.names(), ["c"]);
}

async fn w8_shuffle_initial_changes_the_order_and_nothing_else(wire: Wire) {
    let cluster = cluster(doing("shuffle-initial", &[])).await;
    for n in 0..20 {
        send(&cluster, "POST", MAPS, &map(&format!("m{n:02}"))).await;
    }
    let mut watch = wire.watch(&cluster, "&resourceVersion=0", 22).await;
    let seen = watch.seen();
    assert_eq!(seen.types(), vec!["ADDED"; 22]);
    let mut sorted = seen.names();
    sorted.sort();
    let expected: Vec<_> =
        ["a".to_owned(), "b".to_owned()].into_iter().chain((0..20).map(|n| format!("m{n:02}"))).collect();
    assert_eq!(sorted, expected);
    assert_ne!(seen.names(), expected);
    // What comes later is in order.
    for name in ["y", "x", "z"] {
        send(&cluster, "POST", MAPS, &map(name)).await;
    }
    assert_eq!(watch.lines(25).await.names()[22..], ["y", "x", "z"]);
}

async fn w9_tamper_frame_drops_doubles_and_swaps(wire: Wire) {
    for (how, expected) in
        [("drop", &["b", "c"][..]), ("duplicate", &["a", "a", "b", "c"]), ("reorder", &["b", "a", "c"])]
    {
        let cluster = cluster(doing("tamper-frame", &[("how", how)])).await;
        send(&cluster, "POST", MAPS, &map("c")).await;
        assert_eq!(wire.watched(&cluster, "", expected.len()).await.names(), expected, "{how}");
    }
}

async fn w10_odd_frame_is_well_formed_and_surprising(wire: Wire) {
    let of = |form: &str| cluster(doing("odd-frame", &[("form", form)]));
    assert_eq!(wire.watched(&of("wrong-type").await, "", 2).await.types(), ["MODIFIED", "ADDED"]);
    let never = wire.watched(&of("unknown-delete").await, "", 3).await;
    assert_eq!(never.types(), ["DELETED", "ADDED", "ADDED"]);
    assert_eq!(never.names(), ["a-that-never-was", "a", "b"]);
    let partial = wire.watched(&of("partial-metadata").await, "", 2).await.text();
    let lines: Vec<_> = partial.lines().map(|line| line.contains("\"uid\"")).collect();
    assert_eq!(lines, [false, true], "{partial}");
    assert!(wire.watched(&of("unknown-field").await, "", 2).await.text().contains("rehearsalUnknown"));
    let list = wire.get(&of("null-items").await, MAPS).await.json();
    assert!(list["items"].is_null() && list["kind"] == "ConfigMapList");
    assert!(wire.get(&of("unknown-field").await, MAPS).await.json()["items"][0]["rehearsalUnknown"].is_object());
}

async fn w11_truncated_frame_is_half_a_line_and_the_end(wire: Wire) {
    let half = cluster(doing("truncated-frame", &[("afterFrames", "1")])).await;
    let seen = wire.watched(&half, "", 9).await;
    let text = seen.text();
    let last = text.lines().last().unwrap();
    assert_eq!((seen.types().len(), seen.lines(), seen.end), (1, 1, End::Proper));
    assert!(last.starts_with("{\"type\":\"ADDED\"") && !text.ends_with('\n'), "{last}");
    let five = cluster(doing("truncated-frame", &[("bytes", "5")])).await;
    let seen = wire.watched(&five, "", 9).await;
    assert_eq!((seen.text().as_str(), seen.end), ("{\"typ", End::Proper));
}

async fn b4_inject_frame_comes_before_the_others(wire: Wire) {
    let line = r#"{"type":"PARTY","object":{}}"#;
    let cluster = cluster(doing("inject-frame", &[("line", line)])).await;
    let seen = wire.watched(&cluster, "", 3).await;
    assert_eq!((seen.types(), seen.end), (["PARTY", "ADDED", "ADDED"].map(str::to_owned).to_vec(), End::Open));
    assert_eq!(seen.text().lines().next(), Some(line));
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_at_frames_know_the_object_and_the_event() {
    let cluster = bare(Cluster::builder()).await;
    let plan = Plan::seed(1)
        .rule(
            Rule::new("lost")
                .at(Stage::Frame)
                .resource("configmaps")
                .name("b")
                .fault(Fault::new("hold-frames").knob("frames", 2u64).knob("lasts", "1h")),
        )
        .rule(
            Rule::new("later")
                .verb("list")
                .resource("configmaps")
                .after_event(EventType::Added, "configmaps", "", "a")
                .fault("too-many-inflight"),
        );
    let guard = cluster.faults().arm(&plan).unwrap();
    let mut watch = Wire::Http1.watch(&cluster, "", 0).await;
    assert_eq!(Wire::Http1.get(&cluster, MAPS).await.code, 200);
    for name in ["a", "b", "c"] {
        send(&cluster, "POST", MAPS, &map(name)).await;
    }
    assert_eq!(watch.lines(3).await.names(), ["a", "b", "c"]);
    assert_eq!(Wire::Http1.get(&cluster, MAPS).await.code, 429);
    let journal = cluster.journal().entries();
    let watched = journal.iter().find(|entry| entry.uri.contains("watch=1")).unwrap();
    assert_eq!(watched.faults.firings()[0].rule, "lost");
    guard.finish().unwrap();
}
