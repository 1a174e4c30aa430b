//! A watch, frame by frame: asks the rules about each, lets it pass the operations, and ends the stream as they say.
//!
//! Every firing that is about frames becomes an [`Op`] that sees all later frames, in the order of firing. What the
//! operations do to a frame is in `passage`, what a frame is in `framing`.

use super::dormant::{Follow, dormant};
use super::framing::Framing;
use super::op::{Op, Whole};
use super::{Awaken, Frames, Inner};
use crate::facts::Facts;
use crate::host::Host;
use crate::line::Line;
use crate::ruleset::{Fired, RuleSet};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use rehearsal_faults::{Action, Cut, EventType, H2Code, Point, Protocol, Stage, Word as _};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The watch with the operations that its head calls for; as it was when there are none.
pub(super) fn pipeline<H: Host>(body: Inner, follow: Follow<H>, fired: &[Fired]) -> Result<Frames, Box<dyn Awaken>> {
    let ops: Vec<Op> = fired.iter().flat_map(|fired| Op::all(fired, Stage::Head)).collect();
    if ops.is_empty() && !follow.faults.looks_at_frames() {
        let Follow { faults, host, facts, line, record } = follow;
        return Err(dormant(body, faults, host, Arc::new(move || (*facts).clone()), line, record));
    }
    let mut pipeline = Pipeline::new(body, follow);
    pipeline.ops = ops;
    Ok(pipeline.into_frames())
}

/// What comes out.
pub(super) enum Out {
    Bytes(Bytes),
    Pause(Duration, Arc<RuleSet>),
    End(End),
}

/// How the stream ends.
pub(super) enum End {
    Clean,
    Cut(Cut, CancellationToken),
    Reset(H2Code),
    /// Nothing comes for a while, or for as long as the plan is armed.
    Silence(Duration, Arc<RuleSet>),
}

pub(super) struct Pipeline<H> {
    inner: Option<Inner>,
    pub(super) follow: Follow<H>,
    unread: Option<Bytes>,
    pub(super) framing: Framing,
    pub(super) ops: Vec<Op>,
    pub(super) out: VecDeque<Out>,
    /// Bytes the connection had written when the watch began, and bytes given out since.
    base: u64,
    given: u64,
    initial: bool,
}

impl<H: Host> Pipeline<H> {
    pub(super) fn new(inner: Inner, follow: Follow<H>) -> Self {
        let base = follow.line.as_ref().map_or(0, Line::written);
        let framing = Framing::new(follow.facts.protobuf);
        Self {
            inner: Some(inner),
            follow,
            unread: None,
            framing,
            ops: Vec::new(),
            out: VecDeque::new(),
            base,
            given: 0,
            initial: true,
        }
    }

    /// Takes a chunk for the first that was read already.
    pub(super) fn beginning_with(mut self, first: Bytes) -> Self {
        self.unread = Some(first);
        self
    }

    pub(super) fn into_frames(self) -> Frames {
        Box::pin(futures::stream::unfold(self, |mut pipeline| async move {
            let item = pipeline.next().await?;
            Some((item, pipeline))
        }))
    }

    async fn next(&mut self) -> Option<super::Item> {
        loop {
            match self.out.pop_front() {
                Some(Out::Bytes(bytes)) if bytes.is_empty() => continue,
                Some(Out::Bytes(bytes)) => {
                    self.given += bytes.len() as u64;
                    return Some(Ok(Frame::data(bytes)));
                }
                Some(Out::Pause(wait, set)) => {
                    self.follow.faults.sleep(wait, &set).await;
                    continue;
                }
                Some(Out::End(end)) => match self.end(end).await {
                    Some(item) => return item,
                    None => continue,
                },
                None => {}
            }
            if self.act_on_time().await {
                continue;
            }
            match self.read().await {
                Read::Chunk(chunk) => self.take(chunk).await,
                Read::Released => {}
                Read::Ended => {
                    self.release_all();
                    if self.out.is_empty() {
                        return None;
                    }
                    self.out.push_back(Out::End(End::Clean));
                }
                Read::Failed(error) => return Some(Err(error)),
            }
        }
    }

    /// Lets the operations act whose frames have come through. Says whether one did.
    async fn act_on_time(&mut self) -> bool {
        let due = self.ops.iter().position(|op| !op.is_over() && op.after().is_some_and(|n| op.seen >= n));
        let Some(index) = due else { return false };
        self.ops[index].done = true;
        let (fired, action) = (self.ops[index].fired.clone(), self.ops[index].action.clone());
        let gone = fired.set.gone().clone();
        match action {
            Action::Cut { how, at } => {
                if let Point::After(wait) = at {
                    self.cut_after(wait, how, &fired);
                } else {
                    let end = if how == Cut::Clean { End::Clean } else { End::Cut(how, gone) };
                    self.out.push_back(Out::End(end));
                }
            }
            Action::RstStream { code, .. } => self.out.push_back(Out::End(End::Reset(code))),
            Action::ErrorFrame { reply, .. } | Action::Respond { reply } => {
                let frame = self.error_frame(&reply, &fired);
                self.out.push_back(Out::Bytes(frame));
                self.out.push_back(Out::End(End::Clean));
            }
            Action::Silence { lasts, .. } => {
                self.out.push_back(Out::End(End::Silence(lasts, fired.set.clone())));
            }
            Action::Gap { .. } => {
                self.follow.host.act(&action, &fired, &self.follow.facts, None).await;
                self.out.push_back(Out::End(End::Clean));
            }
            Action::InjectFrame { line } => {
                self.out.push_back(Out::Bytes(self.framing.delimited(line.into_bytes())));
            }
            _ => {}
        }
        true
    }

    /// Goes on for a while, and ends then.
    fn cut_after(&mut self, wait: Duration, how: Cut, fired: &Fired) {
        let (faults, set) = (self.follow.faults.clone(), fired.set.clone());
        // Due by its time alone.
        let mut op = Op::new(fired, Action::Cut { how, at: Point::AfterFrames(u64::MAX) }, true);
        op.release = Some(Box::pin(async move { faults.sleep(wait, &set).await }));
        self.ops.push(op);
    }

    fn error_frame(&self, reply: &rehearsal_faults::Reply, fired: &Fired) -> Bytes {
        let store = self.follow.host.store(&self.follow.facts);
        let line = self.follow.facts.with(&fired.lane, |request| reply.render_frame(request, &store.facts()));
        if self.follow.facts.protobuf
            && let Ok(event) = serde_json::from_str::<Value>(&line)
            && let Some(frame) = event.get("object").and_then(|status| self.follow.host.encode_frame("ERROR", status))
        {
            return Bytes::from(frame);
        }
        Bytes::from(line)
    }

    /// The next chunk, unless something held is released first.
    async fn read(&mut self) -> Read {
        if let Some(first) = self.unread.take() {
            return Read::Chunk(first);
        }
        let Some(inner) = &mut self.inner else { return Read::Ended };
        let waiting = self.ops.iter_mut().enumerate().filter_map(|(index, op)| {
            let release = op.release.as_mut()?;
            Some(Box::pin(async move {
                release.await;
                index
            }))
        });
        let mut waiting: futures::stream::FuturesUnordered<_> = waiting.collect();
        let released = async {
            match futures::StreamExt::next(&mut waiting).await {
                Some(index) => index,
                None => std::future::pending().await,
            }
        };
        let outcome = tokio::select! {
            biased;
            index = released => Err(index),
            item = inner.frame() => Ok(item),
        };
        drop(waiting);
        match outcome {
            Err(index) => {
                self.release(index);
                Read::Released
            }
            Ok(Some(Ok(frame))) => frame.into_data().map_or(Read::Released, Read::Chunk),
            Ok(Some(Err(error))) => Read::Failed(error),
            Ok(None) => Read::Ended,
        }
    }

    /// Splits a chunk into frames and lets each go its way.
    async fn take(&mut self, chunk: Bytes) {
        let frames = self.framing.frames(&chunk);
        let mut lines: Vec<Whole> = frames.into_iter().map(|bytes| Whole { bytes }).collect();
        if std::mem::take(&mut self.initial) {
            self.shuffle(&mut lines);
        }
        for line in lines {
            self.meet(line).await;
            if self.out.iter().any(|out| matches!(out, Out::End(_))) {
                return;
            }
            // What is due after this frame comes before the next one.
            while self.act_on_time().await {
                if self.out.iter().any(|out| matches!(out, Out::End(End::Clean | End::Cut(..) | End::Reset(_)))) {
                    return;
                }
            }
        }
    }

    /// Asks the rules about a frame, and lets the operations have it.
    async fn meet(&mut self, line: Whole) {
        if self.follow.faults.looks_at_frames() {
            let (event, object) = self.framing.parse(&self.follow.host, &line.bytes);
            let event_type = EventType::from_word(&event).unwrap_or(EventType::Error);
            let object = object.filter(|_| !matches!(event_type, EventType::Bookmark | EventType::Error));
            let fired = self.follow.faults.decide_frame(&self.follow.facts, event_type, object.as_ref());
            self.follow.record.add(&fired);
            let about = object.map(|object| self.about(object));
            for one in fired {
                for action in &one.firing.actions {
                    match action {
                        Action::Delay { wait } => self.out.push_back(Out::Pause(wait.duration(), one.set.clone())),
                        Action::Mark { .. } | Action::FailTest { .. } | Action::Client { .. } | Action::Gap { .. } => {}
                        other => {
                            let facts = about.as_ref().unwrap_or(&self.follow.facts);
                            self.follow.host.act(other, &one, facts, None).await;
                        }
                    }
                }
                self.ops.extend(Op::all(&one, Stage::Frame));
            }
            while self.act_on_time().await {
                if self.out.iter().any(|out| matches!(out, Out::End(End::Clean | End::Cut(..) | End::Reset(_)))) {
                    return;
                }
            }
        }
        self.ops.retain(|op| !op.is_over() || !op.held.is_empty());
        self.through(0, line);
    }

    /// The watch's facts, about the object of a frame.
    fn about(&self, object: Value) -> Facts {
        let meta = |key: &str| {
            object.pointer(&format!("/metadata/{key}")).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (namespace, name) = (meta("namespace"), meta("name"));
        Facts { namespace, name, object: Some(Arc::new(object)), ..(*self.follow.facts).clone() }
    }

    /// Ends the stream, or lets it go on after a silence.
    async fn end(&mut self, end: End) -> Option<Option<super::Item>> {
        match end {
            End::Clean => {
                self.inner = None;
                self.ops.clear();
                Some(None)
            }
            End::Silence(lasts, set) => {
                if lasts.is_zero() {
                    set.gone().cancelled().await;
                } else {
                    self.follow.faults.sleep(lasts, &set).await;
                }
                None
            }
            // An HTTP/2 stream has an end of its own.
            End::Cut(Cut::Eof, _) if self.follow.facts.protocol == Protocol::Http2 => Some(None),
            End::Cut(how, held) => {
                Some(Some(Err(cut(self.follow.line.as_ref(), self.base + self.given.max(1), how, &held).await)))
            }
            End::Reset(code) => {
                if let Some(line) = &self.follow.line {
                    line.delivered(self.base + self.given.max(1)).await;
                }
                Some(Some(Err(h2::Error::from(h2::Reason::from(code.code())).into())))
            }
        }
    }
}

/// Cuts the connection once the bytes are on their way; without one, the body fails.
pub(super) async fn cut(line: Option<&Line>, bytes: u64, how: Cut, held: &CancellationToken) -> super::BoxError {
    if let Some(line) = line {
        line.delivered(bytes).await;
        line.cut(how, held);
        std::future::pending::<()>().await;
    }
    super::BoxError::from("cut by a fault")
}

enum Read {
    Chunk(Bytes),
    /// Something held was released, or there was nothing to read.
    Released,
    Ended,
    Failed(super::BoxError),
}
