//! Rows 38 to 48: answers that are read once, whatever they say, and bodies that are sent once.

use crate::harness::{Case, rows};
use crate::measure::{core, get, ok, outcome, pods, say};
use crate::support::{Act, Peer, Recorded, answer, head, json, later};
use bytes::Bytes;
use http::Method;
use rehearsal_client::*;
use std::sync::Arc;

rows! {
    real 38 row_38_a_truncated_body_is_an_error_and_not_repeated;
    real 39 row_39_an_empty_success_has_no_object_but_raw_bytes;
    real 40 row_40_another_kind_is_a_typed_mismatch;
    real 41 row_41_a_failure_under_200_is_a_failure;
    real 42 row_42_html_under_200_is_raw_only;
    real 43 row_43_a_gateways_page_is_quoted_up_to_two_kibibytes;
    real 44 row_44_a_forbidden_text_is_the_message;
    real 45 row_45_forbidden_json_has_a_placeholder_for_a_message;
    real 46 row_46_an_empty_409_depends_on_the_verb;
    real 47 row_47_some_codes_have_no_reason;
    real 48 row_48_an_opaque_body_is_sent_once;
}

/// Gets from a peer that always acts so.
async fn got(case: Case, act: Act) -> (Case, Result<serde_json::Value, Error>) {
    let peer = Peer::start([act]).await;
    let (client, waits) = peer.client();
    let result = outcome(&get(&client)).await;
    (case.measured(peer.attempts(), waits.gaps(), say(&result)), result)
}

async fn row_38_a_truncated_body_is_an_error_and_not_repeated() -> Vec<Case> {
    let mut bytes = head(200, &[("content-type", "application/json")], Some(1000));
    bytes.extend_from_slice(b"{\"kind\":");
    let case = Case::new("D GET", "200, Content-Length 1000, 8 bytes, FIN");
    let (case, _) = got(case, Act::AnswerAndClose(bytes.clone())).await;
    let peer = Peer::start([Act::AnswerAndClose(bytes), ok()]).await;
    let waits = Arc::new(Recorded::default());
    let retry = RetryOptions { retry_truncated: true, ..RetryOptions::default() };
    let better = Config { retry, backoff: Some(waits.clone()), ..peer.config() };
    let result = outcome(&get(&core(&better))).await;
    let again = Case::new("D GET", "the same, then 200, with `retry_truncated`");
    let again = again.measured(peer.attempts(), waits.gaps(), say(&result));
    vec![case.must_be(1, "—", "body-read error: Eof"), again.must_be(2, "1 s", "ok")]
}

async fn row_39_an_empty_success_has_no_object_but_raw_bytes() -> Vec<Case> {
    let (into, _) = got(Case::new("D GET, `into`", "200, empty body"), json(200, "")).await;
    let peer = Peer::start([json(200, "")]).await;
    let (client, waits) = peer.client();
    let result = get(&client).do_raw().await;
    let raw = Case::new("D GET, `do_raw`", "200, empty body").measured(peer.attempts(), waits.gaps(), say(&result));
    vec![into.must_be(1, "—", "zero-length error"), raw.must_be(1, "—", "ok")]
}

#[derive(Debug, serde::Deserialize)]
struct Node {}

impl ObjectKind for Node {
    const API_VERSION: &'static str = "v1";
    const KIND: &'static str = "Node";
}

async fn row_40_another_kind_is_a_typed_mismatch() -> Vec<Case> {
    let peer = Peer::start([ok()]).await;
    let (client, waits) = peer.client();
    let result = get(&client).into::<Node>().await;
    let case = Case::new("D GET, `into::<Node>`", "200, a Pod (client-go: success and a zero object)");
    let case = case.measured(peer.attempts(), waits.gaps(), say(&result));
    vec![case.must_be(1, "—", "expected v1, Kind=Node, received v1, Kind=Pod")]
}

async fn row_41_a_failure_under_200_is_a_failure() -> Vec<Case> {
    let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Conflict","code":409}"#;
    let (case, _) = got(Case::new("D GET", "200, a Status: Failure, Conflict"), json(200, status)).await;
    let peer = Peer::start([json(200, status)]).await;
    assert!(get(&peer.client().0).into::<Node>().await.unwrap_err().is_conflict());
    let (before, (client, waits)) = (peer.attempts(), peer.client());
    let result = get(&client).do_raw().await;
    let raw = Case::new("D GET, `do_raw`", "the same");
    let raw = raw.measured(peer.attempts() - before, waits.gaps(), say(&result));
    vec![case.must_be(1, "—", "Conflict"), raw.must_be(1, "—", "ok")]
}

async fn row_42_html_under_200_is_raw_only() -> Vec<Case> {
    let page = || answer(200, &[("content-type", "text/html")], "<p>");
    let (case, _) = got(Case::new("D GET, `into`", "200, text/html"), page()).await;
    let peer = Peer::start([page()]).await;
    let (client, waits) = peer.client();
    let raw = get(&client).send().await.unwrap().raw();
    assert_eq!(raw.as_ref().unwrap(), "<p>");
    let raw = Case::new("D GET, `raw`", "the same").measured(peer.attempts(), waits.gaps(), say(&raw));
    vec![case.must_be(1, "—", "no serializer for text/html"), raw.must_be(1, "—", "ok")]
}

async fn row_43_a_gateways_page_is_quoted_up_to_two_kibibytes() -> Vec<Case> {
    let page = answer(502, &[("content-type", "text/html")], &"x".repeat(5000));
    let (mut case, result) = got(Case::new("D GET", "502, text/html, 5000 bytes"), page).await;
    let quoted = result.as_ref().unwrap_err().to_string().matches('x').count();
    let said = format!("{}, {quoted} bytes quoted", say(&result));
    case = case.with_outcome(said);
    vec![case.must_be(1, "—", "InternalError, 2048 bytes quoted")]
}

/// What a refusal says before the request it names.
fn message(result: &Result<serde_json::Value, Error>) -> String {
    let text = result.as_ref().unwrap_err().to_string();
    format!("{}, message `{}`", say(result), text.split(" (").next().unwrap_or_default())
}

async fn row_44_a_forbidden_text_is_the_message() -> Vec<Case> {
    let act = answer(403, &[("content-type", "text/plain")], "nope");
    let (case, result) = got(Case::new("D GET", "403, text/plain `nope`"), act).await;
    vec![case.with_outcome(message(&result)).must_be(1, "—", "Forbidden, message `nope`")]
}

async fn row_45_forbidden_json_has_a_placeholder_for_a_message() -> Vec<Case> {
    let (case, result) = got(Case::new("D GET", "403, JSON `{}`"), json(403, "{}")).await;
    vec![case.with_outcome(message(&result)).must_be(1, "—", "Forbidden, message `unknown`")]
}

async fn row_46_an_empty_409_depends_on_the_verb() -> Vec<Case> {
    let mut cases = Vec::new();
    for (method, reason) in [
        (Method::POST, "AlreadyExists"),
        (Method::GET, "Conflict"),
        (Method::PUT, "Conflict"),
        (Method::PATCH, "Conflict"),
        (Method::DELETE, "Conflict"),
    ] {
        let peer = Peer::start([answer(409, &[], "")]).await;
        let (client, waits) = peer.client();
        let result = outcome(&pods(&client, &method).name("a").body("{}")).await;
        let case = Case::new(format!("D {method}"), "409, empty body");
        cases.push(case.measured(peer.attempts(), waits.gaps(), say(&result)).must_be(1, "—", reason));
    }
    cases
}

async fn row_47_some_codes_have_no_reason() -> Vec<Case> {
    let mut cases = Vec::new();
    for code in [410, 413, 418] {
        let (case, result) = got(Case::new("D GET", format!("{code}, empty body")), answer(code, &[], "")).await;
        let error = result.unwrap_err();
        assert_eq!((error.is_gone(), error.is_request_entity_too_large()), (code == 410, code == 413));
        cases.push(case.must_be(1, "—", &format!("status {code} without a reason")));
    }
    cases
}

async fn row_48_an_opaque_body_is_sent_once() -> Vec<Case> {
    let mut cases = Vec::new();
    for (act, what, method, outcome) in [
        (later(429, "0"), "429, RA 0", Method::POST, "TooManyRequests"),
        (Act::Close, "EOF", Method::POST, "transport error: Eof"),
        (later(429, "0"), "429, RA 0", Method::GET, "TooManyRequests"),
        (Act::Close, "EOF", Method::GET, "transport error: Eof"),
    ] {
        let peer = Peer::start([act]).await;
        let (client, waits) = peer.client();
        let body = Body::from(Bytes::from_static(b"once"));
        let result = self::outcome(&pods(&client, &method).body_stream(body)).await;
        let case = Case::new(format!("D {method}, body a stream"), what);
        cases.push(case.measured(peer.attempts(), waits.gaps(), say(&result)).must_be(1, "—", outcome));
    }
    cases
}
