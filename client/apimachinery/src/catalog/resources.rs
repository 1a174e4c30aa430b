//! The resource rows of the catalogue: what discovery says of each built-in resource.

use serde::Deserialize;

/// A printer column of a resource's Table.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Column {
    /// Header.
    pub name: String,
    /// OpenAPI type of the cells.
    #[serde(rename = "type")]
    pub kind: String,
    /// OpenAPI format.
    #[serde(default)]
    pub format: String,
    /// 0 is always shown, 1 only in wide output.
    #[serde(default)]
    pub priority: i32,
}

/// A subresource row.
#[derive(Clone, Debug, Deserialize)]
pub struct SubresourceFacts {
    /// Name, such as `status`.
    pub name: String,
    /// Kind of its body.
    pub kind: String,
    /// Group of its body where it differs from the parent's.
    #[serde(default)]
    pub group: String,
    /// Version of its body where it differs from the parent's.
    #[serde(default)]
    pub version: String,
    /// Verbs.
    #[serde(default)]
    pub verbs: Vec<String>,
}

/// A resource row.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceFacts {
    /// API group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Plural name.
    pub resource: String,
    /// Kind.
    pub kind: String,
    /// Singular name.
    pub singular: String,
    /// Lives in a namespace.
    pub namespaced: bool,
    /// Verbs, alphabetical.
    #[serde(default)]
    pub verbs: Vec<String>,
    /// Short names.
    #[serde(default)]
    pub short_names: Vec<String>,
    /// Categories.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Subresources.
    #[serde(default)]
    pub subresources: Vec<SubresourceFacts>,
    /// Printer columns.
    #[serde(default)]
    pub columns: Vec<Column>,
}

pub(super) fn load(json: &str) -> Vec<ResourceFacts> {
    serde_json::from_str(json).expect("resources.json parses")
}
