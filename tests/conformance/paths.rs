//! Paths: what exists, for which methods, and what a legacy watch path names.

use super::Server;
use axum::body::Body;

#[tokio::test]
async fn component_statuses_are_those_of_a_server_that_runs_alone() {
    let server = Server::start().await;
    let list = server.get("/api/v1/componentstatuses").await.json();
    let names: Vec<&str> =
        list["items"].as_array().into_iter().flatten().filter_map(|c| c["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["controller-manager", "scheduler", "etcd-0"]);
    assert_eq!(list["metadata"], serde_json::json!({}));
    let one = server.get("/api/v1/componentstatuses/etcd-0").await.json();
    assert_eq!(one["conditions"][0]["message"], "ok");
    let none = server.get("/api/v1/componentstatuses/x").await;
    assert_eq!((none.code, none.message().as_str()), (500, "Component not found: x"));
}

#[tokio::test]
async fn rest_routes_look_at_the_method_and_the_paths_beside_them_do_not() {
    let server = Server::start().await;
    let cases = [
        ("POST", "/", 200),
        ("POST", "/apis", 200),
        ("POST", "/apis/apps", 200),
        ("POST", "/apis/apps/v1", 405),
        ("HEAD", "/api/v1", 405),
        ("POST", "/version", 405),
        ("POST", "/api/v1/watch/pods", 405),
        ("DELETE", "/api/v1/watch/namespaces/default/pods/a", 405),
    ];
    for (method, path, code) in cases {
        assert_eq!(server.send(method, path, &[], Body::empty()).await.code, code, "{method} {path}");
    }
}

#[tokio::test]
async fn a_legacy_watch_path_names_one_object() {
    let server = Server::start().await;
    for name in ["a", "ab"] {
        let made = server
            .post("/api/v1/namespaces/default/configmaps", format!(r#"{{"metadata":{{"name":"{name}"}}}}"#))
            .await;
        assert_eq!(made.code, 201);
    }
    let events = server.get("/api/v1/watch/namespaces/default/configmaps/a?timeoutSeconds=1").await.text;
    assert_eq!(events.lines().count(), 1, "{events}");
    assert!(events.contains(r#""name":"a""#), "{events}");
}

#[tokio::test]
async fn aggregated_discovery_speaks_yaml() {
    let server = Server::start().await;
    let accept = "application/yaml;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let answer = server.send("GET", "/apis", &[("accept", accept)], Body::empty()).await;
    assert_eq!((answer.code, answer.content_type.as_str()), (200, accept));
    assert!(answer.text.starts_with("apiVersion: apidiscovery.k8s.io/v2\n"), "{}", answer.text);
}

#[tokio::test]
async fn plain_discovery_speaks_protobuf() {
    // The core group's documents have no apiVersion in JSON, and could not be put into an envelope.
    let server = Server::start().await;
    for path in ["/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1"] {
        let answer =
            server.send("GET", path, &[("accept", "application/vnd.kubernetes.protobuf")], Body::empty()).await;
        assert_eq!((answer.code, answer.content_type.as_str()), (200, "application/vnd.kubernetes.protobuf"), "{path}");
        assert!(answer.text.starts_with("k8s\0"), "{path}");
    }
}
