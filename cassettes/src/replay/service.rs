//! [`ReplayService`]: a [`Player`] behind HTTP. It waits where the player cannot, and turns recorded calls into answers.
//!
//! Bodies are rendered as they were recorded and compressed anew where the live client takes gzip and the recording
//! was. Frames go out one by one as their gates open.

use super::player::{Answer, FrameGate, Player, Stream};
use super::report::{EndReport, NoMatch};
use super::talk::{self, Talk};
use crate::format::model::{Body, Call, End, Upgrade};
use crate::proxy::{ProxyBody, Replay, Switch, UpstreamError, UpstreamFailure};
use crate::record::RequestHead;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::future::BoxFuture;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame as HttpFrame;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long a request may wait for what came before it in the recording.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(2);

/// A silent watch ends after this many seconds where the client named no other (the real server's minimum).
const SILENT_WATCH: u64 = 1800;

/// What a client gets to take in what one stream has told it, before another tells it what others did.
const MOMENT: Duration = Duration::from_millis(10);

/// Frames between the player and a slow client.
const AHEAD: usize = 16;

/// Opens a body that is kept elsewhere.
type Resolve = dyn Fn(&Body) -> Option<Body> + Send + Sync;

/// A player that answers requests.
#[derive(Clone)]
pub struct ReplayService(Arc<Shared>);

struct Shared {
    player: Mutex<Player>,
    changed: Notify,
    patience: Duration,
    /// Why the last request of a lane was refused.
    refused: Mutex<Option<NoMatch>>,
    /// The stream of each lane that has told something last, and when.
    told: Mutex<HashMap<String, (u64, Instant)>>,
    /// Opens side files.
    resolve: Box<Resolve>,
}

impl std::fmt::Debug for ReplayService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplayService").finish_non_exhaustive()
    }
}

impl ReplayService {
    /// A service for a player. `resolve` opens bodies in side files; none for a file that is not there.
    pub fn new(player: Player, resolve: impl Fn(&Body) -> Option<Body> + Send + Sync + 'static) -> Self {
        Self::with_patience(player, DEFAULT_PATIENCE, resolve)
    }

    /// As [`ReplayService::new`], with another time for a request to wait for what came before it in the recording.
    pub fn with_patience(
        player: Player,
        patience: Duration,
        resolve: impl Fn(&Body) -> Option<Body> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            player: Mutex::new(player),
            changed: Notify::new(),
            patience,
            refused: Mutex::new(None),
            told: Mutex::default(),
            resolve: Box::new(resolve),
        }))
    }

    /// What the replay came to so far.
    #[must_use]
    pub fn report(&self) -> EndReport {
        self.0.player.lock().report()
    }

    /// What two replays of one tape by the same programs have in common, as [`Player::transcript`] has it.
    #[must_use]
    pub fn transcript(&self) -> String {
        self.0.player.lock().transcript()
    }

    async fn find(&self, lane: &str, request: &crate::format::model::Request) -> Answer {
        let until = Instant::now() + self.0.patience;
        loop {
            // Registered before asking, so that a change in between is not missed.
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let answer = self.0.player.lock().answer(lane, request, true);
            if !matches!(answer, Answer::Wait) {
                self.0.changed.notify_waiters();
                return answer;
            }
            if timeout_at(until, changed).await.is_err() {
                let answer = self.0.player.lock().answer(lane, request, false);
                self.0.changed.notify_waiters();
                return answer;
            }
        }
    }
}

impl Replay for ReplayService {
    fn answer<'a>(
        &'a self,
        lane: &'a str,
        head: &'a RequestHead,
        body: &'a Bytes,
    ) -> BoxFuture<'a, Option<Response<ProxyBody>>> {
        Box::pin(async move {
            let request = head.request((!body.is_empty()).then_some(body));
            match self.find(lane, &request).await {
                Answer::Call { call, .. } => Some(self.0.whole(&call, head)),
                Answer::Watch(stream) => Some(self.0.clone().stream(stream, &request)),
                Answer::Echo(status) => Some(echo(status, head, body)),
                Answer::Refuse(why) => {
                    tracing::warn!(target: "cassettes::replay", "{why}");
                    *self.0.refused.lock() = Some(*why);
                    None
                }
                // A connection changes its protocol elsewhere.
                Answer::Wait | Answer::Talk(_) => None,
            }
        })
    }

    fn upgrade<'a>(&'a self, lane: &'a str, head: &'a RequestHead) -> BoxFuture<'a, Option<Switch>> {
        Box::pin(async move {
            match self.find(lane, &head.request(None)).await {
                Answer::Talk(upgrade) => Some(self.0.clone().switch(upgrade, head)),
                Answer::Call { call, .. } => Some(Switch { response: self.0.whole(&call, head), talk: None }),
                Answer::Refuse(why) => {
                    tracing::warn!(target: "cassettes::replay", "{why}");
                    *self.0.refused.lock() = Some(*why);
                    None
                }
                Answer::Watch(_) | Answer::Echo(_) | Answer::Wait => None,
            }
        })
    }

    fn explain(&self, lane: &str, request: &RequestHead, _: &Bytes) -> String {
        let refused = self.0.refused.lock();
        match &*refused {
            Some(why) if why.lane == lane || why.lane.is_empty() => why.to_string(),
            _ => format!("no answer on the tape for {} {} (lane {lane})", request.method, request.uri),
        }
    }
}

fn full(bytes: impl Into<Bytes>) -> ProxyBody {
    ProxyBody::new(Full::new(bytes.into()).map_err(|never| match never {}))
}

/// What was sent, given back in its own language as if it had been taken.
fn echo(status: u16, head: &RequestHead, body: &Bytes) -> Response<ProxyBody> {
    let mut response = Response::new(full(body.clone()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    let sent = head.headers.get(CONTENT_TYPE).filter(|sent| sent.as_bytes().ends_with(b"protobuf")).cloned();
    let media = sent.unwrap_or(HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}

fn takes_gzip(head: &RequestHead) -> bool {
    head.headers.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok()).any(|v| v.contains("gzip"))
}

impl Shared {
    fn bytes(&self, body: &Body) -> Bytes {
        let resolved = match body {
            Body::Ref { .. } => (self.resolve)(body),
            _ => None,
        };
        resolved.as_ref().unwrap_or(body).bytes().unwrap_or_default().into()
    }

    /// Status and headers of a recorded answer; whether its body was compressed.
    fn head(call: &Call) -> (http::response::Builder, bool) {
        let Some(recorded) = &call.response else { return (Response::builder().status(502), false) };
        let mut response = Response::builder().status(recorded.status);
        let mut zipped = false;
        for (name, value) in &recorded.headers {
            let Ok(name) = HeaderName::try_from(name.as_str()) else { continue };
            if name == CONTENT_ENCODING {
                zipped = value.contains("gzip");
            } else if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
                response = response.header(name, value);
            }
        }
        (response, zipped)
    }

    fn whole(&self, call: &Call, head: &RequestHead) -> Response<ProxyBody> {
        let (mut response, zipped) = Self::head(call);
        let body = self.player.lock().response_body(call).cloned();
        let mut bytes = body.map(|body| self.bytes(&body)).unwrap_or_default();
        // Frames of a stream that is no watch (a log that was followed) are one body here.
        if !call.frames.is_empty() {
            let parts: Vec<_> = call.frames.iter().map(|frame| self.bytes(&frame.content)).collect();
            bytes = parts.concat().into();
        }
        if zipped && takes_gzip(head) {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            if encoder.write_all(&bytes).is_ok()
                && let Ok(packed) = encoder.finish()
            {
                bytes = packed.into();
                response = response.header(CONTENT_ENCODING, "gzip");
            }
        }
        let broken = broken(&call.end);
        let body = match broken {
            None => full(bytes),
            // What broke off in the recording breaks off again.
            Some(error) => {
                let items = [Ok(HttpFrame::data(bytes)), Err(error)];
                ProxyBody::new(StreamBody::new(futures::stream::iter(items)))
            }
        };
        response.body(body).unwrap_or_else(|_| Response::new(full("")))
    }

    fn stream(self: Arc<Self>, stream: Stream, request: &crate::format::model::Request) -> Response<ProxyBody> {
        let (response, _) = Self::head(&stream.call);
        let seconds = request.query.iter().find(|(key, _)| key == "timeoutSeconds").and_then(|(_, v)| v.parse().ok());
        let until = Instant::now() + Duration::from_secs(seconds.filter(|s| *s > 0).unwrap_or(SILENT_WATCH));
        let (to, from) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            let sources = stream.sources.clone();
            let _ = timeout_at(until, self.send(stream, to)).await;
            self.player.lock().closed(&sources);
            self.changed.notify_waiters();
        });
        let frames = futures::stream::unfold(from, |mut from| async move { Some((from.recv().await?, from)) });
        response.body(ProxyBody::new(StreamBody::new(frames))).unwrap_or_else(|_| Response::new(full("")))
    }

    async fn send(&self, stream: Stream, to: mpsc::Sender<Result<HttpFrame<Bytes>, UpstreamError>>) {
        let began = Instant::now();
        for (call, index) in &stream.frames {
            tokio::select! {
                biased;
                () = to.closed() => return,
                () = self.opened((call, *index), stream.call.id, began) => {}
            }
            let Some(frame) = call.frames.get(*index) else { continue };
            if to.send(Ok(HttpFrame::data(self.framed(&frame.content)))).await.is_err() {
                return;
            }
            self.told.lock().insert(call.lane.clone(), (stream.call.id, Instant::now()));
            self.player.lock().sent(call.id, *index);
            self.changed.notify_waiters();
        }
        if stream.open {
            to.closed().await;
        } else if let Some(error) = broken(&stream.call.end) {
            let _ = to.send(Err(error)).await;
        }
    }

    /// Waits until a frame may go out on a stream.
    async fn opened(&self, (of, frame): (&Call, usize), stream: u64, began: Instant) {
        let call = of.id;
        let mut given_up = None;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let gate = self.player.lock().gate(call, frame);
            match gate {
                FrameGate::Open => return,
                FrameGate::AfterAMoment => {
                    let told = self.told.lock().get(&of.lane).copied();
                    match told.filter(|(other, at)| *other != stream && *at + MOMENT > Instant::now()) {
                        Some((_, at)) => sleep_until(at + MOMENT).await,
                        None => return,
                    }
                }
                FrameGate::After(micros) => return sleep_until(began + Duration::from_micros(micros)).await,
                FrameGate::Behind(_) => changed.await,
                FrameGate::NotItsTurn(_) => {
                    let until = *given_up.get_or_insert_with(|| Instant::now() + self.patience);
                    if timeout_at(until, changed).await.is_err() {
                        self.player.lock().give_up(call, frame);
                        self.changed.notify_waiters();
                    }
                }
            }
        }
    }

    /// Changes protocol as the recorded server did.
    fn switch(self: Arc<Self>, upgrade: Arc<Upgrade>, head: &RequestHead) -> Switch {
        let mut response = Response::new(full(""));
        *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        let recorded = upgrade.response.iter().flat_map(|response| &response.headers);
        let headers = response.headers_mut();
        for (name, value) in recorded {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(protocol) = HeaderValue::from_str(&upgrade.protocol) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        let key = head.headers.get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
        if let Some(accept) = key.and_then(|key| HeaderValue::from_str(&talk::accept(key)).ok()) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        let pace = self.player.lock().pace();
        let talk = Talk::new(upgrade.clone(), pace, self.patience);
        let played = move |io| -> BoxFuture<'static, ()> {
            Box::pin(async move {
                let otherwise = talk.run(io).await;
                self.player.lock().heard(&upgrade, otherwise);
            })
        };
        Switch { response, talk: Some(Box::new(played)) }
    }

    /// A frame as it is on the wire: JSON ends in a newline, protobuf begins with its length.
    fn framed(&self, content: &Body) -> Bytes {
        let bytes = self.bytes(content);
        match content {
            Body::Proto { .. } => {
                let mut framed = BytesMut::with_capacity(bytes.len() + 4);
                framed.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                framed.extend_from_slice(&bytes);
                framed.freeze()
            }
            Body::Json { .. } if !bytes.ends_with(b"\n") => [&bytes[..], b"\n"].concat().into(),
            _ => bytes,
        }
    }
}

/// The error that ends an answer as its recording ended; none where it ended well.
fn broken(end: &End) -> Option<UpstreamError> {
    let failure = match end {
        End::Reset { code } => UpstreamFailure::Reset { code: *code },
        End::EofNoNotify => UpstreamFailure::Eof,
        End::ServerGoaway => UpstreamFailure::GoAway,
        _ => return None,
    };
    Some(UpstreamError::new(failure, "the recording breaks off here"))
}
