//! CertificateSubjectRestriction: nobody signs himself into `system:masters`.
//!
//! CertificateApproval and CertificateSigning ask the authorizer and are checked where it lives.

use super::Attributes;
use crate::strategies::access::{spec, str_at};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;
use x509_parser::prelude::{FromDer, Pem, X509CertificationRequest};

const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
const MASTERS: &str = "system:masters";

pub(super) fn validate(at: &Attributes<'_>, object: &Value) -> Result<(), Status> {
    if !at.is_create("certificates.k8s.io", "certificatesigningrequests")
        || str_at(spec(object), "signerName") != SIGNER
        || !asks_for_masters(str_at(spec(object), "request"))
    {
        return Ok(());
    }
    Err(at.forbidden(Some(object), format!("use of {SIGNER} signer with {MASTERS} group is not allowed")))
}

fn asks_for_masters(request: &str) -> bool {
    let pem = STANDARD.decode(request).unwrap_or_default();
    let Some(Ok(block)) = Pem::iter_from_buffer(&pem).next() else { return false };
    let Ok((_, request)) = X509CertificationRequest::from_der(&block.contents) else { return false };
    request.certification_request_info.subject.iter_organization().any(|o| o.as_str() == Ok(MASTERS))
}
