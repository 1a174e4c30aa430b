//! One request and one run: when it was meant to start, when the limiter let it go, when its answer was there.

use super::{Latency, Load};
use std::time::Duration;

/// A request of a run; times count from the run's begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Who sent it.
    pub caller: u32,
    /// When it was meant to start; for a closed loop, when its worker was free.
    pub intended: Duration,
    /// When the limiter let it go.
    pub admitted: Duration,
    /// When its answer was there.
    pub done: Duration,
    /// Whether the limiter made it wait, by its own account.
    pub queued: bool,
    /// Whether the answer was a good one.
    pub succeeded: bool,
}

impl Sample {
    /// From the intended start to the answer: what the caller experiences.
    #[must_use]
    pub fn response(&self) -> Duration {
        self.done.saturating_sub(self.intended)
    }

    /// From the sending to the answer: what the server is responsible for.
    #[must_use]
    pub fn service(&self) -> Duration {
        self.done.saturating_sub(self.admitted)
    }

    /// From the intended start to the sending: what the limiter is responsible for.
    #[must_use]
    pub fn throttled(&self) -> Duration {
        self.admitted.saturating_sub(self.intended)
    }
}

/// What came of a load.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The load.
    pub load: Load,
    /// How long requests were begun.
    pub duration: Duration,
    /// The requests that were let go before the end, in the order in which they were.
    pub samples: Vec<Sample>,
    /// Intended starts of those that still waited for the limiter at the end.
    pub waiting: Vec<Duration>,
    /// When requests arrived at the server, where it says so; else empty.
    pub received: Vec<Duration>,
}

impl Run {
    /// A run with its samples in order.
    #[must_use]
    pub fn new(load: Load, duration: Duration, mut samples: Vec<Sample>, waiting: Vec<Duration>) -> Self {
        samples.sort_by_key(|s| s.admitted);
        Self { load, duration, samples, waiting, received: Vec::new() }
    }

    /// Intended starts of all, let go or not, in order.
    #[must_use]
    pub fn intended(&self) -> Vec<Duration> {
        let mut all: Vec<_> = self.samples.iter().map(|s| s.intended).chain(self.waiting.iter().copied()).collect();
        all.sort();
        all
    }

    /// When requests passed: as the server received them, or else as the limiter let them go.
    #[must_use]
    pub fn passed(&self) -> Vec<Duration> {
        if self.received.is_empty() { self.samples.iter().map(|s| s.admitted).collect() } else { self.received.clone() }
    }

    /// Response times from the intended start. Those that wait at the end count with what they have waited: leaving them
    /// out would be to measure only the lucky.
    #[must_use]
    pub fn response(&self) -> Latency {
        let waiting = self.waiting.iter().map(|at| self.duration.saturating_sub(*at));
        self.samples.iter().map(Sample::response).chain(waiting).collect()
    }

    /// Service times.
    #[must_use]
    pub fn service(&self) -> Latency {
        self.samples.iter().map(Sample::service).collect()
    }

    /// Waits for the limiter.
    #[must_use]
    pub fn throttled(&self) -> Latency {
        let waiting = self.waiting.iter().map(|at| self.duration.saturating_sub(*at));
        self.samples.iter().map(Sample::throttled).chain(waiting).collect()
    }

    /// Requests without a good answer.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.samples.iter().filter(|s| !s.succeeded).count()
    }

    /// Requests let go, by caller.
    #[must_use]
    pub fn shares(&self) -> Vec<u64> {
        let mut shares = Vec::new();
        for sample in &self.samples {
            let caller = sample.caller as usize;
            if shares.len() <= caller {
                shares.resize(caller + 1, 0);
            }
            if let Some(share) = shares.get_mut(caller) {
                *share += 1;
            }
        }
        shares
    }
}
