//! Ports of a pod as streams over one WebSocket.
//!
//! Counterpart: client-go `tools/portforward`, over the kubelet's WebSocket protocol: port number i has the channels 2i for
//! data and 2i+1 for its error, and each begins with the port, two bytes, little-endian. A stream of it cannot be
//! half-closed: the end of what is written is told to nobody.

use super::channel::{BUFFER, Heartbeat, QUEUE, frame, next_frame, write_frames};
use super::connect::Socket;
use crate::error::{Error, TransportError, TransportKind};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::SplitStream;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::AbortOnDropHandle;

/// An error text longer than this is cut.
const MAX_ERROR: usize = 64 * 1024;

/// Connections to ports of a pod. They end when this and all streams taken from it are dropped.
#[derive(Debug)]
pub struct PortForward {
    ports: Vec<(u16, Option<DuplexStream>)>,
    end: watch::Receiver<Option<Result<(), Error>>>,
    task: Arc<AbortOnDropHandle<()>>,
}

/// A connection to a port of a pod. It ends when the pod's side does, or the whole forwarding.
#[derive(Debug)]
pub struct PortStream {
    pipe: DuplexStream,
    /// Keeps the connection.
    _task: Arc<AbortOnDropHandle<()>>,
}

impl AsyncRead for PortStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for PortStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

impl PortForward {
    pub(super) fn start(socket: Socket, ports: &[u16]) -> Self {
        let (frames, queue) = mpsc::channel(QUEUE);
        let (tell, end) = watch::channel(None);
        let (sink, stream) = socket.split();
        let mut ours = Vec::new();
        let mut channels = Vec::new();
        let mut inputs = Vec::new();
        for (index, port) in ports.iter().enumerate() {
            // A socket has 256 channels; the server refuses more ports than that before it comes to this.
            let channel = u8::try_from(index * 2).unwrap_or(u8::MAX);
            let (theirs, pipe) = tokio::io::duplex(BUFFER);
            let (read, write) = tokio::io::split(pipe);
            ours.push((*port, Some(theirs)));
            channels.push(Port { number: *port, data: Side::new(Some(write)), error: Vec::new(), error_head: 0 });
            inputs.push(send(read, channel, frames.clone()));
        }
        let run = async move {
            let outgoing = futures::future::join_all(inputs);
            let write = async {
                tokio::join!(write_frames(sink, queue, Heartbeat::FORWARD), outgoing, std::future::pending::<()>())
            };
            let result = tokio::select! {
                result = receive(stream, channels) => result,
                _ = write => Ok(()),
            };
            tell.send_replace(Some(result));
        };
        Self { ports: ours, end, task: Arc::new(AbortOnDropHandle::new(tokio::spawn(run))) }
    }

    /// Takes the connection to a port; each can be taken once.
    pub fn take(&mut self, port: u16) -> Option<PortStream> {
        let (_, pipe) = self.ports.iter_mut().find(|(number, pipe)| *number == port && pipe.is_some())?;
        Some(PortStream { pipe: pipe.take()?, _task: self.task.clone() })
    }

    /// Waits for the end of the whole forwarding. Connections that were not taken are closed.
    ///
    /// # Errors
    /// What the pod's side reports about a port, such as that nobody listens there; a connection that broke.
    pub async fn wait(mut self) -> Result<(), Error> {
        self.ports.clear();
        let ended = self.end.wait_for(Option::is_some).await.map(|result| result.clone());
        ended.ok().flatten().unwrap_or_else(|| Err(broken(TransportError::new(TransportKind::Other, "aborted"))))
    }
}

fn broken(source: TransportError) -> Error {
    Error::Transport { action: "port-forward".into(), source }
}

async fn send(mut from: tokio::io::ReadHalf<DuplexStream>, channel: u8, frames: mpsc::Sender<Message>) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if frames.send(frame(channel, &buffer[..read])).await.is_err() {
            return;
        }
    }
}

type Pipe = tokio::io::WriteHalf<DuplexStream>;

/// The data of a port, after its two bytes of introduction.
struct Side {
    pipe: Option<Pipe>,
    head: usize,
}

impl Side {
    fn new(pipe: Option<Pipe>) -> Self {
        Self { pipe, head: 0 }
    }
}

/// What is left of a frame after the introduction, of which `seen` bytes have come so far.
fn after_head(seen: &mut usize, mut bytes: Bytes) -> Bytes {
    let head = (2 - *seen).min(bytes.len());
    *seen += head;
    bytes.split_off(head)
}

struct Port {
    number: u16,
    data: Side,
    error: Vec<u8>,
    error_head: usize,
}

impl Port {
    async fn take_data(&mut self, bytes: Bytes) {
        let bytes = after_head(&mut self.data.head, bytes);
        if let Some(pipe) = &mut self.data.pipe
            && (pipe.write_all(&bytes).await.is_err() || pipe.flush().await.is_err())
        {
            self.data.pipe = None;
        }
    }

    /// An error ends the port: nothing will come from it any more.
    async fn take_error(&mut self, bytes: Bytes) {
        let bytes = after_head(&mut self.error_head, bytes);
        let room = MAX_ERROR - self.error.len();
        self.error.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if !self.error.is_empty()
            && let Some(mut pipe) = self.data.pipe.take()
        {
            let _ = pipe.shutdown().await;
        }
    }
}

async fn receive(mut stream: SplitStream<Socket>, mut ports: Vec<Port>) -> Result<(), Error> {
    let ended = loop {
        match next_frame(&mut stream, Heartbeat::FORWARD).await {
            Ok(Some((channel, bytes))) => {
                let Some(port) = ports.get_mut(usize::from(channel / 2)) else { continue };
                if channel % 2 == 0 { port.take_data(bytes).await } else { port.take_error(bytes).await }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(broken(error)),
        }
    };
    for port in &mut ports {
        if let Some(mut pipe) = port.data.pipe.take() {
            let _ = pipe.shutdown().await;
        }
    }
    match ports.iter().find(|port| !port.error.is_empty()) {
        Some(port) => {
            let message = String::from_utf8_lossy(&port.error).trim().to_owned();
            Err(Error::PortForward { port: port.number, message })
        }
        None => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_introduction_is_taken_off_wherever_it_is_cut() {
        let mut seen = 0;
        assert_eq!(after_head(&mut seen, Bytes::from_static(&[80])), "");
        assert_eq!(after_head(&mut seen, Bytes::from_static(&[0, b'a'])), "a");
        assert_eq!(after_head(&mut seen, Bytes::from_static(b"bc")), "bc");
    }
}
