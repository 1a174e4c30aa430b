//! POST to a collection.

use super::context::{FieldValidation, RequestContext, invalid_options};
use axum::body::Body;
use http::Response;
use rehearsal_apimachinery::options::{self, CreateOptions};
use rehearsal_apimachinery::status::Status;

/// Creates the object of the body.
pub(crate) async fn create(cx: &mut RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    super::negotiate::body_media(&cx.headers, cx.protobuf())?;
    let bytes = cx.read_body().await?;
    let options = CreateOptions::from_query(&cx.query);
    invalid_options("CreateOptions", &options::validate_create_options(&options))?;
    let object = cx.decode(&bytes, &FieldValidation::parse(&options.field_validation))?;
    cx.core.check_escalation(cx, &object)?;
    let mut write = cx.write(&options.field_manager, options.is_dry_run());
    let outcome = cx.core.registry.create(&cx.collection_target(), object, &mut write).await;
    let warnings = write.warnings;
    cx.warnings.extend(warnings);
    let object = outcome?;
    cx.core.after_write(&cx.info).await;
    cx.object(&accepted, 201, &object)
}
