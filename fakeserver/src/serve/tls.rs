//! TLS of a server: proper handshakes, and improper ones for fault rules.
//!
//! Counterpart: apiserver `server/secure_serving.go`.

use super::StartError;
use super::assemble::make_authority;
use crate::auth::{self, CertificateAuthority};
use crate::clock::Clock;
use rehearsal_faults::HandshakeFailure;
use rustls::DigitallySignedStruct;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use std::net::IpAddr;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What handshakes need: the proper configuration, and what improper ones are made of.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    authority: Arc<CertificateAuthority>,
    /// The names that the server goes by.
    names: Arc<[String]>,
    protocols: &'static [&'static [u8]],
}

const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];
const HTTP1: &[&[u8]] = &[b"http/1.1"];

impl Tls {
    /// For a server that listens at `hosts`.
    pub(super) fn new(authority: Arc<CertificateAuthority>, hosts: &[IpAddr], http2: bool) -> Result<Self, StartError> {
        let names: Arc<[String]> = names(hosts).into();
        let protocols = if http2 { BOTH } else { HTTP1 };
        let identity = authority.server_cert(&borrowed(&names)).map_err(certificates)?;
        Ok(Self { acceptor: tls_acceptor(&identity, protocols)?, authority, names, protocols })
    }

    /// A configuration with which handshakes fail, or agree on less. `None` for what fails without one.
    pub(super) fn failing(&self, failure: HandshakeFailure, clock: &Clock) -> Option<TlsAcceptor> {
        let names = borrowed(&self.names);
        let (identity, protocols) = match failure {
            HandshakeFailure::ExpiredCertificate => (self.authority.expired_server_cert(&names), self.protocols),
            HandshakeFailure::WrongName => (self.authority.server_cert(&["elsewhere.example"]), self.protocols),
            HandshakeFailure::UnknownAuthority => (make_authority(clock).ok()?.server_cert(&names), self.protocols),
            HandshakeFailure::NoHttp2 => (self.authority.server_cert(&names), HTTP1),
            HandshakeFailure::Plaintext | HandshakeFailure::Alert | HandshakeFailure::Stall => return None,
        };
        tls_acceptor(&identity.ok()?, protocols).ok()
    }
}

fn names(hosts: &[IpAddr]) -> Vec<String> {
    let service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.0.0.1"];
    let local = ["localhost", "127.0.0.1", "::1"];
    let mut names: Vec<String> = local.into_iter().chain(service).map(str::to_owned).collect();
    for host in hosts.iter().map(ToString::to_string) {
        if !names.contains(&host) {
            names.push(host);
        }
    }
    names
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn certificates(error: impl std::fmt::Display) -> StartError {
    StartError::Certificates(error.to_string())
}

fn tls_acceptor(identity: &auth::Identity, protocols: &[&[u8]]) -> Result<TlsAcceptor, StartError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(AnyClientCertificate(provider.clone()));
    let key = PrivateKeyDer::try_from(identity.key_der.clone()).map_err(certificates)?;
    let chain = vec![CertificateDer::from(identity.der.clone())];
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(certificates)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(certificates)?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Takes any client certificate at the handshake: whether it is good is the authenticator's question, and its answer is
/// a 401, not a broken handshake (Go `tls.RequestClientCert`).
#[derive(Debug)]
struct AnyClientCertificate(Arc<rustls::crypto::CryptoProvider>);

impl ClientCertVerifier for AnyClientCertificate {
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
