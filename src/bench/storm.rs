//! An outage in virtual time: a server that answers 429 for a while, and callers that follow the client's retry rules.
//!
//! Deterministic: arrivals, jitter and the server's capacity come from the seed and from arithmetic.

use super::Load;
use http::{Method, StatusCode};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rehearsal_client::{Decision, Entry, Outcome, Retries, RetryOptions, TokenBucket};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What happens.
#[derive(Clone, Debug)]
pub struct Storm {
    /// New requests, a second.
    pub rate: f64,
    /// How long every request is answered with 429.
    pub outage: Duration,
    /// `Retry-After` of these answers, in seconds.
    pub retry_after: u64,
    /// Requests a second that the server bears afterwards, with a burst of a tenth of it; the others get 429 too.
    pub capacity: u32,
    /// The rules of the callers.
    pub options: RetryOptions,
    /// Jitter and arrivals.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StormOutcome {
    /// New requests during the outage.
    pub offered: usize,
    /// Requests sent during the outage, retries included.
    pub sent: usize,
    /// Requests in the worst tenth of a second after the outage, against those of a calm one.
    pub peak: f64,
    /// From the end of the outage until nothing that was refused is left waiting.
    pub until_normal: Duration,
    /// Requests whose retries ran out.
    pub given_up: usize,
}

impl StormOutcome {
    /// Requests during the outage, against those that would have come without retries.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn factor(&self) -> f64 {
        self.sent as f64 / (self.offered as f64).max(1.0)
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"offered": self.offered, "sent": self.sent, "factor": self.factor(), "peak": self.peak,
            "untilNormalSeconds": self.until_normal.as_secs_f64(), "givenUp": self.given_up})
    }
}

/// Calm before the outage.
const BEFORE: Duration = Duration::from_secs(2);
/// Requests go on to arrive for this long after it.
const AFTER: Duration = Duration::from_secs(20);
/// Peaks are counted in slots of this length.
const SLOT: Duration = Duration::from_millis(100);

impl Storm {
    /// The default: 100 requests a second, five seconds of 429 with `Retry-After: 1`, a server that bears 400.
    #[must_use]
    pub fn new(options: RetryOptions, seed: u64) -> Self {
        Self { rate: 100.0, outage: Duration::from_secs(5), retry_after: 1, capacity: 400, options, seed }
    }

    /// Plays it.
    #[must_use]
    pub fn play(&self) -> StormOutcome {
        Play::new(self).run()
    }
}

struct Call {
    retries: Retries,
    refused: bool,
}

struct Play<'a> {
    storm: &'a Storm,
    begin: Duration,
    end: Duration,
    calls: Vec<Call>,
    /// Attempts to come, the earliest first.
    attempts: BinaryHeap<Reverse<(Duration, usize)>>,
    server: TokenBucket,
    chance: StdRng,
    slots: Vec<u32>,
    outcome: StormOutcome,
}

impl<'a> Play<'a> {
    fn new(storm: &'a Storm) -> Self {
        let (begin, end) = (BEFORE, BEFORE + storm.outage);
        let arrivals = Load::Poisson { rate: storm.rate }.schedule(end + AFTER, storm.seed);
        let call =
            || Call { retries: Retries::new(storm.options.clone(), Entry::Do, Method::GET, true), refused: false };
        #[allow(clippy::cast_precision_loss)]
        let server = TokenBucket::new(storm.capacity as f32, (storm.capacity / 10).max(1));
        Self {
            storm,
            begin,
            end,
            calls: arrivals.iter().map(|_| call()).collect(),
            outcome: StormOutcome {
                offered: arrivals.iter().filter(|at| **at >= begin && **at < end).count(),
                sent: 0,
                peak: 0.0,
                until_normal: Duration::ZERO,
                given_up: 0,
            },
            attempts: arrivals.into_iter().enumerate().map(|(call, at)| Reverse((at, call))).collect(),
            server,
            chance: StdRng::seed_from_u64(storm.seed),
            slots: Vec::new(),
        }
    }

    fn run(mut self) -> StormOutcome {
        while let Some(Reverse((now, call))) = self.attempts.pop() {
            self.attempt(now, call);
        }
        let worst = self.slots.iter().max().copied().unwrap_or_default();
        self.outcome.peak = f64::from(worst) / (self.storm.rate * SLOT.as_secs_f64());
        self.outcome
    }

    fn attempt(&mut self, now: Duration, index: usize) {
        self.count(now);
        let out = now >= self.begin && now < self.end;
        let refused = out || !self.server.try_take(now);
        let Some(call) = self.calls.get_mut(index) else { return };
        if !refused {
            if call.refused {
                self.outcome.until_normal = self.outcome.until_normal.max(now.saturating_sub(self.end));
            }
            return;
        }
        call.refused = true;
        let retry_after = self.storm.retry_after.to_string();
        let answer = Outcome::Answered {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some(&retry_after),
            flow_schema: None,
        };
        match call.retries.decide(answer, Timestamp::UNIX_EPOCH, self.chance.random()) {
            Decision::Again { after, .. } => self.attempts.push(Reverse((now + after, index))),
            Decision::Done => self.outcome.given_up += 1,
        }
    }

    fn count(&mut self, now: Duration) {
        if now >= self.begin && now < self.end {
            self.outcome.sent += 1;
        }
        let Some(since) = now.checked_sub(self.end) else { return };
        let slot = usize::try_from(since.as_millis() / SLOT.as_millis()).unwrap_or(usize::MAX);
        // Peaks long after the outage are not its doing.
        if slot < 100 {
            self.slots.resize(self.slots.len().max(slot + 1), 0);
            if let Some(count) = self.slots.get_mut(slot) {
                *count += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_plays_the_same_storm() {
        let storm = Storm::new(RetryOptions::improved(), 3);
        assert_eq!(storm.play(), storm.play());
        assert_ne!(storm.play(), Storm::new(RetryOptions::improved(), 4).play());
    }

    #[test]
    fn a_server_that_asks_for_a_second_hears_of_each_request_once_a_second() {
        let found = Storm::new(RetryOptions::default(), 1).play();
        // Each request of the k-th second of the outage is sent 6 - k times: three times on average.
        assert!((2.8..3.2).contains(&found.factor()), "{found:?}");
        assert_eq!(found.given_up, 0);
    }

    #[test]
    fn without_retries_there_is_no_storm_and_everyone_gives_up() {
        let options = RetryOptions { max_retries: 0, ..RetryOptions::default() };
        let found = Storm::new(options, 1).play();
        assert_eq!((found.sent, found.given_up), (found.offered, found.offered));
        assert!(found.until_normal.is_zero());
    }

    #[test]
    fn longer_waits_make_fewer_requests() {
        let patient = Storm { retry_after: 4, ..Storm::new(RetryOptions::default(), 1) };
        assert!(patient.play().sent < Storm::new(RetryOptions::default(), 1).play().sent);
    }
}
