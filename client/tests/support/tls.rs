//! A peer that speaks TLS, by choice HTTP/2, with an authority of its own.

use http::{Request as HttpRequest, Response, Version};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rehearsal_client::{Config, Qps, TlsConfig};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key for a name.
    pub fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

#[derive(Clone, Debug)]
pub struct Seen {
    pub version: Version,
    /// Client certificate, if one was shown.
    pub client: Option<Vec<u8>>,
    /// `Authorization`, if there was one.
    pub token: Option<String>,
}

/// Answers every request with a Pod, but those whose path ends in `/hang` never.
pub struct TlsPeer {
    pub address: String,
    pub authority: Authority,
    seen: Arc<Mutex<Vec<Seen>>>,
    arrived: watch::Receiver<usize>,
    connections: Arc<Mutex<usize>>,
    _tasks: JoinSet<()>,
}

/// A server's TLS for a name; client certificates of the same authority are looked at, none is required.
pub fn server_config(name: &str, authority: &Authority) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (cert, key) = authority.issue(name, ExtendedKeyUsagePurpose::ServerAuth);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .unwrap();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap()
}

impl TlsPeer {
    pub async fn start(name: &str) -> Self {
        let authority = Authority::new();
        let mut config = server_config(name, &authority);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (seen, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (tell, arrived) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (noted, opened) = (seen.clone(), connections.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                *opened.lock() += 1;
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                connections.spawn(serve_tls(stream, noted.clone(), tell.clone()));
            }
        });
        Self { address, authority, seen, arrived, connections, _tasks: tasks }
    }

    pub fn config(&self) -> Config {
        let tls = TlsConfig { ca_data: self.authority.pem.clone().into_bytes(), ..TlsConfig::default() };
        Config { tls, qps: Qps(-1.0), ..Config::new(format!("https://{}", self.address)) }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub fn tokens(&self) -> Vec<Option<String>> {
        self.seen.lock().iter().map(|s| s.token.clone()).collect()
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock()
    }

    /// Waits until so many requests have arrived.
    pub async fn until(&self, requests: usize) {
        self.arrived.clone().wait_for(|n| *n >= requests).await.unwrap();
    }
}

pub async fn serve_tls(stream: TlsStream<TcpStream>, seen: Arc<Mutex<Vec<Seen>>>, tell: watch::Sender<usize>) {
    let client = stream.get_ref().1.peer_certificates().and_then(|c| c.first()).map(|c| c.to_vec());
    let service = service_fn(move |request: HttpRequest<hyper::body::Incoming>| {
        let token = request.headers().get("authorization").map(|v| v.to_str().unwrap().to_owned());
        seen.lock().push(Seen { version: request.version(), client: client.clone(), token });
        tell.send_modify(|n| *n += 1);
        let hang = request.uri().path().ends_with("/hang");
        async move {
            if hang {
                std::future::pending::<()>().await;
            }
            let body = Full::new(bytes::Bytes::from_static(b"{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}"));
            let response = Response::builder().header("content-type", "application/json").body(body).unwrap();
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}
