//! [`PartialObjectMetadata`]: what all objects have in common, and nothing else.
//!
//! Counterpart: apimachinery `meta/v1.PartialObjectMetadata`.

use super::Resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rehearsal_apimachinery::{GroupVersion, GroupVersionKind};
use serde::{Deserialize, Serialize};

/// Annotation of the bookmark that ends the initial events of a streaming list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Kind and metadata of an object of any kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PartialObjectMetadata {
    /// `apiVersion` of the object; of the view itself when a server sent it as such.
    pub api_version: String,
    /// `kind` of the object; of the view itself when a server sent it as such.
    pub kind: String,
    /// `metadata`.
    pub metadata: ObjectMeta,
}

impl PartialObjectMetadata {
    /// The metadata-only view of an object.
    #[must_use]
    pub fn of<K: Resource>(object: &K) -> Self {
        Self { api_version: K::API_VERSION.to_owned(), kind: K::KIND.to_owned(), metadata: object.metadata().clone() }
    }

    /// Group, version and kind; `None` when `apiVersion` is none.
    #[must_use]
    pub fn gvk(&self) -> Option<GroupVersionKind> {
        GroupVersion::parse(&self.api_version).map(|gv| gv.kind(&self.kind))
    }

    /// `metadata.resourceVersion`, empty when unset.
    #[must_use]
    pub fn resource_version(&self) -> &str {
        self.metadata.resource_version.as_deref().unwrap_or_default()
    }

    /// Whether this is the bookmark after the initial events of a streaming list.
    #[must_use]
    pub fn ends_initial_events(&self) -> bool {
        let annotations = self.metadata.annotations.as_ref();
        annotations.and_then(|a| a.get(INITIAL_EVENTS_END)).is_some_and(|v| v == "true")
    }
}
