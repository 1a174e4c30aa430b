//! [`Socket`]: a TCP stream that can be reset, or closed beneath TLS.

use crate::line::Line;
use rehearsal_faults::Cut;
use socket2::SockRef;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The raw stream of a connection. How it closes when it is dropped is for its [`Line`] to say.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    line: Line,
}

impl Socket {
    /// A stream whose closing `line` decides.
    #[must_use]
    pub fn new(stream: TcpStream, line: Line) -> Self {
        Self { stream, line }
    }

    /// Whether nothing may go in or out any more.
    fn check(&self, cx: &Context<'_>) -> Poll<Result<()>> {
        match self.line.severed() {
            None | Some(Cut::Eof | Cut::Clean) => Poll::Ready(Ok(())),
            Some(Cut::HalfOpen) => {
                self.line.watch(cx);
                Poll::Pending
            }
            Some(Cut::Reset | Cut::TlsEof) => {
                Poll::Ready(Err(Error::new(ErrorKind::ConnectionReset, "cut by a fault")))
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let socket = SockRef::from(&self.stream);
        // What fails here leaves a socket that closes in the usual way.
        let _ = match self.line.severed() {
            Some(Cut::Reset) => socket.set_linger(Some(Duration::ZERO)),
            Some(Cut::TlsEof) => socket.shutdown(Shutdown::Write),
            _ => Ok(()),
        };
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        ready!(self.check(cx))?;
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if outcome.is_pending() {
            self.line.watch(cx);
        }
        outcome
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        ready!(self.check(cx))?;
        let n = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.line.wrote(n);
        Poll::Ready(Ok(n))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        ready!(self.check(cx))?;
        let n = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.line.wrote(n);
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.check(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.line.has_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.check(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
