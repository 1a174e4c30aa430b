//! Upgraded connections end to end: a command in a pod is recorded before a server that can run one, and is played again
//! where nobody can.

use crate::support::{Engine, answering, whole};
use rehearsal::hydrate::{Hydrate, HydrateOptions};
use rehearsal::recording::{self, ConfigUpstream, RecordingOptions};
use rehearsal_cassettes::format::model::{Entry, Tape};
use rehearsal_cassettes::proxy::{Lanes, Proxy};
use rehearsal_cassettes::replay::{Manner, Options, Pace, Player, ReplayService, Verdict};
use rehearsal_client::Config;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\nsec-websocket-protocol: v5.channel.k8s.io\r\n\r\n";
/// The client's words, masked with zeros: `hi` and a newline on channel 0.
const SAID: &[u8] = b"\x82\x84\x00\x00\x00\x00\x00hi\n";
/// What a shell says to that, and its goodbye.
const HEARD: &[u8] = b"\x82\x06\x01hello\x82\x03\x02no\x88\x02\x03\xe8";

/// A server of WebSockets that answers once it has been spoken to.
fn shell() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = head(&mut stream);
            stream.write_all(SWITCH.as_bytes()).unwrap();
            let mut said = vec![0; SAID.len()];
            stream.read_exact(&mut said).unwrap();
            stream.write_all(HEARD).unwrap();
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}

fn head(stream: &mut impl std::io::Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Runs a command through a proxy: the head of the answer, and what was heard then.
fn exec(proxy: &Proxy, offer: &str, command: &str) -> (String, Vec<u8>) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(proxy.ca_pem().unwrap().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let mut session = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut tls = rustls::Stream::new(&mut session, &mut stream);
    let token = proxy.lanes().token("sut").unwrap();
    let ask = format!(
        "GET /api/v1/namespaces/d/pods/p/exec?command={command} HTTP/1.1\r\nhost: p\r\nauthorization: Bearer {token}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: {offer}\r\n\r\n"
    );
    tls.write_all(ask.as_bytes()).unwrap();
    let head = head(&mut tls);
    let mut heard = Vec::new();
    if head.starts_with("HTTP/1.1 101") {
        tls.write_all(SAID).unwrap();
        while !heard.ends_with(b"\x88\x02\x03\xe8") {
            let mut piece = [0; 100];
            let length = tls.read(&mut piece).unwrap();
            assert!(length > 0, "it ended after {heard:?}");
            heard.extend_from_slice(&piece[..length]);
        }
        let _ = tls.write_all(b"\x88\x82\x00\x00\x00\x00\x03\xe8");
        let _ = tls.read_to_end(&mut Vec::new());
    }
    (head, heard)
}

async fn asked(proxy: &Arc<Proxy>, offer: &'static str, command: &'static str) -> (String, Vec<u8>) {
    let proxy = proxy.clone();
    tokio::task::spawn_blocking(move || exec(&proxy, offer, command)).await.unwrap()
}

async fn recorded(path: &Path, streams: bool) -> Tape {
    let upstream = ConfigUpstream::new(&Config::new(format!("http://{}", shell()))).unwrap();
    let lanes = Lanes::new([]).unwrap();
    let options = RecordingOptions { path: path.to_owned(), placement: "proxy".into(), streams, ..Default::default() };
    let recording = recording::start(options).unwrap();
    #[allow(clippy::disallowed_methods, reason = "certificates are checked against the machine's clock")]
    let now = jiff::Timestamp::now();
    let builder = Proxy::builder(Arc::new(upstream), lanes).recorder(recording.recorder().clone());
    let proxy = Arc::new(builder.start(now).await.unwrap());
    let (head, heard) = asked(&proxy, "v5.channel.k8s.io", "sh").await;
    assert!(head.starts_with("HTTP/1.1 101") && heard == HEARD, "{head} {heard:?}");
    Arc::into_inner(proxy).unwrap().shutdown().await;
    recording.seal().await.unwrap();
    whole(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_answered_from_the_tape_in_every_mode_and_pace() {
    let dir = tempfile::tempdir().unwrap();
    let tape = recorded(&dir.path().join("x.tape.yaml"), true).await;
    assert!(tape.entries.iter().any(|entry| matches!(entry, Entry::Upgrade(upgrade) if upgrade.messages.len() == 3)));
    for pace in [Pace::Gated, Pace::Recorded(1.0), Pace::Asap] {
        for manner in [Some(Manner::Strict), Some(Manner::Lenient), None] {
            let engine = match manner {
                Some(manner) => {
                    let player = Player::new(&tape, Options { manner, pace, lanes: None });
                    Engine::Recorded(ReplayService::new(player, |_| None))
                }
                None => {
                    let options = HydrateOptions { pace, ..HydrateOptions::default() };
                    Engine::Living(Hydrate::start(&tape, options).await.unwrap())
                }
            };
            let proxy = Arc::new(answering(&engine, &["sut"]).await);
            // The standard's own example of a key and its answer.
            let (head, heard) = asked(&proxy, "v4.channel.k8s.io, v5.channel.k8s.io", "sh").await;
            assert!(head.to_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
            assert!(head.contains("v5.channel.k8s.io") && heard == HEARD, "{manner:?} {pace:?}: {head} {heard:?}");
            Arc::into_inner(proxy).unwrap().shutdown().await;
            match &engine {
                Engine::Recorded(service) => {
                    assert_eq!(
                        service.report().verdict(true),
                        Verdict::Pass,
                        "{manner:?} {pace:?}: {}",
                        service.report()
                    );
                }
                Engine::Living(hydrate) => {
                    let report = hydrate.report().await;
                    assert!(report.is_faithful() && report.matched == 1, "{pace:?}: {report}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_tape_does_not_hold_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let counted = recorded(&dir.path().join("counted.tape.yaml"), false).await;
    let kept = recorded(&dir.path().join("kept.tape.yaml"), true).await;
    let cases = [
        (&counted, "v5.channel.k8s.io", "sh", "record with --record-streams"),
        (&kept, "v4.channel.k8s.io", "sh", "which the client does not offer"),
        (&kept, "v5.channel.k8s.io", "ls", r#"asked with "command=sh", not "command=ls""#),
    ];
    for (tape, offer, command, why) in cases {
        let service = ReplayService::new(Player::new(tape, Options::default()), |_| None);
        let proxy = Arc::new(answering(&Engine::Recorded(service.clone()), &["sut"]).await);
        let (head, _) = asked(&proxy, offer, command).await;
        assert!(head.starts_with("HTTP/1.1 501"), "{head}");
        Arc::into_inner(proxy).unwrap().shutdown().await;
        let report = service.report().to_string();
        assert!(report.contains(why), "{report}");
    }
}
