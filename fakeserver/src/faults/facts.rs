//! What rules may look at in a request, from its URL, headers and body.

use crate::endpoints::context::RequestContext;
use axum::body::{Body, Bytes};
use http::header::{AUTHORIZATION, HeaderName, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt as _, Limited};
use rehearsal_apimachinery::Catalog;
use rehearsal_apimachinery::codec::protobuf;
use rehearsal_apimachinery::request_info::{Query, RequestInfo, param, parse_query};
use rehearsal_fault_wire::{Describe, Facts, Line};
use rehearsal_faults::Protocol;
use serde_json::Value;
use std::sync::Arc;

/// The header in which a request names its lane.
const LANE: &str = "x-rehearsal-lane";
const LANE_NAME: HeaderName = HeaderName::from_static(LANE);
/// Longest body that is looked into, in bytes: what is longer is refused anyway.
const MAX_BODY: usize = crate::endpoints::context::MAX_BODY;

/// The facts of a request whose body has not been read.
pub(crate) fn describe(parts: &Parts, user: &str) -> Facts {
    let query = parse_query(parts.uri.query().unwrap_or_default());
    let path = parts.uri.path();
    let info = RequestInfo::parse(parts.method.as_str(), path, &query).unwrap_or_default();
    let mut facts = of_info(&info, &parts.headers, &query, user);
    parts.method.as_str().clone_into(&mut facts.method);
    path.clone_into(&mut facts.path);
    facts.protocol = if parts.version == Version::HTTP_2 { Protocol::Http2 } else { Protocol::Http1 };
    facts.headers = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    if let Some(line) = parts.extensions.get::<Line>() {
        facts.connection = line.ordinal();
        line.lane().clone_into(&mut facts.listener);
        facts.stream = line.next_request();
    }
    facts
}

/// Tells the facts of a watch that has been routed. Keeps what the path does not say, and no headers but those by which
/// lanes are told.
pub(crate) fn watch_facts(cx: &RequestContext, protobuf: bool) -> Describe {
    let path = cx.request.path.clone().into_boxed_str();
    let header = |name: &str| cx.headers.get(name).cloned();
    let headers = [USER_AGENT.as_str(), AUTHORIZATION.as_str(), LANE].map(header);
    let user = cx.user.name.clone().into_boxed_str();
    let name = cx.request.name.clone().into_boxed_str();
    let version = param(&cx.query, "resourceVersion").unwrap_or_default().to_owned().into_boxed_str();
    Arc::new(move || {
        let query: Query = vec![("resourceVersion".to_owned(), version.to_string())];
        let info = RequestInfo::parse("GET", &path, &query).unwrap_or_default();
        let info = RequestInfo { verb: "watch".to_owned(), name: name.to_string(), ..info };
        let [agent, authorization, lane] = &headers;
        let mut known = HeaderMap::new();
        for (name, value) in [(USER_AGENT, agent), (AUTHORIZATION, authorization), (LANE_NAME, lane)] {
            known.extend(value.clone().map(|value| (name, value)));
        }
        let facts = of_info(&info, &known, &query, &user);
        Facts { method: "GET".to_owned(), path: path.to_string(), protobuf, ..facts }
    })
}

fn of_info(info: &RequestInfo, headers: &HeaderMap, query: &Query, user: &str) -> Facts {
    let header = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok()).unwrap_or_default();
    let token = header(AUTHORIZATION.as_str()).strip_prefix("Bearer ").map(str::to_owned);
    let text = |key| param(query, key).unwrap_or_default().to_owned();
    Facts {
        verb: info.verb.clone(),
        group: info.group.clone(),
        version: info.version.clone(),
        resource: info.resource.clone(),
        subresource: info.subresource.clone(),
        namespace: info.namespace.clone(),
        name: info.name.clone(),
        user: user.to_owned(),
        user_agent: header(USER_AGENT.as_str()).to_owned(),
        resource_version: text("resourceVersion"),
        continue_token: text("continue"),
        dry_run: query.iter().any(|(key, value)| key == "dryRun" && value == "All"),
        credentials: token.into_iter().chain(Some(user.to_owned()).filter(|user| !user.is_empty())).collect(),
        lane: header(LANE).to_owned(),
        ..Facts::default()
    }
}

/// Reads the body of a write that carries an object, for its name and the conditions on it.
pub(crate) async fn with_body(mut facts: Facts, request: Request<Body>) -> (Facts, Request<Body>) {
    if !matches!(facts.verb.as_str(), "create" | "update") {
        return (facts, request);
    }
    let (parts, body) = request.into_parts();
    let read = Limited::new(body, MAX_BODY).collect().await;
    let Ok(bytes) = read.map(http_body_util::Collected::to_bytes) else {
        // Too long, or cut: the handler sees a body that is too long either way.
        let too_long = Body::from(vec![b' '; MAX_BODY + 1]);
        return (facts, Request::from_parts(parts, too_long));
    };
    if let Some(object) = object(&bytes) {
        if facts.name.is_empty() {
            let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            name.clone_into(&mut facts.name);
        }
        facts.object = Some(Arc::new(object));
    }
    (facts, Request::from_parts(parts, Body::from(bytes)))
}

fn object(bytes: &Bytes) -> Option<Value> {
    if bytes.starts_with(b"k8s\0") {
        return protobuf::decode_object(bytes, Catalog::builtin()).ok();
    }
    serde_json::from_slice(bytes).ok().filter(Value::is_object)
}
