//! Two servers with one seed, manual clocks and the same requests answer with the same bytes.
//!
//! Not compared: `Date`, which the HTTP layer writes, and anything made of keys (tokens, certificates), which come from
//! the operating system so that nobody can guess them.

use axum::body::Body;
use http_body_util::BodyExt as _;
use rehearsal::{Clock, FakeServer};
use serde_json::{Value, json};
use std::fmt::Write as _;

const JSON: &str = "application/json";
const NS: &str = "/api/v1/namespaces/default";
const APPS: &str = "/apis/apps/v1/namespaces/default";

type Step = (&'static str, String, &'static str, Value);

fn pod(name: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": name, "spec": {"containers": [{"name": "c", "image": "busybox"}]}})
}

fn service(name: &str, kind: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
           "spec": {"type": kind, "selector": {"a": name}, "ports": [{"port": 80, "name": "p"}, {"port": 443, "name": "q"}]}})
}

fn deployment(name: &str, replicas: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
           "spec": {"replicas": replicas, "selector": {"matchLabels": {"a": name}},
                    "template": {"metadata": {"labels": {"a": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

/// Requests of every kind, with whatever draws from the dice or the clock.
fn steps() -> Vec<Step> {
    let mut all: Vec<Step> = Vec::new();
    let mut step = |method, path: String, media, body| all.push((method, path, media, body));
    for i in 0..6 {
        let name = json!({"generateName": "made-", "labels": {"i": i.to_string()}});
        step("POST", format!("{NS}/configmaps"), JSON, json!({"metadata": name, "data": {"i": i.to_string()}}));
        step("POST", format!("{NS}/pods"), JSON, pod(&json!({"generateName": "pod-"})));
    }
    for (i, kind) in ["ClusterIP", "NodePort", "LoadBalancer", "NodePort", "ClusterIP"].into_iter().enumerate() {
        step("POST", format!("{NS}/services"), JSON, service(&format!("s{i}"), kind));
    }
    step("DELETE", format!("{NS}/services/s1"), JSON, Value::Null);
    step("POST", format!("{NS}/services"), JSON, service("s9", "NodePort"));
    for i in 0..3u32 {
        step("POST", format!("{APPS}/deployments"), JSON, deployment(&format!("d{i}"), i));
        let scale = json!({"spec": {"replicas": i + 5}});
        step("PATCH", format!("{APPS}/deployments/d{i}"), "application/merge-patch+json", scale.clone());
        step("PATCH", format!("{APPS}/deployments/d{i}/scale"), "application/merge-patch+json", scale);
        let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "j"}]}}}});
        step("PATCH", format!("{APPS}/deployments/d{i}"), "application/strategic-merge-patch+json", patch);
        let apply = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": format!("d{i}"), "labels": {"by": "apply"}}});
        let path = format!("{APPS}/deployments/d{i}?fieldManager=one");
        step("PATCH", path, "application/apply-patch+yaml", apply);
        let conflict = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": format!("d{i}"), "labels": {"by": "other"}}});
        let path = format!("{APPS}/deployments/d{i}?fieldManager=two");
        step("PATCH", path, "application/apply-patch+yaml", conflict);
    }
    let ops = json!([{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]);
    step("PATCH", format!("{NS}/services/s0"), "application/json-patch+json", ops);
    step("POST", "/api/v1/namespaces".into(), JSON, json!({"metadata": {"generateName": "ns-"}}));
    step("POST", "/api/v1/namespaces".into(), JSON, json!({"metadata": {"name": "default"}}));
    step("POST", format!("{NS}/configmaps"), JSON, json!({"metadata": {"name": "UPPER"}}));
    step("POST", format!("{NS}/configmaps"), JSON, json!("no object"));
    step("POST", format!("{NS}/pods"), JSON, json!({"metadata": {"name": "empty"}, "spec": {}}));
    step("PUT", format!("{NS}/configmaps/none"), JSON, json!({"metadata": {"name": "none"}}));
    step("DELETE", format!("{NS}/configmaps/none"), JSON, Value::Null);
    step("POST", format!("{NS}/secrets"), JSON, json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}}));
    step("PUT", format!("{NS}/secrets/s"), JSON, json!({"metadata": {"name": "s"}, "data": {"k": "dw=="}}));
    step("POST", format!("{NS}/pods?dryRun=All"), JSON, pod(&json!({"name": "dry"})));
    step(
        "POST",
        format!("{NS}/events"),
        JSON,
        json!({"metadata": {"generateName": "e-"}, "involvedObject": {"namespace": "default"}}),
    );
    step("GET", format!("{NS}/configmaps?limit=2"), JSON, Value::Null);
    step("GET", format!("{NS}/configmaps?labelSelector=i+in+(1,3)"), JSON, Value::Null);
    step("GET", format!("{NS}/configmaps?watch=1&timeoutSeconds=1&resourceVersion=1"), JSON, Value::Null);
    step(
        "GET",
        format!(
            "{NS}/services?watch=1&timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        ),
        JSON,
        Value::Null,
    );
    step("DELETE", format!("{NS}/configmaps?labelSelector=i%3D1"), JSON, Value::Null);
    step("DELETE", format!("{APPS}/deployments/d0"), JSON, json!({"propagationPolicy": "Foreground"}));
    for path in ["/api", "/apis", "/apis/apps/v1", "/version", "/api/v1", "/apis/none/v1/x", "/readyz", "/openapi/v3"] {
        step("GET", path.into(), JSON, Value::Null);
    }
    for what in ["configmaps", "pods", "services", "secrets", "events", "serviceaccounts"] {
        step("GET", format!("{NS}/{what}"), JSON, Value::Null);
    }
    step("GET", "/api/v1/namespaces".into(), JSON, Value::Null);
    step("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles".into(), JSON, Value::Null);
    all
}

/// All answers, byte by byte.
async fn transcript(seed: u64) -> String {
    let start = "2026-01-02T03:04:05Z".parse().unwrap();
    let server = FakeServer::builder().seed(seed).clock(Clock::manual(start)).start().await.unwrap();
    let mut out = String::new();
    for (i, (method, path, media, body)) in steps().into_iter().enumerate() {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request =
            http::Request::builder().method(method).uri(&path).header("content-type", media).body(body).unwrap();
        let answer = server.call(request).await;
        let _ = writeln!(out, "{i} {method} {path}\n{}", answer.status());
        let mut headers: Vec<_> = answer.headers().iter().filter(|(name, _)| *name != "date").collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in headers {
            let _ = writeln!(out, "{name}: {}", value.to_str().unwrap());
        }
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let _ = writeln!(out, "{}", String::from_utf8(bytes.to_vec()).unwrap());
        if i % 7 == 0 {
            assert!(server.clock().advance("PT1.5S".parse().unwrap()));
        }
    }
    // The port is the machine's choice, and stands in the objects that lead to the server.
    let port = server.address().port();
    server.shutdown().await;
    [format!("\"targetPort\":{port}"), format!("\"port\":{port}"), format!("127.0.0.1:{port}")]
        .iter()
        .fold(out, |text, place| text.replace(place, ""))
}

fn first_difference(a: &str, b: &str) -> String {
    let differ = a.lines().zip(b.lines()).find(|(x, y)| x != y);
    differ.map(|(x, y)| format!("{x}\n{y}")).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_seed_means_one_transcript() {
    assert!(steps().len() >= 60, "{}", steps().len());
    let (one, two) = tokio::join!(transcript(7), transcript(7));
    assert!(one == two, "{}", first_difference(&one, &two));
    assert!(one.contains("201 Created") && one.contains("409 Conflict") && one.contains("\"ADDED\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_seed_means_another() {
    let (one, two) = tokio::join!(transcript(7), transcript(8));
    assert!(one != two);
}
