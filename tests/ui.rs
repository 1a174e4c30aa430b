//! The page of a running server: there for everybody, its data for who has the admin token.

use axum::body::Body;
use http::{Request, StatusCode};
use rehearsal::FakeServer;

async fn get(server: &FakeServer, path: &str, token: Option<&str>) -> (StatusCode, String) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = server.call(request.body(Body::empty()).unwrap()).await;
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_running_server_shows_what_it_was_asked() {
    let builder = FakeServer::builder().admin_token("a-token-for-this-test");
    let server = rehearsal::ui::with_page(builder).unwrap().start().await.unwrap();
    let (status, page) = get(&server, "/_rehearsal/ui", None).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("v1/timeline") && !page.contains("a-token-for-this-test"));

    get(&server, "/api/v1/namespaces/default", None).await;
    let token = Some("a-token-for-this-test");
    let (status, timeline) = get(&server, "/_rehearsal/v1/timeline", token).await;
    assert_eq!(status, StatusCode::OK);
    let timeline: serde_json::Value = serde_json::from_str(&timeline).unwrap();
    assert_eq!(timeline["calls"][0]["route"], "get namespaces default/default");

    assert_eq!(get(&server, "/_rehearsal/v1/timeline", None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(get(&server, "/_rehearsal/v1/timeline", Some("another")).await.0, StatusCode::UNAUTHORIZED);
    server.shutdown().await;
}
