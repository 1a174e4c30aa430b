//! Trying again what another writer spoilt.
//!
//! Counterparts: client-go `util/retry` and apimachinery `wait.Backoff`. Requests retry themselves (`rest/retry.rs`); this
//! is for a whole read-change-write, whose conflict only its caller can mend.

use crate::error::Error;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use std::time::Duration;

/// Growing waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    /// Tries in all; the waits lie between them. 0 counts as 1.
    pub steps: u32,
    /// The first wait.
    pub duration: Duration,
    /// Each wait is the last one times this; 0 counts as 1.
    pub factor: f64,
    /// Up to this part of each wait is added at random.
    pub jitter: f64,
    /// No wait is longer, jitter apart, and reaching it makes the next try the last. `None` means no limit.
    pub cap: Option<Duration>,
}

/// For conflicts between writers that do not fight. (client-go `retry.DefaultRetry`)
pub const DEFAULT_RETRY: Backoff =
    Backoff { steps: 5, duration: Duration::from_millis(10), factor: 1.0, jitter: 0.1, cap: None };

/// For conflicts between writers that do. (client-go `retry.DefaultBackoff`)
pub const DEFAULT_BACKOFF: Backoff =
    Backoff { steps: 4, duration: Duration::from_millis(10), factor: 5.0, jitter: 0.1, cap: None };

impl Backoff {
    /// The next wait, for a `chance` in `0..1`; the wait after it grows. (`wait.Backoff.Step`)
    pub fn step(&mut self, chance: f64) -> Duration {
        let now = self.duration;
        if self.steps > 0 {
            self.steps -= 1;
            let factor = if self.factor > 0.0 { self.factor } else { 1.0 };
            self.duration = Duration::try_from_secs_f64(now.as_secs_f64() * factor).unwrap_or(Duration::MAX);
            if let Some(cap) = self.cap
                && self.duration > cap
            {
                (self.duration, self.steps) = (cap, 0);
            }
        }
        let more = now.as_secs_f64() * (self.jitter * chance).max(0.0);
        now.saturating_add(Duration::try_from_secs_f64(more).unwrap_or_default())
    }
}

/// Does something until it succeeds, fails with an error that is not `retriable`, or was tried often enough.
///
/// # Errors
/// The last error.
pub async fn retry_on_error<T, F, Fut>(
    mut backoff: Backoff,
    retriable: impl Fn(&Error) -> bool,
    mut attempt: F,
) -> Result<T, Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let mut chance = SmallRng::from_os_rng();
    loop {
        match attempt().await {
            Err(error) if backoff.steps > 1 && retriable(&error) => {
                tokio::time::sleep(backoff.step(chance.random())).await;
                // A wait that reached its cap was not for nothing; client-go would not try again after it.
                backoff.steps = backoff.steps.max(1);
            }
            result => return result,
        }
    }
}

/// Does a whole read-change-write again while another writer comes in between. (client-go `retry.RetryOnConflict`)
///
/// ```no_run
/// # use rehearsal_client::{DEFAULT_RETRY, DynamicResource, Error, retry_on_conflict};
/// # async fn scale(deployments: DynamicResource) -> Result<(), Error> {
/// retry_on_conflict(DEFAULT_RETRY, || async {
///     let mut web = deployments.get("web", &Default::default(), &[]).await?;
///     web["spec"]["replicas"] = 3.into();
///     deployments.update(&web, &Default::default(), &[]).await
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The last error: the conflict, or whatever else went wrong.
pub async fn retry_on_conflict<T, F, Fut>(backoff: Backoff, attempt: F) -> Result<T, Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    retry_on_error(backoff, Error::is_conflict, attempt).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use rehearsal_apimachinery::{Status, StatusReason};
    use std::cell::Cell;

    fn refusal(code: u16, reason: StatusReason) -> Error {
        Status::failure(code, reason, "x").into()
    }

    async fn tries(backoff: Backoff, error: Error, good_after: u32) -> (Result<u32, Error>, u32, Duration) {
        let tries = Cell::new(0);
        let begun = crate::clock::now();
        let result = retry_on_conflict(backoff, || {
            tries.set(tries.get() + 1);
            let result = if tries.get() > good_after { Ok(tries.get()) } else { Err(error.clone()) };
            std::future::ready(result)
        })
        .await;
        (result, tries.get(), crate::clock::now() - begun)
    }

    #[tokio::test(start_paused = true)]
    async fn steps_count_tries_and_the_last_error_is_the_result() {
        let conflict = || refusal(409, StatusReason::Conflict);
        let (result, count, took) = tries(DEFAULT_RETRY, conflict(), 99).await;
        assert!(result.unwrap_err().is_conflict());
        assert_eq!(count, 5, "five calls, four waits");
        assert!(took >= Duration::from_millis(40) && took <= Duration::from_millis(50), "{took:?}");
        let (result, count, took) = tries(DEFAULT_BACKOFF, conflict(), 99).await;
        assert!(result.is_err() && count == 4);
        assert!(took >= Duration::from_millis(310) && took <= Duration::from_millis(350), "{took:?}");
        assert_eq!(tries(DEFAULT_RETRY, conflict(), 2).await.0.unwrap(), 3);
        assert_eq!(tries(Backoff { steps: 0, ..DEFAULT_RETRY }, conflict(), 99).await.1, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_are_final() {
        let (result, count, _) = tries(DEFAULT_RETRY, refusal(409, StatusReason::AlreadyExists), 99).await;
        assert!(result.unwrap_err().is_already_exists() && count == 1);
    }

    #[test]
    fn waits_grow_to_their_cap_and_end_there() {
        let mut backoff = Backoff {
            steps: 10,
            duration: Duration::from_secs(1),
            factor: 2.0,
            jitter: 0.5,
            cap: Some(Duration::from_secs(3)),
        };
        let waits: Vec<_> = [0.0, 1.0, 0.0, 0.0].map(|chance| backoff.step(chance).as_millis()).into();
        assert_eq!(waits, [1000, 3000, 3000, 3000]);
        assert_eq!(backoff.steps, 0);
        let mut endless = Backoff { factor: f64::MAX, ..DEFAULT_RETRY };
        endless.step(0.0);
        assert_eq!(endless.step(1.0), Duration::MAX, "no number makes it panic");
    }
}
