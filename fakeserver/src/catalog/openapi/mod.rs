//! OpenAPI documents, printed from the resource table when first asked for and kept as long as the table.
//!
//! Both versions are made of the same two halves: [`operations`](self) from the rows and schemas from the type
//! catalogue or from CRDs. Descriptions are left out (DIFFERENCE: OpenAPI documents carry no descriptions).
//! Counterpart: kube-openapi `handler` and `handler3`.

mod operations;
mod parameters;
mod proto;
mod schemas;
mod v2;
mod v3;

use super::discovery::sha512_hex;
use super::{ResourceInfo, ResourceTable};
use bytes::Bytes;
use operations::Path;
use parking_lot::Mutex;
use rehearsal_apimachinery::catalog::Catalog;
use schemas::{Dialect, META};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

/// The version that the documents announce.
pub const VERSION: &str = "v1.36.0";

/// A document as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The body.
    pub bytes: Bytes,
    /// SHA-512 of the JSON body in upper-case hexadecimal: entity tag and part of v3 URLs.
    pub hash: String,
}

impl Document {
    fn of(value: &Value) -> Self {
        let bytes = value.to_string().into_bytes();
        Self { hash: sha512_hex(&bytes), bytes: bytes.into() }
    }
}

/// The OpenAPI documents of one resource table.
#[derive(Debug)]
pub struct OpenApi {
    table: Arc<ResourceTable>,
    v2: OnceLock<Document>,
    v2_proto: OnceLock<Document>,
    v3_index: OnceLock<Document>,
    v3: Mutex<BTreeMap<String, Document>>,
}

impl OpenApi {
    /// The documents of a table. Nothing is printed yet.
    #[must_use]
    pub fn new(table: Arc<ResourceTable>) -> Self {
        Self {
            table,
            v2: OnceLock::new(),
            v2_proto: OnceLock::new(),
            v3_index: OnceLock::new(),
            v3: Mutex::new(BTreeMap::new()),
        }
    }

    /// The documents of a server without custom resources, shared by all servers of the process.
    #[must_use]
    pub fn builtin() -> Arc<Self> {
        static BUILTIN: LazyLock<Arc<OpenApi>> = LazyLock::new(|| Arc::new(OpenApi::new(ResourceTable::builtin())));
        Arc::clone(&BUILTIN)
    }

    /// `/openapi/v2` as JSON.
    #[must_use]
    pub fn v2_json(&self) -> Document {
        self.v2.get_or_init(|| Document::of(&self.v2_value())).clone()
    }

    /// `/openapi/v2` as a gnostic protobuf message. Its hash is that of its own bytes.
    #[must_use]
    pub fn v2_proto(&self) -> Document {
        let make = || {
            let bytes = proto::document(&self.v2_value());
            Document { hash: sha512_hex(&bytes), bytes: bytes.into() }
        };
        self.v2_proto.get_or_init(make).clone()
    }

    /// `/openapi/v3`: the paths of all documents with their hashes.
    #[must_use]
    pub fn v3_index(&self) -> Document {
        self.v3_index
            .get_or_init(|| {
                let entries = self.v3_paths().into_iter().filter_map(|path| {
                    let hash = self.v3_document(&path)?.hash;
                    let url = format!("/openapi/v3/{path}?hash={hash}");
                    Some((path, json!({"serverRelativeURL": url})))
                });
                Document::of(&json!({"paths": entries.collect::<Map<String, Value>>()}))
            })
            .clone()
    }

    /// One document of `/openapi/v3`; `path` is a key of the index, such as `api/v1` or `apis/apps/v1`.
    #[must_use]
    pub fn v3_document(&self, path: &str) -> Option<Document> {
        if let Some(made) = self.v3.lock().get(path) {
            return Some(made.clone());
        }
        let shared = Self::builtin();
        let document = if !std::ptr::eq(self, &raw const *shared) && self.is_purely_builtin(path) {
            shared.v3_document(path)?
        } else {
            Document::of(&self.v3_value(path)?)
        };
        self.v3.lock().insert(path.to_owned(), document.clone());
        Some(document)
    }

    /// Whether no custom row has a part in a document, so that all tables share it.
    fn is_purely_builtin(&self, path: &str) -> bool {
        group_version(path).is_none_or(|(group, version)| self.table.of(group, version).all(|row| !row.custom))
    }

    /// The keys of the index.
    fn v3_paths(&self) -> Vec<String> {
        let fixed = [".well-known/openid-configuration", "openid/v1/jwks", "version", "api", "apis"];
        let mut paths: Vec<String> = fixed.map(str::to_owned).into();
        for group in self.table.groups() {
            if group.builtin && !group.name.is_empty() {
                paths.push(format!("apis/{}", group.name));
            }
            let roots = group.versions.iter().map(|version| operations::root(&group.name, version));
            paths.extend(roots.map(|root| root.trim_start_matches('/').to_owned()));
        }
        paths
    }

    fn v3_value(&self, path: &str) -> Option<Value> {
        let (paths, rows) = match group_version(path) {
            Some((group, version)) => {
                let rows: Vec<_> = self.table.of(group, version).cloned().collect();
                if rows.is_empty() {
                    return None;
                }
                let mut paths = vec![operations::resources_document(group, version)];
                paths.extend(rows.iter().flat_map(|row| operations::of_row(row)));
                (paths, rows)
            }
            None => (vec![self.fixed_path(path)?], Vec::new()),
        };
        let schemas = all_schemas(Dialect::V3, &paths, &rows);
        Some(v3::document(VERSION, &paths, &schemas))
    }

    /// The documents that are no group versions.
    fn fixed_path(&self, path: &str) -> Option<Path> {
        Some(match path {
            "version" => {
                operations::fixed("/version/", "getCodeVersion".into(), "version".into(), Some(META.version_info))
            }
            "api" => operations::fixed("/api/", "getCoreAPIVersions".into(), "core".into(), Some(META.versions)),
            "apis" => operations::fixed("/apis/", "getAPIVersions".into(), "apis".into(), Some(META.group_list)),
            "openid/v1/jwks" => operations::fixed(
                "/openid/v1/jwks/",
                "getServiceAccountIssuerOpenIDKeyset".into(),
                "openid".into(),
                None,
            ),
            ".well-known/openid-configuration" => operations::fixed(
                "/.well-known/openid-configuration/",
                "getServiceAccountIssuerOpenIDConfiguration".into(),
                "WellKnown".into(),
                None,
            ),
            other => {
                let group = other.strip_prefix("apis/").filter(|g| self.table.is_builtin_group(g))?;
                operations::group_document(group)
            }
        })
    }

    fn v2_value(&self) -> Value {
        let mut paths = Vec::new();
        for path in self.v3_paths() {
            match group_version(&path) {
                None => paths.extend(self.fixed_path(&path)),
                Some((group, version)) => {
                    let builtin = self.table.of(group, version).any(|row| !row.custom);
                    paths.extend(builtin.then(|| operations::resources_document(group, version)));
                }
            }
        }
        paths.extend(self.table.rows().iter().flat_map(|row| operations::of_row(row)));
        let schemas = all_schemas(Dialect::V2, &paths, self.table.rows());
        v2::document(VERSION, &paths, &schemas)
    }
}

/// Group and version of a key of the index; `None` for keys that are none.
fn group_version(path: &str) -> Option<(&str, &str)> {
    if let Some(version) = path.strip_prefix("api/") {
        return (!version.is_empty() && !version.contains('/')).then_some(("", version));
    }
    path.strip_prefix("apis/")?.split_once('/').filter(|(group, version)| !group.is_empty() && !version.contains('/'))
}

/// The schemas that paths and rows need, and what those refer to.
fn all_schemas(dialect: Dialect, paths: &[Path], rows: &[Arc<ResourceInfo>]) -> BTreeMap<String, Value> {
    let types = &Catalog::builtin().types;
    let operations = paths.iter().flat_map(|p| &p.operations);
    let mut names: Vec<String> = operations
        .flat_map(|o| o.body.iter().map(|(schema, _)| schema).chain(o.responses.iter().filter_map(|(_, s)| s.as_ref())))
        .filter(|name| types.id(name).is_some())
        .cloned()
        .collect();
    names.sort_unstable();
    names.dedup();
    if rows.iter().any(|row| row.custom) {
        names.extend([META.object_meta, META.list_meta].map(str::to_owned));
    }
    let mut schemas = schemas::closure(dialect, names);
    schemas.extend(rows.iter().filter(|row| row.custom).flat_map(|row| schemas::of_custom(dialect, row)));
    schemas
}

#[cfg(test)]
mod tests {
    use super::*;
    use rehearsal_apimachinery::gvk::GroupVersion;

    fn with_custom() -> OpenApi {
        let mut row = (*ResourceTable::builtin().lookup("apps", "v1", "deployments").unwrap()).clone();
        row.group = "example.com".into();
        row.resource = "things".into();
        row.kind = "Thing".into();
        row.list_kind = "ThingList".into();
        row.storage = GroupVersion::new("example.com", "v1");
        row.custom = true;
        row.subresources.iter_mut().filter(|s| s.name == "status").for_each(|s| s.kind = "Thing".into());
        row.schema = Some(Arc::new(json!({"type": "object", "properties": {"spec": {"type": "object"}}})));
        OpenApi::new(Arc::new(ResourceTable::with_custom([Arc::new(row)])))
    }

    fn parse(document: &Document) -> Value {
        serde_json::from_slice(&document.bytes).unwrap()
    }

    fn assert_closed(document: &Value, prefix: &str) {
        let text = document.to_string();
        let root = document.pointer(&format!("/{}", prefix.trim_matches('/')));
        for reference in text.split(&format!("#/{prefix}")).skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(root.is_some_and(|r| r.get(name).is_some()), "{name} is referred to but not there");
        }
    }

    #[test]
    fn the_index_names_every_document_with_its_hash() {
        let api = OpenApi::builtin();
        let index = parse(&api.v3_index());
        for (path, entry) in index["paths"].as_object().unwrap() {
            let document = api.v3_document(path).unwrap();
            let url = format!("/openapi/v3/{path}?hash={}", document.hash);
            assert_eq!(entry["serverRelativeURL"], url);
        }
        for key in ["api", "api/v1", "apis", "apis/apps", "apis/apps/v1", "version", "openid/v1/jwks"] {
            assert!(index["paths"].get(key).is_some(), "{key}");
        }
        assert!(api.v3_document("apis/none").is_none() && api.v3_document("apis/none/v1").is_none());
    }

    #[test]
    fn all_references_lead_somewhere() {
        let api = with_custom();
        assert_closed(&parse(&api.v2_json()), "definitions/");
        for path in api.v3_paths() {
            assert_closed(&parse(&api.v3_document(&path).unwrap()), "components/schemas/");
        }
    }

    #[test]
    fn custom_resources_join_the_documents() {
        let api = with_custom();
        let document = parse(&api.v3_document("apis/example.com/v1").unwrap());
        let thing = &document["components"]["schemas"]["com.example.v1.Thing"];
        assert_eq!(thing["x-kubernetes-group-version-kind"][0]["kind"], "Thing");
        assert_eq!(thing["properties"]["spec"], json!({"type": "object"}));
        let list = &document["paths"]["/apis/example.com/v1/namespaces/{namespace}/things"]["get"];
        assert_eq!(list["operationId"], "listExampleComV1NamespacedThing");
        let index = parse(&api.v3_index());
        assert!(index["paths"].get("apis/example.com").is_none());
        assert!(parse(&api.v2_json())["definitions"].get("com.example.v1.Thing").is_some());
        assert!(parse(&OpenApi::builtin().v2_json())["definitions"].get("com.example.v1.Thing").is_none());
        assert_eq!(api.v3_document("api/v1"), OpenApi::builtin().v3_document("api/v1"));
    }

    #[test]
    fn patch_operations_announce_field_validation() {
        // kubectl decides by this parameter whether it may leave validation to the server.
        let document = parse(&OpenApi::builtin().v3_document("apis/apps/v1").unwrap());
        let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        let names: Vec<_> = patch["parameters"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
        assert!(names.contains(&json!("fieldValidation")));
        assert_eq!(
            patch["x-kubernetes-group-version-kind"],
            json!({"group": "apps", "kind": "Deployment", "version": "v1"})
        );
    }
}
