//! [`Answer`] and [`Ended`]: what a connection is given by its requests, with errors that it can pass on.

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use rehearsal_fault_wire::{BoxError, FaultBody};
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Why an exchange has no proper end. HTTP/2 finds the code that the client sees among its sources.
#[derive(Debug)]
pub(super) struct Ended(BoxError);

impl Ended {
    pub(super) fn by(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Ended {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// The body of an answer to a client.
pub(super) struct Answer(FaultBody);

/// An answer on its way to the connection.
pub(super) fn outward(response: Response<FaultBody>) -> Response<Answer> {
    response.map(Answer)
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Ended;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Ended>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_err(Ended)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
