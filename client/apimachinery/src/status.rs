//! `Status`: what an API server answers when it has no object to give, above all its refusals.
//!
//! Counterpart: apimachinery `meta/v1.Status` and `api/errors`. One constructor per case, with the wording and the
//! details of kube-apiserver 1.36. Members are declared in wire order, so serialising gives the real byte order.

use crate::field::{self, FieldError};
use crate::gvk::{GroupKind, GroupResource};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Machine-readable reasons (`metav1.StatusReason`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum StatusReason {
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    StoreReadError,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
    /// Any reason this list does not know, kept as written.
    Other(String),
}

impl StatusReason {
    /// The wire word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Invalid => "Invalid",
            Self::ServerTimeout => "ServerTimeout",
            Self::StoreReadError => "StorageReadError",
            Self::Timeout => "Timeout",
            Self::TooManyRequests => "TooManyRequests",
            Self::BadRequest => "BadRequest",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::InternalError => "InternalError",
            Self::Expired => "Expired",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for StatusReason {
    fn from(word: String) -> Self {
        match word.as_str() {
            "Unauthorized" => Self::Unauthorized,
            "Forbidden" => Self::Forbidden,
            "NotFound" => Self::NotFound,
            "AlreadyExists" => Self::AlreadyExists,
            "Conflict" => Self::Conflict,
            "Gone" => Self::Gone,
            "Invalid" => Self::Invalid,
            "ServerTimeout" => Self::ServerTimeout,
            "StorageReadError" => Self::StoreReadError,
            "Timeout" => Self::Timeout,
            "TooManyRequests" => Self::TooManyRequests,
            "BadRequest" => Self::BadRequest,
            "MethodNotAllowed" => Self::MethodNotAllowed,
            "NotAcceptable" => Self::NotAcceptable,
            "RequestEntityTooLarge" => Self::RequestEntityTooLarge,
            "UnsupportedMediaType" => Self::UnsupportedMediaType,
            "InternalError" => Self::InternalError,
            "Expired" => Self::Expired,
            "ServiceUnavailable" => Self::ServiceUnavailable,
            _ => Self::Other(word),
        }
    }
}

impl From<StatusReason> for String {
    fn from(reason: StatusReason) -> Self {
        reason.as_str().to_owned()
    }
}

/// `Success` or `Failure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The request did what was asked.
    Success,
    /// The request was refused or failed.
    #[default]
    Failure,
}

/// One finding behind a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusCause {
    /// Cause type, such as `FieldValueInvalid`; empty when the server gives none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Human text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path of the field, such as `spec.ports[0].name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// What the refusal is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusDetails {
    /// Object name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Plural resource, or the Kind in `Invalid` answers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Object uid, in answers to DELETE.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The findings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// Seconds after which a retry makes sense; also sent as `Retry-After`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// List metadata of a Status; only an expired continue token fills it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusMeta {
    /// A token with which the rest of an expired list may still be read.
    #[serde(default, rename = "continue", skip_serializing_if = "String::is_empty")]
    pub continue_token: String,
    /// Always empty on a Status; present so that foreign servers' answers survive.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
}

/// A `v1.Status` object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Always `Status`.
    #[serde(default)]
    pub kind: String,
    /// Always `v1`.
    #[serde(default)]
    pub api_version: String,
    /// List metadata.
    #[serde(default)]
    pub metadata: StatusMeta,
    /// Success or failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Outcome>,
    /// Human text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Machine-readable reason; missing on plain 500 answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<StatusReason>,
    /// Details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<StatusDetails>,
    /// HTTP status code.
    #[serde(default, skip_serializing_if = "is_zero_code")]
    pub code: u16,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero_code(n: &u16) -> bool {
    *n == 0
}

impl Status {
    /// A refusal with a code, a reason and a message, without details.
    #[must_use]
    pub fn failure(code: u16, reason: StatusReason, message: impl Into<String>) -> Self {
        Self {
            kind: "Status".into(),
            api_version: "v1".into(),
            metadata: StatusMeta::default(),
            status: Some(Outcome::Failure),
            message: message.into(),
            reason: Some(reason),
            details: None,
            code,
        }
    }

    /// The answer to an error that is no API error: code 500, no reason, no details.
    #[must_use]
    pub fn bare500(message: impl Into<String>) -> Self {
        Self { reason: None, ..Self::failure(500, StatusReason::InternalError, message) }
    }

    /// The answer to a DELETE that removed the object at once: `Success` with details, no code.
    #[must_use]
    pub fn deleted(gr: &GroupResource, name: &str, uid: &str) -> Self {
        let details = StatusDetails { uid: uid.into(), ..details_of(gr, name) };
        Self {
            status: Some(Outcome::Success),
            reason: None,
            details: Some(details),
            code: 0,
            ..Self::failure(0, StatusReason::Other(String::new()), "")
        }
    }

    /// `Success` with a code and nothing else, as bindings and evictions answer (201).
    #[must_use]
    pub fn success(code: u16) -> Self {
        Self { status: Some(Outcome::Success), reason: None, ..Self::failure(code, StatusReason::InternalError, "") }
    }

    /// Replaces the details.
    #[must_use]
    pub fn details(mut self, details: StatusDetails) -> Self {
        self.details = Some(details);
        self
    }

    /// Adds a cause, creating the details where there are none.
    #[must_use]
    pub fn cause(mut self, reason: &str, message: impl Into<String>, field: &str) -> Self {
        let cause = StatusCause { reason: reason.into(), message: message.into(), field: field.into() };
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// Sets `details.retryAfterSeconds`; the server sends the `Retry-After` header from it.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    /// 404: `pods "a" not found`.
    #[must_use]
    pub fn not_found(gr: &GroupResource, name: &str) -> Self {
        Self::failure(404, StatusReason::NotFound, format!("{gr} {name:?} not found")).details(details_of(gr, name))
    }

    /// 404 for a path below a built-in prefix that routes nowhere.
    #[must_use]
    pub fn no_such_resource() -> Self {
        Self::failure(404, StatusReason::NotFound, "the server could not find the requested resource")
            .details(StatusDetails::default())
    }

    /// 409: `configmaps "c" already exists`.
    #[must_use]
    pub fn already_exists(gr: &GroupResource, name: &str) -> Self {
        Self::failure(409, StatusReason::AlreadyExists, format!("{gr} {name:?} already exists"))
            .details(details_of(gr, name))
    }

    /// 409: `Operation cannot be fulfilled on configmaps "c": <why>`.
    #[must_use]
    pub fn conflict(gr: &GroupResource, name: &str, why: impl fmt::Display) -> Self {
        Self::failure(409, StatusReason::Conflict, format!("Operation cannot be fulfilled on {gr} {name:?}: {why}"))
            .details(details_of(gr, name))
    }

    /// 409 for a stale resourceVersion.
    #[must_use]
    pub fn modified(gr: &GroupResource, name: &str) -> Self {
        Self::conflict(
            gr,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 403: `configmaps "c" is forbidden: <why>` (`configmaps is forbidden: <why>` without a name).
    #[must_use]
    pub fn forbidden(gr: &GroupResource, name: &str, why: impl fmt::Display) -> Self {
        let message = match (gr.resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{gr} is forbidden: {why}"),
            (false, false) => format!("{gr} {name:?} is forbidden: {why}"),
        };
        Self::failure(403, StatusReason::Forbidden, message).details(details_of(gr, name))
    }

    /// 401, always the same text.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::failure(401, StatusReason::Unauthorized, "Unauthorized")
    }

    /// 400 with a message.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, StatusReason::BadRequest, message)
    }

    /// 405 for a method that the path does not know.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let text = "the server does not allow this method on the requested resource";
        Self::failure(405, StatusReason::MethodNotAllowed, text).details(StatusDetails::default())
    }

    /// 413 for a body over the limit (bytes).
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let text = format!("Request entity too large: limit is {limit}");
        Self::failure(413, StatusReason::RequestEntityTooLarge, text)
    }

    /// 500 with the `Internal error occurred:` prefix and the error as the only cause.
    #[must_use]
    pub fn internal_error(why: impl fmt::Display) -> Self {
        Self::failure(500, StatusReason::InternalError, format!("Internal error occurred: {why}")).cause(
            "",
            why.to_string(),
            "",
        )
    }

    /// 410 with reason `Expired`.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, StatusReason::Expired, message)
    }

    /// 429 with a message and a retry hint in seconds.
    #[must_use]
    pub fn too_many_requests(message: impl Into<String>, retry_after: u32) -> Self {
        Self::failure(429, StatusReason::TooManyRequests, message).retry_after(retry_after)
    }

    /// 504: `Timeout: <why>`.
    #[must_use]
    pub fn timeout(why: impl fmt::Display) -> Self {
        Self::failure(504, StatusReason::Timeout, format!("Timeout: {why}"))
    }

    /// 422 for an object: message with the errors joined (duplicates dropped), causes with all of them.
    ///
    /// Counterpart: `errors.NewInvalid`. One error prints bare, several print as `[a, b]`.
    #[must_use]
    pub fn invalid(gk: &GroupKind, name: &str, errors: &[FieldError]) -> Self {
        let message = format!("{gk} {name:?} is invalid: {}", field::aggregate(errors));
        let causes = errors
            .iter()
            .map(|e| StatusCause { reason: e.kind.reason().into(), message: e.body(), field: e.field.clone() })
            .collect();
        Self::failure(422, StatusReason::Invalid, message).details(StatusDetails {
            name: name.into(),
            group: gk.group.clone(),
            kind: gk.kind.clone(),
            causes,
            ..StatusDetails::default()
        })
    }

    /// The retry hint in seconds, if there is one.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.details.as_ref().map(|d| d.retry_after_seconds).filter(|s| *s > 0)
    }

    /// Whether the reason is this one.
    #[must_use]
    pub fn is(&self, reason: &StatusReason) -> bool {
        self.reason.as_ref() == Some(reason)
    }
}

fn details_of(gr: &GroupResource, name: &str) -> StatusDetails {
    StatusDetails { name: name.into(), group: gr.group.clone(), kind: gr.resource.clone(), ..StatusDetails::default() }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason.as_ref().map_or("", StatusReason::as_str);
        write!(f, "{} {reason}: {}", self.code, self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_serialises_in_the_servers_member_order() {
        let status = Status::not_found(&GroupResource::new("apps", "deployments"), "d");
        let want = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"d\" not found","reason":"NotFound","details":{"name":"d","group":"apps","kind":"deployments"},"code":404}"#;
        assert_eq!(serde_json::to_string(&status).unwrap(), want);
    }

    #[test]
    fn a_plain_500_has_neither_reason_nor_details() {
        let text = serde_json::to_string(&Status::bare500("boom")).unwrap();
        assert_eq!(
            text,
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"boom","code":500}"#
        );
    }

    #[test]
    fn duplicate_errors_stay_in_the_causes_and_leave_the_message() {
        let e = FieldError::required("spec.a", "");
        let status = Status::invalid(&GroupKind::new("", "Pod"), "p", &[e.clone(), e]);
        assert_eq!(status.message, "Pod \"p\" is invalid: spec.a: Required value");
        assert_eq!(status.details.unwrap().causes.len(), 2);
    }
}
