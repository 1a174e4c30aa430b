//! Runs on the wall clock: the client against a server, open loop and closed loop.
//!
//! Every request has a limiter of its own that only notes when the shared one let it go, so that waiting for the limiter
//! and waiting for the server are told apart on the client's real path.

use super::{Load, Run, Sample};
use parking_lot::Mutex;
use rehearsal_client::{BoxFuture, Qps, RateLimiter, RestClient, ThrottleError};
use rehearsal_fakeserver::access::Journal;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What is asked, of whom, past which limiter.
#[derive(Clone)]
pub struct Target {
    /// The client; its own limiter is not used.
    pub client: RestClient,
    /// The path of the GET.
    pub path: String,
    /// The limiter that all requests share; `None` for none.
    pub limiter: Option<Arc<dyn RateLimiter>>,
}

/// Notes when the shared limiter let its one request go.
struct Noted {
    shared: Option<Arc<dyn RateLimiter>>,
    /// When that was, and whether the request had to wait.
    went: Mutex<Option<(Instant, bool)>>,
}

impl RateLimiter for Noted {
    fn wait(&self, deadline: Option<Instant>) -> BoxFuture<'_, Result<Duration, ThrottleError>> {
        Box::pin(async move {
            let waited = match &self.shared {
                Some(shared) => shared.wait(deadline).await?,
                None => Duration::ZERO,
            };
            // A retry waits again; the first time is the one that counts.
            self.went.lock().get_or_insert_with(|| (Instant::now(), !waited.is_zero()));
            Ok(waited)
        })
    }

    fn try_accept(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| shared.try_accept())
    }

    fn qps(&self) -> Qps {
        self.shared.as_ref().map_or(Qps(0.0), |shared| shared.qps())
    }
}

impl Target {
    /// Sends one request. `None` when the limiter refused it.
    async fn ask(&self, caller: u32, begin: Instant, intended: Duration) -> Option<Sample> {
        let noted = Arc::new(Noted { shared: self.limiter.clone(), went: Mutex::new(None) });
        let request = self.client.get().abs_path(&[&self.path]).throttle(Some(noted.clone()));
        let answer = request.send().await;
        let done = begin.elapsed();
        let (went, queued) = (*noted.went.lock())?;
        let admitted = went.saturating_duration_since(begin);
        let succeeded = answer.is_ok_and(|answer| answer.status_code().is_success());
        Some(Sample { caller, intended, admitted, done, queued, succeeded })
    }
}

/// Sends requests when the load means them to start, whatever became of those before. `tick` hears of every answer.
/// Requests that still wait for the limiter at the end are given up and counted.
pub async fn open_loop(
    target: &Target,
    load: Load,
    duration: Duration,
    seed: u64,
    callers: u32,
    tick: impl Fn(),
) -> Run {
    let schedule = load.schedule(duration, seed);
    let begin = Instant::now();
    let end = begin + duration;
    let mut tasks = JoinSet::new();
    let mut samples = Vec::new();
    for (intended, caller) in schedule.iter().zip((0..callers.max(1)).cycle()) {
        let (intended, target) = (*intended, target.clone());
        let start = tokio::time::sleep_until(begin + intended);
        tokio::pin!(start);
        loop {
            tokio::select! {
                () = &mut start => break,
                Some(done) = tasks.join_next() => take(done, &mut samples, &tick),
            }
        }
        tasks.spawn(async move { target.ask(caller, begin, intended).await });
    }
    finish(&mut tasks, end, &mut samples, &tick).await;
    let waiting = left_waiting(&schedule, &samples);
    Run::new(load, duration, samples, waiting)
}

/// Workers that ask, wait for the answer, think, and ask again.
pub async fn closed_loop(
    target: &Target,
    workers: usize,
    think: Duration,
    duration: Duration,
    tick: impl Fn() + Clone + Send + 'static,
) -> Run {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for caller in 0..u32::try_from(workers).unwrap_or(u32::MAX) {
        let (target, tick) = (target.clone(), tick.clone());
        tasks.spawn(async move { work(&target, caller, begin, think, duration, tick).await });
    }
    let (mut samples, mut waiting) = (Vec::new(), Vec::new());
    while let Some(found) = tasks.join_next().await {
        if let Ok((done, waits)) = found {
            samples.extend(done);
            waiting.extend(waits);
        }
    }
    Run::new(Load::Closed { workers, think }, duration, samples, waiting)
}

/// One worker's requests, and the intended start of the one that the end cut off.
async fn work(
    target: &Target,
    caller: u32,
    begin: Instant,
    think: Duration,
    duration: Duration,
    tick: impl Fn(),
) -> (Vec<Sample>, Option<Duration>) {
    let mut samples = Vec::new();
    loop {
        let intended = begin.elapsed();
        if intended >= duration {
            return (samples, None);
        }
        match tokio::time::timeout_at(begin + duration, target.ask(caller, begin, intended)).await {
            Ok(Some(sample)) => samples.push(sample),
            Ok(None) => tokio::task::yield_now().await,
            Err(_) => return (samples, Some(intended)),
        }
        tick();
        if !think.is_zero() {
            tokio::time::sleep(think).await;
        }
    }
}

/// When the requests in a server's journal arrived, in order, counted from the first.
#[must_use]
pub fn received(journal: &Journal) -> Vec<Duration> {
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let mut times: Vec<_> = journal.entries().iter().filter_map(|entry| time(&entry.time)).collect();
    times.sort();
    let Some(begin) = times.first().copied() else { return Vec::new() };
    times.into_iter().map(|at| Duration::try_from(at - begin).unwrap_or_default()).collect()
}

type Joined = Result<Option<Sample>, tokio::task::JoinError>;

#[allow(clippy::needless_pass_by_value, reason = "what was joined ends here")]
fn take(done: Joined, samples: &mut Vec<Sample>, tick: &impl Fn()) {
    if let Ok(Some(sample)) = done {
        samples.push(sample);
        tick();
    }
}

/// Waits for the answers that are still to come, until the end of the run.
async fn finish(tasks: &mut JoinSet<Option<Sample>>, end: Instant, samples: &mut Vec<Sample>, tick: &impl Fn()) {
    while let Ok(Some(done)) = tokio::time::timeout_at(end, tasks.join_next()).await {
        take(done, samples, tick);
    }
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
}

/// Intended starts without a sample.
fn left_waiting(schedule: &[Duration], samples: &[Sample]) -> Vec<Duration> {
    let mut answered: Vec<_> = samples.iter().map(|s| s.intended).collect();
    answered.sort();
    let mut answered = answered.into_iter().peekable();
    schedule.iter().copied().filter(|at| answered.next_if_eq(at).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_answer_is_left_waiting() {
        let ms = Duration::from_millis;
        let sample =
            |at| Sample { caller: 0, intended: ms(at), admitted: ms(at), done: ms(at), queued: false, succeeded: true };
        let left = left_waiting(&[ms(1), ms(1), ms(2), ms(3)], &[sample(3), sample(1)]);
        assert_eq!(left, [ms(1), ms(2)]);
    }
}
