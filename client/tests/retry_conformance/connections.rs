//! Rows 15 to 25, 35, 50 and 58: connections that are lost, refused or never made.

use crate::harness::{Case, rows};
use crate::measure::{
    EOF, LOST, Scripted, core, counted, get, ok, outcome, pods, post, recorded, say, say_watch, scripted,
};
use crate::support::{Act, Peer, Recorded, later};
use http::{Method, Request as HttpRequest};
use rehearsal_client::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;

rows! {
    real 15 row_15_a_reset_get_is_repeated_a_second_later;
    real 16 row_16_a_reset_post_is_final;
    real 17 row_17_a_get_that_meets_eof_is_repeated;
    real 18 row_18_a_delete_that_meets_eof_is_final;
    paused 19 row_19_all_likenesses_of_eof_are_repeated;
    paused 20 row_20_a_lost_http2_connection_is_repeated_after_a_second;
    paused 21 row_21_a_watch_does_not_repeat_it;
    real 22 row_22_a_refused_connection_is_final;
    paused 23 row_23_a_name_that_does_not_resolve_in_time_is_final;
    paused 24 row_24_a_watch_that_keeps_failing_is_empty_and_no_error;
    paused 25 row_25_a_watch_does_not_look_at_the_verb;
    real 35 row_35_a_stream_never_repeats_a_lost_connection;
    real 50 row_50_an_error_beats_an_answer_that_came_with_it;
    real 58 row_58_parallel_requests_count_for_themselves;
}

async fn sent(case: Case, acts: Vec<Act>, build: impl Fn(&RestClient) -> Request) -> Case {
    let peer = Peer::start(acts).await;
    let (client, waits) = peer.client();
    let result = outcome(&build(&client)).await;
    case.measured(peer.attempts(), waits.gaps(), say(&result))
}

async fn row_15_a_reset_get_is_repeated_a_second_later() -> Vec<Case> {
    let acts = vec![Act::Reset, Act::Reset, Act::Reset, ok()];
    vec![
        sent(Case::new("D GET", "RST before headers, three times, then 200"), acts, get)
            .await
            .must_be(4, "1 s ×3", "ok"),
    ]
}

async fn row_16_a_reset_post_is_final() -> Vec<Case> {
    let case = sent(Case::new("D POST", "RST before headers"), vec![Act::Reset], post).await;
    vec![case.must_be(1, "—", "transport error: Reset")]
}

async fn row_17_a_get_that_meets_eof_is_repeated() -> Vec<Case> {
    let acts = vec![Act::Close, Act::Close, ok()];
    vec![sent(Case::new("D GET", "FIN before headers, twice, then 200"), acts, get).await.must_be(3, "1 s ×2", "ok")]
}

async fn row_18_a_delete_that_meets_eof_is_final() -> Vec<Case> {
    let build = |c: &RestClient| pods(c, &Method::DELETE).name("a");
    let case = sent(Case::new("D DELETE", "FIN before headers"), vec![Act::Close], build).await;
    vec![case.must_be(1, "—", "transport error: Eof")]
}

async fn row_19_all_likenesses_of_eof_are_repeated() -> Vec<Case> {
    use TransportKind as K;
    let mut cases = Vec::new();
    for (kind, text) in [
        (K::Eof, "EOF"),
        (K::Eof, "unexpected EOF"),
        (K::BrokenWrite, "write: broken pipe"),
        (K::GoAway, "http2: server sent GOAWAY and closed the connection"),
        (K::Reset, "read: connection reset by peer"),
        (K::Closed, "use of closed network connection"),
    ] {
        let (config, calls) = scripted([Scripted::Fail(kind, text)]);
        let result = outcome(&get(&core(&config)).max_retries(2)).await;
        let case = Case::new("D GET mr=2", format!("error `{text}`, for ever"));
        let case = case.measured(calls.count(), calls.gaps(), say(&result));
        cases.push(case.must_be(3, "1 s ×2", &format!("transport error: {kind:?}")));
    }
    cases
}

async fn row_20_a_lost_http2_connection_is_repeated_after_a_second() -> Vec<Case> {
    let (config, calls) = scripted([LOST]);
    let result = outcome(&get(&core(&config)).max_retries(1)).await;
    let case = Case::new("D GET mr=1", "error `http2: client connection lost`, for ever");
    let case = case.measured(calls.count(), calls.gaps(), say(&result));
    vec![case.must_be(2, "1 s", "transport error: ConnectionLost")]
}

async fn row_21_a_watch_does_not_repeat_it() -> Vec<Case> {
    let (config, calls) = scripted([LOST]);
    let watch = pods(&core(&config), &Method::GET).watch().await;
    let case = Case::new("W GET", "error `http2: client connection lost`");
    let case = case.measured(calls.count(), calls.gaps(), say_watch(watch).await);
    vec![case.must_be(1, "—", "transport error: ConnectionLost")]
}

async fn row_22_a_refused_connection_is_final() -> Vec<Case> {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut cases = Vec::new();
    for entry in ["D GET", "D POST", "S GET", "W GET"] {
        let (config, sent) = counted(Config { qps: Qps(-1.0), ..Config::new(format!("http://{unused}")) });
        let (client, waits) = recorded(config);
        let outcome = match entry {
            "D GET" => say(&outcome(&get(&client)).await),
            "D POST" => say(&outcome(&post(&client)).await),
            "S GET" => say(&get(&client).stream().await),
            _ => say_watch(pods(&client, &Method::GET).watch().await).await,
        };
        let case = Case::new(entry, "connection refused");
        let case = case.measured(sent.load(Ordering::Relaxed), waits.gaps(), outcome);
        cases.push(case.must_be(1, "—", "transport error: Refused"));
    }
    cases
}

async fn row_23_a_name_that_does_not_resolve_in_time_is_final() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in ["D GET", "S GET"] {
        let (config, calls) = scripted([Scripted::Fail(TransportKind::DnsTimeout, "lookup: i/o timeout")]);
        let request = get(&core(&config));
        let outcome = if entry == "D GET" { say(&outcome(&request).await) } else { say(&request.stream().await) };
        let case = Case::new(entry, "DNS timeout").measured(calls.count(), calls.gaps(), outcome);
        cases.push(case.must_be(1, "—", "transport error: DnsTimeout"));
    }
    cases
}

async fn row_24_a_watch_that_keeps_failing_is_empty_and_no_error() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, what) in
        [(TransportKind::DnsTimeout, "DNS timeout"), (TransportKind::Eof, "EOF"), (TransportKind::Reset, "RST")]
    {
        let (config, calls) = scripted([Scripted::Fail(kind, "x")]);
        let watch = pods(&core(&config), &Method::GET).max_retries(2).watch().await;
        let case = Case::new("W GET mr=2", format!("{what}, for ever"));
        let case = case.measured(calls.count(), calls.gaps(), say_watch(watch).await);
        cases.push(case.must_be(3, "1 s ×2", "no error, empty closed watch"));
    }
    let (config, calls) = scripted([EOF]);
    let config = Config { retry: RetryOptions { same_rules_for_watch: true, ..RetryOptions::default() }, ..config };
    let watch = pods(&core(&config), &Method::GET).max_retries(2).watch().await;
    let case = Case::new("W GET mr=2", "EOF, for ever, with `same_rules_for_watch`");
    let case = case.measured(calls.count(), calls.gaps(), say_watch(watch).await);
    cases.push(case.must_be(3, "1 s ×2", "transport error: Eof"));
    cases
}

async fn row_25_a_watch_does_not_look_at_the_verb() -> Vec<Case> {
    let (config, calls) = scripted([EOF]);
    let watch = pods(&core(&config), &Method::POST).max_retries(2).watch().await;
    let case = Case::new("W POST mr=2", "EOF, for ever");
    let case = case.measured(calls.count(), calls.gaps(), say_watch(watch).await);
    vec![case.must_be(3, "1 s ×2", "no error, empty closed watch")]
}

async fn row_35_a_stream_never_repeats_a_lost_connection() -> Vec<Case> {
    let mut cases = Vec::new();
    for (act, what, kind) in [(Act::Reset, "RST", "Reset"), (Act::Close, "EOF", "Eof")] {
        let peer = Peer::start([act]).await;
        let (client, waits) = peer.client();
        let result = get(&client).subresource(&["log"]).max_retries(2).stream().await;
        let case = Case::new("S GET mr=2", what).measured(peer.attempts(), waits.gaps(), say(&result));
        cases.push(case.must_be(1, "—", &format!("transport error: {kind}")));
    }
    cases
}

async fn row_50_an_error_beats_an_answer_that_came_with_it() -> Vec<Case> {
    let peer = Peer::start([later(429, "0")]).await;
    // A wrapper that has the answer in hand, and fails.
    let wrap = |inner: Transport| {
        Transport::new(tower::service_fn(move |request: HttpRequest<Body>| {
            let inner = inner.clone();
            async move {
                let answer = inner.send(request).await?;
                assert_eq!(answer.status().as_u16(), 429);
                Err(TransportError::new(TransportKind::Other, "refused by a wrapper"))
            }
        }))
    };
    let (client, waits) = recorded(Config { wrap_transport: Some(Arc::new(wrap)), ..peer.config() });
    let result = outcome(&get(&client)).await;
    let case = Case::new("D GET", "429, RA 0, and an error that is not retried, at once");
    let case = case.measured(peer.attempts(), waits.gaps(), say(&result));
    vec![case.must_be(1, "—", "transport error: Other")]
}

async fn row_58_parallel_requests_count_for_themselves() -> Vec<Case> {
    let peer = Peer::start([later(429, "0")]).await;
    let (client, _) = peer.client();
    let requests = (0..20).map(|_| async {
        let waits = Arc::new(Recorded::default());
        let result = outcome(&get(&client).max_retries(9).backoff(waits.clone())).await;
        (say(&result), waits.gaps())
    });
    let results = futures::future::join_all(requests).await;
    let (outcome, gaps) = results[0].clone();
    assert!(results.iter().all(|result| *result == (outcome.clone(), gaps.clone())));
    let case = Case::new(
        "D GET mr=9",
        "429, RA 0, for ever, by 20 requests of one client in parallel; attempts of all, gaps of each",
    );
    vec![case.measured(peer.attempts(), gaps, outcome).must_be(200, "0 s ×9", "TooManyRequests")]
}
