//! A connection of a client: TLS, which HTTP it speaks, and its requests.

use super::exchange::{Client, answer};
use super::refusal;
use super::serve::Shared;
use crate::record::Trail;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

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
    let Some(tls) = shared.tls.clone() else { return talk(TokioIo::new(stream), false, shared, conn).await };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HEADER_TIMEOUT, tls.accept(stream)) => shaken,
        () = shared.stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            talk(TokioIo::new(stream), http2, shared, conn).await;
        }
        Ok(Err(error)) => tracing::debug!(target: "cassettes::proxy", %error, "TLS handshake"),
        Err(_) => tracing::debug!(target: "cassettes::proxy", "TLS handshake timed out"),
    }
}

async fn talk<I>(io: I, http2: bool, shared: Arc<Shared>, conn: u64)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let stop = shared.stop.clone();
    let client = match shared.upstream.channel(http2) {
        Ok(channel) => Ok(Arc::new(Client { shared, conn, channel, trail: Trail::default() })),
        Err(error) => Err(error),
    };
    let service = service_fn(move |request| {
        let client = client.clone();
        async move {
            match client {
                Ok(client) => answer(&client, request).await,
                Err(error) => Ok(refusal::unreachable(&error)),
            }
        }
    });
    if http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
            .keep_alive_interval(Some(Duration::from_secs(30)))
            .serve_connection(io, service);
        drive(Box::pin(connection), http2::Connection::graceful_shutdown, stop).await;
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .half_close(false)
            .serve_connection(io, service)
            .with_upgrades();
        drive(Box::pin(connection), http1::UpgradeableConnection::graceful_shutdown, stop).await;
    }
}

async fn drive<C>(mut connection: Pin<Box<C>>, finish: fn(Pin<&mut C>), stop: tokio_util::sync::CancellationToken)
where
    C: Future<Output = hyper::Result<()>>,
{
    tokio::select! {
        outcome = connection.as_mut() => {
            if let Err(error) = outcome {
                tracing::debug!(target: "cassettes::proxy", %error, "connection");
            }
        }
        () = stop.cancelled() => {
            finish(connection.as_mut());
            let _ = tokio::time::timeout(DRAIN, connection).await;
        }
    }
}
