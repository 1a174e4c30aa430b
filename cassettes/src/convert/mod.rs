//! Tapes to and from what others read and write: manifests, HAR, audit logs.

mod audit;
mod har;
mod manifests;

pub use audit::{AuditError, from_audit_log};
pub use har::to_har;
pub use manifests::{Manifests, to_manifests};
