//! TLS as the configuration asks for it, with certificates that are read again when their files change.
//!
//! Counterpart: client-go `transport/tls_cache.go` and `cert_rotation.go`. A client certificate is looked at before each
//! handshake, at most once a second; a CA file at most every five minutes. A change closes the connections made before.

use crate::clock;
use crate::config::{ConfigError, ExecAuthenticator, TlsConfig};
use crate::error::{TransportError, TransportKind};
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// client-go: a handshake looks at the files at most this often.
const CERT_CHECK: Duration = Duration::from_secs(1);
/// client-go `caRefreshDuration`, and the background check of certificates.
const SLOW_CHECK: Duration = Duration::from_secs(5 * 60);

/// Certificate chain and key, as PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) cert: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

struct State {
    identity: Option<Identity>,
    ca: Option<Vec<u8>>,
    client: Arc<ClientConfig>,
    /// Cancelled when connections made with this state must not live on.
    alive: CancellationToken,
    cert_checked: Instant,
    ca_checked: Instant,
}

/// Makes rustls configurations, and replaces them as material changes.
pub(crate) struct Tls {
    config: TlsConfig,
    alpn: Vec<Vec<u8>>,
    exec: Option<Arc<ExecAuthenticator>>,
    state: Mutex<State>,
}

impl Tls {
    pub(crate) fn new(
        config: &TlsConfig,
        http2: bool,
        exec: Option<Arc<ExecAuthenticator>>,
    ) -> Result<Self, ConfigError> {
        let alpn = if config.next_protos.is_empty() {
            if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] }
        } else {
            config.next_protos.iter().filter(|p| http2 || *p != "h2").map(|p| p.clone().into_bytes()).collect()
        };
        let identity = config.identity()?;
        let ca = config.ca_pem()?;
        let client = build(config, identity.as_ref(), ca.as_deref(), &alpn)?;
        let now = clock::now();
        let state = State { identity, ca, client, alive: CancellationToken::new(), cert_checked: now, ca_checked: now };
        Ok(Self { config: config.clone(), alpn, exec, state: Mutex::new(state) })
    }

    /// What the next handshake uses, and the token that ends its connection.
    pub(crate) async fn handshake(&self) -> Result<(Arc<ClientConfig>, CancellationToken), TransportError> {
        if let Some(exec) = &self.exec {
            let credential =
                exec.credential().await.map_err(|e| TransportError::with_source(TransportKind::Credentials, e))?;
            self.adopt(credential.identity.clone());
        }
        self.refresh(CERT_CHECK);
        let state = self.state.lock();
        Ok((state.client.clone(), state.alive.clone()))
    }

    /// Called for each request: looks at files that have not been looked at for five minutes.
    pub(crate) fn look(&self) {
        self.refresh(SLOW_CHECK);
    }

    /// The name to verify instead of the host of the URL.
    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>, TransportError> {
        let name = if self.config.server_name.is_empty() { host } else { &self.config.server_name };
        ServerName::try_from(name.to_owned())
            .map_err(|_| TransportError::new(TransportKind::Tls, format!("{name:?} is no server name")))
    }

    fn refresh(&self, cert_age: Duration) {
        let now = clock::now();
        let mut state = self.state.lock();
        if self.config.rotates_cert() && now.saturating_duration_since(state.cert_checked) >= cert_age {
            state.cert_checked = now;
            match self.config.identity() {
                Ok(identity) if identity != state.identity => self.rebuild(&mut state, identity, None),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(target: "client::tls", %error, "client certificate unreadable, keeping the last one");
                }
            }
        }
        if self.config.rotates_ca() && now.saturating_duration_since(state.ca_checked) >= SLOW_CHECK {
            state.ca_checked = now;
            match self.config.ca_pem() {
                Ok(ca) if ca != state.ca => {
                    let identity = state.identity.clone();
                    self.rebuild(&mut state, identity, Some(ca));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(target: "client::tls", %error, "CA bundle unreadable, keeping the last one");
                }
            }
        }
    }

    fn adopt(&self, identity: Option<Identity>) {
        let mut state = self.state.lock();
        if identity != state.identity {
            self.rebuild(&mut state, identity, None);
        }
    }

    fn rebuild(&self, state: &mut State, identity: Option<Identity>, ca: Option<Option<Vec<u8>>>) {
        let ca = ca.unwrap_or_else(|| state.ca.clone());
        match build(&self.config, identity.as_ref(), ca.as_deref(), &self.alpn) {
            Ok(client) => {
                tracing::info!(target: "client::tls", "TLS material changed, closing connections made with the old");
                std::mem::replace(&mut state.alive, CancellationToken::new()).cancel();
                (state.identity, state.ca, state.client) = (identity, ca, client);
            }
            Err(error) => {
                tracing::warn!(target: "client::tls", %error, "new TLS material is unusable, keeping the last");
            }
        }
    }
}

fn build(
    config: &TlsConfig,
    identity: Option<&Identity>,
    ca: Option<&[u8]>,
    alpn: &[Vec<u8>],
) -> Result<Arc<ClientConfig>, ConfigError> {
    let bad = |e: rustls::Error| ConfigError::Invalid(format!("TLS: {e}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(bad)?;
    let builder = if config.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
    } else {
        builder.with_root_certificates(roots(ca)?)
    };
    let mut client = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = certificates(&identity.cert)?;
            let key = PrivateKeyDer::from_pem_slice(&identity.key)
                .map_err(|_| ConfigError::Invalid("client key holds no PEM private key".into()))?;
            builder.with_client_auth_cert(chain, key).map_err(bad)?
        }
    };
    client.alpn_protocols = alpn.to_vec();
    Ok(Arc::new(client))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(ConfigError::Invalid("no PEM certificate found".into())),
    }
}

/// The given bundle replaces the system's roots; without one, these are read from where Go looks for them.
fn roots(ca: Option<&[u8]>) -> Result<RootCertStore, ConfigError> {
    let mut store = RootCertStore::empty();
    match ca {
        Some(pem) => {
            let (added, _) = store.add_parsable_certificates(certificates(pem)?);
            if added == 0 {
                return Err(ConfigError::Invalid("unable to load root certificates".into()));
            }
        }
        None => {
            let given = std::env::var("SSL_CERT_FILE").ok();
            let places = given.as_deref().into_iter().chain(SYSTEM_ROOTS);
            if let Some(pem) = places.into_iter().find_map(|p| std::fs::read(p).ok()) {
                store.add_parsable_certificates(certificates(&pem).unwrap_or_default());
            }
        }
    }
    Ok(store)
}

/// Go `crypto/x509/root_linux.go` and its siblings.
const SYSTEM_ROOTS: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// `insecure-skip-tls-verify`: any certificate will do.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
