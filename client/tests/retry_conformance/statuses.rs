//! Rows 1 to 14: answers that ask to come again, and those that do not.

use crate::harness::{Case, rows};
use crate::measure::{get, ok, outcome, pods, post, say};
use crate::support::{Act, Peer, answer, later};
use http::Method;
use rehearsal_client::*;

rows! {
    real 1 row_01_get_429_with_retry_after_0_is_tried_eleven_times;
    real 2 row_02_post_is_repeated_with_the_same_body;
    real 3 row_03_every_verb_is_retried_on_status;
    real 4 row_04_signed_numbers_are_numbers;
    real 5 row_05_dates_fractions_and_nothing_are_not_retried;
    real 6 row_06_server_errors_without_retry_after_are_final;
    real 7 row_07_a_server_that_recovers_is_waited_for;
    real 8 row_08_the_whole_body_travels_every_time;
    real 9 row_09_sleeps_are_those_of_retry_after;
    real 10 row_10_even_599_is_a_server_error;
    real 11 row_11_a_conflict_is_final_whatever_the_header_says;
    real 12 row_12_a_redirect_to_nowhere_is_an_error;
    real 13 row_13_a_redirect_loop_ends_after_ten_requests;
    real 14 row_14_max_retries_counts_retries;
}

const TEN_AT_ONCE: &str = "0 s ×10";

/// Sends once to a peer that acts so.
async fn sent(case: Case, acts: Vec<Act>, build: impl Fn(&RestClient) -> Request) -> (Case, Peer) {
    let peer = Peer::start(acts).await;
    let (client, waits) = peer.client();
    let result = outcome(&build(&client)).await;
    let case = case.measured(peer.attempts(), waits.gaps(), say(&result));
    (case, peer)
}

async fn row_01_get_429_with_retry_after_0_is_tried_eleven_times() -> Vec<Case> {
    let (case, _) = sent(Case::new("D GET", "429, RA 0, for ever"), vec![later(429, "0")], get).await;
    vec![case.must_be(11, TEN_AT_ONCE, "TooManyRequests")]
}

async fn row_02_post_is_repeated_with_the_same_body() -> Vec<Case> {
    let case = Case::new("D POST", "429, RA 0, for ever; every body is the same");
    let (case, peer) = sent(case, vec![later(429, "0")], |c| pods(c, &Method::POST).body("body")).await;
    assert!(peer.received().iter().all(|r| r.body == b"body"));
    vec![case.must_be(11, TEN_AT_ONCE, "TooManyRequests")]
}

async fn row_03_every_verb_is_retried_on_status() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        for (status, reason) in [(429, "TooManyRequests"), (503, "ServiceUnavailable")] {
            let case = Case::new(format!("D {method} mr=3"), format!("{status}, RA 0, for ever"));
            let build = |c: &RestClient| pods(c, &method).name("a").body("{}").max_retries(3);
            let (case, _) = sent(case, vec![later(status, "0")], build).await;
            cases.push(case.must_be(4, "0 s ×3", reason));
        }
    }
    cases
}

async fn row_04_signed_numbers_are_numbers() -> Vec<Case> {
    let mut cases = Vec::new();
    for text in ["-5", "+0"] {
        let case = Case::new("D GET", format!("429, RA {text}, for ever"));
        let (case, _) = sent(case, vec![later(429, text)], get).await;
        cases.push(case.must_be(11, TEN_AT_ONCE, "TooManyRequests"));
    }
    cases
}

async fn row_05_dates_fractions_and_nothing_are_not_retried() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, act) in [
        ("an HTTP date", later(429, "Wed, 21 Oct 2015 07:28:00 GMT")),
        ("1.5", later(429, "1.5")),
        ("absent", answer(429, &[], "")),
    ] {
        let (case, _) = sent(Case::new("D GET", format!("429, RA {what}")), vec![act], get).await;
        cases.push(case.must_be(1, "—", "TooManyRequests"));
    }
    cases
}

async fn row_06_server_errors_without_retry_after_are_final() -> Vec<Case> {
    let mut cases = Vec::new();
    for (status, reason) in [(500, "InternalError"), (503, "ServiceUnavailable")] {
        let (case, _) =
            sent(Case::new("D GET", format!("{status} without RA")), vec![answer(status, &[], "")], get).await;
        cases.push(case.must_be(1, "—", reason));
    }
    cases
}

async fn row_07_a_server_that_recovers_is_waited_for() -> Vec<Case> {
    let acts = vec![later(503, "1"), later(503, "1"), ok()];
    let (case, _) = sent(Case::new("D GET", "503, RA 1, twice, then 200"), acts, get).await;
    vec![case.must_be(3, "1 s ×2", "ok")]
}

async fn row_08_the_whole_body_travels_every_time() -> Vec<Case> {
    let acts = vec![later(429, "0"), later(500, "0"), later(501, "0"), later(504, "0"), ok()];
    let case = Case::new("D POST", "429, 500, 501, 504, each RA 0, then 200; 4000 bytes arrive every time");
    let (case, peer) = sent(case, acts, |c| pods(c, &Method::POST).body(vec![b'x'; 4000])).await;
    assert!(peer.received().iter().all(|r| r.body.len() == 4000));
    vec![case.must_be(5, "0 s ×4", "ok")]
}

async fn row_09_sleeps_are_those_of_retry_after() -> Vec<Case> {
    let acts = vec![later(429, "1"), later(429, "1"), later(429, "1"), later(429, "1"), ok()];
    let peer = Peer::start(acts).await;
    let (client, waits) = peer.client();
    let result = outcome(&post(&client)).await;
    assert_eq!(waits.seconds(), [0, 1, 1, 1, 1], "the sleep before the first attempt is recorded too");
    let case = Case::new("D POST", "429, RA 1, four times, then 200; URL backoff zero");
    vec![case.measured(peer.attempts(), waits.gaps(), say(&result)).must_be(5, "1 s ×4", "ok")]
}

async fn row_10_even_599_is_a_server_error() -> Vec<Case> {
    let (case, _) = sent(Case::new("D GET", "599, RA 0, once, then 200"), vec![later(599, "0"), ok()], get).await;
    vec![case.must_be(2, "0 s", "ok")]
}

async fn row_11_a_conflict_is_final_whatever_the_header_says() -> Vec<Case> {
    let (case, _) = sent(Case::new("D GET", "409, RA 0"), vec![later(409, "0")], get).await;
    vec![case.must_be(1, "—", "Conflict")]
}

async fn row_12_a_redirect_to_nowhere_is_an_error() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let case = Case::new(format!("D {method}"), "301, RA 0, without Location");
        let (case, _) = sent(case, vec![later(301, "0")], |c| pods(c, &method).name("a").body("{}")).await;
        cases.push(case.must_be(1, "—", "transport error: Redirect"));
    }
    cases
}

async fn row_13_a_redirect_loop_ends_after_ten_requests() -> Vec<Case> {
    let acts = vec![answer(302, &[("location", "/again")], "")];
    let peer = Peer::start(acts).await;
    let (client, waits) = peer.client();
    let result = outcome(&get(&client)).await;
    assert!(waits.gaps().is_empty(), "ten requests are one attempt");
    let case = Case::new("D GET", "302 to itself, for ever; requests of one attempt are counted");
    vec![case.measured(peer.attempts(), waits.gaps(), say(&result)).must_be(10, "—", "transport error: Redirect")]
}

async fn row_14_max_retries_counts_retries() -> Vec<Case> {
    let mut cases = Vec::new();
    for (retries, attempts, gaps, outcome) in
        [(0, 1, "—", "TooManyRequests"), (1, 2, "1 s", "ok"), (5, 2, "1 s", "ok"), (-3, 1, "—", "TooManyRequests")]
    {
        let case = Case::new(format!("D GET mr={retries}"), "429, RA 1, once, then 200");
        let (case, _) = sent(case, vec![later(429, "1"), ok()], |c| get(c).max_retries(retries)).await;
        cases.push(case.must_be(attempts, gaps, outcome));
    }
    cases
}
