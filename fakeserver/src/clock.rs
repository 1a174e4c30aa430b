//! Injected time. Every timestamp the server writes comes from a [`Clock`], never from the machine directly.

use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// A source of the current time, cheap to clone and shared by all handles of one cluster.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Arc<Source>,
    skew: Arc<Skew>,
}

/// How far off a clock is: by so many microseconds, reached evenly over so many, since then.
#[derive(Debug, Default)]
struct Skew {
    by: AtomicI64,
    over: AtomicI64,
    since: AtomicI64,
}

#[derive(Debug)]
enum Source {
    Real,
    Manual {
        /// Since the epoch.
        micros: AtomicI64,
        moved: Notify,
    },
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn real() -> Self {
        Self::of(Source::Real)
    }

    /// A clock that stands still until [`advance`](Self::advance) moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self::of(Source::Manual { micros: AtomicI64::new(start.as_microsecond()), moved: Notify::new() })
    }

    fn of(source: Source) -> Self {
        Self { source: Arc::new(source), skew: Arc::default() }
    }

    /// The same clock without a skew, and with one of its own from now on: it moves with this one, and neither is thrown
    /// off with the other.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { source: self.source.clone(), skew: Arc::default() }
    }

    /// Throws the clock off by so many microseconds, evenly over as many; by 0 sets it right.
    pub(crate) fn skew(&self, by: i64, over: i64) {
        self.skew.since.store(self.steady().as_microsecond(), Ordering::SeqCst);
        self.skew.over.store(over, Ordering::SeqCst);
        self.skew.by.store(by, Ordering::SeqCst);
    }

    /// The time as a `Date` header, when it is not the right one.
    pub(crate) fn skewed_date(&self) -> Option<String> {
        let off = self.skew.by.load(Ordering::Relaxed) != 0;
        off.then(|| self.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = self.steady();
        let by = self.skew.by.load(Ordering::SeqCst);
        if by == 0 {
            return now;
        }
        let since = self.skew.since.load(Ordering::SeqCst);
        let over = self.skew.over.load(Ordering::SeqCst);
        let passed = now.as_microsecond().saturating_sub(since).clamp(0, over.max(0));
        let part = if over <= 0 { by } else { (by as f64 * (passed as f64 / over as f64)) as i64 };
        now.checked_add(SignedDuration::from_micros(part)).unwrap_or(now)
    }

    /// The time without the skew.
    fn steady(&self) -> Timestamp {
        match &*self.source {
            #[allow(clippy::disallowed_methods, reason = "the one place where real time enters")]
            Source::Real => Timestamp::now(),
            Source::Manual { micros, .. } => {
                Timestamp::from_microsecond(micros.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Whether time only moves when told to.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        matches!(*self.source, Source::Manual { .. })
    }

    /// Moves a manual clock forward; a real clock is left alone and `false` is returned.
    #[must_use = "a real clock cannot be advanced"]
    pub fn advance(&self, by: SignedDuration) -> bool {
        match &*self.source {
            Source::Real => false,
            Source::Manual { micros, moved } => {
                let step = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
                let _ = micros.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |t| Some(t.saturating_add(step)));
                moved.notify_waiters();
                true
            }
        }
    }

    /// Waits until it is that late. Cancel-safe.
    pub async fn reached(&self, at: Timestamp) {
        loop {
            match &*self.source {
                Source::Real => {
                    let left = at.duration_since(self.now());
                    let Ok(left) = Duration::try_from(left) else { return };
                    if left.is_zero() {
                        return;
                    }
                    tokio::time::sleep(left).await;
                }
                Source::Manual { moved, .. } => {
                    let mut later = std::pin::pin!(moved.notified());
                    later.as_mut().enable();
                    if self.now() >= at {
                        return;
                    }
                    later.await;
                }
            }
        }
    }

    /// The current time in the form of `metav1.Time`: UTC, whole seconds.
    #[must_use]
    pub fn now_rfc3339(&self) -> String {
        rfc3339(self.now())
    }
}

/// Formats a time as `metav1.Time` does: UTC, whole seconds, `Z`.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Formats a time as `metav1.MicroTime` does: UTC, six fractional digits, `Z`.
#[must_use]
pub fn rfc3339_micro(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
        assert_eq!(clock.now_rfc3339(), "2023-11-14T22:13:20Z");
        assert!(clock.advance(SignedDuration::from_secs(5)));
        assert_eq!(clock.now_rfc3339(), "2023-11-14T22:13:25Z");
        assert_eq!(rfc3339_micro(clock.now()), "2023-11-14T22:13:25.000000Z");
    }

    #[tokio::test]
    async fn who_waits_for_a_time_is_woken_when_it_comes() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let mut waiting = Box::pin(clock.reached(Timestamp::from_second(10).unwrap()));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(clock.advance(SignedDuration::from_secs(9)));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(clock.advance(SignedDuration::from_secs(1)));
        waiting.await;
        Clock::real().reached(Timestamp::UNIX_EPOCH).await;
    }
}
