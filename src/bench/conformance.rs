//! Judging what was let through: by windows, by how much of the rate was used, by how evenly callers were served.

use std::time::Duration;

/// What a sequence of passages says about the limiter that made it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conformance {
    /// Requests beyond `burst + rate·Δt` in the worst of all windows; at most 1 is right, because both ends of a window
    /// may hold a request.
    pub overshoot: f64,
    /// Length of that window.
    pub window: Duration,
}

impl Conformance {
    /// Checks every window at once, as GCRA does: the worst window that ends at a request begins where the debt was
    /// smallest. `passed` is in order.
    #[must_use]
    pub fn check(passed: &[Duration], qps: f64, burst: u32) -> Self {
        let mut worst = Self { overshoot: f64::NEG_INFINITY, window: Duration::ZERO };
        // Highest `rate·t - n` of a window's begin, and that begin.
        let mut begin = (f64::NEG_INFINITY, Duration::ZERO);
        for (n, at) in (0_u32..).zip(passed) {
            let line = qps * at.as_secs_f64() - f64::from(n);
            if line > begin.0 {
                begin = (line, *at);
            }
            let overshoot = begin.0 - line + 1.0 - f64::from(burst);
            if overshoot > worst.overshoot {
                worst = Self { overshoot, window: at.saturating_sub(begin.1) };
            }
        }
        worst
    }

    /// Whether no window holds more than `burst + rate·Δt + 1`.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.overshoot <= 1.0
    }
}

/// Share of the rate that was used while requests waited, from the passages of those that had waited: 1 is all of it.
/// `None` when fewer than two did in a row.
#[must_use]
pub(super) fn utilisation(passages: impl IntoIterator<Item = (Duration, bool)>, qps: f64) -> Option<f64> {
    let (mut used, mut available) = (0.0, 0.0);
    let mut before = None;
    for (at, waited) in passages {
        if let Some(before) = before
            && waited
        {
            used += 1.0;
            available += at.saturating_sub(before).as_secs_f64() * qps;
        }
        before = waited.then_some(at);
    }
    (available > 0.0).then(|| used / available)
}

/// Jain's index of shares: 1 when all are equal, 1/n when one has all.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|s| *s as f64).sum();
    let squares: f64 = shares.iter().map(|s| (*s as f64).powi(2)).sum();
    if squares == 0.0 { 1.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_burst_and_the_rate_are_no_overshoot() {
        let passed: Vec<_> = (0..10).map(|_| ms(0)).chain((1..50).map(|n| ms(200 * n))).collect();
        let found = Conformance::check(&passed, 5.0, 10);
        assert!(found.holds() && found.overshoot.abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn one_too_many_shows_in_the_window_it_is_in() {
        let mut passed: Vec<_> = (0..10).map(ms).collect();
        passed.extend([ms(11), ms(12)]);
        let found = Conformance::check(&passed, 5.0, 10);
        assert!(!found.holds() && (found.overshoot - (2.0 - 0.06)).abs() < 1e-9, "{found:?}");
        assert_eq!(found.window, ms(12));
    }

    #[test]
    fn the_use_of_the_rate_counts_only_while_requests_wait() {
        let waited = |n: u64| (ms(200 * n), true);
        assert_eq!(utilisation([(ms(0), false), waited(1), waited(2), waited(3)], 5.0), Some(1.0));
        let slow = utilisation([waited(1), waited(3), (ms(5000), false), (ms(5200), true)], 5.0);
        assert!(slow.is_some_and(|u| (u - 0.5).abs() < 1e-9), "{slow:?}");
        assert_eq!(utilisation([(ms(0), false)], 5.0), None);
    }

    #[test]
    fn fairness_is_one_for_equal_shares() {
        assert!((jain(&[7, 7, 7]) - 1.0).abs() < 1e-9);
        assert!((jain(&[9, 0, 0]) - 1.0 / 3.0).abs() < 1e-9);
        assert!((jain(&[]) - 1.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_check_finds_what_comparing_all_windows_finds(
            gaps in prop::collection::vec(0_u64..300, 1..60), qps in 1_u8..50, burst in 1_u8..10,
        ) {
            let passed: Vec<_> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(ms(*at)) }).collect();
            let qps = f64::from(qps);
            let mut worst = f64::NEG_INFINITY;
            for (i, from) in (0_u32..).zip(&passed) {
                for (j, to) in (0_u32..).zip(&passed).skip(i as usize) {
                    let ideal = f64::from(burst) + qps * (*to - *from).as_secs_f64();
                    worst = worst.max(f64::from(j - i + 1) - ideal);
                }
            }
            prop_assert!((Conformance::check(&passed, qps, u32::from(burst)).overshoot - worst).abs() < 1e-6);
        }
    }
}
