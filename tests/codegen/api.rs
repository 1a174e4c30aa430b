//! What the clientset is generated from: the types of `k8s-openapi` beside the facts of a running server.
//!
//! The crate says which types there are, of which scope; the server (`resources.json`) says which verbs and subresources
//! a resource has. Neither knows everything: the crate is of a newer minor version, and the server was asked with its
//! default groups only. What follows for the rest is in [`Api::load`].

use rehearsal_apimachinery::Catalog;
use rehearsal_apimachinery::catalog::ResourceFacts;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A type of the crate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Type {
    /// Module of the crate, such as `api::apps::v1`.
    pub(crate) module: String,
    /// Its name, which is its kind.
    pub(crate) kind: String,
    /// API group.
    pub(crate) group: String,
    /// Version.
    pub(crate) version: String,
    /// Plural name.
    pub(crate) plural: String,
    scope: String,
    listable: bool,
    has_status: bool,
    has_object_meta: bool,
}

/// A resource with its type.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    /// Its type.
    pub(crate) of: Type,
    /// Whether its objects live in namespaces.
    pub(crate) namespaced: bool,
    /// Verbs, as discovery names them.
    pub(crate) verbs: BTreeSet<String>,
    /// Whether it has a status subresource.
    pub(crate) status: bool,
    /// Whether it has a scale subresource.
    pub(crate) scale: bool,
    /// Whether the server's facts say so.
    pub(crate) known: bool,
}

/// Everything the generator writes about.
#[derive(Debug)]
pub(crate) struct Api {
    /// Version of the crate.
    pub(crate) version: String,
    /// Its newest feature.
    pub(crate) feature: String,
    /// Resources, by group, version and kind.
    pub(crate) resources: Vec<Resource>,
    /// Types that are bodies of a subresource and have no path of their own.
    pub(crate) bodies: Vec<Type>,
    /// Rows of the facts without a type.
    pub(crate) without_type: Vec<String>,
}

impl Api {
    /// Reads the crate's sources and the facts.
    ///
    /// A resource that the facts do not have gets all verbs if the crate has a list of it, and `create` if not; it has a
    /// status if its type does. [`the_rule_for_unknown_resources_holds_for_every_known_one`] proves that on the others.
    pub(crate) fn load() -> Self {
        let (root, version) = crate_root();
        let (feature, sources) = newest(&root);
        let types = types_of(&sources);
        let catalog = Catalog::builtin();
        let (own, bodies): (Vec<Type>, Vec<Type>) =
            types.into_iter().filter(|t| t.has_object_meta).partition(|t| t.scope != "SubResourceScope");
        let mut resources: Vec<_> = own.into_iter().map(|t| resource(t, &catalog.resources)).collect();
        resources.sort_by(|a, b| key(&a.of).cmp(&key(&b.of)));
        let has = |row: &ResourceFacts| {
            resources
                .iter()
                .any(|r| (&r.of.group, &r.of.version, &r.of.plural) == (&row.group, &row.version, &row.resource))
        };
        let without_type = catalog.resources.iter().filter(|row| !has(row));
        let without_type = without_type.map(|r| format!("{}/{} {}", r.group, r.version, r.resource)).collect();
        Self { version, feature, resources, bodies, without_type }
    }
}

fn key(t: &Type) -> (&str, &str, &str) {
    (&t.group, &t.version, &t.kind)
}

fn resource(of: Type, facts: &[ResourceFacts]) -> Resource {
    let row = facts.iter().find(|r| (&r.group, &r.version, &r.resource) == (&of.group, &of.version, &of.plural));
    let (verbs, status) = ruled(&of);
    let has = |name: &str| row.is_some_and(|r| r.subresources.iter().any(|s| s.name == name));
    Resource {
        namespaced: of.scope == "NamespaceResourceScope",
        verbs: row.map_or(verbs, |r| r.verbs.iter().cloned().collect()),
        status: if row.is_some() { has("status") } else { status },
        scale: has("scale"),
        known: row.is_some(),
        of,
    }
}

/// Verbs and status of a resource that the facts do not have.
fn ruled(of: &Type) -> (BTreeSet<String>, bool) {
    const ALL: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let verbs: &[&str] = if of.listable { &ALL } else { &["create"] };
    (verbs.iter().map(|v| (*v).to_owned()).collect(), of.listable && of.has_status)
}

/// Where cargo keeps the crate's sources, and its version.
fn crate_root() -> (PathBuf, String) {
    // Packages of other platforms need not have been fetched.
    let about = cargo(&["-vV"]);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo knows its host");
    let metadata = cargo(&["metadata", "--format-version", "1", "--offline", "--filter-platform", host]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|p| p["name"] == "k8s-openapi").expect("the workspace uses k8s-openapi");
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    (manifest.parent().unwrap().to_owned(), package["version"].as_str().unwrap().to_owned())
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.expect("cargo runs, for it runs this test");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The newest `v1_NN` of the crate and its sources.
fn newest(root: &Path) -> (String, PathBuf) {
    let minor = |name: &str| name.strip_prefix("v1_").and_then(|n| n.parse::<u32>().ok());
    let names = fs::read_dir(root.join("src")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let newest = names.filter(|name| minor(name).is_some()).max_by_key(|name| minor(name)).unwrap();
    let sources = root.join("src").join(&newest);
    (newest, sources)
}

fn types_of(sources: &Path) -> Vec<Type> {
    let mut found = Vec::new();
    let mut folders = vec![sources.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if let Some(mut read) = type_in(&fs::read_to_string(&path).unwrap()) {
                let module = path.parent().unwrap().strip_prefix(sources).unwrap();
                read.module = module.to_str().unwrap().replace(['/', '\\'], "::");
                found.push(read);
            }
        }
    }
    found
}

/// The resource that a file of the crate defines; most define none.
fn type_in(text: &str) -> Option<Type> {
    let (_, after) = text.split_once("\nimpl crate::Resource for ")?;
    let (kind, body) = after.split_once(" {\n")?;
    let body = body.split("\n}").next()?;
    let quoted = |name: &str| -> Option<String> {
        let (_, after) = body.split_once(&format!("const {name}: &'static str = \""))?;
        Some(after.split('"').next()?.to_owned())
    };
    let definition = text.split_once(&format!("pub struct {kind} {{"))?.1.split("\n}").next()?;
    let metadata = text.split_once(&format!("impl crate::Metadata for {kind} "));
    Some(Type {
        module: String::new(),
        kind: kind.to_owned(),
        group: quoted("GROUP")?,
        version: quoted("VERSION")?,
        plural: quoted("URL_PATH_SEGMENT")?,
        scope: body.split_once("type Scope = crate::")?.1.split(';').next()?.to_owned(),
        listable: text.contains(&format!("\nimpl crate::ListableResource for {kind} ")),
        has_status: definition.contains("\n    pub status: "),
        has_object_meta: metadata
            .is_some_and(|(_, after)| after.split('}').next().is_some_and(|head| head.contains("::ObjectMeta;"))),
    })
}

#[test]
fn the_rule_for_unknown_resources_holds_for_every_known_one() {
    // What the rule cannot see: a collection that cannot be deleted as a whole, a view without storage, and a status
    // that is newer than the facts.
    const EXCEPTIONS: [&str; 3] = ["namespaces", "componentstatuses", "csinodes"];
    let api = Api::load();
    let known: Vec<_> =
        api.resources.iter().filter(|r| r.known && !EXCEPTIONS.contains(&r.of.plural.as_str())).collect();
    assert!(known.len() > 60, "only {}", known.len());
    for r in known {
        assert_eq!(ruled(&r.of), (r.verbs.clone(), r.status), "{}/{} {}", r.of.group, r.of.version, r.of.plural);
    }
}

#[test]
fn scopes_agree_with_the_server() {
    for r in &Api::load().resources {
        let rows = &Catalog::builtin().resources;
        let row =
            rows.iter().find(|f| (&f.group, &f.version, &f.resource) == (&r.of.group, &r.of.version, &r.of.plural));
        if let Some(row) = row {
            assert_eq!((row.namespaced, &row.kind), (r.namespaced, &r.of.kind), "{}", r.of.plural);
        }
    }
}

#[test]
fn the_manifest_asks_for_the_newest_feature() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let line = manifest.lines().find(|l| l.starts_with("k8s-openapi")).unwrap();
    assert!(line.contains(&format!("{:?}", Api::load().feature)), "{line}");
}
