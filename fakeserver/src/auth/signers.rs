//! Who may approve, sign and attest for a certificate signer.
//!
//! Counterpart: admission plugins CertificateApproval, CertificateSigning and CertificateSubjectRestriction, and
//! `pkg/controller/certificates/authorization`. Conditions themselves are the strategy's matter.

use super::attributes::RequestAttributes;
use super::policy::text;
use super::rbac::{Authority, MASTERS};
use crate::strategies::UserInfo;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rehearsal_apimachinery::field::go_quote;
use rehearsal_apimachinery::gvk::GroupResource;
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;

const CERTIFICATES_GROUP: &str = "certificates.k8s.io";
/// The signer whose certificates identify clients of the API server.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// Whether a user holds a verb (`approve`, `sign`, `attest`) on a signer, or on all signers of its domain.
#[must_use]
pub fn may_use_signer(authority: &Authority<'_>, user: &UserInfo, verb: &str, signer: &str) -> bool {
    let about = |name: &str| {
        let mut question = RequestAttributes::resource(user.clone(), verb, CERTIFICATES_GROUP, "signers").name(name);
        question.version = "*".into();
        question
    };
    let domain = signer.split('/').next().unwrap_or_default();
    authority.allows(&about(signer)) || authority.allows(&about(&format!("{domain}/*")))
}

/// Checks a write of `certificatesigningrequests/approval`.
///
/// # Errors
/// 403 when the user may not approve for the signer.
pub fn check_approval(authority: &Authority<'_>, user: &UserInfo, old: &Value) -> Result<(), Status> {
    check(authority, user, "approve", old)
}

/// Checks a write of `certificatesigningrequests/status`; writes that leave certificate and conditions alone pass.
///
/// # Errors
/// 403 when the user may not sign for the signer.
pub fn check_signing(authority: &Authority<'_>, user: &UserInfo, new: &Value, old: &Value) -> Result<(), Status> {
    let same = |path: &str| new.pointer(path) == old.pointer(path);
    if same("/status/certificate") && same("/status/conditions") {
        return Ok(());
    }
    check(authority, user, "sign", old)
}

fn check(authority: &Authority<'_>, user: &UserInfo, verb: &str, request: &Value) -> Result<(), Status> {
    let signer = signer_of(request);
    if may_use_signer(authority, user, verb, &signer) {
        return Ok(());
    }
    let why = format!("user not permitted to {verb} requests with signerName {}", go_quote(&signer));
    Err(refuse(request, &why))
}

fn signer_of(request: &Value) -> String {
    request.get("spec").map(|spec| text(spec, "signerName")).unwrap_or_default()
}

fn refuse(request: &Value, why: &str) -> Status {
    Status::forbidden(&GroupResource::new(CERTIFICATES_GROUP, "certificatesigningrequests"), request.name(), why)
}

/// Checks the create of a CertificateSigningRequest: nobody asks for a client certificate of system:masters.
///
/// # Errors
/// 403 for such a request, or for one that cannot be parsed.
pub fn check_subject(request: &Value) -> Result<(), Status> {
    if signer_of(request) != CLIENT_SIGNER {
        return Ok(());
    }
    let groups = request.pointer("/spec/request").and_then(Value::as_str).and_then(organizations);
    let groups =
        groups.ok_or_else(|| refuse(request, "failed to parse CSR: PEM block type must be CERTIFICATE REQUEST"))?;
    if groups.iter().any(|g| g == MASTERS) {
        return Err(refuse(request, &format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed")));
    }
    Ok(())
}

/// The O members of the subject of a request (base64 of PEM).
fn organizations(request: &str) -> Option<Vec<String>> {
    let pem = STANDARD.decode(request).ok()?;
    let (_, block) = parse_x509_pem(&pem).ok()?;
    let (_, parsed) = X509CertificationRequest::from_der(&block.contents).ok()?;
    let subject = &parsed.certification_request_info.subject;
    Some(subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::super::rbac::Authorizer;
    use super::super::testing::{Shelves, user};
    use super::*;
    use serde_json::json;

    fn request(signer: &str) -> Value {
        json!({"metadata": {"name": "c"}, "spec": {"signerName": signer}, "status": {}})
    }

    fn approver(names: &[&str]) -> Shelves {
        Shelves::default()
            .with("clusterroles.rbac.authorization.k8s.io", json!({"metadata": {"name": "a"}, "rules": [
                {"verbs": ["approve", "sign"], "apiGroups": [CERTIFICATES_GROUP], "resources": ["signers"], "resourceNames": names}]}))
            .with("clusterrolebindings.rbac.authorization.k8s.io", json!({"metadata": {"name": "a"},
                "subjects": [{"kind": "User", "name": "u"}], "roleRef": {"kind": "ClusterRole", "name": "a"}}))
    }

    #[test]
    fn a_signer_is_granted_by_name_or_by_domain() {
        for (names, signer, allowed) in [
            (["example.com/a"], "example.com/a", true),
            (["example.com/*"], "example.com/a", true),
            (["example.com/a"], "example.com/b", false),
        ] {
            let (cluster, authorizer) = (approver(&names), Authorizer::rbac());
            let got = check_approval(&authorizer.at(&cluster, 1), &user("u", &[]), &request(signer));
            assert_eq!(got.is_ok(), allowed, "{names:?} {signer}");
        }
    }

    #[test]
    fn refusals_name_the_signer() {
        let (cluster, authorizer) = (Shelves::default(), Authorizer::rbac());
        let refusal =
            check_approval(&authorizer.at(&cluster, 1), &user("u", &[]), &request("example.com/a")).unwrap_err();
        assert_eq!(
            refusal.message,
            "certificatesigningrequests.certificates.k8s.io \"c\" is forbidden: user not permitted to approve requests with signerName \"example.com/a\""
        );
    }

    #[test]
    fn a_status_write_that_signs_nothing_needs_no_right() {
        let (cluster, authorizer, old) = (Shelves::default(), Authorizer::rbac(), request("example.com/a"));
        let mut new = old.clone();
        let check = |new: &Value| check_signing(&authorizer.at(&cluster, 1), &user("u", &[]), new, &old);
        assert_eq!(check(&new), Ok(()));
        new["status"]["certificate"] = json!("x");
        assert!(check(&new).is_err());
    }

    #[test]
    fn nobody_becomes_a_master_by_certificate() {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, MASTERS);
        let pem = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap();
        let mut object = request(CLIENT_SIGNER);
        object["spec"]["request"] = STANDARD.encode(pem).into();
        assert_eq!(
            check_subject(&object).unwrap_err().message,
            "certificatesigningrequests.certificates.k8s.io \"c\" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
        );
        object["spec"]["signerName"] = "example.com/a".into();
        assert_eq!(check_subject(&object), Ok(()));
    }
}
