//! The event stream of one watch request.
//!
//! Counterpart: apimachinery `watch.StreamWatcher`. A lost connection ends the stream silently; bytes that cannot be
//! read end it with one ERROR event. ERROR events of the server are passed on, and reading goes on.

use super::decoder::Decoder;
use crate::error::{
    CAUSE_CLIENT_WATCH_DECODING, CAUSE_UNEXPECTED_SERVER_RESPONSE, DecodeError, Error, TransportError, TransportKind,
};
use crate::rest::Codecs;
use crate::transport::Body;
use rehearsal_apimachinery::{Status, StatusReason, WatchEvent};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Events as they arrive. Dropping it closes the connection.
#[derive(Debug)]
pub struct WatchStream {
    /// `None` once the stream has ended.
    open: Option<(Body, Decoder)>,
}

impl WatchStream {
    pub(crate) fn new(body: Body, content_type: &str, codecs: Codecs) -> Result<Self, Error> {
        let decoder = Decoder::new(content_type, codecs)
            .ok_or_else(|| DecodeError::NoSerializer { content_type: content_type.to_owned() })?;
        Ok(Self { open: Some((body, decoder)) })
    }

    /// A stream that has ended already.
    pub(crate) fn closed() -> Self {
        Self { open: None }
    }

    /// The next event; `None` when the stream has ended. Cancel safe.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<WatchEvent>> {
        loop {
            let Some((body, decoder)) = &mut self.open else { return Poll::Ready(None) };
            match decoder.next() {
                Some(Ok(event)) => return Poll::Ready(Some(event)),
                Some(Err(message)) => {
                    self.open = None;
                    return Poll::Ready(Some(undecodable(&message)));
                }
                None => {}
            }
            match std::task::ready!(Pin::new(body as &mut Body).poll_data(cx)) {
                Some(Ok(bytes)) => decoder.feed(&bytes),
                None => self.open = None,
                Some(Err(error)) if is_silent(&error) => {
                    tracing::debug!(target: "client::watch", %error, "watch ended");
                    self.open = None;
                }
                Some(Err(error)) => {
                    self.open = None;
                    return Poll::Ready(Some(undecodable(&error.to_string())));
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
fn is_silent(error: &TransportError) -> bool {
    error.is_probable_eof() || error.is_timeout() || error.kind() == TransportKind::Timeout
}

fn undecodable(message: &str) -> WatchEvent {
    let text = format!("unable to decode an event from the watch stream: {message}");
    let status = Status::failure(500, StatusReason::InternalError, text.clone())
        .cause(CAUSE_UNEXPECTED_SERVER_RESPONSE, text.clone(), "")
        .cause(CAUSE_CLIENT_WATCH_DECODING, text, "");
    WatchEvent::error(&status)
}
