//! A certificate authority that lives in memory and as long as the proxy: nothing is installed, nobody is intercepted,
//! clients are told of it in their kubeconfig.

use super::serve::ProxyError;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::IpAddr;
use std::sync::Arc;

/// Certificates are good for this many days: a recording is not meant to outlive them.
const DAYS: i64 = 30;

/// A CA and the one certificate it has signed.
pub struct Authority {
    pem: String,
    tls: Arc<ServerConfig>,
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
        let failed = |error: rcgen::Error| ProxyError::Certificates(error.to_string());
        let mut ca = params(now, "rehearsal-proxy-ca")?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().map_err(failed)?;
        let pem = ca.self_signed(&key).map_err(failed)?.pem();
        let issuer = Issuer::new(ca, key);

        let mut leaf = params(now, "rehearsal-proxy")?;
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in ["localhost", "127.0.0.1", "::1"].into_iter().chain(names.iter().map(String::as_str)) {
            leaf.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.try_into().map_err(failed)?),
            });
        }
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = leaf.signed_by(&key, &issuer).map_err(failed)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let refused = |error: rustls::Error| ProxyError::Certificates(error.to_string());
        let mut tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(refused)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { pem, tls: Arc::new(tls) })
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
