//! Requests that change protocol (exec, attach, port-forward): the handshake is passed on, then bytes are.

use super::exchange::{Client, told, without_hops};
use super::policy::{Policy, Switch, Talking};
use super::refusal;
use super::upstream::{ProxyBody, UpstreamError};
use crate::mode::Action;
use crate::record::{AUDIT_ID, Exchange, RequestHead, Tunnel, TunnelFacts, audit, response_headers};
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use std::sync::Arc;

/// Whether a request asks to change protocol.
pub(super) fn is_wanted(parts: &http::request::Parts) -> bool {
    let names = |value: &HeaderValue| {
        value.to_str().unwrap_or_default().split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
    };
    parts.version == Version::HTTP_11
        && parts.headers.contains_key(UPGRADE)
        && parts.headers.get_all(CONNECTION).iter().any(names)
}

/// Passes the handshake on. Where the upstream refuses, that is an answer like any other.
pub(super) async fn answer(
    client: &Client,
    lane: &Arc<str>,
    head: &RequestHead,
    mut request: Request<()>,
) -> Result<Response<ProxyBody>, UpstreamError> {
    if let Some(replay) = &client.shared.policy.replay {
        if let Some(Switch { response, talk }) = replay.upgrade(lane, head).await {
            if let Some(talk) = talk {
                play(client, hyper::upgrade::on(&mut request), talk);
            }
            return Ok(response);
        }
        if !is_live(&client.shared.policy, head) {
            let why = replay.explain(lane, head, &bytes::Bytes::new());
            return Ok(refusal::no_match(&format!("rehearsal: {why}")));
        }
    }
    if !is_live(&client.shared.policy, head) {
        return Ok(refusal::no_match("rehearsal record: no tape to answer from"));
    }
    let recorder = client.shared.recorder.clone().filter(|recorder| recorder.wants(lane, head));
    let downstream = hyper::upgrade::on(&mut request);
    let (mut parts, _) = request.into_parts();
    let wanted = parts.headers.get(UPGRADE).cloned();
    without_hops(&mut parts.headers);
    parts.headers.remove(HOST);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(wanted) = wanted {
        parts.headers.insert(UPGRADE, wanted);
    }
    let own_audit = parts.headers.contains_key(AUDIT_ID);
    let id = recorder.as_ref().map_or(0, crate::record::Recorder::next_id);
    let audit_id = recorder.as_ref().map(|recorder| audit(recorder, id, &mut parts));
    let asked = recorder.as_ref().map_or((0, 0), |recorder| (recorder.tick(), recorder.now()));
    let answer = client.channel.send(Request::from_parts(parts, refusal::full(""))).await;
    let mut response = match answer {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => response,
        answer => {
            // No protocol was changed: an exchange like any other, written down after the fact.
            let session = match recorder {
                Some(recorder) => {
                    let (lane, conn) = (lane.clone(), client.line.ordinal());
                    let body = Some(bytes::Bytes::new());
                    let exchange =
                        Exchange { id, lane, conn, head: head.clone(), body, audit_id, trail: client.trail.clone() };
                    match recorder.begin(exchange).await {
                        Ok(session) => Some(session),
                        Err(error) => return Ok(refusal::not_recording(&error)),
                    }
                }
                None => None,
            };
            return told(answer, session, own_audit, true).await;
        }
    };
    let answered = recorder.as_ref().map_or((0, 0), |recorder| (recorder.tick(), recorder.now()));
    let facts = TunnelFacts {
        id,
        lane: lane.as_ref().to_owned(),
        conn: client.line.ordinal(),
        request: head.request(None),
        asked,
        response: crate::format::model::Response {
            status: response.status().as_u16(),
            headers: response_headers(response.headers()),
            ..crate::format::model::Response::default()
        },
        answered,
        protocol: protocol(response.headers()),
    };
    let upstream = hyper::upgrade::on(&mut response);
    let stop = client.shared.stop.clone();
    client.shared.tasks.spawn(async move {
        match tokio::try_join!(downstream, upstream) {
            Ok((client, server)) => {
                Tunnel::new(recorder, facts).run(TokioIo::new(client), TokioIo::new(server), stop).await;
            }
            Err(error) => tracing::warn!(target: "cassettes::proxy", %error, "an upgrade came to nothing"),
        }
    });
    let (mut parts, _) = response.into_parts();
    if !own_audit {
        parts.headers.remove(AUDIT_ID);
    }
    parts.extensions.clear();
    Ok(Response::from_parts(parts, refusal::full("")))
}

/// Plays what a tape holds to a client, until one of them ends or the proxy stops.
fn play(client: &Client, downstream: hyper::upgrade::OnUpgrade, talk: Talking) {
    let stop = client.shared.stop.clone();
    client.shared.tasks.spawn(async move {
        match downstream.await {
            Ok(client) => {
                stop.run_until_cancelled(talk(TokioIo::new(client))).await;
            }
            Err(error) => tracing::warn!(target: "cassettes::proxy", %error, "an upgrade came to nothing"),
        }
    });
}

/// Whether what the tape does not know may pass.
fn is_live(policy: &Policy, head: &RequestHead) -> bool {
    matches!(policy.action(false, head), Action::Record | Action::Forward | Action::Compare)
}

/// What the two sides agreed on: the WebSocket subprotocol, the stream protocol, or what was upgraded to.
fn protocol(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let upgrade = text(UPGRADE.as_str()).unwrap_or_default();
    text(SEC_WEBSOCKET_PROTOCOL.as_str()).unwrap_or(upgrade)
}
