//! `POST …/pods/x/binding` and the older `POST …/bindings`: puts a pod on a node.

use crate::endpoints::context::{FieldValidation, RequestContext, invalid_options};
use crate::endpoints::respond;
use crate::registry::{Change, Mode, Target};
use crate::strategies::binding::apply_binding;
use axum::body::Body;
use bytes::Bytes;
use http::Response;
use rehearsal_apimachinery::ObjectMeta;
use rehearsal_apimachinery::options::{self, CreateOptions};
use rehearsal_apimachinery::status::Status;
use serde_json::Value;

pub(in crate::endpoints) async fn create(cx: &mut RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    let bytes = cx.read_body().await?;
    let options = CreateOptions::from_query(&cx.query);
    invalid_options("CreateOptions", &options::validate_create_options(&options))?;
    let mut binding = cx.decode(&bytes, &FieldValidation::parse(&options.field_validation))?;
    cx.core.registry.check_namespace(&cx.target(), &mut binding)?;
    let pods = cx.core.registry.table().lookup("", "v1", "pods").ok_or_else(Status::no_such_resource)?;
    let by_url = !cx.request.subresource.is_empty();
    let name = if by_url { cx.request.name.clone() } else { binding.name().to_owned() };
    if by_url && binding.name() != name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    let target = Target { info: pods, namespace: cx.request.namespace.clone(), name, subresource: "binding".into() };
    let now = cx.core.registry.clock().now();
    let mut write = cx.write(&options.field_manager, options.is_dry_run());
    let change = |live: Option<&Value>| {
        let mut pod = live.cloned().ok_or_else(|| target.not_found())?;
        apply_binding(&mut pod, &binding, now)?;
        Ok(Change::To(pod))
    };
    let outcome = cx.core.registry.update(&target, Mode::Direct, &mut write, &change).await;
    let warnings = write.warnings;
    cx.warnings.extend(warnings);
    outcome?;
    let compact = Bytes::from(serde_json::to_vec(&Status::success(201)).unwrap_or_default());
    Ok(respond::encoded(&cx.headers, &accepted, 201, compact))
}
