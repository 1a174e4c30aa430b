//! Bytes to a server and back: the seam, and the stack below it.
//!
//! Counterpart: client-go `transport/` and Go's `http.Transport`. [`Transport`] is the one boxed seam; a test, a recorder
//! or a fault layer is put in by [`Transport::new`] or by `Config::wrap_transport`.

mod auth;
mod body;
mod connector;
mod http_cache;
mod pool;
mod proxy;
mod round_trip;
mod tls;
mod whole;

pub(crate) use auth::Credentials;
pub use body::Body;
pub use http_cache::HttpCache;
pub use pool::ConnectionPools;
pub use proxy::{Proxy, ProxyEnv, ProxyTarget};
pub(crate) use round_trip::Stack;
pub(crate) use tls::Identity;

use crate::error::{TransportError, TransportKind};
use crate::{Config, Error};
use http::{Request, Response};
use pool::Pool;
use std::sync::Arc;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

/// Sends one request and gives one response; cloning shares the connections.
#[derive(Clone)]
pub struct Transport(Layers);

/// Our own two layers are called without a box between them; whatever comes from elsewhere is boxed.
#[derive(Clone)]
enum Layers {
    Stack(Arc<Stack>),
    Base(Base),
}

/// What a stack is laid around.
#[derive(Clone)]
pub(crate) enum Base {
    Pool(Arc<Pool>),
    Service(BoxCloneSyncService<Request<Body>, Response<Body>, TransportError>),
}

impl Base {
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        match self {
            Self::Pool(pool) => pool.send(request).await,
            Self::Service(service) => service.clone().oneshot(request).await,
        }
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transport")
    }
}

impl Transport {
    /// Any tower service can be the transport.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = TransportError> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self(Layers::Base(Base::Service(BoxCloneSyncService::new(service))))
    }

    fn over(pool: Arc<Pool>) -> Self {
        Self(Layers::Base(Base::Pool(pool)))
    }

    /// Something to lay a stack around, be it a stack itself.
    pub(crate) fn into_base(self) -> Base {
        let stack = match self.0 {
            Layers::Base(base) => return base,
            Layers::Stack(stack) => stack,
        };
        Base::Service(BoxCloneSyncService::new(tower::service_fn(move |request| {
            let stack = stack.clone();
            async move { stack.follow(request).await }
        })))
    }

    /// The stack that a configuration describes. Configurations cloned from one another share one connection pool as
    /// long as their TLS and proxy settings agree.
    ///
    /// # Errors
    /// When the configuration contradicts itself, or its files cannot be read.
    pub fn for_config(config: &Config) -> Result<Self, Error> {
        config.validate()?;
        let base = match &config.transport {
            Some(custom) => custom.clone(),
            None => config.pools.transport(config)?,
        };
        // Innermost first: what a recorder sees has no credentials yet.
        let base = match &config.wrap_transport {
            Some(wrap) => wrap(base),
            None => base,
        };
        Ok(Self(Layers::Stack(Arc::new(Stack::new(config, base)?))))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When no response arrives. Cancelling drops the request; over HTTP/1.1 its connection is closed.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        match &self.0 {
            Layers::Stack(stack) => stack.follow(request).await,
            Layers::Base(base) => base.send(request).await,
        }
    }
}

/// Names the trouble behind an error of hyper, h2, io or our own connector.
pub(crate) fn classify(error: Box<dyn std::error::Error + Send + Sync>) -> TransportError {
    let error = match error.downcast::<TransportError>() {
        Ok(own) => return *own,
        Err(other) => other,
    };
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    let mut kind = TransportKind::Other;
    while let Some(cause) = next {
        if let Some(own) = cause.downcast_ref::<TransportError>() {
            return own.clone();
        }
        if let Some(found) = kind_of(cause) {
            kind = found;
        }
        next = cause.source();
    }
    // The frame that ends an HTTP/2 connection is only named in words by hyper.
    let error = TransportError::with_source(kind, error);
    match kind {
        TransportKind::Other | TransportKind::Closed => by_words(error),
        _ => error,
    }
}

fn kind_of(error: &(dyn std::error::Error + 'static)) -> Option<TransportKind> {
    if let Some(io) = error.downcast_ref::<std::io::Error>() {
        use std::io::ErrorKind as Io;
        return match io.kind() {
            Io::ConnectionReset => Some(TransportKind::Reset),
            Io::ConnectionRefused => Some(TransportKind::Refused),
            Io::BrokenPipe | Io::WriteZero => Some(TransportKind::BrokenWrite),
            Io::UnexpectedEof => Some(TransportKind::Eof),
            Io::ConnectionAborted | Io::NotConnected => Some(TransportKind::Closed),
            Io::TimedOut => Some(TransportKind::Timeout),
            _ => None,
        };
    }
    let hyper = error.downcast_ref::<hyper::Error>()?;
    if hyper.is_timeout() {
        Some(TransportKind::ConnectionLost)
    } else if hyper.is_incomplete_message() {
        Some(TransportKind::Eof)
    } else if hyper.is_canceled() || hyper.is_closed() {
        Some(TransportKind::Closed)
    } else {
        None
    }
}

fn by_words(error: TransportError) -> TransportError {
    let text = error.to_string().to_ascii_lowercase();
    let kind = if text.contains("refused stream before processing") {
        TransportKind::RefusedStream
    } else if text.contains("goaway") || text.contains("go away") || text.contains("connection error received") {
        TransportKind::GoAway
    } else if text.contains("http2: client connection lost") || text.contains("keep-alive timed out") {
        TransportKind::ConnectionLost
    } else if text.contains("connection reset by peer") {
        TransportKind::Reset
    } else if text.contains("use of closed network connection") {
        TransportKind::Closed
    } else {
        return error;
    };
    TransportError::with_source(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn io_errors_are_told_apart_by_kind() {
        let kind = |k: io::ErrorKind| classify(Box::new(io::Error::from(k))).kind();
        assert_eq!(kind(io::ErrorKind::ConnectionReset), TransportKind::Reset);
        assert_eq!(kind(io::ErrorKind::ConnectionRefused), TransportKind::Refused);
        assert_eq!(kind(io::ErrorKind::BrokenPipe), TransportKind::BrokenWrite);
        assert_eq!(kind(io::ErrorKind::UnexpectedEof), TransportKind::Eof);
        assert_eq!(kind(io::ErrorKind::PermissionDenied), TransportKind::Other);
    }

    #[test]
    fn a_refused_stream_is_known_by_the_words_of_h2() {
        let words = "stream error received: refused stream before processing any application logic";
        assert_eq!(classify(words.into()).kind(), TransportKind::RefusedStream);
    }

    #[test]
    fn some_errors_are_known_only_by_their_words() {
        let kind = |text: &str| classify(text.into()).kind();
        assert_eq!(kind("http2: server sent GOAWAY and closed the connection"), TransportKind::GoAway);
        assert_eq!(kind("connection error received: not a result of an error"), TransportKind::GoAway, "h2's words");
        assert_eq!(kind("http2: client connection lost"), TransportKind::ConnectionLost);
        assert_eq!(kind("read: Connection Reset by peer"), TransportKind::Reset);
        assert_eq!(kind("Use of Closed network connection"), TransportKind::Closed);
        assert_eq!(kind("no route"), TransportKind::Other);
    }
}
