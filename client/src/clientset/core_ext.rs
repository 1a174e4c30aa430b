//! What single resources of the core group have beyond the verbs.
//!
//! Counterpart: client-go `kubernetes/typed/core/v1/{namespace,node}_expansion.go` and the generated `CreateToken`.
//! Pods and events have files of their own.

use super::TypedResource;
use super::handle::{ask, in_json};
use crate::error::Error;
use crate::rest::PatchType;
use http::Method;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, Node, ServiceAccount};
use rehearsal_apimachinery::{CreateOptions, PatchOptions, UpdateOptions};

impl TypedResource<Namespace> {
    /// Replaces the finalizers in the spec, as whoever holds back a deletion does when it is done.
    ///
    /// # Errors
    /// The server's refusal, or what kept its answer from arriving.
    pub async fn finalize(&self, namespace: &Namespace, options: &UpdateOptions) -> Result<Namespace, Error> {
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        ask(&in_json(self.object(Method::PUT, name, &["finalize"])?.params(options), namespace)).await
    }
}

impl TypedResource<Node> {
    /// Patches the status with a strategic merge patch.
    ///
    /// # Errors
    /// The server's refusal, or what kept its answer from arriving.
    pub async fn patch_status(&self, name: &str, patch: impl Into<bytes::Bytes> + Send) -> Result<Node, Error> {
        self.patch(name, PatchType::Strategic, patch, &PatchOptions::default(), &["status"]).await
    }
}

impl TypedResource<ServiceAccount> {
    /// Asks for a token of the service account; it is in the status of the answer.
    ///
    /// # Errors
    /// The server's refusal, or what kept its answer from arriving.
    pub async fn create_token(
        &self,
        name: &str,
        request: &TokenRequest,
        options: &CreateOptions,
    ) -> Result<TokenRequest, Error> {
        ask(&self.object(Method::POST, name, &["token"])?.params(options).object(request)).await
    }
}
