//! The discovery documents, printed from the resource table: `/api`, `/apis`, one group, one group version, and the
//! aggregated form of both roots.
//!
//! Every document is a struct whose members serialise in the order of the wire; the negotiated encoding is up to the
//! endpoint. Counterpart: apiserver `endpoints/discovery` and kube-aggregator's `handler_apis`.

use super::resource_info::{GroupInfo, ResourceInfo, ResourceTable, SubresourceInfo};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256, Sha512};

/// The `apiVersion` of the aggregated documents.
pub const AGGREGATED_VERSION: &str = "apidiscovery.k8s.io/v2";

/// `GET /api`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiVersions {
    kind: &'static str,
    versions: Vec<String>,
    #[serde(rename = "serverAddressByClientCIDRs")]
    server_addresses: Vec<ServerAddress>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerAddress {
    #[serde(rename = "clientCIDR")]
    client_cidr: &'static str,
    server_address: String,
}

/// The document of `/api`. `server_address` is `ip:port`.
#[must_use]
pub fn api_versions(table: &ResourceTable, server_address: &str) -> ApiVersions {
    ApiVersions {
        kind: "APIVersions",
        versions: table.group("").map(|g| g.versions.clone()).unwrap_or_default(),
        server_addresses: vec![ServerAddress { client_cidr: "0.0.0.0/0", server_address: server_address.to_owned() }],
    }
}

/// `GET /apis`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroupList {
    kind: &'static str,
    api_version: &'static str,
    groups: Vec<ApiGroup>,
}

/// `GET /apis/<group>`, and an item of `/apis`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    name: String,
    versions: Vec<GroupVersionForDiscovery>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_version: Option<GroupVersionForDiscovery>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersionForDiscovery {
    group_version: String,
    version: String,
}

/// The document of `/apis`.
#[must_use]
pub fn group_list(table: &ResourceTable) -> ApiGroupList {
    let groups = table.groups().iter().filter(|g| !g.name.is_empty());
    ApiGroupList { kind: "APIGroupList", api_version: "v1", groups: groups.map(group_entry).collect() }
}

/// The document of `/apis/<group>`; `None` for the core group and unknown ones.
#[must_use]
pub fn group(table: &ResourceTable, name: &str) -> Option<ApiGroup> {
    let group = table.group(name).filter(|g| !g.name.is_empty())?;
    Some(ApiGroup { kind: Some("APIGroup"), api_version: Some("v1"), ..group_entry(group) })
}

fn group_entry(group: &GroupInfo) -> ApiGroup {
    let versions: Vec<_> = group
        .versions
        .iter()
        .map(|v| GroupVersionForDiscovery { group_version: format!("{}/{v}", group.name), version: v.clone() })
        .collect();
    ApiGroup {
        kind: None,
        api_version: None,
        name: group.name.clone(),
        preferred_version: versions.first().cloned(),
        versions,
    }
}

/// `GET /api/v1` and `GET /apis/<group>/<version>`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiResourceList {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    group_version: String,
    resources: Vec<ApiResource>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResource {
    name: String,
    singular_name: String,
    namespaced: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    kind: String,
    verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    short_names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    storage_version_hash: String,
}

/// The document of a group version; `None` when nothing is served under it.
#[must_use]
pub fn resource_list(table: &ResourceTable, group: &str, version: &str) -> Option<ApiResourceList> {
    if !table.knows_group_version(group, version) {
        return None;
    }
    let resources = table.of(group, version).flat_map(|row| {
        let subresources = row.subresources.iter().map(|s| subresource_entry(row, s));
        std::iter::once(resource_entry(row)).chain(subresources)
    });
    Some(ApiResourceList {
        kind: "APIResourceList",
        // The core group's document comes from an older path of the real server, which does not fill the member in.
        api_version: (!group.is_empty()).then_some("v1"),
        group_version: if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") },
        resources: resources.collect(),
    })
}

fn resource_entry(row: &ResourceInfo) -> ApiResource {
    ApiResource {
        name: row.resource.clone(),
        singular_name: row.singular.clone(),
        namespaced: row.namespaced,
        group: String::new(),
        version: String::new(),
        kind: row.kind.clone(),
        verbs: row.verbs.clone(),
        short_names: row.short_names.clone(),
        categories: row.categories.clone(),
        storage_version_hash: storage_version_hash(row),
    }
}

fn subresource_entry(row: &ResourceInfo, subresource: &SubresourceInfo) -> ApiResource {
    ApiResource {
        name: format!("{}/{}", row.resource, subresource.name),
        singular_name: String::new(),
        namespaced: row.namespaced,
        group: subresource.group.clone(),
        version: subresource.version.clone(),
        kind: subresource.kind.clone(),
        verbs: subresource.verbs.clone(),
        short_names: Vec::new(),
        categories: Vec::new(),
        storage_version_hash: String::new(),
    }
}

/// The hash by which clients notice that the stored version changed; empty for resources that store nothing.
#[must_use]
pub fn storage_version_hash(row: &ResourceInfo) -> String {
    if !row.has_verb("watch") {
        return String::new();
    }
    let stored = format!("{}/{}/{}", row.storage.group, row.storage.version, row.kind);
    STANDARD.encode(&Sha256::digest(stored)[..8])
}

/// The aggregated form of `/api` or `/apis`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroupDiscoveryList {
    kind: &'static str,
    api_version: &'static str,
    metadata: ListMeta,
    items: Vec<ApiGroupDiscovery>,
}

#[derive(Clone, Debug, Serialize)]
struct ListMeta {}

#[derive(Clone, Debug, Serialize)]
struct ApiGroupDiscovery {
    metadata: GroupMeta,
    versions: Vec<ApiVersionDiscovery>,
}

#[derive(Clone, Debug, Serialize)]
struct GroupMeta {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
}

#[derive(Clone, Debug, Serialize)]
struct ApiVersionDiscovery {
    version: String,
    resources: Vec<ApiResourceDiscovery>,
    freshness: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResourceDiscovery {
    resource: String,
    response_kind: ResponseKind,
    scope: &'static str,
    singular_resource: String,
    verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    short_names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<ApiSubresourceDiscovery>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiSubresourceDiscovery {
    subresource: String,
    response_kind: ResponseKind,
    verbs: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct ResponseKind {
    group: String,
    version: String,
    kind: String,
}

/// The aggregated document of `/api`.
#[must_use]
pub fn aggregated_core(table: &ResourceTable) -> ApiGroupDiscoveryList {
    aggregated(table, |g| g.name.is_empty())
}

/// The aggregated document of `/apis`.
#[must_use]
pub fn aggregated_groups(table: &ResourceTable) -> ApiGroupDiscoveryList {
    aggregated(table, |g| !g.name.is_empty())
}

fn aggregated(table: &ResourceTable, wanted: impl Fn(&GroupInfo) -> bool) -> ApiGroupDiscoveryList {
    let items = table.groups().iter().filter(|g| wanted(g)).map(|group| ApiGroupDiscovery {
        metadata: GroupMeta { name: group.name.clone() },
        versions: group.versions.iter().map(|v| version_entry(table, &group.name, v)).collect(),
    });
    ApiGroupDiscoveryList {
        kind: "APIGroupDiscoveryList",
        api_version: AGGREGATED_VERSION,
        metadata: ListMeta {},
        items: items.collect(),
    }
}

fn version_entry(table: &ResourceTable, group: &str, version: &str) -> ApiVersionDiscovery {
    let resources = table.of(group, version).map(|row| ApiResourceDiscovery {
        resource: row.resource.clone(),
        response_kind: response_kind(row, "", "", &row.kind),
        scope: if row.namespaced { "Namespaced" } else { "Cluster" },
        singular_resource: row.singular.clone(),
        verbs: row.verbs.clone(),
        short_names: row.short_names.clone(),
        categories: row.categories.clone(),
        subresources: row.subresources.iter().map(|s| aggregated_subresource(row, s)).collect(),
    });
    ApiVersionDiscovery { version: version.to_owned(), resources: resources.collect(), freshness: "Current" }
}

fn aggregated_subresource(row: &ResourceInfo, subresource: &SubresourceInfo) -> ApiSubresourceDiscovery {
    ApiSubresourceDiscovery {
        subresource: subresource.name.clone(),
        response_kind: response_kind(row, &subresource.group, &subresource.version, &subresource.kind),
        verbs: subresource.verbs.clone(),
    }
}

/// Built-ins leave group and version empty where they are the parent's; custom resources spell them out.
fn response_kind(row: &ResourceInfo, group: &str, version: &str, kind: &str) -> ResponseKind {
    let inherited = version.is_empty() && row.custom;
    let (group, version) = if inherited { (row.group.as_str(), row.version.as_str()) } else { (group, version) };
    ResponseKind { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
}

/// The entity tag of an aggregated document: the hash of its JSON form, in quotes.
#[must_use]
pub fn etag(document: &ApiGroupDiscoveryList) -> String {
    // A struct of strings always serialises; an empty body is still a stable tag.
    let body = serde_json::to_vec(document).unwrap_or_default();
    format!("\"{}\"", sha512_hex(&body))
}

/// SHA-512 in upper-case hexadecimal, as the server writes hashes into headers and URLs.
#[must_use]
pub fn sha512_hex(bytes: &[u8]) -> String {
    Sha512::digest(bytes).iter().map(|b| format!("{b:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn text(document: &impl Serialize) -> String {
        serde_json::to_string(document).unwrap()
    }

    #[test]
    fn the_core_root_has_no_api_version() {
        let document = api_versions(&ResourceTable::builtin(), "10.0.0.1:6443");
        assert_eq!(
            text(&document),
            r#"{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[{"clientCIDR":"0.0.0.0/0","serverAddress":"10.0.0.1:6443"}]}"#
        );
    }

    #[test]
    fn a_group_names_its_preferred_version() {
        let table = ResourceTable::builtin();
        assert_eq!(
            text(&group(&table, "autoscaling").unwrap()),
            r#"{"kind":"APIGroup","apiVersion":"v1","name":"autoscaling","versions":[{"groupVersion":"autoscaling/v2","version":"v2"},{"groupVersion":"autoscaling/v1","version":"v1"}],"preferredVersion":{"groupVersion":"autoscaling/v2","version":"v2"}}"#
        );
        assert!(group(&table, "").is_none() && group(&table, "nope").is_none());
        let list: Value = serde_json::to_value(group_list(&table)).unwrap();
        assert_eq!(list["groups"][0]["name"], "apiregistration.k8s.io");
        assert_eq!(list["groups"][0].get("kind"), None);
    }

    #[test]
    fn resources_come_with_their_subresources_in_wire_order() {
        let table = ResourceTable::builtin();
        let list = text(&resource_list(&table, "apps", "v1").unwrap());
        assert!(list.starts_with(r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"apps/v1","resources":[{"name":"controllerrevisions","singularName":"controllerrevision","namespaced":true,"kind":"ControllerRevision","verbs":["create","#), "{list}");
        assert!(list.contains(r#"{"name":"deployments/scale","singularName":"","namespaced":true,"group":"autoscaling","version":"v1","kind":"Scale","verbs":["get","patch","update"]}"#));
        let core = text(&resource_list(&table, "", "v1").unwrap());
        assert!(core.starts_with(r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"bindings","#));
        assert!(resource_list(&table, "apps", "v2").is_none());
    }

    #[test]
    fn the_storage_version_hash_is_of_the_stored_kind() {
        let table = ResourceTable::builtin();
        let hash = |g, v, r| storage_version_hash(&table.lookup(g, v, r).unwrap());
        assert_eq!(hash("", "v1", "configmaps"), "qFsyl6wFWjQ=");
        assert_eq!(hash("autoscaling", "v1", "horizontalpodautoscalers"), "qwQve8ut294=");
        assert_eq!(hash("events.k8s.io", "v1", "events"), "r2yiGXH7wu8=");
        assert_eq!(hash("", "v1", "bindings"), "");
    }

    #[test]
    fn aggregated_discovery_has_one_nameless_core_item() {
        let table = ResourceTable::builtin();
        let core: Value = serde_json::to_value(aggregated_core(&table)).unwrap();
        assert_eq!(core["items"][0]["metadata"], json!({}));
        assert_eq!(core["items"][0]["versions"][0]["freshness"], "Current");
        assert_eq!(
            core["items"][0]["versions"][0]["resources"][2],
            json!({
                "resource": "configmaps", "responseKind": {"group": "", "version": "", "kind": "ConfigMap"},
                "scope": "Namespaced", "singularResource": "configmap", "shortNames": ["cm"],
                "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
            })
        );
        let groups: Value = serde_json::to_value(aggregated_groups(&table)).unwrap();
        assert_eq!(groups["items"][1]["metadata"]["name"], "apps");
        let scale = &groups["items"][1]["versions"][0]["resources"][2]["subresources"][0];
        assert_eq!(scale["responseKind"], json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}));
        assert_eq!(etag(&aggregated_core(&table)).len(), 130);
    }
}
