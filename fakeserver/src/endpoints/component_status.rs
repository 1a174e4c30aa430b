//! Component statuses: what the server says about the parts of a control plane, made up on every read.
//!
//! Counterpart: kubernetes `pkg/registry/core/componentstatus`. The store is the only part there is; scheduler and
//! controller manager are probed at their usual ports and found missing, as on a server that runs alone.

use super::context::RequestContext;
use super::list::list_query;
use super::negotiate::Transform;
use super::respond::{self, Asked};
use crate::registry::Object;
use axum::body::Body;
use bytes::Bytes;
use http::Response;
use rehearsal_apimachinery::codec::json;
use rehearsal_apimachinery::selector::FieldSelector;
use rehearsal_apimachinery::status::Status;
use rehearsal_apimachinery::{Catalog, GroupVersionKind, ObjectMeta as _};
use serde_json::{Value, json};

/// Reads one component.
pub(super) fn get(cx: &RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    let name = cx.request.name.as_str();
    let found = components().into_iter().find(|component| component.name() == name);
    let component = found.ok_or_else(|| Status::bare500(format!("Component not found: {name}")))?;
    cx.object(&accepted, 200, &Object::Value(component))
}

/// Lists the components. They have no labels and no resource version.
pub(super) fn list(cx: &RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    let query = list_query(cx, false)?;
    let mut found = components();
    found.retain(|c| query.labels.matches(|_| None) && named(&query.fields, c.name()));
    let metadata = json!({});
    let compact = if accepted.transform == Transform::None {
        for component in found.iter_mut().filter_map(Value::as_object_mut) {
            component.remove("kind");
            component.remove("apiVersion");
        }
        let list = json!({"kind": "ComponentStatusList", "apiVersion": "v1", "metadata": metadata, "items": found});
        let catalog = Catalog::builtin();
        let kind = GroupVersionKind::new("", "v1", "ComponentStatusList");
        Bytes::from(json::encode(&list, catalog.type_of(&kind).map(|root| (&*catalog.types, root))))
    } else {
        respond::transformed_list(cx, &accepted, &found, &metadata, Asked::List)?
    };
    Ok(respond::encoded(&cx.headers, &accepted, 200, compact))
}

fn named(fields: &FieldSelector, name: &str) -> bool {
    fields.matches(|field| Some(if field == "metadata.name" { name } else { "" }))
}

fn components() -> Vec<Value> {
    vec![component("controller-manager", Some(10257)), component("scheduler", Some(10259)), component("etcd-0", None)]
}

/// A component, missing at its port or healthy within the server.
fn component(name: &str, port: Option<u16>) -> Value {
    let (status, message) = match port {
        Some(port) => (
            "False",
            format!("Get \"https://127.0.0.1:{port}/healthz\": dial tcp 127.0.0.1:{port}: connect: connection refused"),
        ),
        None => ("True", "ok".to_owned()),
    };
    json!({
        "kind": "ComponentStatus",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "conditions": [{"type": "Healthy", "status": status, "message": message}],
    })
}
