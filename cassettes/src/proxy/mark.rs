//! Notes on the time line from whoever has a lane: `POST /_rehearsal/v1/mark` with a text goes onto the tape and not to
//! the server, such as `echo "step 3" | kubectl create --raw /_rehearsal/v1/mark -f -`.

use super::refusal;
use super::upstream::ProxyBody;
use crate::record::Recorder;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

const PATH: &str = "/_rehearsal/v1/mark";
/// Longest text, in bytes.
const LONGEST: usize = 4096;

/// Whether a request is a note.
pub(super) fn is_one(parts: &http::request::Parts) -> bool {
    parts.method == Method::POST && parts.uri.path() == PATH
}

/// Takes the note. Where nothing is recorded it is accepted and forgotten, so that a test need not know.
pub(super) async fn answer(recorder: Option<&Recorder>, body: Incoming) -> Response<ProxyBody> {
    let Ok(body) = Limited::new(body, LONGEST).collect().await else {
        return refusal::status(
            StatusCode::PAYLOAD_TOO_LARGE,
            "TooLong",
            "rehearsal record: a mark is at most 4096 bytes",
        );
    };
    let text = String::from_utf8_lossy(&body.to_bytes()).trim().to_owned();
    if text.is_empty() {
        return refusal::status(StatusCode::BAD_REQUEST, "NoText", "rehearsal record: a mark needs a text");
    }
    if let Some(recorder) = recorder
        && let Err(error) = recorder.mark("note", &text).await
    {
        return refusal::not_recording(&error);
    }
    let success = "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Success\"}\n";
    let mut response = Response::new(refusal::full(success));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
