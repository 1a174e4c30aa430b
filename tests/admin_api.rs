//! The admin API over sockets: every route, with and without its token, and what it says to bad input.

use axum::body::Body;
use http_body_util::BodyExt as _;
use rehearsal::{Clock, FakeServer};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const TOKEN: &str = "stage-door";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn server() -> FakeServer {
    let start = "2026-01-02T03:04:05Z".parse().unwrap();
    FakeServer::builder().admin_token(TOKEN).clock(Clock::manual(start)).start().await.unwrap()
}

async fn raw(server: &FakeServer, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, Value) {
    let mut request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let answer = server.call(request.body(Body::from(body.to_owned())).unwrap()).await;
    let code = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn admin(server: &FakeServer, method: &str, route: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    raw(server, method, &format!("/_rehearsal/v1/{route}"), Some(&format!("Bearer {TOKEN}")), &body).await
}

async fn create(server: &FakeServer, name: &str) {
    let (code, _) = raw(server, "POST", MAPS, None, &json!({"metadata": {"name": name}}).to_string()).await;
    assert_eq!(code, 201);
}

async fn names(server: &FakeServer) -> Vec<String> {
    let (_, list) = raw(server, "GET", MAPS, None, "").await;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|o| o["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn nothing_is_told_without_the_token() {
    let server = server().await;
    let all = [
        ("GET", "journal"),
        ("DELETE", "journal"),
        ("GET", "snapshots"),
        ("POST", "snapshots"),
        ("GET", "lanes"),
        ("POST", "lanes"),
        ("POST", "fork"),
        ("POST", "snapshots/a/restore"),
        ("DELETE", "snapshots/a"),
        ("GET", "clock"),
        ("POST", "clock/advance"),
        ("GET", "objects"),
        ("GET", "nothing"),
    ];
    for (method, route) in all {
        let other = [None, Some("Bearer wrong"), Some("Bearer "), Some(TOKEN), Some("Basic c3RhZ2UtZG9vcg==")];
        for token in other {
            let (code, status) = raw(&server, method, &format!("/_rehearsal/v1/{route}"), token, "").await;
            assert_eq!((code, &status["reason"]), (401, &json!("Unauthorized")), "{method} {route} {token:?}");
        }
    }
    // Nor does the cluster's own administrator get in: his token is another.
    let kubeconfig = server.kubeconfig().unwrap();
    assert!(!kubeconfig.contains(TOKEN));
}

#[tokio::test]
async fn the_journal_is_read_in_pages_and_cleared() {
    let server = server().await;
    for path in ["/version", "/api", "/apis"] {
        raw(&server, "GET", path, None, "").await;
    }
    let (code, first) = admin(&server, "GET", "journal?limit=2", &Value::Null).await;
    let entries = first["entries"].as_array().unwrap();
    assert_eq!((code, entries.len()), (200, 2));
    assert_eq!(
        (&entries[0]["method"], &entries[0]["uri"], &entries[0]["code"]),
        (&json!("GET"), &json!("/version"), &json!(200))
    );
    assert_eq!(entries[0]["time"], "2026-01-02T03:04:05.000000Z");
    let (_, rest) = admin(&server, "GET", "journal?after=2", &Value::Null).await;
    assert_eq!(rest["entries"][0]["uri"], "/apis");
    assert_eq!(rest["entries"][0]["sequence"], 3);
    for bad in ["after=x", "limit=-1", "after=99999999999999999999999"] {
        let (code, status) = admin(&server, "GET", &format!("journal?{bad}"), &Value::Null).await;
        assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")), "{bad}");
    }
    assert_eq!(admin(&server, "DELETE", "journal", &Value::Null).await, (200, json!({})));
    let (_, after) = admin(&server, "GET", "journal", &Value::Null).await;
    // The clearing itself is the first entry after it.
    assert_eq!(after["entries"].as_array().unwrap().len(), 1);
    assert_eq!(after["entries"][0]["method"], "DELETE");
}

#[tokio::test]
async fn snapshots_are_taken_listed_restored_and_dropped() {
    let server = server().await;
    create(&server, "before").await;
    let (code, taken) = admin(&server, "POST", "snapshots", &json!({"name": "one"})).await;
    assert_eq!((code, &taken["name"]), (201, &json!("one")));
    let (code, unnamed) = admin(&server, "POST", "snapshots", &Value::Null).await;
    assert_eq!(code, 201);
    assert!(!unnamed["name"].as_str().unwrap().is_empty());
    create(&server, "after").await;
    let (_, list) = admin(&server, "GET", "snapshots", &Value::Null).await;
    assert_eq!(list["snapshots"].as_array().unwrap().len(), 2);
    assert!(list["snapshots"].as_array().unwrap().contains(&taken));

    let (code, restored) = admin(&server, "POST", "snapshots/one/restore", &Value::Null).await;
    assert_eq!(code, 200);
    let revision = |v: &Value| v["revision"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(revision(&restored) > revision(&taken), "revisions do not go back");
    assert_eq!(names(&server).await, ["before"]);

    assert_eq!(admin(&server, "DELETE", "snapshots/one", &Value::Null).await, (200, json!({})));
    for (method, route) in
        [("DELETE", "snapshots/one"), ("POST", "snapshots/one/restore"), ("POST", "snapshots/%00/restore")]
    {
        let (code, status) = admin(&server, method, route, &Value::Null).await;
        assert_eq!((code, &status["reason"]), (404, &json!("NotFound")), "{method} {route}");
    }
    for bad in ["", "a/b"] {
        let (code, _) = admin(&server, "POST", "snapshots", &json!({"name": bad})).await;
        assert_eq!(code, 400, "{bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_ends_open_watches() {
    let server = server().await;
    admin(&server, "POST", "snapshots", &json!({"name": "one"})).await;
    let address = server.address();
    let reader = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {MAPS}?watch=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        all
    });
    // The watch has begun when an event has passed it; what comes before the watch is in its first events as well.
    create(&server, "seen").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (code, _) = admin(&server, "POST", "snapshots/one/restore", &Value::Null).await;
    assert_eq!(code, 200);
    let all = reader.await.unwrap();
    assert!(all.contains("\"ADDED\"") && all.contains("\"seen\""), "{all}");
    assert!(all.ends_with("0\r\n\r\n"), "the stream ends cleanly: {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_a_server_of_its_own() {
    let server = server().await;
    create(&server, "shared").await;
    let (code, fork) = admin(&server, "POST", "fork", &Value::Null).await;
    assert_eq!(code, 201, "{fork}");
    let url = fork["url"].as_str().unwrap().to_owned();
    assert!(fork["kubeconfig"].as_str().unwrap().contains(&url));
    assert!(fork["adminToken"].is_string());
    create(&server, "later").await;
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
        write!(stream, "GET {MAPS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        all
    });
    let answer = answer.await.unwrap();
    assert!(answer.contains("\"shared\"") && !answer.contains("\"later\""), "{answer}");
}

#[tokio::test]
async fn the_clock_is_read_and_moved() {
    let server = server().await;
    let now = |text: &str| json!({"now": text, "manual": true});
    assert_eq!(admin(&server, "GET", "clock", &Value::Null).await, (200, now("2026-01-02T03:04:05.000000Z")));
    let moved = admin(&server, "POST", "clock/advance", &json!({"by": "1h0m1.5s"})).await;
    assert_eq!(moved, (200, now("2026-01-02T04:04:06.500000Z")));
    for bad in [json!({"by": "-1s"}), json!({"by": "soon"}), json!({"by": 5}), json!({}), json!([]), Value::Null] {
        let (code, status) = admin(&server, "POST", "clock/advance", &bad).await;
        assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")), "{bad}");
    }
    let real = FakeServer::builder().admin_token(TOKEN).start().await.unwrap();
    assert_eq!(admin(&real, "GET", "clock", &Value::Null).await.1["manual"], false);
    let (code, status) = admin(&real, "POST", "clock/advance", &json!({"by": "1s"})).await;
    assert_eq!(code, 400);
    assert!(status["message"].as_str().unwrap().contains("--clock manual"), "{status}");
}

#[tokio::test]
async fn objects_are_counted() {
    let server = server().await;
    let count = async || admin(&server, "GET", "objects", &Value::Null).await.1;
    let before = count().await;
    assert!(before["collections"].is_object());
    create(&server, "one").await;
    create(&server, "two").await;
    let after = count().await;
    let maps = |v: &Value| v["collections"]["configmaps"].as_u64().unwrap_or(0);
    assert_eq!(maps(&after), maps(&before) + 2, "{after}");
    assert_ne!(before["revision"], after["revision"]);
}

#[tokio::test]
async fn bad_input_is_refused() {
    let server = server().await;
    let bearer = format!("Bearer {TOKEN}");
    for body in ["{", "nope", "\u{0}", &"[".repeat(10_000)] {
        let (code, status) = raw(&server, "POST", "/_rehearsal/v1/snapshots", Some(&bearer), body).await;
        assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")), "{body:.20}");
    }
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(70_000));
    let (code, _) = raw(&server, "POST", "/_rehearsal/v1/snapshots", Some(&bearer), &large).await;
    assert_eq!(code, 413);
    for (method, route, wanted) in [
        ("PUT", "journal", 405),
        ("PATCH", "snapshots", 405),
        ("GET", "fork", 405),
        ("DELETE", "clock", 405),
        ("POST", "objects", 405),
        ("GET", "snapshots/one", 405),
        ("GET", "", 404),
        ("GET", "journals", 404),
        ("POST", "../api", 404),
    ] {
        let (code, status) = admin(&server, method, route, &Value::Null).await;
        assert_eq!(code, wanted, "{method} {route}: {status}");
        assert_eq!(status["kind"], "Status");
    }
}
