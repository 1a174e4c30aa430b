//! The waiting half of throttling: a shared bucket that callers await.
//!
//! Counterpart: client-go `flowcontrol.tokenBucketRateLimiter`. The notices about long waits are the request's matter,
//! because they name the request.

use super::{Burst, Qps, RateLimiter, TokenBucket, token_bucket::Reservation};
use crate::error::ThrottleError;
use crate::{BoxFuture, clock};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A token bucket shared by all who hold it.
#[derive(Debug)]
pub struct Throttle {
    bucket: Mutex<TokenBucket>,
    origin: Instant,
    qps: Qps,
    queued: AtomicUsize,
}

impl Throttle {
    /// A full bucket of `burst` tokens that gains `qps` a second.
    #[must_use]
    pub fn new(qps: Qps, burst: Burst) -> Self {
        Self {
            bucket: Mutex::new(TokenBucket::new(qps.0, burst.0)),
            origin: clock::now(),
            qps,
            queued: AtomicUsize::new(0),
        }
    }

    fn since_origin(&self) -> Duration {
        clock::now().saturating_duration_since(self.origin)
    }

    fn reserve(&self, deadline: Option<Instant>) -> Result<Place<'_>, ThrottleError> {
        let longest = deadline.map(|d| d.saturating_duration_since(clock::now()));
        let reservation = self
            .bucket
            .lock()
            .reserve(self.since_origin(), longest)
            .map_err(|needed| ThrottleError::WouldExceedDeadline { needed })?;
        self.queued.fetch_add(1, Ordering::Relaxed);
        Ok(Place { throttle: self, reservation, kept: false })
    }
}

/// Gives the token back when the caller stops waiting.
struct Place<'a> {
    throttle: &'a Throttle,
    reservation: Reservation,
    kept: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.throttle.queued.fetch_sub(1, Ordering::Relaxed);
        if !self.kept {
            self.throttle.bucket.lock().cancel(&self.reservation);
        }
    }
}

impl RateLimiter for Throttle {
    fn wait(&self, deadline: Option<Instant>) -> BoxFuture<'_, Result<Duration, ThrottleError>> {
        Box::pin(async move {
            if deadline.is_some_and(|d| d <= clock::now()) {
                return Err(ThrottleError::DeadlinePassed);
            }
            let mut place = self.reserve(deadline)?;
            let wait = place.reservation.wait;
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            place.kept = true;
            Ok(wait)
        })
    }

    fn try_accept(&self) -> bool {
        let now = self.since_origin();
        self.bucket.lock().try_take(now)
    }

    fn qps(&self) -> Qps {
        self.qps
    }

    fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }
}

/// Lets everything through: for servers whose own fairness is relied on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlimited;

impl RateLimiter for Unlimited {
    fn wait(&self, deadline: Option<Instant>) -> BoxFuture<'_, Result<Duration, ThrottleError>> {
        Box::pin(async move {
            if deadline.is_some_and(|d| d <= clock::now()) {
                return Err(ThrottleError::DeadlinePassed);
            }
            Ok(Duration::ZERO)
        })
    }

    fn try_accept(&self) -> bool {
        true
    }

    fn qps(&self) -> Qps {
        Qps(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn waiting_takes_the_time_the_bucket_says() {
        let throttle = Throttle::new(Qps(5.0), Burst(1));
        let start = clock::now();
        for _ in 0..4 {
            throttle.wait(None).await.unwrap();
        }
        assert_eq!(clock::now() - start, Duration::from_millis(600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_nearer_than_the_wait_fails_at_once() {
        let throttle = Throttle::new(Qps(1.0), Burst(1));
        throttle.wait(None).await.unwrap();
        let start = clock::now();
        let error = throttle.wait(Some(start + Duration::from_millis(500))).await.unwrap_err();
        assert_eq!(error, ThrottleError::WouldExceedDeadline { needed: Duration::from_secs(1) });
        assert_eq!(clock::now(), start);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_gives_the_token_back() {
        let throttle = Arc::new(Throttle::new(Qps(1.0), Burst(1)));
        throttle.wait(None).await.unwrap();
        let waiting = tokio::spawn({
            let throttle = throttle.clone();
            async move { throttle.wait(None).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(throttle.queued(), 1);
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(throttle.queued(), 0);
        assert_eq!(throttle.wait(None).await.unwrap(), Duration::from_secs(1), "not two seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn twenty_tasks_share_one_bucket() {
        let throttle = Arc::new(Throttle::new(Qps(10.0), Burst(10)));
        let start = clock::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let throttle = throttle.clone();
            tasks.spawn(async move { throttle.wait(None).await.unwrap() });
        }
        while let Some(result) = tasks.join_next().await {
            result.unwrap();
        }
        assert_eq!(clock::now() - start, Duration::from_secs(1));
    }
}
