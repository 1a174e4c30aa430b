//! The caller's ends of a multiplexed socket, and the heartbeat that keeps it honest.
//!
//! Counterpart: the streams and the heartbeat of client-go `remotecommand/websocket.go`. Each end is a pipe of bounded
//! size: a caller who does not read holds the whole socket back, as the protocol has no flow control for one channel.

use super::connect::Socket;
use crate::clock;
use crate::error::{TransportError, TransportKind};
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

/// Bytes under way in one channel, and the largest frame of input.
pub(super) const BUFFER: usize = 32 * 1024;
/// client-go: a frame that cannot be written for this long never will.
const WRITE: Duration = Duration::from_secs(60);
/// How a peer that vanished is noticed.
#[derive(Clone, Copy)]
pub(super) struct Heartbeat {
    /// A ping this often.
    ping: Duration,
    /// A peer that says nothing for twelve pings and a second is gone.
    silence: Duration,
}

impl Heartbeat {
    /// client-go `remotecommand`.
    pub(super) const COMMAND: Self = Self::every(5);
    /// client-go `portforward`.
    pub(super) const FORWARD: Self = Self::every(10);

    const fn every(seconds: u64) -> Self {
        Self { ping: Duration::from_secs(seconds), silence: Duration::from_secs(seconds * 12 + 1) }
    }
}

/// Frames waiting for the socket; small, so that input stays behind in its pipe.
pub(super) const QUEUE: usize = 4;

/// The output of one channel; ends when the channel does. Dropping it discards the rest of the output.
#[derive(Debug)]
pub struct ChannelReader(pub(super) DuplexStream);

impl AsyncRead for ChannelReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

/// The input of one channel. Shutting it down, or dropping it, ends the input where the protocol can say so.
#[derive(Debug)]
pub struct ChannelWriter(pub(super) DuplexStream);

impl AsyncWrite for ChannelWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A frame: the number of its channel, then its bytes.
pub(super) fn frame(channel: u8, bytes: &[u8]) -> Message {
    let mut frame = Vec::with_capacity(bytes.len() + 1);
    frame.push(channel);
    frame.extend_from_slice(bytes);
    Message::Binary(frame.into())
}

pub(super) fn lost(error: WsError) -> TransportError {
    match error {
        WsError::Io(error) => crate::transport::classify(Box::new(error)),
        other => {
            let text = other.to_string();
            // Without its closing handshake a connection was cut, whatever layer noticed it.
            let kind = if text.contains("closing handshake") { TransportKind::Eof } else { TransportKind::Other };
            TransportError::new(kind, format!("websocket: {text}"))
        }
    }
}

/// Writes frames as they come, and pings in between. Ends only when writing fails.
pub(super) async fn write_frames(
    mut sink: SplitSink<Socket, Message>,
    mut frames: mpsc::Receiver<Message>,
    heartbeat: Heartbeat,
) {
    let mut pings = tokio::time::interval_at(clock::now() + heartbeat.ping, heartbeat.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut open = true;
    loop {
        let message = tokio::select! {
            biased;
            frame = frames.recv(), if open => match frame {
                Some(frame) => frame,
                None => {
                    open = false;
                    continue;
                }
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        match tokio::time::timeout(WRITE, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return tracing::debug!(target: "client::stream", %error, "websocket: writing failed"),
            Err(_) => return tracing::debug!(target: "client::stream", "websocket: writing timed out"),
        }
    }
}

fn orderly<T>(close: Option<CloseFrame>) -> Result<Option<T>, TransportError> {
    match close {
        Some(close) if close.code != CloseCode::Normal => {
            let text = format!("websocket: closed with {}: {}", close.code, close.reason);
            Err(TransportError::new(TransportKind::Closed, text))
        }
        _ => Ok(None),
    }
}

/// The next frame of bytes, its channel apart; `None` after an orderly end.
pub(super) async fn next_frame(
    stream: &mut SplitStream<Socket>,
    heartbeat: Heartbeat,
) -> Result<Option<(u8, Bytes)>, TransportError> {
    loop {
        let until: Instant = clock::now() + heartbeat.silence;
        let message = match tokio::time::timeout_at(until, stream.next()).await {
            Ok(None | Some(Err(WsError::ConnectionClosed))) => return Ok(None),
            Ok(Some(message)) => message.map_err(lost)?,
            Err(_) => {
                return Err(TransportError::new(TransportKind::ConnectionLost, "websocket: pings stayed unanswered"));
            }
        };
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => Bytes::from(text),
            Message::Close(close) => {
                // One poll sends the reply, if the socket takes it.
                let _ = futures::poll!(stream.next());
                return orderly(close);
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        if let Some(channel) = bytes.first() {
            return Ok(Some((*channel, bytes.slice(1..))));
        }
    }
}
