//! A connection of a client: TLS, which HTTP it speaks, and its requests.

use super::exchange::{Client, answer};
use super::faults::greet;
use super::outward::outward;
use super::refusal;
use super::serve::Shared;
use crate::record::Trail;
use futures::future::BoxFuture;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rehearsal_fault_wire::{FaultBody, Greeting, Line, Socket, Surface};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Time for a client to shake hands and to send its request head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(32);
/// Streams of an HTTP/2 connection, as a kube-apiserver allows.
const MAX_STREAMS: u32 = 100;
/// Largest request head, as a kube-apiserver allows.
const MAX_HEAD: usize = 1 << 20;
/// How long a stop waits for exchanges that are going on.
const DRAIN: Duration = Duration::from_secs(1);

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>, conn: u64) {
    let _ = stream.set_nodelay(true);
    let line = Line::new(conn);
    let (stream, greeting) = tokio::select! {
        () = shared.stop.cancelled() => return,
        greeted = greet(stream, &shared, &line) => match greeted {
            Some(greeted) => greeted,
            None => return,
        },
    };
    let stream = Socket::new(stream, line.clone());
    let Some(tls) = greeting.acceptor.clone() else {
        let io = TokioIo::new(Surface::new(stream, line.clone(), false));
        return talk(io, None, shared, line).await;
    };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HEADER_TIMEOUT, tls.accept(stream)) => shaken,
        () = shared.stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let io = TokioIo::new(Surface::new(stream, line.clone(), http2));
            talk(io, http2.then_some(greeting), shared, line).await;
        }
        Ok(Err(error)) => tracing::debug!(target: "cassettes::proxy", %error, "TLS handshake"),
        Err(_) => tracing::debug!(target: "cassettes::proxy", "TLS handshake timed out"),
    }
}

/// `http2`: how it is spoken; none for HTTP/1.1.
async fn talk<I>(io: I, http2: Option<Greeting<TlsAcceptor>>, shared: Arc<Shared>, line: Line)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let stop = shared.stop.clone();
    let client = match shared.upstream.channel(http2.is_some()) {
        Ok(channel) => Ok(Arc::new(Client { shared, line: line.clone(), channel, trail: Trail::default() })),
        Err(error) => Err(error),
    };
    let service = service_fn(move |request| {
        let client = client.clone();
        // Boxed: hyper keeps room for one for as long as the connection lives.
        let answered: BoxFuture<'static, _> = Box::pin(async move {
            match client {
                Ok(client) => answer(&client, request).await.map(outward),
                Err(error) => Ok(outward(refusal::unreachable(&error).map(FaultBody::plain))),
            }
        });
        answered
    });
    if let Some(Greeting { streams, window, .. }) = http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(streams.unwrap_or(MAX_STREAMS))
            .initial_stream_window_size(window)
            .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
            .keep_alive_interval(Some(Duration::from_secs(30)))
            .serve_connection(io, service);
        drive(Box::pin(connection), http2::Connection::graceful_shutdown, stop, &line).await;
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .half_close(false)
            .serve_connection(io, service)
            .with_upgrades();
        drive(Box::pin(connection), http1::UpgradeableConnection::graceful_shutdown, stop, &line).await;
    }
}

async fn drive<C>(
    mut connection: Pin<Box<C>>,
    finish: fn(Pin<&mut C>),
    stop: tokio_util::sync::CancellationToken,
    line: &Line,
) where
    C: Future<Output = hyper::Result<()>>,
{
    tokio::select! {
        outcome = connection.as_mut() => {
            if let Err(error) = outcome {
                tracing::debug!(target: "cassettes::proxy", %error, "connection");
            }
        }
        // Dropped, it closes as a fault wants it.
        () = line.doomed() => {}
        () = stop.cancelled() => {
            finish(connection.as_mut());
            let _ = tokio::time::timeout(DRAIN, connection).await;
        }
    }
}
