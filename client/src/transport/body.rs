//! The one body type, for requests and responses, with what can be laid around it: a time limit, gunzip.

use super::classify;
use crate::error::{TransportError, TransportKind};
use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Memory that is set aside on the word of a `Content-Length`.
const MAX_EXPECTED: usize = 16 * 1024 * 1024;

/// A body of bytes, known or streamed.
pub struct Body(Inner);

enum Inner {
    /// Bytes that are there, and not sent yet.
    Known(Bytes),
    Any(UnsyncBoxBody<Bytes, TransportError>),
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::from(Bytes::new())
    }

    /// Takes any body.
    pub fn wrap<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self(Inner::Any(UnsyncBoxBody::new(body.map_err(|e| classify(e.into())))))
    }

    /// The same body again, where its bytes are known.
    pub(crate) fn replay(&self) -> Option<Self> {
        match &self.0 {
            Inner::Known(bytes) => Some(Self(Inner::Known(bytes.clone()))),
            Inner::Any(_) => None,
        }
    }

    /// A body that is sent once, known or not.
    pub(crate) fn once(self) -> Self {
        match self.0 {
            Inner::Known(bytes) => Self::wrap(Full::new(bytes)),
            Inner::Any(_) => self,
        }
    }

    /// Reads it to its end.
    ///
    /// # Errors
    /// What broke it off.
    pub async fn bytes(self) -> Result<Bytes, TransportError> {
        match self.0 {
            Inner::Known(bytes) => Ok(bytes),
            Inner::Any(_) => self.gather().await,
        }
    }

    /// Pieces are copied as they come and not kept until the end, so that hyper reads into the same memory again.
    async fn gather(mut self) -> Result<Bytes, TransportError> {
        let Some(first) = self.chunk().await.transpose()? else { return Ok(Bytes::new()) };
        if self.0.is_over() {
            return Ok(first);
        }
        let expected = usize::try_from(http_body::Body::size_hint(&self).lower()).unwrap_or(usize::MAX);
        let mut all = BytesMut::with_capacity(first.len() + expected.min(MAX_EXPECTED));
        all.extend_from_slice(&first);
        while let Some(piece) = self.chunk().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.freeze())
    }

    /// The next piece of data; `None` at the end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, TransportError>> {
        loop {
            match self.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some(Ok(data)),
                    Err(_trailers) => {}
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The next piece of data, for those who poll.
    pub(crate) fn poll_data(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, TransportError>>> {
        loop {
            match std::task::ready!(self.as_mut().poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }

    /// Fails with `kind` when it has not ended by then.
    #[must_use]
    pub(crate) fn with_deadline(self, at: Instant, kind: TransportKind) -> Self {
        let timer = Box::pin(tokio::time::sleep_until(at));
        Self(Inner::Any(UnsyncBoxBody::new(Limited { inner: self, timer, kind })))
    }

    /// Fails when nothing has come for so long.
    #[must_use]
    pub(crate) fn with_idle_limit(self, longest: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(longest));
        Self(Inner::Any(UnsyncBoxBody::new(Watched { inner: self, timer, longest })))
    }

    /// Unpacks gzip on the way. A watch may be packed event by event, as API servers from 1.37 on do.
    #[must_use]
    pub(crate) fn gunzip(self) -> Self {
        let decoder = Some(MultiGzDecoder::new(Vec::new()));
        Self(Inner::Any(UnsyncBoxBody::new(Gunzip { inner: self, decoder })))
    }
}

impl Inner {
    fn is_over(&self) -> bool {
        match self {
            Self::Known(bytes) => bytes.is_empty(),
            Self::Any(body) => body.is_end_stream(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Inner::Known(bytes))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Body")
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        match &mut self.0 {
            Inner::Known(bytes) if bytes.is_empty() => Poll::Ready(None),
            Inner::Known(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Inner::Any(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Known(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Any(body) => body.size_hint(),
        }
    }
}

struct Limited {
    inner: Body,
    timer: Pin<Box<Sleep>>,
    kind: TransportKind,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            let error = TransportError::new(self.kind, "time limit exceeded while reading the body");
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Pending
    }
}

struct Watched {
    inner: Body,
    timer: Pin<Box<Sleep>>,
    longest: Duration,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            // An end beyond what the clock can count is none.
            if let Some(at) = crate::clock::now().checked_add(self.longest) {
                self.timer.as_mut().reset(at);
            }
            return Poll::Ready(frame);
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            let error = TransportError::new(TransportKind::Timeout, "the body fell silent");
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Pending
    }
}

struct Gunzip {
    inner: Body,
    /// `None` once the end was reached or the stream was bad.
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
}

impl Gunzip {
    fn feed(&mut self, data: &[u8]) -> std::io::Result<Bytes> {
        let Some(decoder) = &mut self.decoder else { return Ok(Bytes::new()) };
        decoder.write_all(data)?;
        decoder.flush()?;
        Ok(std::mem::take(decoder.get_mut()).into())
    }

    fn finish(&mut self) -> std::io::Result<Bytes> {
        self.decoder.take().map_or_else(|| Ok(Bytes::new()), |d| d.finish().map(Into::into))
    }
}

impl http_body::Body for Gunzip {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        loop {
            let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
            let plain = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.feed(&data),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.decoder.is_none() => return Poll::Ready(None),
                None => self.finish(),
            };
            match plain {
                Ok(plain) if plain.is_empty() => {}
                Ok(plain) => return Poll::Ready(Some(Ok(Frame::data(plain)))),
                Err(error) => {
                    self.decoder = None;
                    let kind = if error.kind() == std::io::ErrorKind::UnexpectedEof {
                        TransportKind::Eof
                    } else {
                        TransportKind::Other
                    };
                    return Poll::Ready(Some(Err(TransportError::with_source(kind, error))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn packed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn gzip_is_unpacked_whatever_the_cuts() {
        let text = "pods ".repeat(1000);
        let pieces: Vec<_> =
            packed(&text).chunks(7).map(|c| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(c)))).collect();
        let body = Body::wrap(http_body_util::StreamBody::new(futures::stream::iter(pieces))).gunzip();
        assert_eq!(body.bytes().await.unwrap(), text);
    }

    #[tokio::test]
    async fn events_that_are_packed_one_by_one_are_unpacked_as_they_come() {
        let pieces = ["one", "two", "three"].map(|t| Ok::<_, std::io::Error>(Frame::data(Bytes::from(packed(t)))));
        let mut body = Body::wrap(http_body_util::StreamBody::new(futures::stream::iter(pieces))).gunzip();
        for word in ["one", "two", "three"] {
            assert_eq!(body.chunk().await.unwrap().unwrap(), word);
        }
        assert!(body.chunk().await.is_none());
    }

    #[tokio::test]
    async fn known_bytes_can_be_sent_again_unless_they_are_a_stream() {
        let body = Body::from(Bytes::from("a"));
        assert_eq!(body.replay().unwrap().bytes().await.unwrap(), "a");
        assert!(body.once().replay().is_none());
    }

    #[tokio::test]
    async fn truncated_gzip_is_an_error() {
        let mut bytes = packed("hello");
        bytes.truncate(bytes.len() - 4);
        assert!(Body::from(Bytes::from(bytes)).gunzip().bytes().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_runs_into_its_limit() {
        let stalled =
            http_body_util::StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        let at = crate::clock::now() + std::time::Duration::from_secs(3);
        let error = Body::wrap(stalled).with_deadline(at, TransportKind::Timeout).bytes().await.unwrap_err();
        assert!(error.is_timeout());
    }
}
