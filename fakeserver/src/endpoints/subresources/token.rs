//! `POST …/serviceaccounts/x/token`: a signed token for a service account.

use crate::endpoints::context::{FieldValidation, RequestContext, invalid_options};
use crate::endpoints::respond;
use crate::registry::Target;
use axum::body::Body;
use bytes::Bytes;
use http::Response;
use rehearsal_apimachinery::Catalog;
use rehearsal_apimachinery::codec::json;
use rehearsal_apimachinery::options::{self, CreateOptions};
use rehearsal_apimachinery::status::Status;

pub(super) async fn create(cx: &mut RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    let bytes = cx.read_body().await?;
    let options = CreateOptions::from_query(&cx.query);
    invalid_options("CreateOptions", &options::validate_create_options(&options))?;
    let mut request = cx.decode(&bytes, &FieldValidation::parse(&options.field_validation))?;
    let target = Target { subresource: String::new(), ..cx.target() };
    cx.core.registry.check_namespace(&target, &mut request)?;
    let mut request = cx.core.issue_token(&target.namespace, &target.name, request)?;
    let catalog = Catalog::builtin();
    let gvk = rehearsal_apimachinery::GroupVersionKind::new("authentication.k8s.io", "v1", "TokenRequest");
    let types = catalog.type_of(&gvk).map(|root| (&*catalog.types, root));
    if let Some((types, root)) = types {
        json::normalize(&mut request, types, root);
    }
    Ok(respond::encoded(&cx.headers, &accepted, 201, Bytes::from(json::encode(&request, types))))
}
