//! The wire form of custom resources: what `derive(CustomResource)` reads and writes its objects through.
//!
//! Not meant to be named by hand. Keeping it here keeps the generated code short and its meaning testable.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

/// What an object is read from.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomObject<Spec, Status> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    /// `metadata`
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// `spec`
    pub spec: Spec,
    /// `status`
    #[serde(default = "Option::default")]
    pub status: Option<Status>,
}

impl<Spec, Status> CustomObject<Spec, Status> {
    /// Refuses an object of another kind; one that names none is taken.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn check<E: serde::de::Error>(self, api_version: &str, kind: &str) -> Result<Self, E> {
        let right = |found: &str, wanted: &str| found.is_empty() || found == wanted;
        if right(&self.api_version, api_version) && right(&self.kind, kind) {
            return Ok(self);
        }
        Err(E::custom(format!(
            "expected {api_version}, Kind={kind}, received {}, Kind={}",
            self.api_version, self.kind
        )))
    }
}

/// What an object is written as.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomObjectRef<'a, Spec, Status> {
    /// `apiVersion`
    pub api_version: &'a str,
    /// `kind`
    pub kind: &'a str,
    /// `metadata`
    pub metadata: &'a ObjectMeta,
    /// `spec`
    pub spec: &'a Spec,
    /// `status`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'a Status>,
}
