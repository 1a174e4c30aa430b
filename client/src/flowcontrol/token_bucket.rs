//! The token bucket, as a pure state machine: time goes in, waits come out.
//!
//! Counterpart: `golang.org/x/time/rate`, of which client-go uses one token a call. It is kept as the moment at which
//! the bucket will be full again, which says the same as a token count, and in whole numbers, so that nothing is ever
//! lost to rounding: a rate is a fraction, and time is counted in its numerator's parts of a nanosecond.

use std::time::Duration;

/// A bucket that starts full, holds `burst` tokens and gains `qps` a second. Reservations are served in order.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    /// Ticks in a nanosecond.
    ticks: u128,
    /// Ticks in which a token grows.
    interval: u128,
    burst: u32,
    /// When the bucket will be full, in ticks since the caller's origin.
    full_at: u128,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// How long to wait from the moment of the reservation.
    pub wait: Duration,
    full_at: u128,
}

/// One token in 136 years.
const SLOWEST: f64 = 1.0 / (1_u64 << 32) as f64;
/// One token a nanosecond.
const FASTEST: f64 = 1e9;
const SECOND: u128 = 1_000_000_000;

impl TokenBucket {
    /// A full bucket. A rate that is not positive is taken as one token in more than a hundred years.
    #[must_use]
    pub fn new(qps: f32, burst: u32) -> Self {
        let mut rate = if qps > 0.0 { f64::from(qps).clamp(SLOWEST, FASTEST) } else { SLOWEST };
        // A float is a whole number over a power of two; for a clamped f32 that is at most 2^56.
        let mut denominator = 1_u128;
        while rate.fract() != 0.0 {
            rate *= 2.0;
            denominator *= 2;
        }
        Self { ticks: rate as u128, interval: SECOND * denominator, burst, full_at: 0 }
    }

    /// Takes the next token, to be used after the returned wait. `now` is the time since any fixed origin.
    ///
    /// # Errors
    /// The wait that would be needed, when it is longer than `longest`, or when the bucket holds no token ever. Nothing
    /// is taken then.
    pub fn reserve(&mut self, now: Duration, longest: Option<Duration>) -> Result<Reservation, Duration> {
        if self.burst == 0 {
            return Err(Duration::MAX);
        }
        let now = self.ticks_of(now);
        let full_at = self.full_at.max(now) + self.interval;
        let wait = full_at.saturating_sub(u128::from(self.burst) * self.interval + now);
        // Rounded up, so that a wait never ends before its token is there.
        let wait = Duration::from_nanos(u64::try_from(wait.div_ceil(self.ticks)).unwrap_or(u64::MAX));
        if longest.is_some_and(|longest| wait > longest) {
            return Err(wait);
        }
        self.full_at = full_at;
        Ok(Reservation { wait, full_at })
    }

    /// Gives a token back, unless a later reservation already counts on its not coming back.
    pub fn cancel(&mut self, reservation: &Reservation) {
        if self.full_at == reservation.full_at {
            self.full_at -= self.interval;
        }
    }

    /// Takes a token if one is there now.
    pub fn try_take(&mut self, now: Duration) -> bool {
        self.reserve(now, Some(Duration::ZERO)).is_ok()
    }

    /// Whole tokens that are there now.
    #[must_use]
    pub fn available(&self, now: Duration) -> u32 {
        let missing = self.full_at.saturating_sub(self.ticks_of(now)).div_ceil(self.interval);
        // Missing tokens may exceed the burst while reservations wait.
        self.burst.saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX))
    }

    fn ticks_of(&self, time: Duration) -> u128 {
        time.as_nanos() * self.ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_full_bucket_lets_a_burst_through_and_then_keeps_the_rate() {
        let mut bucket = TokenBucket::new(5.0, 10);
        let waits: Vec<_> = (0..13).map(|_| bucket.reserve(ms(0), None).unwrap().wait).collect();
        assert!(waits[..10].iter().all(Duration::is_zero));
        assert_eq!(waits[10..], [ms(200), ms(400), ms(600)]);
    }

    #[test]
    fn a_quiet_time_fills_no_more_than_the_burst() {
        let mut bucket = TokenBucket::new(5.0, 2);
        assert!(bucket.try_take(ms(0)) && bucket.try_take(ms(0)) && !bucket.try_take(ms(0)));
        assert!(bucket.try_take(ms(10_000)) && bucket.try_take(ms(10_000)) && !bucket.try_take(ms(10_000)));
    }

    #[test]
    fn a_wait_beyond_the_limit_takes_nothing() {
        let mut bucket = TokenBucket::new(1.0, 1);
        assert!(bucket.try_take(ms(0)));
        assert_eq!(bucket.reserve(ms(0), Some(ms(999))), Err(ms(1000)));
        assert_eq!(bucket.reserve(ms(0), Some(ms(1000))).unwrap().wait, ms(1000));
    }

    #[test]
    fn the_last_reservation_can_be_given_back() {
        let mut bucket = TokenBucket::new(1.0, 1);
        let first = bucket.reserve(ms(0), None).unwrap();
        let second = bucket.reserve(ms(0), None).unwrap();
        bucket.cancel(&first);
        assert_eq!(bucket.reserve(ms(0), None).unwrap().wait, ms(2000), "the second still holds its place");
        let mut bucket = TokenBucket::new(1.0, 1);
        bucket.reserve(ms(0), None).unwrap();
        let last = bucket.reserve(ms(0), None).unwrap();
        bucket.cancel(&last);
        assert_eq!(bucket.reserve(ms(0), None).unwrap().wait, second.wait);
    }

    #[test]
    fn a_bucket_without_room_lets_nothing_through() {
        assert_eq!(TokenBucket::new(5.0, 0).reserve(ms(0), None), Err(Duration::MAX));
    }

    #[test]
    fn a_burst_is_whole_at_rates_whose_interval_is_not() {
        for (qps, burst) in [(300.0, 300), (7.0, 49), (0.3, 10), (33.3, 1000), (f32::MIN_POSITIVE, 5), (f32::MAX, 5)] {
            let mut bucket = TokenBucket::new(qps, burst);
            for hours in [0, 1, 1_000_000] {
                let now = Duration::from_secs(hours * 3600);
                let there = (0..burst).take_while(|_| bucket.try_take(now)).count();
                assert!(there == burst as usize || qps < 1e-30, "{qps}: {there} of {burst} after {hours} h");
            }
        }
        assert!(TokenBucket::new(f32::NAN, 1).try_take(ms(0)), "no number is a very slow rate");
    }

    #[test]
    fn ten_seconds_admit_exactly_what_the_ideal_bucket_does() {
        let mut bucket = TokenBucket::new(5.0, 10);
        let mut now = ms(0);
        let mut admitted = 0;
        while now < ms(10_000) {
            now += bucket.reserve(now, None).unwrap().wait;
            admitted += usize::from(now < ms(10_000));
        }
        assert_eq!(admitted, 10 + 49, "ten at once, then one each 200 ms");
    }

    proptest! {
        #[test]
        fn never_more_than_burst_plus_rate_in_any_window(qps in 1u8..50, burst in 1u32..20, gaps in prop::collection::vec(0u64..400, 1..60)) {
            let mut bucket = TokenBucket::new(f32::from(qps), burst);
            let mut now = 0;
            let mut sent: Vec<f64> = Vec::new();
            for gap in gaps {
                now += gap;
                let wait = bucket.reserve(ms(now), None).unwrap().wait;
                sent.push((ms(now) + wait).as_secs_f64());
            }
            for (i, from) in sent.iter().enumerate() {
                for (j, to) in sent.iter().enumerate().skip(i) {
                    let ideal = f64::from(burst) + (to - from) * f64::from(qps);
                    prop_assert!(((j - i + 1) as f64) <= ideal + 1e-6);
                }
            }
        }

        #[test]
        fn reservations_are_served_in_order(gaps in prop::collection::vec(0u64..400, 1..60)) {
            let mut bucket = TokenBucket::new(5.0, 3);
            let (mut now, mut last) = (0, Duration::ZERO);
            for gap in gaps {
                now += gap;
                let at = ms(now) + bucket.reserve(ms(now), None).unwrap().wait;
                prop_assert!(at >= last);
                last = at;
            }
        }
    }
}
