//! A connection that changed protocol: bytes pass both ways, and at its end one document says how many.

use super::event::Event;
use super::recorder::Recorder;
use super::websocket::{Message, Reader};
use crate::format::Tree;
use crate::format::model::{Body, ChannelBytes, ChannelMessage, End, Marks, Micros, Request, Response, Seq, Upgrade};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

/// Contents beyond this many bytes are counted and not kept.
const MAX_KEPT: usize = 16 << 20;
/// Of one message no more is kept.
const MAX_MESSAGE: usize = 1 << 20;

/// What is known once the protocol has changed.
#[derive(Clone, Debug)]
pub struct TunnelFacts {
    /// Id.
    pub id: u64,
    /// Logical client.
    pub lane: String,
    /// Ordinal of the client's connection.
    pub conn: u64,
    /// The handshake's request.
    pub request: Request,
    /// Place and time of the request.
    pub asked: (Seq, Micros),
    /// The handshake's answer.
    pub response: Response,
    /// Place and time of the answer.
    pub answered: (Seq, Micros),
    /// What is spoken from here on.
    pub protocol: String,
}

/// The two ends of an upgraded connection.
pub struct Tunnel {
    recorder: Option<Recorder>,
    facts: TunnelFacts,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    channels: BTreeMap<i16, ChannelBytes>,
    messages: Vec<ChannelMessage>,
    kept: usize,
    cut: bool,
    close: Option<u16>,
}

/// Which end a direction begins at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Client,
    Server,
}

impl Tunnel {
    /// A tunnel that has not begun. Without a recorder bytes pass and nothing is noted.
    #[must_use]
    pub fn new(recorder: Option<Recorder>, facts: TunnelFacts) -> Self {
        Self { recorder, facts, seen: Mutex::default() }
    }

    /// Passes bytes until both ends are done, one of them breaks, or `stop`; then writes the document.
    pub async fn run<C, S>(self, client: C, server: S, stop: CancellationToken)
    where
        C: AsyncRead + AsyncWrite + Unpin,
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut client_read, mut client_write) = tokio::io::split(client);
        let (mut server_read, mut server_write) = tokio::io::split(server);
        let both = async {
            tokio::join!(
                self.copy(&mut client_read, &mut server_write, From::Client),
                self.copy(&mut server_read, &mut client_write, From::Server),
            )
        };
        let end = tokio::select! {
            ends = both => match ends {
                (End::Complete, other) => other,
                (broken, _) => broken,
            },
            () = stop.cancelled() => End::RecorderStop,
        };
        self.finish(end).await;
    }

    /// One direction. The end of input is passed on as such; the other direction goes on.
    async fn copy(&self, from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin), side: From) -> End {
        let framed = self.facts.protocol.contains("channel.k8s.io");
        let keep = if self.recorder.as_ref().is_some_and(Recorder::streams) { MAX_MESSAGE } else { 0 };
        let mut reader = framed.then(|| Reader::new(keep));
        let mut buffer = vec![0; 16 << 10];
        loop {
            let length = match from.read(&mut buffer).await {
                Ok(0) => {
                    let _ = to.shutdown().await;
                    return End::Complete;
                }
                Ok(length) => length,
                Err(error) => return broken(&error, side),
            };
            let data = &buffer[..length];
            let written = async {
                to.write_all(data).await?;
                to.flush().await
            };
            if let Err(error) = written.await {
                let other = if side == From::Client { From::Server } else { From::Client };
                return broken(&error, other);
            }
            match &mut reader {
                Some(reader) => reader.feed(data).into_iter().for_each(|message| self.note(message, side, keep > 0)),
                None => self.seen.lock().add(-1, length as u64, side),
            }
        }
    }

    fn note(&self, message: Message, side: From, keep: bool) {
        let mut seen = self.seen.lock();
        seen.add(message.channel, message.bytes, side);
        seen.close = message.close.or(seen.close);
        if !keep || message.channel < 0 {
            return;
        }
        let Some(recorder) = &self.recorder else { return };
        seen.kept += message.content.len();
        if seen.kept > MAX_KEPT || message.content.len() >= MAX_MESSAGE {
            seen.cut = true;
            return;
        }
        let content = match String::from_utf8(message.content) {
            Ok(text) => Body::Text(text),
            Err(error) => Body::Bytes(error.into_bytes()),
        };
        let (seq, t) = (recorder.tick(), recorder.now());
        let from_client = side == From::Client;
        seen.messages.push(ChannelMessage { seq, t, channel: message.channel, from_client, content });
    }

    async fn finish(self, end: End) {
        let Some(recorder) = self.recorder else { return };
        let (facts, seen) = (self.facts, self.seen.into_inner());
        let upgrade = Upgrade {
            id: facts.id,
            lane: facts.lane,
            conn: facts.conn,
            // The place of the end is the place of the document.
            seq: Marks { req: facts.asked.0, head: Some(facts.answered.0), end: 0 },
            t: Marks { req: facts.asked.1, head: Some(facts.answered.1), end: recorder.now() },
            request: facts.request,
            response: Some(facts.response),
            protocol: facts.protocol,
            channels: seen.channels.into_values().collect(),
            close_code: seen.close,
            messages: seen.messages,
            end,
            extra: if seen.cut { vec![("x-messages-cut".to_owned(), Tree::Bool(true))] } else { Vec::new() },
        };
        if let Err(error) = recorder.push(Event::Upgrade(Box::new(upgrade))).await {
            tracing::warn!(target: "cassettes::record", %error, "an upgraded connection is not on the tape");
        }
    }
}

impl Seen {
    fn add(&mut self, channel: i16, bytes: u64, side: From) {
        let entry = self.channels.entry(channel).or_insert(ChannelBytes { channel, ..ChannelBytes::default() });
        match side {
            From::Client => entry.sent += bytes,
            From::Server => entry.received += bytes,
        }
    }
}

/// How a tunnel ends whose one end broke.
fn broken(error: &std::io::Error, end: From) -> End {
    match (end, error.kind()) {
        (From::Client, _) => End::ClientCancel,
        (From::Server, std::io::ErrorKind::ConnectionReset) => End::Reset { code: None },
        (From::Server, _) => End::EofNoNotify,
    }
}
