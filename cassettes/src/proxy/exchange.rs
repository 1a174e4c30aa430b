//! One request through the proxy: whose is it, where does its answer come from, and what is it told.

use super::admin;
use super::faults::{Asked, LaneName, ProxyHost, Unasked, describe};
use super::lanes::Lanes;
use super::mark;
use super::outward::Ended;
use super::policy::Policy;
use super::refusal;
use super::serve::Shared;
use super::upgrade;
use super::upstream::{Channel, ProxyBody, UpstreamError, UpstreamFailure};
use crate::firings::witness;
use crate::mode::Action;
use crate::record::{
    AUDIT_ID, Chained, Exchange, MAX_REQUEST, Outcome, RequestHead, Session, Streaming, Tee, Trail, Trouble, audit,
    closes, read_whole,
};
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, UPGRADE,
    USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Request, Response, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use rehearsal_fault_wire::{Describe, Facts, FaultBody, FaultLayer, Line, Record, Severed};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tower::{Layer as _, Service as _};

/// Headers that concern one connection and are not passed on.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    header::TRANSFER_ENCODING,
    UPGRADE,
];

/// One connection of a client.
pub(super) struct Client {
    pub(super) shared: Arc<Shared>,
    pub(super) line: Line,
    pub(super) channel: Arc<dyn Channel>,
    pub(super) trail: Trail,
}

/// Answers a request, past the fault rules. An error ends the exchange in the way the upstream or a rule ends it.
pub(super) async fn answer(client: &Arc<Client>, request: Request<Incoming>) -> Result<Response<FaultBody>, Ended> {
    let (mut parts, body) = request.into_parts();
    let lane = client.shared.lanes.of(&parts.headers);
    if lane.is_some() && mark::is_one(&parts) {
        return Ok(mark::answer(client.shared.recorder.as_ref(), body).await.map(FaultBody::plain));
    }
    if parts.uri.path().starts_with(admin::PREFIX) {
        let request = Request::from_parts(parts, body);
        return Ok(admin::answer(&client.shared, request).await.map(FaultBody::plain));
    }
    let Some(lane) = lane else { return Ok(refusal::no_lane().map(FaultBody::plain)) };
    let record = Record::new();
    parts.extensions.insert(LaneName(lane));
    parts.extensions.insert(record.clone());
    let (whole, body) = read_whole(body, MAX_REQUEST).await;
    let request = Request::from_parts(parts, Asked { whole, body });
    let layer = FaultLayer::new(client.shared.faults.clone(), client.shared.host.clone());
    if client.shared.faults.is_armed() {
        return faulted(client, &layer, request, record).await;
    }
    let mut response = exchange(client, request).await.map_err(Ended::by)?;
    let line = Some(client.line.clone());
    Ok(match response.extensions_mut().remove::<Describe>() {
        // Rules that are armed later shall meet its frames too.
        Some(describe) => response.map(|body| layer.follow(body, describe, line, record)),
        None => response.map(FaultBody::plain),
    })
}

/// The same while rules are armed.
async fn faulted(
    client: &Arc<Client>,
    layer: &FaultLayer<ProxyHost>,
    mut request: Request<Asked>,
    record: Record,
) -> Result<Response<FaultBody>, Ended> {
    request.extensions_mut().insert(client.line.clone());
    let unasked = Unasked {
        lane: lane_of(&request),
        conn: client.line.ordinal(),
        head: head_of(&request),
        body: request.body().whole.clone(),
        trail: client.trail.clone(),
    };
    let asked = Arc::new(AtomicBool::new(false));
    let (inner, reached) = (client.clone(), asked.clone());
    let service = tower::service_fn(move |request: Request<Asked>| {
        let (client, reached) = (inner.clone(), reached.clone());
        async move {
            reached.store(true, Ordering::Release);
            exchange(&client, request).await
        }
    });
    let mut response = layer.layer(service).call(request).await.map_err(Ended::by)?;
    if !asked.load(Ordering::Acquire) {
        response = match unasked.written(&client.shared, &record, response).await {
            Ok(response) => response,
            Err(error) => return Ok(refusal::not_recording(&error).map(FaultBody::plain)),
        };
    }
    match response.extensions_mut().remove::<Severed>() {
        None => Ok(response),
        Some(severed) => severed.apply(&client.line).await.map_err(Ended::by),
    }
}

fn lane_of<B>(request: &Request<B>) -> Arc<str> {
    request.extensions().get::<LaneName>().map_or_else(|| "".into(), |lane| lane.0.clone())
}

fn head_of<B>(request: &Request<B>) -> RequestHead {
    RequestHead { method: request.method().clone(), uri: request.uri().clone(), headers: request.headers().clone() }
}

/// Gets the answer to a request, as if there were no rules.
async fn exchange(client: &Client, request: Request<Asked>) -> Result<Response<ProxyBody>, UpstreamError> {
    let lane = lane_of(&request);
    let head = head_of(&request);
    let (mut parts, Asked { whole, body }) = request.into_parts();
    let record = parts.extensions.remove::<Record>().unwrap_or_default();
    Lanes::strip(&mut parts.headers);
    if upgrade::is_wanted(&parts) {
        return upgrade::answer(client, &lane, &head, Request::from_parts(parts, ())).await;
    }
    let own_audit = parts.headers.contains_key(AUDIT_ID);
    let http1 = parts.version <= Version::HTTP_11;
    without_hops(&mut parts.headers);
    parts.headers.remove(HOST);
    parts.version = Version::HTTP_11;
    if !record.is_empty() {
        // Rules count bytes and look into bodies, so these must not be packed.
        parts.headers.remove(ACCEPT_ENCODING);
    }
    let streaming = Streaming::of(&head);
    let watch = (streaming == Streaming::Watch).then(|| Watched::of(&head, &lane));
    let session = match source(&client.shared.policy, &lane, &head, whole.as_ref()).await {
        Source::Tape(response) => return Ok(watched(response, watch, client)),
        Source::Live => None,
        Source::Recorded => {
            let Some(recorder) = &client.shared.recorder else {
                return Ok(refusal::not_recording(&"no tape is being written"));
            };
            let id = recorder.next_id();
            let audit_id = Some(audit(recorder, id, &mut parts));
            let (conn, trail) = (client.line.ordinal(), client.trail.clone());
            let exchange = Exchange { id, lane, conn, head, body: whole, audit_id, trail };
            match recorder.begin(exchange).await {
                Ok(mut session) => {
                    session.witness(witness(record.clone()));
                    Some(session)
                }
                Err(error) => return Ok(refusal::not_recording(&error)),
            }
        }
    };
    let answer = client.channel.send(Request::from_parts(parts, boxed(body))).await;
    let response = told(answer, session, own_audit, http1).await?;
    if record.is_empty() || streaming != Streaming::No {
        return Ok(watched(response, watch, client));
    }
    // Whatever the rules leave of it: the upstream has given the whole, and so has the tape it.
    let (parts, body) = response.into_parts();
    let whole = body.collect().await?.to_bytes();
    Ok(Response::from_parts(parts, refusal::full(whole)))
}

/// What is kept of a watch for as long as it lives.
struct Watched {
    uri: http::Uri,
    agent: HeaderMap,
    lane: Arc<str>,
}

impl Watched {
    fn of(head: &RequestHead, lane: &Arc<str>) -> Self {
        let agent = head.headers.get(USER_AGENT).cloned().map(|value| (USER_AGENT, value));
        Self { uri: head.uri.clone(), agent: agent.into_iter().collect(), lane: lane.clone() }
    }
}

/// Says with the answer how it can be told what kind of watch it is.
fn watched(mut response: Response<ProxyBody>, watch: Option<Watched>, client: &Client) -> Response<ProxyBody> {
    let Some(Watched { uri, agent, lane }) = watch.filter(|_| response.status().is_success()) else { return response };
    let media = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let protobuf = media.is_some_and(|media| media.starts_with("application/vnd.kubernetes.protobuf"));
    let host = client.shared.host.clone();
    let describe: Describe = Arc::new(move || {
        let facts = describe(&http::Method::GET, &uri, &agent, &host.lane(&lane));
        Facts { protobuf, ..facts }
    });
    response.extensions_mut().insert(describe);
    response
}

/// Where the answer comes from.
enum Source {
    Tape(Response<ProxyBody>),
    Live,
    Recorded,
}

async fn source(policy: &Policy, lane: &str, head: &RequestHead, body: Option<&Bytes>) -> Source {
    let empty = Bytes::new();
    let body = body.unwrap_or(&empty);
    let found = match &policy.replay {
        Some(replay) if policy.replays() => replay.answer(lane, head, body).await,
        _ => None,
    };
    match (policy.action(found.is_some(), head), found) {
        (Action::Replay, Some(response)) => Source::Tape(response),
        (Action::Record, _) => Source::Recorded,
        (Action::Forward | Action::Compare, _) => Source::Live,
        (Action::Refuse | Action::Replay, _) => {
            let mode = policy.mode.as_str();
            let why = match &policy.replay {
                Some(replay) => replay.explain(lane, head, body),
                None => format!("no tape to answer {} {}", head.method, head.uri),
            };
            Source::Tape(refusal::no_match(&format!("rehearsal record: mode {mode}: {why}")))
        }
    }
}

/// Passes an answer on, listening to it where it is recorded.
pub(super) async fn told(
    answer: Result<Response<ProxyBody>, UpstreamError>,
    mut session: Option<Session>,
    own_audit: bool,
    http1: bool,
) -> Result<Response<ProxyBody>, UpstreamError> {
    let response = match answer {
        Ok(response) => response,
        Err(error) => {
            if let Some(session) = &mut session {
                session.end(error.end());
            }
            return match error.failure {
                // The client's own connection is sound; this is the only way to tell.
                UpstreamFailure::Unreachable | UpstreamFailure::Other => Ok(refusal::unreachable(&error)),
                _ => Err(error),
            };
        }
    };
    let (mut parts, body) = response.into_parts();
    if let Some(session) = &mut session {
        if let Err(error) = session.settled().await {
            return Ok(refusal::not_recording(&error));
        }
        session.head(parts.status.as_u16(), &parts.headers);
    }
    let close = closes(&parts.headers);
    without_hops(&mut parts.headers);
    if !own_audit {
        parts.headers.remove(AUDIT_ID);
    }
    if close && http1 {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let body = match session {
        Some(session) => recorded(body, session),
        None => body,
    };
    Ok(Response::from_parts(parts, body))
}

/// A body that is told to its session.
fn recorded(body: ProxyBody, session: Session) -> ProxyBody {
    let outcome = Outcome::new(|error| match error.downcast_ref::<UpstreamError>() {
        Some(error) => error.end(),
        None => Outcome::default().of(error),
    });
    ProxyBody::new(Tee::new(body, session, outcome).map_err(|trouble| match trouble {
        Trouble::Body(error) => error,
        Trouble::Tape(error) => UpstreamError::new(UpstreamFailure::Other, error.to_string()),
    }))
}

/// The body of a client's request, on its way up.
fn boxed(body: Chained<Incoming>) -> ProxyBody {
    ProxyBody::new(body.map_err(|error| {
        UpstreamError::new(UpstreamFailure::Other, format!("read the client's request: {error}")).caused_by(error)
    }))
}

/// Takes off what concerns one connection, and what `Connection` names.
pub(super) fn without_hops(headers: &mut HeaderMap) {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}
