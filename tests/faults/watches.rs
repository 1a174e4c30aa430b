//! Family W: what becomes of watch streams. The cluster holds the config maps `a` and `b`.

use crate::peer::{
    Answer, DATA, Ending, MAPS, RST_STREAM, cluster, connect, data, get, http2, is_silent, map, names, read_while,
    rule, send, types, watch,
};
use rehearsal::Cluster;
use rehearsal::faults::{EventType, Fault, Rule, Stage};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Goes on reading a watch until so many lines have come.
async fn more(stream: &mut TcpStream, mut answer: Answer, lines: usize) -> Answer {
    let begun = std::mem::take(&mut answer.raw);
    let count = |rest: &Answer| {
        let all = Answer { raw: [&begun[..], &rest.raw].concat(), ending: Ending::Open };
        all.text().lines().count()
    };
    let rest = read_while(stream, |rest| count(rest) < lines).await;
    Answer { raw: [&begun[..], &rest.raw].concat(), ending: rest.ending }
}

/// The whole watch over HTTP/2, for one that ends: its payload, and whether it ended properly.
async fn over_http2(rule: Rule) -> (String, bool) {
    let cluster = cluster(rule).await;
    let mut h2 = http2(&cluster).await;
    let stream = h2.get(&format!("{MAPS}?watch=1&resourceVersion=0&allowWatchBookmarks=1")).await;
    let frames = h2.answer(stream).await;
    (data(&frames), frames.last().unwrap().kind != RST_STREAM)
}

#[tokio::test(flavor = "multi_thread")]
async fn w1_watch_expired_is_an_error_frame_or_http_410() {
    let cluster = cluster(rule(Fault::new("watch-expired").knob("afterFrames", 1u64))).await;
    let (_, answer) = watch(&cluster, "&resourceVersion=0", 9).await;
    assert_eq!((types(&answer), answer.is_terminated()), (vec!["ADDED".to_owned(), "ERROR".to_owned()], true));
    let at = cluster.snapshot().revision();
    let last = answer.text().lines().last().unwrap().to_owned();
    let expected = format!(
        "{{\"type\":\"ERROR\",\"object\":{{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{{}},\"status\":\"Failure\",\"message\":\"too old resource version: 0 ({at})\",\"reason\":\"Expired\",\"code\":410}}}}"
    );
    assert_eq!(last, expected);
    let http = crate::peer::cluster(rule(Fault::new("watch-expired").knob("form", "http"))).await;
    let answer = get(&http, &format!("{MAPS}?watch=1")).await;
    assert_eq!((answer.code(), answer.json()["reason"].as_str()), (410, Some("Expired")));
    let (text, proper) = over_http2(rule("watch-expired")).await;
    assert!(proper && text.contains("too old resource version") && text.lines().count() == 1, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn w1_protobuf_watches_get_the_same_status() {
    let cluster = cluster(rule("watch-expired")).await;
    let bytes = format!(
        "GET {MAPS}?watch=1 HTTP/1.1\r\nHost: x\r\nAccept: application/vnd.kubernetes.protobuf;stream=watch\r\n\r\n"
    );
    let mut stream = connect(&cluster).await;
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let body = read_while(&mut stream, |answer| !answer.is_terminated()).await.body();
    let length = u32::from_be_bytes(body[..4].try_into().unwrap()) as usize;
    assert_eq!(length, body.len() - 4);
    let catalog = rehearsal::apimachinery::Catalog::builtin();
    let (kind, status) = rehearsal::apimachinery::codec::frames::decode_protobuf_event(&body[4..], catalog).unwrap();
    assert_eq!(
        (kind.as_str(), status["reason"].as_str(), status["code"].as_u64()),
        ("ERROR", Some("Expired"), Some(410))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_watch_error_is_another_status() {
    let of = |form: &str| rule(Fault::new("watch-error").knob("form", form));
    for (form, what) in [
        ("internal", "Internal error occurred: etcdserver: leader changed"),
        ("cache-not-ready", "storage is (re)initializing"),
        ("unknown", "\"message\":\"etcdserver: leader changed\",\"code\":500"),
    ] {
        let cluster = cluster(of(form)).await;
        let (_, answer) = watch(&cluster, "", 9).await;
        assert_eq!(types(&answer), ["ERROR"]);
        assert!(answer.is_terminated() && answer.text().contains(what), "{}", answer.text());
    }
    assert!(over_http2(of("internal")).await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn w3_close_watch_is_a_clean_end() {
    let now = cluster(rule("close-watch")).await;
    let (_, answer) = watch(&now, "", 9).await;
    assert_eq!((answer.code(), answer.is_terminated(), answer.ending), (200, true, Ending::Open));
    assert!(types(&answer).is_empty());
    let after = cluster(rule(Fault::new("close-watch").knob("afterFrames", 1u64))).await;
    let (_, answer) = watch(&after, "", 9).await;
    assert_eq!((types(&answer), answer.is_terminated()), (vec!["ADDED".to_owned()], true));
    let timed = cluster(rule(Fault::new("close-watch").knob("after", "50ms"))).await;
    let (_, answer) = watch(&timed, "", 9).await;
    assert_eq!((types(&answer).len(), answer.is_terminated()), (2, true));
    assert_eq!(over_http2(rule("close-watch")).await, (String::new(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn w3_a_watch_that_was_there_before_its_rule_is_met_too() {
    let cluster = Cluster::builder().controllers(rehearsal::Controllers::none()).start().await.unwrap();
    let (mut stream, answer) = watch(&cluster, "", 0).await;
    assert_eq!(send(&cluster, "POST", MAPS, &map("a")).await.code(), 201);
    let answer = more(&mut stream, answer, 1).await;
    let guard =
        cluster.faults().inject(rule("close-watch").at(Stage::Frame).event(EventType::Added).name("b")).unwrap();
    assert_eq!(send(&cluster, "POST", MAPS, &map("b")).await.code(), 201);
    let rest = read_while(&mut stream, |answer| !answer.raw.ends_with(b"0\r\n\r\n")).await;
    assert_eq!(names(&answer), ["a"]);
    assert!(!String::from_utf8_lossy(&rest.raw).contains("ADDED"));
    guard.finish().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_silence_sends_nothing_and_stays_open() {
    let cluster = cluster(rule(Fault::new("silence").knob("afterFrames", 1u64))).await;
    let (mut stream, answer) = watch(&cluster, "", 1).await;
    assert_eq!(types(&answer).len(), 1);
    send(&cluster, "POST", MAPS, &map("c")).await;
    assert!(is_silent(&mut stream).await);
    let mut h2 = http2(&cluster).await;
    h2.get(&format!("{MAPS}?watch=1")).await;
    h2.until(|frame| frame.kind == DATA).await;
    assert!(is_silent(&mut h2.stream).await);
    // When its plan is gone, the watch goes on where it stood.
    cluster.faults().clear();
    let answer = more(&mut stream, answer, 2).await;
    assert_eq!(names(&answer)[..2], ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_bookmarks_are_missing_rare_or_late() {
    let begin = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let of = |mode: &str| cluster(rule(Fault::new("bookmarks").knob("mode", mode).knob("delay", "100ms")));
    let plain = Cluster::builder().start().await.unwrap();
    let (_, answer) = watch(&plain, begin, 2).await;
    assert!(types(&answer).contains(&"BOOKMARK".to_owned()), "as it is without the fault");
    let missing = of("missing").await;
    let (mut stream, answer) = watch(&missing, begin, 2).await;
    send(&missing, "POST", MAPS, &map("c")).await;
    let answer = more(&mut stream, answer, 3).await;
    assert_eq!(types(&answer), ["ADDED", "ADDED", "ADDED"]);
    for (mode, count) in [("initial-only", 3), ("initial-late", 3)] {
        let (_, answer) = watch(&of(mode).await, begin, count).await;
        assert_eq!(types(&answer), ["ADDED", "ADDED", "BOOKMARK"], "{mode}");
    }
    let rare = of("rare").await;
    let (mut stream, answer) = watch(&rare, begin, 2).await;
    send(&rare, "POST", MAPS, &map("c")).await;
    assert_eq!(types(&more(&mut stream, answer, 3).await), ["ADDED", "ADDED", "ADDED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_hold_frames_gathers_and_coalesces() {
    let fault = Fault::new("hold-frames").knob("frames", 3u64).knob("lasts", "1h");
    let cluster = cluster(rule(fault)).await;
    let (mut stream, answer) = watch(&cluster, "", 0).await;
    let head = answer;
    assert!(is_silent(&mut stream).await);
    send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!(names(&more(&mut stream, head, 3).await), ["a", "b", "c"]);
    let fault = Fault::new("hold-frames").knob("frames", 4u64).knob("lasts", "1h").knob("coalesce", "true");
    let cluster = crate::peer::cluster(rule(fault)).await;
    let (mut stream, head) = watch(&cluster, "", 0).await;
    for name in ["a", "a"] {
        let body = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"n":"{}"}}}}"#,
            cluster.snapshot().revision()
        );
        assert_eq!(send(&cluster, "PUT", &format!("{MAPS}/a"), &body).await.code(), 200);
    }
    let answer = more(&mut stream, head, 2).await;
    assert_eq!((names(&answer), types(&answer)), (vec!["a".to_owned(), "b".to_owned()], vec!["ADDED".to_owned(); 2]));
    assert!(answer.text().contains("\"n\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn w7_gap_ends_and_makes_resuming_too_old() {
    let cluster = cluster(rule(Fault::new("gap").knob("afterFrames", 2u64)).count(1)).await;
    let (_, answer) = watch(&cluster, "", 9).await;
    assert_eq!((types(&answer).len(), answer.is_terminated()), (2, true));
    let last: serde_json::Value = serde_json::from_str(answer.text().lines().last().unwrap()).unwrap();
    let seen = last["object"]["metadata"]["resourceVersion"].as_str().unwrap();
    let (_, resumed) = watch(&cluster, &format!("&resourceVersion={seen}"), 9).await;
    assert!(resumed.text().contains("too old resource version"), "{}", resumed.text());
    let list = get(&cluster, MAPS).await.json();
    let fresh = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let (mut stream, answer) = watch(&cluster, &format!("&resourceVersion={fresh}"), 0).await;
    send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!(names(&more(&mut stream, answer, 1).await), ["c"]);
    assert!(over_http2(rule("gap")).await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn w8_shuffle_initial_changes_the_order_and_nothing_else() {
    let cluster = cluster(rule("shuffle-initial")).await;
    for n in 0..20 {
        send(&cluster, "POST", MAPS, &map(&format!("m{n:02}"))).await;
    }
    let (_, answer) = watch(&cluster, "&resourceVersion=0", 22).await;
    let seen = names(&answer);
    let mut sorted = seen.clone();
    sorted.sort();
    assert_eq!((seen.len(), sorted != seen), (22, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn w9_tamper_frame_drops_doubles_and_swaps() {
    let of = |how: &str| rule(Fault::new("tamper-frame").knob("how", how));
    for (how, expected) in [("drop", &["b", "c"][..]), ("duplicate", &["a", "a", "b"]), ("reorder", &["b", "a"])] {
        let cluster = cluster(of(how)).await;
        send(&cluster, "POST", MAPS, &map("c")).await;
        let (_, answer) = watch(&cluster, "", expected.len()).await;
        assert_eq!(names(&answer)[..expected.len()], *expected, "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w10_odd_frame_is_well_formed_and_surprising() {
    let of = |form: &str| cluster(rule(Fault::new("odd-frame").knob("form", form)));
    let (_, wrong) = watch(&of("wrong-type").await, "", 2).await;
    assert_eq!(types(&wrong), ["MODIFIED", "ADDED"]);
    let (_, never) = watch(&of("unknown-delete").await, "", 3).await;
    assert_eq!((types(&never)[0].as_str(), names(&never)[0].as_str()), ("DELETED", "a-that-never-was"));
    let (_, partial) = watch(&of("partial-metadata").await, "", 2).await;
    assert!(!partial.text().lines().next().unwrap().contains("\"uid\""));
    let (_, unknown) = watch(&of("unknown-field").await, "", 2).await;
    assert!(unknown.text().contains("rehearsalUnknown"));
    let list = get(&of("null-items").await, MAPS).await.json();
    assert!(list["items"].is_null() && list["kind"] == "ConfigMapList");
    assert!(get(&of("unknown-field").await, MAPS).await.json()["items"][0]["rehearsalUnknown"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn w11_truncated_frame_is_half_a_line_and_the_end() {
    let cluster = cluster(rule(Fault::new("truncated-frame").knob("afterFrames", 1u64))).await;
    let (_, answer) = watch(&cluster, "", 9).await;
    assert!(answer.is_terminated());
    let text = answer.text();
    let last = text.lines().last().unwrap();
    assert_eq!(types(&answer).len(), 1);
    assert!(last.starts_with("{\"type\":\"ADDED\"") && !text.ends_with('\n'), "{last}");
    let (text, proper) = over_http2(rule(Fault::new("truncated-frame").knob("bytes", 5u64))).await;
    assert_eq!((text.as_str(), proper), ("{\"typ", true));
}

#[tokio::test(flavor = "multi_thread")]
async fn b4_inject_frame_comes_before_the_others() {
    let line = r#"{"type":"PARTY","object":{}}"#;
    let cluster = cluster(rule(Fault::new("inject-frame").knob("line", line))).await;
    let (_, answer) = watch(&cluster, "", 3).await;
    assert_eq!(types(&answer), ["PARTY", "ADDED", "ADDED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_at_frames_know_the_object_and_the_event() {
    use rehearsal::faults::Plan;
    let cluster = Cluster::builder().controllers(rehearsal::Controllers::none()).start().await.unwrap();
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
    let (mut stream, head) = watch(&cluster, "", 0).await;
    assert_eq!(get(&cluster, MAPS).await.code(), 200);
    for name in ["a", "b", "c"] {
        send(&cluster, "POST", MAPS, &map(name)).await;
    }
    let answer = more(&mut stream, head, 3).await;
    assert_eq!(names(&answer), ["a", "b", "c"]);
    assert_eq!(get(&cluster, MAPS).await.code(), 429);
    let journal = cluster.journal().entries();
    let watched = journal.iter().find(|entry| entry.uri.contains("watch=1")).unwrap();
    assert_eq!(watched.faults.firings()[0].rule, "lost");
    guard.finish().unwrap();
}
