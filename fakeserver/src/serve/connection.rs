//! One connection: what rules do to it before anything is read, the handshake, HTTP/1.1 or HTTP/2, its end.

use super::DRAIN;
use super::port::{Port, Role};
use crate::endpoints::respond;
use crate::endpoints::router::Peer;
use crate::front;
use crate::handle::Core;
use crate::write_timeout::WriteTimeout;
use axum::body::Body;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rehearsal_fault_wire::{BoxError, Fired, Greeting, Greets, Line, Severed, Socket, Surface, greet};
use rehearsal_faults::{Action, HandshakeFailure};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Time for a client to send its request head (apiserver `ReadHeaderTimeout`).
const HEADER_TIMEOUT: Duration = Duration::from_secs(32);
/// Time for a client to take in something of what is written to it; then the connection is cut.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Concurrent streams of an HTTP/2 connection (apiserver `--http2-max-streams-per-connection`).
const MAX_STREAMS: u32 = 100;
/// Largest request head, in bytes (Go `http.DefaultMaxHeaderBytes`).
const MAX_HEAD: usize = 1024 * 1024;
/// Where the admin API and the page are.
const ADMIN: &str = "/_rehearsal/";
/// Largest HTTP/2 header list, in bytes: Go adds 320 for ten headers' overhead.
const MAX_HEADER_LIST: u32 = 1024 * 1024 + 320;
/// Largest HTTP/2 frame and what a stream may send unasked, in bytes; a connection may send that for all its streams
/// (apiserver `pkg/server/secure_serving.go`).
const H2_BUFFER: u32 = 256 * 1024;

/// The server, as rules greet its connections.
struct Greeter<'a>(&'a Arc<Core>);

impl Greets<TlsAcceptor> for Greeter<'_> {
    fn failing(&self, failure: HandshakeFailure) -> Option<TlsAcceptor> {
        let Self(core) = self;
        core.listening.tls.as_ref()?.failing(failure, core.registry.clock())
    }

    fn beside(&self, action: &Action, fired: &Fired) {
        crate::faults::act_on_connection(self.0, action, fired);
    }
}

/// Asks the rules about a connection. `None`: it has come to its end.
async fn greeted(
    stream: TcpStream,
    core: &Arc<Core>,
    port: &Port,
    line: &Line,
) -> Option<(TcpStream, Greeting<TlsAcceptor>)> {
    let usual = Greeting::usual(core.listening.tls.as_ref().map(|tls| tls.acceptor.clone()));
    if !port.may_fail() {
        return Some((stream, usual));
    }
    let fired = core.faults.decide_connection(line.facts());
    greet(stream, line, &core.faults, &fired, &Greeter(core), usual).await
}

pub(super) async fn connection(stream: TcpStream, core: Arc<Core>, port: Arc<Port>, line: Line) {
    let _ = stream.set_nodelay(true);
    // Boxed, and dropped before the wait: the room of a handshake is not kept for as long as the connection lives.
    let opened = Box::pin(open(stream, core, port, line)).await;
    if let Some(serving) = opened {
        serving.await;
    }
}

/// Shakes hands and finds out which version of HTTP the client speaks. `None`: nobody is there any more.
async fn open(stream: TcpStream, core: Arc<Core>, port: Arc<Port>, line: Line) -> Option<BoxFuture<'static, ()>> {
    let stop = port.connections();
    let (stream, greeting) = tokio::select! {
        () = stop.cancelled() => return None,
        met = greeted(stream, &core, &port, &line) => met?,
    };
    let Greeting { acceptor, streams, window } = greeting;
    let peer = Peer { certificate: None, line: line.clone(), port };
    let mut serving = Serving { core, peer, stop, line, streams, window };
    let Some(acceptor) = acceptor else {
        let version = tokio::select! {
            () = serving.stop.cancelled() => return None,
            version = tokio::time::timeout(HEADER_TIMEOUT, speaks_http2(&stream, serving.core.config.http2)) => version,
        };
        let stream = WriteTimeout::new(Socket::new(stream, serving.line.clone()), WRITE_TIMEOUT);
        let http2 = match version {
            Ok(Ok(http2)) => http2,
            Ok(Err(error)) => {
                tracing::debug!(target: "fakeserver::serve", %error, "connection");
                return None;
            }
            Err(_) => return None,
        };
        return Some(serving.serve(stream, http2));
    };
    let stream = WriteTimeout::new(Socket::new(stream, serving.line.clone()), WRITE_TIMEOUT);
    match tokio::time::timeout(HEADER_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let session = stream.get_ref().1;
            serving.peer.certificate = session.peer_certificates().and_then(|c| c.first()).map(|c| Arc::from(&**c));
            let http2 = session.alpn_protocol() == Some(b"h2");
            return Some(serving.serve(stream, http2));
        }
        Ok(Err(error)) => tracing::debug!(target: "fakeserver::serve", %error, "TLS handshake"),
        Err(_) => tracing::debug!(target: "fakeserver::serve", "TLS handshake timed out"),
    }
    None
}

/// A connection whose client is known.
struct Serving {
    core: Arc<Core>,
    peer: Peer,
    stop: CancellationToken,
    line: Line,
    streams: Option<u32>,
    window: Option<u32>,
}

impl Serving {
    fn serve<S>(self, stream: S, http2: bool) -> BoxFuture<'static, ()>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(Surface::new(stream, self.line.clone(), http2));
        if http2 { http2_connection(io, self).boxed() } else { http1_connection(io, self).boxed() }
    }
}

/// Whether a client begins with the preface of HTTP/2. Looks without reading: what is read in two pieces makes hyper
/// double its buffer, for as long as the connection lives.
async fn speaks_http2(stream: &TcpStream, served: bool) -> std::io::Result<bool> {
    // No method of HTTP/1.1 begins so.
    const PREFACE: &[u8] = b"PRI *";
    let mut begin = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut begin).await?;
        if seen == 0 || !served || !PREFACE.starts_with(&begin[..seen]) {
            return Ok(false);
        }
        if seen == PREFACE.len() {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn http1_connection<I>(io: I, serving: Serving) -> impl Future<Output = ()> + Send
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let Serving { core, peer, stop, line, .. } = serving;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .half_close(false)
        .serve_connection(io, service(core, peer, line.clone()))
        .with_upgrades();
    drive(Box::pin(connection), http1::UpgradeableConnection::graceful_shutdown, stop, line)
}

fn http2_connection<I>(io: I, serving: Serving) -> impl Future<Output = ()> + Send
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let Serving { core, peer, stop, line, streams, window } = serving;
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams.unwrap_or(MAX_STREAMS))
        .initial_stream_window_size(window.unwrap_or(H2_BUFFER))
        .initial_connection_window_size(H2_BUFFER * MAX_STREAMS)
        .max_frame_size(H2_BUFFER)
        .max_header_list_size(MAX_HEADER_LIST)
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .serve_connection(io, service(core, peer, line.clone()));
    drive(Box::pin(connection), http2::Connection::graceful_shutdown, stop, line)
}

/// Answers requests. The handler is boxed: hyper keeps room for one for as long as the connection lives.
fn service(
    core: Arc<Core>,
    peer: Peer,
    line: Line,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = BoxError,
    Future = impl Future<Output = Result<Response<Body>, BoxError>> + Send + 'static,
> + Send
+ 'static {
    service_fn(move |mut request: Request<Incoming>| {
        let core = core.clone();
        // What else the admin API's listener is asked for is not there.
        let is_there = peer.port.role != Role::Admin || request.uri().path().starts_with(ADMIN);
        request.extensions_mut().insert(peer.clone());
        let line = line.clone();
        Box::pin(async move {
            if !is_there {
                return Ok(respond::page_not_found());
            }
            let mut response = contained(core, request.map(Body::new)).await;
            match response.extensions_mut().remove::<Severed>() {
                None => Ok(response),
                Some(severed) => severed.apply(&line).await.map_err(BoxError::from),
            }
        })
    })
}

async fn drive<C>(mut connection: Pin<Box<C>>, finish: fn(Pin<&mut C>), stop: CancellationToken, line: Line)
where
    C: Future<Output = hyper::Result<()>>,
{
    tokio::select! {
        outcome = connection.as_mut() => {
            if let Err(error) = outcome {
                tracing::debug!(target: "fakeserver::serve", %error, "connection");
            }
        }
        // Dropped, it closes as the fault wants it.
        () = line.doomed() => {}
        () = stop.cancelled() => {
            finish(connection.as_mut());
            let _ = tokio::time::timeout(DRAIN, connection).await;
        }
    }
}

/// A panic of a handler ends its request with 500 and nothing else.
async fn contained(core: Arc<Core>, request: Request<Body>) -> Response<Body> {
    match std::panic::AssertUnwindSafe(front::enter(core, request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(target: "fakeserver::serve", "a handler panicked");
            crate::endpoints::respond::text(
                500,
                "This request caused apiserver to panic. Look in the logs for details.\n",
            )
        }
    }
}
