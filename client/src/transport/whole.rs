//! HTTP/2 bodies that end without END_STREAM are broken off: hyper ends a body quietly when its stream or connection goes
//! with NO_ERROR (RFC 9113, 8.1), and then a part would be taken for the whole.

use super::{Body, classify};
use crate::error::{TransportError, TransportKind};
use bytes::Bytes;
use http::{Response, Version};
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The answer with a body that must end properly.
pub(super) fn whole<B>(response: Response<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if response.version() != Version::HTTP_2 {
        return response.map(Body::wrap);
    }
    // A refusal may be complete, and its stream reset because nobody reads the rest of the request.
    let lenient = !response.status().is_success();
    response.map(|inner| Body::wrap(Whole { inner, lenient }))
}

struct Whole<B> {
    inner: B,
    /// An end without a known length is believed.
    lenient: bool,
}

impl<B: http_body::Body<Data = Bytes> + Unpin> Whole<B> {
    fn is_cut(&self) -> bool {
        let missing = self.inner.size_hint().exact().map_or(!self.lenient, |left| left > 0);
        missing && !self.inner.is_end_stream()
    }
}

impl<B> http_body::Body for Whole<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        Poll::Ready(match frame {
            None if self.is_cut() => {
                Some(Err(TransportError::new(TransportKind::Eof, "http2: the stream ended before the body did")))
            }
            other => other.map(|frame| frame.map_err(|error| classify(error.into()))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    /// Says what is left and whether it has ended, and gives nothing more.
    struct Over(Option<u64>, bool);

    impl http_body::Body for Over {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(None)
        }

        fn is_end_stream(&self) -> bool {
            self.1
        }

        fn size_hint(&self) -> SizeHint {
            self.0.map_or_else(SizeHint::default, SizeHint::with_exact)
        }
    }

    async fn is_error(version: Version, status: u16, body: Over) -> bool {
        let response = Response::builder().version(version).status(status).body(body).unwrap();
        whole(response).into_body().frame().await.is_some_and(|frame| frame.is_err())
    }

    #[tokio::test]
    async fn a_body_that_ends_without_its_end_is_an_error() {
        assert!(is_error(Version::HTTP_2, 200, Over(None, false)).await);
        assert!(is_error(Version::HTTP_2, 200, Over(Some(5), false)).await);
        assert!(is_error(Version::HTTP_2, 413, Over(Some(5), false)).await);
        assert!(!is_error(Version::HTTP_2, 200, Over(None, true)).await);
        assert!(!is_error(Version::HTTP_2, 200, Over(Some(0), false)).await);
        assert!(!is_error(Version::HTTP_2, 413, Over(None, false)).await, "complete, as far as can be told");
        assert!(!is_error(Version::HTTP_11, 200, Over(None, false)).await, "hyper knows its chunks");
    }
}
