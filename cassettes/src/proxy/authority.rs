//! A certificate authority that lives in memory and as long as the proxy: nothing is installed, nobody is intercepted,
//! clients are told of it in their kubeconfig.

use super::serve::ProxyError;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rehearsal_faults::HandshakeFailure;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::IpAddr;
use std::sync::Arc;

/// Certificates are good for this many days: a recording is not meant to outlive them.
const DAYS: i64 = 30;

/// HTTP/2 and HTTP/1.1.
const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];

/// A CA and the certificate it has signed.
pub struct Authority {
    pem: String,
    tls: Arc<ServerConfig>,
    issuer: Issuer<'static, KeyPair>,
    now: Timestamp,
    names: Vec<String>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// A new authority and a serving certificate for `localhost`, `127.0.0.1`, `::1` and `names`, good from an hour
    /// before `now` (clocks differ) for thirty days. HTTP/2 and HTTP/1.1 are offered.
    ///
    /// # Errors
    /// For a name that is no host name, or when the machine gives no randomness.
    pub fn generate(now: Timestamp, names: &[String]) -> Result<Self, ProxyError> {
        let mut ca = params(now, "rehearsal-proxy-ca")?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let pem = ca.self_signed(&key).map_err(|error| failed(&error))?.pem();
        let issuer = Issuer::new(ca, key);
        let tls = signed(&issuer, &leaf(now, &own_names(names))?, BOTH)?;
        Ok(Self { pem, tls, issuer, now, names: names.to_vec() })
    }

    /// A configuration with which handshakes fail, or agree on less. None for what fails without one.
    pub(crate) fn failing(&self, failure: HandshakeFailure) -> Option<Arc<ServerConfig>> {
        let own = own_names(&self.names);
        let made = match failure {
            HandshakeFailure::ExpiredCertificate => {
                let then = self.now.checked_sub(SignedDuration::from_hours(24 * (DAYS + 3))).ok()?;
                leaf(then, &own).and_then(|leaf| signed(&self.issuer, &leaf, BOTH))
            }
            HandshakeFailure::WrongName => {
                leaf(self.now, &["elsewhere.example"]).and_then(|leaf| signed(&self.issuer, &leaf, BOTH))
            }
            HandshakeFailure::UnknownAuthority => Self::generate(self.now, &self.names).map(|other| other.tls),
            HandshakeFailure::NoHttp2 => leaf(self.now, &own).and_then(|leaf| signed(&self.issuer, &leaf, &BOTH[1..])),
            HandshakeFailure::Plaintext | HandshakeFailure::Alert | HandshakeFailure::Stall => return None,
        };
        made.ok()
    }

    /// The CA certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn tls(&self) -> Arc<ServerConfig> {
        self.tls.clone()
    }
}

fn failed(error: &rcgen::Error) -> ProxyError {
    ProxyError::Certificates(error.to_string())
}

fn own_names(more: &[String]) -> Vec<&str> {
    ["localhost", "127.0.0.1", "::1"].into_iter().chain(more.iter().map(String::as_str)).collect()
}

/// What a serving certificate says.
fn leaf(now: Timestamp, names: &[&str]) -> Result<CertificateParams, ProxyError> {
    let mut leaf = params(now, "rehearsal-proxy")?;
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for name in names {
        leaf.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName((*name).try_into().map_err(|error| failed(&error))?),
        });
    }
    Ok(leaf)
}

/// The configuration of a server with such a certificate.
fn signed(
    issuer: &Issuer<'static, KeyPair>,
    leaf: &CertificateParams,
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, ProxyError> {
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let certificate = leaf.signed_by(&key, issuer).map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let refused = |error: rustls::Error| ProxyError::Certificates(error.to_string());
    let mut tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .map_err(refused)?;
    tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(tls))
}

fn params(now: Timestamp, name: &str) -> Result<CertificateParams, ProxyError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let shifted = |by: SignedDuration| now.checked_add(by).unwrap_or(now).as_second();
    let date = |seconds: i64| {
        let time = Timestamp::from_second(seconds).unwrap_or(now).to_zoned(jiff::tz::TimeZone::UTC);
        let part = |value: i8| u8::try_from(value).unwrap_or(1);
        rcgen::date_time_ymd(i32::from(time.year()), part(time.month()), part(time.day()))
    };
    // Whole days: the first one has begun, the last one ends.
    params.not_before = date(shifted(SignedDuration::from_hours(-1)));
    params.not_after = date(shifted(SignedDuration::from_hours(24 * (DAYS + 1))));
    Ok(params)
}
