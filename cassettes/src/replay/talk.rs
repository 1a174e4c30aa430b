//! [`Talk`]: the server's side of a recorded WebSocket (exec, attach), said again.
//!
//! What the server said follows what the client had said by then: so many bytes on each channel, however they are cut
//! into messages. What the client says is held against the recording at the end. SPDY and tunnels are opaque to the
//! recorder, so there is nothing to say again. Counterpart: `k8s.io/apimachinery` `wsstream`.

use super::order::Pace;
use crate::format::model::{Body, ChannelMessage, End, Micros, Request, Upgrade};
use crate::redact::is_placeholder;
use bytes::{Buf as _, BytesMut};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep_until};

/// Sizes of the terminal; they differ from run to run and nothing waits for them.
const RESIZE: i16 = 4;
/// A larger message of a client ends the connection.
const MAX_MESSAGE: u64 = 16 << 20;
/// Close code of a connection that ended well.
const NORMAL: u16 = 1000;
/// How long the client's goodbye is waited for.
const GOODBYE: Duration = Duration::from_secs(10);

mod opcode {
    pub(super) const TEXT: u8 = 1;
    pub(super) const BINARY: u8 = 2;
    pub(super) const CLOSE: u8 = 8;
    pub(super) const PING: u8 = 9;
    pub(super) const PONG: u8 = 10;
}

/// Whether a recorded connection can be played to who sends this request; else why not.
pub(super) fn can_be_said_to(upgrade: &Upgrade, request: &Request) -> Result<(), String> {
    let protocol = &upgrade.protocol;
    if !protocol.contains("channel.k8s.io") {
        return Err(format!("what passed in {protocol} was counted and not understood"));
    }
    let said = upgrade.channels.iter().any(|counted| counted.channel >= 0 && counted.received > 0);
    if said && upgrade.messages.is_empty() {
        return Err("what passed was counted and not kept; record with --record-streams".to_owned());
    }
    let mut offers = request.headers.iter().filter(|(name, _)| name == "sec-websocket-protocol");
    if !offers.any(|(_, value)| value.split(',').any(|offer| offer.trim() == protocol)) {
        return Err(format!("recorded with {protocol}, which the client does not offer"));
    }
    Ok(())
}

/// The answer to a client's `Sec-WebSocket-Key` (RFC 6455, 4.2.2).
pub(super) fn accept(key: &str) -> String {
    use base64::Engine as _;
    let salted = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, salted.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(digest.as_ref())
}

/// Something that the server says.
struct Line {
    channel: i16,
    content: Vec<u8>,
    /// Since the handshake was answered.
    after: Micros,
    /// What the client had said by then: bytes by channel.
    heard: BTreeMap<i16, usize>,
}

/// A connection that is being played.
pub(super) struct Talk {
    upgrade: Arc<Upgrade>,
    pace: Pace,
    patience: Duration,
    lines: VecDeque<Line>,
    heard: BTreeMap<i16, Vec<u8>>,
    /// The server has said goodbye.
    closing: bool,
}

fn bytes(message: &ChannelMessage) -> Vec<u8> {
    message.content.bytes().unwrap_or_default()
}

impl Talk {
    /// A connection at its beginning. `patience`: for what the client had said at a moment of the recording.
    pub(super) fn new(upgrade: Arc<Upgrade>, pace: Pace, patience: Duration) -> Self {
        let began = upgrade.t.head.unwrap_or(upgrade.t.req);
        let mut heard = BTreeMap::new();
        let mut lines = VecDeque::new();
        for message in &upgrade.messages {
            let content = bytes(message);
            if !message.from_client {
                let after = message.t.saturating_sub(began);
                lines.push_back(Line { channel: message.channel, content, after, heard: heard.clone() });
            } else if message.channel != RESIZE {
                *heard.entry(message.channel).or_default() += content.len();
            }
        }
        Self { upgrade, pace, patience, lines, heard: BTreeMap::new(), closing: false }
    }

    /// Plays the connection to its end. Gives what the client said otherwise, a sentence each.
    pub(super) async fn run(mut self, io: impl AsyncRead + AsyncWrite + Unpin) -> Vec<String> {
        let (mut read, mut write) = tokio::io::split(io);
        let began = Instant::now();
        let mut quiet = began + self.patience;
        let mut received = BytesMut::new();
        let mut left = false;
        loop {
            let due = self.due(began, quiet);
            if due.is_some_and(|due| due <= Instant::now())
                && let Some(line) = self.lines.pop_front()
            {
                if write.write_all(&self.framed(&line)).await.is_err() || write.flush().await.is_err() {
                    break;
                }
                continue;
            }
            if self.lines.is_empty() && !self.ends_with_client() {
                break;
            }
            tokio::select! {
                () = sleep_until(due.unwrap_or(began)), if due.is_some() => {}
                length = read.read_buf(&mut received) => {
                    if !matches!(length, Ok(1..)) {
                        left = true;
                        break;
                    }
                    quiet = Instant::now() + self.patience;
                    if self.listen(&mut received, &mut write).await.is_none() {
                        left = true;
                        break;
                    }
                }
            }
        }
        if !left && !matches!(self.upgrade.end, End::Reset { .. } | End::EofNoNotify) {
            let code = self.upgrade.close_code.unwrap_or(NORMAL);
            self.closing = true;
            let _ = write.write_all(&frame(opcode::CLOSE, &code.to_be_bytes())).await;
            let _ = write.flush().await;
            let _ = tokio::time::timeout(GOODBYE, async {
                while self.listen(&mut received, &mut write).await.is_some() {
                    if !matches!(read.read_buf(&mut received).await, Ok(1..)) {
                        break;
                    }
                }
            })
            .await;
        }
        let _ = write.shutdown().await;
        self.otherwise()
    }

    /// Whether the recording ends with the client's going, or before any end.
    fn ends_with_client(&self) -> bool {
        matches!(self.upgrade.end, End::ClientCancel | End::RecorderStop | End::RecorderCrash)
    }

    /// When the next line may be said; none while it is the client's turn.
    fn due(&self, began: Instant, quiet: Instant) -> Option<Instant> {
        let line = self.lines.front()?;
        let said = |(channel, wanted): (&i16, &usize)| self.heard.get(channel).map_or(0, Vec::len) >= *wanted;
        if !line.heard.iter().all(said) {
            // The client has put it in fewer words.
            return Some(quiet);
        }
        Some(match self.pace {
            Pace::Recorded(stretch) => began + Duration::from_micros(line.after).mul_f64(stretch.max(0.0)),
            Pace::Gated | Pace::Asap => began,
        })
    }

    /// A line as a message: a byte or, where the protocol is text, a digit for the channel.
    fn framed(&self, line: &Line) -> Vec<u8> {
        let channel = u8::try_from(line.channel).unwrap_or_default();
        let text = self.upgrade.protocol.starts_with("base64.");
        let (code, first) = if text { (opcode::TEXT, channel.wrapping_add(b'0')) } else { (opcode::BINARY, channel) };
        frame(code, &[&[first], line.content.as_slice()].concat())
    }

    /// Takes in what the client has said. None once it has closed, or made no sense.
    async fn listen(&mut self, received: &mut BytesMut, write: &mut (impl AsyncWrite + Unpin)) -> Option<()> {
        while let Some(message) = message(received).ok()? {
            match message.opcode {
                opcode::CLOSE if self.closing => return None,
                opcode::CLOSE => {
                    let _ = write.write_all(&frame(opcode::CLOSE, &message.payload)).await;
                    let _ = write.flush().await;
                    return None;
                }
                opcode::PING => {
                    write.write_all(&frame(opcode::PONG, &message.payload)).await.ok()?;
                    write.flush().await.ok()?;
                }
                opcode::PONG => {}
                code => {
                    let Some((first, content)) = message.payload.split_first() else { continue };
                    let channel = if code == opcode::TEXT { first.wrapping_sub(b'0') } else { *first };
                    self.heard.entry(i16::from(channel)).or_default().extend_from_slice(content);
                }
            }
        }
        Some(())
    }

    /// What the client said otherwise than in the recording. What was redacted there is equal to anything.
    fn otherwise(&self) -> Vec<String> {
        let mut recorded: BTreeMap<i16, Vec<u8>> = BTreeMap::new();
        let mut hidden = Vec::new();
        for message in self.upgrade.messages.iter().filter(|message| message.from_client) {
            if matches!(&message.content, Body::Text(text) if text.split_whitespace().any(is_placeholder)) {
                hidden.push(message.channel);
            }
            recorded.entry(message.channel).or_default().extend(bytes(message));
        }
        let channels: std::collections::BTreeSet<i16> = recorded.keys().chain(self.heard.keys()).copied().collect();
        let none = Vec::new();
        let mut said = Vec::new();
        for channel in channels.into_iter().filter(|channel| *channel != RESIZE && !hidden.contains(channel)) {
            let (then, now) = (recorded.get(&channel).unwrap_or(&none), self.heard.get(&channel).unwrap_or(&none));
            if then != now {
                let (then, now) = (then.len(), now.len());
                said.push(format!("channel {channel}: other words ({then} bytes on the tape, {now} now)"));
            }
        }
        said
    }
}

/// A frame from the server: whole and unmasked.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..126), _) => out.push(length),
        (_, Ok(length)) => {
            out.push(126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

/// A frame from the client, unmasked. Clients of exec send each message in one.
struct Message {
    opcode: u8,
    payload: Vec<u8>,
}

struct TooLarge;

/// The next frame of what was received; none until it is there as a whole.
fn message(received: &mut BytesMut) -> Result<Option<Message>, TooLarge> {
    let [first, second, rest @ ..] = &received[..] else { return Ok(None) };
    let (extra, length) = match second & 0x7f {
        126 => (2, rest.first_chunk::<2>().map(|length| u64::from(u16::from_be_bytes(*length)))),
        127 => (8, rest.first_chunk::<8>().map(|length| u64::from_be_bytes(*length))),
        short => (0, Some(u64::from(short))),
    };
    let Some(length) = length else { return Ok(None) };
    if length > MAX_MESSAGE {
        return Err(TooLarge);
    }
    let (opcode, masked) = (first & 0x0f, second & 0x80 != 0);
    let head = 2 + extra + if masked { 4 } else { 0 };
    let length = usize::try_from(length).map_err(|_| TooLarge)?;
    if received.len() < head + length {
        return Ok(None);
    }
    let mask: [u8; 4] = match received.get(2 + extra..).and_then(<[u8]>::first_chunk::<4>) {
        Some(mask) if masked => *mask,
        _ => [0; 4],
    };
    received.advance(head);
    let payload = received.split_to(length).iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Ok(Some(Message { opcode, payload }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::model::{ChannelBytes, Marks};

    fn said(channel: i16, from_client: bool, text: &str, t: Micros) -> ChannelMessage {
        ChannelMessage { seq: 0, t, channel, from_client, content: Body::Text(text.into()) }
    }

    /// A shell that greets, is told something, and answers it.
    fn shell() -> Upgrade {
        Upgrade {
            id: 7,
            t: Marks { req: 0, head: Some(10), end: 50 },
            protocol: "v5.channel.k8s.io".into(),
            channels: vec![ChannelBytes { channel: 1, sent: 0, received: 9 }],
            close_code: Some(1000),
            messages: vec![
                said(1, false, "$ ", 20),
                said(0, true, "whoami\n", 30),
                said(1, false, "root\n", 40),
                said(3, false, r#"{"status":"Success"}"#, 45),
            ],
            ..Upgrade::default()
        }
    }

    fn masked(channel: u8, text: &str) -> Vec<u8> {
        let payload = [&[channel], text.as_bytes()].concat();
        let mask = [1, 2, 3, 4];
        let mut out = vec![0x82, 0x80 | u8::try_from(payload.len()).unwrap()];
        out.extend(mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }

    const MINUTE: Duration = Duration::from_secs(60);

    /// Says these words to a shell, in pieces, and gives what it said and what was said otherwise.
    async fn converse(pace: Pace, words: &[&str], patience: Duration) -> (Vec<(u8, Vec<u8>)>, Vec<String>) {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        let playing = tokio::spawn(Talk::new(Arc::new(shell()), pace, patience).run(far));
        let mut received = BytesMut::new();
        let mut heard = Vec::new();
        let mut words = words.iter();
        loop {
            while let Ok(Some(message)) = message(&mut received) {
                let closes = message.opcode == opcode::CLOSE;
                heard.push((message.opcode, message.payload.clone()));
                if message.payload == b"\x01$ " {
                    for word in words.by_ref() {
                        near.write_all(&masked(0, word)).await.unwrap();
                    }
                }
                if closes {
                    drop(near);
                    return (heard, playing.await.unwrap());
                }
            }
            assert!(near.read_buf(&mut received).await.unwrap() > 0, "{heard:?}");
        }
    }

    #[tokio::test]
    async fn the_server_answers_what_the_client_says_however_it_is_cut() {
        for pace in [Pace::Gated, Pace::Asap, Pace::Recorded(1.0)] {
            for words in [&["whoami\n"][..], &["who", "ami", "\n"]] {
                let (heard, otherwise) = converse(pace, words, MINUTE).await;
                let expected: [(u8, &[u8]); 4] = [
                    (opcode::BINARY, b"\x01$ "),
                    (opcode::BINARY, b"\x01root\n"),
                    (opcode::BINARY, b"\x03{\"status\":\"Success\"}"),
                    (opcode::CLOSE, &[3, 0xe8]),
                ];
                assert_eq!(heard, expected.map(|(code, payload)| (code, payload.to_vec())), "{pace:?} {words:?}");
                assert_eq!(otherwise, [""; 0]);
            }
        }
    }

    #[tokio::test]
    async fn other_words_are_told_at_the_end() {
        let (_, otherwise) = converse(Pace::Gated, &["whereami\n"], MINUTE).await;
        assert_eq!(otherwise, ["channel 0: other words (7 bytes on the tape, 9 now)"]);
    }

    #[tokio::test]
    async fn a_client_of_fewer_words_is_answered_after_a_while() {
        let (heard, otherwise) = converse(Pace::Gated, &["who"], Duration::from_millis(1)).await;
        assert_eq!((heard.len(), otherwise.len()), (4, 1));
    }

    #[tokio::test]
    async fn pings_are_answered_and_a_client_may_leave() {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        let playing = tokio::spawn(Talk::new(Arc::new(shell()), Pace::Gated, MINUTE).run(far));
        near.write_all(b"\x89\x82\x00\x00\x00\x00hi").await.unwrap();
        near.write_all(b"\x88\x80\x00\x00\x00\x00").await.unwrap();
        let mut heard = Vec::new();
        near.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"\x82\x03\x01$ \x8a\x02hi\x88\x00");
        assert_eq!(playing.await.unwrap().len(), 1);
    }

    #[test]
    fn only_what_was_kept_can_be_said_and_only_in_a_language_that_is_offered() {
        let offers = |text: &str| Request {
            headers: vec![("sec-websocket-protocol".to_owned(), text.to_owned())],
            ..Request::default()
        };
        assert_eq!(can_be_said_to(&shell(), &offers("v4.channel.k8s.io, v5.channel.k8s.io")), Ok(()));
        assert!(can_be_said_to(&shell(), &offers("v4.channel.k8s.io")).unwrap_err().contains("does not offer"));
        let counted = Upgrade { messages: Vec::new(), ..shell() };
        assert!(can_be_said_to(&counted, &offers("v5.channel.k8s.io")).unwrap_err().contains("--record-streams"));
        let opaque = Upgrade { protocol: "SPDY/3.1".into(), ..shell() };
        assert!(can_be_said_to(&opaque, &offers("v5.channel.k8s.io")).unwrap_err().contains("not understood"));
    }

    #[test]
    fn the_key_of_the_standard_gets_the_answer_of_the_standard() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn lengths_of_frames_are_written_as_they_are_read() {
        for length in [0, 1, 125, 126, 0xffff, 0x10000] {
            let mut bytes = BytesMut::from(&frame(opcode::BINARY, &vec![7; length])[..]);
            assert!(matches!(message(&mut bytes), Ok(Some(m)) if m.payload.len() == length), "{length}");
            assert!(bytes.is_empty());
        }
    }
}
