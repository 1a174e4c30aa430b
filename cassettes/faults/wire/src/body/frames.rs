//! A watch, frame by frame: asks the rules about each, and drops, holds, doubles, swaps, replaces and ends as they say.
//!
//! Every firing that is about frames becomes an [`Op`] that sees all later frames, in the order of firing.

use super::oddity::odd_events;
use super::op::{MERGE, MERGED, Op, Whole, coalesced, ends_initial, is_type, next_random};
use super::{Awaken, Frames, Inner};
use crate::control::Faults;
use crate::facts::Facts;
use crate::host::Host;
use crate::layer::{Describe, Record};
use crate::line::Line;
use crate::ruleset::{Fired, RuleSet};
use bytes::{Buf as _, Bytes, BytesMut};
use http_body::Frame;
use http_body_util::BodyExt as _;
use rehearsal_faults::{
    Action, Bookmarks, Cut, EventType, H2Code, Point, Protocol, Segmentation, Stage, Tampering, Word,
};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a watch needs to be asked about.
pub(crate) struct Follow<H> {
    pub(crate) faults: Faults,
    pub(crate) host: H,
    pub(crate) facts: Arc<Facts>,
    pub(crate) line: Option<Line>,
    pub(crate) record: Record,
}

/// A watch that no rule has looked at. There may be a hundred thousand of them.
struct Dormant<H> {
    body: Inner,
    faults: Faults,
    host: H,
    describe: Describe,
    line: Option<Line>,
    record: Record,
}

pub(super) fn dormant<H: Host>(
    body: Inner,
    faults: Faults,
    host: H,
    describe: Describe,
    line: Option<Line>,
    record: Record,
) -> Box<dyn Awaken> {
    Box::new(Dormant { body, faults, host, describe, line, record })
}

impl<H: Host> Awaken for Dormant<H> {
    fn is_looked_at(&self) -> bool {
        self.faults.looks_at_frames()
    }

    fn body(&mut self) -> &mut Inner {
        &mut self.body
    }

    fn awaken(self: Box<Self>, first: Bytes) -> Frames {
        let Self { body, faults, host, describe, line, record } = *self;
        let listener = line.as_ref().map(Line::lane).unwrap_or_default().to_owned();
        let facts = Arc::new(Facts { listener, ..describe() });
        let mut pipeline = Pipeline::new(body, Follow { faults, host, facts, line, record });
        pipeline.unread = Some(first);
        pipeline.into_frames()
    }
}

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
enum Out {
    Bytes(Bytes),
    Pause(Duration, Arc<RuleSet>),
    End(End),
}

/// How the stream ends.
enum End {
    Clean,
    Cut(Cut, CancellationToken),
    Reset(H2Code),
    /// Nothing comes for a while, or for as long as the plan is armed.
    Silence(Duration, Arc<RuleSet>),
}

struct Pipeline<H> {
    inner: Option<Inner>,
    follow: Follow<H>,
    unread: Option<Bytes>,
    rest: BytesMut,
    ops: Vec<Op>,
    out: VecDeque<Out>,
    /// Bytes the connection had written when the watch began, and bytes given out since.
    base: u64,
    given: u64,
    initial: bool,
}

impl<H: Host> Pipeline<H> {
    fn new(inner: Inner, follow: Follow<H>) -> Self {
        let base = follow.line.as_ref().map_or(0, Line::written);
        Self {
            inner: Some(inner),
            follow,
            unread: None,
            rest: BytesMut::new(),
            ops: Vec::new(),
            out: VecDeque::new(),
            base,
            given: 0,
            initial: true,
        }
    }

    fn into_frames(self) -> Frames {
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
                self.out.push_back(Out::Bytes(self.delimited(line.into_bytes())));
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

    /// A line of the plan with the delimiters of this stream.
    fn delimited(&self, mut line: Vec<u8>) -> Bytes {
        if self.follow.facts.protobuf {
            let length = u32::try_from(line.len()).unwrap_or(u32::MAX).to_be_bytes();
            return Bytes::from([&length[..], &line].concat());
        }
        line.push(b'\n');
        Bytes::from(line)
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

    /// What an operation has held goes on to those behind it.
    fn release(&mut self, index: usize) {
        let Some(op) = self.ops.get_mut(index) else { return };
        op.release = None;
        if let Action::Cut { how, .. } = op.action {
            op.done = true;
            let gone = op.fired.set.gone().clone();
            if !gone.is_cancelled() {
                self.out.push_back(Out::End(if how == Cut::Clean { End::Clean } else { End::Cut(how, gone) }));
            }
            return;
        }
        let coalesce = matches!(op.action, Action::HoldFrames { coalesce: true, .. });
        let merge = matches!(op.action, Action::Segment { .. });
        let held = std::mem::take(&mut op.held);
        op.done |= op.once;
        let held = if coalesce { coalesced(held) } else { held };
        if merge {
            let all: BytesMut = held.iter().flat_map(|line| line.bytes.iter().copied()).collect();
            self.out.push_back(Out::Bytes(all.freeze()));
            return;
        }
        for line in held {
            self.through(index + 1, line);
        }
    }

    fn release_all(&mut self) {
        for index in 0..self.ops.len() {
            if !self.ops[index].held.is_empty() {
                self.release(index);
            }
        }
        let rest = self.rest.split().freeze();
        self.out.push_back(Out::Bytes(rest));
    }

    /// Splits a chunk into frames and lets each go its way.
    async fn take(&mut self, chunk: Bytes) {
        self.rest.extend_from_slice(&chunk);
        let mut lines = Vec::new();
        while let Some(line) = self.split() {
            lines.push(Whole { bytes: line });
        }
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

    fn split(&mut self) -> Option<Bytes> {
        let length = if self.follow.facts.protobuf {
            let mut head = self.rest.get(..4)?;
            usize::try_from(head.get_u32()).ok()?.checked_add(4)?
        } else {
            self.rest.iter().position(|byte| *byte == b'\n')? + 1
        };
        (self.rest.len() >= length).then(|| self.rest.split_to(length).freeze())
    }

    fn shuffle(&mut self, lines: &mut [Whole]) {
        for op in self.ops.iter_mut().filter(|op| !op.is_over()) {
            if let Action::ShuffleInitial { seed } = op.action {
                op.done = true;
                let added = lines.iter().take_while(|line| is_type(&line.bytes, "ADDED")).count();
                let mut state = seed;
                for i in (1..added).rev() {
                    let j = (next_random(&mut state) % (i as u64 + 1)) as usize;
                    lines.swap(i, j);
                }
            }
        }
    }

    /// Asks the rules about a frame, and lets the operations have it.
    async fn meet(&mut self, line: Whole) {
        if self.follow.faults.looks_at_frames() {
            let (event, object) = self.parse(&line.bytes);
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

    fn parse(&self, frame: &[u8]) -> (String, Option<Value>) {
        if self.follow.facts.protobuf {
            let decoded = frame.get(4..).and_then(|body| self.follow.host.decode_frame(body));
            return decoded.map_or_else(|| (String::new(), None), |(event, object)| (event, Some(object)));
        }
        let Ok(mut event) = serde_json::from_slice::<Value>(frame) else { return (String::new(), None) };
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        (kind, event.get_mut("object").map(Value::take))
    }

    fn encode(&self, event: &str, object: &Value) -> Bytes {
        if self.follow.facts.protobuf {
            return self.follow.host.encode_frame(event, object).map(Bytes::from).unwrap_or_default();
        }
        Bytes::from(format!("{{\"type\":\"{event}\",\"object\":{object}}}\n"))
    }

    /// Lets a frame through the operations from `index` on.
    fn through(&mut self, index: usize, line: Whole) {
        let mut lines = vec![line];
        for index in index..self.ops.len() {
            let mut next = Vec::new();
            for line in lines {
                self.apply(index, line, &mut next);
            }
            lines = next;
        }
        self.out.extend(lines.into_iter().map(|line| Out::Bytes(line.bytes)));
    }

    fn apply(&mut self, index: usize, line: Whole, next: &mut Vec<Whole>) {
        let is_bookmark = || is_type(&line.bytes, "BOOKMARK");
        let op = &mut self.ops[index];
        if op.is_over() && op.held.is_empty() {
            next.push(line);
            return;
        }
        op.seen += 1;
        let seen = op.seen;
        let set = op.fired.set.clone();
        match op.action.clone() {
            Action::Bookmarks { mode, every, delay } if is_bookmark() => {
                let ends = ends_initial(&line.bytes);
                match mode {
                    Bookmarks::Missing => {}
                    Bookmarks::Rare => {
                        op.bookmarks += 1;
                        if op.bookmarks.is_multiple_of(every.max(1)) {
                            next.push(line);
                        }
                    }
                    Bookmarks::InitialOnly if ends => next.push(line),
                    Bookmarks::InitialOnly => {}
                    Bookmarks::InitialLate => {
                        if ends {
                            self.out.extend(next.drain(..).map(|line| Out::Bytes(line.bytes)));
                            self.out.push_back(Out::Pause(delay, set));
                        }
                        next.push(line);
                    }
                }
            }
            Action::HoldFrames { frames, lasts, .. } => self.hold(index, line, frames, lasts),
            Action::Segment { how: Segmentation::Merged, .. } => self.hold(index, line, MERGED, MERGE),
            Action::Tamper { how, frame } if seen >= frame => match how {
                Tampering::Drop if seen == frame => op.done = true,
                Tampering::Duplicate if seen == frame => {
                    op.done = true;
                    next.extend([line.clone(), line]);
                }
                Tampering::Reorder if seen == frame => op.held.push(line),
                Tampering::Reorder => {
                    op.done = true;
                    next.push(line);
                    next.append(&mut op.held);
                }
                _ => next.push(line),
            },
            Action::Odd { form, frame } if seen == frame => {
                op.done = true;
                let (event, object) = self.parse(&line.bytes);
                match object {
                    Some(object) => next.extend(
                        odd_events(&event, object, form)
                            .into_iter()
                            .map(|(event, object)| Whole { bytes: self.encode(&event, &object) }),
                    ),
                    None => next.push(line),
                }
            }
            Action::TruncateFrame { after_frames, bytes } if seen > after_frames => {
                op.done = true;
                let whole = line.bytes.len();
                let part = if bytes == 0 { whole / 2 } else { usize::try_from(bytes).unwrap_or(whole) };
                self.out.extend(next.drain(..).map(|line| Out::Bytes(line.bytes)));
                self.out.push_back(Out::Bytes(line.bytes.slice(..part.min(whole.saturating_sub(1)))));
                self.out.push_back(Out::End(End::Clean));
            }
            _ => next.push(line),
        }
    }

    /// Keeps a frame until enough have gathered, or long enough.
    fn hold(&mut self, index: usize, line: Whole, most: u64, lasts: Duration) {
        let faults = self.follow.faults.clone();
        let op = &mut self.ops[index];
        op.held.push(line);
        if most > 0 && op.held.len() as u64 >= most {
            self.release(index);
        } else if op.release.is_none() {
            let set = op.fired.set.clone();
            let merging = matches!(op.action, Action::Segment { .. });
            op.release = Some(Box::pin(async move {
                if merging {
                    tokio::time::sleep(MERGE).await;
                } else if lasts.is_zero() {
                    set.gone().cancelled().await;
                } else {
                    faults.sleep(lasts, &set).await;
                }
            }));
        }
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
