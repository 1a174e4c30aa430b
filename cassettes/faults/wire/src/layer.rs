//! [`FaultLayer`]: asks the armed rules about every request, and walks it past what they say.
//!
//! In the order of a request's way: arrive, before the commit, after it, head. What happens to the bytes of the answer is
//! in `head` (whole answers) and `body` (streams).

use crate::answer::{Foreign, Severed, response};
use crate::body::{self, BoxError, FaultBody, Follow};
use crate::control::Faults;
use crate::facts::Facts;
use crate::head;
use crate::host::Host;
use crate::line::Line;
use crate::overload::{self, Overload, Seats};
use crate::ruleset::Fired;
use crate::write::WriteFaults;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Extensions, Request, Response};
use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;
use rehearsal_faults::{Action, Case, Cut, Firing, H2Code, Point, Protocol, Reply, Stage};
use serde::{Serialize, Serializer};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};

/// An answer given in the server's place. Its body is whole.
pub(crate) type Outcome = Response<Bytes>;

/// What has fired for one request, for the journal; grows while a watch goes on. In the extensions of the response.
/// The default is that of a request that no rule was asked about.
#[derive(Clone, Debug, Default)]
pub struct Record(Option<Arc<Mutex<Vec<Firing>>>>);

impl Record {
    /// What has fired so far.
    #[must_use]
    pub fn firings(&self) -> Vec<Firing> {
        self.0.as_ref().map(|list| list.lock().clone()).unwrap_or_default()
    }

    /// Whether nothing has fired.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|list| list.lock().is_empty())
    }

    /// Of a request that rules are or may be asked about.
    #[must_use]
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    pub(crate) fn add(&self, fired: &[Fired]) {
        if let Some(list) = &self.0 {
            list.lock().extend(fired.iter().map(|fired| fired.firing.clone()));
        }
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.firings() == other.firings()
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.firings().serialize(serializer)
    }
}

/// Puts faults around a service.
#[derive(Clone, Debug)]
pub struct FaultLayer<H> {
    faults: Faults,
    host: H,
}

impl<H: Host> FaultLayer<H> {
    /// A layer that asks `faults`, around a service of `host`.
    #[must_use]
    pub fn new(faults: Faults, host: H) -> Self {
        Self { faults, host }
    }

    /// Follows a watch that began while no rule was armed, so that rules that are armed later still meet its frames.
    /// `describe` is asked for the facts when a rule first looks; `record` shows what has fired.
    #[must_use]
    pub fn follow<B>(&self, body: B, describe: Describe, line: Option<Line>, record: Record) -> FaultBody
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        FaultBody::following(body, self.faults.clone(), self.host.clone(), describe, line, record)
    }
}

/// Tells the facts of a watch that may be asked about later. Kept as long as the watch lives, so it should be small.
pub type Describe = Arc<dyn Fn() -> Facts + Send + Sync>;

impl<S, H: Host> Layer<S> for FaultLayer<H> {
    type Service = FaultService<S, H>;

    fn layer(&self, inner: S) -> Self::Service {
        FaultService { inner, faults: self.faults.clone(), host: self.host.clone() }
    }
}

/// A service with faults around it; see [`FaultLayer`].
///
/// An answer with [`Severed`] among its extensions is none: whoever serves the connection applies that instead.
#[derive(Clone, Debug)]
pub struct FaultService<S, H> {
    inner: S,
    faults: Faults,
    host: H,
}

impl<S, H, B> Service<Request<H::Body>> for FaultService<S, H>
where
    H: Host,
    S: Service<Request<H::Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<FaultBody>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<H::Body>) -> Self::Future {
        // The clone is left behind, for the one that was asked whether it is ready is this.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        if !self.faults.is_armed() || self.host.is_exempt(&request) {
            let answer = inner.call(request);
            return Box::pin(async move { Ok(answer.await?.map(FaultBody::plain)) });
        }
        let (faults, host) = (self.faults.clone(), self.host.clone());
        Box::pin(async move { Walk { faults, host }.walk(inner, request).await })
    }
}

struct Walk<H> {
    faults: Faults,
    host: H,
}

impl<H: Host> Walk<H> {
    async fn walk<S, B>(self, mut inner: S, request: Request<H::Body>) -> Result<Response<FaultBody>, S::Error>
    where
        S: Service<Request<H::Body>, Response = Response<B>> + Send + 'static,
        S::Future: Send,
        S::Error: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let line = request.extensions().get::<Line>().cloned();
        if let Some(line) = &line {
            // What the last answer was cut into is no matter of this one.
            line.segment(0, &CancellationToken::new());
        }
        let (mut facts, mut request) = self.host.describe(request).await;
        if let Some(line) = &line {
            line.lane().clone_into(&mut facts.listener);
        }
        if facts.object.is_none() && self.faults.looks_at_objects() {
            facts.object = self.host.find_object(&facts).map(Arc::new);
        }
        let facts = Arc::new(facts);
        let fired = self.faults.decide(&facts);
        // Whoever is around the layer may want to read along.
        let record = request.extensions().get::<Record>().cloned().unwrap_or_else(Record::new);
        record.add(&fired);
        let (parts, extensions) = (&facts, request.extensions_mut());
        let arrived = perform(Stage::Arrive, &self.faults, &self.host, &fired, parts, Some(extensions)).await;
        if let Some(outcome) = arrived {
            return Ok(whole(outcome, &record, line.as_ref(), &facts));
        }
        // Held while the request executes: a watch, until it has begun.
        let seats = request.extensions_mut().remove::<Seats>();
        // Sees to it before the write, so that not even the event of the write shows itself.
        for one in &fired {
            for action in one.firing.actions.iter().filter(|action| matches!(action, Action::LateVisibility { .. })) {
                self.host.act(action, one, &facts, None).await;
            }
        }
        head::prepare(&fired, &mut request);
        let answered = match self.write(&fired, &facts, &mut request).await {
            Ok(Some(write)) if WriteFaults::later(&fired).is_some() => {
                // The handler goes on without anybody who waits for it.
                let later = inner.call(request);
                tokio::spawn(async move { later.await.is_ok() });
                drop(write);
                None
            }
            Ok(write) => Some((inner.call(request).await?, write)),
            Err(outcome) => return Ok(whole(outcome, &record, line.as_ref(), &facts)),
        };
        let Some((answer, write)) = answered else {
            let outcome = perform(Stage::BeforeCommit, &self.faults, &self.host, &fired, &facts, None).await;
            let outcome = outcome.unwrap_or_else(|| Severed::Stream(H2Code::InternalError).response());
            return Ok(whole(outcome, &record, line.as_ref(), &facts));
        };
        let mut settled = write.and_then(|write| write.outcome());
        if settled.is_none() && answer.status().is_success() {
            settled = perform(Stage::AfterCommit, &self.faults, &self.host, &fired, &facts, None).await;
        }
        drop(seats);
        if settled.is_none() {
            settled = perform(Stage::Head, &self.faults, &self.host, &fired, &facts, None).await;
        }
        if let Some(outcome) = settled {
            return Ok(whole(outcome, &record, line.as_ref(), &facts));
        }
        let mut answer = self.answer(answer, &fired, &facts, line, &record).await;
        answer.extensions_mut().insert(record);
        Ok(answer)
    }

    /// Sees to what comes before the commit: leaves it to the host, or does it now.
    async fn write(
        &self,
        fired: &[Fired],
        facts: &Arc<Facts>,
        request: &mut Request<H::Body>,
    ) -> Result<Option<WriteFaults>, Outcome> {
        if !facts.is_write() || !fired.iter().any(|fired| fired.firing.stage == Stage::BeforeCommit) {
            return Ok(None);
        }
        let write = match WriteFaults::later(fired) {
            Some((late, wait)) => WriteFaults::delayed(&self.faults, late, wait),
            None => WriteFaults::new(&self.faults, &self.host, fired, facts),
        };
        if self.host.commits() {
            request.extensions_mut().insert(write.clone());
        } else if !write.before_commit().await {
            return Err(write.outcome().unwrap_or_default());
        }
        Ok(Some(write))
    }

    /// The proper answer, with what rules do to its head and body.
    async fn answer<B>(
        &self,
        answer: Response<B>,
        fired: &[Fired],
        facts: &Arc<Facts>,
        line: Option<Line>,
        record: &Record,
    ) -> Response<FaultBody>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut answer = answer.map(|body| body.map_err(Into::into).boxed_unsync());
        // The handler knows better in which form it answers.
        let told = answer.extensions_mut().remove::<Describe>();
        let protobuf = told.is_some_and(|told| told().protobuf);
        let facts = &Arc::new(Facts { protobuf, ..(**facts).clone() });
        let watch = facts.is_watch() && answer.status().is_success();
        let at_head: Vec<Fired> = fired.iter().filter(|fired| concerns_answer(fired)).cloned().collect();
        for fired in &at_head {
            head::order(fired, &answer, line.as_ref(), facts.protocol);
        }
        let mut answer = head::rewrite(answer, &at_head, facts, watch).await;
        head::pin_length(&mut answer, &at_head);
        let answer = answer.map(|body| {
            if watch {
                let follow = Follow {
                    faults: self.faults.clone(),
                    host: self.host.clone(),
                    facts: facts.clone(),
                    line: line.clone(),
                    record: record.clone(),
                };
                FaultBody::watched(body, follow, &at_head)
            } else {
                FaultBody::plain(body)
            }
        });
        answer.map(|body| body::paced(body, &at_head, line, facts.protocol))
    }
}

/// Whether a firing is about the answer: at the head, or a rewriting that was decided on arrival.
fn concerns_answer(fired: &Fired) -> bool {
    fired.firing.stage == Stage::Head
        || fired.firing.actions.iter().any(|action| matches!(action, Action::HideGroup { .. }))
}

/// An answer whose body is whole.
fn whole(outcome: Outcome, record: &Record, line: Option<&Line>, facts: &Facts) -> Response<FaultBody> {
    let closes = outcome.headers().get(http::header::CONNECTION).is_some_and(|value| value == "close");
    if closes
        && facts.protocol == Protocol::Http2
        && let Some(line) = line
    {
        // What `Connection: close` means on HTTP/2, as Go has it.
        line.go_away();
    }
    let mut answer = outcome.map(|body| FaultBody::plain(Full::new(body)));
    answer.extensions_mut().insert(record.clone());
    answer
}

/// Does what fired for a stage, in order. An answer ends it.
pub(crate) async fn perform<H: Host>(
    stage: Stage,
    faults: &Faults,
    host: &H,
    fired: &[Fired],
    facts: &Arc<Facts>,
    mut request: Option<&mut Extensions>,
) -> Option<Outcome> {
    for one in fired.iter().filter(|fired| fired.firing.stage == stage) {
        for action in &one.firing.actions {
            if one.set.gone().is_cancelled() {
                break;
            }
            match action {
                Action::Delay { wait } => faults.sleep(wait.duration(), &one.set).await,
                Action::Respond { reply } => return Some(refusal(host, reply, one, facts)),
                Action::Overload { response, limits, wait_limit, flows } => {
                    let overload =
                        Overload { response: *response, limits: *limits, wait_limit: *wait_limit, flows: *flows };
                    match (overload.enter(faults, one, facts).await, request.as_deref_mut()) {
                        (Ok(seat), Some(request)) => overload::hold(seat, request),
                        (Ok(_), None) => {}
                        (Err(reply), _) => return Some(refusal(host, &reply, one, facts)),
                    }
                }
                Action::Cut { how: Cut::Clean, .. } | Action::LateVisibility { .. } => {}
                Action::Cut { how, at } if stage != Stage::Head || *at == Point::Here => {
                    if let Point::After(wait) = at {
                        faults.sleep(*wait, &one.set).await;
                    }
                    return Some(Severed::Connection(*how, one.set.gone().clone()).response());
                }
                Action::RstStream { code, at } if stage != Stage::Head || *at == Point::Here => {
                    return Some(Severed::Stream(*code).response());
                }
                Action::GoAway { code, abrupt: true, .. } => return Some(Severed::GoAway(*code).response()),
                other => {
                    host.act(other, one, facts, request.as_deref_mut()).await;
                }
            }
        }
    }
    None
}

pub(crate) fn refusal<H: Host>(host: &H, reply: &Reply, fired: &Fired, facts: &Facts) -> Outcome {
    let store = host.store(facts);
    let answer = facts.with(&fired.lane, |request| reply.render(request, &store.facts()));
    let mut outcome = response(answer);
    if matches!(reply.case, Case::Gateway { .. } | Case::HeadersTooLarge) {
        outcome.extensions_mut().insert(Foreign);
    }
    host.dress(&reply.case, &mut outcome);
    if matches!(reply.case, Case::ApfReject { .. }) {
        overload::classify(outcome.headers_mut());
    }
    outcome
}
