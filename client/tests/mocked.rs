//! The client against a server that is no Kubernetes: a mock that answers what it was told and says what it received.

use rehearsal_client::{Config, CreateOptions, DynamicClient, GetOptions, GroupVersionResource, RetryOptions};
use serde_json::json;
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

#[tokio::test]
async fn a_too_busy_server_is_asked_again_when_it_says_so() {
    let server = MockServer::start().await;
    let object = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}});
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "0").set_body_string("busy");
    Mock::given(method("GET")).respond_with(busy).up_to_n_times(1).mount(&server).await;
    Mock::given(method("GET"))
        .and(path("/api/v1/namespaces/default/configmaps/a"))
        .and(header("accept", "application/json"))
        .respond_with(ResponseTemplate::new(200).set_body_json(&object))
        .expect(1)
        .mount(&server)
        .await;
    let config = Config { retry: RetryOptions::default(), ..Config::new(server.uri()) };
    let client = DynamicClient::for_config(&config).expect("a client");
    let maps = client.resource(&GroupVersionResource::new("", "v1", "configmaps")).namespace("default");
    let got = maps.get("a", &GetOptions::default(), &[]).await.expect("an answer");
    assert_eq!(got["metadata"]["name"], "a");
}

#[tokio::test]
async fn a_write_that_may_have_taken_place_is_told_and_can_be_read_back() {
    let server = MockServer::start().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let back = ResponseTemplate::new(500).insert_header("retry-after", "0").set_body_string("come back");
    Mock::given(method("POST")).and(path(maps)).respond_with(back).expect(1).mount(&server).await;
    let item = |name: &str, app: &str| json!({"metadata": {"name": name, "generateName": "a-", "labels": {"app": app, "more": "x"}}});
    let list =
        json!({"kind": "ConfigMapList", "apiVersion": "v1", "items": [item("a-1", "mine"), item("a-2", "other")]});
    Mock::given(method("GET"))
        .and(query_param("labelSelector", "app=mine"))
        .respond_with(ResponseTemplate::new(200).set_body_json(&list))
        .expect(1)
        .mount(&server)
        .await;
    let config = Config { retry: RetryOptions::improved(), ..Config::new(server.uri()) };
    let client = DynamicClient::for_config(&config).expect("a client");
    let maps = client.resource(&GroupVersionResource::new("", "v1", "configmaps")).namespace("default");
    let sent = json!({"kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {"generateName": "a-", "labels": {"app": "mine"}}});
    let error = maps.create(&sent, &CreateOptions::default(), &[]).await.expect_err("500");
    assert!(error.is_unknown_outcome() && error.is_internal_error(), "{error:?}");
    let found = maps.read_back(&sent).await.expect("a list");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["metadata"]["name"], "a-1");
}
