//! Tapes out of manifests: a header and one list a kind, as if somebody had asked for everything at one moment. The way
//! back of `manifests`, for state that comes from a backup or from `kubectl get -o yaml`.

use crate::format::Tree;
use crate::format::model::{Body, Call, Clock, Entry, Header, Lane, Marks, Recorded, Render, Request, Response, Tape};
use rehearsal_apimachinery::catalog::Catalog;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// An object that cannot be put on a tape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct ManifestError {
    /// Where it stands, as its reader said.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

/// `apiVersion`, plural.
type Collection = (String, String);

/// Makes a tape of objects, each with the place it stands at. What a server would have set and is not there
/// (resourceVersions, uids, namespaces of what has one) is made up, always in the same way. `at` is the time of the list,
/// RFC 3339.
///
/// # Errors
/// An object without a kind, an apiVersion or a name, and one that is there twice.
pub fn from_manifests(objects: Vec<(String, Tree)>, at: &str) -> Result<Tape, ManifestError> {
    let plurals = custom(&objects);
    let mut lists: BTreeMap<Collection, (String, Vec<Tree>)> = BTreeMap::new();
    let mut seen = BTreeMap::new();
    let newest = objects.iter().map(|(_, object)| revision(object)).max().unwrap_or(0);
    let mut next = newest;
    for (place, mut object) in objects {
        let wrong = |why: String| ManifestError { place: place.clone(), why };
        let (version, kind) = (object.text_at(&["apiVersion"]).to_owned(), object.text_at(&["kind"]).to_owned());
        let name = object.text_at(&["metadata", "name"]).to_owned();
        if version.is_empty() || kind.is_empty() || name.is_empty() {
            return Err(wrong("an object needs apiVersion, kind and metadata.name".to_owned()));
        }
        let (plural, namespaced) = plurals.get(&(version.clone(), kind.clone())).cloned().unwrap_or_else(|| {
            let guessed = !object.text_at(&["metadata", "namespace"]).is_empty();
            built_in(&version, &kind).unwrap_or_else(|| (plural(&kind), guessed))
        });
        let namespace = match object.text_at(&["metadata", "namespace"]) {
            "" if namespaced => "default".to_owned(),
            namespace => namespace.to_owned(),
        };
        let key = format!("{kind} {namespace}/{name}");
        if let Some(first) = seen.insert((version.clone(), key.clone()), place.clone()) {
            return Err(wrong(format!("{key} is there already, at {first}")));
        }
        if revision(&object) == 0 {
            next += 1;
            complete(&mut object, &namespace, &version, &key, next);
        }
        lists.entry((version, plural)).or_insert_with(|| (kind, Vec::new())).1.push(object);
    }
    Ok(tape(lists, next.max(1), at))
}

fn revision(object: &Tree) -> u64 {
    object.text_at(&["metadata", "resourceVersion"]).parse().unwrap_or(0)
}

/// Sets what a server would have set.
fn complete(object: &mut Tree, namespace: &str, version: &str, key: &str, revision: u64) {
    let Some(metadata) = object.get_mut("metadata") else { return };
    if !namespace.is_empty() {
        metadata.set("namespace", namespace.into());
    }
    if metadata.text_at(&["uid"]).is_empty() {
        let hash = Sha256::digest(format!("{version} {key}"));
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        let uid = [part(0, 8), part(8, 12), &format!("4{}", part(13, 16)), &format!("8{}", part(17, 20)), part(20, 32)];
        metadata.set("uid", uid.join("-").into());
    }
    metadata.set("resourceVersion", revision.to_string().into());
}

/// Plural and scope of a built-in kind.
fn built_in(version: &str, kind: &str) -> Option<(String, bool)> {
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let is_it = |facts: &&rehearsal_apimachinery::catalog::ResourceFacts| {
        facts.kind == kind && facts.group == group && facts.version == version
    };
    Catalog::builtin().resources.iter().find(is_it).map(|facts| (facts.resource.clone(), facts.namespaced))
}

/// Plural and scope of the kinds that CustomResourceDefinitions among the objects define.
fn custom(objects: &[(String, Tree)]) -> BTreeMap<(String, String), (String, bool)> {
    let mut found = BTreeMap::new();
    for (_, object) in objects.iter().filter(|(_, o)| o.text_at(&["kind"]) == "CustomResourceDefinition") {
        let text = |path: &[&str]| object.text_at(path).to_owned();
        let named = (text(&["spec", "names", "plural"]), text(&["spec", "scope"]) == "Namespaced");
        for version in object.at(&["spec", "versions"]).map(Tree::items).unwrap_or_default() {
            let version = format!("{}/{}", text(&["spec", "group"]), version.text_at(&["name"]));
            found.insert((version, text(&["spec", "names", "kind"])), named.clone());
        }
    }
    found
}

/// The plural that most kinds have.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    let vowel = |c: char| "aeiou".contains(c);
    match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with(vowel) => format!("{stem}ies"),
        _ if kind.ends_with(['s', 'x']) || kind.ends_with("ch") || kind.ends_with("sh") => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}

fn tape(lists: BTreeMap<Collection, (String, Vec<Tree>)>, newest: u64, at: &str) -> Tape {
    let mut entries = Vec::new();
    for (n, ((version, plural), (kind, items))) in lists.into_iter().enumerate() {
        let n = n as u64;
        let text = |text: &str| Tree::Text(text.to_owned());
        // Items of a list do not say what they are: the list does.
        let items = items.into_iter().map(|mut item| {
            item.remove("kind");
            item.remove("apiVersion");
            item
        });
        let tree = Tree::Map(vec![
            ("kind".to_owned(), text(&format!("{kind}List"))),
            ("apiVersion".to_owned(), text(&version)),
            ("metadata".to_owned(), Tree::Map(vec![("resourceVersion".to_owned(), text(&newest.to_string()))])),
            ("items".to_owned(), Tree::List(items.collect())),
        ]);
        let root = if version.contains('/') { "apis" } else { "api" };
        entries.push(Entry::Call(Call {
            id: n + 1,
            lane: "import".to_owned(),
            seq: Marks { req: 3 * n + 1, head: Some(3 * n + 2), end: 3 * n + 3 },
            t: Marks { req: 0, head: Some(0), end: 0 },
            request: Request {
                method: "GET".to_owned(),
                path: format!("/{root}/{version}/{plural}"),
                headers: vec![("accept".to_owned(), "application/json".to_owned())],
                ..Request::default()
            },
            response: Some(Response {
                status: 200,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                body: Some(Body::Json { tree, render: Render::GO }),
                ..Response::default()
            }),
            ..Call::default()
        }));
    }
    let recorded = Recorded {
        at: at.to_owned(),
        placement: "import".to_owned(),
        origin: "manifests".to_owned(),
        extra: vec![("fidelity".to_owned(), "state".into())],
        ..Recorded::default()
    };
    Tape {
        header: Header {
            name: "manifests".to_owned(),
            recorded,
            lanes: BTreeMap::from([("import".to_owned(), Lane::default())]),
            clock: Clock { start: at.to_owned(), source: "import".to_owned(), resolution: 1, ..Clock::default() },
            ..Header::default()
        },
        entries,
        sealed: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::{Manifests, to_manifests};
    use crate::history::History;

    fn objects(list: &[&str]) -> Vec<(String, Tree)> {
        let read = |(n, text): (usize, &&str)| (format!("f:{n}"), Tree::from_json(text.as_bytes()).unwrap());
        list.iter().enumerate().map(read).collect()
    }

    const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"d"}}"#;
    const CRD: &str = r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"geese.x.io"},
        "spec":{"group":"x.io","scope":"Namespaced","names":{"plural":"geese","kind":"Goose"},"versions":[{"name":"v1"}]}}"#;
    const GOOSE: &str = r#"{"apiVersion":"x.io/v1","kind":"Goose","metadata":{"name":"g"}}"#;

    #[test]
    fn manifests_are_a_list_a_kind_and_come_back_as_they_were() {
        let tape = from_manifests(objects(&[POD, CRD, GOOSE]), "2026-01-02T03:04:05Z").unwrap();
        let paths: Vec<_> = tape.calls().map(|call| call.request.path.as_str()).collect();
        let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        assert_eq!(paths, [crds, "/api/v1/pods", "/apis/x.io/v1/geese"]);
        let history = History::of(&tape, &|body| Some(body.clone()));
        assert_eq!(history.initial().count(), 3);
        let text = to_manifests(&history, u64::MAX, Manifests::Appliable);
        assert!(text.contains("kind: Pod\nmetadata:\n  name: a\n  namespace: d\n"), "{text}");
        assert!(text.contains("kind: Goose\nmetadata:\n  name: g\n  namespace: default\n"), "{text}");
        let again = from_manifests(objects(&[POD, CRD, GOOSE]), "2026-01-02T03:04:05Z").unwrap();
        assert_eq!(tape, again);
    }

    #[test]
    fn what_is_no_object_is_told_with_its_place() {
        let why = |list: &[&str]| from_manifests(objects(list), "").unwrap_err().to_string();
        assert_eq!(why(&[POD, "{}"]), "f:1: an object needs apiVersion, kind and metadata.name");
        assert_eq!(why(&[POD, POD]), "f:1: Pod d/a is there already, at f:0");
    }
}
