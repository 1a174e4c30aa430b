//! RetryWatcher: a watch that is taken up again where it broke off.
//!
//! Counterpart: client-go `tools/watch.RetryWatcher`. It ends when the resourceVersion is too old, also when the server
//! says so at connecting (client-go would ask for ever), and when the caller is not allowed to watch.

use super::{WatchEvent, WatchEventType, WatchStream};
use crate::error::Error;
use crate::retry::Backoff;
use crate::{BoxFuture, DynamicResource, clock};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use rehearsal_apimachinery::{ListOptions, ObjectMeta, Status};
use std::time::Duration;
use tokio::time::Instant;

/// client-go: starts are at least this far apart.
const SPACING: Duration = Duration::from_secs(1);

/// How the waits of client-go's reflectors grow.
pub const WATCH_BACKOFF: Backoff = Backoff {
    steps: u32::MAX,
    duration: Duration::from_millis(800),
    factor: 2.0,
    jitter: 1.0,
    cap: Some(Duration::from_secs(30)),
};

/// Starts a watch.
pub trait StartWatch: Send + Sync {
    /// A stream from the version in the options.
    ///
    /// # Errors
    /// As [`crate::Request::watch`].
    fn start<'a>(&'a self, options: &'a ListOptions) -> BoxFuture<'a, Result<WatchStream, Error>>;
}

impl StartWatch for DynamicResource {
    fn start<'a>(&'a self, options: &'a ListOptions) -> BoxFuture<'a, Result<WatchStream, Error>> {
        Box::pin(self.watch(options))
    }
}

/// A watch that survives interruptions.
pub struct RetryWatcher<S> {
    source: S,
    options: ListOptions,
    show_bookmarks: bool,
    stream: Option<WatchStream>,
    started: Option<Instant>,
    /// Not to be started again before.
    not_before: Option<Instant>,
    /// The waits after failures, and how far they have grown since the last event.
    backoff: Option<Backoff>,
    grown: Option<Backoff>,
    chance: SmallRng,
    done: bool,
}

impl<S: StartWatch> RetryWatcher<S> {
    /// Watches from the version in the options.
    ///
    /// # Errors
    /// A version that is empty or `0`: such a watch could not be taken up again.
    pub fn try_new(source: S, options: ListOptions) -> Result<Self, Error> {
        if matches!(options.resource_version.as_str(), "" | "0") {
            let fault = format!(
                "initial resourceVersion {:?} is not supported due to issues with underlying WATCH",
                options.resource_version
            );
            return Err(Error::Request(fault));
        }
        let options = ListOptions { allow_watch_bookmarks: true, watch: true, ..options };
        Ok(Self {
            source,
            options,
            show_bookmarks: false,
            stream: None,
            started: None,
            not_before: None,
            backoff: None,
            grown: None,
            chance: SmallRng::from_os_rng(),
            done: false,
        })
    }

    /// Lets the waits after failures grow, until an event comes; [`WATCH_BACKOFF`] has client-go's numbers for informers.
    /// Without it, starts are a second apart, as in client-go.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Hands bookmarks out too; client-go hides them.
    #[must_use]
    pub fn show_bookmarks(mut self) -> Self {
        self.show_bookmarks = true;
        self
    }

    /// The version up to which everything was seen.
    #[must_use]
    pub fn resource_version(&self) -> &str {
        &self.options.resource_version
    }

    /// The next event; `None` at the end. Cancel safe.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        while !self.done {
            let Some(stream) = &mut self.stream else {
                if let Some(last) = self.start().await {
                    return Some(last);
                }
                continue;
            };
            match stream.next().await {
                Some(event) => {
                    if let Some(event) = self.take(event) {
                        return Some(event);
                    }
                }
                None => self.stream = None,
            }
        }
        None
    }

    /// Watches until an event fits, and gives it. Counterpart: `Until` with one condition.
    ///
    /// # Errors
    /// [`Error::WatchClosed`] when the watch cannot go on; the first error of `fits`.
    pub async fn until(
        &mut self,
        mut fits: impl FnMut(&WatchEvent) -> Result<bool, Error>,
    ) -> Result<WatchEvent, Error> {
        while let Some(event) = self.next().await {
            if fits(&event)? {
                return Ok(event);
            }
        }
        Err(Error::WatchClosed)
    }

    /// Connects; an event is the last one.
    async fn start(&mut self) -> Option<WatchEvent> {
        let spaced = self.started.map(|at| at + SPACING);
        if let Some(at) = spaced.max(self.not_before) {
            tokio::time::sleep_until(at).await;
        }
        self.not_before = None;
        self.started = Some(clock::now());
        match self.source.start(&self.options).await {
            Ok(stream) => {
                self.stream = Some(stream);
                None
            }
            Err(error) => {
                let hopeless = error.is_unauthorized() || error.is_forbidden() || error.is_gone() || error.is_expired();
                if let Some(status) = error.status().filter(|_| hopeless) {
                    return Some(self.end(status));
                }
                tracing::debug!(target: "client::watch", %error, "watch not started, trying again");
                self.delay(&error);
                None
            }
        }
    }

    fn delay(&mut self, error: &Error) {
        let grown = self.backoff.as_ref().map(|backoff| {
            let chance = self.chance.random();
            self.grown.get_or_insert_with(|| backoff.clone()).step(chance)
        });
        self.not_before = error.retry_after().max(grown).and_then(|wait| clock::now().checked_add(wait));
    }

    fn end(&mut self, status: &Status) -> WatchEvent {
        self.done = true;
        self.stream = None;
        WatchEvent::error(status)
    }

    /// What the consumer sees of an event.
    fn take(&mut self, event: WatchEvent) -> Option<WatchEvent> {
        if event.kind == WatchEventType::Error {
            let Some(status) = event.status() else {
                return Some(self.end(&Status::internal_error("the ERROR event carries no Status")));
            };
            if status.code == 410 {
                self.done = true;
                self.stream = None;
                return Some(event);
            }
            tracing::debug!(target: "client::watch", %status, "watch failed, taking it up again");
            self.stream = None;
            self.delay(&status.into());
            return None;
        }
        let version = event.object.resource_version();
        if version.is_empty() {
            return Some(self.end(&Status::internal_error("the event carries no resourceVersion")));
        }
        version.clone_into(&mut self.options.resource_version);
        self.grown = None;
        (event.kind != WatchEventType::Bookmark || self.show_bookmarks).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::Codecs;
    use crate::transport::Body;
    use parking_lot::Mutex;
    use rehearsal_apimachinery::StatusReason;
    use serde_json::json;
    use std::collections::VecDeque;

    /// Streams of text, or refusals, in order; notes the versions asked for and when.
    struct Script {
        steps: Mutex<VecDeque<Result<String, Error>>>,
        asked: Mutex<Vec<(String, u64)>>,
        begun: Instant,
    }

    impl Script {
        fn new(steps: impl IntoIterator<Item = Result<String, Error>>) -> Self {
            let steps = Mutex::new(steps.into_iter().collect());
            Self { steps, asked: Mutex::default(), begun: clock::now() }
        }
    }

    impl StartWatch for &Script {
        fn start<'a>(&'a self, options: &'a ListOptions) -> BoxFuture<'a, Result<WatchStream, Error>> {
            let at = (clock::now() - self.begun).as_secs();
            self.asked.lock().push((options.resource_version.clone(), at));
            let step = self.steps.lock().pop_front().expect("one more start than the script has steps");
            let stream = step.and_then(|text| {
                WatchStream::new(Body::from(bytes::Bytes::from(text)), "application/json", Codecs::default())
            });
            Box::pin(std::future::ready(stream))
        }
    }

    fn event(kind: &str, version: &str) -> String {
        json!({"type": kind, "object": {"kind": "Pod", "metadata": {"resourceVersion": version}}}).to_string()
    }

    fn failure(status: &Status) -> String {
        serde_json::to_string(&WatchEvent::error(status)).unwrap()
    }

    async fn all(script: &Script) -> Vec<String> {
        let mut watcher = RetryWatcher::try_new(script, ListOptions::default().resource_version("1")).unwrap();
        let mut seen = Vec::new();
        while let Some(event) = watcher.next().await {
            seen.push(event.kind.to_string());
        }
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_stream_is_taken_up_at_the_last_version_a_second_later() {
        let gone = Status::expired("too old");
        let script = Script::new([
            Ok(event("ADDED", "2") + &event("BOOKMARK", "5")),
            Ok(event("MODIFIED", "6")),
            Ok(failure(&gone)),
        ]);
        assert_eq!(all(&script).await, ["ADDED", "MODIFIED", "ERROR"]);
        assert_eq!(*script.asked.lock(), [("1".to_owned(), 0), ("5".to_owned(), 1), ("6".to_owned(), 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_are_waited_out_as_long_as_they_ask() {
        let busy = Status::too_many_requests("busy", 7);
        let script = Script::new([Ok(failure(&busy)), Err(busy.into()), Ok(failure(&Status::expired("x")))]);
        assert_eq!(all(&script).await, ["ERROR"]);
        let times: Vec<_> = script.asked.lock().iter().map(|(_, at)| *at).collect();
        assert_eq!(times, [0, 7, 14]);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_after_failures_grow_until_an_event_comes() {
        let broken = || Err(Status::internal_error("x").into());
        let script = Script::new([
            broken(),
            broken(),
            broken(),
            Ok(event("ADDED", "2")),
            broken(),
            Ok(failure(&Status::expired("x"))),
        ]);
        let backoff = Backoff { duration: Duration::from_secs(2), jitter: 0.0, ..WATCH_BACKOFF };
        let options = ListOptions::default().resource_version("1");
        let mut watcher = RetryWatcher::try_new(&script, options).unwrap().backoff(backoff);
        while watcher.next().await.is_some() {}
        let times: Vec<_> = script.asked.lock().iter().map(|(_, at)| *at).collect();
        assert_eq!(times, [0, 2, 6, 14, 15, 17]);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_that_no_retry_mends_end_it() {
        for status in [
            Status::unauthorized(),
            Status::failure(403, StatusReason::Forbidden, "x"),
            Status::expired("x"),
            Status::failure(410, StatusReason::Gone, "x"),
        ] {
            assert_eq!(all(&Script::new([Err(status.into())])).await, ["ERROR"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_may_come_after_an_interruption() {
        let script =
            Script::new([Ok(event("ADDED", "2")), Ok(event("MODIFIED", "3")), Ok(failure(&Status::expired("x")))]);
        let mut watcher = RetryWatcher::try_new(&script, ListOptions::default().resource_version("1")).unwrap();
        let found = watcher.until(|e| Ok(e.kind == WatchEventType::Modified)).await.unwrap();
        assert_eq!(found.object.resource_version(), "3");
        assert!(matches!(watcher.until(|_| Ok(false)).await.unwrap_err(), Error::WatchClosed));
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_without_a_version_ends_it() {
        assert_eq!(all(&Script::new([Ok(event("ADDED", ""))])).await, ["ERROR"]);
    }

    #[test]
    fn a_start_that_cannot_be_repeated_is_refused() {
        for version in ["", "0"] {
            let script = Script { steps: Mutex::default(), asked: Mutex::default(), begun: Instant::now() };
            assert!(RetryWatcher::try_new(&script, ListOptions::default().resource_version(version)).is_err());
        }
    }
}
