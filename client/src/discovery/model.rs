//! Groups, versions and resources as both flavours of discovery tell them.

use crate::discovery::GroupDiscoveryFailed;
use crate::error::Error;
use rehearsal_apimachinery::GroupVersion;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A group with its versions, in the server's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiGroup {
    /// Name; empty for the core group.
    pub name: String,
    /// Versions, such as `v1`.
    pub versions: Vec<String>,
    /// The version to use unless told otherwise.
    pub preferred_version: String,
}

impl ApiGroup {
    /// Its versions with the group's name.
    pub fn group_versions(&self) -> impl Iterator<Item = GroupVersion> + '_ {
        self.versions.iter().map(|v| GroupVersion::new(&self.name, v))
    }
}

/// A resource, or a subresource when the name contains a slash. (`meta/v1.APIResource`)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiResource {
    /// Plural name.
    pub name: String,
    /// Singular name; may be empty.
    #[serde(deserialize_with = "null_is_default")]
    pub singular_name: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Group of the kind where it differs from the list's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Version of the kind where it differs from the list's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Kind of the objects.
    pub kind: String,
    /// What can be done.
    #[serde(deserialize_with = "null_is_default")]
    pub verbs: Vec<String>,
    /// Abbreviations.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub short_names: Vec<String>,
    /// Groupings such as `all`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub categories: Vec<String>,
}

fn null_is_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// The resources of a group-version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiResourceList {
    /// `v1`, `apps/v1`.
    pub group_version: String,
    /// Resources and subresources.
    #[serde(deserialize_with = "null_is_default")]
    pub resources: Vec<ApiResource>,
}

/// Everything that was learned, and what could not be.
#[derive(Clone, Debug, Default)]
pub struct Discovered {
    /// Groups in the server's order, core first.
    pub groups: Vec<ApiGroup>,
    /// Resources by group-version.
    pub resources: BTreeMap<GroupVersion, ApiResourceList>,
    /// Versions that exist and could not be read, and why.
    pub failed: BTreeMap<GroupVersion, Box<Error>>,
}

impl Discovered {
    /// The failures as one error.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        (!self.failed.is_empty()).then(|| Error::Discovery(GroupDiscoveryFailed { groups: self.failed.clone() }))
    }

    /// All of it, or an error when a part is missing.
    ///
    /// # Errors
    /// [`Error::Discovery`]
    pub fn complete(self) -> Result<Self, Error> {
        self.error().map_or(Ok(self), Err)
    }

    /// One version for each resource: the group's preferred one where it serves it. Subresources are left out.
    /// Counterpart: `ServerPreferredResources`.
    #[must_use]
    pub fn preferred(&self) -> Vec<(GroupVersion, ApiResource)> {
        let mut chosen: BTreeMap<(String, String), (GroupVersion, ApiResource)> = BTreeMap::new();
        for group in &self.groups {
            for gv in group.group_versions() {
                let list = self.resources.get(&gv).map(|l| l.resources.as_slice()).unwrap_or_default();
                for resource in list.iter().filter(|r| !r.name.contains('/')) {
                    let key = (group.name.clone(), resource.name.clone());
                    if !chosen.contains_key(&key) || gv.version == group.preferred_version {
                        chosen.insert(key, (gv.clone(), resource.clone()));
                    }
                }
            }
        }
        chosen.into_values().collect()
    }

    pub(crate) fn absorb(&mut self, other: Self) {
        self.groups.extend(other.groups);
        self.resources.extend(other.resources);
        self.failed.extend(other.failed);
    }
}
