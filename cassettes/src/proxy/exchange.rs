//! One request through the proxy: whose is it, where does its answer come from, and what is it told.

use super::lanes::Lanes;
use super::mark;
use super::policy::Policy;
use super::refusal;
use super::serve::Shared;
use super::upgrade;
use super::upstream::{Channel, ProxyBody, UpstreamError, UpstreamFailure};
use crate::mode::Action;
use crate::record::{
    AUDIT_ID, Chained, Exchange, MAX_REQUEST, Outcome, RequestHead, Session, Tee, Trail, Trouble, audit, closes,
    read_whole,
};
use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::sync::Arc;

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
    pub(super) conn: u64,
    pub(super) channel: Arc<dyn Channel>,
    pub(super) trail: Trail,
}

/// Answers a request. An error ends the exchange in the way the upstream ended it.
pub(super) async fn answer(client: &Client, request: Request<Incoming>) -> Result<Response<ProxyBody>, UpstreamError> {
    let (mut parts, body) = request.into_parts();
    let Some(lane) = client.shared.lanes.of(&parts.headers) else { return Ok(refusal::no_lane()) };
    if mark::is_one(&parts) {
        return Ok(mark::answer(client.shared.recorder.as_ref(), body).await);
    }
    let head = RequestHead::of(&parts);
    Lanes::strip(&mut parts.headers);
    if upgrade::is_wanted(&parts) {
        return upgrade::answer(client, &lane, &head, Request::from_parts(parts, body)).await;
    }
    let own_audit = parts.headers.contains_key(AUDIT_ID);
    let http1 = parts.version <= Version::HTTP_11;
    without_hops(&mut parts.headers);
    parts.headers.remove(HOST);
    parts.version = Version::HTTP_11;
    let (whole, body) = read_whole(body, MAX_REQUEST).await;
    let session = match source(&client.shared.policy, &lane, &head, whole.as_ref()).await {
        Source::Tape(response) => return Ok(response),
        Source::Live => None,
        Source::Recorded => {
            let Some(recorder) = &client.shared.recorder else {
                return Ok(refusal::not_recording(&"no tape is being written"));
            };
            let id = recorder.next_id();
            let audit_id = Some(audit(recorder, id, &mut parts));
            let exchange =
                Exchange { id, lane, conn: client.conn, head, body: whole, audit_id, trail: client.trail.clone() };
            match recorder.begin(exchange).await {
                Ok(session) => Some(session),
                Err(error) => return Ok(refusal::not_recording(&error)),
            }
        }
    };
    let answer = client.channel.send(Request::from_parts(parts, boxed(body))).await;
    told(answer, session, own_audit, http1).await
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
