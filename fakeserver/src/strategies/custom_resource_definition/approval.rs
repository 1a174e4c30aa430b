//! Groups of the Kubernetes community need an approval to be named in an annotation.
//!
//! Counterpart: apiextensions-apiserver `apihelpers` and `controller/apiapproval`.

use super::names::{condition as make, set_condition};
use rehearsal_apimachinery::ObjectMeta;
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::Value;

const ANNOTATION: &str = "api-approved.kubernetes.io";
const POLICY: &str = "https://github.com/kubernetes/enhancements/pull/1111";

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Missing,
    Bypassed,
    Approved,
    Invalid,
}

/// Whether the group of a CRD belongs to the Kubernetes community.
pub(crate) fn is_protected(crd: &Value) -> bool {
    let group = crd["spec"]["group"].as_str().unwrap_or_default();
    ["k8s.io", "kubernetes.io"].iter().any(|p| group == *p || group.ends_with(&format!(".{p}")))
}

fn annotation(crd: &Value) -> &str {
    crd.annotations().and_then(|a| a.get(ANNOTATION)).and_then(Value::as_str).unwrap_or_default()
}

fn state(crd: &Value) -> (State, String) {
    let text = annotation(crd);
    let host = text.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && !rest.is_empty() && !rest.starts_with('/') && !rest.contains(' ')
    });
    match text {
        "" => (State::Missing, format!("protected groups must have approval annotation {ANNOTATION:?}, see {POLICY}")),
        t if t.starts_with("unapproved") => (State::Bypassed, format!("not approved: {t:?}")),
        t if host => (State::Approved, format!("approved in {t}")),
        _ => {
            let text = format!(
                "protected groups must have approval annotation {ANNOTATION:?} with either a URL or a reason starting \
                 with \"unapproved\", see {POLICY}"
            );
            (State::Invalid, text)
        }
    }
}

/// The error of a missing or unreadable approval, unless it was so before.
pub(super) fn validate(crd: &Value, old: Option<&Value>) -> Option<FieldError> {
    if !is_protected(crd) {
        return None;
    }
    let (now, reason) = state(crd);
    if old.is_some_and(|o| state(o).0 == now) {
        return None;
    }
    let path = Path::new("metadata").child("annotations").key(ANNOTATION);
    match now {
        State::Invalid => Some(FieldError::invalid(path, annotation(crd), reason)),
        State::Missing => Some(FieldError::required(path, reason)),
        State::Approved | State::Bypassed => None,
    }
}

/// Says in a condition how a protected group was approved.
pub(crate) fn condition(crd: &Value, status: &mut Value, now: &str) {
    if !is_protected(crd) {
        return;
    }
    let (state, message) = state(crd);
    let (is, reason) = match state {
        State::Approved => (true, "ApprovedAnnotation"),
        State::Bypassed => (false, "UnapprovedAnnotation"),
        State::Missing => (false, "MissingAnnotation"),
        State::Invalid => (false, "InvalidAnnotation"),
    };
    set_condition(status, &make("KubernetesAPIApprovalPolicyConformant", is, reason, &message), now);
}
