//! The proxy's admin API: the fault rules in front of it, below `/_rehearsal/v1/faults`, as every server of ours has it.
//!
//! It has a token of its own, which is no lane's; nothing of it reaches the upstream, the tape or the fault rules. A plan
//! that is armed here while a tape is made is a mark on the tape.

use super::refusal::{full, status};
use super::serve::Shared;
use super::upstream::ProxyBody;
use crate::firings::PLAN_MARK;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use rehearsal_apimachinery::request_info::{Query, param, parse_query};
use rehearsal_fault_wire::{Order, Refusal};
use std::time::Duration;

/// Requests below this are about the proxy and not to the cluster.
pub(super) const PREFIX: &str = "/_rehearsal/";
/// Longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// Longest wait of one request.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Wait of a request that does not say how long.
const WAIT: Duration = Duration::from_secs(10);

/// Answers a request below [`PREFIX`].
pub(super) async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<ProxyBody> {
    if !is_admin(shared, request.headers()) {
        return status(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized");
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let ["_rehearsal", "v1", "faults", rest @ ..] = &segments[..] else {
        return status(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource");
    };
    let query = parse_query(parts.uri.query().unwrap_or_default());
    let (count, wait) = match (count(&query), wait(&query)) {
        (Ok(count), Ok(wait)) => (count, wait),
        (Err(why), _) | (_, Err(why)) => return status(StatusCode::BAD_REQUEST, "BadRequest", &why),
    };
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await.map(http_body_util::Collected::to_bytes) else {
        let text = format!("the body is longer than {MAX_BODY} bytes, or broke off");
        return status(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &text);
    };
    let order = Order { method: &parts.method, rest, count, lane: param(&query, "lane"), wait, body: &body };
    let refused = match shared.faults.carry_out(order).await {
        Ok((code, value)) => {
            if rest.is_empty() && matches!(parts.method, Method::POST | Method::PUT) {
                keep(shared).await;
            }
            let mut response = Response::new(full(format!("{value}\n")));
            *response.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            return response;
        }
        Err(refused) => refused,
    };
    match refused {
        Refusal::BadRequest(text) => status(StatusCode::BAD_REQUEST, "BadRequest", &text),
        Refusal::NotFound(text) => status(StatusCode::NOT_FOUND, "NotFound", &text),
        Refusal::Method => {
            let text = "the server does not allow this method on the requested resource";
            status(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", text)
        }
        Refusal::Route => status(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource"),
    }
}

/// Whether a request has the admin token; without one nobody has.
fn is_admin(shared: &Shared, headers: &HeaderMap) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    !shared.admin_token.is_empty() && super::lanes::same(given.as_bytes(), shared.admin_token.as_bytes())
}

/// Puts the plan that was armed last on the tape.
async fn keep(shared: &Shared) {
    let newest = shared.faults.sets().into_iter().max_by_key(|set| set.id);
    if let (Some(recorder), Some(set)) = (&shared.recorder, newest) {
        // A tape that cannot be written any more says so at the next request.
        let _ = recorder.mark(PLAN_MARK, &set.plan.to_yaml()).await;
    }
}

fn count(query: &Query) -> Result<u64, String> {
    param(query, "count").map_or(Ok(1), |text| text.parse().map_err(|error| format!("count: {error}")))
}

fn wait(query: &Query) -> Result<Duration, String> {
    let Some(text) = param(query, "timeout") else { return Ok(WAIT) };
    let nanos = rehearsal_apimachinery::time::parse_duration(text).map_err(|error| format!("timeout: {error}"))?;
    Ok(Duration::from_nanos(u64::try_from(nanos).unwrap_or_default()).min(MAX_WAIT))
}
