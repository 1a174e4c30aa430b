//! The way to the server: TLS, certificates that change, HTTP/2, proxies, redirects, compression, identities.

mod support;

use http::{Request as HttpRequest, StatusCode, Version};
use parking_lot::Mutex;
use rcgen::ExtendedKeyUsagePurpose;
use rehearsal_client::*;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::sync::Arc;
use std::time::Duration;
use support::proxy::proxy;
use support::tls::{Authority, TlsPeer};
use support::{Act, Peer, answer, head, json};

async fn ask(config: &Config) -> Result<serde_json::Value, Error> {
    RestClient::unversioned(config)?.get().abs_path(&["/x"]).send().await?.object()
}

// === TLS ===

#[tokio::test]
async fn tls_speaks_http2_and_shares_one_connection() {
    let peer = TlsPeer::start("127.0.0.1").await;
    let config = peer.config();
    ask(&config).await.unwrap();
    assert_eq!(peer.seen()[0].version, Version::HTTP_2);
}

#[tokio::test]
async fn next_protos_without_h2_turns_http2_off() {
    let peer = TlsPeer::start("127.0.0.1").await;
    let mut config = peer.config();
    config.tls.next_protos = vec!["http/1.1".into()];
    ask(&config).await.unwrap();
    assert_eq!(peer.seen()[0].version, Version::HTTP_11);
}

#[tokio::test]
async fn an_unknown_authority_and_a_wrong_name_are_refused() {
    let peer = TlsPeer::start("other.example").await;
    let kind = |error: Error| error.transport().unwrap().kind();
    assert_eq!(kind(ask(&peer.config()).await.unwrap_err()), TransportKind::Tls);
    let mut named = peer.config();
    named.tls.server_name = "other.example".into();
    ask(&named).await.unwrap();
    let mut stranger = named.clone();
    stranger.tls.ca_data = Authority::new().pem.into_bytes();
    assert_eq!(kind(ask(&stranger).await.unwrap_err()), TransportKind::Tls);
    let mut insecure = stranger.clone();
    insecure.tls.ca_data.clear();
    insecure.tls.insecure = true;
    ask(&insecure).await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_that_changes_replaces_its_connections() {
    let peer = TlsPeer::start("127.0.0.1").await;
    let dir = tempfile::tempdir().unwrap();
    let write = || {
        let (cert, key) = peer.authority.issue("client", ExtendedKeyUsagePurpose::ClientAuth);
        std::fs::write(dir.path().join("cert"), &cert).unwrap();
        std::fs::write(dir.path().join("key"), key).unwrap();
        CertificateDer::from_pem_slice(cert.as_bytes()).unwrap().to_vec()
    };
    let first = write();
    let mut config = peer.config();
    config.tls.cert_file = Some(dir.path().join("cert"));
    config.tls.key_file = Some(dir.path().join("key"));
    let client = RestClient::unversioned(&config).unwrap();
    let request = client.get().abs_path(&["/x"]);
    request.send().await.unwrap();
    let second = write();
    // The files are looked at again five minutes later, or before a handshake.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(301)).await;
    tokio::time::resume();
    request.send().await.unwrap();
    let seen: Vec<_> = peer.seen().into_iter().map(|s| s.client.unwrap()).collect();
    assert_eq!(seen, [first, second]);
}

#[tokio::test]
async fn a_plugin_can_give_a_certificate() {
    let peer = TlsPeer::start("127.0.0.1").await;
    let (cert, key) = peer.authority.issue("client", ExtendedKeyUsagePurpose::ClientAuth);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credential.json");
    let credential = serde_json::json!({
        "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1",
        "status": {"clientCertificateData": cert, "clientKeyData": key}
    });
    std::fs::write(&file, credential.to_string()).unwrap();
    let exec = ExecConfig {
        command: "cat".into(),
        args: vec![file.to_str().unwrap().into()],
        api_version: "client.authentication.k8s.io/v1beta1".into(),
        interactive_mode: InteractiveMode::Never,
        ..ExecConfig::default()
    };
    ask(&Config { exec: Some(exec), ..peer.config() }).await.unwrap();
    assert!(peer.seen()[0].client.is_some());
}

// === proxies ===

#[tokio::test]
async fn https_goes_through_an_http_proxy_by_connect() {
    let peer = TlsPeer::start("127.0.0.1").await;
    let (address, mut told, _tasks) = proxy(false).await;
    let target = ProxyTarget::parse(&format!("http://u:p@{address}")).unwrap();
    ask(&Config { proxy: Proxy::Fixed(target), ..peer.config() }).await.unwrap();
    let head = told.recv().await.unwrap();
    assert!(head.starts_with(&format!("CONNECT {} HTTP/1.1", peer.address)));
    assert!(head.contains("Proxy-Authorization: Basic dTpw"));
}

#[tokio::test]
async fn socks5_carries_user_and_target() {
    let peer = TlsPeer::start("127.0.0.1").await;
    let (address, mut told, _tasks) = proxy(true).await;
    let target = ProxyTarget::parse(&format!("socks5://u:p@{address}")).unwrap();
    ask(&Config { proxy: Proxy::Fixed(target), ..peer.config() }).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), peer.address);
}

#[tokio::test]
async fn plain_http_asks_the_proxy_for_the_whole_url() {
    let proxy = Peer::start([json(200, "{}")]).await;
    let target = ProxyTarget::parse(&format!("http://u:p@{}", proxy.address)).unwrap();
    ask(&Config { proxy: Proxy::Fixed(target), ..Config::new("http://server.example") }).await.unwrap();
    let seen = &proxy.received()[0];
    assert_eq!(seen.line, "GET http://server.example/x");
    assert_eq!(seen.header("proxy-authorization"), Some("Basic dTpw"));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    let proxy = Peer::start([answer(407, &[], "")]).await;
    let target = ProxyTarget::parse(&proxy.address).unwrap();
    let config = Config {
        proxy: Proxy::Fixed(target),
        tls: TlsConfig { insecure: true, ..TlsConfig::default() },
        ..Config::new("https://server.example")
    };
    let error = ask(&config).await.unwrap_err();
    assert_eq!(error.transport().unwrap().kind(), TransportKind::Proxy);
    assert!(error.to_string().contains("407"), "{error}");
}

// === identities, redirects, compression ===

#[tokio::test]
async fn identities_travel_as_headers_unless_the_request_has_its_own() {
    let peer = Peer::start([json(200, "{}")]).await;
    let config = Config {
        username: "u".into(),
        password: "p".into(),
        impersonate: Impersonation {
            user_name: "ann".into(),
            groups: vec!["a".into(), "b".into()],
            ..Impersonation::default()
        },
        user_agent: "agent/1".into(),
        ..peer.config()
    };
    let client = RestClient::unversioned(&config).unwrap();
    client.get().send().await.unwrap();
    client.get().header("authorization", "Bearer own").header("user-agent", "own").send().await.unwrap();
    let seen = peer.received();
    assert_eq!(seen[0].header("authorization"), Some("Basic dTpw"));
    assert_eq!(seen[0].header("impersonate-user"), Some("ann"));
    assert_eq!(seen[0].headers.iter().filter(|(n, _)| n == "impersonate-group").count(), 2);
    assert_eq!(seen[0].header("user-agent"), Some("agent/1"));
    assert_eq!((seen[1].header("authorization"), seen[1].header("user-agent")), (Some("Bearer own"), Some("own")));
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_origin() {
    let other = Peer::start([json(200, "{}")]).await;
    let location = format!("http://{}/there", other.address);
    let peer =
        Peer::start([answer(302, &[("location", "/here")], ""), answer(302, &[("location", &location)], "")]).await;
    ask(&Config { bearer_token: "t".into(), ..peer.config() }).await.unwrap();
    assert!(peer.received().iter().all(|r| r.header("authorization") == Some("Bearer t")));
    assert_eq!(other.received()[0].line, "GET /there");
    assert_eq!(other.received()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_redirect_that_keeps_the_method_keeps_the_body() {
    let peer = Peer::start([answer(307, &[("location", "/again")], ""), json(200, "{}")]).await;
    let client = RestClient::unversioned(&peer.config()).unwrap();
    client.post().body("body").send().await.unwrap().object().unwrap();
    assert_eq!((peer.received()[1].line.as_str(), peer.received()[1].body.as_slice()), ("POST /again", &b"body"[..]));
}

#[tokio::test]
async fn compressed_answers_are_unpacked() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, b"{\"kind\":\"Pod\"}").unwrap();
    let body = encoder.finish().unwrap();
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let bytes: Vec<_> = head(200, &headers, Some(body.len())).into_iter().chain(body).collect();
    let peer = Peer::start([Act::Answer(bytes)]).await;
    assert_eq!(ask(&peer.config()).await.unwrap()["kind"], "Pod");
    let plain = Peer::start([json(200, "{}")]).await;
    ask(&Config { disable_compression: true, ..plain.config() }).await.unwrap();
    assert_eq!(plain.received()[0].header("accept-encoding"), None);
}

#[tokio::test]
async fn clones_of_a_configuration_share_connections() {
    let peer = Peer::start([json(200, "{}")]).await;
    let config = peer.config();
    let (first, second) =
        (RestClient::unversioned(&config).unwrap(), RestClient::unversioned(&config.clone()).unwrap());
    first.get().send().await.unwrap();
    second.get().send().await.unwrap();
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn the_seam_sees_requests_without_credentials() {
    let peer = Peer::start([json(200, "{}")]).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let wrap = move |inner: Transport| {
        let noted = noted.clone();
        Transport::new(tower::service_fn(move |request: HttpRequest<Body>| {
            noted.lock().push(request.uri().path().to_owned());
            let inner = inner.clone();
            async move { inner.send(request).await }
        }))
    };
    ask(&Config { wrap_transport: Some(Arc::new(wrap)), ..peer.config() }).await.unwrap();
    assert_eq!(*seen.lock(), ["/x"]);
}

#[tokio::test]
async fn a_401_renews_a_token_file_at_once_in_the_better_mode() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "old").unwrap();
    let peer = Peer::start([json(200, "{}"), answer(401, &[], ""), json(200, "{}")]).await;
    let config = Config { bearer_token_file: Some(file.clone()), renew_credentials_on_401: true, ..peer.config() };
    let client = RestClient::unversioned(&config).unwrap();
    client.get().send().await.unwrap();
    std::fs::write(&file, "new").unwrap();
    assert!(client.get().send().await.unwrap().error().is_none());
    let tokens: Vec<_> = peer.received().iter().map(|r| r.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(tokens, ["Bearer old", "Bearer old", "Bearer new"]);
}

#[tokio::test]
async fn the_answers_status_is_kept() {
    let peer = Peer::start([json(201, r#"{"kind":"Pod","apiVersion":"v1"}"#)]).await;
    let (client, _) = peer.client();
    let response = client
        .post()
        .namespace("default")
        .resource("pods")
        .object(&serde_json::json!({"kind": "Pod"}))
        .send()
        .await
        .unwrap();
    assert!(response.was_created());
    assert_eq!(response.status_code(), StatusCode::CREATED);
    let seen = &peer.received()[0];
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("accept"), Some("application/json, */*"));
    assert_eq!(seen.header("accept-encoding"), Some("gzip"));
    assert!(seen.header("user-agent").unwrap().ends_with("kubernetes/unknown"));
}

// === limits of client-go's one timeout, each for itself ===

/// A server that answers with a head and an event, or with nothing, and then falls silent.
fn silent(head: bool) -> Config {
    let transport = Transport::new(tower::service_fn(move |_: HttpRequest<Body>| async move {
        if !head {
            std::future::pending::<()>().await;
        }
        let event = bytes::Bytes::from_static(br#"{"type":"ADDED","object":{"kind":"Pod"}}"#);
        let chunks = futures::stream::iter([Ok::<_, TransportError>(http_body::Frame::data(event))]);
        let body = http_body_util::StreamBody::new(futures::StreamExt::chain(chunks, futures::stream::pending()));
        Ok(http::Response::new(Body::wrap(body)))
    }));
    Config { transport: Some(transport), ..Config::new("http://silent") }
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_head_does_not_come_is_given_up() {
    let config = Config { response_head_timeout: Some(Duration::from_secs(3)), ..silent(false) };
    let begun = tokio::time::Instant::now();
    let error = ask(&config).await.unwrap_err();
    assert_eq!(error.transport().unwrap().kind(), TransportKind::Timeout);
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_falls_silent_is_given_up_and_a_watch_just_ends() {
    let config = Config { body_idle_timeout: Some(Duration::from_secs(3)), ..silent(true) };
    let client = RestClient::unversioned(&config).unwrap();
    let error = ask(&config).await.unwrap_err();
    assert!(matches!(&error, Error::Body { source, .. } if source.kind() == TransportKind::Timeout), "{error}");
    let begun = tokio::time::Instant::now();
    let mut watch = client.get().abs_path(&["/x"]).watch().await.unwrap();
    assert_eq!(watch.next().await.unwrap().kind, WatchEventType::Added);
    assert!(watch.next().await.is_none());
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
}

#[tokio::test]
async fn sizes_of_bodies_are_told() {
    #[derive(Default)]
    struct Sizes(Mutex<Vec<String>>);
    impl RequestMetrics for Sizes {
        fn request_size(&self, verb: &str, _: &str, bytes: usize) {
            self.0.lock().push(format!("{verb} sent {bytes}"));
        }
        fn response_size(&self, verb: &str, _: &str, bytes: usize) {
            self.0.lock().push(format!("{verb} received {bytes}"));
        }
    }
    let peer = Peer::start([json(200, "{}")]).await;
    let sizes = Arc::new(Sizes::default());
    let client = RestClient::unversioned(&Config { metrics: Some(sizes.clone()), ..peer.config() }).unwrap();
    client.post().body("12345").send().await.unwrap();
    client.get().send().await.unwrap();
    assert_eq!(*sizes.0.lock(), ["POST sent 5", "POST received 2", "GET received 2"]);
}
