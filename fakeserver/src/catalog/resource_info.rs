//! A served resource as one row, whether built in or made by a CRD, and the table of all rows.
//!
//! Rows are data for every other part: the router looks them up, discovery and OpenAPI print them, the registry asks
//! them for the stored collection. The table never changes; a CRD change makes a new one.

use super::builtin;
use super::versions::compare_versions;
use crate::schema::columns::JsonPathColumn;
use crate::schema::custom::CustomRules;
use crate::store::Collection;
use rehearsal_apimachinery::catalog::{Column, TypeId, Types};
use rehearsal_apimachinery::gvk::{GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// A subresource of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubresourceInfo {
    /// Name, such as `status`.
    pub name: String,
    /// Kind of its body.
    pub kind: String,
    /// Group of its body; empty together with `version` when it is the parent's.
    pub group: String,
    /// Version of its body.
    pub version: String,
    /// Verbs.
    pub verbs: Vec<String>,
}

/// The printer columns of a resource.
#[derive(Clone, Debug)]
pub enum Columns {
    /// Columns of a built-in type; the cells come from the printer of that type.
    Builtin(Vec<Column>),
    /// Columns of a custom resource after `Name`; the cells come from JSON paths.
    JsonPath(Vec<JsonPathColumn>),
}

/// A served resource in one version.
#[derive(Clone, Debug)]
pub struct ResourceInfo {
    /// API group; empty for the core group.
    pub group: String,
    /// Served version.
    pub version: String,
    /// Plural name, as in URLs.
    pub resource: String,
    /// Kind.
    pub kind: String,
    /// Kind of a list.
    pub list_kind: String,
    /// Singular name.
    pub singular: String,
    /// Lives in a namespace.
    pub namespaced: bool,
    /// Verbs in the order in which discovery prints them.
    pub verbs: Vec<String>,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Subresources in the order in which discovery prints them.
    pub subresources: Vec<SubresourceInfo>,
    /// Printer columns.
    pub columns: Columns,
    /// Made by a CRD.
    pub custom: bool,
    /// The arena that holds the type.
    pub types: Arc<Types>,
    /// The type of an object; `None` when nothing is known of it (a CRD that keeps everything).
    pub root: Option<TypeId>,
    /// Group and version of the collection in which objects are stored: several rows may share one.
    pub storage: GroupVersion,
    /// What a CRD says beyond its schema's shape: validation, scale paths, selectable fields.
    pub rules: Option<Arc<CustomRules>>,
    /// The OpenAPI v3 schema of a custom resource as its CRD states it, for the published documents.
    pub schema: Option<Arc<Value>>,
    /// The warning that every request to a deprecated version earns.
    pub deprecated: Option<String>,
    /// The CRD is being deleted: creating is refused and discovery lists fewer verbs.
    pub terminating: bool,
}

impl ResourceInfo {
    /// Verbs of a custom resource, as discovery orders them.
    pub const CUSTOM_VERBS: [&'static str; 8] =
        ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
    /// Verbs of a custom resource whose CRD is being deleted.
    pub const TERMINATING_VERBS: [&'static str; 5] = ["delete", "deletecollection", "get", "list", "watch"];
    /// Verbs of the subresources of a custom resource.
    pub const CUSTOM_SUBRESOURCE_VERBS: [&'static str; 3] = ["get", "patch", "update"];

    /// Group, version and plural name.
    #[must_use]
    pub fn gvr(&self) -> GroupVersionResource {
        GroupVersionResource::new(&self.group, &self.version, &self.resource)
    }

    /// Group, version and kind.
    #[must_use]
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::new(&self.group, &self.version, &self.kind)
    }

    /// Group and version.
    #[must_use]
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion::new(&self.group, &self.version)
    }

    /// Group and plural name.
    #[must_use]
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(&self.group, &self.resource)
    }

    /// The version in which objects are stored.
    #[must_use]
    pub fn storage_version(&self) -> &str {
        &self.storage.version
    }

    /// Name of the collection that holds the objects: `pods`, `deployments.apps`. The same for all rows that share it.
    #[must_use]
    pub fn collection_name(&self) -> String {
        GroupResource::new(&self.storage.group, &self.resource).to_string()
    }

    /// Whether requests with this verb are served.
    #[must_use]
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// The subresource of this name.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&SubresourceInfo> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// The collection that holds the objects.
    #[must_use]
    pub fn collection(&self) -> Collection {
        Collection::new(&self.collection_name())
    }

    /// Whether objects are stored in the very group and version that this row serves.
    #[must_use]
    pub fn serves_storage_form(&self) -> bool {
        self.storage.group == self.group && self.storage.version == self.version
    }

    /// Group, version and kind of the stored form.
    #[must_use]
    pub fn storage_gvk(&self) -> GroupVersionKind {
        self.storage.kind(&self.kind)
    }

    /// A kind that is judged and handed back but never stored.
    #[must_use]
    pub fn is_review(&self) -> bool {
        matches!(self.group.as_str(), "authentication.k8s.io" | "authorization.k8s.io")
    }

    fn key(&self) -> (&str, &str, &str) {
        (&self.group, &self.version, &self.resource)
    }
}

/// A group with its versions, the preferred one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Name; empty for the core group.
    pub name: String,
    /// Versions in order of preference.
    pub versions: Vec<String>,
    /// Served by the server itself; unknown paths below it answer with a `Status`.
    pub builtin: bool,
}

/// All served resources at one moment.
#[derive(Debug)]
pub struct ResourceTable {
    /// Sorted by group, version and plural name.
    rows: Vec<Arc<ResourceInfo>>,
    /// In the order of `/apis`, the core group first.
    groups: Vec<GroupInfo>,
}

impl ResourceTable {
    /// The table of a server without custom resources.
    #[must_use]
    pub fn builtin() -> Arc<Self> {
        static BUILTIN: LazyLock<Arc<ResourceTable>> = LazyLock::new(|| Arc::new(ResourceTable::with_custom([])));
        Arc::clone(&BUILTIN)
    }

    /// The built-in rows together with custom ones. A custom row never hides a built-in one of the same name.
    #[must_use]
    pub fn with_custom(custom: impl IntoIterator<Item = Arc<ResourceInfo>>) -> Self {
        let mut rows: Vec<Arc<ResourceInfo>> = builtin::rows().iter().cloned().chain(custom).collect();
        rows.sort_by(|a, b| a.key().cmp(&b.key()));
        rows.dedup_by(|later, earlier| later.key() == earlier.key());
        let groups = groups(&rows);
        Self { rows, groups }
    }

    /// The row behind a URL.
    #[must_use]
    pub fn lookup(&self, group: &str, version: &str, resource: &str) -> Option<Arc<ResourceInfo>> {
        let found = self.rows.binary_search_by(|row| row.key().cmp(&(group, version, resource)));
        found.ok().map(|i| Arc::clone(&self.rows[i]))
    }

    /// The row of a kind; `None` also for kinds that are only bodies of subresources.
    #[must_use]
    pub fn by_kind(&self, gvk: &GroupVersionKind) -> Option<Arc<ResourceInfo>> {
        self.of(&gvk.group, &gvk.version).find(|row| row.kind == gvk.kind).cloned()
    }

    /// All rows, sorted by group, version and plural name.
    #[must_use]
    pub fn rows(&self) -> &[Arc<ResourceInfo>] {
        &self.rows
    }

    /// The rows of one group and version, sorted by plural name.
    pub fn of<'a>(&'a self, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Arc<ResourceInfo>> + 'a {
        let start = self.rows.partition_point(|row| (row.group.as_str(), row.version.as_str()) < (group, version));
        self.rows[start..].iter().take_while(move |row| row.group == group && row.version == version)
    }

    /// All groups: the core group, then the order of `/apis`.
    #[must_use]
    pub fn groups(&self) -> &[GroupInfo] {
        &self.groups
    }

    /// The group of this name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&GroupInfo> {
        self.groups.iter().find(|g| g.name == name)
    }

    /// Whether the server itself serves the group, whatever CRDs there are.
    #[must_use]
    pub fn is_builtin_group(&self, name: &str) -> bool {
        self.group(name).is_some_and(|g| g.builtin)
    }

    /// Whether anything is served under this group and version.
    #[must_use]
    pub fn knows_group_version(&self, group: &str, version: &str) -> bool {
        self.group(group).is_some_and(|g| g.versions.iter().any(|v| v == version))
    }
}

fn groups(rows: &[Arc<ResourceInfo>]) -> Vec<GroupInfo> {
    let mut by_name: BTreeMap<&str, GroupInfo> = BTreeMap::new();
    for row in rows {
        let group = by_name.entry(&row.group).or_insert_with(|| GroupInfo {
            name: row.group.clone(),
            versions: Vec::new(),
            builtin: false,
        });
        group.builtin |= !row.custom;
        if group.versions.last() != Some(&row.version) {
            group.versions.push(row.version.clone());
        }
    }
    let mut groups: Vec<GroupInfo> = by_name.into_values().collect();
    for group in &mut groups {
        let name = &group.name;
        group.versions.sort_by(|a, b| {
            let priorities = builtin::priority(name, b).version.cmp(&builtin::priority(name, a).version);
            priorities.then_with(|| compare_versions(a, b))
        });
    }
    // A stable sort keeps names ascending among equals.
    groups.sort_by_key(|g| {
        let priority = g.versions.iter().map(|v| builtin::priority(&g.name, v).group).max();
        (!g.name.is_empty(), g.name != "apiregistration.k8s.io", std::cmp::Reverse(priority))
    });
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(group: &str, version: &str, resource: &str) -> Arc<ResourceInfo> {
        let mut row = (*ResourceTable::builtin().lookup("apps", "v1", "deployments").unwrap()).clone();
        row.group = group.into();
        row.version = version.into();
        row.resource = resource.into();
        row.storage = GroupVersion::new(group, version);
        row.custom = true;
        Arc::new(row)
    }

    #[test]
    fn rows_are_found_by_url_and_by_kind() {
        let table = ResourceTable::builtin();
        assert_eq!(table.rows().len(), 68);
        assert_eq!(table.lookup("", "v1", "pods").unwrap().kind, "Pod");
        assert!(table.lookup("apps", "v2", "deployments").is_none());
        let gvk = GroupVersionKind::new("batch", "v1", "CronJob");
        assert_eq!(table.by_kind(&gvk).unwrap().collection_name(), "cronjobs.batch");
    }

    #[test]
    fn versions_and_groups_of_one_thing_share_its_collection() {
        let table = ResourceTable::builtin();
        for version in ["v1", "v2"] {
            let row = table.lookup("autoscaling", version, "horizontalpodautoscalers").unwrap();
            assert_eq!(row.collection_name(), "horizontalpodautoscalers.autoscaling");
            assert_eq!(row.storage_version(), "v2");
        }
        assert_eq!(table.lookup("events.k8s.io", "v1", "events").unwrap().collection_name(), "events");
    }

    #[test]
    fn groups_come_in_the_order_of_their_priority() {
        let table =
            ResourceTable::with_custom([custom("b.example.com", "v1", "as"), custom("a.example.com", "v1", "bs")]);
        let names: Vec<_> = table.groups().iter().map(|g| g.name.as_str()).collect();
        assert_eq!(names[..5], ["", "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io"]);
        assert_eq!(names[names.len() - 2..], ["a.example.com", "b.example.com"]);
        assert_eq!(table.group("autoscaling").unwrap().versions, ["v2", "v1"]);
        assert!(table.is_builtin_group("apps") && !table.is_builtin_group("a.example.com"));
        assert!(table.knows_group_version("b.example.com", "v1") && !table.knows_group_version("apps", "v2"));
    }

    #[test]
    fn a_custom_row_cannot_hide_a_built_in_one() {
        let table = ResourceTable::with_custom([custom("apps", "v1", "deployments")]);
        assert!(!table.lookup("apps", "v1", "deployments").unwrap().custom);
    }

    #[test]
    fn versions_of_a_custom_group_follow_their_names() {
        let table =
            ResourceTable::with_custom(["v1beta1", "v2", "v1", "v2alpha1"].map(|v| custom("x.example.com", v, "xs")));
        assert_eq!(table.group("x.example.com").unwrap().versions, ["v2", "v1", "v1beta1", "v2alpha1"]);
    }
}
