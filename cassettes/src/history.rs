//! [`History`]: the objects of a tape through time, rebuilt from every sighting in answers and watch frames.
//!
//! What a tape shows is a set of sightings (object, resourceVersion). Sorted by resourceVersion they are the life of
//! each object; what was there before the recording began and what came later is told apart by how it was first seen.
//! Replaying into a store, time travel, export and diffs all start from here.

use crate::format::Tree;
use crate::format::model::{Body, Call, Entry, Frame, Tape};
use crate::replay::{AcceptClass, Route};
use rehearsal_apimachinery::catalog::Catalog;
use rehearsal_apimachinery::codec::{frames, protobuf};
use std::collections::{BTreeMap, HashMap};

/// One kind of object as a tape addresses it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Collection {
    /// API group.
    pub group: String,
    /// API version it was seen in.
    pub version: String,
    /// Plural resource.
    pub resource: String,
}

impl std::fmt::Display for Collection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.resource)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

/// An object of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Its collection.
    pub collection: Collection,
    /// Namespace; empty for cluster-wide objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        write!(f, "{} {}{slash}{}", self.collection, self.namespace, self.name)
    }
}

/// One state of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// resourceVersion; for a deletion that no watch saw, the newest one known then.
    pub revision: u64,
    /// Order on the tape of the first sighting.
    pub seq: u64,
    /// When that was, in microseconds since the clock's start.
    pub t: u64,
    /// The object with `apiVersion` and `kind`; none for a deletion.
    pub object: Option<Tree>,
    /// The call that made it, where the tape shows it.
    pub cause: Option<u64>,
    /// It was there before the recording began.
    pub initial: bool,
}

/// The objects of a tape through time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// States of each object, by resourceVersion.
    pub objects: BTreeMap<Key, Vec<Version>>,
    /// Collections of which a whole list was seen, with its resourceVersion and namespace (empty: all of them).
    pub listed: BTreeMap<(Collection, String), u64>,
    /// Kinds by collection, with whether the collection has namespaces.
    pub kinds: BTreeMap<Collection, (String, bool)>,
}

/// Subresources that answer with the object itself.
const OWN_KIND: [&str; 6] = ["", "status", "finalize", "approval", "ephemeralcontainers", "resize"];

/// Annotation of the bookmark that ends a watch's initial events.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

#[derive(Default)]
struct Builder {
    history: History,
    /// Objects that came into being on the tape, and at which resourceVersion first.
    born: BTreeMap<Key, u64>,
    newest: u64,
    /// Time of the sighting at hand.
    t: u64,
}

/// The object in a body, or `{type, object}` of a watch frame; decodes protobuf of built-in kinds. None for what is no
/// object, or is kept elsewhere.
#[must_use]
pub fn object(body: &Body) -> Option<Tree> {
    match body {
        Body::Proto { bytes, .. } => {
            let catalog = Catalog::builtin();
            let value = if bytes.starts_with(&protobuf::MAGIC) {
                protobuf::decode_object(bytes, catalog).ok()?
            } else {
                let (kind, object) = frames::decode_protobuf_event(bytes, catalog).ok()?;
                serde_json::json!({"type": kind, "object": object})
            };
            Some(Tree::from(&value))
        }
        other => other.tree(),
    }
}

/// The object that a watch event is about, and its resourceVersion. None for bookmarks, errors and for what is no event.
#[must_use]
pub fn framed(route: &Route, frame: &Frame) -> Option<(Key, u64)> {
    let event = object(&frame.content)?;
    let shown = event.get("object").filter(|_| event.text_at(&["type"]) != "BOOKMARK")?;
    Some((key_of(&Builder::collection(route)?, shown), revision(shown)?))
}

/// The resourceVersion of an object or list.
fn revision(object: &Tree) -> Option<u64> {
    object.text_at(&["metadata", "resourceVersion"]).parse().ok()
}

impl History {
    /// The history that a tape shows. `resolve` opens bodies that are kept elsewhere (side files, repeated bodies).
    pub fn of(tape: &Tape, resolve: &dyn Fn(&Body) -> Option<Body>) -> Self {
        let mut builder = Builder::default();
        let mut sightings: Vec<(u64, &Call, Option<&Frame>)> = Vec::new();
        for entry in &tape.entries {
            let Entry::Call(call) = entry else { continue };
            sightings.push((call.seq.head.unwrap_or(call.seq.req), call, None));
            sightings.extend(call.frames.iter().map(|frame| (frame.seq, call, Some(frame))));
        }
        sightings.sort_by_key(|(seq, ..)| *seq);
        let mut watches: HashMap<u64, bool> = HashMap::new();
        for (seq, call, frame) in sightings {
            builder.t = frame.map_or(call.t.head.unwrap_or(call.t.req), |frame| frame.t);
            match frame {
                None => {
                    watches.insert(call.id, starts_with_state(call));
                    builder.answer(seq, call, resolve);
                }
                Some(frame) => {
                    let initial = watches.entry(call.id).or_default();
                    builder.frame(call, frame, initial, resolve);
                }
            }
        }
        builder.finish()
    }

    /// The states of all objects at a resourceVersion.
    #[must_use]
    pub fn at(&self, revision: u64) -> Vec<(&Key, &Version)> {
        let live = |versions: &'_ [Version]| {
            let at = versions.iter().rposition(|version| version.revision <= revision || version.initial)?;
            versions.get(at).is_some_and(|version| version.object.is_some()).then_some(at)
        };
        self.objects.iter().filter_map(|(key, versions)| Some((key, versions.get(live(versions)?)?))).collect()
    }

    /// The states that were there before the recording began.
    pub fn initial(&self) -> impl Iterator<Item = (&Key, &Version)> {
        self.objects.iter().filter_map(|(key, versions)| {
            let first = versions.first()?;
            first.initial.then_some((key, first))
        })
    }

    /// All that happened while recording, by resourceVersion, each with the state before it.
    #[must_use]
    pub fn changes(&self) -> Vec<(&Key, Option<&Version>, &Version)> {
        let mut all: Vec<_> = self
            .objects
            .iter()
            .flat_map(|(key, versions)| {
                let before = std::iter::once(None).chain(versions.iter().map(Some));
                before.zip(versions).map(move |(before, version)| (key, before, version))
            })
            .filter(|(.., version)| !version.initial)
            .collect();
        all.sort_by_key(|(key, _, version)| (version.revision, version.seq, *key));
        all
    }

    /// First and last resourceVersion on the tape; none without objects.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        let all = || self.objects.values().flatten().map(|version| version.revision);
        Some((all().min()?, all().max()?))
    }
}

/// Whether a watch begins with the objects that are there.
fn starts_with_state(call: &Call) -> bool {
    let query = |key: &str| call.request.query.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v.as_str());
    matches!(query("resourceVersion"), "" | "0") || query("sendInitialEvents") == "true"
}

impl Builder {
    fn collection(route: &Route) -> Option<Collection> {
        let whole = !matches!(route.accept, AcceptClass::Table | AcceptClass::Metadata);
        (whole && !route.resource.is_empty() && OWN_KIND.contains(&route.subresource.as_str()) && !route.dry_run).then(
            || Collection {
                group: route.group.clone(),
                version: route.version.clone(),
                resource: route.resource.clone(),
            },
        )
    }

    fn answer(&mut self, seq: u64, call: &Call, resolve: &dyn Fn(&Body) -> Option<Body>) {
        let Some(response) = call.response.as_ref().filter(|response| (200..300).contains(&response.status)) else {
            return;
        };
        let route = Route::of(&call.request);
        let Some(collection) = Self::collection(&route) else { return };
        let Some(body) = response.body.as_ref().and_then(resolve) else { return };
        let Some(answer) = object(&body) else { return };
        let kind = answer.text_at(&["kind"]).to_owned();
        match (route.verb.as_str(), kind.strip_suffix("List")) {
            ("list", Some(kind)) => self.list(seq, &route, &collection, kind, &answer),
            ("get" | "create" | "update" | "patch", None) if kind != "Status" => {
                if route.verb == "create" {
                    self.born(&collection, &answer);
                }
                // A lease is somebody's writing too, though no expectation.
                let cause = (route.verb != "get").then_some((call.id, call.seq.req));
                self.sighting(seq, &collection, answer, cause);
            }
            ("delete", _) => self.deleted(seq, call, &route, &collection, &kind, answer),
            _ => {}
        }
    }

    fn list(&mut self, seq: u64, route: &Route, collection: &Collection, kind: &str, list: &Tree) {
        let api_version = list.text_at(&["apiVersion"]).to_owned();
        let whole = route.selectors == (String::new(), String::new());
        let last_page = list.text_at(&["metadata", "continue"]).is_empty();
        if let (true, true, Some(at)) = (whole, last_page, revision(list)) {
            self.history.listed.entry((collection.clone(), route.namespace.clone())).or_insert(at);
        }
        self.newest = self.newest.max(revision(list).unwrap_or(0));
        for item in list.get("items").map(Tree::items).unwrap_or_default() {
            self.sighting(seq, collection, typed(item, &api_version, kind), None);
        }
        self.history.kinds.entry(collection.clone()).or_insert((kind.to_owned(), !route.namespace.is_empty()));
    }

    /// A delete either marked the object or was the end of it; a watch that saw the end knows better when.
    fn deleted(&mut self, seq: u64, call: &Call, route: &Route, collection: &Collection, kind: &str, answer: Tree) {
        if kind != "Status" && answer.at(&["metadata", "deletionTimestamp"]).is_some() {
            self.sighting(seq, collection, answer, Some((call.id, call.seq.req)));
            return;
        }
        let key = Key { collection: collection.clone(), namespace: route.namespace.clone(), name: route.name.clone() };
        let key = if collection.resource == "namespaces" { Key { namespace: String::new(), ..key } } else { key };
        let version =
            Version { revision: self.newest, seq, t: self.t, object: None, cause: Some(call.id), initial: false };
        self.history.objects.entry(key).or_default().push(version);
    }

    fn frame(&mut self, call: &Call, frame: &Frame, initial: &mut bool, resolve: &dyn Fn(&Body) -> Option<Body>) {
        let route = Route::of(&call.request);
        let Some(collection) = Self::collection(&route) else { return };
        let Some(event) = resolve(&frame.content).and_then(|body| object(&body)) else { return };
        let Some(object) = event.get("object").cloned() else { return };
        let cause = frame.cause.first().copied();
        match event.text_at(&["type"]) {
            "BOOKMARK" => {
                let end = object.at(&["metadata", "annotations", INITIAL_EVENTS_END]).is_some();
                *initial = *initial && !end;
            }
            "DELETED" => {
                *initial = false;
                let (key, at) = (key_of(&collection, &object), revision(&object).unwrap_or(self.newest));
                self.newest = self.newest.max(at);
                let versions = self.history.objects.entry(key).or_default();
                // The delete's own answer did not know when.
                versions.retain(|known| known.object.is_some() || known.cause.is_none() || known.cause != cause);
                versions.push(Version { revision: at, seq: frame.seq, t: self.t, object: None, cause, initial: false });
            }
            "ADDED" if *initial && cause.is_none() => {
                self.sighting(frame.seq, &collection, object, None);
            }
            kind @ ("ADDED" | "MODIFIED") => {
                if kind == "ADDED" {
                    self.born(&collection, &object);
                } else {
                    *initial = false;
                }
                self.sighting(frame.seq, &collection, object, cause.map(|id| (id, 0)));
            }
            _ => {}
        }
    }

    /// Notes that an object came into being.
    fn born(&mut self, collection: &Collection, object: &Tree) {
        if let Some(at) = revision(object) {
            let born = self.born.entry(key_of(collection, object)).or_insert(at);
            *born = at.min(*born);
        }
    }

    /// Notes a state. `cause`: the call that made it and the `seq` of its request. A write that came after the state was
    /// seen and answers with it has changed nothing.
    fn sighting(&mut self, seq: u64, collection: &Collection, object: Tree, cause: Option<(u64, u64)>) {
        let Some(at) = revision(&object) else { return };
        if object.text_at(&["metadata", "name"]).is_empty() || object.text_at(&["kind"]) == "PartialObjectMetadata" {
            return;
        }
        self.newest = self.newest.max(at);
        let key = key_of(collection, &object);
        let kind = object.text_at(&["kind"]);
        if !kind.is_empty() {
            let facts = (kind.to_owned(), !key.namespace.is_empty());
            let known = self.history.kinds.entry(collection.clone()).or_insert_with(|| facts.clone());
            known.1 |= facts.1;
        }
        let versions = self.history.objects.entry(key).or_default();
        match versions.iter_mut().find(|known| known.revision == at && known.object.is_some()) {
            Some(known) => {
                let earlier = cause.filter(|(_, sent)| *sent < known.seq).map(|(id, _)| id);
                known.cause = known.cause.or(earlier);
            }
            None => {
                let cause = cause.map(|(id, _)| id);
                versions.push(Version { revision: at, seq, t: self.t, object: Some(object), cause, initial: false });
            }
        }
    }

    fn finish(mut self) -> History {
        for (key, versions) in &mut self.history.objects {
            versions.sort_by_key(|version| (version.revision, version.object.is_none(), version.seq));
            versions.dedup_by(|later, earlier| later.object.is_none() && earlier.object.is_none());
            if let Some(first) = versions.first_mut() {
                let born = self.born.get(key).is_some_and(|at| *at <= first.revision);
                first.initial = first.object.is_some() && !born;
            }
        }
        self.history.objects.retain(|_, versions| versions.iter().any(|version| version.object.is_some()));
        self.history
    }
}

fn key_of(collection: &Collection, object: &Tree) -> Key {
    Key {
        collection: collection.clone(),
        namespace: object.text_at(&["metadata", "namespace"]).to_owned(),
        name: object.text_at(&["metadata", "name"]).to_owned(),
    }
}

/// An item of a typed list, with what the list says of all of them.
fn typed(item: &Tree, api_version: &str, kind: &str) -> Tree {
    let mut entries = item.entries().to_vec();
    if item.get("kind").is_none() {
        entries.insert(0, ("kind".to_owned(), kind.into()));
    }
    if item.get("apiVersion").is_none() {
        entries.insert(1, ("apiVersion".to_owned(), api_version.into()));
    }
    Tree::Map(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::model::{Marks, Render, Request, Response};

    fn json(text: &str) -> Body {
        Body::Json { tree: Tree::from_json(text.as_bytes()).unwrap(), render: Render::default() }
    }

    fn pod(name: &str, revision: u32) -> String {
        format!(
            r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"d","resourceVersion":"{revision}"}}}}"#
        )
    }

    fn call(id: u64, seq: u64, method: &str, path: &str, answer: &str) -> Call {
        Call {
            id,
            seq: Marks { req: seq, head: Some(seq), end: seq },
            request: Request { method: method.into(), path: path.into(), ..Request::default() },
            response: Some(Response { status: 200, body: Some(json(answer)), ..Response::default() }),
            ..Call::default()
        }
    }

    fn history(calls: Vec<Call>) -> History {
        let tape = Tape { entries: calls.into_iter().map(Entry::Call).collect(), ..Tape::default() };
        History::of(&tape, &|body| Some(body.clone()))
    }

    fn names(found: Vec<(&Key, &Version)>) -> Vec<String> {
        found.into_iter().map(|(key, version)| format!("{}@{}", key.name, version.revision)).collect()
    }

    #[test]
    fn what_was_there_and_what_came_later() {
        let list = format!(
            r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"10"}},"items":[{}]}}"#,
            pod("old", 5)
        );
        let mut watch = call(2, 2, "GET", "/api/v1/namespaces/d/pods", "{}");
        watch.request.query = vec![("resourceVersion".into(), "10".into()), ("watch".into(), "1".into())];
        watch.response.as_mut().unwrap().body = None;
        let frame = |seq, kind: &str, object: String, cause: &[u64]| Frame {
            seq,
            content: json(&format!(r#"{{"type":"{kind}","object":{object}}}"#)),
            cause: cause.to_vec(),
            ..Frame::default()
        };
        watch.frames = vec![
            frame(4, "ADDED", pod("new", 12), &[3]),
            frame(6, "MODIFIED", pod("old", 13), &[]),
            frame(8, "DELETED", pod("old", 14), &[5]),
        ];
        let calls = vec![
            call(1, 1, "GET", "/api/v1/namespaces/d/pods", &list),
            watch,
            call(3, 3, "POST", "/api/v1/namespaces/d/pods", &pod("new", 12)),
            call(5, 7, "DELETE", "/api/v1/namespaces/d/pods/old", r#"{"kind":"Status","status":"Success"}"#),
        ];
        let history = history(calls);
        assert_eq!(names(history.initial().collect()), ["old@5"]);
        assert_eq!(names(history.at(12)), ["new@12", "old@5"]);
        assert_eq!(names(history.at(14)), ["new@12"]);
        let changes: Vec<_> = history.changes().iter().map(|(k, _, v)| (k.name.clone(), v.revision, v.cause)).collect();
        let expected = [("new", 12, Some(3)), ("old", 13, None), ("old", 14, Some(5))];
        assert_eq!(changes, expected.map(|(name, at, cause)| (name.to_owned(), at, cause)));
    }

    #[test]
    fn a_watch_in_protobuf_tells_as_much_as_one_in_json() {
        let object: serde_json::Value = serde_json::from_str(&pod("a", 7)).unwrap();
        let framed = frames::protobuf_event("ADDED", &object, Catalog::builtin()).unwrap();
        let mut watch = call(1, 1, "GET", "/api/v1/namespaces/d/pods", "{}");
        watch.request.query = vec![("resourceVersion".into(), "5".into()), ("watch".into(), "1".into())];
        watch.response.as_mut().unwrap().body = None;
        let content = Body::Proto { bytes: framed.get(4..).unwrap().to_vec(), summary: Vec::new() };
        watch.frames = vec![Frame { seq: 2, content, ..Frame::default() }];
        assert_eq!(names(history(vec![watch]).at(7)), ["a@7"]);
    }

    #[test]
    fn leases_have_makers_too() {
        let lease = r#"{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"l","namespace":"d","resourceVersion":"7"}}"#;
        let history = history(vec![call(3, 1, "POST", "/apis/coordination.k8s.io/v1/namespaces/d/leases", lease)]);
        assert_eq!(history.changes().iter().map(|(.., version)| version.cause).collect::<Vec<_>>(), [Some(3)]);
    }

    #[test]
    fn an_object_first_seen_when_changed_was_there_all_along() {
        let history = history(vec![call(1, 1, "PUT", "/api/v1/namespaces/d/pods/a", &pod("a", 20))]);
        assert_eq!(names(history.initial().collect()), ["a@20"]);
    }
}
