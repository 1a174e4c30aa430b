//! Decisions without a wire. The rows of the conformance table are in `tests/retry_conformance`.

use super::*;
use std::time::Duration;

fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_000_000_000).unwrap()
}

fn retries(entry: Entry, method: &Method) -> Retries {
    Retries::new(RetryOptions::default(), entry, method.clone(), true)
}

fn answered(retries: &mut Retries, status: u16, retry_after: Option<&str>) -> Option<Duration> {
    let status = StatusCode::from_u16(status).unwrap();
    wait(&retries.decide(Outcome::Answered { status, retry_after, flow_schema: None }, now(), 0.5))
}

fn failed(retries: &mut Retries, kind: TransportKind) -> Option<Duration> {
    wait(&retries.decide(Outcome::Failed(&TransportError::new(kind, format!("{kind:?}"))), now(), 0.5))
}

fn wait(decision: &Decision) -> Option<Duration> {
    match decision {
        Decision::Again { after, .. } => Some(*after),
        Decision::Done => None,
    }
}

fn secs(n: u64) -> Option<Duration> {
    Some(Duration::from_secs(n))
}

const ALL: [Entry; 3] = [Entry::Do, Entry::Stream, Entry::Watch];

#[test]
fn statuses_are_retried_by_any_verb_and_entry_when_they_name_seconds() {
    for entry in ALL {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            for status in [429, 500, 501, 503, 504, 599] {
                assert_eq!(answered(&mut retries(entry, &method), status, Some("3")), secs(3));
                assert_eq!(answered(&mut retries(entry, &method), status, None), None);
            }
            for status in [200, 301, 400, 404, 409, 410, 418] {
                assert_eq!(answered(&mut retries(entry, &method), status, Some("0")), None);
            }
        }
    }
}

#[test]
fn only_whole_numbers_count() {
    let of = |text| answered(&mut retries(Entry::Do, &Method::GET), 429, Some(text));
    assert_eq!((of("+0"), of("-5"), of("7")), (secs(0), secs(0), secs(7)));
    for text in ["1.5", "", " 1", "Wed, 21 Oct 2015 07:28:00 GMT", "1s"] {
        assert_eq!(of(text), None, "{text:?}");
    }
}

#[test]
fn errors_are_retried_by_entry_and_verb() {
    use TransportKind as K;
    let eof_like = [K::Eof, K::BrokenWrite, K::GoAway, K::Reset, K::Closed];
    for kind in eof_like {
        assert_eq!(failed(&mut retries(Entry::Do, &Method::GET), kind), secs(1));
        assert_eq!(failed(&mut retries(Entry::Do, &Method::POST), kind), None);
        assert_eq!(failed(&mut retries(Entry::Do, &Method::DELETE), kind), None);
        assert_eq!(failed(&mut retries(Entry::Stream, &Method::GET), kind), None);
        assert_eq!(failed(&mut retries(Entry::Watch, &Method::POST), kind), secs(1), "the verb is not looked at");
    }
    for kind in [K::Refused, K::Dns, K::Tls, K::Connect, K::Other, K::Deadline, K::Redirect, K::Credentials] {
        for entry in ALL {
            assert_eq!(failed(&mut retries(entry, &Method::GET), kind), None, "{kind:?}");
        }
    }
    for kind in [K::DnsTimeout, K::Timeout] {
        assert_eq!(failed(&mut retries(Entry::Do, &Method::GET), kind), None);
        assert_eq!(failed(&mut retries(Entry::Stream, &Method::GET), kind), None);
        assert_eq!(failed(&mut retries(Entry::Watch, &Method::GET), kind), secs(1));
    }
}

#[test]
fn a_lost_http2_connection_is_retried_by_get_and_not_by_watch() {
    let lost = TransportKind::ConnectionLost;
    assert_eq!(failed(&mut retries(Entry::Do, &Method::GET), lost), secs(1));
    assert_eq!(failed(&mut retries(Entry::Watch, &Method::GET), lost), None);
    let options = RetryOptions { same_rules_for_watch: true, ..RetryOptions::default() };
    assert_eq!(failed(&mut Retries::new(options, Entry::Watch, Method::GET, true), lost), secs(1));
}

#[test]
fn one_counter_is_shared_by_all_causes() {
    let mut all = retries(Entry::Do, &Method::GET);
    for n in 0..10 {
        let again = if n % 2 == 0 { answered(&mut all, 503, Some("0")) } else { failed(&mut all, TransportKind::Eof) };
        assert!(again.is_some());
    }
    assert_eq!(failed(&mut all, TransportKind::Eof), None);
    assert_eq!(all.made(), 10);
}

#[test]
fn a_stream_body_is_never_sent_twice() {
    let mut once = Retries::new(RetryOptions::default(), Entry::Do, Method::GET, false);
    assert_eq!(answered(&mut once, 429, Some("0")), None);
    assert_eq!(failed(&mut once, TransportKind::Eof), None);
}

#[test]
fn the_latest_earlier_and_different_error_is_told() {
    let mut all = retries(Entry::Do, &Method::GET);
    failed(&mut all, TransportKind::Eof);
    answered(&mut all, 429, Some("0"));
    failed(&mut all, TransportKind::Reset);
    assert_eq!(all.previous("Reset"), Some("Eof"));
    assert_eq!(retries(Entry::Do, &Method::GET).previous("x"), None);
}

#[test]
fn equal_texts_are_not_doubled() {
    let mut all = retries(Entry::Do, &Method::GET);
    failed(&mut all, TransportKind::Eof);
    failed(&mut all, TransportKind::Eof);
    assert_eq!(all.previous("Eof"), None);
}

#[test]
fn streams_tell_no_earlier_error() {
    let mut all = retries(Entry::Stream, &Method::GET);
    all.remember(Some("a".into()));
    all.remember(Some("b".into()));
    assert_eq!(all.previous("b"), None);
}

#[test]
fn reasons_name_number_wait_and_cause() {
    let mut all = retries(Entry::Do, &Method::GET);
    let throttled =
        Outcome::Answered { status: StatusCode::TOO_MANY_REQUESTS, retry_after: Some("2"), flow_schema: Some("uid-1") };
    let Decision::Again { reason, .. } = all.decide(throttled, now(), 0.0) else { panic!("not retried") };
    assert_eq!(
        reason.to_string(),
        "retries: 1, retry-after: 2s - retry-reason: due to server-side throttling, FlowSchema UID: \"uid-1\""
    );
}

#[test]
fn the_better_mode_reads_dates_caps_waits_and_never_spins() {
    let options = RetryOptions { jitter: 0.0, ..RetryOptions::improved() };
    let of = |text| answered(&mut Retries::new(options.clone(), Entry::Do, Method::GET, true), 503, Some(text));
    assert_eq!(of("Sun, 09 Sep 2001 01:46:50 GMT"), secs(10));
    assert_eq!(of("Sun, 09 Sep 2001 01:46:00 GMT"), Some(Duration::from_millis(100)));
    assert_eq!(of("-5"), Some(Duration::from_millis(100)));
    assert_eq!(of("3600"), secs(60));
    let jittered =
        Retries::new(RetryOptions::improved(), Entry::Do, Method::GET, true).shape(Duration::from_secs(10), 0.5);
    assert_eq!(jittered, Duration::from_secs(13));
    let endless = RetryOptions { longest_wait: None, ..RetryOptions::improved() };
    let wait = answered(&mut Retries::new(endless, Entry::Do, Method::GET, true), 503, Some("9223372036854775807"));
    assert!(wait.is_some(), "no number makes it panic");
}

#[test]
fn the_better_mode_repeats_writes_that_never_left() {
    let all = || Retries::new(RetryOptions::improved(), Entry::Do, Method::POST, true);
    assert!(failed(&mut all(), TransportKind::Refused).is_some());
    assert!(failed(&mut all(), TransportKind::Reset).is_none(), "it may have arrived");
}

#[test]
fn a_refused_stream_is_repeated_whatever_the_verb() {
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let mut retries = Retries::new(RetryOptions::default(), Entry::Do, method, true);
        assert_eq!(failed(&mut retries, TransportKind::RefusedStream), secs(1));
    }
}

#[test]
fn a_write_that_may_have_taken_place_is_repeated_as_client_go_does_or_told() {
    let of = |options: &RetryOptions, method: Method| Retries::new(options.clone(), Entry::Do, method, true);
    let (plain, told) = (RetryOptions::default(), RetryOptions::improved());
    for status in [500, 503, 504] {
        assert_eq!(answered(&mut of(&plain, Method::POST), status, Some("1")), secs(1));
        assert_eq!(answered(&mut of(&told, Method::POST), status, Some("1")), None);
        assert!(answered(&mut of(&told, Method::GET), status, Some("1")).is_some());
    }
    assert!(answered(&mut of(&told, Method::POST), 429, Some("1")).is_some(), "nothing was executed");
    let of_status = |options, status| {
        let status = StatusCode::from_u16(status).unwrap();
        of(options, Method::PUT).is_outcome_unknown(Outcome::Answered { status, retry_after: None, flow_schema: None })
    };
    assert_eq!([200, 409, 429, 500, 504].map(|status| of_status(&told, status)), [false, false, false, true, true]);
    assert!(!of_status(&plain, 504));
    let of_kind = |kind| of(&told, Method::POST).is_outcome_unknown(Outcome::Failed(&TransportError::new(kind, "x")));
    assert!(of_kind(TransportKind::Reset) && of_kind(TransportKind::Deadline));
    assert!(!of_kind(TransportKind::Refused) && !of_kind(TransportKind::RefusedStream));
}
