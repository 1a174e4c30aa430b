//! The admin API, `/_rehearsal/v1/…`: what a test in any language can ask of the server beside the Kubernetes API.
//!
//! Guarded by a token of its own. See docs/ADMIN_API.md.

use super::respond;
use crate::handle::Core;
use crate::serve::StartError;
use crate::store::Snapshot;
use axum::body::Body;
use http::request::Parts;
use http::{Method, Response};
use http_body_util::{BodyExt, Limited};
use jiff::SignedDuration;
use parking_lot::Mutex;
use rehearsal_apimachinery::request_info::{Query, param};
use rehearsal_apimachinery::status::Status;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most snapshots kept by name.
const MAX_SNAPSHOTS: usize = 1000;
/// Longest admin request body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// Journal entries of one answer unless `limit` says otherwise.
const JOURNAL_PAGE: usize = 1000;

/// Named snapshots.
#[derive(Default)]
pub(crate) struct Snapshots(Mutex<BTreeMap<String, Snapshot>>);

/// Answers an admin request.
pub(crate) async fn handle(core: &Arc<Core>, parts: &Parts, query: &Query, body: Body) -> Response<Body> {
    if !authorized(core, parts) {
        return refuse(&Status::unauthorized());
    }
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_) => return refuse(&Status::too_large(MAX_BODY)),
    };
    let path = parts.uri.path().trim_start_matches("/_rehearsal/v1").trim_matches('/').to_owned();
    let segments: Vec<&str> = path.split('/').collect();
    if let ["faults", rest @ ..] = segments.as_slice() {
        return match super::admin_faults::answer(core, &parts.method, rest, query, &body).await {
            Ok((code, value)) => respond::raw(code, "application/json", value.to_string() + "\n"),
            Err(status) => refuse(&status),
        };
    }
    let input = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice::<Value>(&body) };
    let input = match input {
        Ok(value) => value,
        Err(e) => return refuse(&Status::bad_request(format!("body: {e}"))),
    };
    match answer(core, &parts.method, &segments, query, &input).await {
        Ok((code, value)) => respond::raw(code, "application/json", value.to_string() + "\n"),
        Err(status) => refuse(&status),
    }
}

fn refuse(status: &Status) -> Response<Body> {
    respond::status(&super::negotiate::Accepted::json(), status)
}

fn authorized(core: &Core, parts: &Parts) -> bool {
    let given = parts.headers.get(http::header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    given.strip_prefix("Bearer ").is_some_and(|token| core.admin_token.is(token))
}

async fn answer(
    core: &Arc<Core>,
    method: &Method,
    segments: &[&str],
    query: &Query,
    input: &Value,
) -> Result<(u16, Value), Status> {
    match (method, segments) {
        (&Method::GET, ["journal"]) => Ok((200, journal(core, query)?)),
        (&Method::DELETE, ["journal"]) => {
            core.access.journal.clear();
            Ok((200, json!({})))
        }
        (&Method::GET, ["snapshots"]) => Ok((200, json!({"snapshots": list(core)}))),
        (&Method::POST, ["snapshots"]) => take(core, input),
        (&Method::POST, ["snapshots", name, "restore"]) => restore(core, name),
        (&Method::DELETE, ["snapshots", name]) => match core.snapshots.0.lock().remove(*name) {
            Some(_) => Ok((200, json!({}))),
            None => Err(no_snapshot(name)),
        },
        (&Method::GET, ["lanes"]) => {
            crate::serve::lanes(core).map(|lanes| (200, json!({"lanes": lanes}))).map_err(|e| refused(&e))
        }
        (&Method::POST, ["lanes"]) => open_lane(core, input).await,
        (&Method::POST, ["fork"]) => crate::serve::fork(core).await.map(|fork| (201, fork)),
        (&Method::GET, ["clock"]) => Ok((200, clock(core))),
        (&Method::POST, ["clock", "advance"]) => advance(core, input),
        (&Method::GET, ["objects"]) => Ok((200, objects(core))),
        (_, ["journal" | "snapshots" | "lanes" | "fork" | "clock" | "objects", ..]) => {
            Err(Status::method_not_allowed())
        }
        _ => Err(Status::no_such_resource()),
    }
}

fn journal(core: &Core, query: &Query) -> Result<Value, Status> {
    let number = |key: &str, default: u64| match param(query, key) {
        None => Ok(default),
        Some(text) => text.parse::<u64>().map_err(|e| Status::bad_request(format!("{key}: {e}"))),
    };
    let after = number("after", 0)?;
    let limit = usize::try_from(number("limit", JOURNAL_PAGE as u64)?).unwrap_or(usize::MAX);
    Ok(json!({"entries": core.access.journal.after(after, limit)}))
}

fn list(core: &Core) -> Vec<Value> {
    core.snapshots
        .0
        .lock()
        .iter()
        .map(|(name, s)| json!({"name": name, "revision": s.revision().to_string()}))
        .collect()
}

fn take(core: &Core, input: &Value) -> Result<(u16, Value), Status> {
    let snapshot = core.registry.storage().snapshot();
    let mut all = core.snapshots.0.lock();
    if all.len() >= MAX_SNAPSHOTS {
        return Err(Status::too_many_requests(format!("there are {MAX_SNAPSHOTS} snapshots; delete some"), 1));
    }
    let name = match input.get("name").and_then(Value::as_str) {
        Some(name) if !name.is_empty() && !name.contains('/') => name.to_owned(),
        Some(_) => return Err(Status::bad_request("name: must not be empty or contain '/'")),
        None => core.registry.ids().uid(),
    };
    let revision = snapshot.revision().to_string();
    all.insert(name.clone(), snapshot);
    Ok((201, json!({"name": name, "revision": revision})))
}

fn restore(core: &Core, name: &str) -> Result<(u16, Value), Status> {
    let snapshot = core.snapshots.0.lock().get(name).cloned().ok_or_else(|| no_snapshot(name))?;
    core.restore(&snapshot)?;
    Ok((200, json!({"revision": core.registry.storage().snapshot().revision().to_string()})))
}

/// Opens a listener for a lane, or tells of the one that is there.
async fn open_lane(core: &Arc<Core>, input: &Value) -> Result<(u16, Value), Status> {
    let Some(name) = input.get("name").and_then(Value::as_str) else {
        return Err(Status::bad_request("name: the lane needs one"));
    };
    match crate::serve::open_lane(core, name).await {
        Ok(lane) => Ok((201, json!(lane))),
        Err(error) => Err(refused(&error)),
    }
}

fn refused(error: &StartError) -> Status {
    match error {
        StartError::Lane(_) => Status::bad_request(format!("name: {error}")),
        StartError::TooManyLanes(_) => Status::too_many_requests(error.to_string(), 1),
        _ => Status::internal_error(error.to_string()),
    }
}

fn no_snapshot(name: &str) -> Status {
    let text = format!("snapshot {name:?} not found");
    Status::failure(404, rehearsal_apimachinery::StatusReason::NotFound, text)
}

fn clock(core: &Core) -> Value {
    let clock = core.registry.clock();
    json!({"now": crate::clock::rfc3339_micro(clock.now()), "manual": clock.is_manual()})
}

fn advance(core: &Core, input: &Value) -> Result<(u16, Value), Status> {
    let text = input.get("by").and_then(Value::as_str).unwrap_or_default();
    let nanos =
        rehearsal_apimachinery::time::parse_duration(text).map_err(|e| Status::bad_request(format!("by: {e}")))?;
    if nanos < 0 {
        return Err(Status::bad_request("by: time does not run backwards"));
    }
    if !core.registry.clock().advance(SignedDuration::from_nanos(nanos)) {
        return Err(Status::bad_request("the clock of this server is the real one; start it with --clock manual"));
    }
    Ok((200, clock(core)))
}

/// How many objects each collection holds.
fn objects(core: &Core) -> Value {
    let snapshot = core.registry.storage().snapshot();
    let counts: BTreeMap<&str, usize> =
        snapshot.collections().map(|c| (c.as_str(), snapshot.count(c.as_str(), ""))).filter(|(_, n)| *n > 0).collect();
    json!({"revision": snapshot.revision().to_string(), "collections": counts})
}
