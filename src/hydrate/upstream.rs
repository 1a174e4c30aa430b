//! [`Hydrate`]: the fake server and the script behind the proxy's seam.
//!
//! Reads and watches go straight to the server. Writes and recorded changes take turns in one task, the stage, which
//! owns the script; it also notices when nothing happens any more.

use super::report::{Divergence, HydrateReport};
use super::script::{Due, Fork, Meaning, Script};
use super::sight::Sights;
use super::{STRIDE, world};
use anyhow::Context as _;
use axum::body::Body;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use rehearsal_cassettes::format::Tree;
use rehearsal_cassettes::format::model::{Call, Entry, Tape};
use rehearsal_cassettes::history::{self, Collection, History};
use rehearsal_cassettes::proxy::{Channel, ProxyBody, Replay, Switch, Upstream, UpstreamError, UpstreamFailure};
use rehearsal_cassettes::record::{RequestHead, body_of};
use rehearsal_cassettes::replay::{Manner, Options, Pace, Player, ReplayService, Route, body_meaning, named, normal};
use rehearsal_cassettes::review::Mask;
use rehearsal_fakeserver::controllers::Controllers;
use rehearsal_fakeserver::{FakeServer, FakeServerBuilder};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Writes that wait for their turn; more wait at their connections.
const QUEUE: usize = 64;

/// What a client gets to take in what it was just told, before others go on.
const GRACE: Duration = Duration::from_millis(10);

/// Largest request body, in bytes (apiserver `MaxRequestBodyBytes`).
const MAX_BODY: usize = 3 * 1024 * 1024;

/// Settings of a [`Hydrate`].
#[derive(Clone, Debug)]
pub struct HydrateOptions {
    /// Lanes under test. Default: all that the tape does not call ambient or driver.
    pub lanes: Option<BTreeSet<String>>,
    /// What to do with the recorded future when the client takes another way.
    pub fork: Fork,
    /// How long nothing may happen before what is waited for is given up. Default two seconds.
    pub patience: Duration,
    /// When what others did happens: after what it followed, at its recorded time, or at once.
    pub pace: Pace,
    /// Fields in which writes may differ from the recorded ones. Default: none.
    pub mask: Mask,
    /// Configuration of the server.
    pub server: FakeServerBuilder,
}

impl Default for HydrateOptions {
    fn default() -> Self {
        Self {
            lanes: None,
            fork: Fork::default(),
            patience: Duration::from_secs(2),
            pace: Pace::default(),
            mask: Mask::default(),
            server: FakeServer::builder().controllers(Controllers::none()),
        }
    }
}

/// A cluster made from a tape, to be put behind a proxy.
#[derive(Clone)]
pub struct Hydrate {
    server: Arc<FakeServer>,
    stage: mpsc::Sender<Message>,
    sights: Sights,
    mask: Arc<Mask>,
    /// What the tape has of upgraded connections.
    talks: ReplayService,
    /// What it has of logs and the like.
    logs: ReplayService,
}

/// A write that waits for its turn.
struct Turn {
    request: Request<Bytes>,
    route: Route,
    body: Option<Value>,
    answer: oneshot::Sender<Response<Body>>,
}

enum Message {
    Write(Box<Turn>),
    Read(Box<Route>),
    Report(oneshot::Sender<(HydrateReport, String)>),
}

impl Hydrate {
    /// Starts the cluster of a tape.
    ///
    /// # Errors
    /// When the server does not start.
    pub async fn start(tape: &Tape, options: HydrateOptions) -> anyhow::Result<Self> {
        use rehearsal_cassettes::format::model::Role;
        let history = History::of(tape, &|body| Some(body.clone()));
        let live = |lane: &str| match &options.lanes {
            Some(lanes) => lanes.contains(lane),
            None => tape.header.lanes.get(lane).is_none_or(|facts| facts.role == Role::Sut),
        };
        let script = Script::of(tape, &history, &live, options.fork, options.pace == Pace::Gated);
        // What nodes said is in no store, so it is said again as it was.
        let talks = part(tape, &options, |entry| matches!(entry, Entry::Upgrade(_)));
        let of_nodes = |call: &Call| Route::of(&call.request).is_of_nodes();
        let logs = part(tape, &options, |entry| matches!(entry, Entry::Call(call) if of_nodes(call)));
        let script = script.masked(&options.mask);
        let server = Arc::new(options.server.start().await.context("start the server of the replay")?);
        let initial: Vec<_> = history.initial().collect();
        let refused = world::load_state(&server, &history, &initial, STRIDE).await?;
        let (stage, messages) = mpsc::channel(QUEUE);
        let stage_task = Stage {
            server: server.clone(),
            script,
            listed: history.listed.into_keys().collect(),
            refused,
            partial: BTreeSet::new(),
            sights: Sights::default(),
        };
        let sights = stage_task.sights.clone();
        tokio::spawn(stage_task.run(messages, options.patience, options.pace));
        Ok(Self { server, stage, sights, mask: Arc::new(options.mask), talks, logs })
    }

    /// The server below.
    pub fn server(&self) -> &FakeServer {
        &self.server
    }

    /// What the replay came to so far.
    pub async fn report(&self) -> HydrateReport {
        let mut report = self.outcome().await.0;
        let talks = self.talks.report();
        report.matched += usize::try_from(talks.answered).unwrap_or(usize::MAX);
        report.missed.extend(talks.unused);
        let otherwise = |text| Divergence { write: text, status: 101, ..Divergence::default() };
        report.diverged.extend(talks.otherwise.into_iter().map(otherwise));
        report
    }

    /// What two replays of one tape by the same programs have in common: the recorded writes with what came of them, a
    /// line each in the order of the recording, what others changed, what is new, and what nodes said.
    pub async fn transcript(&self) -> String {
        self.outcome().await.1 + &self.talks.transcript() + &self.logs.transcript()
    }

    async fn outcome(&self) -> (HydrateReport, String) {
        let (to, from) = oneshot::channel();
        if self.stage.send(Message::Report(to)).await.is_err() {
            return Default::default();
        }
        from.await.unwrap_or_default()
    }

    async fn answer(self, request: Request<ProxyBody>) -> Result<Response<ProxyBody>, UpstreamError> {
        let (parts, body) = request.into_parts();
        let head = RequestHead::of(&parts);
        let bytes = http_body_util::Limited::new(body, MAX_BODY + 1).collect().await;
        let bytes = bytes.map_err(|e| UpstreamError::new(UpstreamFailure::Other, e.to_string()))?.to_bytes();
        let recorded = head.request((!bytes.is_empty()).then_some(&bytes));
        let mut body = recorded.body.as_ref().and_then(body_meaning);
        let route = named(Route::of(&recorded), body.as_ref());
        if let Some(body) = &mut body {
            self.mask.apply(&route.collection(), body);
        }
        if route.is_of_nodes()
            && let Some(recorded) = self.logs.answer("", &head, &bytes).await
        {
            return Ok(recorded);
        }
        let request = Request::from_parts(parts, bytes);
        if !route.is_write() {
            let mut response = self.server.call(request.map(Body::from)).await;
            if route.is_watch() {
                response = self.sights.of(route.collection(), response);
            }
            if matches!(route.verb.as_str(), "list" | "watch") {
                let _ = self.stage.send(Message::Read(Box::new(route))).await;
            }
            return Ok(response.map(outward));
        }
        let (to, from) = oneshot::channel();
        let gone = || UpstreamError::new(UpstreamFailure::Other, "the replay has ended");
        self.stage
            .send(Message::Write(Box::new(Turn { request, route, body, answer: to })))
            .await
            .map_err(|_| gone())?;
        from.await.map(|response| response.map(outward)).map_err(|_| gone())
    }
}

/// Answers from these entries of a tape alone.
fn part(tape: &Tape, options: &HydrateOptions, wanted: impl Fn(&Entry) -> bool) -> ReplayService {
    let entries = tape.entries.iter().filter(|entry| wanted(entry)).cloned().collect();
    let tape = Tape { header: tape.header.clone(), entries, sealed: None };
    let playing = Options { manner: Manner::Lenient, pace: options.pace, lanes: options.lanes.clone() };
    ReplayService::with_patience(Player::new(&tape, playing), options.patience, |body| Some(body.clone()))
}

/// Requests that change protocol are answered from the tape where it has them; all others reach the cluster.
impl Replay for Hydrate {
    fn answer<'a>(
        &'a self,
        _: &'a str,
        _: &'a RequestHead,
        _: &'a Bytes,
    ) -> BoxFuture<'a, Option<Response<ProxyBody>>> {
        Box::pin(std::future::ready(None))
    }

    fn upgrade<'a>(&'a self, lane: &'a str, request: &'a RequestHead) -> BoxFuture<'a, Option<Switch>> {
        self.talks.upgrade(lane, request)
    }
}

fn outward(body: Body) -> ProxyBody {
    ProxyBody::new(body.map_err(|error| UpstreamError::new(UpstreamFailure::Other, error.to_string())))
}

impl Upstream for Hydrate {
    fn channel(&self, _: bool) -> Result<Arc<dyn Channel>, UpstreamError> {
        Ok(Arc::new(self.clone()))
    }
}

impl Channel for Hydrate {
    fn send(&self, request: Request<ProxyBody>) -> BoxFuture<'static, Result<Response<ProxyBody>, UpstreamError>> {
        Box::pin(self.clone().answer(request))
    }
}

/// Owns the script; everything that changes the cluster happens here, one after the other.
struct Stage {
    server: Arc<FakeServer>,
    script: Script,
    listed: BTreeSet<(Collection, String)>,
    refused: Vec<String>,
    partial: BTreeSet<String>,
    sights: Sights,
}

impl Stage {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>, patience: Duration, pace: Pace) {
        let mut began: Option<Instant> = None;
        let mut due: Option<(Due, Instant)> = None;
        let mut told = Instant::now();
        loop {
            let wait = due.as_ref().map_or(Instant::now() + patience, |(_, at)| *at);
            let message = tokio::select! {
                biased;
                message = messages.recv() => Ok(message),
                () = self.sights.changed() => {
                    self.script.seen(self.sights.newest());
                    told = Instant::now();
                    Err(false)
                }
                () = tokio::time::sleep_until(wait) => Err(true),
            };
            match message {
                Ok(None) => return,
                Ok(Some(Message::Report(to))) => {
                    let _ = to.send((self.report(), self.script.transcript()));
                    continue;
                }
                Ok(Some(Message::Read(route))) => {
                    began.get_or_insert_with(Instant::now);
                    self.note_partial(&route);
                    self.script.reads(&route);
                }
                Ok(Some(Message::Write(turn))) => {
                    let Turn { request, route, body, answer } = *turn;
                    began.get_or_insert_with(Instant::now);
                    let response = self.write(request, &route, body.as_ref()).await;
                    let _ = answer.send(response);
                    told = Instant::now();
                }
                // A change that waits for its recorded time keeps waiting.
                Err(false) if due.is_some() => continue,
                Err(false) => {}
                Err(true) => match (due.take(), began) {
                    (Some((due, _)), _) => self.change(due).await,
                    (None, Some(_)) if self.script.give_up() => {}
                    _ => continue,
                },
            }
            let Some(began) = began else { continue };
            due = None;
            while let Some(next) = self.script.due() {
                let at = match pace {
                    Pace::Recorded(stretch) => began + Duration::from_micros(next.t).mul_f64(stretch.max(0.0)),
                    Pace::Gated if next.follows => told + GRACE,
                    Pace::Gated | Pace::Asap => began,
                };
                if at > Instant::now() {
                    due = Some((next, at));
                    break;
                }
                self.change(next).await;
            }
        }
    }

    async fn write(&mut self, request: Request<Bytes>, route: &Route, body: Option<&Value>) -> Response<Body> {
        let what = self.script.meaning(route, body);
        if let Meaning::Expected { revision, .. } = what {
            self.server.advance((revision * STRIDE).saturating_sub(1));
        }
        let before = self.server.snapshot().revision();
        let response = self.server.call(request.map(Body::from)).await;
        let (parts, stream) = response.into_parts();
        let bytes = match axum::body::to_bytes(stream, usize::MAX).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(target: "rehearsal::hydrate", %error, "read the server's answer");
                Bytes::new()
            }
        };
        let media = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let answer = body_of(media, &bytes).and_then(|body| history::object(&body)).unwrap_or_default();
        let call = match what {
            Meaning::Expected { step, .. } => self.script.call_of(step),
            Meaning::Known { call } => Some(call),
            Meaning::New => None,
        };
        if let Some(call) = call {
            self.script.told(call, format!("{} {}", parts.status.as_u16(), digest(&answer)));
        }
        match what {
            Meaning::Expected { step, .. } if parts.status.is_success() => {
                self.script.made(step, &Value::from(&answer));
            }
            Meaning::Known { .. } => {}
            // Who makes sure of what is so already goes no other way.
            Meaning::New if parts.status.is_success() && revision(&answer).is_some_and(|at| at <= before) => {}
            Meaning::Expected { .. } | Meaning::New => self.script.strayed(route, body, parts.status.as_u16()),
        }
        Response::from_parts(parts, Body::new(Full::new(bytes)))
    }

    async fn change(&mut self, due: Due) {
        self.server.advance((due.revision * STRIDE).saturating_sub(1));
        let registry = self.server.registry();
        let Due { step, revision, key, before, after, .. } = due;
        let Some(any) = after.as_ref().or(before.as_ref()) else { return self.script.changed(step) };
        let live = match registry.present(any) {
            Ok(live) => live,
            Err(status) => return self.script.skip(step, format!("{key}: {}", status.message)),
        };
        let outcome = match (after, live) {
            (None, _) => registry.erase(&before.unwrap_or_default()).await.map(|_| ()),
            (Some(after), None) if before.is_none() => registry.imprint(after).await.map(|_| ()),
            (Some(_), None) => {
                return self.script.skip(step, format!("{key} at {revision}: it is not there"));
            }
            (Some(after), Some(live)) => registry.imprint(rebased(before.as_ref(), after, &live)).await.map(|_| ()),
        };
        match outcome {
            Ok(()) => self.script.changed(step),
            Err(status) => self.script.skip(step, format!("{key}: {}", status.message)),
        }
    }

    /// A read of what the tape never saw as a whole may show less than there was.
    fn note_partial(&mut self, route: &Route) {
        let whole = |namespace: &str| {
            let collection = Collection {
                group: route.group.clone(),
                version: route.version.clone(),
                resource: route.resource.clone(),
            };
            self.listed.contains(&(collection, namespace.to_owned()))
        };
        if !whole("") && !whole(&route.namespace) {
            self.partial.insert(route.to_string());
        }
    }

    fn report(&self) -> HydrateReport {
        let (matched, missed, changes, unreached) = self.script.tally();
        HydrateReport {
            matched,
            missed,
            diverged: self.script.diverged.clone(),
            changes,
            skipped: self.refused.iter().chain(&self.script.skipped).cloned().collect(),
            unreached,
            partial: self.partial.iter().cloned().collect(),
        }
    }
}

/// The resourceVersion of an answer.
fn revision(answer: &Tree) -> Option<u64> {
    answer.text_at(&["metadata", "resourceVersion"]).parse().ok()
}

/// A few digits for what an answer means, without what differs from run to run: times, uids, tokens.
fn digest(answer: &Tree) -> String {
    use sha2::Digest as _;
    let mut meaning = normal::normalise(answer);
    without_tokens(&mut meaning);
    let hash = sha2::Sha256::digest(meaning.to_string());
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn without_tokens(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with("eyJ") && text.split('.').count() == 3 => "<token>".clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(without_tokens),
        Value::Object(members) => members.values_mut().for_each(without_tokens),
        _ => {}
    }
}

/// The state after a recorded change, for an object that may have gone another way: where it has not, the recorded
/// state; where it has, the recorded difference applied to what is there. What a server gives an object once and for all
/// stays.
fn rebased(before: Option<&Value>, after: Value, live: &Value) -> Value {
    let normal = |value: &Value| normal::normalise(&Tree::from(value));
    let mut next = match before {
        Some(before) if normal(before) != normal(live) => {
            let mut next = live.clone();
            merge(&mut next, &difference(before, &after));
            next
        }
        _ => after,
    };
    for member in ["uid", "creationTimestamp"] {
        if let (Some(kept), Some(Value::Object(metadata))) =
            (live.pointer(&format!("/metadata/{member}")), next.get_mut("metadata"))
        {
            metadata.insert(member.to_owned(), kept.clone());
        }
    }
    next
}

/// The JSON merge patch (RFC 7386) from one value to another.
fn difference(before: &Value, after: &Value) -> Value {
    let (Value::Object(a), Value::Object(b)) = (before, after) else { return after.clone() };
    let mut patch = Map::new();
    for (key, value) in b {
        match a.get(key) {
            Some(old) if old == value => {}
            Some(old) => {
                patch.insert(key.clone(), difference(old, value));
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    patch.extend(a.keys().filter(|key| !b.contains_key(*key)).map(|key| (key.clone(), Value::Null)));
    Value::Object(patch)
}

/// Applies a JSON merge patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(map) = target {
        for (key, value) in members {
            if value.is_null() {
                map.remove(key);
            } else {
                merge(map.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_recorded_change_is_applied_to_an_object_that_went_another_way() {
        let before = json!({"metadata": {"name": "a", "uid": "1"}, "spec": {"replicas": 1}, "status": {"ready": 0}});
        let after = json!({"metadata": {"name": "a", "uid": "1"}, "spec": {"replicas": 1}, "status": {"ready": 1}});
        let live = json!({"metadata": {"name": "a", "uid": "2"}, "spec": {"replicas": 5}, "status": {"ready": 0}});
        let expected = json!({"metadata": {"name": "a", "uid": "2"}, "spec": {"replicas": 5}, "status": {"ready": 1}});
        assert_eq!(rebased(Some(&before), after, &live), expected);
    }
}
