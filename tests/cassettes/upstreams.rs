//! The client's transport as an upstream: what it adds, what it must not, and what its failures look like.

use crate::support::{before, config, config_maps};
use rehearsal::{Cluster, Controllers};
use rehearsal_client::{Config, GetOptions, Secret};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

/// A server that says one thing to everybody and tells the heads it got.
fn says(answer: &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut head = String::new();
            let mut reader = BufReader::new(&stream);
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|n| n > 0) {}
            let _ = (&stream).write_all(answer.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = reader.read_to_end(&mut Vec::new());
            if tell.send(head).is_err() {
                return;
            }
        }
    });
    (address, told)
}

/// Sends a request over TLS, trusting the proxy alone, and returns what came back as text.
fn exchange(proxy: &rehearsal_cassettes::proxy::Proxy, request: &str) -> String {
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(proxy.ca_pem().unwrap().as_bytes()).unwrap()).unwrap();
    let config =
        rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let mut session =
        rustls::ClientConnection::new(std::sync::Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    let mut tls = rustls::Stream::new(&mut session, &mut stream);
    let token = proxy.lanes().token("sut").unwrap();
    tls.write_all(request.replace("TOKEN", token).as_bytes()).unwrap();
    let mut heard = Vec::new();
    let _ = tls.read_to_end(&mut heard);
    String::from_utf8_lossy(&heard).into_owned()
}

const ASK: &str =
    "GET /api/v1/pods?x=%20y HTTP/1.1\r\nhost: p\r\nauthorization: Bearer TOKEN\r\nconnection: close\r\n\r\n";

async fn ask(proxy: &std::sync::Arc<rehearsal_cassettes::proxy::Proxy>, request: &'static str) -> String {
    let proxy = proxy.clone();
    tokio::task::spawn_blocking(move || exchange(&proxy, request)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_added_but_proof_of_identity() {
    let dir = tempfile::tempdir().unwrap();
    let (address, told) = says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let server =
        Config { bearer_token: Secret::from("the-real-one"), ..Config::new(format!("http://{address}/prefix/")) };
    let (proxy, recording) = before(&server, &dir.path().join("x.tape.yaml"), &[]).await;
    let proxy = std::sync::Arc::new(proxy);
    assert!(ask(&proxy, ASK).await.ends_with("ok"));
    let head = told.recv().unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get /prefix/api/v1/pods?x=%20y http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: bearer the-real-one"), "{head}");
    for name in ["user-agent", "accept-encoding", "accept:", "rehearsal-lane"] {
        assert!(!head.contains(name), "{name} in {head}");
    }
    recording.seal().await.unwrap();
    assert!(!std::fs::read_to_string(dir.path().join("x.tape.yaml")).unwrap().contains("the-real-one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_the_clients_to_follow() {
    let dir = tempfile::tempdir().unwrap();
    let (address, _told) = says("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n");
    let (proxy, recording) =
        before(&Config::new(format!("http://{address}")), &dir.path().join("x.tape.yaml"), &[]).await;
    let answer = ask(&std::sync::Arc::new(proxy), ASK).await;
    assert!(answer.starts_with("HTTP/1.1 302") && answer.contains("location: /elsewhere"), "{answer}");
    recording.seal().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_goes_through_the_clients_transport() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    let (address, _told) =
        says("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\nframes");
    let (proxy, recording) = before(&Config::new(format!("http://{address}")), &path, &[]).await;
    let proxy = std::sync::Arc::new(proxy);
    let answer = ask(&proxy, "POST /api/v1/namespaces/d/pods/p/exec?command=ls HTTP/1.1\r\nhost: p\r\nauthorization: Bearer TOKEN\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101") && answer.ends_with("frames"), "{answer}");
    std::sync::Arc::into_inner(proxy).unwrap().shutdown().await;
    recording.seal().await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("kind: Upgrade") && text.contains("SPDY/3.1"), "{text}");
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_said_and_not_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::builder().controllers(Controllers::none()).tls(true).start().await.unwrap();
    let other = Cluster::builder().controllers(Controllers::none()).tls(true).start().await.unwrap();
    // Trusts the one and talks to the other.
    let mut server = config(&cluster.kubeconfig().unwrap());
    server.host = other.url();
    let (proxy, recording) = before(&server, &dir.path().join("x.tape.yaml"), &[]).await;
    let mut client = config(&proxy.kubeconfig("sut"));
    client.retry = rehearsal_client::RetryOptions::default();
    let error = config_maps(&client).get("a", &GetOptions::default(), &[]).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached") && error.contains("certificate"), "{error}");
    proxy.shutdown().await;
    recording.seal().await.unwrap();
    let text = std::fs::read_to_string(dir.path().join("x.tape.yaml")).unwrap();
    assert!(text.contains("certificate"), "{text}");
    cluster.shutdown().await;
    other.shutdown().await;
}
