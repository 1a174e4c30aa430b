//! Authentication, authorization and what hangs on them: pure decisions over headers, certificates and stored objects.
//!
//! Counterpart: apiserver `authentication`, `authorization` and their endpoint filters, plus RBAC and the service
//! account token code of kube-apiserver. Nothing here speaks HTTP or writes to the store; the middleware calls
//! [`Authenticator::authenticate`], then [`Impersonator::impersonate`], then [`Authority::check`].

mod aggregation;
mod attributes;
mod authn;
mod certificates;
mod client_cert;
mod escalation;
mod impersonation;
mod jwt;
mod kubeconfig;
mod names;
mod policy;
mod rbac;
mod reviews;
mod secret;
mod service_account;
mod signers;
#[cfg(test)]
mod testing;
mod token_file;
mod token_request;

pub use aggregation::aggregate;
pub use attributes::{Decision, RequestAttributes, forbidden};
pub use authn::{AuthenticationMode, Authenticator, TokenVerdict, administrator, anonymous, websocket_protocols};
pub use certificates::{Authority as CertificateAuthority, CertificateError, Identity};
pub use client_cert::ClientCas;
pub use escalation::{check_escalation, uncovered};
pub use impersonation::Impersonator;
pub use jwt::{Signer, openid_configuration};
pub use kubeconfig::{Credentials, kubeconfig, write_atomically};
pub use policy::{PolicyRule, RoleRef};
pub use rbac::{Authority, Authorizer, MASTERS, PolicyCache, RBAC_GROUP, Rules, full_authority, is_master};
pub use reviews::{ReviewContext, review};
pub use secret::Token;
pub use service_account::{TokenIssuer, group_names, split_username, username};
pub use signers::{check_approval, check_signing, check_subject, may_use_signer};
pub use token_file::{TokenFileError, TokenTable};
pub use token_request::TokenRequest;
