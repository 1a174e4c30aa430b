//! Whether a failed attempt is made again, and when: a pure decision table.
//!
//! Counterpart: client-go `rest/with_retry.go`. The rules are those of client-go 1.36 unless [`RetryOptions`] says
//! otherwise; sleeping, throttling and sending are `send.rs`.

use crate::error::{TransportError, TransportKind};
use http::{Method, StatusCode};
use std::fmt;
use std::time::Duration;

/// How a request was sent; the three have different rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `Do` and `DoRaw`: one answer, read to its end.
    Do,
    /// `Stream`: a body handed out as it comes.
    Stream,
    /// `Watch`: a stream of events.
    Watch,
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// An answer with its status, its `Retry-After` and, for the reason, its flow schema.
    Answered {
        /// HTTP status.
        status: StatusCode,
        /// The header as received.
        retry_after: Option<&'a str>,
        /// `X-Kubernetes-PF-FlowSchema-UID`
        flow_schema: Option<&'a str>,
    },
    /// No answer.
    Failed(&'a TransportError),
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// This is the result.
    Done,
    /// Try again after this long, or longer if the backoff manager says so.
    Again {
        /// Smallest wait.
        after: Duration,
        /// Why.
        reason: RetryReason,
    },
}

/// Why a request is sent once more; told in logs and to the limiter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryReason {
    /// Number of the retry, from 1.
    pub retry: u32,
    /// The wait.
    pub after: Duration,
    /// In words.
    pub why: String,
}

impl fmt::Display for RetryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "retries: {}, retry-after: {:?} - retry-reason: {}", self.retry, self.after, self.why)
    }
}

/// Which rules hold. The default is client-go's; each field that differs from it fixes a known defect.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryOptions {
    /// Retries after the first attempt. Default 10 (client-go `rest/request.go`).
    pub max_retries: u32,
    /// Accept `Retry-After` as an HTTP date too.
    pub accept_dates: bool,
    /// No wait is longer than this.
    pub longest_wait: Option<Duration>,
    /// No wait is shorter than this; client-go busily repeats after `Retry-After: 0`.
    pub shortest_wait: Duration,
    /// Part of the wait, 0 to 1, that is added at random.
    pub jitter: f64,
    /// Retry any verb whose request provably never left: refused connections, failed handshakes.
    pub retry_unsent: bool,
    /// Retry a GET whose answer broke off.
    pub retry_truncated: bool,
    /// Tell a write that has failed and may have taken place as [`Error::UnknownOutcome`], and never repeat it. client-go
    /// repeats one that is answered 5xx with `Retry-After`, and gives all other failures as they are.
    ///
    /// [`Error::UnknownOutcome`]: crate::Error::UnknownOutcome
    pub tell_unknown_outcomes: bool,
    /// One classification of lost HTTP/2 connections for all entries, and exhausted watches return their error.
    pub same_rules_for_watch: bool,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            max_retries: 10,
            accept_dates: false,
            longest_wait: None,
            shortest_wait: Duration::ZERO,
            jitter: 0.0,
            retry_unsent: false,
            retry_truncated: false,
            tell_unknown_outcomes: false,
            same_rules_for_watch: false,
        }
    }
}

impl RetryOptions {
    /// Every known defect of client-go's rules mended. The jitter makes the waits of many clients scatter by more than a
    /// tenth (σ/µ of `1 + U(0, j)` is `j/√12 / (1 + j/2)`), and the shortest wait spreads all ten retries over more than
    /// a second.
    #[must_use]
    pub fn improved() -> Self {
        Self {
            accept_dates: true,
            longest_wait: Some(Duration::from_secs(60)),
            shortest_wait: Duration::from_millis(100),
            jitter: 0.6,
            retry_unsent: true,
            retry_truncated: true,
            tell_unknown_outcomes: true,
            same_rules_for_watch: true,
            ..Self::default()
        }
    }

    /// The loop of client-go before 1.22: ten attempts in all.
    #[must_use]
    pub fn legacy() -> Self {
        Self { max_retries: 9, ..Self::default() }
    }
}

/// The retries of one call.
#[derive(Clone, Debug)]
pub struct Retries {
    options: RetryOptions,
    entry: Entry,
    method: Method,
    replayable: bool,
    made: u32,
    previous: Option<String>,
    current: Option<String>,
}

/// An error without an answer is waited for as if the server had said one second.
const ERROR_WAIT: Duration = Duration::from_secs(1);

impl Retries {
    /// Nothing has been sent yet. `replayable` is false for bodies that can be read only once.
    #[must_use]
    pub fn new(options: RetryOptions, entry: Entry, method: Method, replayable: bool) -> Self {
        Self { options, entry, method, replayable, made: 0, previous: None, current: None }
    }

    /// Retries decided upon so far.
    #[must_use]
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Whether the body is read to its end before anything is handed out.
    #[must_use]
    pub fn is_for_single_answer(&self) -> bool {
        self.entry == Entry::Do
    }

    /// Decides about an attempt. `now` is the calendar time, for `Retry-After` dates; `chance` is in `0..1`.
    pub fn decide(&mut self, outcome: Outcome<'_>, now: jiff::Timestamp, chance: f64) -> Decision {
        let found = match outcome {
            Outcome::Failed(error) => {
                self.remember(Some(error.to_string()));
                self.is_retryable(error).then(|| (ERROR_WAIT, error.to_string()))
            }
            Outcome::Answered { status, retry_after, flow_schema } => {
                self.remember(None);
                self.wait_of(status, retry_after, now).map(|wait| (wait, reason_of(status, flow_schema)))
            }
        };
        match found {
            Some(_) if self.is_outcome_unknown(outcome) => Decision::Done,
            Some((wait, why)) if self.replayable && self.made < self.options.max_retries => {
                self.made += 1;
                let after = self.shape(wait, chance);
                Decision::Again { after, reason: RetryReason { retry: self.made, after, why } }
            }
            _ => Decision::Done,
        }
    }

    /// Whether a write may have taken place although it failed so, and this is to be told. The server turns away with 429
    /// what it has not looked at; 5xx may come from behind a commit.
    #[must_use]
    pub fn is_outcome_unknown(&self, outcome: Outcome<'_>) -> bool {
        let writes = !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        self.options.tell_unknown_outcomes
            && writes
            && match outcome {
                Outcome::Answered { status, .. } => status.is_server_error(),
                Outcome::Failed(error) => !error.is_unsent(),
            }
    }

    /// Whether this entry retries this error at all, attempts left or not.
    #[must_use]
    pub fn is_retryable(&self, error: &TransportError) -> bool {
        // A refused stream goes again in Go's transport already, whatever the verb.
        let refused = error.kind() == TransportKind::RefusedStream && self.entry != Entry::Stream;
        if refused || self.options.retry_unsent && error.is_unsent() {
            return true;
        }
        let lost = error.kind() == TransportKind::ConnectionLost;
        match self.entry {
            Entry::Do => self.method == Method::GET && (error.is_probable_eof() || lost),
            Entry::Watch => {
                error.is_probable_eof() || error.is_timeout() || (lost && self.options.same_rules_for_watch)
            }
            Entry::Stream => false,
        }
    }

    /// Whether a body that broke off is asked for again; never in client-go.
    pub fn decide_truncated(&mut self, error: &TransportError, now: jiff::Timestamp, chance: f64) -> Decision {
        if !self.options.retry_truncated {
            return Decision::Done;
        }
        self.decide(Outcome::Failed(error), now, chance)
    }

    /// Whether an exhausted watch reports its error; client-go gives an empty watch.
    #[must_use]
    pub fn hides_exhaustion(&self) -> bool {
        self.entry == Entry::Watch && !self.options.same_rules_for_watch
    }

    /// An earlier attempt's error, if it reads differently from the one that ended the call. Streams tell none.
    #[must_use]
    pub fn previous(&self, last: &str) -> Option<&str> {
        if self.entry == Entry::Stream {
            return None;
        }
        self.previous.as_deref().filter(|p| *p != last)
    }

    /// Notes an error that ended the wait for a retry.
    pub fn remember(&mut self, error: Option<String>) {
        if self.current.is_some() {
            self.previous = self.current.take();
        }
        self.current = error;
    }

    fn wait_of(&self, status: StatusCode, retry_after: Option<&str>, now: jiff::Timestamp) -> Option<Duration> {
        if status != StatusCode::TOO_MANY_REQUESTS && status.as_u16() < 500 {
            return None;
        }
        let text = retry_after?;
        if let Ok(seconds) = text.parse::<i64>() {
            return Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
        }
        if !self.options.accept_dates {
            return None;
        }
        let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Some(Duration::try_from(date - now).unwrap_or(Duration::ZERO))
    }

    fn shape(&self, wait: Duration, chance: f64) -> Duration {
        let wait = wait.max(self.options.shortest_wait);
        let jitter = (self.options.jitter * chance).clamp(0.0, 1.0);
        let more = Duration::try_from_secs_f64(wait.as_secs_f64() * jitter).unwrap_or(Duration::ZERO);
        let wait = wait.saturating_add(more);
        self.options.longest_wait.map_or(wait, |longest| wait.min(longest))
    }
}

fn reason_of(status: StatusCode, flow_schema: Option<&str>) -> String {
    if status == StatusCode::TOO_MANY_REQUESTS {
        return format!("due to server-side throttling, FlowSchema UID: {:?}", flow_schema.unwrap_or_default());
    }
    status.as_u16().to_string()
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
