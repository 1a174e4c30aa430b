//! Verify, with a socket: sends the requests of a tape to a server, one after the other, and has the answers compared.
//!
//! Calls that overlapped in the recording go one after the other. A watch is opened at its place and stays open as long
//! as it did; before a request is sent, the frames that its client had seen by then are awaited, so that what caused
//! what stays as it was.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, BodyStream, Full, Limited};
use parking_lot::Mutex;
use rehearsal_cassettes::format::model::{Body, Call, Request as Recorded, Tape};
use rehearsal_cassettes::proxy::{Channel, ProxyBody, Upstream, UpstreamError, UpstreamFailure};
use rehearsal_cassettes::record::{body_of, response_headers};
use rehearsal_cassettes::replay::Route;
use rehearsal_cassettes::review::Mask;
use rehearsal_cassettes::verify::{
    Bindings, CallDifference, Live, PlaceDifference, Plan, PlanOptions, Scope, Step, VerifyReport, before, check,
    check_frames, counts,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 256 << 20;

/// How long to wait before a request that waits for something is sent again.
const AGAIN: Duration = Duration::from_millis(20);

/// Request headers that are the connection's or the caller's, not the scenario's.
const OWN: [&str; 6] = ["accept-encoding", "authorization", "content-length", "host", "transfer-encoding", "upgrade"];

/// Settings of a verification.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// What is sent.
    pub plan: PlanOptions,
    /// How long an answer may take. Default 30 seconds.
    pub patience: Duration,
    /// How long recorded frames of a watch are waited for. Default 5 seconds.
    pub frames: Duration,
    /// Fields that are not compared. Default: none.
    pub mask: Mask,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            plan: PlanOptions::default(),
            patience: Duration::from_secs(30),
            frames: Duration::from_secs(5),
            mask: Mask::default(),
        }
    }
}

/// Sends what is on a tape (whole: symbols put back, side files opened) to a server and compares the answers.
///
/// # Errors
/// A server that cannot be reached, or does not answer in time.
pub async fn verify(tape: &Tape, server: &dyn Upstream, options: &VerifyOptions) -> anyhow::Result<VerifyReport> {
    verify_as(tape, server, &BTreeMap::new(), options).await
}

/// As [`verify`], with connections of their own for some lanes: what they send is sent under another identity.
///
/// # Errors
/// As [`verify`].
pub async fn verify_as(
    tape: &Tape,
    server: &dyn Upstream,
    lanes: &BTreeMap<String, Box<dyn Upstream>>,
    options: &VerifyOptions,
) -> anyhow::Result<VerifyReport> {
    let plan = Plan::of(tape, &options.plan);
    let mut run = Run {
        channel: server.channel(false)?,
        lanes: lanes
            .iter()
            .map(|(lane, server)| Ok((lane.clone(), server.channel(false)?)))
            .collect::<Result<_, UpstreamError>>()?,
        bindings: Bindings::new(plan.symbolic),
        report: VerifyReport { skipped: plan.skipped.clone(), ..VerifyReport::default() },
        watches: Vec::new(),
        options,
    };
    for step in &plan.steps {
        run.catch_up(step.call.seq.req).await;
        run.step(step).await?;
    }
    run.catch_up(u64::MAX).await;
    run.report.differences.sort_by_key(|difference| difference.call);
    Ok(run.report)
}

/// A verification under way.
struct Run<'t> {
    channel: Arc<dyn Channel>,
    lanes: BTreeMap<String, Arc<dyn Channel>>,
    bindings: Bindings,
    report: VerifyReport,
    watches: Vec<Watch<'t>>,
    options: &'t VerifyOptions,
}

/// An open watch.
struct Watch<'t> {
    call: &'t Call,
    difference: CallDifference,
    frames: Arc<Frames>,
    reader: JoinHandle<()>,
    /// Frames did not come in time: they are not waited for again.
    late: bool,
    learnt: usize,
}

/// What a watch has brought.
#[derive(Default)]
struct Frames {
    all: Mutex<Vec<Body>>,
    more: Notify,
    ended: std::sync::atomic::AtomicBool,
}

impl Frames {
    fn counted(&self) -> usize {
        self.all.lock().iter().filter(|frame| counts(frame)).count()
    }

    /// Waits until so many frames are there; whether they are.
    async fn reach(&self, wanted: usize, until: Instant) -> bool {
        loop {
            let more = self.more.notified();
            if self.counted() >= wanted {
                return true;
            }
            if self.ended.load(std::sync::atomic::Ordering::Acquire) || timeout_at(until, more).await.is_err() {
                return self.counted() >= wanted;
            }
        }
    }
}

impl<'t> Run<'t> {
    /// Sees to it that all watches have brought what they had at a moment of the tape, and ends those that had ended.
    async fn catch_up(&mut self, seq: u64) {
        let mut open = Vec::new();
        for mut watch in std::mem::take(&mut self.watches) {
            let wanted = before(watch.call, seq);
            if !watch.late {
                let until = Instant::now() + self.options.frames;
                watch.late = !watch.frames.reach(wanted, until).await;
            }
            if watch.call.seq.end >= seq {
                self.learn(&mut watch, wanted);
                open.push(watch);
                continue;
            }
            watch.reader.abort();
            let frames = watch.frames.all.lock().clone();
            let mut difference = watch.difference;
            difference.places.extend(check_frames(watch.call, &frames, &mut self.bindings));
            self.settle(watch.call, difference);
        }
        self.watches = open;
    }

    /// Learns what a watch that goes on has shown: the next request may name it.
    fn learn(&mut self, watch: &mut Watch<'_>, wanted: usize) {
        if watch.late || wanted <= watch.learnt {
            return;
        }
        watch.learnt = wanted;
        let frames: Vec<_> = watch.frames.all.lock().iter().filter(|f| counts(f)).take(wanted).cloned().collect();
        let mut seen = watch.call.clone();
        seen.frames.retain(|frame| counts(&frame.content));
        seen.frames.truncate(wanted);
        // Differences are told once, when the watch ends.
        check_frames(&seen, &frames, &mut self.bindings);
    }

    async fn step(&mut self, step: &Step<'t>) -> anyhow::Result<()> {
        let call = step.call;
        let asked = self.bindings.request(&call.request);
        let name = format!("{} {}", asked.method, target(&asked));
        let context = || format!("call {}: {name}", call.id);
        let answer = self.send(call, &asked).await.with_context(context)?;
        let streams = step.watch && answer.status() == http::StatusCode::OK;
        let mut difference =
            CallDifference { call: call.id, lane: call.lane.clone(), request: name.clone(), places: Vec::new() };
        if streams {
            let live = Live { status: 200, headers: response_headers(answer.headers()), body: None };
            difference.places = check(call, &live, &mut self.bindings);
            let frames = Arc::new(Frames::default());
            let reader = tokio::spawn(read_frames(answer, frames.clone()));
            self.watches.push(Watch { call, difference, frames, reader, late: false, learnt: 0 });
            return Ok(());
        }
        let mut live = self.whole(answer).await.with_context(context)?;
        if let Some(until) = Scope::of(call).until {
            let deadline = Instant::now() + self.options.patience;
            while !until.holds(&live, &self.bindings) && Instant::now() < deadline {
                tokio::time::sleep(AGAIN).await;
                let answer = self.send(call, &asked).await.with_context(context)?;
                live = self.whole(answer).await.with_context(context)?;
            }
        }
        difference.places = check(call, &live, &mut self.bindings);
        if step.watch {
            let frames = format!("{} frames", call.frames.len()).into();
            difference.places.push(PlaceDifference { path: "frames".into(), recorded: Some(frames), live: None });
        }
        self.settle(call, difference);
        Ok(())
    }

    /// Sends a request under the identity of its lane.
    async fn send(&self, call: &Call, asked: &Recorded) -> anyhow::Result<Response<ProxyBody>> {
        let channel = self.lanes.get(&call.lane).unwrap_or(&self.channel);
        match timeout(self.options.patience, channel.send(wire(asked)?)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => bail!("no answer within {:?}", self.options.patience),
        }
    }

    async fn whole(&self, answer: Response<ProxyBody>) -> anyhow::Result<Live> {
        match timeout(self.options.patience, read_whole(answer)).await {
            Ok(live) => live,
            Err(_) => bail!("the answer did not end within {:?}", self.options.patience),
        }
    }

    /// Takes out what the mask hides, and counts the rest.
    fn settle(&mut self, call: &Call, mut difference: CallDifference) {
        let resource = Route::of(&call.request).collection();
        let mask = &self.options.mask;
        difference.places.retain(|place| !within_body(&place.path).is_some_and(|path| mask.hides(&resource, path)));
        self.report.add(difference);
    }
}

/// The part of a place that is within a body; none for status, headers and counts of frames.
fn within_body(place: &str) -> Option<&str> {
    let (member, rest) = place.split_once('.')?;
    match member {
        "body" => Some(rest),
        "frames" => rest.split_once('.').map(|(_, path)| path),
        _ => None,
    }
}

/// Path and query, encoded.
fn target(request: &Recorded) -> String {
    rehearsal_cassettes::verify::target(&request.path, &request.query)
}

/// The request as it is sent.
fn wire(request: &Recorded) -> anyhow::Result<Request<ProxyBody>> {
    let mut builder = Request::builder().method(request.method.as_str()).uri(target(request));
    for (name, value) in request.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        builder = builder.header(HeaderName::try_from(name.as_str())?, HeaderValue::try_from(value.as_str())?);
    }
    let bytes = match &request.body {
        Some(body) => body.bytes().context("the body is kept elsewhere")?,
        None => Vec::new(),
    };
    let body = Full::new(Bytes::from(bytes)).map_err(|never| match never {});
    Ok(builder.body(ProxyBody::new(body))?)
}

async fn read_whole(answer: Response<ProxyBody>) -> anyhow::Result<Live> {
    let (parts, body) = answer.into_parts();
    let headers = response_headers(&parts.headers);
    let bytes = Limited::new(body, MAX_ANSWER)
        .collect()
        .await
        .map_err(|error| anyhow::Error::from(UpstreamError::new(UpstreamFailure::Other, error.to_string())))?;
    let media = headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value.as_str());
    Ok(Live { status: parts.status.as_u16(), body: body_of(media, &bytes.to_bytes()), headers })
}

/// Takes a stream of JSON lines apart.
async fn read_frames(answer: Response<ProxyBody>, frames: Arc<Frames>) {
    let mut stream = BodyStream::new(answer.into_body());
    let mut rest: Vec<u8> = Vec::new();
    while let Some(Ok(piece)) = stream.next().await {
        let Ok(data) = piece.into_data() else { continue };
        rest.extend_from_slice(&data);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if line.len() > 1 {
                frames.all.lock().push(Body::from_json(&line));
            }
        }
        frames.more.notify_one();
        if rest.len() > MAX_ANSWER {
            break;
        }
    }
    frames.ended.store(true, std::sync::atomic::Ordering::Release);
    frames.more.notify_one();
}
