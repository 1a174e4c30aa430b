//! Runs in virtual time: the client's bucket with injected time, and a server that is a formula. No clock, no task.

use super::{Load, Run, Sample};
use rehearsal_client::TokenBucket;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// A server that answers everything after the same time, except while it is frozen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// From a request to its answer.
    pub service: Duration,
    /// Begin and length of a time in which nothing is answered.
    pub freeze: Option<(Duration, Duration)>,
}

impl Server {
    /// When the answer to a request is there.
    #[must_use]
    pub fn answer(&self, sent: Duration) -> Duration {
        let begun = match self.freeze {
            Some((begin, length)) if sent >= begin && sent < begin + length => begin + length,
            _ => sent,
        };
        begun + self.service
    }
}

/// Runs a load through the bucket, or past it where there is none. Callers of an open loop take turns.
#[must_use]
pub fn simulate(
    load: Load,
    duration: Duration,
    seed: u64,
    bucket: Option<TokenBucket>,
    callers: u32,
    server: Server,
) -> Run {
    let mut limiter = Limiter { bucket };
    match load {
        Load::Closed { workers, think } => closed(load, duration, &mut limiter, workers, think, server),
        _ => {
            let schedule = load.schedule(duration, seed);
            open(load, duration, &mut limiter, &schedule, callers.max(1), server)
        }
    }
}

struct Limiter {
    bucket: Option<TokenBucket>,
}

impl Limiter {
    /// When a request that arrives now is let go.
    fn admit(&mut self, now: Duration) -> Duration {
        let reserved = self.bucket.as_mut().map(|bucket| bucket.reserve(now, None));
        match reserved {
            None => now,
            Some(Ok(reservation)) => now.saturating_add(reservation.wait),
            // A bucket without room lets nothing through, ever.
            Some(Err(_)) => Duration::MAX,
        }
    }
}

fn open(
    load: Load,
    duration: Duration,
    limiter: &mut Limiter,
    schedule: &[Duration],
    callers: u32,
    server: Server,
) -> Run {
    let (mut samples, mut waiting) = (Vec::new(), Vec::new());
    for (intended, caller) in schedule.iter().zip((0..callers).cycle()) {
        let (intended, admitted) = (*intended, limiter.admit(*intended));
        if admitted < duration {
            samples.push(Sample {
                caller,
                intended,
                admitted,
                done: server.answer(admitted),
                queued: admitted > intended,
                succeeded: true,
            });
        } else {
            waiting.push(intended);
        }
    }
    Run::new(load, duration, samples, waiting)
}

fn closed(
    load: Load,
    duration: Duration,
    limiter: &mut Limiter,
    workers: usize,
    think: Duration,
    server: Server,
) -> Run {
    let (mut samples, mut waiting) = (Vec::new(), Vec::new());
    let callers = 0..u32::try_from(workers).unwrap_or(u32::MAX);
    let mut free: BinaryHeap<_> = callers.map(|caller| Reverse((Duration::ZERO, caller))).collect();
    while let Some(Reverse((intended, caller))) = free.pop() {
        if intended >= duration {
            continue;
        }
        let admitted = limiter.admit(intended);
        if admitted >= duration {
            waiting.push(intended);
            continue;
        }
        let done = server.answer(admitted);
        samples.push(Sample { caller, intended, admitted, done, queued: admitted > intended, succeeded: true });
        // Without any time between requests the run would never end.
        free.push(Reverse((done.max(intended + Duration::from_nanos(1)) + think, caller)));
    }
    Run::new(load, duration, samples, waiting)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    #[test]
    fn a_frozen_server_answers_when_it_thaws() {
        let server = Server { service: Duration::from_millis(1), freeze: Some((TEN, Duration::from_secs(1))) };
        assert_eq!(server.answer(Duration::from_secs(10)), Duration::from_millis(11_001));
        assert_eq!(server.answer(Duration::from_secs(11)), Duration::from_millis(11_001));
        assert_eq!(server.answer(Duration::ZERO), Duration::from_millis(1));
    }

    #[test]
    fn what_the_bucket_holds_back_is_counted_and_not_dropped() {
        let load = Load::Constant { rate: 20.0 };
        let run = simulate(load, TEN, 1, Some(TokenBucket::new(5.0, 10)), 4, Server::default());
        assert_eq!((run.samples.len(), run.waiting.len()), (59, 141));
        assert_eq!(run.intended().len(), 200);
        assert_eq!(run.response().count(), 200);
        assert_eq!(run.shares(), [15, 15, 15, 14]);
    }

    #[test]
    fn a_closed_loop_is_as_fast_as_its_answers() {
        let load = Load::Closed { workers: 2, think: Duration::ZERO };
        let server = Server { service: Duration::from_millis(100), freeze: None };
        let run = simulate(load, TEN, 1, None, 1, server);
        assert_eq!(run.samples.len(), 200);
        assert_eq!(run.shares(), [100, 100]);
    }

    #[test]
    fn a_bucket_without_room_lets_nothing_through() {
        let run = simulate(Load::Constant { rate: 1.0 }, TEN, 1, Some(TokenBucket::new(5.0, 0)), 1, Server::default());
        assert_eq!((run.samples.len(), run.waiting.len()), (0, 10));
    }
}
