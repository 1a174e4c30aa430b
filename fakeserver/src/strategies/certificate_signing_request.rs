//! CertificateSigningRequest: the requester, and who may change which condition through which subresource.
//!
//! Counterpart: `registry/certificates/certificates` and `apis/certificates/validation`.

use super::access::{copy, has, int_at, list_at, list_mut, set, spec, str_at, strings_at};
use super::checks::{one_of, required_one_of};
use super::{Strategy, WriteContext};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation::is_dns1123_subdomain;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const DECISIONS: &[&str] = &["Approved", "Denied", "Failed"];

/// Hooks of CertificateSigningRequest.
#[derive(Clone, Copy, Debug)]
pub struct CertificateSigningRequestStrategy;

impl Strategy for CertificateSigningRequestStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = super::access::path_mut(object, &["spec"]).filter(|s| s.is_object())
            && !has(spec, "usages")
            && str_at(spec, "signerName").is_empty()
        {
            set(spec, "usages", json!(["digital signature", "key encipherment"]));
        }
    }

    fn prepare_create(&self, cx: &WriteContext<'_>, object: &mut Value) {
        let spec = &mut object["spec"];
        for name in ["username", "uid", "groups", "extra"] {
            super::access::remove(spec, name);
        }
        set(spec, "username", cx.user.name.clone());
        if !cx.user.uid.is_empty() {
            set(spec, "uid", cx.user.uid.clone());
        }
        if !cx.user.groups.is_empty() {
            set(spec, "groups", cx.user.groups.clone());
        }
        if !cx.user.extra.is_empty() {
            set(spec, "extra", json!(cx.user.extra));
        }
        set(object, "status", json!({}));
    }

    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
        copy(old, object, "spec");
        match cx.subresource {
            "approval" => {
                let conditions = object["status"]["conditions"].clone();
                copy(old, object, "status");
                set(&mut object["status"], "conditions", conditions);
                stamp(cx, object, old);
            }
            "status" => stamp(cx, object, old),
            _ => copy(old, object, "status"),
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        request(object)
    }

    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = request(object);
        errors.extend(conditions(object));
        let path = Path::new("status").child("conditions");
        for kind in DECISIONS {
            let of = |o: &Value| -> Vec<Value> {
                list_at(&o["status"], "conditions").iter().filter(|c| str_at(c, "type") == *kind).cloned().collect()
            };
            let (new, before) = (of(object), of(old));
            let may_add = match cx.subresource {
                "approval" => *kind != "Failed",
                "status" => *kind == "Failed",
                _ => false,
            };
            let verb = match (new.len(), before.len()) {
                (n, b) if n < b => "remove",
                (n, b) if n > b && !may_add => "add",
                (n, b) if n == b && new != before && !may_add => "modify",
                _ => continue,
            };
            errors.push(FieldError::forbidden(&path, format!("updates may not {verb} a condition of type {kind:?}")));
        }
        if cx.subresource == "status" {
            certificate(object, old, &mut errors);
        }
        errors
    }

    fn selectable_fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("spec.signerName", str_at(spec(object), "signerName").into())]
    }
}

fn stamp(cx: &WriteContext<'_>, object: &mut Value, old: &Value) {
    let now = cx.clock.now_rfc3339();
    let before = list_at(&old["status"], "conditions");
    for condition in list_mut(&mut object["status"], "conditions") {
        if !has(condition, "lastUpdateTime") {
            set(condition, "lastUpdateTime", now.clone());
        }
        if !has(condition, "lastTransitionTime") {
            let twin = before.iter().find(|c| c["type"] == condition["type"] && c["status"] == condition["status"]);
            let time = twin.map(|c| c["lastTransitionTime"].clone()).filter(|t| !t.is_null());
            set(condition, "lastTransitionTime", time.unwrap_or_else(|| now.clone().into()));
        }
    }
}

fn pem_block(text: &str, label: &str) -> bool {
    let bytes = STANDARD.decode(text).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    text.find(&begin).is_some_and(|at| text[at..].contains(&end))
}

fn request(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = Vec::new();
    if !pem_block(str_at(spec, "request"), "CERTIFICATE REQUEST")
        && !pem_block(str_at(spec, "request"), "NEW CERTIFICATE REQUEST")
    {
        let detail = "PEM block type must be CERTIFICATE REQUEST";
        errors.push(FieldError::invalid(path.child("request"), spec["request"].clone(), detail));
    }
    let usages: Vec<&str> = strings_at(spec, "usages").collect();
    if usages.is_empty() {
        errors.push(FieldError::required(path.child("usages"), ""));
    }
    let mut seen = BTreeSet::new();
    for (i, usage) in usages.iter().enumerate() {
        let at = path.child("usages").index(i);
        errors.extend(one_of(&at, usage, USAGES));
        if !seen.insert(usage) {
            errors.push(FieldError::duplicate(at, *usage));
        }
    }
    errors.extend(signer_name(&path.child("signerName"), str_at(spec, "signerName")));
    if let Some(seconds) = int_at(spec, "expirationSeconds").filter(|s| *s < 600) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid(path.child("expirationSeconds"), seconds, detail));
    }
    errors
}

/// Key usages, in the order in which refusals list them.
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

fn signer_name(path: &Path, name: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return errors;
    }
    let Some((domain, rest)) = name.split_once('/') else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid(path, name, detail));
        return errors;
    };
    errors.extend(
        is_dns1123_subdomain(domain)
            .into_iter()
            .map(|m| FieldError::invalid(path, domain, format!("validating signer domain {domain:?}: {m}"))),
    );
    if !domain.contains('.') {
        errors.push(FieldError::invalid(
            path,
            domain,
            "should be a domain with at least two segments separated by dots",
        ));
    }
    for part in rest.split('.') {
        errors.extend(
            is_dns1123_subdomain(part)
                .into_iter()
                .map(|m| FieldError::invalid(path, part, format!("validating label {part:?}: {m}"))),
        );
    }
    errors
}

fn conditions(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (i, condition) in list_at(&object["status"], "conditions").iter().enumerate() {
        let path = Path::new("status").child("conditions").index(i);
        let (kind, status) = (str_at(condition, "type"), str_at(condition, "status"));
        if kind.is_empty() {
            errors.push(FieldError::required(path.child("type"), ""));
        }
        let allowed: &[&str] = if DECISIONS.contains(&kind) { &["True"] } else { &["False", "True", "Unknown"] };
        errors.extend(required_one_of(&path.child("status"), status, allowed));
        let opposite = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if seen.contains(opposite) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.push(FieldError::invalid(path.child("type"), kind, detail));
        }
        if !seen.insert(kind) {
            errors.push(FieldError::duplicate(path.child("type"), kind));
        }
    }
    errors
}

fn certificate(object: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let path = Path::new("status").child("certificate");
    let (new, before) = (str_at(&object["status"], "certificate"), str_at(&old["status"], "certificate"));
    if !before.is_empty() && new != before {
        errors.push(FieldError::forbidden(
            &path,
            "updates may not set certificate content if existing certificate content is present",
        ));
    } else if !new.is_empty() && new != before && !pem_block(new, "CERTIFICATE") {
        let detail = "must contain at least one CERTIFICATE PEM block";
        errors.push(FieldError::invalid(&path, "<certificate data>", detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approval_and_denial_exclude_each_other() {
        let object = json!({"status": {"conditions": [{"type": "Approved", "status": "True"}, {"type": "Denied", "status": "True"}]}});
        let texts: Vec<_> = conditions(&object).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive"
            ]
        );
    }

    #[test]
    fn signer_names_are_a_domain_and_a_path() {
        let path = Path::new("spec.signerName");
        assert!(signer_name(&path, "example.com/x").is_empty());
        assert!(!signer_name(&path, "x").is_empty());
    }
}
