//! What the proxy itself answers: a `Status` each, so that clients print it, and never a reason that controllers act on.

use super::upstream::{ProxyBody, UpstreamError};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;

/// A body of these bytes.
pub(crate) fn full(bytes: impl Into<Bytes>) -> ProxyBody {
    ProxyBody::new(Full::new(bytes.into()).map_err(|never| match never {}))
}

/// A refusal with a reason.
pub(crate) fn status(code: StatusCode, reason: &str, message: &str) -> Response<ProxyBody> {
    let body = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code.as_u16(),
    });
    let mut response = Response::new(full(format!("{body}\n")));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Without a lane's token nothing passes: the proxy holds a real credential.
pub(crate) fn no_lane() -> Response<ProxyBody> {
    status(
        StatusCode::UNAUTHORIZED,
        "Unauthorized",
        "rehearsal record: no lane has this credential; use the kubeconfig that the recorder wrote",
    )
}

/// The upstream was not reached, and the client has no other way to hear of it.
pub(crate) fn unreachable(error: &UpstreamError) -> Response<ProxyBody> {
    let message = format!("rehearsal record: the upstream cannot be reached: {}", error.message);
    status(StatusCode::BAD_GATEWAY, "UpstreamUnreachable", &message)
}

/// What cannot be recorded does not pass.
pub(crate) fn not_recording(error: &dyn std::fmt::Display) -> Response<ProxyBody> {
    status(StatusCode::SERVICE_UNAVAILABLE, "RecordingStopped", &format!("rehearsal record: {error}"))
}

/// Nothing on the tape answers the request.
pub(crate) fn no_match(message: &str) -> Response<ProxyBody> {
    status(StatusCode::NOT_IMPLEMENTED, "TapeNoMatch", message)
}
