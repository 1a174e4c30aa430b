//! [`Session`]: an exchange and its way to the tape. Dropping it before its end is the client's going away.

use super::capture::{Capture, Streaming};
use super::event::{Event, RequestHead};
use super::recorder::{Recorder, Room};
use super::sink::RecordError;
use crate::format::Tree;
use crate::format::model::{End, Seq};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

/// A request that is about to be forwarded.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Id, from [`Recorder::next_id`].
    pub id: u64,
    /// Logical client.
    pub lane: Arc<str>,
    /// Ordinal of the client's connection; 0 without one.
    pub conn: u64,
    /// The request.
    pub head: RequestHead,
    /// Its body; none where it was too large to be held.
    pub body: Option<Bytes>,
    /// The Audit-ID sent to the server.
    pub audit_id: Option<String>,
    /// The way of its connection so far.
    pub trail: Trail,
}

/// The last place on the tape that belongs to a connection; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Trail(Arc<AtomicU64>);

impl Trail {
    fn note(&self, seq: Seq) {
        self.0.fetch_max(seq, Ordering::Relaxed);
    }

    fn last(&self) -> Seq {
        self.0.load(Ordering::Relaxed)
    }
}

/// Follows one exchange.
pub struct Session {
    recorder: Recorder,
    capture: Capture,
    backlog: VecDeque<Event>,
    waiting: Option<BoxFuture<'static, Result<Room, RecordError>>>,
    /// Waits for the last frame to be in the file.
    settling: Option<BoxFuture<'static, Result<(), RecordError>>>,
    last: Seq,
    trail: Trail,
    faults: Vec<Tree>,
    /// The exchange is not wanted on the tape.
    mute: bool,
    /// Tells at the end what else has fired.
    witness: Option<Box<dyn Fn() -> Vec<Tree> + Send + Sync>>,
}

impl Session {
    pub(crate) async fn begin(recorder: Recorder, exchange: Exchange) -> Result<Self, RecordError> {
        let Exchange { id, lane, conn, head, body, audit_id, trail } = exchange;
        let mute = !recorder.wants(&lane, &head);
        recorder.safe(trail.last()).await?;
        let capture = Capture::new(id, Streaming::of(&head), recorder.wire());
        let req = Event::Req { of: id, t: recorder.now(), lane, conn, head: Box::new(head), body, audit_id };
        // From here on an end is owed, even if nobody waits any more.
        let mut session = Self {
            recorder,
            capture,
            backlog: VecDeque::from([req]),
            waiting: None,
            settling: None,
            last: 0,
            trail,
            faults: Vec::new(),
            mute,
            witness: None,
        };
        std::future::poll_fn(|cx| session.poll_safe(cx)).await?;
        Ok(session)
    }

    /// A rule of a fault plan has fired on this exchange.
    pub fn fault(&mut self, firing: Tree) {
        self.faults.push(firing);
    }

    /// Somebody who knows at the end of the exchange which rules have fired on it, in their order.
    pub fn witness(&mut self, tell: impl Fn() -> Vec<Tree> + Send + Sync + 'static) {
        self.witness = Some(Box::new(tell));
    }

    /// Waits until what was queued is in the file: an answer must not reach a client whose question a crash could lose.
    ///
    /// # Errors
    /// When it never will be.
    pub async fn settled(&mut self) -> Result<(), RecordError> {
        self.recorder.safe(self.last).await
    }

    /// The head of the answer has come.
    pub fn head(&mut self, status: u16, headers: &HeaderMap) {
        let event = self.capture.head(self.recorder.now(), status, headers);
        self.backlog.extend(event);
    }

    /// A piece of the answer's body has come.
    pub fn data(&mut self, data: &Bytes) {
        let events = self.capture.data(self.recorder.now(), data);
        self.backlog.extend(events);
    }

    /// The exchange is over. Only the first end counts.
    pub fn end(&mut self, end: End) {
        if !self.capture.is_ended() {
            let mut faults = std::mem::take(&mut self.faults);
            faults.extend(self.witness.take().map(|tell| tell()).unwrap_or_default());
            self.backlog.extend(self.capture.end(self.recorder.now(), end, faults));
        }
    }

    /// Whether everything told so far is in the queue.
    pub(crate) fn is_written(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Writes down what has been told as far as that can be done without waiting.
    pub(crate) fn write_now(&mut self) {
        let _ = self.poll_safe(&mut Context::from_waker(std::task::Waker::noop()));
    }

    /// Puts what has been told into the queue, waiting for room.
    pub(crate) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RecordError>> {
        if self.mute {
            self.backlog.clear();
        }
        while let Some(event) = self.backlog.front() {
            let cost = event.cost();
            let room = match &mut self.waiting {
                Some(waiting) => {
                    let room = ready!(waiting.as_mut().poll(cx));
                    self.waiting = None;
                    room?
                }
                None => match self.recorder.try_room(cost) {
                    Some(room) => room,
                    None => {
                        let recorder = self.recorder.clone();
                        self.waiting = Some(Box::pin(async move { recorder.room(cost).await }));
                        continue;
                    }
                },
            };
            if let Some(event) = self.backlog.pop_front() {
                self.last = self.recorder.enqueue(event, Some(room))?;
                self.trail.note(self.last);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until what has been told is in the file.
    pub(crate) fn poll_safe(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RecordError>> {
        ready!(self.poll_written(cx))?;
        if self.settling.is_none() && !self.recorder.is_safe(self.last) {
            self.recorder.work();
        }
        if self.recorder.is_safe(self.last) {
            self.settling = None;
            return Poll::Ready(Ok(()));
        }
        let (recorder, last) = (&self.recorder, self.last);
        let settling = self.settling.get_or_insert_with(|| {
            let recorder = recorder.clone();
            Box::pin(async move { recorder.safe(last).await })
        });
        let settled = ready!(settling.as_mut().poll(cx));
        self.settling = None;
        Poll::Ready(settled)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.mute {
            return;
        }
        self.end(End::ClientCancel);
        // Nobody is left who could wait; what is written here is a frame or two and an end.
        let left = !self.backlog.is_empty();
        while let Some(event) = self.backlog.pop_front() {
            match self.recorder.enqueue(event, None) {
                Ok(seq) => self.trail.note(seq),
                Err(_) => return,
            }
        }
        if left {
            self.recorder.work_later();
        }
    }
}
