//! Requests that stop before they end, and bodies whose length is a lie.

use crate::wire::{MAPS, Victim, read_answer};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const HALF: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"half"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_cut_short_changes_nothing() {
    let victim = Victim::start().await;
    for length in ["Content-Length: 4096", "Transfer-Encoding: chunked"] {
        let mut stream = victim.connect().await;
        let chunk = if length.starts_with('T') { format!("{:x}\r\n{HALF}\r\n", HALF.len()) } else { HALF.to_owned() };
        let head =
            format!("POST {MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}\r\n\r\n{chunk}");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        if let Some(answer) = read_answer(&mut stream).await {
            answer.refuses(400, "");
        }
        let stream = victim.connect().await;
        stream.set_zero_linger().unwrap();
        let mut stream = stream;
        stream.write_all(head.as_bytes()).await.unwrap();
        // Reset instead of closed.
        drop(stream);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(victim.get(&format!("{MAPS}/half")).await.code, 404);
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_shorter_than_sent_is_refused_and_the_rest_is_no_request_of_its_own() {
    let victim = Victim::start().await;
    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"whole"}}"#;
    let request = format!(
        "POST {MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{body}"
    );
    victim.send(request.as_bytes()).await.unwrap().refuses(400, "unexpected end of JSON input");
    assert_eq!(victim.get(&format!("{MAPS}/whole")).await.code, 404);
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_lengths_are_refused_or_cut() {
    let victim = Victim::start().await;
    for header in [
        "Content-Length: -1",
        "Content-Length: x",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 0x10",
        "Transfer-Encoding: nonsense",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
    ] {
        let request = format!(
            "POST {MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{header}\r\n\r\n{{}}\r\n\r\n"
        );
        if let Some(answer) = victim.send(request.as_bytes()).await {
            assert!((400..500).contains(&answer.code), "{header}: {} {}", answer.code, answer.text());
        }
    }
    for chunks in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n{}",
        "-1\r\n",
        "2\r\n{}garbage",
        ";\r\n",
        "2;ext=\"\r\n{}\r\n0\r\n\r\n",
    ] {
        let request = format!(
            "POST {MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        );
        if let Some(answer) = victim.send(request.as_bytes()).await {
            assert!((400..500).contains(&answer.code), "{chunks}: {} {}", answer.code, answer.text());
        }
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_closed_socket_gets_its_answer_or_an_end() {
    let victim = Victim::start().await;
    for request in [format!("GET {MAPS} HTTP/1.1\r\nHost: x\r\n\r\n"), "GET /readyz HTTP/1.0\r\n\r\n".to_owned()] {
        let mut stream = victim.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        if let Some(answer) = read_answer(&mut stream).await {
            assert_eq!(answer.code, 200);
        }
    }
    let mut nothing = victim.connect().await;
    nothing.shutdown().await.unwrap();
    assert!(read_answer(&mut nothing).await.is_none());
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_hold_up_nobody() {
    let victim = Victim::start().await;
    let mut slow = Vec::new();
    for i in 0..100 {
        let mut stream = victim.connect().await;
        let part = match i % 3 {
            0 => "GET /api/v1/names".to_owned(),
            1 => "GET /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nX-".to_owned(),
            _ => format!(
                "POST {MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
            ),
        };
        stream.write_all(part.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let started = std::time::Instant::now();
    victim.create("beside-the-slow").await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    // One of them ends its request after all, byte by byte.
    let stream = &mut slow[0];
    for byte in b"paces HTTP/1.1\r\nHost: x\r\n\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(read_answer(stream).await.unwrap().code, 200);
    victim.is_well().await;
}
