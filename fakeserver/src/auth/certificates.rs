//! The server's own certificate authority: server and client certificates, all P-256.
//!
//! Keys are made with the machine's randomness, validity is counted from the time given.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SigningKey as _, date_time_ymd,
};
use std::net::IpAddr;
use thiserror::Error;
use x509_parser::asn1_rs::{Any, FromDer as _};
use x509_parser::prelude::X509Certificate;

/// A certificate could not be made.
#[derive(Debug, Error)]
#[error("make certificate for {subject}")]
pub struct CertificateError {
    subject: String,
    source: rcgen::Error,
}

/// Life of every certificate, rounded down to midnight UTC.
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 365 * 10);
/// Certificates are valid from this much before the time they are made at (rounded down to midnight), for clocks
/// that lag.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The algorithm of rcgen's default keys, as an object identifier.
const ECDSA_WITH_SHA256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// A certificate authority.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
    now: Timestamp,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority([redacted])")
    }
}

/// A certificate with its key. `Debug` does not show the key.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// The certificate, PEM.
    pub pem: String,
    /// The private key, PKCS#8 DER.
    pub key_der: Vec<u8>,
    /// The private key, PKCS#8 PEM.
    pub key_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("pem", &self.pem).field("key", &"[redacted]").finish_non_exhaustive()
    }
}

impl Authority {
    /// A new CA, valid for ten years from `now`.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn generate(now: Timestamp) -> Result<Self, CertificateError> {
        let subject = "rehearsal-ca";
        let fail = |source| CertificateError { subject: subject.into(), source };
        let mut params = params(now, subject);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().map_err(fail)?;
        let certificate = params.self_signed(&key).map_err(fail)?;
        Ok(Self { certificate, issuer: Issuer::new(params, key), now })
    }

    /// The CA certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    /// The CA certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A serving certificate for DNS names and IP addresses.
    ///
    /// # Errors
    /// For a name that is no ASCII, or when the machine gives no randomness.
    pub fn server_cert(&self, names: &[&str]) -> Result<Identity, CertificateError> {
        self.server_cert_from(names, self.now)
    }

    fn server_cert_from(&self, names: &[&str], from: Timestamp) -> Result<Identity, CertificateError> {
        let mut params = params(from, "rehearsal-apiserver");
        for name in names {
            let fail = |source| CertificateError { subject: (*name).to_owned(), source };
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*name).try_into().map_err(fail)?),
            });
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params, "rehearsal-apiserver")
    }

    /// A serving certificate whose time was over long before now.
    ///
    /// # Errors
    /// As for [`server_cert`](Self::server_cert).
    pub fn expired_server_cert(&self, names: &[&str]) -> Result<Identity, CertificateError> {
        let long_ago = self.now.checked_sub(LIFE * 2).unwrap_or(Timestamp::UNIX_EPOCH);
        self.server_cert_from(names, long_ago)
    }

    /// A client certificate: `user` becomes the CN, each group an O.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn client_cert(&self, user: &str, groups: &[&str]) -> Result<Identity, CertificateError> {
        let mut params = params(self.now, user);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let identity = self.sign(params, user)?;
        if groups.is_empty() {
            return Ok(identity);
        }
        let fail = |source| CertificateError { subject: user.into(), source };
        let der = self.with_subject(&identity.der, &subject_der(user, groups)).map_err(fail)?;
        let pem = pem_of(&der);
        Ok(Identity { der, pem, ..identity })
    }

    /// The certificate with another subject, signed anew. rcgen's names hold an attribute type once only.
    fn with_subject(&self, der: &[u8], subject: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let broken = rcgen::Error::CouldNotParseCertificate;
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| broken.clone())?;
        let (_, body) = Any::from_der(certificate.tbs_certificate.as_ref()).map_err(|_| broken.clone())?;
        let old = certificate.subject().as_raw();
        let at = (old.as_ptr() as usize).saturating_sub(body.data.as_ptr() as usize);
        let (before, rest) = body.data.split_at_checked(at).ok_or_else(|| broken.clone())?;
        let after = rest.get(old.len()..).ok_or_else(|| broken.clone())?;
        let signed = tlv(SEQUENCE, &[before, subject, after].concat());
        let signature = self.issuer.key().sign(&signed)?;
        // A bit string begins with the number of its unused bits.
        let signature = tlv(BIT_STRING, &[&[0], signature.as_slice()].concat());
        let algorithm = tlv(SEQUENCE, &ECDSA_WITH_SHA256);
        Ok(tlv(SEQUENCE, &[signed, algorithm, signature].concat()))
    }

    fn sign(&self, mut params: CertificateParams, subject: &str) -> Result<Identity, CertificateError> {
        let fail = |source| CertificateError { subject: subject.into(), source };
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(fail)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(fail)?;
        Ok(Identity {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            key_der: key.serialize_der(),
            key_pem: key.serialize_pem(),
        })
    }
}

fn params(now: Timestamp, common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, DnValue::Utf8String(common_name.to_owned()));
    params.distinguished_name = subject;
    for (offset, bound) in [(-BACKDATED, &mut params.not_before), (LIFE, &mut params.not_after)] {
        if let Some((year, month, day)) = day(now.saturating_add(offset).unwrap_or(now)) {
            *bound = date_time_ymd(year, month, day);
        }
    }
    params
}

/// A subject of the O members and the CN, DER.
fn subject_der(common_name: &str, organizations: &[&str]) -> Vec<u8> {
    let member = |last: u8, value: &str| {
        let kind = tlv(OBJECT_IDENTIFIER, &[0x55, 0x04, last]);
        tlv(SET, &tlv(SEQUENCE, &[kind, tlv(UTF8_STRING, value.as_bytes())].concat()))
    };
    let groups = organizations.iter().map(|o| member(10, o));
    tlv(SEQUENCE, &groups.chain([member(3, common_name)]).collect::<Vec<_>>().concat())
}

/// One DER value: tag, length, content.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let length = &length[content.len().leading_zeros() as usize / 8..];
            out.push(0x80 | u8::try_from(length.len()).unwrap_or(8));
            out.extend(length);
        }
    }
    out.extend(content);
    out
}

fn pem_of(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// The day of a time, in the form rcgen wants.
fn day(at: Timestamp) -> Option<(i32, u8, u8)> {
    let date = TimeZone::UTC.to_datetime(at).date();
    Some((date.year().into(), date.month().try_into().ok()?, date.day().try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::pem::parse_x509_pem;

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    #[test]
    fn a_server_certificate_names_hosts_and_addresses() {
        let authority = Authority::generate(now()).unwrap();
        let identity = authority.server_cert(&["localhost", "127.0.0.1", "::1"]).unwrap();
        let (_, certificate) = X509Certificate::from_der(&identity.der).unwrap();
        let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(names.len(), 3);
        let (_, ca) = X509Certificate::from_der(authority.der()).unwrap();
        assert!(ca.is_ca());
        certificate.verify_signature(Some(ca.public_key())).unwrap();
        assert!(!format!("{identity:?}").contains("PRIVATE KEY"));
    }

    #[test]
    fn many_and_long_groups_fit_into_a_subject() {
        let authority = Authority::generate(now()).unwrap();
        let groups: Vec<String> = (0..40).map(|i| format!("{i}{}", "g".repeat(i))).collect();
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let identity = authority.client_cert("jane", &groups).unwrap();
        let (_, pem) = parse_x509_pem(identity.pem.as_bytes()).unwrap();
        assert_eq!(pem.contents, identity.der);
        let (_, certificate) = X509Certificate::from_der(&identity.der).unwrap();
        let found: Vec<&str> = certificate.subject().iter_organization().map(|o| o.as_str().unwrap()).collect();
        assert_eq!(found, groups);
        let (_, ca) = X509Certificate::from_der(authority.der()).unwrap();
        certificate.verify_signature(Some(ca.public_key())).unwrap();
    }

    #[test]
    fn certificates_are_valid_from_the_day_they_are_made() {
        let authority = Authority::generate(now()).unwrap();
        let (_, ca) = X509Certificate::from_der(authority.der()).unwrap();
        let valid = |at: i64| ca.validity().is_valid_at(x509_parser::time::ASN1Time::from_timestamp(at).unwrap());
        assert!(valid(now().as_second()));
        assert!(!valid(now().as_second() - 2 * 86_400));
        assert!(!valid(now().as_second() + 11 * 365 * 86_400));
    }
}
