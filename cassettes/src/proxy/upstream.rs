//! The seam to the recorded server. This crate knows no client; who has one fills these traits with it.

use crate::format::model::End;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use std::error::Error;
use std::sync::Arc;

/// A body to or from the upstream.
pub type ProxyBody = UnsyncBoxBody<Bytes, UpstreamError>;

/// The recorded server.
pub trait Upstream: Send + Sync + 'static {
    /// Means for the requests of one connection of a client. A channel that keeps its connections to itself makes them
    /// correspond: what happens to one side's connection then happens to the other's. Dropping it closes them.
    ///
    /// `http2`: what the client speaks; the upstream is spoken to in the same way as far as it agrees.
    ///
    /// # Errors
    /// When there can be none, such as for unreadable credentials.
    fn channel(&self, http2: bool) -> Result<Arc<dyn Channel>, UpstreamError>;
}

/// Sends requests to the recorded server, with its credentials and nothing else added.
pub trait Channel: Send + Sync + 'static {
    /// Sends a request whose URI has path and query only. `Upgrade` among its headers asks for a connection that can
    /// change protocol; the 101 then has hyper's `OnUpgrade` among its extensions. Redirects are not followed, bodies
    /// not decoded, and no header is added but those that prove identity. Dropping the future, or the body of the
    /// answer, abandons the request at once.
    fn send(&self, request: Request<ProxyBody>) -> BoxFuture<'static, Result<Response<ProxyBody>, UpstreamError>>;
}

/// What went wrong, as far as it can be shown to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// The request cannot have reached the server: refused, not found, not trusted, no credentials.
    Unreachable,
    /// The connection was reset.
    Reset {
        /// HTTP/2 error code; none for TCP.
        code: Option<u32>,
    },
    /// The connection ended without a goodbye.
    Eof,
    /// HTTP/2: the server was going away.
    GoAway,
    /// A time limit passed.
    Timeout,
    /// The server answered nonsense, or something else.
    Other,
}

/// A request that got no answer, or an answer that broke off.
#[derive(Clone, Debug)]
pub struct UpstreamError {
    /// What kind.
    pub failure: UpstreamFailure,
    /// In words, without secrets.
    pub message: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl UpstreamError {
    /// A failure in words.
    #[must_use]
    pub fn new(failure: UpstreamFailure, message: impl Into<String>) -> Self {
        Self { failure, message: message.into(), source: None }
    }

    /// Keeps the origin, from which HTTP/2 takes the code that the client sees.
    #[must_use]
    pub fn caused_by(self, source: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// How the exchange ended.
    #[must_use]
    pub fn end(&self) -> End {
        match self.failure {
            UpstreamFailure::Reset { code } => End::Reset { code },
            UpstreamFailure::Eof => End::EofNoNotify,
            UpstreamFailure::GoAway => End::ServerGoaway,
            UpstreamFailure::Timeout => End::Timeout,
            UpstreamFailure::Unreachable | UpstreamFailure::Other => End::Upstream { message: self.message.clone() },
        }
    }
}

impl std::fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for UpstreamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
