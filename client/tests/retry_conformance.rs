//! The rows of the retry conformance table over a real socket or a scripted transport, one test a row.
//!
//! Waits are recorded instead of slept, so that every row runs in no time; rows about deadlines use tokio's paused
//! clock and a transport without sockets.

mod support;

use bytes::Bytes;
use http::{Method, Request as HttpRequest, Response, StatusCode};
use parking_lot::Mutex;
use rehearsal_client::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use support::{Act, Peer, Recorded, answer, head, json, later};

const POD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}"#;

fn pods(client: &RestClient, method: &Method) -> Request {
    client.verb(method.clone()).namespace("default").resource("pods")
}

fn get(client: &RestClient) -> Request {
    pods(client, &Method::GET).name("a")
}

fn ok() -> Act {
    json(200, POD)
}

async fn outcome(request: &Request) -> Result<serde_json::Value, Error> {
    request.send().await?.object()
}

// === a transport without sockets, for errors that are hard to provoke and for the paused clock ===

#[derive(Clone)]
enum Scripted {
    Fail(TransportKind, &'static str),
    Status(u16, Option<&'static str>),
}

#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<Duration>>>);

impl Calls {
    fn count(&self) -> usize {
        self.0.lock().len()
    }
}

/// Plays the script, repeating its end; notes the virtual time of each call.
fn scripted(script: impl IntoIterator<Item = Scripted>) -> (Config, Calls) {
    let script: Arc<Mutex<VecDeque<Scripted>>> = Arc::new(Mutex::new(script.into_iter().collect()));
    let calls = Calls::default();
    let noted = calls.clone();
    let start = tokio::time::Instant::now();
    let transport = Transport::new(tower::service_fn(move |_: HttpRequest<Body>| {
        noted.0.lock().push(start.elapsed());
        let next = {
            let mut script = script.lock();
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
        };
        std::future::ready(match next.unwrap() {
            Scripted::Fail(kind, text) => Err(TransportError::new(kind, text)),
            Scripted::Status(code, retry_after) => {
                let mut builder = Response::builder().status(code);
                if let Some(text) = retry_after {
                    builder = builder.header("retry-after", text);
                }
                let body = if code == 200 { Body::from(Bytes::from_static(POD.as_bytes())) } else { Body::empty() };
                Ok(builder.body(body).unwrap())
            }
        })
    }));
    let config = Config { transport: Some(transport), qps: Qps(-1.0), ..Config::new("http://scripted") };
    (config, calls)
}

fn client(config: &Config) -> RestClient {
    RestClient::unversioned(config).unwrap().group_version(GroupVersion::new("", "v1"))
}

const EOF: Scripted = Scripted::Fail(TransportKind::Eof, "EOF");

// === statuses ===

#[tokio::test]
async fn row_01_get_429_with_retry_after_0_is_tried_eleven_times() {
    let peer = Peer::start([later(429, "0")]).await;
    let (client, waits) = peer.client();
    assert!(outcome(&get(&client)).await.unwrap_err().is_too_many_requests());
    assert_eq!(peer.attempts(), 11);
    assert_eq!(waits.seconds(), [0; 11]);
}

#[tokio::test]
async fn row_02_post_is_repeated_with_the_same_body() {
    let peer = Peer::start([later(429, "0")]).await;
    let (client, _) = peer.client();
    let request = pods(&client, &Method::POST).body("body");
    assert!(outcome(&request).await.unwrap_err().is_too_many_requests());
    assert_eq!(peer.attempts(), 11);
    assert!(peer.received().iter().all(|r| r.body == b"body"));
}

#[tokio::test]
async fn row_03_every_verb_is_retried_on_status() {
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        for status in [429, 503] {
            let peer = Peer::start([later(status, "0")]).await;
            let (client, _) = peer.client();
            let error = outcome(&pods(&client, &method).name("a").body("{}").max_retries(3)).await.unwrap_err();
            assert_eq!((peer.attempts(), error.status().unwrap().code), (4, status));
        }
    }
}

#[tokio::test]
async fn row_04_signed_numbers_are_numbers() {
    for text in ["-5", "+0"] {
        let peer = Peer::start([later(429, text)]).await;
        let (client, waits) = peer.client();
        assert!(outcome(&get(&client)).await.unwrap_err().is_too_many_requests());
        assert_eq!((peer.attempts(), waits.seconds()), (11, vec![0; 11]));
    }
}

#[tokio::test]
async fn row_05_dates_fractions_and_nothing_are_not_retried() {
    for act in [later(429, "Wed, 21 Oct 2015 07:28:00 GMT"), later(429, "1.5"), answer(429, &[], "")] {
        let peer = Peer::start([act]).await;
        let (client, _) = peer.client();
        assert!(outcome(&get(&client)).await.unwrap_err().is_too_many_requests());
        assert_eq!(peer.attempts(), 1);
    }
}

#[tokio::test]
async fn row_06_server_errors_without_retry_after_are_final() {
    let peer = Peer::start([answer(500, &[], ""), answer(503, &[], "")]).await;
    let (client, _) = peer.client();
    assert!(outcome(&get(&client)).await.unwrap_err().is_internal_error());
    assert!(outcome(&get(&client)).await.unwrap_err().is_service_unavailable());
    assert_eq!(peer.attempts(), 2);
}

#[tokio::test]
async fn row_07_a_server_that_recovers_is_waited_for() {
    let peer = Peer::start([later(503, "1"), later(503, "1"), ok()]).await;
    let (client, waits) = peer.client();
    outcome(&get(&client)).await.unwrap();
    assert_eq!((peer.attempts(), waits.seconds()), (3, vec![0, 1, 1]));
}

#[tokio::test]
async fn row_08_the_whole_body_travels_every_time() {
    let peer = Peer::start([later(429, "0"), later(500, "0"), later(501, "0"), later(504, "0"), ok()]).await;
    let (client, _) = peer.client();
    outcome(&pods(&client, &Method::POST).body(vec![b'x'; 4000])).await.unwrap();
    assert_eq!(peer.attempts(), 5);
    assert!(peer.received().iter().all(|r| r.body.len() == 4000));
}

#[tokio::test]
async fn row_09_sleeps_are_those_of_retry_after() {
    let peer = Peer::start([later(429, "1"), later(429, "1"), later(429, "1"), later(429, "1"), ok()]).await;
    let (client, waits) = peer.client();
    outcome(&pods(&client, &Method::POST).body("{}")).await.unwrap();
    assert_eq!(waits.seconds(), [0, 1, 1, 1, 1]);
}

#[tokio::test]
async fn row_10_even_599_is_a_server_error() {
    let peer = Peer::start([later(599, "0"), ok()]).await;
    let (client, _) = peer.client();
    outcome(&get(&client)).await.unwrap();
    assert_eq!(peer.attempts(), 2);
}

#[tokio::test]
async fn row_11_a_conflict_is_final_whatever_the_header_says() {
    let peer = Peer::start([later(409, "0")]).await;
    let (client, _) = peer.client();
    assert!(outcome(&get(&client)).await.unwrap_err().is_conflict());
    assert_eq!(peer.attempts(), 1);
}

#[tokio::test]
async fn row_12_a_redirect_to_nowhere_is_an_error() {
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let peer = Peer::start([later(301, "0")]).await;
        let (client, _) = peer.client();
        assert!(outcome(&pods(&client, &method).name("a").body("{}")).await.is_err());
        assert_eq!(peer.attempts(), 1);
    }
}

#[tokio::test]
async fn row_13_a_redirect_loop_ends_after_ten_requests() {
    let peer = Peer::start([answer(302, &[("location", "/again")], "")]).await;
    let (client, _) = peer.client();
    let error = outcome(&get(&client)).await.unwrap_err();
    assert_eq!(error.transport().unwrap().kind(), TransportKind::Redirect);
    assert_eq!(peer.attempts(), 10);
}

#[tokio::test]
async fn row_14_max_retries_counts_retries() {
    for (retries, attempts, succeeds) in [(0, 1, false), (1, 2, true), (5, 2, true)] {
        let peer = Peer::start([later(429, "1"), ok()]).await;
        let (client, waits) = peer.client();
        assert_eq!(outcome(&get(&client).max_retries(retries)).await.is_ok(), succeeds);
        assert_eq!(peer.attempts(), attempts);
        assert_eq!(waits.seconds().len(), attempts);
    }
}

// === lost connections ===

#[tokio::test]
async fn row_15_a_reset_get_is_repeated_a_second_later() {
    let peer = Peer::start([Act::Reset, Act::Reset, Act::Reset, ok()]).await;
    let (client, waits) = peer.client();
    outcome(&get(&client)).await.unwrap();
    assert_eq!((peer.attempts(), waits.seconds()), (4, vec![0, 1, 1, 1]));
}

#[tokio::test]
async fn row_16_a_reset_post_is_final() {
    let peer = Peer::start([Act::Reset]).await;
    let (client, _) = peer.client();
    let error = outcome(&pods(&client, &Method::POST).body("{}")).await.unwrap_err();
    assert_eq!(error.transport().unwrap().kind(), TransportKind::Reset);
    assert_eq!(peer.attempts(), 1);
}

#[tokio::test]
async fn row_17_a_get_that_meets_eof_is_repeated() {
    let peer = Peer::start([Act::Close, Act::Close, ok()]).await;
    let (client, waits) = peer.client();
    outcome(&get(&client)).await.unwrap();
    assert_eq!((peer.attempts(), waits.seconds()), (3, vec![0, 1, 1]));
}

#[tokio::test]
async fn row_18_a_delete_that_meets_eof_is_final() {
    let peer = Peer::start([Act::Close]).await;
    let (client, _) = peer.client();
    let error = outcome(&pods(&client, &Method::DELETE).name("a")).await.unwrap_err();
    assert_eq!(error.transport().unwrap().kind(), TransportKind::Eof);
    assert_eq!(peer.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn row_19_all_likenesses_of_eof_are_repeated() {
    use TransportKind::{BrokenWrite, Closed, Eof, GoAway, Reset};
    for kind in [Eof, BrokenWrite, GoAway, Reset, Closed] {
        let (config, calls) = scripted([Scripted::Fail(kind, "x")]);
        let error = outcome(&get(&client(&config)).max_retries(2)).await.unwrap_err();
        assert_eq!((calls.count(), error.transport().unwrap().kind()), (3, kind));
    }
}

#[tokio::test(start_paused = true)]
async fn row_20_a_lost_http2_connection_is_repeated_after_a_second() {
    let (config, calls) = scripted([Scripted::Fail(TransportKind::ConnectionLost, "http2: client connection lost")]);
    assert!(outcome(&get(&client(&config)).max_retries(1)).await.is_err());
    assert_eq!(*calls.0.lock(), [Duration::ZERO, Duration::from_secs(1)]);
}

#[tokio::test(start_paused = true)]
async fn row_21_a_watch_does_not_repeat_it() {
    let (config, calls) = scripted([Scripted::Fail(TransportKind::ConnectionLost, "http2: client connection lost")]);
    let error = pods(&client(&config), &Method::GET).watch().await.unwrap_err();
    assert_eq!((calls.count(), error.transport().unwrap().kind()), (1, TransportKind::ConnectionLost));
}

#[tokio::test]
async fn row_22_a_refused_connection_is_final() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = Config { qps: Qps(-1.0), ..Config::new(format!("http://{unused}")) };
    let client = client(&config);
    for error in [
        outcome(&get(&client)).await.unwrap_err(),
        get(&client).stream().await.unwrap_err(),
        get(&client).watch().await.unwrap_err(),
    ] {
        assert_eq!(error.transport().unwrap().kind(), TransportKind::Refused);
    }
}

#[tokio::test(start_paused = true)]
async fn row_23_a_name_that_does_not_resolve_in_time_is_final() {
    let (config, calls) = scripted([Scripted::Fail(TransportKind::DnsTimeout, "lookup: i/o timeout")]);
    assert!(outcome(&get(&client(&config))).await.is_err());
    assert!(get(&client(&config)).stream().await.is_err());
    assert_eq!(calls.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn row_24_a_watch_that_keeps_failing_is_empty_and_no_error() {
    for kind in [TransportKind::DnsTimeout, TransportKind::Eof, TransportKind::Reset] {
        let (config, calls) = scripted([Scripted::Fail(kind, "x")]);
        let mut watch = pods(&client(&config), &Method::GET).max_retries(2).watch().await.unwrap();
        assert!(watch.next().await.is_none());
        assert_eq!(*calls.0.lock(), [0, 1, 2].map(Duration::from_secs));
    }
    let (config, _) = scripted([EOF]);
    let config = Config { retry: RetryOptions { same_rules_for_watch: true, ..RetryOptions::default() }, ..config };
    assert!(pods(&client(&config), &Method::GET).watch().await.is_err(), "the better mode tells");
}

#[tokio::test(start_paused = true)]
async fn row_25_a_watch_does_not_look_at_the_verb() {
    let (config, calls) = scripted([EOF]);
    assert!(pods(&client(&config), &Method::POST).max_retries(2).watch().await.unwrap().next().await.is_none());
    assert_eq!(calls.count(), 3);
}

// === watches ===

#[tokio::test]
async fn row_26_a_throttled_watch_gives_up_in_the_end() {
    let peer = Peer::start([later(429, "0")]).await;
    let (client, _) = peer.client();
    let error = pods(&client, &Method::GET).max_retries(2).watch().await.unwrap_err();
    assert!(error.is_too_many_requests());
    assert_eq!(peer.attempts(), 3);
}

fn stream(content_type: Option<&str>, body: &[u8]) -> Act {
    let headers: Vec<_> = content_type.map(|c| ("content-type", c)).into_iter().collect();
    let mut bytes = head(200, &headers, None);
    bytes.extend_from_slice(body);
    Act::AnswerAndClose(bytes)
}

const ADDED: &[u8] = br#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1"}}"#;

#[tokio::test]
async fn row_27_a_watch_waits_for_a_server_that_recovers() {
    let peer = Peer::start([later(503, "0"), later(503, "0"), stream(Some("application/json"), ADDED)]).await;
    let (client, _) = peer.client();
    let mut watch = pods(&client, &Method::GET).watch().await.unwrap();
    assert_eq!(watch.next().await.unwrap().kind, WatchEventType::Added);
    assert!(watch.next().await.is_none());
    assert_eq!(peer.attempts(), 3);
}

#[tokio::test]
async fn row_28_a_watch_refused_without_retry_after_is_refused() {
    let peer = Peer::start([answer(500, &[], "")]).await;
    let (client, _) = peer.client();
    assert!(pods(&client, &Method::GET).watch().await.unwrap_err().is_internal_error());
    assert_eq!(peer.attempts(), 1);
}

#[tokio::test]
async fn row_29_a_watch_is_only_content_with_200() {
    let peer = Peer::start([json(201, "{}")]).await;
    let (client, _) = peer.client();
    let error = pods(&client, &Method::GET).watch().await.unwrap_err();
    assert!(error.to_string().contains("201"), "{error}");
}

#[tokio::test]
async fn row_30_html_is_no_stream() {
    let peer = Peer::start([stream(Some("text/html"), b"<html>")]).await;
    let (client, _) = peer.client();
    let error = pods(&client, &Method::GET).watch().await.unwrap_err();
    assert!(matches!(error, Error::Decode(DecodeError::NoSerializer { .. })));
}

#[tokio::test]
async fn row_31_a_stream_without_a_type_is_json() {
    let peer = Peer::start([stream(None, ADDED)]).await;
    let (client, _) = peer.client();
    let mut watch = pods(&client, &Method::GET).watch().await.unwrap();
    assert_eq!(watch.next().await.unwrap().kind, WatchEventType::Added);
}

#[tokio::test]
async fn row_32_what_cannot_be_read_is_one_error_event() {
    for body in ["}}}", r#"{"type":"FOO","object":{}}"#] {
        let peer = Peer::start([stream(Some("application/json"), body.as_bytes())]).await;
        let (client, _) = peer.client();
        let mut watch = pods(&client, &Method::GET).watch().await.unwrap();
        let error: Error = watch.next().await.unwrap().status().unwrap().into();
        assert!(error.is_internal_error() && error.cause(CAUSE_CLIENT_WATCH_DECODING).is_some());
        assert!(error.is_unexpected_server_error());
        assert!(watch.next().await.is_none());
    }
}

#[tokio::test]
async fn row_33_half_an_event_ends_the_stream_silently() {
    let peer = Peer::start([stream(Some("application/json"), &ADDED[..20])]).await;
    let (client, _) = peer.client();
    assert!(pods(&client, &Method::GET).watch().await.unwrap().next().await.is_none());
}

#[tokio::test]
async fn row_34_an_event_over_sixteen_mebibytes_is_an_error_event() {
    let body = format!(r#"{{"type":"ADDED","object":{{"x":"{}"}}}}"#, "x".repeat(17 << 20));
    let peer = Peer::start([stream(Some("application/json"), body.as_bytes())]).await;
    let (client, _) = peer.client();
    let mut watch = pods(&client, &Method::GET).watch().await.unwrap();
    assert_eq!(watch.next().await.unwrap().kind, WatchEventType::Error);
    assert!(watch.next().await.is_none());
}

// === streams ===

#[tokio::test]
async fn row_35_a_stream_never_repeats_a_lost_connection() {
    for act in [Act::Reset, Act::Close] {
        let peer = Peer::start([act]).await;
        let (client, _) = peer.client();
        assert!(get(&client).subresource(&["log"]).max_retries(2).stream().await.unwrap_err().transport().is_some());
        assert_eq!(peer.attempts(), 1);
    }
}

#[tokio::test]
async fn row_36_a_stream_repeats_statuses() {
    let peer = Peer::start([later(503, "0")]).await;
    let (client, _) = peer.client();
    assert!(get(&client).max_retries(2).stream().await.unwrap_err().is_service_unavailable());
    assert_eq!(peer.attempts(), 3);
}

#[tokio::test]
async fn row_37_a_stream_takes_any_2xx_and_reads_refusals() {
    let status =
        r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","message":"gone","code":404}"#;
    let peer = Peer::start([Act::Answer(head(204, &[], None)), json(404, status)]).await;
    let (client, _) = peer.client();
    assert_eq!(get(&client).stream().await.unwrap().bytes().await.unwrap(), "");
    let error = get(&client).stream().await.unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("gone"));
}

// === bodies and errors ===

#[tokio::test]
async fn row_38_a_truncated_body_is_an_error_and_not_repeated() {
    let mut bytes = head(200, &[("content-type", "application/json")], Some(1000));
    bytes.extend_from_slice(b"{\"kind\":");
    let peer = Peer::start([Act::AnswerAndClose(bytes.clone())]).await;
    let (client, _) = peer.client();
    assert!(matches!(outcome(&get(&client)).await.unwrap_err(), Error::Body { .. }));
    assert_eq!(peer.attempts(), 1);
    let peer = Peer::start([Act::AnswerAndClose(bytes), ok()]).await;
    let recorded = Arc::new(Recorded::default());
    let retry = RetryOptions { retry_truncated: true, ..RetryOptions::default() };
    let better = Config { retry, backoff: Some(recorded), ..peer.config() };
    outcome(&get(&self::client(&better))).await.unwrap();
    assert_eq!(peer.attempts(), 2, "the better mode asks again");
}

#[tokio::test]
async fn row_39_an_empty_success_has_no_object_but_raw_bytes() {
    let peer = Peer::start([json(200, "")]).await;
    let (client, _) = peer.client();
    let error = outcome(&get(&client)).await.unwrap_err();
    assert!(matches!(error, Error::Decode(DecodeError::Empty { code: 200 })));
    assert_eq!(get(&client).do_raw().await.unwrap(), "");
}

#[derive(Debug, serde::Deserialize)]
struct Node {}

impl ObjectKind for Node {
    const API_VERSION: &'static str = "v1";
    const KIND: &'static str = "Node";
}

#[tokio::test]
async fn row_40_another_kind_is_a_typed_mismatch() {
    let peer = Peer::start([ok()]).await;
    let (client, _) = peer.client();
    let error = get(&client).into::<Node>().await.unwrap_err();
    assert!(matches!(error, Error::Decode(DecodeError::KindMismatch { .. })), "{error}");
}

#[tokio::test]
async fn row_41_a_failure_under_200_is_a_failure() {
    let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Conflict","code":409}"#;
    let peer = Peer::start([json(200, status)]).await;
    let (client, _) = peer.client();
    assert!(outcome(&get(&client)).await.unwrap_err().is_conflict());
    assert!(get(&client).into::<Node>().await.unwrap_err().is_conflict());
    assert_eq!(get(&client).do_raw().await.unwrap(), status, "raw bytes stay raw");
}

#[tokio::test]
async fn row_42_html_under_200_is_raw_only() {
    let peer = Peer::start([answer(200, &[("content-type", "text/html")], "<p>")]).await;
    let (client, _) = peer.client();
    let response = get(&client).send().await.unwrap();
    assert!(matches!(response.object(), Err(Error::Decode(DecodeError::NoSerializer { .. }))));
    assert_eq!(response.raw().unwrap(), "<p>");
}

#[tokio::test]
async fn row_43_a_gateways_page_is_quoted_up_to_two_kibibytes() {
    let page = "x".repeat(5000);
    let peer = Peer::start([answer(502, &[("content-type", "text/html")], &page)]).await;
    let (client, _) = peer.client();
    let error = outcome(&get(&client)).await.unwrap_err();
    assert!(error.is_internal_error());
    assert_eq!(error.to_string().matches('x').count(), 2048);
}

#[tokio::test]
async fn row_44_and_45_a_forbidden_text_is_the_message_and_json_is_not() {
    let peer = Peer::start([answer(403, &[("content-type", "text/plain")], "nope"), json(403, "{}")]).await;
    let (client, _) = peer.client();
    let error = outcome(&get(&client)).await.unwrap_err();
    assert!(error.is_forbidden() && error.to_string().starts_with("nope"));
    let error = outcome(&get(&client)).await.unwrap_err();
    assert!(error.is_forbidden() && error.to_string().starts_with("unknown"));
}

#[tokio::test]
async fn row_46_an_empty_409_depends_on_the_verb() {
    let peer = Peer::start([answer(409, &[], "")]).await;
    let (client, _) = peer.client();
    assert!(outcome(&pods(&client, &Method::POST).body("{}")).await.unwrap_err().is_already_exists());
    assert!(outcome(&pods(&client, &Method::PUT).name("a").body("{}")).await.unwrap_err().is_conflict());
}

#[tokio::test]
async fn row_47_some_codes_have_no_reason() {
    for code in [410, 413, 418] {
        let peer = Peer::start([answer(code, &[], "")]).await;
        let (client, _) = peer.client();
        let error = outcome(&get(&client)).await.unwrap_err();
        assert_eq!((error.status().unwrap().code, error.reason()), (code, None));
        assert_eq!(error.is_gone(), code == 410);
        assert_eq!(error.is_request_entity_too_large(), code == 413);
    }
}

#[tokio::test]
async fn row_48_an_opaque_body_is_sent_once() {
    for act in [later(429, "0"), Act::Close] {
        let peer = Peer::start([act]).await;
        let (client, _) = peer.client();
        let body = Body::from(Bytes::from_static(b"once"));
        assert!(outcome(&pods(&client, &Method::POST).body_stream(body)).await.is_err());
        assert_eq!(peer.attempts(), 1);
    }
}

// === waits and deadlines ===

#[tokio::test]
async fn row_49_the_larger_of_backoff_and_retry_after_is_waited() {
    for (backoff, retry_after, waited) in [(1, "5", 5), (4, "2", 4)] {
        let peer = Peer::start([later(503, retry_after), ok()]).await;
        let (client, waits) = peer.client();
        *waits.own.lock() = Duration::from_secs(backoff);
        outcome(&get(&client)).await.unwrap();
        assert_eq!(waits.seconds(), [backoff, waited]);
    }
}

async fn elapsed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = tokio::time::Instant::now();
    let result = future.await;
    (result, start.elapsed())
}

const HALF: Duration = Duration::from_millis(500);

#[tokio::test(start_paused = true)]
async fn row_51_a_deadline_cuts_the_wait_and_surfaces_in_the_sending() {
    let (config, calls) = scripted([Scripted::Status(429, Some("30"))]);
    let (result, took) = elapsed(outcome(&get(&client(&config)).within(HALF))).await;
    let error = result.unwrap_err();
    assert!(error.is_deadline_exceeded() && !error.is_throttled_by_client());
    assert_eq!((calls.count(), took), (1, HALF));
}

#[tokio::test(start_paused = true)]
async fn row_52_with_a_limiter_it_surfaces_in_the_limiter() {
    let (config, calls) = scripted([Scripted::Status(429, Some("30"))]);
    let config = Config { qps: Qps(100.0), burst: Burst(100), ..config };
    let (result, took) = elapsed(outcome(&get(&client(&config)).within(HALF))).await;
    let error = result.unwrap_err();
    assert!(error.is_deadline_exceeded() && error.is_throttled_by_client());
    assert_eq!((calls.count(), took), (1, HALF));
}

#[tokio::test(start_paused = true)]
async fn row_53_the_earlier_attempt_is_told_and_the_deadline_is_the_error() {
    let (config, calls) = scripted([EOF]);
    let error = outcome(&get(&client(&config)).within(Duration::from_millis(1500))).await.unwrap_err();
    assert_eq!(calls.count(), 2);
    assert!(error.is_deadline_exceeded());
    assert!(error.to_string().ends_with("error from a previous attempt: EOF"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn row_54_a_deadline_in_the_past_sends_nothing() {
    let (config, calls) = scripted([Scripted::Status(200, None)]);
    let request = get(&client(&config)).within(Duration::ZERO);
    assert!(outcome(&request).await.unwrap_err().is_deadline_exceeded());
    assert!(request.stream().await.unwrap_err().is_deadline_exceeded());
    assert!(request.watch().await.unwrap_err().is_deadline_exceeded());
    assert_eq!(calls.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn row_55_a_wait_beyond_the_deadline_fails_at_once() {
    let (config, calls) = scripted([Scripted::Status(200, None)]);
    let client = client(&Config { qps: Qps(1.0), burst: Burst(1), ..config });
    outcome(&get(&client)).await.unwrap();
    let (result, took) = elapsed(outcome(&get(&client).within(HALF))).await;
    let error = result.unwrap_err();
    assert!(error.is_throttled_by_client() && error.is_deadline_exceeded() && error.status().is_none());
    assert_eq!((calls.count(), took), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn row_56_and_57_the_latest_different_error_is_attached_once() {
    let reset = Scripted::Fail(TransportKind::Reset, "reset");
    let (config, _) = scripted([EOF, Scripted::Status(429, Some("0")), reset]);
    let error = outcome(&get(&client(&config)).max_retries(2)).await.unwrap_err();
    assert!(error.to_string().ends_with("previous attempt: EOF"), "{error}");
    let (config, _) = scripted([EOF]);
    let error = outcome(&get(&client(&config)).max_retries(2)).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");
}

#[tokio::test]
async fn row_58_parallel_requests_count_for_themselves() {
    let peer = Peer::start([later(429, "0")]).await;
    let (client, _) = peer.client();
    let requests = (0..20).map(|_| {
        let request = get(&client).max_retries(9);
        async move { outcome(&request).await.unwrap_err().is_too_many_requests() }
    });
    assert!(futures::future::join_all(requests).await.into_iter().all(|throttled| throttled));
    assert_eq!(peer.attempts(), 200);
}

struct Counting(Mutex<usize>);

impl RateLimiter for Counting {
    fn wait(&self, _: Option<tokio::time::Instant>) -> BoxFuture<'_, Result<Duration, ThrottleError>> {
        *self.0.lock() += 1;
        Box::pin(std::future::ready(Ok(Duration::ZERO)))
    }
    fn try_accept(&self) -> bool {
        true
    }
    fn qps(&self) -> Qps {
        Qps(0.0)
    }
}

#[tokio::test]
async fn row_59_every_attempt_pays_the_limiter_but_a_first_watch() {
    let peer = Peer::start([later(429, "0")]).await;
    let (client, _) = peer.client();
    for (watch, expected) in [(false, 4), (true, 3)] {
        let counting = Arc::new(Counting(Mutex::new(0)));
        let request = pods(&client, &Method::GET).max_retries(3).throttle(Some(counting.clone()));
        if watch {
            assert!(request.watch().await.is_err());
        } else {
            assert!(outcome(&request).await.is_err());
        }
        assert_eq!(*counting.0.lock(), expected);
    }
}

#[derive(Default)]
struct Counted(Mutex<Vec<String>>);

impl RequestMetrics for Counted {
    fn result(&self, code: &str, method: &str, _: &str) {
        self.0.lock().push(format!("result {method} {code}"));
    }
    fn retry(&self, code: &str, method: &str, _: &str) {
        self.0.lock().push(format!("retry {method} {code}"));
    }
}

#[tokio::test]
async fn row_59_results_are_attempts_and_retries_one_less() {
    let peer = Peer::start([Act::Close, later(503, "0"), ok()]).await;
    let counted = Arc::new(Counted::default());
    let backoff = Arc::new(Recorded::default());
    let config = Config { metrics: Some(counted.clone()), backoff: Some(backoff), ..peer.config() };
    outcome(&get(&client(&config))).await.unwrap();
    assert_eq!(
        *counted.0.lock(),
        ["result GET <error>", "result GET 503", "retry GET 503", "result GET 200", "retry GET 200"]
    );
}

#[tokio::test]
async fn row_60_a_connection_that_timed_out_is_not_used_again() {
    let peer = Peer::start([Act::Hang, ok()]).await;
    let (client, _) = peer.client();
    let error = outcome(&get(&client).timeout(Duration::from_millis(100))).await.unwrap_err();
    assert!(error.is_deadline_exceeded());
    outcome(&get(&client)).await.unwrap();
    assert_eq!(peer.connections(), 2);
    assert!(peer.received()[0].line.ends_with("?timeout=100ms"));
}

#[tokio::test]
async fn row_62_not_acceptable_is_final() {
    let peer = Peer::start([answer(406, &[], "")]).await;
    let (client, _) = peer.client();
    assert!(outcome(&get(&client)).await.unwrap_err().is_not_acceptable());
    assert_eq!(peer.attempts(), 1);
}

#[tokio::test]
async fn row_63_a_request_that_cannot_be_built_is_not_sent() {
    let peer = Peer::start([ok()]).await;
    let (client, _) = peer.client();
    for request in [client.get().namespace("a/b"), client.get().name(""), client.get().resource("a").resource("b")] {
        assert!(matches!(outcome(&request).await.unwrap_err(), Error::Request(_)));
        assert!(request.watch().await.is_err() && request.stream().await.is_err());
    }
    assert_eq!(peer.attempts(), 0);
}

#[tokio::test]
async fn row_64_a_401_runs_the_plugin_before_the_next_request() {
    let dir = tempfile::tempdir().unwrap();
    let counter = dir.path().join("runs");
    let script = format!(
        r#"echo x >> {0}; printf '{{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{{"token":"t%s"}}}}' "$(wc -l < {0} | tr -d ' ')""#,
        counter.display()
    );
    let exec = ExecConfig {
        command: "sh".into(),
        args: vec!["-c".into(), script],
        api_version: "client.authentication.k8s.io/v1".into(),
        interactive_mode: InteractiveMode::Never,
        ..ExecConfig::default()
    };
    let peer = Peer::start([ok(), answer(401, &[], ""), ok()]).await;
    let client = client(&Config { exec: Some(exec), ..peer.config() });
    outcome(&get(&client)).await.unwrap();
    assert!(outcome(&get(&client)).await.unwrap_err().is_unauthorized());
    outcome(&get(&client)).await.unwrap();
    let seen: Vec<_> = peer.received().iter().map(|r| r.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(seen, ["Bearer t1", "Bearer t1", "Bearer t2"]);
}

#[tokio::test]
async fn row_65_a_rate_without_a_burst_makes_no_client() {
    let config = Config { qps: Qps(3.0), ..Config::new("http://a") };
    assert!(matches!(DynamicClient::for_config(&config), Err(Error::Config(_))));
}

#[tokio::test]
async fn row_66_a_request_can_be_sent_twice() {
    let peer = Peer::start([ok()]).await;
    let (client, _) = peer.client();
    let request = pods(&client, &Method::POST).body("{}");
    outcome(&request).await.unwrap();
    outcome(&request).await.unwrap();
    assert_eq!((peer.attempts(), peer.connections()), (2, 1));
}

#[tokio::test]
async fn the_answers_status_is_kept() {
    let peer = Peer::start([json(201, POD)]).await;
    let (client, _) = peer.client();
    let response = pods(&client, &Method::POST).object(&serde_json::json!({"kind": "Pod"})).send().await.unwrap();
    assert!(response.was_created());
    assert_eq!(response.status_code(), StatusCode::CREATED);
    let seen = &peer.received()[0];
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("accept"), Some("application/json, */*"));
    assert_eq!(seen.header("accept-encoding"), Some("gzip"));
    assert!(seen.header("user-agent").unwrap().ends_with("kubernetes/unknown"));
}
