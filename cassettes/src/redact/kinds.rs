//! Which members of which kinds are secret by their place. Data, not code: a kind with a new secret member is a new
//! row here. What is secret by its name or looks is in [`super::names`] and [`super::detect`].

/// What happens to everything at and below a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Base64 of a secret.
    Bytes,
    /// A secret as it stands.
    Text,
    /// A user, a group, an id of one: pseudonymised unless it is the system's own.
    Identity,
    /// Prose that may quote users and values.
    Message,
}

/// A secret member of a kind.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) kind: &'static str,
    /// Members from the object's root; `*` is any member or item.
    pub(super) path: &'static [&'static str],
    pub(super) treatment: Treatment,
}

const fn row(kind: &'static str, path: &'static [&'static str], treatment: Treatment) -> Row {
    Row { kind, path, treatment }
}

use Treatment::{Bytes, Identity, Message, Text};

/// Sorted by kind.
const ROWS: &[Row] = &[
    row("AdmissionReview", &["request", "userInfo"], Identity),
    row("AdmissionReview", &["response", "status", "message"], Message),
    row("CertificateSigningRequest", &["spec", "request"], Bytes),
    row("CertificateSigningRequest", &["spec", "username"], Identity),
    row("CertificateSigningRequest", &["spec", "uid"], Identity),
    row("CertificateSigningRequest", &["spec", "groups"], Identity),
    row("CertificateSigningRequest", &["spec", "extra"], Identity),
    row("CertificateSigningRequest", &["status", "certificate"], Bytes),
    // Of the audit log.
    row("Event", &["user"], Identity),
    row("Event", &["impersonatedUser"], Identity),
    row("LocalSubjectAccessReview", &["spec", "user"], Identity),
    row("LocalSubjectAccessReview", &["spec", "uid"], Identity),
    row("LocalSubjectAccessReview", &["spec", "groups"], Identity),
    row("LocalSubjectAccessReview", &["spec", "extra"], Identity),
    row("PodCertificateRequest", &["spec", "pkixPublicKey"], Bytes),
    row("PodCertificateRequest", &["spec", "proofOfPossession"], Bytes),
    row("PodCertificateRequest", &["spec", "stubPKCS10Request"], Bytes),
    row("PodCertificateRequest", &["status", "certificateChain"], Text),
    row("Secret", &["data"], Bytes),
    row("Secret", &["stringData"], Text),
    row("SelfSubjectReview", &["status", "userInfo"], Identity),
    row("Status", &["message"], Message),
    row("Status", &["details", "causes", "*", "message"], Message),
    row("SubjectAccessReview", &["spec", "user"], Identity),
    row("SubjectAccessReview", &["spec", "uid"], Identity),
    row("SubjectAccessReview", &["spec", "groups"], Identity),
    row("SubjectAccessReview", &["spec", "extra"], Identity),
    row("TokenRequest", &["status", "token"], Text),
    row("TokenReview", &["spec", "token"], Text),
    row("TokenReview", &["status", "error"], Message),
    row("TokenReview", &["status", "user"], Identity),
];

/// Kinds whose bodies are not kept when they cannot be read.
const SENSITIVE: [&str; 5] =
    ["CertificateSigningRequest", "PodCertificateRequest", "Secret", "TokenRequest", "TokenReview"];

/// The rows of a kind.
pub(super) fn rows(kind: &str) -> &'static [Row] {
    let start = ROWS.partition_point(|row| row.kind < kind);
    let length = ROWS[start..].iter().take_while(|row| row.kind == kind).count();
    &ROWS[start..start + length]
}

pub(super) fn is_sensitive(kind: &str) -> bool {
    SENSITIVE.contains(&kind.strip_suffix("List").unwrap_or(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_found() {
        assert!(ROWS.is_sorted_by_key(|row| row.kind));
        assert_eq!(rows("Secret").len(), 2);
        assert!(rows("Pod").is_empty() && rows("").is_empty() && rows("Zzz").is_empty());
        assert!(SENSITIVE.iter().all(|kind| !rows(kind).is_empty()));
        assert!(is_sensitive("SecretList") && !is_sensitive("List"));
    }
}
