//! The bytes of section 14 of the behaviour sheet, case by case.

use super::*;
use crate::reply::RetryAfter;

fn deployment() -> RequestFacts<'static> {
    RequestFacts {
        verb: "update",
        group: "apps",
        resource: "deployments",
        namespace: "default",
        name: "d",
        ..RequestFacts::default()
    }
}

fn body(case: Case) -> String {
    let store = StoreFacts { current: 353, oldest: 536, ..StoreFacts::default() };
    Reply::new(case).render(&RequestFacts { resource_version: "999999", ..deployment() }, &store).body
}

#[test]
fn status_bodies_are_those_of_the_real_server() {
    let table = [
        (
            Case::CacheNotReady,
            r#""message":"storage is (re)initializing","reason":"TooManyRequests","details":{"retryAfterSeconds":1},"code":429}"#,
        ),
        (
            Case::WriteDeadline,
            r#""message":"Timeout: request did not complete within requested timeout - context deadline exceeded","reason":"Timeout","details":{},"code":504}"#,
        ),
        (
            Case::FutureRevision,
            r#""message":"Timeout: Too large resource version: 999999, current: 353","reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1},"code":504}"#,
        ),
        (
            Case::ListExpired,
            r#""message":"The resourceVersion for the provided list is too old.","reason":"Expired","code":410}"#,
        ),
        (
            Case::Conflict,
            r#""message":"Operation cannot be fulfilled on deployments.apps \"d\": the object has been modified; please apply your changes to the latest version and try again","reason":"Conflict","details":{"name":"d","group":"apps","kind":"deployments"},"code":409}"#,
        ),
        (
            Case::AlreadyExists,
            r#""message":"deployments.apps \"d\" already exists","reason":"AlreadyExists","details":{"name":"d","group":"apps","kind":"deployments"},"code":409}"#,
        ),
        (
            Case::NotFound,
            r#""message":"deployments.apps \"d\" not found","reason":"NotFound","details":{"name":"d","group":"apps","kind":"deployments"},"code":404}"#,
        ),
        (Case::Storage("etcdserver: leader changed".into()), r#""message":"etcdserver: leader changed","code":500}"#),
        (
            Case::Internal("boom".into()),
            r#""message":"Internal error occurred: boom","reason":"InternalError","details":{"causes":[{"message":"boom"}]},"code":500}"#,
        ),
        (Case::Unauthorized, r#""message":"Unauthorized","reason":"Unauthorized","code":401}"#),
        (
            Case::TooLarge,
            r#""message":"Request entity too large: limit is 3145728","reason":"RequestEntityTooLarge","code":413}"#,
        ),
        (
            Case::MethodNotAllowed,
            r#""message":"the server does not allow this method on the requested resource","reason":"MethodNotAllowed","details":{},"code":405}"#,
        ),
        (
            Case::ApplyConflict { manager: "m1".into(), field: ".data.a".into() },
            r#""message":"Apply failed with 1 conflict: conflict with \"m1\": .data.a","reason":"Conflict","details":{"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"m1\"","field":".data.a"}]},"code":409}"#,
        ),
    ];
    for (case, tail) in table {
        let expected =
            format!(r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure",{tail}"#) + "\n";
        assert_eq!(body(case), expected);
    }
}

#[test]
fn text_bodies_are_text_and_end_in_a_newline() {
    let table = [
        (Case::TooManyInflight, 429, Some("1"), "Too many requests, please try again later.\n"),
        (Case::ShutdownRetry, 429, Some("5"), "The apiserver is shutting down, please try again later.\n"),
        (Case::Panic, 500, None, "This request caused apiserver to panic. Look in the logs for details.\n"),
        (Case::AggregatedUnavailable, 503, None, "service unavailable\n"),
    ];
    for (case, status, retry_after, text) in table {
        let answer = Reply::new(case).render(&deployment(), &StoreFacts::default());
        assert_eq!((answer.status, answer.header("retry-after"), answer.body.as_str()), (status, retry_after, text));
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn the_request_timeout_is_json_that_says_it_is_text() {
    let answer = Reply::new(Case::RequestTimeout).render(&deployment(), &StoreFacts::default());
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), None);
    assert!(answer.body.starts_with(r#"{"metadata":{},"status":"Failure","message":"Timeout: request did not"#));
}

#[test]
fn only_priority_and_fairness_names_its_uids() {
    let apf = Case::ApfReject { flow_schema: "f".into(), priority_level: "p".into() };
    let answer = Reply::new(apf).render(&deployment(), &StoreFacts::default());
    assert_eq!(answer.header("X-Kubernetes-Pf-Flowschema-Uid"), Some("f"));
    assert_eq!(answer.header("X-Kubernetes-Pf-Prioritylevel-Uid"), Some("p"));
    let inflight = Reply::new(Case::TooManyInflight).render(&deployment(), &StoreFacts::default());
    assert_eq!(inflight.header("X-Kubernetes-Pf-Flowschema-Uid"), None);
}

#[test]
fn an_expired_watch_is_one_error_frame() {
    let request = RequestFacts { resource_version: "5", ..deployment() };
    let frame =
        Reply::new(Case::WatchExpired).render_frame(&request, &StoreFacts { oldest: 536, ..StoreFacts::default() });
    let expected = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 5 (536)","reason":"Expired","code":410}}"#;
    assert_eq!(frame, format!("{expected}\n"));
}

#[test]
fn an_expired_continue_token_brings_a_fresh_one_when_the_store_has_one() {
    let store = StoreFacts { fresh_continue: "abc", ..StoreFacts::default() };
    let answer = Reply::new(Case::ContinueExpired).render(&deployment(), &store);
    assert!(answer.body.contains(r#""metadata":{"continue":"abc"}"#) && answer.body.contains("inconsistent list"));
}

#[test]
fn forbidden_quotes_who_wanted_what_where() {
    let request =
        RequestFacts { verb: "list", resource: "pods", namespace: "default", user: "u", ..RequestFacts::default() };
    let answer = Reply::new(Case::Forbidden).render(&request, &StoreFacts::default());
    let text =
        r#"pods is forbidden: User \"u\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""#;
    assert!(answer.body.contains(text), "{}", answer.body);
    assert!(answer.body.contains(r#""details":{"kind":"pods"},"code":403"#));
}

#[test]
fn the_storage_that_cannot_be_reached_names_the_verb() {
    let request = RequestFacts { verb: "get", resource: "pods", name: "x", ..RequestFacts::default() };
    let answer = Reply::new(Case::ServerTimeout).render(&request, &StoreFacts::default());
    assert!(
        answer.body.contains(r#""details":{"name":"get","kind":"pods","retryAfterSeconds":2},"code":500"#),
        "{}",
        answer.body
    );
    assert_eq!(answer.header("retry-after"), Some("2"));
}

#[test]
fn retry_after_of_the_body_follows_that_of_the_header() {
    let reply = Reply::new(Case::CacheNotReady).retry_after(RetryAfter::Seconds(7));
    let answer = reply.render(&deployment(), &StoreFacts::default());
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert!(answer.body.contains(r#""details":{"retryAfterSeconds":7}"#));
}

#[test]
fn two_headers_that_disagree_are_both_sent() {
    let reply = Reply::new(Case::TooManyInflight).retry_after(RetryAfter::Twice(1, 9));
    let answer = reply.render(&deployment(), &StoreFacts::default());
    let sent: Vec<_> =
        answer.headers.iter().filter(|(name, _)| *name == "Retry-After").map(|(_, v)| v.as_str()).collect();
    assert_eq!(sent, ["1", "9"]);
}

#[test]
fn html_characters_are_escaped_as_go_escapes_them() {
    assert!(body(Case::Internal("a<b>&".into())).contains(r"a\u003cb\u003e\u0026"));
}
