//! The rows of the built-in resources, made once from the fact table, and the priorities of the built-in groups.
//!
//! Counterpart: the registry of `controlplane/apiserver` and the API service priorities of `cmd/kube-apiserver`.

use super::resource_info::{Columns, ResourceInfo, SubresourceInfo};
use rehearsal_apimachinery::catalog::{Catalog, Column, ResourceFacts};
use rehearsal_apimachinery::gvk::{GroupVersion, GroupVersionKind};
use std::sync::{Arc, LazyLock};

/// The priorities of an API service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// `spec.groupPriorityMinimum`: groups with a higher number come first.
    pub group: u32,
    /// `spec.versionPriority`: versions with a higher number come first.
    pub version: u32,
}

/// Group priority and version priority of the built-in groups.
const PRIORITIES: [(&str, &str, u32, u32); 25] = [
    ("", "v1", 18000, 1),
    ("apiregistration.k8s.io", "v1", 20000, 15),
    ("apps", "v1", 17800, 15),
    ("events.k8s.io", "v1", 17750, 15),
    ("authentication.k8s.io", "v1", 17700, 15),
    ("authorization.k8s.io", "v1", 17600, 15),
    ("autoscaling", "v1", 17500, 15),
    ("autoscaling", "v2", 17500, 30),
    ("batch", "v1", 17400, 15),
    ("certificates.k8s.io", "v1", 17300, 15),
    ("networking.k8s.io", "v1", 17200, 15),
    ("policy", "v1", 17100, 15),
    ("rbac.authorization.k8s.io", "v1", 17000, 15),
    ("storage.k8s.io", "v1", 16800, 15),
    ("admissionregistration.k8s.io", "v1", 16700, 15),
    ("apiextensions.k8s.io", "v1", 16700, 15),
    ("scheduling.k8s.io", "v1", 16600, 15),
    ("coordination.k8s.io", "v1", 16500, 15),
    ("node.k8s.io", "v1", 16300, 15),
    ("discovery.k8s.io", "v1", 16200, 15),
    ("resource.k8s.io", "v1", 16200, 21),
    ("flowcontrol.apiserver.k8s.io", "v1", 16100, 21),
    ("internal.apiserver.k8s.io", "v1alpha1", 16000, 9),
    ("storagemigration.k8s.io", "v1", 15900, 15),
    ("storagemigration.k8s.io", "v1beta1", 15900, 12),
];

/// The priorities that the API service of a group and version carries; those of a CRD's for unknown ones.
#[must_use]
pub fn priority(group: &str, version: &str) -> Priority {
    PRIORITIES.iter().find(|(g, v, _, _)| *g == group && *v == version).map_or(
        Priority { group: 1000, version: 100 },
        |(_, _, group, version)| Priority { group: *group, version: *version },
    )
}

/// Resources that are stored under another group or version than the one served.
const STORED_ELSEWHERE: [(&str, &str, &str, &str); 2] =
    [("events.k8s.io", "events", "", "v1"), ("autoscaling", "horizontalpodautoscalers", "autoscaling", "v2")];

/// All built-in rows, in the order of the fact table.
pub(super) fn rows() -> &'static [Arc<ResourceInfo>] {
    static ROWS: LazyLock<Vec<Arc<ResourceInfo>>> = LazyLock::new(|| {
        let catalog = Catalog::builtin();
        catalog.resources.iter().map(|facts| Arc::new(row(catalog, facts))).collect()
    });
    &ROWS
}

fn row(catalog: &Catalog, facts: &ResourceFacts) -> ResourceInfo {
    let gvk = GroupVersionKind::new(&facts.group, &facts.version, &facts.kind);
    let storage = STORED_ELSEWHERE
        .iter()
        .find(|(group, resource, _, _)| *group == facts.group && *resource == facts.resource)
        .map_or_else(|| gvk.group_version(), |(_, _, group, version)| GroupVersion::new(*group, *version));
    let subresources = facts.subresources.iter().map(|s| SubresourceInfo {
        name: s.name.clone(),
        kind: s.kind.clone(),
        group: s.group.clone(),
        version: s.version.clone(),
        verbs: s.verbs.clone(),
    });
    ResourceInfo {
        group: facts.group.clone(),
        version: facts.version.clone(),
        resource: facts.resource.clone(),
        kind: facts.kind.clone(),
        list_kind: format!("{}List", facts.kind),
        singular: facts.singular.clone(),
        namespaced: facts.namespaced,
        verbs: facts.verbs.clone(),
        short_names: facts.short_names.clone(),
        categories: facts.categories.clone(),
        subresources: subresources.collect(),
        columns: Columns::Builtin(columns(facts)),
        custom: false,
        root: catalog.type_of(&gvk),
        types: Arc::clone(&catalog.types),
        storage,
        rules: None,
        schema: None,
        deprecated: deprecation(&facts.group, &facts.version, &facts.resource),
        terminating: false,
    }
}

/// The printer columns; kinds that only can be created have no recorded ones and print like kinds without a printer.
fn columns(facts: &ResourceFacts) -> Vec<Column> {
    if !facts.columns.is_empty() {
        return facts.columns.clone();
    }
    vec![column("Name", "string", "name"), column("Created At", "date", "")]
}

fn column(name: &str, kind: &str, format: &str) -> Column {
    Column { name: name.to_owned(), kind: kind.to_owned(), format: format.to_owned(), priority: 0 }
}

/// The row of `Scale`, which is no resource but the body of subresources, for rendering it as a table.
#[must_use]
pub fn scale() -> &'static ResourceInfo {
    static SCALE: LazyLock<ResourceInfo> = LazyLock::new(|| {
        let columns = vec![
            column("Name", "string", "name"),
            column("Desired", "integer", ""),
            column("Available", "integer", ""),
            column("Age", "string", ""),
        ];
        let facts = ResourceFacts {
            group: "autoscaling".to_owned(),
            version: "v1".to_owned(),
            resource: "scales".to_owned(),
            kind: "Scale".to_owned(),
            singular: "scale".to_owned(),
            namespaced: true,
            verbs: Vec::new(),
            short_names: Vec::new(),
            categories: Vec::new(),
            subresources: Vec::new(),
            columns,
        };
        row(Catalog::builtin(), &facts)
    });
    &SCALE
}

/// Warnings of built-in resources that are on their way out.
fn deprecation(group: &str, version: &str, resource: &str) -> Option<String> {
    match (group, version, resource) {
        ("", "v1", "componentstatuses") => Some("v1 ComponentStatus is deprecated in v1.19+".into()),
        ("", "v1", "endpoints") => {
            Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_type_and_every_group_its_priority() {
        for row in rows() {
            assert!(row.root.is_some(), "{:?}", row.gvr());
            assert_ne!(priority(&row.group, &row.version).group, 1000, "{:?}", row.gvr());
        }
    }

    #[test]
    fn scale_has_a_type_and_columns() {
        assert_eq!(scale().types[scale().root.unwrap()].name, "io.k8s.api.autoscaling.v1.Scale");
        assert!(matches!(&scale().columns, Columns::Builtin(c) if c.len() == 4));
    }

    #[test]
    fn unknown_groups_have_the_priority_of_custom_resources() {
        assert_eq!(priority("example.com", "v1"), Priority { group: 1000, version: 100 });
    }
}
