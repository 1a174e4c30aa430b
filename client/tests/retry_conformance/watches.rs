//! Rows 26 to 34, 36 and 37: answers to watches and streams.

use crate::harness::{Case, rows};
use crate::measure::{get, pods, say, say_watch};
use crate::support::{Act, Peer, answer, head, json, later};
use http::Method;

rows! {
    real 26 row_26_a_throttled_watch_gives_up_in_the_end;
    real 27 row_27_a_watch_waits_for_a_server_that_recovers;
    real 28 row_28_a_watch_refused_without_retry_after_is_refused;
    real 29 row_29_a_watch_is_only_content_with_200;
    real 30 row_30_html_is_no_stream;
    real 31 row_31_a_stream_without_a_type_is_json;
    real 32 row_32_what_cannot_be_read_is_one_error_event;
    real 33 row_33_half_an_event_ends_the_stream_silently;
    real 34 row_34_an_event_over_sixteen_mebibytes_is_an_error_event;
    real 36 row_36_a_stream_repeats_statuses;
    real 37 row_37_a_stream_takes_any_2xx_and_reads_refusals;
}

const ADDED: &[u8] = br#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1"}}"#;
const UNREADABLE: &str = "ERROR event InternalError (UnexpectedServerResponse, ClientWatchDecoding), closed";

fn stream(content_type: Option<&str>, body: &[u8]) -> Act {
    let headers: Vec<_> = content_type.map(|c| ("content-type", c)).into_iter().collect();
    let mut bytes = head(200, &headers, None);
    bytes.extend_from_slice(body);
    Act::AnswerAndClose(bytes)
}

fn json_stream(body: &[u8]) -> Act {
    stream(Some("application/json"), body)
}

/// Watches a peer that acts so, to the end.
async fn watched(case: Case, acts: Vec<Act>, retries: i32) -> Case {
    let peer = Peer::start(acts).await;
    let (client, waits) = peer.client();
    let watch = pods(&client, &Method::GET).max_retries(retries).watch().await;
    case.measured(peer.attempts(), waits.gaps(), say_watch(watch).await)
}

async fn row_26_a_throttled_watch_gives_up_in_the_end() -> Vec<Case> {
    let case = watched(Case::new("W GET mr=2", "429, RA 0, for ever"), vec![later(429, "0")], 2).await;
    vec![case.must_be(3, "0 s ×2", "TooManyRequests")]
}

async fn row_27_a_watch_waits_for_a_server_that_recovers() -> Vec<Case> {
    let acts = vec![later(503, "0"), later(503, "0"), json_stream(ADDED)];
    let case = watched(Case::new("W GET", "503, RA 0, twice, then 200 and a stream"), acts, 10).await;
    vec![case.must_be(3, "0 s ×2", "Added event, closed")]
}

async fn row_28_a_watch_refused_without_retry_after_is_refused() -> Vec<Case> {
    let case = watched(Case::new("W GET", "500 without RA"), vec![answer(500, &[], "")], 10).await;
    vec![case.must_be(1, "—", "InternalError")]
}

async fn row_29_a_watch_is_only_content_with_200() -> Vec<Case> {
    let peer = Peer::start([json(201, "{}")]).await;
    let (client, waits) = peer.client();
    let error = pods(&client, &Method::GET).watch().await.unwrap_err();
    let outcome = if error.to_string().contains("201") { "error naming the status" } else { "another error" };
    let case = Case::new("W GET", "201").measured(peer.attempts(), waits.gaps(), outcome);
    vec![case.must_be(1, "—", "error naming the status")]
}

async fn row_30_html_is_no_stream() -> Vec<Case> {
    let case = watched(Case::new("W GET", "200, text/html"), vec![stream(Some("text/html"), b"<html>")], 10).await;
    vec![case.must_be(1, "—", "no serializer for text/html")]
}

async fn row_31_a_stream_without_a_type_is_json() -> Vec<Case> {
    let case = watched(Case::new("W GET", "200 without Content-Type, one event"), vec![stream(None, ADDED)], 10).await;
    vec![case.must_be(1, "—", "Added event, closed")]
}

async fn row_32_what_cannot_be_read_is_one_error_event() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, body) in [("the bytes `}}}`", "}}}"), ("an event of type FOO", r#"{"type":"FOO","object":{}}"#)] {
        let case = watched(Case::new("W GET", format!("200, {what}")), vec![json_stream(body.as_bytes())], 10).await;
        cases.push(case.must_be(1, "—", UNREADABLE));
    }
    cases
}

async fn row_33_half_an_event_ends_the_stream_silently() -> Vec<Case> {
    let case = watched(Case::new("W GET", "200, half an event, FIN"), vec![json_stream(&ADDED[..20])], 10).await;
    vec![case.must_be(1, "—", "no error, empty closed watch")]
}

async fn row_34_an_event_over_sixteen_mebibytes_is_an_error_event() -> Vec<Case> {
    let body = format!(r#"{{"type":"ADDED","object":{{"x":"{}"}}}}"#, "x".repeat(17 << 20));
    let case = watched(Case::new("W GET", "200, one event of 17 MiB"), vec![json_stream(body.as_bytes())], 10).await;
    vec![case.must_be(1, "—", UNREADABLE)]
}

async fn row_36_a_stream_repeats_statuses() -> Vec<Case> {
    let peer = Peer::start([later(503, "0")]).await;
    let (client, waits) = peer.client();
    let result = get(&client).max_retries(2).stream().await;
    let case = Case::new("S GET mr=2", "503, RA 0, for ever").measured(peer.attempts(), waits.gaps(), say(&result));
    vec![case.must_be(3, "0 s ×2", "ServiceUnavailable")]
}

async fn row_37_a_stream_takes_any_2xx_and_reads_refusals() -> Vec<Case> {
    let status =
        r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","message":"gone","code":404}"#;
    let peer = Peer::start([Act::Answer(head(204, &[], None))]).await;
    let (client, waits) = peer.client();
    let bytes = get(&client).stream().await.unwrap().bytes().await.unwrap();
    let empty = Case::new("S GET", "204").measured(peer.attempts(), waits.gaps(), format!("ok, {} bytes", bytes.len()));
    let peer = Peer::start([json(404, status)]).await;
    let (client, waits) = peer.client();
    let error = get(&client).stream().await.unwrap_err();
    assert!(error.to_string().contains("gone"), "the message of the Status");
    let refused = Case::new("S GET", "404 with a Status body");
    let refused = refused.measured(peer.attempts(), waits.gaps(), say::<()>(&Err(error)));
    vec![empty.must_be(1, "—", "ok, 0 bytes"), refused.must_be(1, "—", "NotFound")]
}
