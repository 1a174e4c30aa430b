//! Tapes to and from what others read and write: manifests, HAR, audit logs.

mod audit;
mod from_har;
mod from_manifests;
mod har;
mod join;
mod manifests;

pub use audit::{AuditError, from_audit_log};
pub use from_har::{FromHar, HarError, from_har};
pub use from_manifests::{ManifestError, from_manifests};
pub use har::to_har;
pub use join::join_audit_log;
pub use manifests::{Manifests, to_manifests};
