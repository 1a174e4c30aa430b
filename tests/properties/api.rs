//! A server and the requests of the properties: config maps of one namespace, with short names and few labels.

use axum::body::Body;
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use rehearsal::FakeServer;
use serde_json::{Value, json};

/// The collection that all properties write to.
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Runs a case on a runtime of its own.
pub(crate) fn run<F: Future>(case: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(case)
}

/// A server with nothing in it.
pub(crate) async fn server() -> FakeServer {
    FakeServer::builder().start().await.unwrap()
}

/// Code and body of an answer.
pub(crate) async fn call(server: &FakeServer, method: &str, path: &str, media: &str, body: &Value) -> (u16, Value) {
    let request = http::Request::builder().method(method).uri(path).header("content-type", media);
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let answer = server.call(request.body(body).unwrap()).await;
    let code = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap())
}

pub(crate) async fn get(server: &FakeServer, path: &str) -> (u16, Value) {
    call(server, "GET", path, "application/json", &Value::Null).await
}

/// All config maps, and the revision of the list.
pub(crate) async fn list(server: &FakeServer) -> (Vec<Value>, u64) {
    let (code, list) = get(server, MAPS).await;
    assert_eq!(code, 200, "{list}");
    (items(&list), revision(&list))
}

/// The objects of a list.
pub(crate) fn items(list: &Value) -> Vec<Value> {
    list["items"].as_array().cloned().unwrap_or_default()
}

/// The `resourceVersion` of an object or list.
pub(crate) fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default().parse().unwrap()
}

pub(crate) fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// One write.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Create(u8, u8),
    /// With the revision the writer has seen last, or one long gone.
    Update(u8, u8, bool),
    Patch(u8, u8),
    Delete(u8),
    /// Another collection, so that revisions pass by.
    Elsewhere,
}

/// Writes to six names with four values.
pub(crate) fn writes(most: usize) -> impl Strategy<Value = Vec<Write>> {
    let (name, value) = (0..6u8, 0..4u8);
    let one = prop_oneof![
        3 => (name.clone(), value.clone()).prop_map(|(n, v)| Write::Create(n, v)),
        3 => (name.clone(), value.clone(), any::<bool>()).prop_map(|(n, v, stale)| Write::Update(n, v, stale)),
        3 => (name.clone(), value).prop_map(|(n, v)| Write::Patch(n, v)),
        2 => name.prop_map(Write::Delete),
        1 => Just(Write::Elsewhere),
    ];
    proptest::collection::vec(one, 0..most)
}

/// The config map of a name with a value, as label and as data.
pub(crate) fn map(n: u8, value: u8) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("m{n}"), "labels": {"v": value.to_string()}},
           "data": {"v": value.to_string()}})
}

pub(crate) fn path(n: u8) -> String {
    format!("{MAPS}/m{n}")
}

/// Makes a write, at the present revision where one is asked for.
pub(crate) async fn write(server: &FakeServer, write: &Write) -> (u16, Value) {
    const JSON: &str = "application/json";
    match write {
        Write::Create(n, v) => call(server, "POST", MAPS, JSON, &map(*n, *v)).await,
        Write::Update(n, v, stale) => {
            let (code, seen) = get(server, &path(*n)).await;
            let mut new = map(*n, *v);
            if code == 200 {
                let at = if *stale { "1".into() } else { seen["metadata"]["resourceVersion"].clone() };
                new["metadata"]["resourceVersion"] = at;
            }
            call(server, "PUT", &path(*n), JSON, &new).await
        }
        Write::Patch(n, v) => {
            let patch = json!({"metadata": {"labels": {"v": v.to_string()}}, "data": {"p": v.to_string()}});
            call(server, "PATCH", &path(*n), "application/merge-patch+json", &patch).await
        }
        Write::Delete(n) => call(server, "DELETE", &path(*n), JSON, &Value::Null).await,
        Write::Elsewhere => {
            let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": "s"}});
            call(server, "POST", "/api/v1/namespaces/default/secrets", JSON, &secret).await
        }
    }
}
