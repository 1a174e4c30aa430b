//! Connections that change protocol.

use super::support::{Dial, Stage, says, scripted, until};
use rehearsal_cassettes::format::model::{Body, Document, End, Upgrade};
use rehearsal_cassettes::proxy::Policy;
use rehearsal_cassettes::record::MemorySink;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-protocol: v5.channel.k8s.io\r\n\r\n";

/// Asks for an upgrade by hand and reads the head of the answer.
async fn ask(stage: &Stage) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(stage.proxy.address()).await.unwrap();
    let request = format!(
        "GET /api/v1/namespaces/d/pods/p/exec?command=sh HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-protocol: v5.channel.k8s.io\r\nsec-websocket-version: 13\r\n\r\n",
        stage.token()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8_lossy(&head).into_owned())
}

/// A WebSocket server that says something on two channels once it has been spoken to, and closes.
async fn shell() -> std::net::SocketAddr {
    scripted(|head, mut stream| async move {
        assert!(head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        let mut said = [0; 11];
        stream.read_exact(&mut said).await.unwrap();
        stream.write_all(b"\x82\x06\x01hello").await.unwrap();
        stream.write_all(b"\x82\x03\x02no").await.unwrap();
        stream.write_all(b"\x88\x02\x03\xe8").await.unwrap();
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await
}

async fn upgrade(stage: Stage) -> Upgrade {
    let sink = stage.sink.clone();
    until(|| sink.documents().iter().any(|d| matches!(d, Document::Upgrade(_)))).await;
    let tape = stage.tape().await;
    tape.0.into_iter().find_map(|d| if let Document::Upgrade(upgrade) = d { Some(upgrade) } else { None }).unwrap()
}

/// Masked, on channel 0: `hi` and a newline, 11 bytes in all with a second empty frame's head.
const SAID: &[u8] = b"\x82\x84\x00\x00\x00\x00\x00hi\n\x89";

async fn converse(stage: &Stage) {
    let (mut stream, head) = ask(stage).await;
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("v5.channel.k8s.io"), "{head}");
    stream.write_all(SAID).await.unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"\x82\x06\x01hello\x82\x03\x02no\x88\x02\x03\xe8");
}

#[tokio::test]
async fn a_shell_passes_and_is_counted_by_channel_but_not_kept() {
    let stage = Stage::before(Dial { address: shell().await, http2: false }).await;
    converse(&stage).await;
    let upgrade = upgrade(stage).await;
    let counts: Vec<_> = upgrade.channels.iter().map(|c| (c.channel, c.sent, c.received)).collect();
    assert_eq!(counts, [(-1, 0, 2), (0, 3, 0), (1, 0, 5), (2, 0, 2)]);
    assert_eq!((upgrade.protocol.as_str(), upgrade.close_code), ("v5.channel.k8s.io", Some(1000)));
    assert_eq!((upgrade.end, upgrade.messages.len()), (End::Complete, 0));
    assert_eq!(upgrade.request.path, "/api/v1/namespaces/d/pods/p/exec");
    assert!(upgrade.seq.req < upgrade.seq.head.unwrap() && upgrade.seq.head.unwrap() < upgrade.seq.end);
}

#[tokio::test]
async fn a_shell_is_kept_where_that_is_wanted() {
    let sink = MemorySink::default();
    let upstream = Dial { address: shell().await, http2: false };
    let stage = Stage::with(upstream, sink.clone(), sink, Policy::record(), |options| options.streams = true).await;
    converse(&stage).await;
    let said: Vec<_> =
        upgrade(stage).await.messages.into_iter().map(|m| (m.channel, m.from_client, m.content)).collect();
    let text = |text: &str| Body::Text(text.into());
    assert_eq!(said, [(0, true, text("hi\n")), (1, false, text("hello")), (2, false, text("no"))]);
}

#[tokio::test]
async fn an_upgrade_that_is_refused_is_an_answer_like_any_other() {
    let answer =
        "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{\"kind\":\"No\"}\n\n\n";
    let stage = Stage::before(Dial { address: says(answer).await, http2: false }).await;
    let (_, head) = ask(&stage).await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    stage.ended(1).await;
    let tape = stage.tape().await;
    assert_eq!((tape.heads()[0].response.status, tape.end()), (403, &End::Complete));
}

#[tokio::test]
async fn a_tunnel_that_is_open_when_the_recorder_stops_is_on_the_tape() {
    let address = scripted(|_, mut stream| async move {
        stream
            .write_all(SWITCH.replace("websocket", "SPDY/3.1").replace("sec-SPDY/3.1", "x").as_bytes())
            .await
            .unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let stage = Stage::before(Dial { address, http2: false }).await;
    let (mut stream, _) = ask(&stage).await;
    stream.write_all(b"12345").await.unwrap();
    let tape = stage.tape().await;
    let upgrade = tape.0.iter().find_map(|d| if let Document::Upgrade(upgrade) = d { Some(upgrade) } else { None });
    assert_eq!(upgrade.unwrap().end, End::RecorderStop);
}
