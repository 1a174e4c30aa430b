//! [`Tee`]: a body that passes unchanged, and whose session hears what passed.
//!
//! What was told is in the file before it passes: the frames of a stream with the piece that completes them, an answer
//! with its last byte. So nothing that a client has got in full can be missing on the tape, whatever happens.

use super::session::Session;
use super::sink::RecordError;
use crate::format::model::End;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

type Tell = dyn Fn(&(dyn Error + 'static)) -> End + Send + Sync;

/// Tells how an exchange ended from the error that ended it.
#[derive(Clone)]
pub struct Outcome(Arc<Tell>);

impl Outcome {
    /// Any function.
    pub fn new(tell: impl Fn(&(dyn Error + 'static)) -> End + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// How the exchange ended.
    #[must_use]
    pub fn of(&self, error: &(dyn Error + 'static)) -> End {
        (self.0)(error)
    }
}

impl Default for Outcome {
    /// Looks for what hyper and the operating system say; anything else is the upstream's fault, in words.
    fn default() -> Self {
        Self::new(end_of)
    }
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outcome")
    }
}

fn end_of(error: &(dyn Error + 'static)) -> End {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            match io.kind() {
                std::io::ErrorKind::ConnectionReset => return End::Reset { code: None },
                std::io::ErrorKind::UnexpectedEof => return End::EofNoNotify,
                std::io::ErrorKind::TimedOut => return End::Timeout,
                _ => {}
            }
        }
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>()
            && hyper.is_incomplete_message()
        {
            return End::EofNoNotify;
        }
        next = cause.source();
    }
    End::Upstream { message: error.to_string() }
}

/// Why a recorded body broke off.
#[derive(Debug, thiserror::Error)]
pub enum Trouble<E: Error + 'static> {
    /// Recording came to an end, and what cannot be recorded does not pass.
    #[error(transparent)]
    Tape(#[from] RecordError),
    /// The body itself.
    #[error("{0}")]
    Body(#[source] E),
}

/// A body on its way to a client.
pub struct Tee<B> {
    body: B,
    session: Session,
    outcome: Outcome,
    /// Bytes still to come, where that is known.
    remaining: Option<u64>,
    /// What passes once its documents are in the file.
    held: Option<Frame<Bytes>>,
    /// Nothing more comes.
    over: bool,
}

impl<B: Body<Data = Bytes>> Tee<B> {
    /// The body of the answer whose head the session has been told.
    pub fn new(body: B, mut session: Session, outcome: Outcome) -> Self {
        let remaining = body.size_hint().exact();
        if body.is_end_stream() || remaining == Some(0) {
            session.end(End::Complete);
            // A server may not ask for a body that is known to be empty.
            session.write_now();
        }
        Self { body, session, outcome, remaining, held: None, over: false }
    }
}

impl<B> Body for Tee<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Error + 'static,
{
    type Data = Bytes;
    type Error = Trouble<B::Error>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        loop {
            if let Err(error) = ready!(this.session.poll_safe(cx)) {
                return Poll::Ready(Some(Err(error.into())));
            }
            if let Some(frame) = this.held.take() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if this.over {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        this.session.data(data);
                        this.remaining = this.remaining.map(|left| left.saturating_sub(data.len() as u64));
                    }
                    // A server stops asking once it has all that was promised; this is the last chance to say so.
                    if this.body.is_end_stream() || this.remaining == Some(0) {
                        this.session.end(End::Complete);
                    }
                    this.held = Some(frame);
                }
                Some(Err(error)) => {
                    this.session.end(this.outcome.of(&error));
                    return Poll::Ready(Some(Err(Trouble::Body(error))));
                }
                None => {
                    this.session.end(End::Complete);
                    this.over = true;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream() && self.session.is_written()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let held = self.held.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len) as u64;
        if held > 0 {
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + held);
            }
            hint.set_lower(hint.lower() + held);
        }
        hint
    }
}
