//! The body of a long list: put together from the stored objects piece by piece while it is sent.
//!
//! A list of thousands of objects as one buffer would be written to fresh memory, page fault by page fault, and read
//! again by the socket. A piece stays in the cache of the processor, and a slow reader holds objects that are in the
//! store anyway, not a copy of them.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Size of a piece in bytes: it fits the cache, and is no allocation of its own kind to the allocator.
const PIECE: usize = 64 << 10;

/// Appends the next part of the body, or says that there is none.
type Next = Box<dyn FnMut(&mut Vec<u8>) -> bool + Send>;

/// A body of known length that is made as it goes out.
pub(super) struct Pieces {
    next: Next,
    left: u64,
}

impl Pieces {
    /// A body of exactly this many bytes from what the closure appends, call after call, until it returns `false`.
    pub(super) fn new(length: usize, next: impl FnMut(&mut Vec<u8>) -> bool + Send + 'static) -> Self {
        Self { next: Box::new(next), left: length as u64 }
    }

    /// The body in one piece.
    pub(super) fn into_bytes(mut self) -> Bytes {
        let mut out = Vec::with_capacity(usize::try_from(self.left).unwrap_or_default());
        while (self.next)(&mut out) {}
        out.into()
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let mut piece = Vec::with_capacity(PIECE);
        // The last part may exceed the capacity, which costs a copy of this piece and nothing else.
        while piece.len() < PIECE * 7 / 8 && (this.next)(&mut piece) {}
        this.left = this.left.saturating_sub(piece.len() as u64);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    fn numbers() -> Pieces {
        let mut numbers = 0..50_000;
        Pieces::new(50_000 * 8, move |out| {
            numbers.next().is_some_and(|n| {
                out.extend_from_slice(format!("{n:08}").as_bytes());
                true
            })
        })
    }

    #[tokio::test]
    async fn pieces_are_the_whole_and_end_where_they_said() {
        let mut body = numbers();
        let (mut all, mut pieces) = (Vec::new(), 0);
        while !body.is_end_stream() {
            assert_eq!(body.size_hint().exact(), Some(400_000 - all.len() as u64));
            all.extend_from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap());
            pieces += 1;
        }
        assert_eq!((all, pieces), (numbers().into_bytes().to_vec(), 7));
    }
}
