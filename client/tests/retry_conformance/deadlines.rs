//! Rows 49, 51 to 57 and 67: waits, deadlines, and what is told of earlier attempts.

use crate::harness::{Case, rows};
use crate::measure::{EOF, Scripted, core, elapsed, get, ok, outcome, say, scripted};
use crate::support::{Peer, later};
use rehearsal_client::*;
use std::sync::Arc;
use std::time::Duration;

rows! {
    real 49 row_49_the_larger_of_backoff_and_retry_after_is_waited;
    paused 51 row_51_a_deadline_cuts_the_wait_and_surfaces_in_the_sending;
    paused 52 row_52_with_a_limiter_it_surfaces_in_the_limiter;
    paused 53 row_53_the_earlier_attempt_is_told_and_the_deadline_is_the_error;
    paused 54 row_54_a_deadline_in_the_past_sends_nothing;
    paused 55 row_55_a_wait_beyond_the_deadline_fails_at_once;
    paused 56 row_56_the_latest_different_error_is_told;
    paused 57 row_57_equal_errors_are_told_once;
    paused 67 row_67_the_backoff_of_a_server_grows_and_is_forgotten;
}

const HALF: Duration = Duration::from_millis(500);

async fn row_49_the_larger_of_backoff_and_retry_after_is_waited() -> Vec<Case> {
    let mut cases = Vec::new();
    for (backoff, retry_after, gap) in [(1, "5", "5 s"), (4, "2", "4 s")] {
        let peer = Peer::start([later(503, retry_after), ok()]).await;
        let (client, waits) = peer.client();
        *waits.own.lock() = Duration::from_secs(backoff);
        let result = outcome(&get(&client)).await;
        let case = Case::new("D GET", format!("503, RA {retry_after}, then 200; URL backoff at {backoff} s"));
        cases.push(case.measured(peer.attempts(), waits.gaps(), say(&result)).must_be(2, gap, "ok"));
    }
    cases
}

async fn row_51_a_deadline_cuts_the_wait_and_surfaces_in_the_sending() -> Vec<Case> {
    let (config, calls) = scripted([Scripted::Status(429, Some("30"))]);
    let (result, took) = elapsed(outcome(&get(&core(&config)).within(HALF))).await;
    let error = result.as_ref().unwrap_err();
    assert!(error.is_deadline_exceeded() && !error.is_throttled_by_client());
    let case = Case::new("D GET, deadline 0.5 s, no limiter", "429, RA 30");
    let case = case.measured(calls.count(), calls.gaps(), format!("{}, at {} s", say(&result), took.as_secs_f64()));
    vec![case.must_be(1, "—", "deadline error of the HTTP layer, at 0.5 s")]
}

async fn row_52_with_a_limiter_it_surfaces_in_the_limiter() -> Vec<Case> {
    let (config, calls) = scripted([Scripted::Status(429, Some("30"))]);
    let config = Config { qps: Qps(100.0), burst: Burst(100), ..config };
    let (result, took) = elapsed(outcome(&get(&core(&config)).within(HALF))).await;
    let error = result.as_ref().unwrap_err();
    assert!(error.is_deadline_exceeded() && error.is_throttled_by_client());
    let case = Case::new("D GET, deadline 0.5 s, limiter 100/100", "429, RA 30");
    let case = case.measured(calls.count(), calls.gaps(), format!("{}, at {} s", say(&result), took.as_secs_f64()));
    vec![case.must_be(1, "—", "deadline error of the limiter, at 0.5 s")]
}

async fn row_53_the_earlier_attempt_is_told_and_the_deadline_is_the_error() -> Vec<Case> {
    let (config, calls) = scripted([EOF]);
    let result = outcome(&get(&core(&config)).within(Duration::from_millis(1500))).await;
    assert!(matches!(result.as_ref().unwrap_err().current(), Error::DeadlineExceeded(_)), "it unwraps to the deadline");
    let case = Case::new("D GET, deadline 1.5 s", "FIN, for ever");
    let case = case.measured(calls.count(), calls.gaps(), say(&result));
    vec![case.must_be(2, "1 s", "deadline error of the HTTP layer; previous attempt: EOF")]
}

async fn row_54_a_deadline_in_the_past_sends_nothing() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in ["D GET", "S GET", "W GET"] {
        let (config, calls) = scripted([Scripted::Status(200, None)]);
        let request = get(&core(&config)).within(Duration::ZERO);
        let outcome = match entry {
            "D GET" => say(&outcome(&request).await),
            "S GET" => say(&request.stream().await),
            _ => say(&request.watch().await),
        };
        let case = Case::new(format!("{entry}, deadline passed"), "—").measured(calls.count(), calls.gaps(), outcome);
        cases.push(case.must_be(0, "—", "deadline error of the HTTP layer"));
    }
    cases
}

async fn row_55_a_wait_beyond_the_deadline_fails_at_once() -> Vec<Case> {
    let (config, calls) = scripted([Scripted::Status(200, None)]);
    let client = core(&Config { qps: Qps(1.0), burst: Burst(1), ..config });
    outcome(&get(&client)).await.unwrap();
    let before = calls.count();
    let (result, took) = elapsed(outcome(&get(&client).within(HALF))).await;
    let error = result.as_ref().unwrap_err();
    assert!(error.is_throttled_by_client() && error.is_deadline_exceeded() && error.status().is_none());
    let case = Case::new("D GET, deadline 0.5 s, limiter 1/1 empty", "—");
    let outcome = format!("{}, at {} s", say(&result), took.as_secs_f64());
    let case = case.measured(calls.count() - before, Vec::new(), outcome);
    vec![case.must_be(0, "—", "deadline error of the limiter, at 0 s")]
}

async fn row_56_the_latest_different_error_is_told() -> Vec<Case> {
    let reset = Scripted::Fail(TransportKind::Reset, "reset");
    let mut cases = Vec::new();
    for (what, script, earlier) in [
        ("EOF, then 429, RA 0, then a reset", vec![EOF, Scripted::Status(429, Some("0")), reset.clone()], "EOF"),
        ("a reset, then EOF, then a reset", vec![reset.clone(), EOF, reset], "EOF"),
    ] {
        let (config, calls) = scripted(script);
        let result = outcome(&get(&core(&config)).max_retries(2)).await;
        let gaps = if what.starts_with("EOF") { "1 s, 0 s" } else { "1 s ×2" };
        let case = Case::new("D GET mr=2", what).measured(calls.count(), calls.gaps(), say(&result));
        cases.push(case.must_be(3, gaps, &format!("transport error: Reset; previous attempt: {earlier}")));
    }
    cases
}

async fn row_57_equal_errors_are_told_once() -> Vec<Case> {
    let (config, calls) = scripted([EOF]);
    let result = outcome(&get(&core(&config)).max_retries(2)).await;
    let case = Case::new("D GET mr=2", "EOF, for ever").measured(calls.count(), calls.gaps(), say(&result));
    vec![case.must_be(3, "1 s ×2", "transport error: Eof")]
}

async fn row_67_the_backoff_of_a_server_grows_and_is_forgotten() -> Vec<Case> {
    let codes = [504, 504, 504, 504, 200, 504, 504, 504, 200, 200];
    let (config, calls) = scripted(codes.map(|code| Scripted::Status(code, None)));
    let backoff = UrlBackoff::new(Duration::from_secs(1), Duration::from_secs(120));
    let client = core(&Config { backoff: Some(Arc::new(backoff)), ..config });
    let mut last = String::new();
    for code in codes {
        let result = outcome(&get(&client)).await;
        last = say(&result);
        assert_eq!(last, if code == 200 { "ok" } else { "Timeout" });
    }
    let case = Case::new("D GET, ten requests, URL backoff 1 s", "504 four times, 200, 504 three times, 200, 200");
    let case = case.measured(calls.count(), calls.gaps(), last);
    vec![case.must_be(10, "1 s, 2 s, 4 s, 8 s, 0 s, 1 s, 2 s, 4 s, 0 s", "ok")]
}
