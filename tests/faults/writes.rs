//! Family U: writes whose outcome the client cannot know.

use crate::peer::{Ending, Http2, MAPS, cluster, connect, get, http2, is_silent, map, request, rule, send, watch};
use rehearsal::Cluster;
use rehearsal::faults::{Fault, Rule};
use tokio::io::AsyncWriteExt as _;

/// What a client sees of a create that is lost, for each form of losing; whether the object is there afterwards.
async fn lost(fault: &str) -> Vec<bool> {
    let mut stored = Vec::new();
    for form in ["reset", "eof", "half-open", "timeout"] {
        let cluster = cluster(rule(Fault::new(fault).knob("form", form)).verb("create")).await;
        let mut stream = connect(&cluster).await;
        stream.write_all(&request("POST", MAPS, &map("c"))).await.unwrap();
        match form {
            "half-open" => {
                cluster.faults().fired("it", 1).await.unwrap();
                assert!(is_silent(&mut stream).await);
            }
            "timeout" => {
                let answer = crate::peer::exchange(&mut stream, b"").await;
                assert_eq!(answer.code(), 504);
                assert!(answer.text().starts_with("{\"metadata\":{},\"status\":\"Failure\""));
            }
            _ => {
                let answer = crate::peer::read_to_end(&mut stream).await;
                let ending = if form == "eof" { Ending::Eof } else { Ending::Reset };
                assert_eq!((answer.raw.len(), answer.ending), (0, ending), "{form}");
            }
        }
        stored.push(get(&cluster, &format!("{MAPS}/c")).await.code() == 200);
        let mut h2: Http2<_> = http2(&cluster).await;
        h2.send("POST", MAPS, &map("d")).await;
        if matches!(form, "reset" | "eof") {
            assert_ne!(h2.rest().await.1, Ending::Open);
            stored.push(get(&cluster, &format!("{MAPS}/d")).await.code() == 200);
        }
    }
    stored
}

#[tokio::test(flavor = "multi_thread")]
async fn u1_response_lost_has_stored_the_write() {
    assert_eq!(lost("response-lost").await, [true; 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn u2_request_lost_has_stored_nothing() {
    assert_eq!(lost("request-lost").await, [false; 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn u1_the_event_of_a_lost_write_is_seen_by_others() {
    let cluster = cluster(rule("response-lost").verb("patch")).await;
    let (mut stream, _) = watch(&cluster, "&resourceVersion=0", 2).await;
    let bytes = format!(
        "PATCH {MAPS}/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/merge-patch+json\r\nContent-Length: 26\r\n\r\n{{\"data\":{{\"text\":\"patched\"}}}}"
    );
    let bytes = bytes.replace("Content-Length: 26", "Content-Length: 27");
    assert_eq!(crate::peer::exchange(&mut connect(&cluster).await, bytes.as_bytes()).await.ending, Ending::Reset);
    let event = crate::peer::read_while(&mut stream, |answer| !answer.raw.ends_with(b"\n\r\n")).await;
    assert!(String::from_utf8_lossy(&event.raw).contains("patched"));
}

#[tokio::test(flavor = "multi_thread")]
async fn u3_late_commit_answers_first_and_stores_later() {
    let clock = rehearsal::Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let cluster = crate::peer::with(
        Cluster::builder().clock(clock.clone()),
        Rule::new("it").verb("create").fault(Fault::new("late-commit").knob("after", "5s")),
    )
    .await;
    let (mut stream, _) = watch(&cluster, "&resourceVersion=0", 2).await;
    let answer = send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!(answer.code(), 504);
    assert!(answer.text().starts_with("{\"metadata\":{}"));
    assert_eq!(get(&cluster, &format!("{MAPS}/c")).await.code(), 404);
    assert!(is_silent(&mut stream).await);
    assert!(clock.advance(jiff::SignedDuration::from_secs(6)));
    let event = crate::peer::read_while(&mut stream, |answer| !answer.raw.ends_with(b"\n\r\n")).await;
    assert!(String::from_utf8_lossy(&event.raw).contains("\"name\":\"c\""));
    assert_eq!(get(&cluster, &format!("{MAPS}/c")).await.code(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_is_refused_whatever_was_to_happen_at_its_commit() {
    for fault in ["response-lost", "request-lost"] {
        let cluster = cluster(rule(fault).verb("create")).await;
        assert_eq!(send(&cluster, "POST", MAPS, "{\"metadata\":{}}").await.code(), 422, "{fault}");
    }
}
