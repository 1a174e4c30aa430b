//! When requests are meant to start: schedules that are fixed before the first is sent.
//!
//! A request that starts late is late, never left out. A closed loop has no schedule: its workers wait for answers, so it
//! finds capacity and says nothing about latency.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::time::Duration;

/// The shape of a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// Evenly spaced requests.
    Constant {
        /// Requests a second.
        rate: f64,
    },
    /// Independent arrivals: exponential gaps from a seed.
    Poisson {
        /// Requests a second, on average.
        rate: f64,
    },
    /// Twice the rate for a second, then a second of silence.
    Burst {
        /// Requests a second, on average.
        rate: f64,
    },
    /// From nothing to twice the rate.
    Ramp {
        /// Requests a second, on average.
        rate: f64,
    },
    /// Workers that send the next request when they have the answer to the last.
    Closed {
        /// How many.
        workers: usize,
        /// What each waits in between.
        think: Duration,
    },
}

impl Load {
    /// Whether the workers wait for answers; such a run is for capacity only.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// Its name, as on the command line.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Constant { .. } => "constant",
            Self::Poisson { .. } => "poisson",
            Self::Burst { .. } => "burst",
            Self::Ramp { .. } => "ramp",
            Self::Closed { .. } => "closed",
        }
    }

    /// Intended starts before `duration`, in order; none for a closed loop, and none for a rate that is not positive.
    #[must_use]
    pub fn schedule(&self, duration: Duration, seed: u64) -> Vec<Duration> {
        match *self {
            Self::Constant { rate } => evenly(rate, duration),
            Self::Poisson { rate } => poisson(rate, duration, seed),
            Self::Burst { rate } => {
                evenly(rate * 2.0, duration).into_iter().filter(|at| at.as_secs().is_multiple_of(2)).collect()
            }
            Self::Ramp { rate } => ramp(rate, duration),
            Self::Closed { .. } => Vec::new(),
        }
    }
}

/// The n-th start is computed from n, so that rounding does not add up.
fn evenly(rate: f64, duration: Duration) -> Vec<Duration> {
    collect(rate, duration, |n| n / rate)
}

/// With the rate growing linearly to twice its mean, n requests have started after `T * sqrt(n / N)`.
fn ramp(rate: f64, duration: Duration) -> Vec<Duration> {
    let length = duration.as_secs_f64();
    collect(rate, duration, |n| length * (n / (rate * length)).sqrt())
}

fn collect(rate: f64, duration: Duration, start: impl Fn(f64) -> f64) -> Vec<Duration> {
    if rate <= 0.0 || !rate.is_finite() {
        return Vec::new();
    }
    let starts = (0_u32..).map(|n| Duration::try_from_secs_f64(start(f64::from(n))).unwrap_or(Duration::MAX));
    starts.take_while(|at| *at < duration).collect()
}

fn poisson(rate: f64, duration: Duration, seed: u64) -> Vec<Duration> {
    if rate <= 0.0 || !rate.is_finite() {
        return Vec::new();
    }
    let mut chance = StdRng::seed_from_u64(seed);
    let mut at = 0.0;
    std::iter::from_fn(|| {
        let start = Duration::try_from_secs_f64(at).ok();
        at -= (1.0 - chance.random::<f64>()).ln() / rate;
        start
    })
    .take_while(|at| *at < duration)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    fn count(load: Load) -> usize {
        load.schedule(TEN, 1).len()
    }

    #[test]
    fn each_shape_has_its_rate_on_average() {
        assert_eq!(count(Load::Constant { rate: 100.0 }), 1000);
        assert_eq!(count(Load::Burst { rate: 100.0 }), 1000);
        assert_eq!(count(Load::Ramp { rate: 100.0 }), 1000);
        assert!((900..1100).contains(&count(Load::Poisson { rate: 100.0 })));
        assert_eq!(count(Load::Closed { workers: 3, think: TEN }), 0);
        assert_eq!(count(Load::Constant { rate: 0.0 }), 0);
    }

    #[test]
    fn schedules_are_in_order_and_repeatable() {
        for load in [Load::Poisson { rate: 50.0 }, Load::Ramp { rate: 50.0 }, Load::Burst { rate: 50.0 }] {
            let schedule = load.schedule(TEN, 7);
            assert!(schedule.is_sorted() && schedule.last().is_some_and(|last| *last < TEN));
            assert_eq!(schedule, load.schedule(TEN, 7));
        }
        let poisson = Load::Poisson { rate: 50.0 };
        assert_ne!(poisson.schedule(TEN, 1), poisson.schedule(TEN, 2));
    }

    #[test]
    fn bursts_alternate_with_silence_and_ramps_grow() {
        let burst = Load::Burst { rate: 10.0 }.schedule(TEN, 1);
        assert!(burst.iter().all(|at| at.as_secs() % 2 == 0));
        let ramp = Load::Ramp { rate: 10.0 }.schedule(TEN, 1);
        let half = ramp.iter().filter(|at| **at < TEN / 2).count();
        assert_eq!(half, 25, "a quarter in the first half");
    }
}
