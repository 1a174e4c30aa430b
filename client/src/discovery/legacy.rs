//! Discovery the old way: `APIVersions`, `APIGroupList`, and one `APIResourceList` a version.
//!
//! Counterpart: client-go `discovery.LegacyDiscovery…` and `fetchGroupVersionResources`.

use super::{ApiGroup, ApiResourceList};
use crate::error::Error;
use rehearsal_apimachinery::GroupVersion;
use serde_json::Value;

/// Reads `APIVersions` as the core group.
pub(super) fn core_group(value: &Value) -> Option<ApiGroup> {
    let versions: Vec<String> = strings(value.get("versions")?);
    let preferred_version = versions.first()?.clone();
    Some(ApiGroup { name: String::new(), versions, preferred_version })
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// Reads `APIGroupList`.
pub(super) fn groups(value: &Value) -> Vec<ApiGroup> {
    let text = |v: &Value, pointer: &str| v.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = value.get("groups").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .map(|group| {
            let versions = group.get("versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            ApiGroup {
                name: text(group, "/name"),
                versions: versions.iter().map(|v| text(v, "/version")).collect(),
                preferred_version: text(group, "/preferredVersion/version"),
            }
        })
        .collect()
}

/// Where the resources of a version are listed.
pub(super) fn path(gv: &GroupVersion) -> String {
    let prefix = if gv.group.is_empty() { "/api" } else { "/apis" };
    format!("{prefix}/{gv}")
}

/// Reads the answer for one version. A core v1 that is not there is an empty one.
pub(super) fn resources(gv: &GroupVersion, answer: Result<ApiResourceList, Error>) -> Result<ApiResourceList, Error> {
    match answer {
        Err(error) if *gv == GroupVersion::new("", "v1") && error.is_not_found() => {
            Ok(ApiResourceList { group_version: gv.to_string(), resources: Vec::new() })
        }
        Ok(mut list) => {
            list.group_version = gv.to_string();
            Ok(list)
        }
        error => error,
    }
}
