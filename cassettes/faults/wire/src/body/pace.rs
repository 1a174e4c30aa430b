//! The bytes of a body in time: rates, parts, segments, and a cut at a byte.

use super::delivery::Delivery;
use super::{FaultBody, Frames};
use crate::line::Line;
use crate::ruleset::{Fired, RuleSet};
use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use rehearsal_faults::{Action, Cut, H2Code, Point, Protocol, Segmentation};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// The body with whatever the rules at its head do to its bytes.
pub(crate) fn paced(body: FaultBody, fired: &[Fired], line: Option<Line>, protocol: Protocol) -> FaultBody {
    let mut pace = Pace::new(line, protocol, body.size_hint().exact());
    for one in fired {
        for action in &one.firing.actions {
            pace.add(action, &one.set);
        }
    }
    if pace.is_idle() {
        return body;
    }
    pace.body = Some(body);
    FaultBody::driven(pace.into_frames())
}

/// How a body ends before its time.
#[derive(Clone)]
enum Stop {
    Cut(Cut, Arc<RuleSet>),
    Reset(H2Code),
}

struct Pace {
    body: Option<FaultBody>,
    line: Option<Line>,
    delivery: Delivery,
    protocol: Protocol,
    length: Option<u64>,
    /// After so many bytes.
    stop: Option<(u64, Stop)>,
    /// After so much time.
    timer: Option<(Duration, Stop)>,
    running: Option<Pin<Box<Sleep>>>,
    /// Largest piece and the time between two.
    rate: Option<(usize, Duration)>,
    parts: Option<(u64, Duration)>,
    inside_utf8: bool,
    set: Option<Arc<RuleSet>>,
    ready: VecDeque<Bytes>,
}

impl Pace {
    fn new(line: Option<Line>, protocol: Protocol, length: Option<u64>) -> Self {
        Self {
            body: None,
            delivery: Delivery::new(line.clone()),
            line,
            protocol,
            length,
            stop: None,
            timer: None,
            running: None,
            rate: None,
            parts: None,
            inside_utf8: false,
            set: None,
            ready: VecDeque::new(),
        }
    }

    fn add(&mut self, action: &Action, set: &Arc<RuleSet>) {
        let before = (self.rate, self.parts);
        match action {
            Action::Cut { how: Cut::Clean, .. } => {}
            Action::Cut { how, at: Point::AfterBytes(n) } => self.stop = Some((*n, Stop::Cut(*how, set.clone()))),
            Action::Cut { how, at: Point::After(wait) } => self.timer = Some((*wait, Stop::Cut(*how, set.clone()))),
            Action::RstStream { code, at: Point::AfterBytes(n) } => self.stop = Some((*n, Stop::Reset(*code))),
            Action::Throttle { bytes_per_second } => {
                // A tenth of a second's worth at a time, so that it trickles.
                let piece = (bytes_per_second / 10).max(1);
                let pause = Duration::from_secs_f64(piece as f64 / (*bytes_per_second).max(1) as f64);
                self.rate = Some((usize::try_from(piece).unwrap_or(usize::MAX), pause));
            }
            Action::Dribble { chunks, over } => {
                let between = *over / u32::try_from((*chunks).max(1)).unwrap_or(u32::MAX);
                self.parts = Some(((*chunks).max(1), between));
            }
            Action::Segment { how: Segmentation::InsideUtf8, .. } => self.inside_utf8 = true,
            Action::Segment { how: Segmentation::InsideChunkSize, .. } => self.segment(1, set),
            Action::Segment { how: Segmentation::Bytes, bytes } => self.segment(*bytes, set),
            _ => {}
        }
        if before != (self.rate, self.parts) {
            self.set = Some(set.clone());
        }
    }

    fn segment(&self, bytes: u64, set: &RuleSet) {
        if let Some(line) = &self.line {
            line.segment(bytes.max(1), set.gone());
        }
    }

    fn is_idle(&self) -> bool {
        self.stop.is_none() && self.timer.is_none() && self.rate.is_none() && self.parts.is_none() && !self.inside_utf8
    }

    fn into_frames(self) -> Frames {
        Box::pin(futures::stream::unfold(self, |mut pace| async move {
            let item = pace.next().await?;
            Some((item, pace))
        }))
    }

    async fn next(&mut self) -> Option<super::Item> {
        loop {
            if let Some((at, stop)) = self.stop.clone()
                && self.delivery.given() >= at
            {
                return self.end(stop).await;
            }
            if let Some(piece) = self.ready.pop_front() {
                if self.delivery.given() > 0 {
                    self.wait().await;
                }
                let piece = self.up_to_stop(piece);
                self.delivery.give(piece.len());
                return Some(Ok(Frame::data(piece)));
            }
            let chunk = match self.read().await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(chunk) => chunk,
                    Err(trailers) => return Some(Ok(trailers)),
                },
                Ok(other) => return other,
                Err(stop) => return self.end(stop).await,
            };
            self.split(chunk).await;
        }
    }

    async fn read(&mut self) -> Result<Option<super::Item>, Stop> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let Some((wait, stop)) = self.timer.clone() else { return Ok(body.frame().await) };
        let timer = self.running.get_or_insert_with(|| Box::pin(sleep(wait)));
        tokio::select! {
            item = body.frame() => match item {
                // The body may be over before its time: its end waits for the cut.
                None => { timer.as_mut().await; Err(stop) }
                other => Ok(other),
            },
            () = timer.as_mut() => Err(stop),
        }
    }

    /// Cuts a chunk into the pieces that go out one by one.
    async fn split(&mut self, chunk: Bytes) {
        if let Some((parts, _)) = self.parts {
            let whole = if self.length.is_some() { self.rest(chunk).await } else { chunk };
            let size = whole.len().div_ceil(usize::try_from(parts).unwrap_or(usize::MAX)).max(1);
            self.pieces(whole, size);
        } else if let Some((size, _)) = self.rate {
            self.pieces(chunk, size);
        } else if self.inside_utf8 {
            let mut rest = chunk;
            // The second byte of a character begins with the bits 10.
            while let Some(at) = rest.iter().skip(1).position(|byte| byte & 0xc0 == 0x80).map(|at| at + 1) {
                self.ready.push_back(rest.split_to(at));
            }
            if !rest.is_empty() {
                self.ready.push_back(rest);
            }
        } else {
            self.ready.push_back(chunk);
        }
    }

    /// Everything that is to come, behind what has come.
    async fn rest(&mut self, chunk: Bytes) -> Bytes {
        let mut all = BytesMut::from(&chunk[..]);
        while let Some(Ok(frame)) = match &mut self.body {
            Some(body) => body.frame().await,
            None => None,
        } {
            if let Ok(more) = frame.into_data() {
                all.extend_from_slice(&more);
            }
        }
        all.freeze()
    }

    fn pieces(&mut self, mut chunk: Bytes, size: usize) {
        while chunk.len() > size {
            self.ready.push_back(chunk.split_to(size));
        }
        self.ready.push_back(chunk);
    }

    /// Waits between two pieces; each is on its way before the next.
    async fn wait(&mut self) {
        self.delivery.done().await;
        let pause = self.parts.map(|(_, pause)| pause).or(self.rate.map(|(_, pause)| pause));
        if let Some(pause) = pause {
            let gone = self.set.as_ref().map(|set| set.gone().clone()).unwrap_or_default();
            tokio::select! {
                () = sleep(pause) => {}
                () = gone.cancelled() => {}
            }
        }
    }

    fn up_to_stop(&mut self, mut piece: Bytes) -> Bytes {
        let Some((at, _)) = &self.stop else { return piece };
        let room = usize::try_from(at.saturating_sub(self.delivery.given())).unwrap_or(usize::MAX);
        if piece.len() > room {
            let rest = piece.split_off(room);
            self.ready.push_front(rest);
        }
        piece
    }

    async fn end(&mut self, stop: Stop) -> Option<super::Item> {
        self.body = None;
        match stop {
            Stop::Cut(Cut::Eof, _) if self.protocol == Protocol::Http2 => {
                self.stop = None;
                self.ready.clear();
                None
            }
            Stop::Cut(how, set) => Some(Err(self.delivery.cut(how, set.gone()).await)),
            Stop::Reset(code) => {
                self.delivery.done().await;
                Some(Err(h2::Error::from(h2::Reason::from(code.code())).into()))
            }
        }
    }
}
