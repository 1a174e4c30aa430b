//! Delays by server after failures: pure state, and the trait through which requests sleep.
//!
//! Counterpart: client-go `rest/urlbackoff.go` and `util/flowcontrol/backoff.go`.

use crate::{BoxFuture, clock};
use http::StatusCode;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Delays requests to a server that fails.
pub trait BackoffManager: Send + Sync {
    /// Hears what came of an attempt; `None` when no answer came.
    fn update(&self, host: &str, status: Option<StatusCode>);

    /// The delay before the next attempt.
    fn delay(&self, host: &str) -> Duration;

    /// Sleeps. Every wait of a request, retries included, goes through here.
    fn sleep(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if !time.is_zero() {
                tokio::time::sleep(time).await;
            }
        })
    }
}

/// No delays of its own. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBackoff;

impl BackoffManager for NoBackoff {
    fn update(&self, _: &str, _: Option<StatusCode>) {}

    fn delay(&self, _: &str) -> Duration {
        Duration::ZERO
    }
}

/// Doubling delays by host and port after 429 and 5xx.
#[derive(Debug)]
pub struct UrlBackoff {
    base: Duration,
    max: Duration,
    hosts: Mutex<BTreeMap<String, (Duration, Instant)>>,
}

impl UrlBackoff {
    /// Starts at `base`, never exceeds `max`; an entry is forgotten after twice `max`.
    #[must_use]
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max, hosts: Mutex::default() }
    }

    /// What `KUBE_CLIENT_BACKOFF_BASE` and `KUBE_CLIENT_BACKOFF_DURATION` ask for, both in whole seconds; nothing
    /// unless both are numbers.
    pub fn from_vars(get: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let seconds = |name: &str| get(name)?.parse().ok().map(Duration::from_secs);
        Some(Self::new(seconds("KUBE_CLIENT_BACKOFF_BASE")?, seconds("KUBE_CLIENT_BACKOFF_DURATION")?))
    }

    fn update_at(&self, host: &str, status: Option<StatusCode>, now: Instant) {
        let failing = status.is_some_and(|s| s == StatusCode::TOO_MANY_REQUESTS || s.as_u16() > 499);
        let mut hosts = self.hosts.lock();
        if !failing {
            hosts.remove(host);
            return;
        }
        let entry = hosts.get(host).filter(|(_, at)| now.saturating_duration_since(*at) <= self.max * 2);
        let delay = entry.map_or(self.base, |(delay, _)| (*delay * 2).min(self.max));
        hosts.insert(host.to_owned(), (delay, now));
    }
}

impl BackoffManager for UrlBackoff {
    fn update(&self, host: &str, status: Option<StatusCode>) {
        self.update_at(host, status, clock::now());
    }

    fn delay(&self, host: &str) -> Duration {
        self.hosts.lock().get(host).map_or(Duration::ZERO, |(delay, _)| *delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(codes: &[u16]) -> Vec<u64> {
        let backoff = UrlBackoff::new(Duration::from_secs(1), Duration::from_secs(120));
        let now = Instant::now();
        let mut seen = vec![backoff.delay("a:1").as_secs()];
        for code in codes {
            backoff.update_at("a:1", StatusCode::from_u16(*code).ok(), now);
            seen.push(backoff.delay("a:1").as_secs());
        }
        seen
    }

    #[test]
    fn delays_double_on_failures_and_vanish_on_anything_else() {
        assert_eq!(delays(&[429, 500, 501, 502, 300, 500, 501, 502]), [0, 1, 2, 4, 8, 0, 1, 2, 4]);
    }

    #[test]
    fn a_lost_connection_and_a_success_both_reset() {
        assert_eq!(delays(&[504, 504, 504, 504, 200, 504, 504, 504, 200]), [0, 1, 2, 4, 8, 0, 1, 2, 4, 0]);
        assert_eq!(delays(&[504, 0]), [0, 1, 0], "a lost connection resets too");
    }

    #[test]
    fn delays_are_capped_kept_by_host_and_forgotten() {
        let backoff = UrlBackoff::new(Duration::from_secs(1), Duration::from_secs(2));
        let now = Instant::now();
        let fail = |at| backoff.update_at("a", Some(StatusCode::BAD_GATEWAY), at);
        (0..5).for_each(|_| fail(now));
        assert_eq!(backoff.delay("a"), Duration::from_secs(2));
        assert_eq!(backoff.delay("b"), Duration::ZERO);
        fail(now + Duration::from_secs(5));
        assert_eq!(backoff.delay("a"), Duration::from_secs(1), "older than twice the cap");
    }

    #[test]
    fn both_variables_are_needed() {
        let one = |name: &str| (name == "KUBE_CLIENT_BACKOFF_BASE").then(|| "1".to_owned());
        assert!(UrlBackoff::from_vars(one).is_none());
        assert!(UrlBackoff::from_vars(|_| Some("3".into())).is_some());
        assert!(UrlBackoff::from_vars(|_| Some("3s".into())).is_none());
    }
}
