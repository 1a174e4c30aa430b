//! GET of one object.

use super::context::RequestContext;
use axum::body::Body;
use http::Response;
use rehearsal_apimachinery::request_info::param;
use rehearsal_apimachinery::status::Status;

/// Answers with the object in the negotiated form.
pub(crate) async fn get(cx: &RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    let version = param(&cx.query, "resourceVersion").unwrap_or_default();
    let object = cx.reader().get(&cx.target(), version).await?;
    cx.object(&accepted, 200, &object)
}
