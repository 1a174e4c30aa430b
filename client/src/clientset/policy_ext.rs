//! Evictions by way of the policy group.
//!
//! Counterpart: client-go `kubernetes/typed/policy/v1` `EvictionExpansion`. The request goes to the pod in the core
//! group, as there.

use super::{PolicyV1, TypedResource};
use crate::error::Error;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;

/// Evictions of a namespace.
#[derive(Clone, Debug)]
pub struct Evictions(TypedResource<Pod>);

impl PolicyV1 {
    /// Evictions of a namespace.
    #[must_use]
    pub fn evictions(&self, namespace: &str) -> Evictions {
        Evictions(TypedResource::namespaced(self.rest_client(), namespace))
    }
}

impl Evictions {
    /// Asks for the pod that the eviction names to be evicted.
    ///
    /// # Errors
    /// As [`TypedResource::evict`].
    pub async fn evict(&self, eviction: &Eviction) -> Result<(), Error> {
        self.0.evict(eviction).await
    }
}
