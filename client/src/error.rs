//! The crate's error, and the predicates by which callers branch.
//!
//! Counterparts: apimachinery `api/errors` (`IsNotFound`, `ReasonForError`, …) and the error classes of `util/net`.
//! What makes a response an error is decided in `rest/response.rs`; here it is only named.

use crate::config::ConfigError;
use crate::discovery::{GroupDiscoveryFailed, MappingError};
use bytes::Bytes;
use rehearsal_apimachinery::{GroupVersion, Status, StatusCause, StatusReason};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What went wrong between a call and its answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request could not be built; nothing was sent.
    #[error("build request: {0}")]
    Request(String),
    /// The server answered with a refusal.
    #[error(transparent)]
    Status(Box<StatusError>),
    /// No answer arrived.
    #[error("{action}: {source}")]
    Transport {
        /// Method and URL.
        action: String,
        /// What happened.
        source: TransportError,
    },
    /// An answer began, and its body broke off.
    #[error("read response body of {action}: {source}")]
    Body {
        /// Method and URL.
        action: String,
        /// What happened.
        source: TransportError,
    },
    /// The client's own rate limiter would have kept the request past its deadline; nothing was sent.
    #[error("client rate limiter: {0}")]
    Throttled(ThrottleError),
    /// The caller's deadline passed.
    #[error("{0}: deadline exceeded")]
    DeadlineExceeded(String),
    /// A body arrived that cannot be read as what was asked for.
    #[error("decode response: {0}")]
    Decode(DecodeError),
    /// The configuration does not make a client.
    #[error("configuration: {0}")]
    Config(ConfigError),
    /// The pod's side of a forwarded port reports a failure.
    #[error("forward port {port}: {message}")]
    PortForward {
        /// Port of the pod.
        port: u16,
        /// As reported.
        message: String,
    },
    /// A watch ended before it showed what was waited for. (client-go `watchtools.ErrWatchClosed`)
    #[error("watch closed before the condition was met")]
    WatchClosed,
    /// Some group-versions could not be discovered.
    #[error(transparent)]
    Discovery(GroupDiscoveryFailed),
    /// The server knows the version, and only old things about it.
    #[error("stale GroupVersion discovery: {0}")]
    StaleDiscovery(GroupVersion),
    /// A write has failed and may have taken place all the same; see [`RetryOptions::tell_unknown_outcomes`] and
    /// [`DynamicResource::read_back`]. The predicates look at the cause.
    ///
    /// [`RetryOptions::tell_unknown_outcomes`]: crate::RetryOptions::tell_unknown_outcomes
    /// [`DynamicResource::read_back`]: crate::DynamicResource::read_back
    #[error("outcome unknown: {cause}")]
    UnknownOutcome {
        /// What kept the client from knowing.
        #[source]
        cause: Box<Error>,
    },
    /// A kind or resource has no match, or too many.
    #[error(transparent)]
    Mapping(MappingError),
    /// The last error, with the text of an earlier, different one.
    #[error("{current} - error from a previous attempt: {previous}")]
    AfterRetries {
        /// The error that ended the request.
        #[source]
        current: Box<Error>,
        /// An earlier attempt's text.
        previous: String,
    },
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(StatusError { status, body: Bytes::new() }))
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<MappingError> for Error {
    fn from(error: MappingError) -> Self {
        Self::Mapping(error)
    }
}

/// A refusal: the whole `Status`, and the body it came in.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusError {
    /// The wire value, or the generic one made from the HTTP code.
    pub status: Status,
    /// The body as received.
    pub body: Bytes,
}

impl fmt::Debug for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusError").field("status", &self.status).field("body_bytes", &self.body.len()).finish()
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.status.message.is_empty() {
            return write!(f, "the server answered {}", self.status.code);
        }
        f.write_str(&self.status.message)
    }
}

impl std::error::Error for StatusError {}

/// Why the rate limiter did not let a request through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThrottleError {
    /// The wait would end after the deadline.
    #[error("a wait of {needed:?} would exceed the deadline")]
    WouldExceedDeadline {
        /// How long the wait would be.
        needed: Duration,
    },
    /// The deadline had passed already.
    #[error("deadline exceeded")]
    DeadlinePassed,
    /// A limiter of the caller's own refused.
    #[error("{0}")]
    Refused(String),
}

/// Why a body is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A success without a body.
    #[error("the body has zero length (status {code})")]
    Empty {
        /// HTTP status.
        code: u16,
    },
    /// No codec serves this media type.
    #[error("no serializer for content type {content_type:?}")]
    NoSerializer {
        /// As received.
        content_type: String,
    },
    /// The codec refused the bytes.
    #[error("{media_type}: {message}")]
    Malformed {
        /// Media type of the codec.
        media_type: String,
        /// What it said.
        message: String,
    },
    /// The object is of another kind than the one asked for.
    #[error("expected {expected}, received {received}")]
    KindMismatch {
        /// `apiVersion, Kind` asked for.
        expected: String,
        /// `apiVersion, Kind` received.
        received: String,
    },
}

/// What kind of trouble the wire had; retry decisions read nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// Nobody listens there.
    Refused,
    /// The name did not resolve.
    Dns,
    /// The name did not resolve in time.
    DnsTimeout,
    /// Another failure to connect.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The proxy refused.
    Proxy,
    /// The peer reset the connection.
    Reset,
    /// The connection ended before the answer did.
    Eof,
    /// Writing hit a broken connection.
    BrokenWrite,
    /// The connection was closed under the request.
    Closed,
    /// HTTP/2: the server announced that it is going away.
    GoAway,
    /// HTTP/2: the server refused the stream before it looked at the request.
    RefusedStream,
    /// HTTP/2: pings stayed unanswered.
    ConnectionLost,
    /// A timeout of the client's own.
    Timeout,
    /// The caller's deadline passed while waiting for bytes.
    Deadline,
    /// Too many redirects, or one without a target.
    Redirect,
    /// The server did not switch to the protocol it was asked for.
    Upgrade,
    /// No credentials could be had.
    Credentials,
    /// Anything else.
    Other,
}

/// A failure below HTTP semantics.
#[derive(Clone)]
pub struct TransportError {
    kind: TransportKind,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl TransportError {
    /// A failure of a kind, in words.
    #[must_use]
    pub fn new(kind: TransportKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// A failure of a kind, with its origin.
    #[must_use]
    pub fn with_source(kind: TransportKind, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source: Box<dyn std::error::Error + Send + Sync> = source.into();
        let message = text_of_chain(source.as_ref());
        Self { kind, message, source: Some(Arc::from(source)) }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> TransportKind {
        self.kind
    }

    /// Counterpart: `utilnet.IsProbableEOF`.
    #[must_use]
    pub fn is_probable_eof(&self) -> bool {
        use TransportKind::{BrokenWrite, Closed, Eof, GoAway, Reset};
        matches!(self.kind, Eof | BrokenWrite | GoAway | Reset | Closed)
    }

    /// Counterpart: `utilnet.IsTimeout`.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind, TransportKind::Timeout | TransportKind::DnsTimeout)
    }

    /// Whether the request provably was never looked at by the server.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        use TransportKind::{Connect, Credentials, Dns, DnsTimeout, Proxy, Refused, RefusedStream, Tls};
        matches!(self.kind, Refused | RefusedStream | Dns | DnsTimeout | Connect | Tls | Proxy | Credentials)
    }
}

/// The messages of an error and its sources, outermost first, without repeating one that is already contained.
fn text_of_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text = format!("{text}: {inner}");
        }
        next = error.source();
    }
    text
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportError({:?}, {:?})", self.kind, self.message)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as _)
    }
}

/// The cause by which the client marks an answer that was no `Status`.
pub const CAUSE_UNEXPECTED_SERVER_RESPONSE: &str = "UnexpectedServerResponse";
/// The cause of a resourceVersion the server has not reached yet.
pub const CAUSE_RESOURCE_VERSION_TOO_LARGE: &str = "ResourceVersionTooLarge";
/// The cause by which the client marks a watch event it could not read.
pub const CAUSE_CLIENT_WATCH_DECODING: &str = "ClientWatchDecoding";

/// One predicate: reason, or an unknown reason with the code.
macro_rules! predicates {
    ($($(#[$doc:meta])* $name:ident = $reason:ident / $code:expr;)*) => {
        impl Error {
            $($(#[$doc])* #[must_use] pub fn $name(&self) -> bool {
                self.status().is_some_and(|s| matches(s, &StatusReason::$reason, $code))
            })*
        }
    };
}

predicates! {
    /// 400.
    is_bad_request = BadRequest / Some(400);
    /// 401.
    is_unauthorized = Unauthorized / Some(401);
    /// 403.
    is_forbidden = Forbidden / Some(403);
    /// 404.
    is_not_found = NotFound / Some(404);
    /// 405.
    is_method_not_supported = MethodNotAllowed / Some(405);
    /// 406.
    is_not_acceptable = NotAcceptable / Some(406);
    /// 409 for a write that lost a race; not the one for a name that is taken.
    is_conflict = Conflict / Some(409);
    /// 410 `Gone`; an `Expired` one answers to [`Error::is_expired`].
    is_gone = Gone / Some(410);
    /// 415.
    is_unsupported_media_type = UnsupportedMediaType / Some(415);
    /// 422.
    is_invalid = Invalid / Some(422);
    /// 500.
    is_internal_error = InternalError / Some(500);
    /// 503.
    is_service_unavailable = ServiceUnavailable / Some(503);
    /// 504.
    is_timeout = Timeout / Some(504);
    /// 409 for a name that is taken; by reason only.
    is_already_exists = AlreadyExists / None;
    /// 410 for a resourceVersion or a token that is too old; by reason only.
    is_expired = Expired / None;
    /// The server asks to try again; by reason only.
    is_server_timeout = ServerTimeout / None;
    /// The stored bytes could not be read; by reason only.
    is_store_read_error = StoreReadError / None;
}

fn is_unknown(reason: Option<&StatusReason>) -> bool {
    matches!(reason, None | Some(StatusReason::Other(_)))
}

fn matches(status: &Status, reason: &StatusReason, code: Option<u16>) -> bool {
    status.reason.as_ref() == Some(reason) || (is_unknown(status.reason.as_ref()) && code == Some(status.code))
}

impl Error {
    /// The error that ended the request, without what earlier attempts said.
    #[must_use]
    pub fn current(&self) -> &Error {
        match self {
            Self::AfterRetries { current, .. } => current.current(),
            other => other,
        }
    }

    /// The whole `Status` of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        match self.current() {
            Self::Status(error) => Some(&error.status),
            Self::UnknownOutcome { cause } => cause.status(),
            _ => None,
        }
    }

    /// The failure of the wire, if it was one.
    #[must_use]
    pub fn transport(&self) -> Option<&TransportError> {
        match self.current() {
            Self::Transport { source, .. } | Self::Body { source, .. } => Some(source),
            Self::UnknownOutcome { cause } => cause.transport(),
            _ => None,
        }
    }

    /// Counterpart: `errors.ReasonForError`.
    #[must_use]
    pub fn reason(&self) -> Option<&StatusReason> {
        self.status().and_then(|s| s.reason.as_ref())
    }

    /// 413, by reason or by code.
    #[must_use]
    pub fn is_request_entity_too_large(&self) -> bool {
        self.status().is_some_and(|s| s.is(&StatusReason::RequestEntityTooLarge) || s.code == 413)
    }

    /// 429, by reason or by code.
    #[must_use]
    pub fn is_too_many_requests(&self) -> bool {
        self.status().is_some_and(|s| s.is(&StatusReason::TooManyRequests) || s.code == 429)
    }

    /// Whether the answer was no `Status`, and the client made one from the code.
    #[must_use]
    pub fn is_unexpected_server_error(&self) -> bool {
        self.cause(CAUSE_UNEXPECTED_SERVER_RESPONSE).is_some()
    }

    /// Whether the asked resourceVersion lies in the server's future; by cause, or by the words of old servers.
    #[must_use]
    pub fn is_resource_version_too_large(&self) -> bool {
        if self.cause(CAUSE_RESOURCE_VERSION_TOO_LARGE).is_some() {
            return true;
        }
        const WORDS: &str = "Too large resource version";
        self.is_timeout()
            && self.status().is_some_and(|s| {
                s.message.contains(WORDS)
                    || s.details.as_ref().is_some_and(|d| d.causes.iter().any(|c| c.message.contains(WORDS)))
            })
    }

    /// The first cause with this reason.
    #[must_use]
    pub fn cause(&self, reason: &str) -> Option<&StatusCause> {
        self.status()?.details.as_ref()?.causes.iter().find(|c| c.reason == reason)
    }

    /// How long the server asks to wait. Counterpart: `errors.SuggestsClientDelay`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let status = self.status()?;
        let seconds = status.details.as_ref()?.retry_after_seconds;
        (seconds > 0 || status.is(&StatusReason::ServerTimeout)).then(|| Duration::from_secs(seconds.into()))
    }

    /// Whether the caller's deadline, or the limiter on account of it, ended the request.
    #[must_use]
    pub fn is_deadline_exceeded(&self) -> bool {
        match self.current() {
            Self::DeadlineExceeded(_) => true,
            Self::UnknownOutcome { cause } => cause.is_deadline_exceeded(),
            Self::Throttled(error) => !matches!(error, ThrottleError::Refused(_)),
            _ => self.transport().is_some_and(|t| t.kind() == TransportKind::Deadline),
        }
    }

    /// Whether a write has failed that may have taken place all the same, and the client was asked to say so.
    #[must_use]
    pub fn is_unknown_outcome(&self) -> bool {
        matches!(self.current(), Self::UnknownOutcome { .. })
    }

    /// Whether the client's rate limiter, not the server, refused.
    #[must_use]
    pub fn is_throttled_by_client(&self) -> bool {
        matches!(self.current(), Self::Throttled(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16, reason: Option<StatusReason>) -> Error {
        Status { reason, ..Status::failure(code, StatusReason::Gone, "x") }.into()
    }

    #[test]
    fn an_unknown_reason_falls_back_to_the_code() {
        assert!(error(404, None).is_not_found());
        assert!(error(404, Some(StatusReason::Other("Odd".into()))).is_not_found());
        assert!(!error(404, Some(StatusReason::Forbidden)).is_not_found());
        assert!(error(500, Some(StatusReason::NotFound)).is_not_found());
        assert!(error(410, None).is_gone());
    }

    #[test]
    fn some_reasons_never_follow_from_a_code() {
        assert!(!error(409, None).is_already_exists());
        assert!(!error(410, None).is_expired());
        assert!(!error(500, None).is_server_timeout());
        assert!(error(409, None).is_conflict());
    }

    #[test]
    fn size_and_rate_refusals_follow_from_the_code_whatever_the_reason() {
        assert!(error(413, Some(StatusReason::NotFound)).is_request_entity_too_large());
        assert!(error(429, Some(StatusReason::NotFound)).is_too_many_requests());
    }

    #[test]
    fn predicates_look_through_earlier_attempts() {
        let wrapped = Error::AfterRetries { current: Box::new(error(404, None)), previous: "EOF".into() };
        assert!(wrapped.is_not_found());
        assert!(wrapped.to_string().ends_with("- error from a previous attempt: EOF"));
    }

    #[test]
    fn server_timeout_suggests_a_delay_even_of_zero() {
        let status = |reason, seconds| -> Error { Status::failure(500, reason, "x").retry_after(seconds).into() };
        assert_eq!(status(StatusReason::ServerTimeout, 0).retry_after(), Some(Duration::ZERO));
        assert_eq!(status(StatusReason::InternalError, 0).retry_after(), None);
        assert_eq!(status(StatusReason::InternalError, 3).retry_after(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn too_large_resource_versions_are_known_by_cause_or_by_old_words() {
        let new: Error = Status::timeout("x").cause(CAUSE_RESOURCE_VERSION_TOO_LARGE, "", "").into();
        let old: Error = Status::timeout("Too large resource version: 7, current: 5").into();
        assert!(new.is_resource_version_too_large() && old.is_resource_version_too_large());
        assert!(!error(504, None).is_resource_version_too_large());
    }
}
