//! The Retry-After of a priority level: doubles while many requests are turned away, and comes down when few are.
//!
//! Counterpart: `apiserver/pkg/util/flowcontrol/dropped_requests_tracker.go`.

use std::collections::VecDeque;
use std::time::Duration;

/// The longest Retry-After, in seconds.
const MOST: u64 = 32;

/// What was turned away, second by second, and the Retry-After that comes of it.
#[derive(Clone, Debug)]
pub struct DroppedRequests {
    /// Seconds that are over, and how many were turned away in each; the oldest first.
    history: VecDeque<(u64, u64)>,
    second: u64,
    count: u64,
    retry_after: u64,
    raised: u64,
}

impl DroppedRequests {
    /// Nothing has been turned away.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        let second = now.as_secs();
        Self { history: VecDeque::new(), second, count: 0, retry_after: 1, raised: second }
    }

    /// The Retry-After, in seconds: 1 to 32.
    #[must_use]
    pub fn retry_after(&self) -> u64 {
        self.retry_after
    }

    /// Counts one in that second. The Retry-After changes with the first of a second only.
    pub fn record(&mut self, second: u64) {
        if second <= self.second {
            self.count += 1;
            return;
        }
        self.history.push_back((self.second, self.count));
        let kept = MOST.min(2 * self.retry_after);
        while self.history.front().is_some_and(|(old, _)| self.second.saturating_sub(*old) > kept) {
            self.history.pop_front();
        }
        (self.second, self.count) = (second, 1);
        self.adapt(second);
    }

    /// Looks at as many seconds before this one as the Retry-After is long.
    fn adapt(&mut self, now: u64) {
        let recent = self.history.iter().filter(|(second, _)| now.saturating_sub(*second) <= self.retry_after);
        let dropped: u64 = recent.map(|(_, count)| count).sum();
        if now.saturating_sub(self.raised) >= self.retry_after && dropped >= 3 * self.retry_after {
            self.retry_after = MOST.min(2 * self.retry_after);
            self.raised = now;
        } else if dropped < self.retry_after && self.retry_after > 1 {
            self.retry_after -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Turns so many away in a second, and tells the Retry-After of the last.
    fn second(drops: &mut DroppedRequests, second: u64, count: u64) -> u64 {
        (0..count).for_each(|_| drops.record(second));
        drops.retry_after()
    }

    #[test]
    fn it_doubles_while_three_times_its_length_are_turned_away_and_stops_at_32() {
        let mut drops = DroppedRequests::new(Duration::ZERO);
        let steps: Vec<u64> = (0..70).map(|n| second(&mut drops, n, 200)).collect();
        let mut rises = steps.clone();
        rises.dedup();
        assert_eq!(rises, [1, 2, 4, 8, 16, 32]);
        // No sooner than its own length after the last rise.
        let first = |wanted| steps.iter().position(|s| *s == wanted).unwrap();
        assert_eq!([2, 4, 8, 16, 32].map(first), [1, 3, 7, 15, 31]);
    }

    #[test]
    fn two_in_a_second_are_no_overload() {
        let mut drops = DroppedRequests::new(Duration::ZERO);
        assert!((0..100).all(|n| second(&mut drops, n, 2) == 1));
    }

    #[test]
    fn it_comes_down_by_one_with_each_calm_second_in_which_one_is_turned_away() {
        let mut drops = DroppedRequests::new(Duration::ZERO);
        assert_eq!((0..8).map(|n| second(&mut drops, n, 100)).last(), Some(8));
        let later: Vec<u64> = (0..9).map(|n| second(&mut drops, 100 + 20 * n, 1)).collect();
        assert_eq!(later, [7, 6, 5, 4, 3, 2, 1, 1, 1]);
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds_and_moves_by_doubling_or_by_one(times in prop::collection::vec((0u64..5, 1u64..120), 1..200)) {
            let mut drops = DroppedRequests::new(Duration::ZERO);
            let mut now = 0;
            for (pause, count) in times {
                now += pause;
                for _ in 0..count {
                    let before = drops.retry_after();
                    drops.record(now);
                    let after = drops.retry_after();
                    prop_assert!(after == before || after == (2 * before).min(32) || after + 1 == before);
                    prop_assert!((1..=32).contains(&after));
                    prop_assert!(drops.history.len() <= 35);
                }
            }
        }
    }
}
