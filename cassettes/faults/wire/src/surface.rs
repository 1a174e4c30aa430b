//! [`Surface`]: the stream above TLS, where HTTP bytes can be seen: cuts them into segments, ends them properly, and on
//! HTTP/2 slips frames between those of the server and takes frames of the client away.
//!
//! Without an order it only follows the frames, by their heads.

use crate::h2frames::{self, ACK, FrameHead, Piece, Tracker};
use crate::line::{Line, Moment, Order};
use rehearsal_faults::Cut;
use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

/// How long a connection lives after GOAWAY and its last stream (Go `goAwayTimeout`).
const AFTER_GOAWAY: Duration = Duration::from_secs(1);
/// An interim answer of HTTP/1.1.
const INTERIM: &[u8] = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";
/// Read at once while frames are being taken away, in bytes.
const READ: usize = 16 * 1024;

/// A stream between TLS (or TCP) and the HTTP server.
pub struct Surface<S> {
    stream: S,
    line: Line,
    http2: Option<Box<Frames>>,
    /// Set while a proper end is under way.
    ending: bool,
    /// On HTTP/1.1: what goes out before the next head, and what follows its first line.
    before: Vec<u8>,
    beside: Vec<u8>,
    /// The two of them with that line, as far as they are not out, and the length of the line.
    staged: Vec<u8>,
    taken: usize,
}

/// What is known of an HTTP/2 connection.
struct Frames {
    sent: Tracker,
    received: Tracker,
    /// Streams that have begun and not ended.
    open: BTreeSet<u32>,
    newest: u32,
    /// What waits for its moment.
    orders: Vec<Order>,
    /// Bytes of our own that go out before anything else.
    pending: Vec<u8>,
    /// The last stream that is answered.
    last: Option<u32>,
    ignore_ping: Option<CancellationToken>,
    /// Acknowledgements of SETTINGS that the server does not know of.
    acks: u32,
    abrupt: bool,
    closing: Option<Pin<Box<Sleep>>>,
    /// What was read and may go on to the server.
    passed: Vec<u8>,
    /// Whether the frame being read goes on to the server.
    passing: bool,
}

impl Frames {
    fn new() -> Self {
        Self {
            sent: Tracker::of_server(),
            received: Tracker::of_client(),
            open: BTreeSet::new(),
            newest: 0,
            orders: Vec::new(),
            pending: Vec::new(),
            last: None,
            ignore_ping: None,
            acks: 0,
            abrupt: false,
            closing: None,
            passed: Vec::new(),
            passing: true,
        }
    }

    fn is_filtering(&self) -> bool {
        self.last.is_some() || self.ignore_ping.is_some() || self.acks > 0
    }

    fn wants_boundary(&self) -> bool {
        !self.orders.is_empty()
    }

    fn saw_sent(&mut self, head: FrameHead) {
        if head.ends_stream() || head.kind == h2frames::RST_STREAM {
            self.open.remove(&head.stream);
        }
        for order in &mut self.orders {
            if let Order::GoAway { after, .. } = order {
                let reached = match after {
                    Moment::Now => true,
                    Moment::Head => head.ends_head(),
                    Moment::End => head.ends_stream(),
                };
                if reached {
                    *after = Moment::Now;
                }
            }
        }
    }

    fn saw_received(&mut self, head: FrameHead) {
        match head.kind {
            h2frames::HEADERS if head.stream > self.newest => {
                self.newest = head.stream;
                self.open.insert(head.stream);
            }
            h2frames::RST_STREAM => {
                self.open.remove(&head.stream);
            }
            _ => {}
        }
    }

    /// Whether the server gets to see a frame of the client.
    fn lets_through(&mut self, head: FrameHead) -> bool {
        if self.last.is_some_and(|last| head.stream > last) {
            return false;
        }
        match head.kind {
            h2frames::PING if head.flags & ACK == 0 => {
                self.ignore_ping.as_ref().is_none_or(CancellationToken::is_cancelled)
            }
            h2frames::SETTINGS if head.flags & ACK != 0 && self.acks > 0 => {
                self.acks -= 1;
                false
            }
            _ => true,
        }
    }

    /// Turns orders whose moment has come into bytes. Only to be called between two frames.
    fn stage(&mut self) {
        for order in std::mem::take(&mut self.orders) {
            match order {
                Order::GoAway { code, streams_back, abrupt, after: Moment::Now } => {
                    let back = u32::try_from(streams_back.saturating_mul(2)).unwrap_or(u32::MAX);
                    let last = self.newest.saturating_sub(back);
                    self.pending.extend(h2frames::goaway(last, code));
                    self.last = Some(self.last.map_or(last, |before| before.min(last)));
                    self.abrupt |= abrupt;
                    self.open.retain(|stream| *stream <= last);
                }
                Order::IgnorePing(held) => self.ignore_ping = Some(held),
                Order::Settings => {
                    self.pending.extend(h2frames::settings());
                    self.acks += 1;
                }
                Order::Interim => self.pending.extend(h2frames::interim(self.newest)),
                Order::HeadLine(_) => {}
                later @ Order::GoAway { .. } => self.orders.push(later),
            }
        }
    }

    /// Filters what was read into `passed`.
    fn sift(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let held = self.received.partial().to_vec();
            let (n, piece) = match self.received.next(bytes) {
                piece @ (Piece::Payload(n) | Piece::Partial(n) | Piece::Head(n, _)) => (n, piece),
            };
            match piece {
                Piece::Payload(_) if self.passing => self.passed.extend(&bytes[..n]),
                Piece::Payload(_) | Piece::Partial(_) => {}
                Piece::Head(_, head) => {
                    self.passing = self.lets_through(head);
                    if self.passing {
                        self.saw_received(head);
                        self.passed.extend(held);
                        self.passed.extend(&bytes[..n]);
                    }
                }
            }
            bytes = &bytes[n..];
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Surface<S> {
    /// A stream that obeys `line`; `http2` when the client has agreed on HTTP/2.
    #[must_use]
    pub fn new(stream: S, line: Line, http2: bool) -> Self {
        Self {
            stream,
            line,
            http2: http2.then(|| Box::new(Frames::new())),
            ending: false,
            before: Vec::new(),
            beside: Vec::new(),
            staged: Vec::new(),
            taken: 0,
        }
    }

    /// Does what was ordered, as far as it can be done now.
    fn obey(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.ending || self.line.severed() == Some(Cut::Eof) {
            self.ending = true;
            // TLS says goodbye here, TCP sends FIN.
            let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
            return Poll::Ready(Err(Error::new(ErrorKind::ConnectionAborted, "ended by a fault")));
        }
        let orders = self.line.take_orders();
        let Some(frames) = &mut self.http2 else {
            for order in orders {
                match order {
                    Order::Interim => self.before.extend(INTERIM),
                    Order::HeadLine(line) => self.beside.extend(line),
                    _ => {}
                }
            }
            return Poll::Ready(Ok(()));
        };
        frames.orders.extend(orders);
        if frames.sent.at_boundary() && frames.wants_boundary() {
            frames.stage();
        }
        if !frames.pending.is_empty() {
            while !frames.pending.is_empty() {
                let n = ready!(Pin::new(&mut self.stream).poll_write(cx, &frames.pending))?;
                frames.pending.drain(..n);
            }
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        }
        if frames.abrupt {
            self.ending = true;
            return self.obey(cx);
        }
        if frames.last.is_some() && frames.open.is_empty() {
            let closing = frames.closing.get_or_insert_with(|| Box::pin(tokio::time::sleep(AFTER_GOAWAY)));
            if closing.as_mut().poll(cx).is_ready() {
                self.ending = true;
                return self.obey(cx);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what goes out with the head that `buf` begins with; tells how much of `buf` is out with it.
    fn embellish(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        if !self.before.is_empty() || !self.beside.is_empty() {
            let line = buf.windows(2).position(|end| end == b"\r\n").map_or(0, |end| end + 2);
            self.taken = if self.beside.is_empty() { 0 } else { line };
            self.staged.append(&mut self.before);
            self.staged.extend(&buf[..self.taken]);
            self.staged.append(&mut self.beside);
        }
        while !self.staged.is_empty() {
            let n = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.staged))?;
            self.staged.drain(..n);
        }
        Poll::Ready(Ok(std::mem::take(&mut self.taken)))
    }

    /// Reads while frames are taken away.
    fn poll_sifted(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        loop {
            let Some(frames) = &mut self.http2 else { return Poll::Ready(Ok(())) };
            if !frames.passed.is_empty() {
                let n = frames.passed.len().min(buf.remaining());
                buf.put_slice(&frames.passed[..n]);
                frames.passed.drain(..n);
                return Poll::Ready(Ok(()));
            }
            let mut room = vec![0; READ];
            let mut read = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            frames.sift(read.filled());
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Surface<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        // What cannot be written now must not keep from reading.
        if let Poll::Ready(Err(error)) = self.obey(cx) {
            return Poll::Ready(Err(error));
        }
        if self.http2.as_ref().is_some_and(|frames| frames.is_filtering() || !frames.passed.is_empty()) {
            return self.poll_sifted(cx, buf);
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if let Some(frames) = &mut self.http2 {
            let Frames { received, .. } = &mut **frames;
            let mut heads = Vec::new();
            received.feed(buf.filled().get(before..).unwrap_or_default(), |head| heads.push(head));
            heads.into_iter().for_each(|head| frames.saw_received(head));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Surface<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        ready!(self.obey(cx))?;
        let taken = ready!(self.embellish(cx, buf))?;
        if taken > 0 {
            return Poll::Ready(Ok(taken));
        }
        let mut most = buf.len().min(self.line.largest_write());
        if let Some(frames) = &self.http2
            && frames.wants_boundary()
        {
            most = most.min(frames.sent.up_to_boundary(buf));
        }
        let n = ready!(Pin::new(&mut self.stream).poll_write(cx, &buf[..most]))?;
        if let Some(frames) = &mut self.http2 {
            let mut heads = Vec::new();
            frames.sent.feed(&buf[..n], |head| heads.push(head));
            heads.into_iter().for_each(|head| frames.saw_sent(head));
        }
        Poll::Ready(Ok(n))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        ready!(self.obey(cx))?;
        let watched = !(self.before.is_empty() && self.beside.is_empty() && self.staged.is_empty())
            || self.line.largest_write() != usize::MAX
            || self.http2.as_ref().is_some_and(|frames| frames.wants_boundary() || !frames.pending.is_empty());
        if watched {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &**buf);
            return self.poll_write(cx, first);
        }
        let n = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        if let Some(frames) = &mut self.http2 {
            let mut left = n;
            let mut heads = Vec::new();
            for buf in bufs {
                let taken = left.min(buf.len());
                frames.sent.feed(&buf[..taken], |head| heads.push(head));
                left -= taken;
            }
            heads.into_iter().for_each(|head| frames.saw_sent(head));
        }
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.obey(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
