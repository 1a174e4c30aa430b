//! [`TypedWatch`]: the events of a watch with typed objects.
//!
//! Counterpart: `watch.Interface` of a typed client. JSON frames are read straight into the type.

use crate::error::Error;
use crate::scheme::{Resource, TypedEvent};
use crate::watch::WatchStream;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Typed events as they arrive. Dropping it closes the connection.
///
/// An ERROR event of the server is an [`Error`] of which `status()` tells the whole, and reading goes on. So is an object
/// that cannot be read, with the cause `ClientWatchDecoding`, and the stream ends there.
#[derive(Debug)]
pub struct TypedWatch<K> {
    stream: WatchStream,
    kind: PhantomData<fn() -> K>,
}

impl<K: Resource> TypedWatch<K> {
    pub(crate) fn new(stream: WatchStream) -> Self {
        Self { stream, kind: PhantomData }
    }

    /// The next event; `None` when the stream has ended. Cancel safe.
    ///
    /// # Errors
    /// What an ERROR event reports.
    pub async fn next(&mut self) -> Option<Result<TypedEvent<K>, Error>> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The stream below, with objects as JSON values.
    #[must_use]
    pub fn into_values(self) -> WatchStream {
        self.stream
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<TypedEvent<K>, Error>>> {
        self.stream.poll_typed(cx).map(|event| event.map(|e| e.map_err(|status| Error::from(*status))))
    }
}

impl<K: Resource> futures::Stream for TypedWatch<K> {
    type Item = Result<TypedEvent<K>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}
