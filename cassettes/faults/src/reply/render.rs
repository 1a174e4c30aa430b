//! The bytes of each refusal. Counterpart: `k8s.io/apimachinery/pkg/api/errors` and the filters of the apiserver.

use serde::Serialize;

use super::{Answer, Case, Reply, StoreFacts};
use crate::facts::{Protocol, RequestFacts, qualified};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You can \
start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of \
the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or \
deleted between the time the first chunk was returned and now may show up in the list.";
const MEDIA_TYPES: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// A `Status` in the member order of Go's struct.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    kind: &'static str,
    api_version: &'static str,
    metadata: Meta,
    status: &'static str,
    message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    code: u16,
}

#[derive(Serialize)]
struct Meta {
    #[serde(rename = "continue", skip_serializing_if = "String::is_empty")]
    token: String,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u32>,
}

#[derive(Default, Serialize)]
struct Cause {
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    field: String,
}

/// What goes over the wire besides the headers that every case shares.
enum Content {
    Text(String),
    Status(Status),
    /// Bytes under a content type of their own.
    Raw(&'static str, String),
}

/// Seconds of `Retry-After` that the real server sends with a case.
pub(super) fn usual_retry_after(case: &Case) -> Option<i64> {
    match case {
        Case::TooManyInflight
        | Case::ApfReject { .. }
        | Case::CacheNotReady
        | Case::ShuttingDown
        | Case::FutureRevision => Some(1),
        Case::ServerTimeout => Some(2),
        Case::ShutdownRetry | Case::PathsNotInstalled => Some(5),
        _ => None,
    }
}

pub(super) fn status(case: &Case) -> u16 {
    match case {
        Case::WebhookDenied { .. } | Case::BadRequest(_) => 400,
        Case::Unauthorized => 401,
        Case::Forbidden => 403,
        Case::NotFound => 404,
        Case::MethodNotAllowed => 405,
        Case::NotAcceptable => 406,
        Case::Conflict | Case::AlreadyExists | Case::UidMismatch | Case::ApplyConflict { .. } => 409,
        Case::ListExpired | Case::ContinueExpired | Case::WatchExpired | Case::Gone => 410,
        Case::TooLarge => 413,
        Case::UnsupportedMediaType => 415,
        Case::Invalid(_) => 422,
        Case::TooManyInflight | Case::ApfReject { .. } | Case::CacheNotReady | Case::ShutdownRetry => 429,
        Case::HeadersTooLarge => 431,
        Case::Storage(_) | Case::ServerTimeout | Case::Internal(_) | Case::Panic | Case::WebhookTimeout { .. } => 500,
        Case::ShuttingDown | Case::PathsNotInstalled | Case::AggregatedUnavailable | Case::DialError(_) => 503,
        Case::RequestTimeout | Case::WriteDeadline | Case::FutureRevision => 504,
        Case::Gateway { status, .. } | Case::Custom { status, .. } => *status,
    }
}

pub(super) fn answer(reply: &Reply, request: &RequestFacts<'_>, store: &StoreFacts<'_>) -> Answer {
    let mut headers = Vec::new();
    let body = match content(reply, request, store) {
        Content::Text(text) => {
            headers.push(("Content-Type", TEXT.to_owned()));
            headers.push(("X-Content-Type-Options", "nosniff".to_owned()));
            format!("{text}\n")
        }
        Content::Status(status) => {
            headers.push(("Content-Type", JSON.to_owned()));
            format!("{}\n", json(&status))
        }
        Content::Raw(kind, body) => {
            if !kind.is_empty() {
                headers.push(("Content-Type", kind.to_owned()));
            }
            body
        }
    };
    let mut extra_headers = Vec::new();
    special_headers(&reply.case, request.protocol, &mut headers, &mut extra_headers);
    headers.extend(reply.retry_after.values(store.unix_seconds).into_iter().map(|value| ("Retry-After", value)));
    Answer { status: reply.status(), headers, extra_headers, body }
}

fn special_headers(
    case: &Case,
    protocol: Protocol,
    headers: &mut Vec<(&'static str, String)>,
    extra: &mut Vec<(String, String)>,
) {
    match case {
        // Go's HTTP/2 server keeps the connection.
        Case::HeadersTooLarge if protocol == Protocol::Http2 => {}
        Case::ApfReject { flow_schema, priority_level } => {
            for (name, uid) in
                [("X-Kubernetes-Pf-Flowschema-Uid", flow_schema), ("X-Kubernetes-Pf-Prioritylevel-Uid", priority_level)]
            {
                // Without them the server puts its own there.
                if !uid.is_empty() {
                    headers.push((name, uid.clone()));
                }
            }
        }
        Case::Forbidden | Case::ShuttingDown => headers.push(("X-Content-Type-Options", "nosniff".to_owned())),
        Case::ShutdownRetry | Case::HeadersTooLarge => headers.push(("Connection", "close".to_owned())),
        Case::Custom { content_type, headers: written, .. } => {
            if !content_type.is_empty() {
                headers.retain(|(name, _)| *name != "Content-Type");
                headers.push(("Content-Type", content_type.clone()));
            }
            extra.extend(written.iter().cloned());
        }
        _ => {}
    }
}

pub(super) fn frame(reply: &Reply, request: &RequestFacts<'_>, store: &StoreFacts<'_>) -> String {
    let object = match content(reply, request, store) {
        Content::Status(status) => status,
        // A watch frame can only carry an object, so a text becomes the message of a Status.
        Content::Text(text) => plain(reply.status(), "", text),
        Content::Raw(_, body) => plain(reply.status(), "", body),
    };
    format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", json(&object))
}

/// Go writes `&`, `<` and `>` as escapes; a Status often quotes all three.
fn json(status: &Status) -> String {
    let plain = serde_json::to_string(status).unwrap_or_default();
    plain.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}

fn plain(code: u16, reason: &'static str, message: impl Into<String>) -> Status {
    let metadata = Meta { token: String::new() };
    Status {
        kind: "Status",
        api_version: "v1",
        metadata,
        status: "Failure",
        message: message.into(),
        reason,
        details: None,
        code,
    }
}

fn detailed(code: u16, reason: &'static str, message: impl Into<String>, details: Details) -> Status {
    Status { details: Some(details), ..plain(code, reason, message) }
}

fn object_of(request: &RequestFacts<'_>) -> Details {
    Details {
        name: request.name.to_owned(),
        group: request.group.to_owned(),
        kind: request.resource.to_owned(),
        ..Details::default()
    }
}

fn cause(message: &str) -> Vec<Cause> {
    vec![Cause { message: message.to_owned(), ..Cause::default() }]
}

fn content(reply: &Reply, request: &RequestFacts<'_>, store: &StoreFacts<'_>) -> Content {
    let code = reply.status();
    let seconds = reply.retry_after.seconds();
    let waiting = || Details { retry_after_seconds: seconds.filter(|s| *s > 0), ..Details::default() };
    let text = |text: &str| Content::Text(text.to_owned());
    match &reply.case {
        Case::TooManyInflight | Case::ApfReject { .. } => text("Too many requests, please try again later."),
        Case::ShutdownRetry => text("The apiserver is shutting down, please try again later."),
        Case::Panic => text("This request caused apiserver to panic. Look in the logs for details."),
        Case::AggregatedUnavailable => text("service unavailable"),
        Case::DialError(why) => Content::Text(format!("error trying to reach service: {why}")),
        Case::RequestTimeout => Content::Raw(TEXT, format!("{REQUEST_TIMEOUT}\n")),
        Case::HeadersTooLarge if request.protocol == Protocol::Http2 => {
            Content::Raw(HTML, HEADERS_TOO_LARGE.to_owned())
        }
        Case::HeadersTooLarge => Content::Raw(TEXT, "431 Request Header Fields Too Large".to_owned()),
        Case::Gateway { status, html } => gateway(*status, *html),
        Case::Custom { body: Some(body), .. } => Content::Raw("", body.clone()),
        Case::Custom { body: None, .. } => Content::Status(generic(code, request, seconds)),
        Case::ShuttingDown => {
            let status = plain(code, "ServiceUnavailable", "apiserver is shutting down");
            Content::Raw(JSON, format!("{}\n\n", json(&status)))
        }
        Case::CacheNotReady => {
            Content::Status(detailed(code, "TooManyRequests", "storage is (re)initializing", waiting()))
        }
        _ => Content::Status(refusal(reply, code, request, store)),
    }
}

/// What Go's HTTP/2 server writes where the one for HTTP/1.1 writes plain text.
const HEADERS_TOO_LARGE: &str = "<h1>HTTP Error 431</h1><p>Request Header Field(s) Too Large</p>";
const HTML: &str = "text/html; charset=utf-8";

const REQUEST_TIMEOUT: &str = r#"{"metadata":{},"status":"Failure","message":"Timeout: request did not complete within the allotted timeout","reason":"Timeout","details":{},"code":504}"#;

fn gateway(status: u16, html: bool) -> Content {
    if !html {
        return Content::Raw("", String::new());
    }
    let title = match status {
        502 => "502 Bad Gateway",
        503 => "503 Service Temporarily Unavailable",
        _ => "504 Gateway Time-out",
    };
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    Content::Raw("text/html", page)
}

/// The cases whose body is a JSON `Status`.
fn refusal(reply: &Reply, code: u16, request: &RequestFacts<'_>, store: &StoreFacts<'_>) -> Status {
    let what = qualified(request.resource, request.group);
    let object = || object_of(request);
    let modified = "the object has been modified; please apply your changes to the latest version and try again";
    let cannot = |why: &str| format!("Operation cannot be fulfilled on {what} \"{}\": {why}", request.name);
    match &reply.case {
        Case::WriteDeadline => {
            let message = "Timeout: request did not complete within requested timeout - context deadline exceeded";
            detailed(code, "Timeout", message, Details::default())
        }
        Case::FutureRevision => future_revision(reply, code, request, store),
        Case::ListExpired => plain(code, "Expired", "The resourceVersion for the provided list is too old."),
        Case::ContinueExpired => {
            let metadata = Meta { token: store.fresh_continue.to_owned() };
            Status { metadata, ..plain(code, "Expired", CONTINUE_EXPIRED) }
        }
        Case::WatchExpired => {
            let asked = if request.resource_version.is_empty() { "0" } else { request.resource_version };
            plain(code, "Expired", format!("too old resource version: {asked} ({})", store.oldest))
        }
        Case::Conflict => detailed(code, "Conflict", cannot(modified), object()),
        Case::AlreadyExists => {
            detailed(code, "AlreadyExists", format!("{what} \"{}\" already exists", request.name), object())
        }
        Case::UidMismatch => detailed(code, "Conflict", cannot(&uid_mismatch(request, store)), object()),
        Case::ApplyConflict { manager, field } => apply_conflict(code, manager, field),
        Case::NotFound => detailed(code, "NotFound", format!("{what} \"{}\" not found", request.name), object()),
        Case::Gone => plain(code, "Gone", format!("{what} \"{}\" is gone", request.name)),
        Case::Storage(message) => plain(code, "", message.clone()),
        Case::ServerTimeout => server_timeout(reply, code, request),
        Case::Internal(why) => internal(code, why),
        Case::Unauthorized => plain(code, "Unauthorized", "Unauthorized"),
        Case::Forbidden => detailed(code, "Forbidden", forbidden(request), object()),
        Case::WebhookTimeout { webhook, url } => internal(
            code,
            &format!(
                "failed calling webhook \"{webhook}\": failed to call webhook: Post \"{url}\": context deadline exceeded"
            ),
        ),
        Case::WebhookDenied { webhook, message } => {
            plain(code, "", format!("admission webhook \"{webhook}\" denied the request: {message}"))
        }
        Case::BadRequest(message) => plain(code, "BadRequest", message.clone()),
        Case::MethodNotAllowed => {
            let message = "the server does not allow this method on the requested resource";
            detailed(code, "MethodNotAllowed", message, Details::default())
        }
        Case::NotAcceptable => {
            let message = format!("406: Not Acceptable\n\nAvailable representations: {MEDIA_TYPES}");
            detailed(code, "NotAcceptable", message, Details::default())
        }
        Case::TooLarge => plain(code, "RequestEntityTooLarge", "Request entity too large: limit is 3145728"),
        Case::UnsupportedMediaType => {
            let message = format!(
                "the body of the request was in an unknown format - accepted media types include: {MEDIA_TYPES}"
            );
            plain(code, "UnsupportedMediaType", message)
        }
        Case::Invalid(message) => detailed(code, "Invalid", message.clone(), Details::default()),
        Case::PathsNotInstalled => {
            let message = "the request has been made before all known HTTP paths have been installed, please try again";
            let details = Details { retry_after_seconds: reply.retry_after.seconds(), ..object() };
            detailed(code, "ServiceUnavailable", message, details)
        }
        _ => generic(code, request, reply.retry_after.seconds()),
    }
}

fn future_revision(reply: &Reply, code: u16, request: &RequestFacts<'_>, store: &StoreFacts<'_>) -> Status {
    // Asked of a request that names no revision, the fault pretends that it wanted the next one.
    let next = store.current.saturating_add(1).to_string();
    let asked = if request.resource_version.is_empty() { &next } else { request.resource_version };
    let reason = "ResourceVersionTooLarge".to_owned();
    let causes = vec![Cause { reason, message: "Too large resource version".to_owned(), field: String::new() }];
    let message = format!("Timeout: Too large resource version: {asked}, current: {}", store.current);
    detailed(
        code,
        "Timeout",
        message,
        Details { causes, retry_after_seconds: reply.retry_after.seconds(), ..Details::default() },
    )
}

fn uid_mismatch(request: &RequestFacts<'_>, store: &StoreFacts<'_>) -> String {
    let key = [request.resource, request.namespace, request.name]
        .iter()
        .filter(|part| !part.is_empty())
        .fold("/registry".to_owned(), |key, part| format!("{key}/{part}"));
    format!(
        "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: \
         UID in precondition: {}, UID in object meta: {}",
        store.wanted_uid, store.uid
    )
}

fn apply_conflict(code: u16, manager: &str, field: &str) -> Status {
    let conflict = format!("conflict with \"{manager}\"");
    let message = format!("Apply failed with 1 conflict: {conflict}: {field}");
    let causes = vec![Cause { reason: "FieldManagerConflict".to_owned(), message: conflict, field: field.to_owned() }];
    detailed(code, "Conflict", message, Details { causes, ..Details::default() })
}

fn server_timeout(reply: &Reply, code: u16, request: &RequestFacts<'_>) -> Status {
    let message = format!(
        "The {} operation against {} could not be completed at this time, please try again.",
        request.verb,
        qualified(request.resource, request.group)
    );
    let details = Details {
        // The verb stands where the name belongs: so does the real server.
        name: request.verb.to_owned(),
        retry_after_seconds: reply.retry_after.seconds(),
        ..object_of(request)
    };
    detailed(code, "ServerTimeout", message, details)
}

fn internal(code: u16, why: &str) -> Status {
    let details = Details { causes: cause(why), ..Details::default() };
    detailed(code, "InternalError", format!("Internal error occurred: {why}"), details)
}

fn forbidden(request: &RequestFacts<'_>) -> String {
    let user = if request.user.is_empty() { "system:anonymous" } else { request.user };
    let what = qualified(request.resource, request.group);
    let named = if request.name.is_empty() { String::new() } else { format!(" \"{}\"", request.name) };
    let resource = if request.subresource.is_empty() {
        request.resource.to_owned()
    } else {
        format!("{}/{}", request.resource, request.subresource)
    };
    let place = if request.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", request.namespace)
    };
    format!(
        "{what}{named} is forbidden: User \"{user}\" cannot {} resource \"{resource}\" in API group \"{}\" {place}",
        request.verb, request.group
    )
}

/// A Status for a bare code, as client-go would make one up.
fn generic(code: u16, request: &RequestFacts<'_>, seconds: Option<u32>) -> Status {
    let (reason, message) = match code {
        401 => ("Unauthorized", "Unauthorized"),
        403 => ("Forbidden", "forbidden"),
        404 => ("NotFound", "the server could not find the requested resource"),
        409 => ("Conflict", "the server reported a conflict"),
        410 => ("Expired", "the resourceVersion is too old"),
        422 => ("Invalid", "the server rejected our request due to an error in our request"),
        429 => ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        500..=599 => ("InternalError", "an error on the server has prevented the request from succeeding"),
        _ => ("Unknown", "the server answered as the fault plan told it to"),
    };
    detailed(code, reason, message, Details { retry_after_seconds: seconds.filter(|s| *s > 0), ..object_of(request) })
}
