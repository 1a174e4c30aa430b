//! The admin API's `/faults`: arming plans on a running server, marks, switches, and what has fired.
//!
//! What is done is the same for every server and in `rehearsal-fault-wire`; here are the query and the words of refusals.

use crate::handle::Core;
use http::Method;
use rehearsal_apimachinery::request_info::{Query, param};
use rehearsal_apimachinery::status::{Status, StatusReason};
use rehearsal_fault_wire::{Order, Refusal};
use serde_json::Value;
use std::time::Duration;

/// Longest wait of one request.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Wait of a request that does not say how long.
const WAIT: Duration = Duration::from_secs(10);

/// Answers a request below `/_rehearsal/v1/faults`.
pub(super) async fn answer(
    core: &Core,
    method: &Method,
    rest: &[&str],
    query: &Query,
    body: &[u8],
) -> Result<(u16, Value), Status> {
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
    let lane = param(query, "lane");
    core.faults.carry_out(Order { method, rest, count, lane, wait, body }).await.map_err(|refusal| match refusal {
        Refusal::BadRequest(text) => Status::bad_request(text),
        Refusal::NotFound(text) => Status::failure(404, StatusReason::NotFound, text),
        Refusal::Method => Status::method_not_allowed(),
        Refusal::Route => Status::no_such_resource(),
    })
}
