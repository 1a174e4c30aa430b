//! The client against a server that is no Kubernetes: a mock that answers what it was told and says what it received.

use rehearsal_client::{Config, DynamicClient, GetOptions, GroupVersionResource, RetryOptions};
use serde_json::json;
use wiremock::matchers::{header, method, path};
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
