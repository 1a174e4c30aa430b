//! Paths that are no resources: discovery, OpenAPI, health, version, metrics, keys.

use super::negotiate::{self, Accepted, Media, Offer, Transform};
use super::respond;
use crate::catalog::discovery;
use crate::handle::Core;
use crate::serve::Port;
use axum::body::Body;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, VARY,
};
use http::request::Parts;
use http::{HeaderMap, Method, Response};
use rehearsal_apimachinery::request_info::{Query, param};
use rehearsal_apimachinery::status::Status;
use serde::Serialize;
use std::sync::Arc;

/// What follows the media type of aggregated discovery.
const AGGREGATED: &str = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const OPENAPI_V2_PROTO: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Answers a non-resource request.
pub(crate) async fn handle(core: &Arc<Core>, parts: &Parts, query: &Query, _body: Body) -> Response<Body> {
    let path = parts.uri.path();
    if let Some(answer) = health(core, core.port_of(&parts.extensions), path, query) {
        return answer;
    }
    let trimmed = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
    let segments: Vec<&str> = trimmed.split('/').skip(1).collect();
    let answer = match segments.as_slice() {
        [""] if trimmed == "/" => index(core),
        ["version"] => version(core),
        ["metrics"] => metrics(core.access.metrics(core)),
        ["metrics", "slis"] => metrics(health_metrics()),
        ["openid", "v1", "jwks"] => public(respond::raw(200, "application/jwk-set+json", core.tokens.jwks())),
        [".well-known", "openid-configuration"] => {
            public(respond::raw(200, "application/json", core.tokens.openid_configuration(&core.url())))
        }
        ["openapi", "v2"] => openapi_v2(core, &parts.headers),
        ["openapi", "v3", ..] if !wants_json(&parts.headers) => empty(406),
        ["openapi", "v3"] if !path.ends_with('/') => openapi_v3_index(core),
        ["openapi", "v3", rest @ ..] => openapi_v3(core, &rest.join("/"), query),
        ["api"] => discovery_root(core, parts, query, true),
        ["apis"] => discovery_root(core, parts, query, false),
        ["api", version] => group_version(core, parts, query, "", version),
        ["apis", name] => group(core, parts, query, name),
        ["apis", group, version] => group_version(core, parts, query, group, version),
        _ => return respond::page_not_found(),
    };
    if parts.method == Method::GET || any_method(&segments) || answer.status() == http::StatusCode::NOT_FOUND {
        return answer;
    }
    respond::status(&Accepted::json(), &Status::method_not_allowed())
}

/// Paths served beside the REST routes do not look at the method.
fn any_method(segments: &[&str]) -> bool {
    matches!(segments, ["" | "metrics" | "openapi", ..] | ["apis"] | ["apis", _])
}

fn public(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

fn index(core: &Core) -> Response<Body> {
    pretty(&serde_json::json!({"paths": root_paths(core)}))
}

/// Everything below `/` that answers.
fn root_paths(core: &Core) -> Vec<String> {
    let table = core.registry.table();
    let fixed = [
        "/.well-known/openid-configuration",
        "/api",
        "/apis",
        "/apis/",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ];
    let mut paths: Vec<String> = fixed.map(str::to_owned).to_vec();
    for group in table.groups() {
        let prefix = if group.name.is_empty() { "/api".to_owned() } else { format!("/apis/{}", group.name) };
        paths.push(prefix.clone());
        paths.extend(group.versions.iter().map(|v| format!("{prefix}/{v}")));
    }
    paths.sort();
    paths.dedup();
    paths
}

fn version(core: &Core) -> Response<Body> {
    pretty(&core.version)
}

/// Two-space JSON in the members' own order.
fn pretty(value: &impl Serialize) -> Response<Body> {
    let compact = serde_json::to_vec(value).unwrap_or_default();
    respond::raw(200, "application/json", rehearsal_apimachinery::codec::json::to_pretty(&compact))
}

fn metrics(text: impl Into<Body>) -> Response<Body> {
    respond::raw(200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", text.into())
}

// === health ===

const CHECKS: [&str; 6] = [
    "ping",
    "log",
    "etcd",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "autoregister-completion",
];
const READY_CHECKS: [&str; 3] = ["etcd-readiness", "informer-sync", "shutdown"];

/// The checks as gauges: all of them pass while the server answers at all.
fn health_metrics() -> String {
    let name = "kubernetes_healthcheck";
    let head =
        format!("# HELP {name} [STABLE] This metric records the result of all healthchecks.\n# TYPE {name} gauge\n");
    let line = |kind: &str, check: &str| format!("{name}{{name={check:?},type={kind:?}}} 1\n");
    let kinds = [("healthz", &[][..]), ("livez", &[][..]), ("readyz", &READY_CHECKS[..])];
    let lines = kinds.iter().flat_map(|(kind, more)| CHECKS.iter().chain(*more).map(move |check| line(kind, check)));
    head + &lines.collect::<String>()
}

fn health(core: &Core, port: &Port, path: &str, query: &Query) -> Option<Response<Body>> {
    let (kind, rest) = ["healthz", "livez", "readyz"].iter().find_map(|kind| {
        let rest = path.strip_prefix('/')?.strip_prefix(kind)?;
        (rest.is_empty() || rest.starts_with('/')).then_some((*kind, rest.trim_matches('/')))
    })?;
    let checks: Vec<&str> =
        CHECKS.iter().chain(if kind == "readyz" { &READY_CHECKS[..] } else { &[] }).copied().collect();
    let failing = |check: &str| check == "shutdown" && core.is_stopping(port);
    if !rest.is_empty() {
        return Some(match checks.iter().find(|c| **c == rest) {
            None => respond::page_not_found(),
            Some(check) if failing(check) => respond::text(500, "internal server error: process is shutting down\n"),
            Some(_) => respond::text(200, "ok"),
        });
    }
    Some(health_summary(kind, &checks, query, failing))
}

fn health_summary(kind: &str, checks: &[&str], query: &Query, failing: impl Fn(&str) -> bool) -> Response<Body> {
    let excluded: Vec<&str> = query.iter().filter(|(k, _)| k == "exclude").map(|(_, v)| v.as_str()).collect();
    let mut lines = String::new();
    let mut failed = false;
    for check in checks {
        if excluded.contains(check) {
            lines.push_str(&format!("[+]{check} excluded: ok\n"));
        } else if failing(check) {
            failed = true;
            lines.push_str(&format!("[-]{check} failed: reason withheld\n"));
        } else {
            lines.push_str(&format!("[+]{check} ok\n"));
        }
    }
    let unknown: Vec<String> = excluded.iter().filter(|e| !checks.contains(e)).map(|e| format!("{e:?}")).collect();
    if !unknown.is_empty() {
        lines.push_str(&format!("warn: some health checks cannot be excluded: no matches for {}\n", unknown.join(",")));
    }
    if failed {
        return respond::text(500, format!("{lines}{kind} check failed\n"));
    }
    if param(query, "verbose").is_some() {
        return respond::text(200, format!("{lines}{kind} check passed\n"));
    }
    respond::text(200, "ok")
}

// === discovery ===

fn discovery_root(core: &Core, parts: &Parts, query: &Query, core_group: bool) -> Response<Body> {
    let table = core.registry.table();
    let accept_header = header(&parts.headers, "accept");
    match wants_aggregated(&accept_header) {
        Some(Some(media)) => {
            let list =
                if core_group { discovery::aggregated_core(&table) } else { discovery::aggregated_groups(&table) };
            let compact = Bytes::from(serde_json::to_vec(&list).unwrap_or_default());
            let accepted = Accepted { media, ..Accepted::json() };
            let answer = respond::encoded(&parts.headers, &accepted, 200, compact);
            return cached(parts, answer, &format!("{}{AGGREGATED}", media.content_type()), &discovery::etag(&list));
        }
        Some(None) if !accept_header.contains("application/json,") && accept_header.contains("as=") => {
            let types = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
            let text = format!("only the following media types are accepted: {types}");
            let status = Status::failure(406, rehearsal_apimachinery::StatusReason::NotAcceptable, text);
            return respond::status(&Accepted::json(), &status);
        }
        _ => {}
    }
    if core_group {
        document(parts, query, &discovery::api_versions(&table, &core.address()))
    } else {
        document(parts, query, &discovery::group_list(&table))
    }
}

/// The media type of aggregated discovery, where the first clause that can be served asks for it; `None` without any
/// `as=`, `Some(None)` where nothing can be served.
fn wants_aggregated(accept_header: &str) -> Option<Option<Media>> {
    if !accept_header.contains("as=APIGroupDiscoveryList") {
        return None;
    }
    for clause in accept_header.split(',') {
        let parts: Vec<&str> = clause.split(';').map(str::trim).collect();
        let forms = [Media::Json, Media::Yaml, Media::Protobuf];
        let Some(media) = forms.into_iter().find(|m| parts.first() == Some(&m.content_type())) else { continue };
        if !parts.contains(&"as=APIGroupDiscoveryList") {
            return None;
        }
        if parts.contains(&"v=v2") && parts.contains(&"g=apidiscovery.k8s.io") {
            return Some(Some(media));
        }
    }
    Some(None)
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>().join(",")
}

/// An answer with an ETag; 304 where the client has it.
fn cached(parts: &Parts, answer: Response<Body>, content_type: &str, etag: &str) -> Response<Body> {
    let known = parts.headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok()) == Some(etag);
    let mut response = if known { empty(304) } else { answer };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(content_type)
        && !known
    {
        headers.insert(CONTENT_TYPE, value);
    }
    if let Ok(value) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, value);
    }
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}

fn group(core: &Core, parts: &Parts, query: &Query, name: &str) -> Response<Body> {
    match discovery::group(&core.registry.table(), name) {
        Some(value) => document(parts, query, &value),
        None => respond::page_not_found(),
    }
}

fn group_version(core: &Core, parts: &Parts, query: &Query, group: &str, version: &str) -> Response<Body> {
    let table = core.registry.table();
    match discovery::resource_list(&table, group, version) {
        Some(value) => document(parts, query, &value),
        None if group.is_empty() || table.is_builtin_group(group) => {
            respond::status(&Accepted::json(), &Status::no_such_resource())
        }
        None => respond::page_not_found(),
    }
}

/// A discovery document in the negotiated form.
fn document(parts: &Parts, query: &Query, value: &impl Serialize) -> Response<Body> {
    let offer = Offer { protobuf: true, transforms: false, stream: false, custom: false };
    match negotiate::accept(&parts.headers, query, offer) {
        Ok(accepted) => {
            let accepted = Accepted { transform: Transform::None, ..accepted };
            let json = if accepted.media == Media::Protobuf { with_version(value) } else { serde_json::to_vec(value) };
            respond::encoded(&parts.headers, &accepted, 200, Bytes::from(json.unwrap_or_default()))
        }
        Err(status) => respond::status(&Accepted { pretty: true, ..Accepted::json() }, &status),
    }
}

/// The core group's documents leave out in JSON which version of the meta types they are; a protobuf envelope says it.
fn with_version(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    if let Some(members) = value.as_object_mut() {
        members.entry("apiVersion").or_insert_with(|| "v1".into());
    }
    serde_json::to_vec(&value)
}

// === OpenAPI ===

fn openapi_v2(core: &Core, headers: &HeaderMap) -> Response<Body> {
    let accept = header(headers, "accept");
    let docs = core.openapi();
    let protobuf = accept.contains("com.github.proto-openapi.spec.v2");
    if !protobuf && !accept.is_empty() && !accept.contains("json") && !accept.contains("*/*") {
        return respond::raw(406, "", Body::empty());
    }
    let document = if protobuf { docs.v2_proto() } else { docs.v2_json() };
    let (bytes, etag) = (document.bytes, document.hash);
    let content_type = if protobuf { OPENAPI_V2_PROTO } else { "application/json" };
    let quoted = format!("{etag:?}");
    let known = headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok()) == Some(quoted.as_str());
    let mut response = if known {
        let mut r = Response::new(Body::empty());
        *r.status_mut() = http::StatusCode::NOT_MODIFIED;
        r
    } else {
        respond::compressed(headers, content_type, bytes)
    };
    if let Ok(value) = HeaderValue::from_str(&quoted) {
        response.headers_mut().insert(ETAG, value);
    }
    let modified = core.started.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(value) = HeaderValue::from_str(&modified) {
        response.headers_mut().insert(LAST_MODIFIED, value);
    }
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}

/// Whether a client takes JSON, the only form of OpenAPI v3 here.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = header(headers, "accept");
    let mut types = accept.split(',').map(|clause| clause.split(';').next().unwrap_or_default().trim());
    accept.is_empty() || types.any(|t| matches!(t, "application/json" | "application/*" | "*/*"))
}

fn openapi_v3_index(core: &Core) -> Response<Body> {
    respond::raw(200, "text/plain; charset=utf-8", Body::from(core.openapi().v3_index().bytes))
}

fn openapi_v3(core: &Core, path: &str, query: &Query) -> Response<Body> {
    let Some(document) = core.openapi().v3_document(path) else {
        return empty(404);
    };
    let (bytes, hash) = (document.bytes, document.hash);
    let mut response = respond::raw(200, "application/json", Body::from(bytes));
    match param(query, "hash") {
        None => {}
        Some(given) if given == hash => {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
            let year = jiff::SignedDuration::from_hours(24 * 365);
            let expires = (core.registry.clock().now() + year).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            if let Ok(value) = HeaderValue::from_str(&expires) {
                response.headers_mut().insert(EXPIRES, value);
            }
        }
        Some(_) => {
            let mut moved = empty(301);
            if let Ok(value) = HeaderValue::from_str(&format!("/openapi/v3/{path}?hash={hash}")) {
                moved.headers_mut().insert(LOCATION, value);
            }
            return moved;
        }
    }
    if let Ok(value) = HeaderValue::from_str(&format!("\"{hash}\"")) {
        response.headers_mut().insert(ETAG, value);
    }
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}

fn empty(code: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::NOT_FOUND);
    response
}
