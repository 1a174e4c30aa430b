//! The way to the server: TLS, certificates that change, HTTP/2, proxies, redirects, compression, identities.

mod support;

use http::{Request as HttpRequest, Response, Version};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rehearsal_client::*;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use std::time::Duration;
use support::{Act, Peer, answer, head, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key for a name.
    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

#[derive(Clone, Debug)]
struct Seen {
    version: Version,
    /// Client certificate, if one was shown.
    client: Option<Vec<u8>>,
}

struct TlsPeer {
    address: String,
    authority: Authority,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl TlsPeer {
    async fn start(name: &str) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authority = Authority::new();
        let (cert, key) = authority.issue(name, ExtendedKeyUsagePurpose::ServerAuth);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let noted = seen.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve_tls(acceptor.clone(), stream, noted.clone()));
            }
        });
        Self { address, authority, seen, _tasks: tasks }
    }

    fn config(&self) -> Config {
        let tls = TlsConfig { ca_data: self.authority.pem.clone().into_bytes(), ..TlsConfig::default() };
        Config { tls, qps: Qps(-1.0), ..Config::new(format!("https://{}", self.address)) }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

async fn serve_tls(acceptor: TlsAcceptor, stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let client = stream.get_ref().1.peer_certificates().and_then(|c| c.first()).map(|c| c.to_vec());
    let service = service_fn(move |request: HttpRequest<hyper::body::Incoming>| {
        seen.lock().push(Seen { version: request.version(), client: client.clone() });
        let body = Full::new(bytes::Bytes::from_static(b"{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}"));
        let response = Response::builder().header("content-type", "application/json").body(body).unwrap();
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

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

/// Reads a CONNECT head or a SOCKS5 greeting, joins the two sides, and tells what was asked for.
async fn proxy(socks: bool) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut inner, _) = listener.accept().await.unwrap();
        let target = if socks {
            let mut greeting = [0; 4];
            inner.read_exact(&mut greeting).await.unwrap();
            assert_eq!(greeting, [5, 2, 0, 2]);
            inner.write_all(&[5, 2]).await.unwrap();
            let mut credentials = [0; 5];
            inner.read_exact(&mut credentials).await.unwrap();
            assert_eq!(credentials, [1, 1, b'u', 1, b'p']);
            inner.write_all(&[1, 0]).await.unwrap();
            let mut request = [0; 10];
            inner.read_exact(&mut request).await.unwrap();
            inner.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
            let port = u16::from_be_bytes([request[8], request[9]]);
            format!("{}.{}.{}.{}:{port}", request[4], request[5], request[6], request[7])
        } else {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(inner.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            tell.send(head.clone()).unwrap();
            inner.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            head.split(' ').nth(1).unwrap().to_owned()
        };
        tell.send(target.clone()).unwrap();
        let mut outer = TcpStream::connect(target).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
    });
    (address, told, tasks)
}

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

// === HTTP/2 that goes away ===

/// Takes `times` requests and answers each with GOAWAY; later connections are served.
async fn going_away(times: usize) -> (String, Authority, Arc<Mutex<usize>>, JoinSet<()>) {
    let authority = Authority::new();
    let (cert, key) = authority.issue("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth);
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let requests = Arc::new(Mutex::new(0));
    let counted = requests.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let gone = *counted.lock() < times;
            *counted.lock() += 1;
            if gone {
                go_away(acceptor.accept(stream).await.unwrap()).await;
            } else {
                serve_tls(acceptor.clone(), stream, Arc::default()).await;
            }
        }
    });
    (address, authority, requests, tasks)
}

/// Reads the preface and frames until HEADERS, then says GOAWAY after stream 1: taken, and never answered.
async fn go_away(mut stream: tokio_rustls::server::TlsStream<TcpStream>) {
    stream.read_exact(&mut [0; 24]).await.unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        if head[3] == 1 {
            break;
        }
    }
    stream.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]).await.unwrap();
    let _ = stream.shutdown().await;
}

#[tokio::test]
async fn row_68_goaway_repeats_a_get_and_not_a_post() {
    for (method, attempts) in [(http::Method::GET, 2), (http::Method::POST, 1)] {
        let (address, authority, requests, _tasks) = going_away(1).await;
        let tls = TlsConfig { ca_data: authority.pem.into_bytes(), ..TlsConfig::default() };
        let waits = Arc::new(support::Recorded::default());
        let config = Config { tls, backoff: Some(waits.clone()), ..Config::new(format!("https://{address}")) };
        let client = RestClient::unversioned(&config).unwrap();
        let result = client.verb(method.clone()).abs_path(&["/x"]).body("").send().await;
        assert_eq!(result.is_ok(), method == http::Method::GET, "{result:?}");
        assert_eq!((*requests.lock(), waits.seconds().len()), (attempts, attempts));
    }
}
