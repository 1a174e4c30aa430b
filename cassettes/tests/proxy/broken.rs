//! Servers that fail: the client sees the same failure, and the tape names it.

use super::support::{Dial, Stage, says, scripted};
use http_body_util::BodyExt as _;
use rehearsal_cassettes::format::model::{Body, End};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Closes with a reset: what is unread, or a linger of nothing, makes the kernel say so.
fn reset(stream: TcpStream) {
    let stream = stream.into_std().unwrap();
    drop(tokio::net::TcpSocket::from_std_stream(stream).set_zero_linger());
}

#[tokio::test]
async fn a_truncated_chunk_is_an_error_for_the_client_too() {
    let address =
        says("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n20\r\n{\"half\"")
            .await;
    let stage = Stage::before(Dial { address, http2: false }).await;
    let (head, body) = stage.get("/api/v1/pods").await;
    assert_eq!(head.status(), 200);
    assert!(body.is_err());
    let tape = stage.tape().await;
    assert_eq!(*tape.end(), End::EofNoNotify);
    assert_eq!(tape.heads()[0].response.body, Some(Body::Text("{\"half\"".into())));
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_watch_breaks_the_watch() {
    let heard = Arc::new(Notify::new());
    let wait = heard.clone();
    let address = scripted(move |_, mut stream| {
        let wait = wait.clone();
        async move {
            stream.set_nodelay(true).unwrap();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n11\r\n{\"type\":\"ADDED\"}\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            // A reset throws away what has not been read.
            wait.notified().await;
            reset(stream);
        }
    })
    .await;
    let stage = Stage::before(Dial { address, http2: false }).await;
    let mut body = stage.send(stage.request("GET", "/api/v1/pods?watch=true", "")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    heard.notify_one();
    assert!(body.collect().await.is_err());
    stage.ended(1).await;
    let tape = stage.tape().await;
    assert!(matches!(tape.end(), End::Reset { .. } | End::EofNoNotify), "{:?}", tape.end());
}

#[tokio::test]
async fn an_upstream_that_hangs_up_before_it_answers_hangs_up_on_the_client() {
    let stage = Stage::before(Dial { address: says("").await, http2: false }).await;
    let error = stage.send(stage.request("POST", "/api/v1/namespaces/d/pods", "{}")).await.unwrap_err();
    assert!(error.is_incomplete_message(), "{error}");
    let tape = stage.tape().await;
    assert_eq!(
        (tape.reqs().len(), tape.heads().len(), tape.end()),
        (1, 0, &End::EofNoNotify),
        "the write is in evidence"
    );
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_502_with_a_status() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let stage = Stage::before(Dial { address, http2: false }).await;
    let (head, body) = stage.get("/api/v1/pods").await;
    let body = String::from_utf8_lossy(&body.unwrap()).into_owned();
    assert_eq!(head.status(), 502);
    assert!(body.contains("\"kind\":\"Status\"") && body.contains("refused"), "{body}");
    let tape = stage.tape().await;
    assert!(matches!(tape.end(), End::Upstream { message } if message.contains("refused")));
    assert!(tape.heads().is_empty(), "the 502 is the proxy's and not the server's");
}

#[tokio::test]
async fn a_server_that_wants_the_connection_closed_gets_it_closed() {
    let answer = "HTTP/1.1 429 Too Many Requests\r\ncontent-type: text/plain\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 4\r\n\r\nwait";
    let stage = Stage::before(Dial { address: says(answer).await, http2: false }).await;
    let (head, body) = stage.get("/api/v1/pods").await;
    assert_eq!((head.status().as_u16(), body.unwrap().as_ref()), (429, &b"wait"[..]));
    assert_eq!(
        (&head.headers()["connection"], &head.headers()["retry-after"]),
        (&"close".parse().unwrap(), &"5".parse().unwrap())
    );
    let tape = stage.tape().await;
    assert_eq!(tape.heads()[0].response.body, Some(Body::Text("wait".into())));
    assert!(tape.heads()[0].response.headers.contains(&("connection".into(), "close".into())));
}
