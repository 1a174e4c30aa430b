//! TLS without a library's opinion of how it ended.

use super::{PATIENCE, Wire};
use rehearsal::Cluster;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A stream above TLS that trusts the cluster's authority.
pub(crate) type Tls = tokio_rustls::client::TlsStream<TcpStream>;

/// Shakes hands; `http2` offers it and nothing else.
pub(crate) async fn tls(cluster: &Cluster, http2: bool) -> std::io::Result<Tls> {
    tls_at(cluster, cluster.server().address(), http2).await
}

/// The same at another of the cluster's addresses.
pub(crate) async fn tls_at(cluster: &Cluster, address: SocketAddr, http2: bool) -> std::io::Result<Tls> {
    use base64::Engine as _;
    crate::proof::spoken(if http2 { Wire::Http2 } else { Wire::Http1 });
    let kubeconfig = cluster.kubeconfig().unwrap();
    let line = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("certificate-authority-data:")).unwrap();
    let text = base64::engine::general_purpose::STANDARD.decode(line.trim().trim_matches('"')).unwrap();
    let pem = String::from_utf8(text).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der.into()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let stream = TcpStream::connect(address).await?;
    timeout(PATIENCE, connector.connect(name, stream)).await.expect("a stalled handshake")
}
