//! What a request says about the bodies that belong to it: which resource, where, from which lane.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rehearsal_apimachinery::catalog::{Catalog, ResourceFacts};
use rehearsal_apimachinery::request_info::RequestInfo;

use super::kinds;
use crate::format::model::Request;

/// The request a body or header belongs to. One a call: clones share the memory of a log that is streamed line by line
/// and stands within a private key.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The lane, as it is called in the tape's header; empty if unknown.
    pub lane: String,
    /// What the path asks for.
    pub info: RequestInfo,
    within_key: Arc<AtomicBool>,
}

impl Context {
    /// The context of everything that belongs to a request, given its method and its path without the query.
    #[must_use]
    pub fn new(lane: &str, method: &str, path: &str) -> Self {
        let info = RequestInfo::parse(method, path, &Vec::new()).unwrap_or_default();
        Self { lane: lane.to_owned(), info, within_key: Arc::default() }
    }

    /// The context of a recorded request.
    #[must_use]
    pub fn of(lane: &str, request: &Request) -> Self {
        Self::new(lane, &request.method, &request.path)
    }

    /// The kind of the bodies that name none, such as merge patches; empty if unknown.
    pub(super) fn kind(&self) -> &'static str {
        match (self.info.resource.as_str(), self.info.subresource.as_str()) {
            ("secrets", _) => "Secret",
            ("serviceaccounts", "token") => "TokenRequest",
            ("tokenreviews", _) => "TokenReview",
            (_, "status" | "finalize" | "approval" | "") => self.built_in(),
            _ => "",
        }
    }

    fn built_in(&self) -> &'static str {
        let is_it = |f: &&ResourceFacts| f.resource == self.info.resource && f.group == self.info.group;
        Catalog::builtin().resources.iter().find(is_it).map_or("", |facts| facts.kind.as_str())
    }

    /// Whether bodies that cannot be read must not be kept.
    pub(super) fn is_sensitive(&self) -> bool {
        kinds::is_sensitive(self.kind())
    }

    /// Whether the frame before this one left a private key open.
    pub(super) fn is_within_key(&self) -> bool {
        self.within_key.load(Ordering::Relaxed)
    }

    pub(super) fn set_within_key(&self, within: bool) {
        self.within_key.store(within, Ordering::Relaxed);
    }

    /// Whether the path leads to documents about types, which hold no user's values.
    pub(super) fn is_schema(&self) -> bool {
        self.info.path.starts_with("/openapi/") || self.info.path == "/version"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Context {
        Context::new("sut", "PATCH", path)
    }

    #[test]
    fn bodies_without_a_kind_are_of_the_resource() {
        assert_eq!(of("/api/v1/namespaces/a/secrets/b").kind(), "Secret");
        assert_eq!(of("/api/v1/namespaces/a/serviceaccounts/b/token").kind(), "TokenRequest");
        assert_eq!(of("/apis/apps/v1/namespaces/a/deployments/b").kind(), "Deployment");
        assert_eq!(of("/api/v1/namespaces/a/pods/b/log").kind(), "");
        assert!(of("/apis/authentication.k8s.io/v1/tokenreviews").is_sensitive());
        assert!(!of("/api/v1/pods").is_sensitive());
    }
}
