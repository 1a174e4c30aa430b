//! What a limiter has to get right besides the rate, each tried on the client's bucket in virtual time.

use super::conformance::{jain, utilisation};
use super::{Conformance, IdealBucket, Latency, Load, Run, Server, simulate};
use rehearsal_client::TokenBucket;
use serde_json::{Value, json};
use std::time::Duration;

/// What the bucket did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Checks {
    /// Requests let through in ten seconds of more demand than the rate.
    pub admitted: usize,
    /// What the ideal bucket lets through of the same.
    pub ideal: usize,
    /// Requests let through at once in the beginning; to be the burst.
    pub initial_burst: u32,
    /// Requests let through at once after a quiet hour; to be the burst.
    pub refilled: u32,
    /// Share of the rate that was used while requests waited; to be 1.
    pub utilisation: f64,
    /// Requests beyond the ideal in the worst window.
    pub overshoot: f64,
    /// Jain's index of ten callers of one bucket.
    pub fairness: f64,
    /// Requests won by time that jumps an hour back and forth, beyond the ideal for the time that really passed.
    pub won_by_clock_steps: i64,
}

impl Checks {
    /// Tries a bucket of this rate and burst.
    #[must_use]
    pub fn run(qps: u32, burst: u32) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let bucket = TokenBucket::new(qps as f32, burst);
        let duration = Duration::from_secs(10);
        let load = Load::Constant { rate: f64::from(qps) * 3.0 + f64::from(burst) };
        let run = simulate(load, duration, 1, Some(bucket.clone()), 10, Server::default());
        let passages = run.samples.iter().map(|s| (s.admitted, s.queued));
        Self {
            admitted: run.samples.len(),
            ideal: IdealBucket::new(qps, burst).admitted_before(duration, &run.intended()),
            initial_burst: at_once(&mut bucket.clone(), Duration::ZERO),
            refilled: after_idle(bucket.clone()),
            utilisation: utilisation(passages, f64::from(qps)).unwrap_or_default(),
            overshoot: Conformance::check(&run.passed(), f64::from(qps), burst).overshoot,
            fairness: jain(&run.shares()),
            won_by_clock_steps: clock_steps(bucket, qps, burst),
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"admitted": self.admitted, "ideal": self.ideal, "initialBurst": self.initial_burst,
            "refilledAfterIdle": self.refilled, "utilisation": self.utilisation, "overshoot": self.overshoot,
            "fairness": self.fairness, "wonByClockSteps": self.won_by_clock_steps})
    }
}

fn at_once(bucket: &mut TokenBucket, now: Duration) -> u32 {
    (0..u32::MAX).take_while(|_| bucket.try_take(now)).count().try_into().unwrap_or(u32::MAX)
}

fn after_idle(mut bucket: TokenBucket) -> u32 {
    at_once(&mut bucket, Duration::ZERO);
    at_once(&mut bucket, Duration::from_secs(3600))
}

/// The bucket reads a monotonic clock, so steps of the calendar clock do not reach it at all; this is what would happen if
/// they did. Ten seconds pass, in the middle of which the clock is set back by an hour and later forward again.
fn clock_steps(mut bucket: TokenBucket, qps: u32, burst: u32) -> i64 {
    let hour = Duration::from_secs(3600);
    let step = Duration::from_millis(1);
    let mut admitted = 0;
    for n in 0..10_000_u32 {
        let clock = if (4000..6000).contains(&n) { Duration::ZERO } else { hour };
        admitted += i64::from(bucket.try_take(clock + step * n));
    }
    let possible = i64::from(burst) + i64::from(qps) * 10;
    (admitted - possible).max(0)
}

/// The self-test of the harness: a thousand requests a second for a minute, of which the server is frozen for one second.
/// Those that meant to start then waited evenly between nothing and a second; 600 of 60,000 are the last percent, so the
/// 99th percentile has to be 0.40 s. A closed loop of ten workers sends ten requests into that second and sees nothing.
#[must_use]
pub fn omission() -> (Latency, Run) {
    let minute = Duration::from_secs(60);
    let server =
        Server { service: Duration::from_micros(200), freeze: Some((Duration::from_secs(30), Duration::from_secs(1))) };
    let open = simulate(Load::Constant { rate: 1000.0 }, minute, 1, None, 1, server);
    // Ten workers that reach a thousand a second between them.
    let think = Duration::from_micros(9800);
    let closed = simulate(Load::Closed { workers: 10, think }, minute, 1, None, 1, server);
    (open.response(), closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_s_bucket_passes_them_all() {
        for (qps, burst) in [(5, 10), (20, 30), (50, 100), (1, 1), (300, 300)] {
            let found = Checks::run(qps, burst);
            assert_eq!(found.admitted, found.ideal, "{qps}/{burst}");
            assert_eq!((found.initial_burst, found.refilled), (burst, burst));
            assert!((found.utilisation - 1.0).abs() < 1e-6, "{found:?}");
            assert!(found.overshoot < 1e-3 && found.fairness > 0.9, "{found:?}");
            assert_eq!(found.won_by_clock_steps, 0);
        }
    }

    #[test]
    fn a_freeze_is_seen_in_full_by_an_open_loop_and_hidden_by_a_closed_one() {
        let (open, closed) = omission();
        let p99 = open.quantile(0.99).as_secs_f64();
        assert!((p99 / 0.4 - 1.0).abs() < 0.05, "{p99}");
        assert!(closed.load.is_closed());
        assert!(closed.response().quantile(0.99) < Duration::from_millis(1), "the omission that the test is about");
    }
}
