//! Requests below an object: status, scale, binding, eviction, tokens, logs and connections.
//!
//! `status`, `finalize`, `approval`, `ephemeralcontainers` and `resize` are writes of the object itself through a
//! narrower door; the registry and the kind's strategy know what each door lets through.

pub(super) mod binding;
mod connect;
mod eviction;
mod log;
pub(super) mod review;
mod scale;
mod scale_owners;
mod token;

pub use scale::ScalePaths;

use super::context::RequestContext;
use super::{get, patch, update};
use axum::body::Body;
use http::{Method, Response};
use rehearsal_apimachinery::status::Status;

/// Picks the handler of a subresource request.
pub(super) async fn route(cx: &mut RequestContext, method: &Method) -> Result<Response<Body>, Status> {
    let name = cx.request.subresource.clone();
    let Some(sub) = cx.info.subresource(&name).cloned() else {
        return Err(unknown(cx));
    };
    if name == "proxy" {
        return connect::proxy(cx);
    }
    if !cx.request.rest.is_empty() {
        return Err(Status::no_such_resource());
    }
    let known = match *method {
        Method::HEAD | Method::OPTIONS => false,
        _ => sub.verbs.contains(&cx.request.verb),
    };
    if !known {
        return Err(Status::method_not_allowed());
    }
    match (name.as_str(), cx.request.verb.as_str()) {
        ("scale", "get") => scale::get(cx).await,
        ("scale", "update") => scale::update(cx).await,
        ("scale", _) => scale::patch(cx).await,
        ("binding", _) => binding::create(cx).await,
        ("eviction", _) => eviction::create(cx).await,
        ("token", _) => token::create(cx).await,
        ("log", _) => log::get(cx).await,
        ("exec" | "attach" | "portforward", _) => connect::upgrade(cx).await,
        (_, "get") => get::get(cx).await,
        (_, "update") => update::update(cx).await,
        (_, "patch") => patch::patch(cx).await,
        _ => Err(Status::method_not_allowed()),
    }
}

/// Built-in kinds have no such route; a custom resource answers that the object is not found.
fn unknown(cx: &RequestContext) -> Status {
    if cx.info.custom { cx.target().not_found() } else { Status::no_such_resource() }
}
