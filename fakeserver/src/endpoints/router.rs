//! A request's way through the server, top to bottom: read it, identify the caller, authorize, route, answer.
//!
//! Counterpart: `DefaultBuildHandlerChain` and the installers of `endpoints/installer.go`. The order of the steps is
//! the real server's, so that a refusal of an earlier step hides all that a later one would have said.

use super::context::RequestContext;
use super::negotiate::Accepted;
use super::{
    component_status, create, delete, get, list, non_resource, patch, respond, subresources, update, warnings, watch,
};
use crate::auth::RequestAttributes;
use crate::catalog::ResourceInfo;
use crate::faults::{self, ServerHost, View, ViewedStorage};
use crate::front::Beneath;
use crate::handle::Core;
use crate::registry::Registry;
use crate::serve::Port;
use crate::strategies::UserInfo;
use axum::body::Body;
use http::header::{CACHE_CONTROL, HeaderValue};
use http::{Method, Request, Response};
use parking_lot::Mutex;
use rehearsal_apimachinery::request_info::{RequestInfo, param, parse_query};
use rehearsal_apimachinery::status::Status;
use rehearsal_fault_wire::{Describe, FaultLayer, Foreign, Line, Record, WriteFaults};
use std::sync::Arc;
use tower::{Layer as _, Service as _};

/// What is known of a request by its connection; put there by the listener.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Of the client, in DER.
    pub(crate) certificate: Option<Arc<[u8]>>,
    pub(crate) line: Line,
    pub(crate) port: Arc<Port>,
}

/// Answers any request.
pub(crate) async fn dispatch(core: Arc<Core>, request: Request<Body>) -> Response<Body> {
    let audit_id = request.headers().get("audit-id").cloned();
    let started = core.access.start(&request);
    let line = request.extensions().get::<Peer>().map(|peer| peer.line.clone());
    let mut response = if core.port_of(request.extensions()).shutdown.refuses(&request) {
        shutting_down(line.as_ref())
    } else if core.faults.is_armed() {
        faulted(&core, request, line.clone()).await
    } else {
        handle(&core, request).await
    };
    if let Some(describe) = response.extensions_mut().remove::<Describe>() {
        let layer = FaultLayer::new(core.faults.clone(), ServerHost(Arc::downgrade(&core)));
        let record = Record::new();
        response = response.map(|body| Body::new(layer.follow(body, describe, line, record.clone())));
        response.extensions_mut().insert(record);
    }
    if response.extensions().get::<Foreign>().is_some() {
        core.access.finish(started, &response);
        return response;
    }
    let headers = response.headers_mut();
    let audit_id = audit_id.or_else(|| HeaderValue::from_str(&core.registry.ids().uid()).ok());
    if let Some(id) = audit_id {
        headers.insert("audit-id", id);
    }
    if let Some(date) = core.registry.clock().skewed_date().and_then(|date| HeaderValue::from_str(&date).ok()) {
        headers.insert(http::header::DATE, date);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    core.access.finish(started, &response);
    response
}

/// What a server says that shuts down and asks to be retried elsewhere.
fn shutting_down(line: Option<&Line>) -> Response<Body> {
    if let Some(line) = line {
        line.go_away();
    }
    let reply = rehearsal_faults::Reply::new(rehearsal_faults::Case::ShutdownRetry);
    let (request, store) = (rehearsal_faults::RequestFacts::default(), rehearsal_faults::StoreFacts::default());
    rehearsal_fault_wire::response(reply.render(&request, &store)).map(Body::from)
}

/// The same with faults around it.
async fn faulted(core: &Arc<Core>, mut request: Request<Body>, line: Option<Line>) -> Response<Body> {
    if let Some(line) = line {
        request.extensions_mut().insert(line);
    }
    let handler = core.clone();
    let service = tower::service_fn(move |mut request: Request<Body>| {
        let core = handler.clone();
        async move {
            let write = request.extensions_mut().remove::<WriteFaults>();
            let beneath = request.extensions().get::<Beneath>().cloned();
            let answer = faults::scoped(write, handle(&core, request)).await;
            Ok::<_, std::convert::Infallible>(match beneath {
                Some(beneath) => beneath.see(answer).await,
                None => answer,
            })
        }
    });
    let mut service = FaultLayer::new(core.faults.clone(), ServerHost(Arc::downgrade(core))).layer(service);
    match service.call(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

async fn handle(core: &Arc<Core>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let query = parse_query(parts.uri.query().unwrap_or_default());
    let path = parts.uri.path();
    if path.starts_with("/_rehearsal/") {
        return super::admin::handle(core, &parts, &query, body).await;
    }
    let Ok(info) = RequestInfo::parse(parts.method.as_str(), path, &query) else {
        let text = format!(
            "Internal Server Error: {path:?}: failed to create RequestInfo: unable to determine kind and namespace from url, {path}\n"
        );
        return respond::text(500, text);
    };
    if info.verb != "watch"
        && let Err(status) = check_timeout(param(&query, "timeout"))
    {
        return respond::status(&Accepted::json(), &status);
    }
    let peer = parts.extensions.get::<Peer>().and_then(|peer| peer.certificate.clone());
    let user = match core.identify(&parts.headers, peer.as_deref(), &info, &query) {
        Ok(user) => user,
        Err(status) => return respond::status(&error_form(&parts.headers, &query), &status),
    };
    if let Err(status) = core.authorize(&attributes(&user, &info, &query)) {
        return with_flow(core, respond::status(&error_form(&parts.headers, &query), &status));
    }
    if !info.is_resource {
        return with_flow(core, non_resource::handle(core, &parts, &query, body).await);
    }
    let row = core.registry.table().lookup(&info.group, &info.version, &info.resource);
    let Some(row) = row.filter(|row| !info.malformed && !is_misplaced(row, &info)) else {
        return with_flow(core, unrouted(core, &info, &parts.headers, &query));
    };
    let viewed = parts.extensions.get::<View>().and_then(|view| viewed(core, view, &info, &query));
    let mut cx = RequestContext {
        core: core.clone(),
        port: core.port_of(&parts.extensions).clone(),
        request: info,
        info: row,
        headers: parts.headers,
        query,
        user,
        body: Mutex::new(Some(body)),
        warnings: Vec::new(),
        viewed,
    };
    let outcome = route(&mut cx, &parts.method).await;
    let mut response = match outcome {
        Ok(response) => response,
        Err(status) => respond::status(&error_form(&cx.headers, &cx.query), &status),
    };
    if let Some(text) = cx.info.deprecated.clone() {
        cx.warnings.insert(0, text);
    }
    warnings::add(&mut response, &cx.warnings);
    with_flow(core, response)
}

/// The registry as a view shows it, for the requests that allow a view: watches, and reads that ask for no more than a
/// version of the cache.
fn viewed(
    core: &Core,
    view: &View,
    info: &RequestInfo,
    query: &rehearsal_apimachinery::request_info::Query,
) -> Option<Registry> {
    let version = param(query, "resourceVersion").unwrap_or_default();
    let exact = param(query, "resourceVersionMatch") == Some("Exact");
    let allows = match info.verb.as_str() {
        "watch" => !view.catches_up || version == "0",
        "get" | "list" => !version.is_empty() && !exact,
        _ => false,
    };
    let (base, memory) = (core.registry.storage().clone(), core.memory.clone());
    allows.then(|| core.registry.over(Arc::new(ViewedStorage { base, memory, view: view.clone() })))
}

/// Errors are written in the form the client asked for, where that can be told.
fn error_form(headers: &http::HeaderMap, query: &rehearsal_apimachinery::request_info::Query) -> Accepted {
    let offer = super::negotiate::Offer { protobuf: true, transforms: true, stream: false, custom: true };
    match super::negotiate::accept(headers, query, offer) {
        Ok(accepted) => Accepted { transform: super::negotiate::Transform::None, ..accepted },
        Err(_) => Accepted { pretty: true, ..Accepted::json() },
    }
}

/// `timeout` must be a Go duration.
fn check_timeout(text: Option<&str>) -> Result<(), Status> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(()) };
    match rehearsal_apimachinery::time::parse_duration(text) {
        Ok(_) => Ok(()),
        Err(e) => Err(Status::bad_request(format!("invalid timeout specified in the request URL - {e}"))),
    }
}

/// Headers that tell which flow schema and priority level took the request.
fn with_flow(core: &Core, mut response: Response<Body>) -> Response<Body> {
    if response.status() != http::StatusCode::UNAUTHORIZED {
        for (name, uid) in [
            ("x-kubernetes-pf-flowschema-uid", &core.flow_schema_uid),
            ("x-kubernetes-pf-prioritylevel-uid", &core.priority_level_uid),
        ] {
            if let Ok(value) = HeaderValue::from_str(uid) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    response
}

pub(crate) fn attributes(
    user: &UserInfo,
    info: &RequestInfo,
    query: &rehearsal_apimachinery::request_info::Query,
) -> RequestAttributes {
    RequestAttributes {
        user: user.clone(),
        verb: info.verb.clone(),
        group: info.group.clone(),
        version: info.version.clone(),
        resource: info.resource.clone(),
        subresource: info.subresource.clone(),
        namespace: info.namespace.clone(),
        name: info.name.clone(),
        path: info.path.clone(),
        is_resource: info.is_resource,
        field_selector: param(query, "fieldSelector").map(str::to_owned).filter(|_| selects(info)),
        label_selector: param(query, "labelSelector").map(str::to_owned).filter(|_| selects(info)),
    }
}

/// Selectors are shown to the authorizer for these verbs only.
fn selects(info: &RequestInfo) -> bool {
    matches!(info.verb.as_str(), "list" | "watch" | "deletecollection")
}

/// 404 for a resource path that leads nowhere: a Status below built-in groups, plain text elsewhere.
fn unrouted(
    core: &Core,
    info: &RequestInfo,
    headers: &http::HeaderMap,
    query: &rehearsal_apimachinery::request_info::Query,
) -> Response<Body> {
    let table = core.registry.table();
    if info.group.is_empty() && info.path.starts_with("/api/") || table.is_builtin_group(&info.group) {
        return respond::status(&error_form(headers, query), &Status::no_such_resource());
    }
    respond::page_not_found()
}

/// Picks the handler: by subresource, then by verb.
async fn route(cx: &mut RequestContext, method: &Method) -> Result<Response<Body>, Status> {
    check_scope(cx)?;
    if !cx.request.subresource.is_empty() {
        return subresources::route(cx, method).await;
    }
    let only_get = cx.request.watch_path && *method != Method::GET;
    if *method == Method::HEAD || *method == Method::OPTIONS || only_get {
        return Err(Status::method_not_allowed());
    }
    if cx.info.is_review() && cx.request.verb == "create" {
        return subresources::review::review(cx).await;
    }
    let verb = cx.request.verb.clone();
    // Whether a kind can be watched is the watch handler's question: its refusal has words of its own.
    if !offered(&cx.info, &verb) && verb != "watch" {
        return Err(Status::method_not_allowed());
    }
    match verb.as_str() {
        "get" if cx.info.kind == "ComponentStatus" => component_status::get(cx),
        "list" if cx.info.kind == "ComponentStatus" => component_status::list(cx),
        "get" => {
            check_path_name(&cx.request.name)?;
            get::get(cx).await
        }
        "list" => list::list(cx).await,
        "watch" => watch::watch(cx).await,
        "create" if cx.info.namespaced && cx.request.namespace.is_empty() => Err(Status::method_not_allowed()),
        "create" if !cx.request.name.is_empty() => Err(Status::method_not_allowed()),
        "create" if cx.info.kind == "Binding" => subresources::binding::create(cx).await,
        "create" => create::create(cx).await,
        "update" => update::update(cx).await,
        "patch" => patch::patch(cx).await,
        "delete" => delete::delete(cx).await,
        "deletecollection" if cx.info.namespaced && cx.request.namespace.is_empty() => {
            Err(Status::method_not_allowed())
        }
        "deletecollection" => delete::delete_collection(cx).await,
        _ => Err(Status::method_not_allowed()),
    }
}

/// A terminating custom resource does everything that an established one does, but create.
fn offered(info: &ResourceInfo, verb: &str) -> bool {
    if info.custom { ResourceInfo::CUSTOM_VERBS.contains(&verb) } else { info.has_verb(verb) }
}

/// Whether a custom resource is not served at this URL because of its scope.
fn is_misplaced(row: &ResourceInfo, request: &RequestInfo) -> bool {
    let across = matches!(request.verb.as_str(), "list" | "watch");
    row.custom
        && match (row.namespaced, request.namespace.is_empty()) {
            (false, false) => true,
            (true, true) => !across,
            _ => false,
        }
}

/// Collections answer PUT and PATCH with 405; a namespaced object without a namespace leads nowhere.
fn check_scope(cx: &RequestContext) -> Result<(), Status> {
    let request = &cx.request;
    let on_collection = request.name.is_empty() || matches!(request.verb.as_str(), "list" | "deletecollection");
    if !on_collection && cx.info.namespaced && request.namespace.is_empty() && request.verb != "watch" {
        return Err(Status::no_such_resource());
    }
    if !cx.info.namespaced && !request.namespace.is_empty() && request.resource != "namespaces" {
        return Err(Status::no_such_resource());
    }
    if on_collection && matches!(request.verb.as_str(), "update" | "patch") {
        return Err(Status::method_not_allowed());
    }
    Ok(())
}

/// 400 for names that no path segment may have.
pub(crate) fn check_path_name(name: &str) -> Result<(), Status> {
    let why = match name {
        "." | ".." => format!("may not be '{name}'"),
        n if n.contains('%') => "may not contain '%'".to_owned(),
        _ => return Ok(()),
    };
    Err(Status::bad_request(format!("Name parameter invalid: {name:?}: {why}")))
}
