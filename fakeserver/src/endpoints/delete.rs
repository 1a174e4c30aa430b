//! DELETE of an object or a collection.

use super::context::{RequestContext, invalid_options};
use super::{list, respond};
use crate::registry::{Deleted, Object};
use axum::body::Body;
use bytes::Bytes;
use http::Response;
use rehearsal_apimachinery::options::{self, DeleteOptions};
use rehearsal_apimachinery::status::Status;

/// Deletes one object.
pub(crate) async fn delete(cx: &mut RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    let options = delete_options(cx).await?;
    let target = cx.target();
    let mut write = cx.write("", options.is_dry_run());
    if let Some(text) = target.orphan_warning(&options) {
        write.warnings.push(text);
    }
    let outcome = cx.core.registry.delete(&target, &options, &mut write).await;
    let warnings = write.warnings;
    cx.warnings.extend(warnings);
    let deleted = outcome?;
    cx.core.after_write(&cx.info).await;
    match deleted {
        Deleted::Pending(object) => {
            let accepted_code = if options.orphan_dependents == Some(false) { 202 } else { 200 };
            cx.object(&accepted, accepted_code, &object)
        }
        Deleted::Gone(object) if target.returns_object_on_delete() => cx.object(&accepted, 200, &object),
        Deleted::Gone(object) => Ok(gone(cx, &accepted, &object)),
    }
}

fn gone(cx: &RequestContext, accepted: &super::negotiate::Accepted, object: &Object) -> Response<Body> {
    let target = cx.target();
    let status = Status::deleted(&target.group_resource(), &target.name, &object.uid());
    let compact = Bytes::from(serde_json::to_vec(&status).unwrap_or_default());
    respond::encoded(&cx.headers, accepted, 200, compact)
}

/// Deletes what a list would find.
pub(crate) async fn delete_collection(cx: &mut RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    let options = delete_options(cx).await?;
    let query = list::list_query(cx, false)?;
    let mut write = cx.write("", options.is_dry_run());
    let outcome = cx.core.registry.delete_collection(&cx.collection_target(), &query, &options, &mut write).await;
    let warnings = write.warnings;
    cx.warnings.extend(warnings);
    let found = outcome?;
    cx.core.after_write(&cx.info).await;
    list::answer(cx, &accepted, &found)
}

/// Options come from the body if there is one, else from the query.
pub(crate) async fn delete_options(cx: &mut RequestContext) -> Result<DeleteOptions, Status> {
    let bytes = cx.read_body().await?;
    let options = if bytes.is_empty() {
        DeleteOptions::from_query(&cx.query).map_err(Status::bad_request)?
    } else {
        let media = super::negotiate::body_media(&cx.headers, true)?;
        let json = super::context::options_json(&bytes, media)?;
        DeleteOptions::from_json(&json).map_err(Status::bad_request)?
    };
    invalid_options("DeleteOptions", &options::validate_delete_options(&options))?;
    Ok(options)
}
