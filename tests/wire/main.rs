//! Shapes on the wire, byte for byte: with a seed and a clock that stands still, an answer never changes unless the
//! server does. What is right was settled by transcripts of a real server; these snapshots show every later change.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use rehearsal::{Clock, FakeServer};
use serde_json::{Value, json};

struct Server(FakeServer);

impl Server {
    async fn start() -> Self {
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().expect("a time"));
        Self(FakeServer::builder().seed(1).clock(clock).start().await.expect("a server"))
    }

    async fn send(&self, method: &str, path: &str, accept: &str, body: Option<Value>) -> String {
        let body = body.map_or_else(Body::empty, |b| Body::from(b.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("accept", accept)
            .header("user-agent", "wire/1")
            .body(body)
            .expect("a request");
        let response = self.0.call(request).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        format!("{code} {}", String::from_utf8_lossy(&bytes))
    }

    async fn get(&self, path: &str) -> String {
        self.send("GET", path, "application/json", None).await
    }

    async fn post(&self, path: &str, body: Value) -> String {
        self.send("POST", path, "application/json", Some(body)).await
    }
}

fn deployment() -> Value {
    json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
        "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}}})
}

#[tokio::test]
async fn a_deployment_comes_back_in_struct_order_with_defaults_and_owners() {
    let server = Server::start().await;
    insta::assert_snapshot!(server.post("/apis/apps/v1/namespaces/default/deployments", deployment()).await);
}

#[tokio::test]
async fn a_service_gets_its_address_from_the_seed() {
    let server = Server::start().await;
    let service = json!({"metadata": {"name": "web"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    insta::assert_snapshot!(server.post("/api/v1/namespaces/default/services", service).await);
}

#[tokio::test]
async fn refusals_name_what_is_wrong() {
    let server = Server::start().await;
    let mut answers = vec![server.get("/api/v1/namespaces/default/pods/missing").await, server.get("/nope").await];
    let mut broken = deployment();
    broken["spec"]["replicas"] = json!(-1);
    broken["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    answers.push(server.post("/apis/apps/v1/namespaces/default/deployments", broken).await);
    answers.push(server.send("PUT", "/api/v1/namespaces/default/configmaps", "application/json", None).await);
    insta::assert_snapshot!(answers.join("\n"));
}

#[tokio::test]
async fn a_table_has_columns_rows_and_partial_objects() {
    let server = Server::start().await;
    server.post("/apis/apps/v1/namespaces/default/deployments", deployment()).await;
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    insta::assert_snapshot!(server.send("GET", "/apis/apps/v1/deployments", table, None).await);
}

#[tokio::test]
async fn yaml_sorts_its_keys() {
    let server = Server::start().await;
    insta::assert_snapshot!(server.send("GET", "/api/v1/namespaces/default", "application/yaml", None).await);
}

/// SETTINGS of kube-apiserver 1.36: 100 streams, windows and frames of 256 KiB, Go's limit of headers.
#[tokio::test]
async fn http2_begins_with_the_settings_of_the_real_server() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = FakeServer::builder().tls(false).start().await.expect("a server");
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.expect("a connection");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("a preface");
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.expect("a frame");
    assert_eq!(head[3], 4, "SETTINGS come first");
    let mut payload = vec![0; usize::from(head[2])];
    stream.read_exact(&mut payload).await.expect("its payload");
    let setting = |s: &[u8]| (u16::from_be_bytes([s[0], s[1]]), u32::from_be_bytes([s[2], s[3], s[4], s[5]]));
    let settings: std::collections::BTreeMap<_, _> = payload.chunks_exact(6).map(setting).collect();
    assert_eq!(settings, [(3, 100), (4, 262_144), (5, 262_144), (6, 1_048_896)].into());
    server.shutdown().await;
}
