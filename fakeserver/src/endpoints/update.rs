//! PUT of an object or one of its subresources.

use super::context::{FieldValidation, RequestContext, invalid_options};
use crate::registry::{Change, Mode};
use axum::body::Body;
use http::Response;
use rehearsal_apimachinery::ObjectMeta;
use rehearsal_apimachinery::options::{self, UpdateOptions};
use rehearsal_apimachinery::status::Status;
use serde_json::Value;

/// Replaces the object by the body.
pub(crate) async fn update(cx: &mut RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    super::negotiate::body_media(&cx.headers, cx.protobuf())?;
    let bytes = cx.read_body().await?;
    let options = UpdateOptions::from_query(&cx.query);
    invalid_options("UpdateOptions", &options::validate_update_options(&options))?;
    let object = cx.decode(&bytes, &FieldValidation::parse(&options.field_validation))?;
    check_name(&object, &cx.request.name)?;
    cx.core.check_escalation(cx, &object)?;
    let mut write = cx.write(&options.field_manager, options.is_dry_run());
    let change = |_: Option<&Value>| Ok(Change::To(object.clone()));
    let outcome = cx.core.registry.update(&cx.target(), Mode::Replace, &mut write, &change).await;
    let warnings = write.warnings;
    cx.warnings.extend(warnings);
    let (object, created) = outcome?;
    cx.core.after_write(&cx.info).await;
    cx.object(&accepted, if created { 201 } else { 200 }, &object)
}

/// The name in the body must be the one of the URL.
pub(crate) fn check_name(object: &Value, url_name: &str) -> Result<(), Status> {
    match object.name() {
        "" => Err(Status::bad_request(format!(
            "the name of the object ({url_name} based on URL) was undeterminable: name must be provided"
        ))),
        name if name != url_name => Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({url_name})"
        ))),
        _ => Ok(()),
    }
}
