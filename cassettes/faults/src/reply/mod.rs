//! Answers that a fault gives in the server's place: which refusal, and its exact bytes.
//!
//! Texts, members and headers are those measured on kube-apiserver 1.36. The status, headers and body are made by
//! [`Reply::render`] at the moment of the answer, because many of them quote the request or the store.

mod render;
mod retry_after;

use serde::{Deserialize, Serialize};

pub use self::retry_after::RetryAfter;
use crate::facts::RequestFacts;

/// A refusal, and what its `Retry-After` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Which refusal.
    pub case: Case,
    /// The header; where the body repeats it (`details.retryAfterSeconds`), the body follows.
    pub retry_after: RetryAfter,
}

/// Which refusal of the server a [`Reply`] is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Case {
    /// 429 of the max-in-flight filter: text, no priority-and-fairness headers.
    TooManyInflight,
    /// 429 of priority and fairness: text, with the uids of the flow schema and the priority level.
    ApfReject {
        /// `X-Kubernetes-Pf-Flowschema-Uid`.
        flow_schema: String,
        /// `X-Kubernetes-Pf-Prioritylevel-Uid`.
        priority_level: String,
    },
    /// 429 of a watch cache that is not ready: JSON.
    CacheNotReady,
    /// 429 of a server that shuts down and asks to be retried: text, closes the connection.
    ShutdownRetry,
    /// 503 of a server whose shutdown has closed the wait group: JSON, two newlines.
    ShuttingDown,
    /// 503 at start-up, while paths are still being installed.
    PathsNotInstalled,
    /// 504 of the request timeout filter: JSON without kind, labelled `text/plain`.
    RequestTimeout,
    /// 504 of the deadline of a write: JSON.
    WriteDeadline,
    /// 504 for a resourceVersion from the future: JSON with a cause.
    FutureRevision,
    /// 410 of a list at a compacted resourceVersion.
    ListExpired,
    /// 410 of a continue token that is too old; with a fresh token when the store gives one.
    ContinueExpired,
    /// 410 as a watch's ERROR frame says it, or as the body of an HTTP 410.
    WatchExpired,
    /// 409: the object has been modified.
    Conflict,
    /// 409: the object is there already.
    AlreadyExists,
    /// 409: the uid of the precondition is not that of the object.
    UidMismatch,
    /// 409 of server-side apply: another manager owns a field.
    ApplyConflict {
        /// The other manager.
        manager: String,
        /// The field, such as `.spec.replicas`.
        field: String,
    },
    /// 404: no such object.
    NotFound,
    /// 410: the object was there and is not any more.
    Gone,
    /// 500 that is no API error: storage texts such as `etcdserver: leader changed`.
    Storage(String),
    /// 500 ServerTimeout: the storage cannot be reached.
    ServerTimeout,
    /// 500 InternalError with this cause.
    Internal(String),
    /// 500 of a panicking handler: text.
    Panic,
    /// 503 of an aggregated server that is down: text.
    AggregatedUnavailable,
    /// 503 of a proxied backend that does not answer the dial: text that ends in this cause.
    DialError(String),
    /// 401.
    Unauthorized,
    /// 403 of RBAC, quoting user, verb and resource.
    Forbidden,
    /// 500: a webhook did not answer in time.
    WebhookTimeout {
        /// Name of the webhook.
        webhook: String,
        /// The URL it was called at.
        url: String,
    },
    /// 400: a webhook said no.
    WebhookDenied {
        /// Name of the webhook.
        webhook: String,
        /// What it said.
        message: String,
    },
    /// 400 BadRequest with this text.
    BadRequest(String),
    /// 405.
    MethodNotAllowed,
    /// 406 of a built-in route.
    NotAcceptable,
    /// 413 at the body limit of 3 MiB.
    TooLarge,
    /// 415 of a write.
    UnsupportedMediaType,
    /// 422 with this message, and neither field nor cause.
    Invalid(String),
    /// 431 of Go's server: text that closes the connection on HTTP/1.1, a page on HTTP/2.
    HeadersTooLarge,
    /// What a load balancer says: an HTML page, or nothing when `html` is false.
    Gateway {
        /// 502, 503 or 504.
        status: u16,
        /// Whether there is a page.
        html: bool,
    },
    /// Written out in the plan.
    Custom {
        /// HTTP status code.
        status: u16,
        /// Content-Type; empty for none.
        content_type: String,
        /// Headers, in order.
        headers: Vec<(String, String)>,
        /// The body as sent; a generic `Status` when `None`.
        body: Option<String>,
    },
}

/// What the store and the clock show while an answer is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreFacts<'a> {
    /// The newest revision.
    pub current: u64,
    /// The oldest revision that can still be watched.
    pub oldest: u64,
    /// A continue token for the rest of the list at the newest revision; empty for none.
    pub fresh_continue: &'a str,
    /// Uid of the object in question.
    pub uid: &'a str,
    /// The uid that the request insists on.
    pub wanted_uid: &'a str,
    /// The server's wall clock, seconds since 1970.
    pub unix_seconds: u64,
}

/// A whole HTTP answer. `Content-Length`, `Date` and `Audit-Id` are left to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// Headers in the order of sending, names in canonical case.
    pub headers: Vec<(&'static str, String)>,
    /// Headers that the plan wrote out.
    pub extra_headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The first value of a header, by case-insensitive name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let fixed = self.headers.iter().map(|(key, value)| (*key, value.as_str()));
        let extra = self.extra_headers.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        fixed.chain(extra).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Reply {
    /// A refusal with the `Retry-After` that the real server gives it.
    #[must_use]
    pub fn new(case: Case) -> Self {
        let retry_after = render::usual_retry_after(&case).map_or(RetryAfter::Absent, RetryAfter::Seconds);
        Self { case, retry_after }
    }

    /// The same refusal with another `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, retry_after: RetryAfter) -> Self {
        self.retry_after = retry_after;
        self
    }

    /// The HTTP status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        render::status(&self.case)
    }

    /// The whole answer to `request`.
    #[must_use]
    pub fn render(&self, request: &RequestFacts<'_>, store: &StoreFacts<'_>) -> Answer {
        render::answer(self, request, store)
    }

    /// The same refusal as the frame of a JSON watch, newline included (what W1 and W2 send).
    #[must_use]
    pub fn render_frame(&self, request: &RequestFacts<'_>, store: &StoreFacts<'_>) -> String {
        render::frame(self, request, store)
    }
}

#[cfg(test)]
mod tests;
