//! The operations that the server offers, independent of the OpenAPI version that prints them: paths, parameters,
//! bodies, answers, and the names that client generators make methods of (`listCoreV1NamespacedPod`).
//!
//! Counterpart: apiserver `endpoints/installer.go` and apiextensions-apiserver `controller/openapi/builder`.

use super::parameters::{
    ANY, ATTACH, BUILTIN, BUILTIN_PATCHES, BUILTIN_STREAMS, CUSTOM, CUSTOM_PATCHES, DELETE, DELETE_COLLECTION, EXEC,
    JSON, LIST, LOG, PATCH, Parameter, WRITE, query,
};
use super::schemas::{META, custom_name};
use crate::catalog::{ResourceInfo, SubresourceInfo};
use rehearsal_apimachinery::catalog::Catalog;
use rehearsal_apimachinery::gvk::GroupVersionKind;

/// Everything below one URL.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) path: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) operations: Vec<Operation>,
}

/// One method of a path.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    /// Lower case, as OpenAPI writes it.
    pub(super) method: &'static str,
    pub(super) id: String,
    pub(super) tag: String,
    /// `x-kubernetes-action`; empty for documents that are no resources.
    pub(super) action: &'static str,
    pub(super) gvk: Option<GroupVersionKind>,
    pub(super) parameters: Vec<Parameter>,
    /// Schema of the body, and whether it must be there.
    pub(super) body: Option<(String, bool)>,
    pub(super) consumes: &'static [&'static str],
    pub(super) produces: &'static [&'static str],
    /// Status codes with the schema of the answer.
    pub(super) responses: Vec<(u16, Option<String>)>,
}

/// Kinds whose deletion answers with the object instead of a `Status`.
const ANSWERS_WITH_OBJECT: [&str; 14] = [
    "Pod",
    "Service",
    "ServiceAccount",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "PodTemplate",
    "ResourceQuota",
    "StorageClass",
    "CSIDriver",
    "CSINode",
    "VolumeAttachment",
    "VolumeAttributesClass",
    "ResourceClaim",
    "ResourceSlice",
];

/// A group as part of a method name: `rbac.authorization.k8s.io` gives `RbacAuthorization`, the core group `Core`.
fn camel(group: &str) -> String {
    if group.is_empty() {
        return "Core".to_owned();
    }
    group.trim_end_matches(".k8s.io").split(['.', '-']).map(title).collect()
}

fn title(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

fn lower_first(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_lowercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

/// The URL below which a group version lies.
pub(super) fn root(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

/// Names and schemas of a row, from which its operations are made.
struct Maker<'a> {
    row: &'a ResourceInfo,
    group_version: String,
    tag: String,
    scope: &'static str,
    schema: String,
    list_schema: String,
}

/// All paths of a resource.
pub(super) fn of_row(row: &ResourceInfo) -> Vec<Path> {
    let maker = Maker::new(row);
    let root = root(&row.group, &row.version);
    let collection = |prefix: &str| match row.namespaced {
        true => format!("{root}{prefix}/namespaces/{{namespace}}/{}", row.resource),
        false => format!("{root}{prefix}/{}", row.resource),
    };
    let item = format!("{}/{{name}}", collection(""));
    let mut paths = vec![maker.collection(collection("")), maker.item(item.clone())];
    if row.namespaced {
        paths.push(maker.everywhere(format!("{root}/{}", row.resource)));
    }
    if !row.custom && row.has_verb("watch") {
        paths.extend(maker.watches(&root, &collection("/watch")));
    }
    for subresource in &row.subresources {
        let path = format!("{item}/{}", subresource.name);
        if subresource.kind.ends_with("Options") {
            paths.push(maker.connect(subresource, path.clone(), ""));
            if subresource.name == "proxy" {
                paths.push(maker.connect(subresource, format!("{path}/{{path}}"), "WithPath"));
            }
        } else {
            paths.push(maker.subresource(subresource, path));
        }
    }
    paths.retain(|p| !p.operations.is_empty());
    paths
}

impl<'a> Maker<'a> {
    fn new(row: &'a ResourceInfo) -> Self {
        let group = camel(&row.group);
        Self {
            row,
            tag: format!("{}_{}", lower_first(&group), row.version),
            group_version: format!("{group}{}", title(&row.version)),
            scope: if row.namespaced { "Namespaced" } else { "" },
            schema: schema_of(row, &row.group, &row.version, &row.kind),
            list_schema: schema_of(row, &row.group, &row.version, &row.list_kind),
        }
    }

    fn operation(&self, method: &'static str, action: &'static str, id: String) -> Operation {
        Operation {
            method,
            id,
            tag: self.tag.clone(),
            action,
            gvk: Some(self.row.gvk()),
            parameters: Vec::new(),
            body: None,
            consumes: ANY,
            produces: if self.row.custom { CUSTOM } else { BUILTIN },
            responses: vec![(200, Some(self.schema.clone()))],
        }
    }

    fn id(&self, verb: &str, rest: &str) -> String {
        format!("{verb}{}{}{}{rest}", self.group_version, self.scope, self.row.kind)
    }

    fn streams(&self) -> &'static [&'static str] {
        if self.row.custom { CUSTOM } else { BUILTIN_STREAMS }
    }

    fn path(&self, path: String, operations: Vec<Operation>) -> Path {
        let mut parameters: Vec<Parameter> = ["name", "namespace", "path"]
            .into_iter()
            .filter(|name| path.contains(&format!("{{{name}}}")))
            .map(|name| Parameter { name, kind: "string", in_path: true })
            .collect();
        parameters.push(Parameter { name: "pretty", kind: "string", in_path: false });
        Path { path, parameters, operations }
    }

    fn collection(&self, path: String) -> Path {
        let mut operations = Vec::new();
        if self.row.has_verb("list") {
            operations.push(Operation {
                parameters: query(LIST),
                produces: self.streams(),
                responses: vec![(200, Some(self.list_schema.clone()))],
                ..self.operation("get", "list", self.id("list", ""))
            });
        }
        if self.row.has_verb("create") {
            operations.push(self.create("post", self.id("create", ""), &self.schema));
        }
        if self.row.has_verb("deletecollection") {
            let id = format!("delete{}Collection{}{}", self.group_version, self.scope, self.row.kind);
            operations.push(Operation {
                parameters: query(DELETE_COLLECTION),
                body: Some((META.delete_options.to_owned(), false)),
                responses: vec![(200, Some(META.status.to_owned()))],
                ..self.operation("delete", "deletecollection", id)
            });
        }
        self.path(path, operations)
    }

    fn create(&self, method: &'static str, id: String, schema: &str) -> Operation {
        Operation {
            parameters: query(WRITE),
            body: Some((schema.to_owned(), true)),
            responses: [200, 201, 202].map(|code| (code, Some(schema.to_owned()))).into(),
            ..self.operation(method, "post", id)
        }
    }

    /// The methods of one object or subresource, as far as `verbs` has them.
    fn item_operations(&self, verbs: &[String], kind: &str, suffix: &str) -> Vec<Operation> {
        let has = |verb: &str| verbs.iter().any(|v| v == verb);
        let answers = |codes: &[u16]| codes.iter().map(|code| (*code, Some(kind.to_owned()))).collect::<Vec<_>>();
        let mut operations = Vec::new();
        if has("get") {
            let operation = self.operation("get", "get", self.id("read", suffix));
            operations.push(Operation { responses: answers(&[200]), ..operation });
        }
        if has("update") {
            operations.push(Operation {
                parameters: query(WRITE),
                body: Some((kind.to_owned(), true)),
                responses: answers(&[200, 201]),
                ..self.operation("put", "put", self.id("replace", suffix))
            });
        }
        if has("patch") {
            operations.push(Operation {
                parameters: query(PATCH),
                body: Some((META.patch.to_owned(), true)),
                consumes: if self.row.custom { CUSTOM_PATCHES } else { BUILTIN_PATCHES },
                responses: answers(&[200, 201]),
                ..self.operation("patch", "patch", self.id("patch", suffix))
            });
        }
        operations
    }

    fn item(&self, path: String) -> Path {
        let mut operations = self.item_operations(&self.row.verbs, &self.schema, "");
        if self.row.has_verb("delete") {
            let object = !self.row.custom && ANSWERS_WITH_OBJECT.contains(&self.row.kind.as_str());
            let answer = if object { self.schema.clone() } else { META.status.to_owned() };
            operations.push(Operation {
                parameters: query(DELETE),
                body: Some((META.delete_options.to_owned(), false)),
                responses: vec![(200, Some(answer.clone())), (202, Some(answer))],
                ..self.operation("delete", "delete", self.id("delete", ""))
            });
        }
        self.path(path, operations)
    }

    /// The collection across namespaces: its list options belong to the path, as in the real document.
    fn everywhere(&self, path: String) -> Path {
        let mut operations = Vec::new();
        if self.row.has_verb("list") {
            let id = format!("list{}{}ForAllNamespaces", self.group_version, self.row.kind);
            operations.push(Operation {
                produces: self.streams(),
                responses: vec![(200, Some(self.list_schema.clone()))],
                ..self.operation("get", "list", id)
            });
        }
        let mut path = self.path(path, operations);
        path.parameters.extend(query(LIST));
        path
    }

    /// The old watch paths, kept for clients that predate `?watch=true`.
    fn watches(&self, root: &str, collection: &str) -> Vec<Path> {
        let watch = |action, id| Operation {
            produces: self.streams(),
            responses: vec![(200, Some(META.watch_event.to_owned()))],
            ..self.operation("get", action, id)
        };
        let mut paths = vec![
            self.path(collection.to_owned(), vec![watch("watchlist", self.id("watch", "List"))]),
            self.path(format!("{collection}/{{name}}"), vec![watch("watch", self.id("watch", ""))]),
        ];
        if self.row.namespaced {
            let id = format!("watch{}{}ListForAllNamespaces", self.group_version, self.row.kind);
            paths.push(self.path(format!("{root}/watch/{}", self.row.resource), vec![watch("watchlist", id)]));
        }
        for path in &mut paths {
            path.parameters.extend(query(LIST));
        }
        paths
    }

    fn subresource(&self, subresource: &SubresourceInfo, path: String) -> Path {
        let (group, version) = match subresource.version.as_str() {
            "" => (self.row.group.as_str(), self.row.version.as_str()),
            version => (subresource.group.as_str(), version),
        };
        let schema = schema_of(self.row, group, version, &subresource.kind);
        let suffix = title(&subresource.name);
        let mut operations = self.item_operations(&subresource.verbs, &schema, &suffix);
        if subresource.verbs.iter().any(|v| v == "create") {
            operations.push(self.create("post", self.id("create", &suffix), &schema));
        }
        for operation in &mut operations {
            operation.gvk = Some(GroupVersionKind::new(group, version, &subresource.kind));
            if subresource.name == "log" {
                operation.parameters = query(LOG);
                operation.produces = &["text/plain", "application/json", "application/yaml"];
                operation.responses = vec![(200, None)];
            }
        }
        self.path(path, operations)
    }

    /// Subresources that hand the connection over.
    fn connect(&self, subresource: &SubresourceInfo, path: String, suffix: &str) -> Path {
        let parameters = match subresource.name.as_str() {
            "exec" => query(EXEC),
            "attach" => query(ATTACH),
            "portforward" => query(&[("ports", "integer")]),
            _ if suffix.is_empty() => query(&[("path", "string")]),
            _ => Vec::new(),
        };
        let methods: &[(&str, &str)] = &[
            ("get", "get"),
            ("create", "post"),
            ("update", "put"),
            ("patch", "patch"),
            ("delete", "delete"),
            ("get", "head"),
            ("get", "options"),
        ];
        let limited = subresource.name != "proxy";
        let wanted = methods.iter().filter(|(verb, method)| {
            let served = subresource.verbs.iter().any(|v| v == verb);
            served && !(limited && matches!(*method, "head" | "options"))
        });
        let operations = wanted.map(|(_, method)| {
            let name = format!("{}{suffix}", title(&subresource.name));
            let id = format!("connect{}{}{}{}{name}", self.group_version, title(method), self.scope, self.row.kind);
            Operation {
                parameters: parameters.clone(),
                gvk: Some(GroupVersionKind::new(&self.row.group, &self.row.version, &subresource.kind)),
                produces: ANY,
                responses: vec![(200, None)],
                ..self.operation(method, "connect", id)
            }
        });
        let operations = operations.collect();
        let mut path = self.path(path, operations);
        path.parameters.retain(|p| p.name != "pretty");
        path
    }
}

/// The schema of a kind as seen from a row.
fn schema_of(row: &ResourceInfo, group: &str, version: &str, kind: &str) -> String {
    let catalog = Catalog::builtin();
    let known = catalog.type_of(&GroupVersionKind::new(group, version, kind));
    match known {
        Some(id) if !row.custom || group != row.group => catalog.types[id].name.clone(),
        _ => custom_name(group, version, kind),
    }
}

/// A discovery document or other fixed URL.
pub(super) fn fixed(path: &str, id: String, tag: String, schema: Option<&str>) -> Path {
    Path {
        path: path.to_owned(),
        parameters: Vec::new(),
        operations: vec![Operation {
            method: "get",
            id,
            tag,
            action: "",
            gvk: None,
            parameters: Vec::new(),
            body: None,
            consumes: JSON,
            produces: if schema == Some(META.version_info) || schema.is_none() { JSON } else { BUILTIN },
            responses: vec![(200, schema.map(str::to_owned))],
        }],
    }
}

/// The document that lists the resources of a group version.
pub(super) fn resources_document(group: &str, version: &str) -> Path {
    let name = camel(group);
    let id = format!("get{name}{}APIResources", title(version));
    let tag = format!("{}_{version}", lower_first(&name));
    fixed(&format!("{}/", root(group, version)), id, tag, Some(META.resource_list))
}

/// The document that lists the versions of a group.
pub(super) fn group_document(group: &str) -> Path {
    let name = camel(group);
    fixed(&format!("/apis/{group}/"), format!("get{name}APIGroup"), lower_first(&name), Some(META.group))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ResourceTable;

    fn ids(group: &str, version: &str, resource: &str) -> Vec<String> {
        let row = ResourceTable::builtin().lookup(group, version, resource).unwrap();
        of_row(&row)
            .iter()
            .flat_map(|p| p.operations.iter().map(|o| format!("{} {} {}", o.method, p.path, o.id)))
            .collect()
    }

    #[test]
    fn operations_are_named_as_client_generators_expect() {
        let pods = ids("", "v1", "pods");
        for expected in [
            "get /api/v1/namespaces/{namespace}/pods listCoreV1NamespacedPod",
            "post /api/v1/namespaces/{namespace}/pods createCoreV1NamespacedPod",
            "delete /api/v1/namespaces/{namespace}/pods deleteCoreV1CollectionNamespacedPod",
            "get /api/v1/pods listCoreV1PodForAllNamespaces",
            "get /api/v1/namespaces/{namespace}/pods/{name} readCoreV1NamespacedPod",
            "put /api/v1/namespaces/{namespace}/pods/{name} replaceCoreV1NamespacedPod",
            "get /api/v1/watch/namespaces/{namespace}/pods watchCoreV1NamespacedPodList",
            "get /api/v1/watch/pods watchCoreV1PodListForAllNamespaces",
            "get /api/v1/namespaces/{namespace}/pods/{name}/log readCoreV1NamespacedPodLog",
            "post /api/v1/namespaces/{namespace}/pods/{name}/eviction createCoreV1NamespacedPodEviction",
            "get /api/v1/namespaces/{namespace}/pods/{name}/exec connectCoreV1GetNamespacedPodExec",
            "post /api/v1/namespaces/{namespace}/pods/{name}/exec connectCoreV1PostNamespacedPodExec",
            "put /api/v1/namespaces/{namespace}/pods/{name}/proxy/{path} connectCoreV1PutNamespacedPodProxyWithPath",
        ] {
            assert!(pods.iter().any(|id| id == expected), "{expected} not in {pods:#?}");
        }
        let roles = ids("rbac.authorization.k8s.io", "v1", "clusterroles");
        assert!(
            roles.contains(
                &"patch /apis/rbac.authorization.k8s.io/v1/clusterroles/{name} patchRbacAuthorizationV1ClusterRole"
                    .to_owned()
            )
        );
        let namespaces = ids("", "v1", "namespaces");
        assert!(
            namespaces.contains(&"put /api/v1/namespaces/{name}/finalize replaceCoreV1NamespaceFinalize".to_owned())
        );
    }

    #[test]
    fn every_operation_has_an_id_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for row in ResourceTable::builtin().rows() {
            for path in of_row(row) {
                for operation in path.operations {
                    assert!(seen.insert(operation.id.clone()), "{} twice", operation.id);
                }
            }
        }
    }
}
