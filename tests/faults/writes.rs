//! Family U: writes whose outcome the client cannot know.

use crate::peer::{Client, End, MAPS, Wire, advancing, cluster, doing, map, rule, send, with};
use rehearsal::{Clock, Cluster};

crate::proof::wire_tests! {
    u1_response_lost_has_stored_the_write: Http1, Http2;
    u1_the_event_of_a_lost_write_is_seen_by_others: Http1, Http2;
    u2_request_lost_has_stored_nothing: Http1, Http2;
    u3_late_commit_answers_first_and_stores_later: Http1, Http2;
}

/// A Status without kind, as the timeout filter writes it.
const TIMEOUT: &str = "{\"metadata\":{},\"status\":\"Failure\"";

/// Checks what a client sees of a create that is lost, in each form of losing, and whether the object is there afterwards.
async fn lost(wire: Wire, fault: &str, stored: bool) {
    for form in ["reset", "eof", "half-open", "timeout"] {
        let cluster = cluster(doing(fault, &[("form", form)]).verb("create")).await;
        let mut running = wire.begin(&cluster, "POST", MAPS, &map("c")).await;
        if form == "half-open" {
            let rule = if stored { "u1" } else { "u2" };
            cluster.faults().fired(rule, 1).await.unwrap();
            assert!(running.is_silent().await);
            assert!(running.seen().is_nothing());
        } else {
            let seen = running.all().await;
            match form {
                "timeout" => {
                    assert_eq!((seen.code, seen.end), (504, End::Proper));
                    assert!(seen.text().starts_with(TIMEOUT), "{}", seen.text());
                }
                "eof" => assert_eq!((seen.is_nothing(), seen.end), (true, End::Eof)),
                _ => assert_eq!((seen.is_nothing(), seen.end), (true, End::Reset)),
            }
        }
        let code = wire.get(&cluster, &format!("{MAPS}/c")).await.code;
        assert_eq!(code, if stored { 200 } else { 404 }, "{form}");
    }
}

async fn u1_response_lost_has_stored_the_write(wire: Wire) {
    lost(wire, "response-lost", true).await;
}

async fn u2_request_lost_has_stored_nothing(wire: Wire) {
    lost(wire, "request-lost", false).await;
}

async fn u1_the_event_of_a_lost_write_is_seen_by_others(wire: Wire) {
    let cluster = cluster(doing("response-lost", &[]).verb("patch")).await;
    let mut watch = wire.watch(&cluster, "&resourceVersion=0", 2).await;
    let patch = [("Content-Type", "application/merge-patch+json")];
    let client = Client::open(&cluster, wire).await;
    let body = r#"{"data":{"text":"patched"}}"#;
    let seen = client.begin("PATCH", &format!("{MAPS}/a"), &patch, body).await.all().await;
    assert_eq!((seen.is_nothing(), seen.end), (true, End::Reset));
    assert!(watch.lines(3).await.text().contains("patched"));
}

async fn u3_late_commit_answers_first_and_stores_later(wire: Wire) {
    let clock = Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let rule = doing("late-commit", &[("after", "5s")]).verb("create");
    let cluster = with(Cluster::builder().clock(clock.clone()), rule).await;
    let mut watch = wire.watch(&cluster, "&resourceVersion=0", 2).await;
    let seen = wire.send(&cluster, "POST", MAPS, &map("c")).await;
    assert_eq!((seen.code, seen.end), (504, End::Proper));
    assert!(seen.text().starts_with(TIMEOUT), "{}", seen.text());
    assert_eq!(wire.get(&cluster, &format!("{MAPS}/c")).await.code, 404);
    assert!(watch.is_silent().await);
    assert_eq!(advancing(&clock, watch.lines(3)).await.names(), ["a", "b", "c"]);
    assert_eq!(wire.get(&cluster, &format!("{MAPS}/c")).await.code, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_is_refused_whatever_was_to_happen_at_its_commit() {
    for fault in ["response-lost", "request-lost"] {
        let cluster = cluster(rule(fault).verb("create")).await;
        assert_eq!(send(&cluster, "POST", MAPS, "{\"metadata\":{}}").await.code(), 422, "{fault}");
    }
}
