//! The one body type, for requests and responses, with what can be laid around it: a time limit, gunzip.

use super::classify;
use crate::error::{TransportError, TransportKind};
use bytes::Bytes;
use flate2::write::GzDecoder;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep};

/// A body of bytes, known or streamed.
pub struct Body(UnsyncBoxBody<Bytes, TransportError>);

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self(UnsyncBoxBody::new(Empty::new().map_err(|never| match never {})))
    }

    /// Takes any body.
    pub fn wrap<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self(UnsyncBoxBody::new(body.map_err(|e| classify(e.into()))))
    }

    /// Reads it to its end.
    ///
    /// # Errors
    /// What broke it off.
    pub async fn bytes(self) -> Result<Bytes, TransportError> {
        Ok(self.0.collect().await?.to_bytes())
    }

    /// The next piece of data; `None` at the end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, TransportError>> {
        loop {
            match self.0.frame().await? {
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
            match std::task::ready!(Pin::new(&mut self.0).poll_frame(cx)) {
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
        Self(UnsyncBoxBody::new(Limited { inner: self, timer: Box::pin(tokio::time::sleep_until(at)), kind }))
    }

    /// Unpacks gzip on the way.
    #[must_use]
    pub(crate) fn gunzip(self) -> Self {
        Self(UnsyncBoxBody::new(Gunzip { inner: self, decoder: Some(GzDecoder::new(Vec::new())) }))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(UnsyncBoxBody::new(Full::new(bytes).map_err(|never| match never {})))
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
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
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

struct Gunzip {
    inner: Body,
    /// `None` once the end was reached or the stream was bad.
    decoder: Option<GzDecoder<Vec<u8>>>,
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
