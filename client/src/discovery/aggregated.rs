//! Aggregated discovery: everything in two answers.
//!
//! Counterpart: client-go `discovery/aggregated_discovery.go` over `apidiscovery.k8s.io/v2` and `v2beta1`.

use super::{ApiGroup, ApiResource, ApiResourceList, Discovered};
use crate::error::Error;
use rehearsal_apimachinery::GroupVersion;
use serde_json::Value;

/// The `Accept` header; servers care about the order of its parameters.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// The same, by choice with what the server serves itself in front.
pub(super) fn accept(no_peer: bool) -> String {
    const ALONE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer";
    if no_peer { format!("{ALONE},{ACCEPT}") } else { ACCEPT.to_owned() }
}

/// Whether an answer is of this flavour; the order of parameters does not matter here.
pub(super) fn is_aggregated(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let parts: Vec<_> = parts.collect();
    media.eq_ignore_ascii_case("application/json")
        && parts.contains(&"g=apidiscovery.k8s.io")
        && parts.contains(&"as=APIGroupDiscoveryList")
        && (parts.contains(&"v=v2") || parts.contains(&"v=v2beta1"))
}

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    items(value, key).iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// Reads an `APIGroupDiscoveryList`.
pub(super) fn read(list: &Value) -> Discovered {
    let mut found = Discovered::default();
    for item in items(list, "items") {
        let mut group = ApiGroup { name: text(item, "/metadata/name"), ..ApiGroup::default() };
        for version in items(item, "versions") {
            let gv = GroupVersion::new(&group.name, text(version, "/version"));
            if text(version, "/freshness") == "Stale" {
                found.failed.insert(gv.clone(), Box::new(Error::StaleDiscovery(gv)));
                continue;
            }
            if group.preferred_version.is_empty() {
                group.preferred_version.clone_from(&gv.version);
            }
            group.versions.push(gv.version.clone());
            let resources = items(version, "resources").iter().flat_map(|r| read_resource(r, &gv)).collect();
            found.resources.insert(gv.clone(), ApiResourceList { group_version: gv.to_string(), resources });
        }
        // A group whose versions are all stale is still known, without any version.
        found.groups.push(group);
    }
    found
}

/// A resource without a kind is only the parent of its subresources.
fn read_resource(value: &Value, gv: &GroupVersion) -> Vec<ApiResource> {
    let namespaced = text(value, "/scope") == "Namespaced";
    let name = text(value, "/resource");
    let mut found = Vec::new();
    if value.get("responseKind").is_some_and(Value::is_object) {
        found.push(ApiResource {
            singular_name: text(value, "/singularResource"),
            short_names: texts(value, "shortNames"),
            categories: texts(value, "categories"),
            ..read_common(value, gv, name.clone(), namespaced)
        });
    }
    for sub in items(value, "subresources").iter().filter(|s| s.get("responseKind").is_some_and(Value::is_object)) {
        found.push(read_common(sub, gv, format!("{name}/{}", text(sub, "/subresource")), namespaced));
    }
    found
}

fn read_common(value: &Value, gv: &GroupVersion, name: String, namespaced: bool) -> ApiResource {
    let kind_gv = GroupVersion::new(text(value, "/responseKind/group"), text(value, "/responseKind/version"));
    // An empty version says: that of the list.
    let differs = kind_gv != *gv && !kind_gv.version.is_empty();
    let (group, version) = if differs { (kind_gv.group, kind_gv.version) } else { Default::default() };
    ApiResource {
        name,
        namespaced,
        group,
        version,
        kind: text(value, "/responseKind/kind"),
        verbs: texts(value, "verbs"),
        ..ApiResource::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn content_types_are_matched_whatever_their_order() {
        assert!(is_aggregated("application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io"));
        assert!(is_aggregated("application/json; g=apidiscovery.k8s.io; v=v2beta1; as=APIGroupDiscoveryList"));
        assert!(!is_aggregated("application/json"));
        assert!(!is_aggregated("application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList"));
    }

    #[test]
    fn stale_versions_are_failures_and_never_preferred() {
        let list = json!({"items": [{"metadata": {"name": "apps"}, "versions": [
            {"version": "v2", "freshness": "Stale"},
            {"version": "v1", "freshness": "Current", "resources": [{
                "resource": "deployments", "responseKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
                "scope": "Namespaced", "singularResource": "deployment", "verbs": ["get"], "shortNames": ["deploy"],
                "categories": ["all"],
                "subresources": [
                    {"subresource": "scale", "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}, "verbs": ["get"]},
                    {"subresource": "odd", "verbs": ["get"]}]}]}]}]});
        let found = read(&list);
        assert_eq!(found.groups[0].preferred_version, "v1");
        assert_eq!(found.groups[0].versions, ["v1"]);
        assert!(matches!(*found.failed[&GroupVersion::new("apps", "v2")], Error::StaleDiscovery(_)));
        let resources = &found.resources[&GroupVersion::new("apps", "v1")].resources;
        assert_eq!(resources.len(), 2);
        assert_eq!((resources[0].group.as_str(), resources[0].short_names[0].as_str()), ("", "deploy"));
        assert_eq!((resources[1].name.as_str(), resources[1].group.as_str()), ("deployments/scale", "autoscaling"));
    }
}
