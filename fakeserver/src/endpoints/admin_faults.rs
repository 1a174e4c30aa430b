//! The admin API's `/faults`: arming plans on a running server, marks, switches, and what has fired.
//!
//! Bodies are fault plans as in a file: YAML, of which JSON is a part. See docs/ADMIN_API.md.

use crate::handle::Core;
use http::Method;
use rehearsal_apimachinery::request_info::{Query, param};
use rehearsal_apimachinery::status::{Status, StatusReason};
use rehearsal_fault_wire::{Faults, UnknownRule};
use rehearsal_faults::{Plan, PlanError};
use serde_json::{Value, json};
use std::time::Duration;

/// Longest wait of one request.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Wait of a request that does not say how long.
const WAIT: Duration = Duration::from_secs(10);
/// How plans are called in the places of their problems.
const FILE: &str = "body";

/// Answers a request below `/_rehearsal/v1/faults`.
pub(super) async fn answer(
    core: &Core,
    method: &Method,
    rest: &[&str],
    query: &Query,
    body: &[u8],
) -> Result<(u16, Value), Status> {
    let faults = &core.faults;
    match (method, rest) {
        (&Method::GET, []) => Ok((200, json!(faults.state()))),
        (&Method::POST, []) => Ok((201, json!({"id": faults.add(&plan(body)?).map_err(|e| refused(&e))?.id}))),
        (&Method::PUT, []) => Ok((200, json!({"id": faults.replace(&plan(body)?).map_err(|e| refused(&e))?.id}))),
        (&Method::DELETE, []) => {
            faults.clear();
            Ok((200, json!({})))
        }
        (&Method::GET, ["firings"]) => Ok((200, json!({"firings": faults.firings()}))),
        (&Method::DELETE, ["sets", id]) => match id.parse().is_ok_and(|id| faults.remove(id)) {
            true => Ok((200, json!({}))),
            false => Err(not_found(format!("fault set {id:?} not found"))),
        },
        (&Method::POST, ["marks", name]) => {
            faults.mark(name);
            Ok((200, json!({})))
        }
        (&Method::POST, ["rules", rule, switch @ ("arm" | "disarm")]) => {
            faults.switch(rule, *switch == "arm").map_err(|e| unknown(&e))?;
            Ok((200, json!({})))
        }
        (&Method::GET, ["rules", rule, "fired"]) => fired(faults, rule, query).await,
        (_, [] | ["firings"] | ["sets" | "marks", _] | ["rules", _, "arm" | "disarm" | "fired"]) => {
            Err(Status::method_not_allowed())
        }
        _ => Err(Status::no_such_resource()),
    }
}

fn plan(body: &[u8]) -> Result<Plan, Status> {
    let text = std::str::from_utf8(body).map_err(|e| Status::bad_request(format!("body: {e}")))?;
    Plan::from_yaml(FILE, text).map_err(|e| refused(&e))
}

fn refused(error: &PlanError) -> Status {
    Status::bad_request(error.to_string())
}

fn not_found(text: String) -> Status {
    Status::failure(404, StatusReason::NotFound, text)
}

fn unknown(error: &UnknownRule) -> Status {
    not_found(error.to_string())
}

/// Waits until a rule has fired so often, or for so long.
async fn fired(faults: &Faults, rule: &str, query: &Query) -> Result<(u16, Value), Status> {
    let bad = |key: &str, why: String| Status::bad_request(format!("{key}: {why}"));
    let count = match param(query, "count") {
        None => 1,
        Some(text) => text.parse::<u64>().map_err(|e| bad("count", e.to_string()))?,
    };
    let wait = match param(query, "timeout") {
        None => WAIT,
        Some(text) => {
            let nanos =
                rehearsal_apimachinery::time::parse_duration(text).map_err(|e| bad("timeout", e.to_string()))?;
            Duration::from_nanos(u64::try_from(nanos).unwrap_or_default()).min(MAX_WAIT)
        }
    };
    let reached = match tokio::time::timeout(wait, faults.fired(rule, count)).await {
        Ok(outcome) => outcome.map(|()| true),
        Err(_) => Ok(false),
    }
    .map_err(|e| unknown(&e))?;
    let fired = faults.count(rule).map_err(|e| unknown(&e))?;
    Ok((200, json!({"rule": rule, "fired": fired, "reached": reached})))
}
