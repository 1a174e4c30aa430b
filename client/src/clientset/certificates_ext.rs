//! Approval of certificate signing requests.
//!
//! Counterpart: the method `UpdateApproval` of client-go.

use super::TypedResource;
use crate::error::Error;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use rehearsal_apimachinery::UpdateOptions;

impl TypedResource<CertificateSigningRequest> {
    /// Writes the conditions that approve or deny.
    ///
    /// # Errors
    /// The server's refusal, or what kept its answer from arriving.
    pub async fn update_approval(
        &self,
        name: &str,
        request: &CertificateSigningRequest,
        options: &UpdateOptions,
    ) -> Result<CertificateSigningRequest, Error> {
        self.put(name, request, options, &["approval"]).await
    }
}
