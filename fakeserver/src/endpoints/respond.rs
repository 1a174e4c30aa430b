//! Bodies and headers of answers: JSON, pretty JSON, YAML, protobuf, Tables, partial metadata, gzip.

use super::context::RequestContext;
use super::list_body::Pieces;
use super::negotiate::{Accepted, Media, Transform};
use super::{partial, table};
use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY};
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;
use rehearsal_apimachinery::Catalog;
use rehearsal_apimachinery::codec::{json, protobuf, yaml};
use rehearsal_apimachinery::status::{Status, StatusReason};
use serde_json::Value;
use std::io::Write as _;

/// Bodies above this many bytes are compressed when the client allows it (apiserver `defaultGzipThresholdBytes`).
const GZIP_THRESHOLD: usize = 128 * 1024;
/// An answer with this body and content type.
pub(crate) fn raw(code: u16, content_type: &str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

/// An answer whose body may be compressed.
pub(crate) fn compressed(headers: &HeaderMap, content_type: &str, body: Bytes) -> Response<Body> {
    compress(headers, raw(200, content_type, Body::empty()), body)
}

/// Plain text with `nosniff`, as Go's `http.Error` answers.
pub(crate) fn text(code: u16, body: impl Into<Body>) -> Response<Body> {
    let mut response = raw(code, "text/plain; charset=utf-8", body);
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// `404 page not found`, the answer of the outermost mux.
pub(crate) fn page_not_found() -> Response<Body> {
    text(404, "404 page not found\n")
}

/// Compact JSON of an object in the negotiated form.
pub(crate) fn encoded(headers: &HeaderMap, accepted: &Accepted, code: u16, compact: Bytes) -> Response<Body> {
    let body = match accepted.media {
        Media::Json if accepted.pretty => Bytes::from(json::to_pretty(&compact)),
        Media::Json => {
            let mut line = Vec::with_capacity(compact.len() + 1);
            line.extend_from_slice(&compact);
            line.push(b'\n');
            Bytes::from(line)
        }
        Media::Yaml => match serde_json::from_slice::<Value>(&compact) {
            Ok(value) => Bytes::from(yaml::encode(&value)),
            Err(_) => compact,
        },
        Media::Protobuf => match protobuf::encode_json(&compact, Catalog::builtin()) {
            Ok(bytes) => Bytes::from(bytes),
            // Only kinds without a protobuf form end here, and negotiation does not offer it for them.
            Err(error) => return status(&Accepted::json(), &Status::internal_error(error)),
        },
    };
    compress(headers, raw(code, accepted.media.content_type(), Body::empty()), body)
}

/// A list that is made as it is sent, unless it is to be compressed or too short to be worth it.
pub(super) fn pieces(headers: &HeaderMap, content_type: &str, pieces: Pieces) -> Response<Body> {
    let long = pieces.size_hint().lower() > GZIP_THRESHOLD as u64;
    if long && !accepts_gzip(headers) {
        return raw(200, content_type, Body::new(pieces));
    }
    compressed(headers, content_type, pieces.into_bytes())
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().any(|v| v.to_str().is_ok_and(|v| v.contains("gzip")))
}

/// gzip where the client allows it and the body is worth it.
fn compress(headers: &HeaderMap, mut response: Response<Body>, body: Bytes) -> Response<Body> {
    if !accepts_gzip(headers) || body.len() <= GZIP_THRESHOLD {
        *response.body_mut() = Body::from(body);
        return response;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let zipped = encoder.write_all(&body).and_then(|()| encoder.finish());
    match zipped {
        Ok(bytes) => {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
            *response.body_mut() = Body::from(bytes);
        }
        Err(_) => *response.body_mut() = Body::from(body),
    }
    response
}

/// A refusal in the negotiated form.
pub(crate) fn status(accepted: &Accepted, refusal: &Status) -> Response<Body> {
    let compact = Bytes::from(serde_json::to_vec(refusal).unwrap_or_default());
    let mut response = encoded(&HeaderMap::new(), accepted, refusal.code, escape_html(compact));
    if let Some(seconds) = refusal.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if refusal.is(&StatusReason::Forbidden) {
        response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    }
    response
}

/// Go's JSON encoder escapes `<`, `>` and `&`; they can stand in strings only.
fn escape_html(compact: Bytes) -> Bytes {
    if !compact.iter().any(|b| matches!(b, b'<' | b'>' | b'&')) {
        return compact;
    }
    let mut out = Vec::with_capacity(compact.len() + 32);
    for b in compact {
        match b {
            b'<' => out.extend_from_slice(b"\\u003c"),
            b'>' => out.extend_from_slice(b"\\u003e"),
            b'&' => out.extend_from_slice(b"\\u0026"),
            b => out.push(b),
        }
    }
    Bytes::from(out)
}

/// The object as a Table or as partial metadata, as compact JSON.
pub(crate) fn transformed(cx: &RequestContext, accepted: &Accepted, object: &Value) -> Result<Bytes, Status> {
    let metadata = object.get("metadata").cloned().unwrap_or_default();
    transformed_list(cx, accepted, std::slice::from_ref(object), &metadata, Asked::Object)
}

/// What the URL names, which decides about the refusals of partial metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// One object.
    Object,
    /// A collection.
    List,
}

/// Objects as one Table or as partial metadata, as compact JSON.
pub(crate) fn transformed_list(
    cx: &RequestContext,
    accepted: &Accepted,
    objects: &[Value],
    metadata: &Value,
    asked: Asked,
) -> Result<Bytes, Status> {
    match (&accepted.transform, asked, objects) {
        (Transform::Table(version), ..) => {
            let now = cx.core.registry.clock().now();
            let options = table::Options { include: include_object(cx)?, version, metadata, columns: true, now };
            Ok(Bytes::from(table::render(&cx.info, objects, &options).to_json(&cx.info)))
        }
        (Transform::Partial(version), Asked::Object, [object]) => {
            Ok(Bytes::from(partial::to_json(&partial::partial_object(object, version))))
        }
        (Transform::PartialList(version), Asked::List, _) => {
            Ok(Bytes::from(partial::to_json(&partial::partial_list(metadata, objects, version))))
        }
        (_, Asked::Object, _) => Err(partial::refuse_object(&cx.info)),
        (_, Asked::List, _) => Err(partial::refuse_list(&cx.info)),
    }
}

/// How much of the objects a Table is to carry.
pub(crate) fn include_object(cx: &RequestContext) -> Result<table::IncludeObject, Status> {
    let wish = rehearsal_apimachinery::request_info::param(&cx.query, "includeObject").unwrap_or_default();
    table::IncludeObject::parse(wish)
}
