//! Reviews: objects that are posted, judged and handed back, and stored nowhere.

use crate::endpoints::context::{FieldValidation, RequestContext, invalid_options};
use crate::endpoints::respond;
use axum::body::Body;
use bytes::Bytes;
use http::Response;
use rehearsal_apimachinery::codec::json;
use rehearsal_apimachinery::options::{self, CreateOptions};
use rehearsal_apimachinery::status::Status;

pub(in crate::endpoints) async fn review(cx: &mut RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    let bytes = cx.read_body().await?;
    let options = CreateOptions::from_query(&cx.query);
    invalid_options("CreateOptions", &options::validate_create_options(&options))?;
    let mut object = cx.decode(&bytes, &FieldValidation::parse(&options.field_validation))?;
    cx.core.registry.check_namespace(&cx.collection_target(), &mut object)?;
    cx.core.review(&cx.info.kind, &mut object, &cx.user, &cx.request.namespace)?;
    let types = cx.info.root.map(|root| (&*cx.info.types, root));
    if let Some((types, root)) = types {
        json::normalize(&mut object, types, root);
    }
    Ok(respond::encoded(&cx.headers, &accepted, 201, Bytes::from(json::encode(&object, types))))
}
