//! Answers that the transcripts of a real server do not cover, each as a small story against the server in process.

mod bodies;
mod paths;
mod versions;

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use rehearsal::FakeServer;
use serde_json::Value;

/// A server of one test's own.
struct Server(FakeServer);

/// What came back.
struct Answer {
    code: u16,
    warnings: Vec<String>,
    content_type: String,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e} in {}", self.text))
    }

    fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

impl Server {
    async fn start() -> Self {
        Self(FakeServer::builder().seed(1).start().await.expect("a free port"))
    }

    /// Sends a request and waits for its headers alone.
    async fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.0.call(request.body(body.into()).expect("a request")).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let response = self.open(method, path, headers, body).await;
        let text = |v: &http::HeaderValue| v.to_str().unwrap_or_default().to_owned();
        let warnings = response.headers().get_all("warning").iter().map(text).collect();
        let content_type = response.headers().get("content-type").map(text).unwrap_or_default();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
        Answer { code, warnings, content_type, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Body::empty()).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body).await
    }
}
