//! HTTP/2, frame by frame.

use super::hpack::{self, Decoder, Field};
use super::{Ending, PATIENCE, Wire, connect};
use rehearsal::Cluster;
use std::io::ErrorKind;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// The largest window there is: an observer takes whatever comes.
const WINDOW: u32 = 0x7fff_ffff;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
    /// The fields of the head or of the trailers that this frame completes.
    pub(crate) fields: Vec<Field>,
}

impl Frame {
    /// The last four bytes as a number: the code of RST_STREAM and of GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let end: [u8; 4] = self.payload[self.payload.len() - 4..].try_into().unwrap();
        u32::from_be_bytes(end)
    }

    /// The first four bytes as a number: the last stream of GOAWAY.
    pub(crate) fn last_stream(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }

    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// An HTTP/2 connection in the hands of a test.
pub(crate) struct Http2<S> {
    pub(crate) stream: S,
    next: u32,
    /// A write has found the connection reset; reading shows nothing of it any more.
    reset: bool,
    /// What was read and is no whole frame yet.
    unread: Vec<u8>,
    /// A header block that goes on.
    block: Vec<u8>,
    decoder: Decoder,
}

/// Begins HTTP/2 with prior knowledge.
pub(crate) async fn http2(cluster: &Cluster) -> Http2<TcpStream> {
    Http2::begin(connect(cluster).await).await
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http2<S> {
    pub(crate) async fn begin(stream: S) -> Self {
        crate::proof::spoken(Wire::Http2);
        let (unread, block) = (Vec::new(), Vec::new());
        let mut client = Self { stream, next: 1, reset: false, unread, block, decoder: Decoder::default() };
        let _ = client.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        // SETTINGS_INITIAL_WINDOW_SIZE for the streams, WINDOW_UPDATE for the connection.
        client.write(SETTINGS, 0, 0, &[&[0, 4][..], &WINDOW.to_be_bytes()].concat()).await;
        client.write(WINDOW_UPDATE, 0, 0, &(WINDOW - 0xffff).to_be_bytes()).await;
        client
    }

    pub(crate) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // A server that has cut the connection is what some tests wait for.
        let written = self.stream.write_all(&frame).await;
        self.reset |= written.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset);
        let _ = self.stream.flush().await;
    }

    /// Sends a request and returns its stream.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &str) -> u32 {
        self.send_with(method, path, &[], body).await
    }

    /// Sends a request with headers beside or instead of the usual ones, and returns its stream.
    pub(crate) async fn send_with(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> u32 {
        let stream = self.next;
        self.next += 2;
        let mut head = Vec::new();
        for (name, value) in [(":method", method), (":scheme", "http"), (":path", path), (":authority", "x")] {
            hpack::literal(&mut head, name, value);
        }
        let usual = super::usual_headers(Wire::Http2, headers);
        for (name, value) in usual.iter().chain(headers) {
            hpack::literal(&mut head, &name.to_lowercase(), value);
        }
        let ends = if body.is_empty() { END_STREAM } else { 0 };
        self.write(HEADERS, END_HEADERS | ends, stream, &head).await;
        if !body.is_empty() {
            self.write(DATA, END_STREAM, stream, body.as_bytes()).await;
        }
        stream
    }

    pub(crate) async fn get(&mut self, path: &str) -> u32 {
        self.send("GET", path, "").await
    }

    /// The next frame, or how the connection ended. SETTINGS are acknowledged and not shown. Cancel-safe between frames.
    pub(crate) async fn next(&mut self) -> Result<Frame, Ending> {
        loop {
            let Some(frame) = self.whole() else {
                self.fill().await?;
                continue;
            };
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.write(SETTINGS, ACK, 0, &[]).await,
                SETTINGS | WINDOW_UPDATE => {}
                _ => return Ok(frame),
            }
        }
    }

    /// A frame that is there already, with its fields when it completes a header block.
    fn whole(&mut self) -> Option<Frame> {
        let head: [u8; 9] = self.unread.get(..9)?.try_into().ok()?;
        let end = 9 + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = self.unread.get(9..end)?.to_vec();
        self.unread.drain(..end);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut frame = Frame { kind: head[3], flags: head[4], stream, payload, fields: Vec::new() };
        if matches!(frame.kind, HEADERS | CONTINUATION) {
            self.block.extend(&frame.payload);
            if frame.flags & END_HEADERS != 0 {
                frame.fields = self.decoder.decode(&std::mem::take(&mut self.block));
            }
        }
        Some(frame)
    }

    async fn fill(&mut self) -> Result<(), Ending> {
        let mut room = vec![0; 64 * 1024];
        match timeout(PATIENCE, self.stream.read(&mut room)).await.expect("no frame and no end") {
            Ok(0) if !self.reset => Err(Ending::Eof),
            Ok(n) if n > 0 => {
                self.unread.extend(&room[..n]);
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::UnexpectedEof && !self.reset => Err(Ending::Eof),
            _ => Err(Ending::Reset),
        }
    }

    /// Frames until one is what is waited for; it is the last.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await.unwrap_or_else(|ending| panic!("{ending:?} after {frames:?}"));
            let found = wanted(&frame);
            frames.push(frame);
            if found {
                return frames;
            }
        }
    }

    /// Frames until the connection ends.
    pub(crate) async fn rest(&mut self) -> (Vec<Frame>, Ending) {
        let mut frames = Vec::new();
        loop {
            match self.next().await {
                Ok(frame) => frames.push(frame),
                Err(ending) => return (frames, ending),
            }
        }
    }

    /// Frames of one stream until it ends, properly or not.
    pub(crate) async fn answer(&mut self, stream: u32) -> Vec<Frame> {
        let ends = |frame: &Frame| frame.stream == stream && (frame.ends_stream() || frame.kind == RST_STREAM);
        self.until(ends).await.into_iter().filter(|frame| frame.stream == stream).collect()
    }
}

/// The payload of DATA frames, as text.
pub(crate) fn data(frames: &[Frame]) -> String {
    let bytes: Vec<u8> = frames.iter().filter(|f| f.kind == DATA).flat_map(|f| f.payload.clone()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
