//! Times in an HDR histogram: 1 µs to 60 s, three significant digits, merged without loss.

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::time::Duration;

/// Shortest and longest time that are told apart, in microseconds.
const RANGE: (u64, u64) = (1, 60_000_000);
/// Significant digits.
const DIGITS: u8 = 3;

/// A distribution of times. Times outside of the range count as its ends.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    /// # Panics
    /// Never: the range is one that the histogram takes.
    fn default() -> Self {
        Self(Histogram::new_with_bounds(RANGE.0, RANGE.1, DIGITS).expect("a valid range"))
    }
}

impl Latency {
    /// Adds a time.
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(RANGE.0));
    }

    /// Adds another distribution.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same bounds, which is all that can go wrong.
        let _ = self.0.add(&other.0);
    }

    /// How many times there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that this share, 0 to 1, does not exceed.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        if self.0.is_empty() { Duration::ZERO } else { Duration::from_micros(self.0.max()) }
    }

    /// Share of the times that are longer, for each time that occurs: seconds and share, to be plotted.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn exceedance(&self) -> Vec<(f64, f64)> {
        let total = self.count().max(1) as f64;
        let mut seen = 0;
        let mut points = Vec::new();
        for step in self.0.iter_recorded() {
            seen += step.count_since_last_iteration();
            let longer = (self.count() - seen) as f64 / total;
            // The last has none that is longer; it is drawn where it stands.
            points.push((step.value_iterated_to() as f64 / 1e6, longer.max(0.5 / total)));
        }
        points
    }

    /// Percentiles in milliseconds and the count.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let ms = |share: f64| self.quantile(share).as_secs_f64() * 1e3;
        json!({"count": self.count(), "p50": ms(0.5), "p90": ms(0.9), "p99": ms(0.99), "p999": ms(0.999),
            "max": self.max().as_secs_f64() * 1e3})
    }
}

impl FromIterator<Duration> for Latency {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut latency = Self::default();
        times.into_iter().for_each(|time| latency.record(time));
        latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_keep_three_digits() {
        let latency: Latency = (1..=1000).map(Duration::from_millis).collect();
        for (share, ms) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = latency.quantile(share).as_secs_f64() * 1e3;
            assert!((found / ms - 1.0).abs() < 1e-3, "{share}: {found}");
        }
        assert_eq!(latency.count(), 1000);
    }

    #[test]
    fn times_beyond_the_range_count_as_its_ends() {
        let latency: Latency = [Duration::ZERO, Duration::from_secs(3600)].into_iter().collect();
        assert_eq!(latency.count(), 2);
        assert!(latency.max() <= Duration::from_millis(60_100));
    }

    #[test]
    fn merging_loses_nothing() {
        let mut one: Latency = [Duration::from_millis(1)].into_iter().collect();
        one.merge(&[Duration::from_millis(3)].into_iter().collect());
        assert_eq!((one.count(), one.quantile(0.5)), (2, Duration::from_millis(1)));
    }

    #[test]
    fn the_exceedance_falls_and_never_reaches_nothing() {
        let latency: Latency = (1..=100).map(Duration::from_millis).collect();
        let points = latency.exceedance();
        assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 > b.1));
        assert!(points.last().is_some_and(|p| p.1 > 0.0));
    }
}
