//! Users by client certificate: CN is the user, O are the groups.
//!
//! Counterpart: apiserver `authentication/request/x509`. A certificate must be signed by one of the CAs directly, be
//! valid now and good for client authentication. Whether the peer holds its key is the TLS layer's matter.

use crate::strategies::UserInfo;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate, X509Name};

/// Attribute of a subject that carries the user's uid (apiserver `x509.asn1UIDObjectIdentifier`).
const UID_OID: &str = "1.3.6.1.4.1.57683.2";

/// The CAs whose certificates identify users, DER.
#[derive(Clone, Debug, Default)]
pub struct ClientCas(Vec<Vec<u8>>);

impl ClientCas {
    /// Trusts a CA certificate (DER).
    pub fn trust(&mut self, der: impl Into<Vec<u8>>) {
        self.0.push(der.into());
    }

    /// The user of a certificate (DER), `None` if the certificate is not good.
    #[must_use]
    pub fn user(&self, der: &[u8], now: Timestamp) -> Option<UserInfo> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let trusted = self.0.iter().any(|ca| is_signed_by(&certificate, ca, now));
        if !trusted || !is_valid(&certificate, now) || !is_for_clients(&certificate) {
            return None;
        }
        user_of(certificate.subject(), der)
    }
}

fn is_valid(certificate: &X509Certificate<'_>, now: Timestamp) -> bool {
    ASN1Time::from_timestamp(now.as_second()).is_ok_and(|at| certificate.validity().is_valid_at(at))
}

fn is_signed_by(certificate: &X509Certificate<'_>, ca: &[u8], now: Timestamp) -> bool {
    X509Certificate::from_der(ca).is_ok_and(|(_, ca)| {
        ca.subject() == certificate.issuer()
            && is_valid(&ca, now)
            && certificate.verify_signature(Some(ca.public_key())).is_ok()
    })
}

/// A certificate without extended key usages is good for everything.
fn is_for_clients(certificate: &X509Certificate<'_>) -> bool {
    match certificate.extended_key_usage() {
        Ok(Some(usages)) => usages.value.client_auth || usages.value.any,
        Ok(None) => true,
        Err(_) => false,
    }
}

fn user_of(subject: &X509Name<'_>, der: &[u8]) -> Option<UserInfo> {
    let name = subject.iter_common_name().last()?.as_str().ok()?;
    if name.is_empty() {
        return None;
    }
    let groups = subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned).collect();
    let uid = subject.iter_attributes().find(|a| a.attr_type().to_id_string() == UID_OID);
    let digest: String = Sha256::digest(der).iter().map(|b| format!("{b:02x}")).collect();
    let credential = ("authentication.kubernetes.io/credential-id".to_owned(), vec![format!("X509SHA256={digest}")]);
    Some(UserInfo {
        name: name.to_owned(),
        uid: uid.and_then(|a| a.as_str().ok()).unwrap_or_default().to_owned(),
        groups,
        extra: [credential].into(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::certificates::Authority;
    use super::*;
    use jiff::SignedDuration;

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    #[test]
    fn a_certificate_names_user_and_groups() {
        let authority = Authority::generate(now()).unwrap();
        let mut cas = ClientCas::default();
        cas.trust(authority.der());
        let certificate = authority.client_cert("jane", &["devs", "ops"]).unwrap();
        let user = cas.user(&certificate.der, now()).unwrap();
        assert_eq!((user.name.as_str(), user.groups), ("jane", vec!["devs".to_owned(), "ops".to_owned()]));
        assert!(user.extra["authentication.kubernetes.io/credential-id"][0].starts_with("X509SHA256="));
    }

    #[test]
    fn strangers_servers_and_the_expired_are_nobody() {
        let (ours, theirs) = (Authority::generate(now()).unwrap(), Authority::generate(now()).unwrap());
        let mut cas = ClientCas::default();
        cas.trust(ours.der());
        let good = ours.client_cert("jane", &[]).unwrap().der;
        assert!(cas.user(&good, now()).is_some());
        assert!(cas.user(&good, now() + SignedDuration::from_hours(24 * 366 * 20)).is_none());
        assert!(cas.user(&theirs.client_cert("jane", &[]).unwrap().der, now()).is_none());
        assert!(cas.user(&ours.server_cert(&["localhost"]).unwrap().der, now()).is_none());
        assert!(cas.user(b"junk", now()).is_none());
    }
}
