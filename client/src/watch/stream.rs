//! The event stream of one watch request.
//!
//! Counterpart: apimachinery `watch.StreamWatcher`. A lost connection ends the stream silently; bytes that cannot be
//! read end it with one ERROR event. ERROR events of the server are passed on, and reading goes on.

use super::decoder::Decoder;
use crate::error::{
    CAUSE_CLIENT_WATCH_DECODING, CAUSE_UNEXPECTED_SERVER_RESPONSE, DecodeError, Error, TransportError, TransportKind,
};
use crate::rest::Codecs;
#[cfg(feature = "clientset")]
use crate::scheme::{EventOrFailure, Resource};
use crate::transport::Body;
use rehearsal_apimachinery::{Status, StatusReason, WatchEvent};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Events as they arrive. Dropping it closes the connection.
#[derive(Debug)]
pub struct WatchStream {
    /// `None` once the stream has ended.
    open: Option<(Body, Decoder)>,
    /// Whether a lost HTTP/2 connection is an end like any other.
    silent_when_lost: bool,
}

impl WatchStream {
    pub(crate) fn new(body: Body, content_type: &str, codecs: Codecs) -> Result<Self, Error> {
        let decoder = Decoder::new(content_type, codecs)
            .ok_or_else(|| DecodeError::NoSerializer { content_type: content_type.to_owned() })?;
        Ok(Self { open: Some((body, decoder)), silent_when_lost: false })
    }

    /// A lost HTTP/2 connection ends the stream without an ERROR event, as every other lost connection does.
    pub(crate) fn silent_when_lost(self, silent: bool) -> Self {
        Self { silent_when_lost: silent, ..self }
    }

    /// A stream that has ended already.
    pub(crate) fn closed() -> Self {
        Self { open: None, silent_when_lost: false }
    }

    /// The next event; `None` when the stream has ended. Cancel safe.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Reads until an event fits, and gives it. Counterpart: `UntilWithoutRetry` with one condition.
    ///
    /// # Errors
    /// [`Error::WatchClosed`] when the stream ends before; the first error of `fits`. An ERROR event is no error by itself.
    pub async fn until(
        &mut self,
        mut fits: impl FnMut(&WatchEvent) -> Result<bool, Error>,
    ) -> Result<WatchEvent, Error> {
        while let Some(event) = self.next().await {
            if fits(&event)? {
                return Ok(event);
            }
        }
        Err(Error::WatchClosed)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<WatchEvent>> {
        self.poll_with(cx, Decoder::next, |message| WatchEvent::error(&undecodable(message)))
    }

    /// The next event with a typed object, or what an ERROR event reports.
    #[cfg(feature = "clientset")]
    pub(crate) fn poll_typed<K: Resource>(&mut self, cx: &mut Context<'_>) -> Poll<Option<EventOrFailure<K>>> {
        self.poll_with(cx, Decoder::next_typed, |message| Err(Box::new(undecodable(message))))
    }

    fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        next: impl Fn(&mut Decoder) -> Option<Result<T, String>>,
        failed: impl Fn(&str) -> T,
    ) -> Poll<Option<T>> {
        loop {
            let Some((body, decoder)) = &mut self.open else { return Poll::Ready(None) };
            match next(decoder) {
                Some(Ok(event)) => return Poll::Ready(Some(event)),
                Some(Err(message)) => {
                    self.open = None;
                    return Poll::Ready(Some(failed(&message)));
                }
                None => {}
            }
            match std::task::ready!(Pin::new(body as &mut Body).poll_data(cx)) {
                Some(Ok(bytes)) => decoder.feed(&bytes),
                None => self.open = None,
                Some(Err(error)) if is_silent(&error, self.silent_when_lost) => {
                    tracing::debug!(target: "client::watch", %error, "watch ended");
                    self.open = None;
                }
                Some(Err(error)) => {
                    self.open = None;
                    return Poll::Ready(Some(failed(&error.to_string())));
                }
            }
        }
    }
}

impl futures::Stream for WatchStream {
    type Item = WatchEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WatchEvent>> {
        self.poll_event(cx)
    }
}

/// Ends that happen to every long connection.
fn is_silent(error: &TransportError, silent_when_lost: bool) -> bool {
    let lost = error.kind() == TransportKind::ConnectionLost;
    error.is_probable_eof() || error.is_timeout() || (lost && silent_when_lost)
}

fn undecodable(message: &str) -> Status {
    let text = format!("unable to decode an event from the watch stream: {message}");
    Status::failure(500, StatusReason::InternalError, text.clone())
        .cause(CAUSE_UNEXPECTED_SERVER_RESPONSE, text.clone(), "")
        .cause(CAUSE_CLIENT_WATCH_DECODING, text, "")
}
