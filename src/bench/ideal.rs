//! The bucket that others are measured against: the same rules in whole numbers, without any rounding.
//!
//! Written apart from the client's bucket on purpose: it counts in 1/qps nanoseconds, where every quantity is whole.

use std::time::Duration;

const SECOND: u128 = 1_000_000_000;

/// A bucket that starts full, holds `burst` tokens and gains `qps` a second, both whole numbers above zero.
#[derive(Clone, Debug)]
pub struct IdealBucket {
    qps: u128,
    burst: u128,
    /// When it will be full, in nanoseconds times qps.
    full_at: u128,
}

impl IdealBucket {
    /// A full bucket. Zeros count as ones.
    #[must_use]
    pub fn new(qps: u32, burst: u32) -> Self {
        Self { qps: u128::from(qps.max(1)), burst: u128::from(burst.max(1)), full_at: 0 }
    }

    /// When a request that arrives now may go, rounded up to the nanosecond. Arrivals come in order.
    pub fn admit(&mut self, arrival: Duration) -> Duration {
        let now = arrival.as_nanos() * self.qps;
        self.full_at = self.full_at.max(now) + SECOND;
        let leave = self.full_at.saturating_sub(self.burst * SECOND).max(now);
        Duration::from_nanos(u64::try_from(leave.div_ceil(self.qps)).unwrap_or(u64::MAX))
    }

    /// How many of the arrivals, in order, may go before `end`.
    #[must_use]
    pub fn admitted_before(mut self, end: Duration, arrivals: &[Duration]) -> usize {
        arrivals.iter().filter(|arrival| self.admit(**arrival) < end).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rehearsal_client::TokenBucket;

    #[test]
    fn a_burst_and_then_the_rate() {
        let arrivals = vec![Duration::ZERO; 200];
        assert_eq!(IdealBucket::new(5, 10).admitted_before(Duration::from_secs(10), &arrivals), 10 + 49);
    }

    proptest! {
        #[test]
        #[allow(clippy::cast_precision_loss)]
        fn the_client_s_bucket_is_the_ideal_one(
            qps in 1_u16..2000, burst in 1_u16..300, gaps in prop::collection::vec(0_u64..50_000_000, 1..400),
        ) {
            let mut ours = TokenBucket::new(f32::from(qps), u32::from(burst));
            let mut ideal = IdealBucket::new(u32::from(qps), u32::from(burst));
            let mut now = Duration::ZERO;
            for gap in gaps {
                now += Duration::from_nanos(gap);
                let wait = ours.reserve(now, None).map_err(|_| TestCaseError::fail("no deadline was given"))?.wait;
                prop_assert_eq!(now + wait, ideal.admit(now));
            }
        }
    }
}
