//! [`Bindings`]: which value of the live server stands for which recorded one.
//!
//! A server chooses uids, resourceVersions, generated names and continue tokens. They are learnt from answers laid side
//! by side, and put into the requests and answers that follow. One recorded value is one live value and the other way
//! round; where it is not, an object that was one has become two, or a change was none: a [`Clash`].

use super::names;
use super::symbols;
use crate::format::Tree;
use crate::format::model::{Body, Request};
use crate::history;
use std::collections::{BTreeMap, HashMap};

/// Two values that were equal on the tape and are not now, or the other way round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// Where, dotted.
    pub path: String,
    /// What is on the tape.
    pub recorded: String,
    /// What the recorded value stood for so far, where it had been seen.
    pub expected: Option<String>,
    /// What came.
    pub live: String,
    /// On the tape it is newer than the first of these, and what came is not newer than the second.
    pub older: Option<(String, String)>,
}

/// Recorded values and the live ones they stand for.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// The tape holds placeholders of a transcript.
    pub(super) symbolic: bool,
    /// Uids, generated names, placeholders.
    texts: HashMap<String, String>,
    /// Live resourceVersions of objects and uids, by what they stand for.
    back: HashMap<String, String>,
    /// resourceVersions of objects.
    revisions: BTreeMap<u64, String>,
    /// resourceVersions of lists and bookmarks, which move with whatever else happens.
    loose: BTreeMap<u64, String>,
    continues: HashMap<String, String>,
    /// Recorded and live resourceVersions of each object, by its recorded uid.
    lives: HashMap<String, BTreeMap<u64, u64>>,
    /// The newest live resourceVersion of an object.
    newest: u64,
}

impl Bindings {
    /// Nothing known yet. `symbolic`: the tape's answers hold placeholders of a transcript.
    #[must_use]
    pub fn new(symbolic: bool) -> Self {
        Self { symbolic, ..Self::default() }
    }

    /// Learns from a recorded body and the live one. Gives what does not fit with what was known.
    pub fn learn(&mut self, recorded: &Tree, live: &Tree) -> Vec<Clash> {
        let mut clashes = Vec::new();
        self.walk(recorded, live, &mut Vec::new(), &mut clashes);
        clashes
    }

    fn walk(&mut self, recorded: &Tree, live: &Tree, path: &mut Vec<String>, clashes: &mut Vec<Clash>) {
        match (recorded, live) {
            (Tree::Map(entries), Tree::Map(_)) => {
                self.metadata(recorded, live, path, clashes);
                for (key, value) in entries {
                    if let Some(other) = live.get(key).filter(|_| key != "managedFields") {
                        path.push(key.clone());
                        self.walk(value, other, path, clashes);
                        path.pop();
                    }
                }
            }
            (Tree::List(items), Tree::List(others)) => {
                for (at, other) in names::pairs(items, others, self) {
                    path.push(at.to_string());
                    if let (Some(item), Some(other)) = (items.get(at), others.get(other)) {
                        self.walk(item, other, path, clashes);
                    }
                    path.pop();
                }
            }
            (Tree::Text(text), Tree::Text(other)) if self.symbolic => {
                for (symbol, value) in symbols::assignments(text, other) {
                    self.symbol(symbol, value, path, clashes);
                }
            }
            _ => {}
        }
    }

    fn symbol(&mut self, symbol: &str, value: &str, path: &[String], clashes: &mut Vec<Clash>) {
        if symbol.starts_with('<') {
            self.bind(symbol, value, path, clashes);
        } else {
            // A variable of a transcript takes another value when it is saved again.
            self.texts.insert(symbol.to_owned(), value.to_owned());
        }
    }

    fn metadata(&mut self, recorded: &Tree, live: &Tree, path: &mut Vec<String>, clashes: &mut Vec<Clash>) {
        let (Some(old), Some(new)) = (recorded.get("metadata"), live.get("metadata")) else { return };
        let listed = recorded.get("items").is_some() || recorded.text_at(&["kind"]).ends_with("List");
        let loose = listed || recorded.text_at(&["kind"]) == "Table" || names::is_bookmark(recorded);
        let text = |key: &str| (old.text_at(&[key]), new.text_at(&[key]));
        let (uid, live_uid) = text("uid");
        let (name, live_name) = text("name");
        let (token, live_token) = text("continue");
        let (revision, live_revision) = text("resourceVersion");
        path.push("metadata".to_owned());
        if !uid.is_empty() && !live_uid.is_empty() && !self.symbolic {
            self.bind(uid, live_uid, path, clashes);
        }
        let generated = old.text_at(&["generateName"]);
        if !generated.is_empty() && name.starts_with(generated) && live_name.starts_with(generated) {
            names::tokens(name, live_name).for_each(|(a, b)| {
                self.texts.insert(a.to_owned(), b.to_owned());
            });
        }
        if !token.is_empty() && !live_token.is_empty() {
            self.continues.insert(token.to_owned(), live_token.to_owned());
        }
        if let (Ok(number), false) = (revision.parse::<u64>(), live_revision.is_empty()) {
            if loose || number == 0 {
                self.loose.insert(number, live_revision.to_owned());
            } else {
                path.push("resourceVersion".to_owned());
                self.revisions.entry(number).or_insert_with(|| live_revision.to_owned());
                self.newest = self.newest.max(live_revision.parse().unwrap_or(0));
                let known = clashes.len();
                self.bind(revision, live_revision, path, clashes);
                if clashes.len() == known {
                    clashes.extend(self.out_of_order(uid, number, live_revision, path));
                }
                path.pop();
            }
        }
        path.pop();
    }

    fn bind(&mut self, recorded: &str, live: &str, path: &[String], clashes: &mut Vec<Clash>) {
        let known = self.texts.get(recorded);
        let owner = self.back.get(live);
        if known.is_some_and(|known| known != live) || owner.is_some_and(|owner| owner != recorded) {
            clashes.push(Clash {
                path: path.join("."),
                recorded: recorded.to_owned(),
                expected: known.cloned(),
                live: live.to_owned(),
                older: None,
            });
            return;
        }
        self.texts.insert(recorded.to_owned(), live.to_owned());
        self.back.insert(live.to_owned(), recorded.to_owned());
    }

    /// Whether the states of one object come in another order than on the tape.
    fn out_of_order(&mut self, uid: &str, number: u64, live: &str, path: &[String]) -> Option<Clash> {
        let now = live.parse::<u64>().ok().filter(|_| !uid.is_empty())?;
        let life = self.lives.entry(uid.to_owned()).or_default();
        let before = life.range(..number).next_back().filter(|(_, older)| **older >= now);
        let after = life.range(number + 1..).next().filter(|(_, newer)| **newer <= now);
        let clash = |recorded: u64, older: u64, live: u64, than: u64| Clash {
            path: path.join("."),
            recorded: recorded.to_string(),
            expected: None,
            live: live.to_string(),
            older: Some((older.to_string(), than.to_string())),
        };
        let found = match (before, after) {
            (Some((older, than)), _) => Some(clash(number, *older, now, *than)),
            (None, Some((newer, than))) => Some(clash(*newer, number, *than, now)),
            (None, None) => None,
        };
        if found.is_none() {
            life.insert(number, now);
        }
        found
    }

    /// Whether the answer to a write that was newer than all before it on the tape is not so now. Calls that overlapped
    /// in the recording are not judged: there an older resourceVersion can be answered later.
    pub(super) fn not_newer(&self, recorded: &Tree, live: &Tree) -> Option<Clash> {
        let revision = |tree: &Tree| tree.text_at(&["metadata", "resourceVersion"]).parse::<u64>().ok();
        let (number, now) = (revision(recorded)?, revision(live)?);
        let (newest, _) = self.revisions.last_key_value()?;
        let than = self.newest;
        (number > *newest && now <= than).then(|| Clash {
            path: "metadata.resourceVersion".to_owned(),
            recorded: number.to_string(),
            expected: None,
            live: now.to_string(),
            older: Some((newest.to_string(), than.to_string())),
        })
    }

    /// The live resourceVersion for a recorded one: its own, or that of the newest one known before it.
    #[must_use]
    pub fn revision(&self, recorded: &str) -> String {
        let Ok(number) = recorded.parse::<u64>() else { return self.text(recorded) };
        if number == 0 {
            return recorded.to_owned();
        }
        let exact = self.revisions.get(&number).or_else(|| self.loose.get(&number));
        let before = || {
            let newest = |map: &BTreeMap<u64, String>| map.range(1..=number).next_back().map(|(n, v)| (*n, v.clone()));
            newest(&self.revisions).max(newest(&self.loose)).map(|(_, live)| live)
        };
        exact.cloned().or_else(before).unwrap_or_else(|| recorded.to_owned())
    }

    /// The live continue token for a recorded one.
    fn token(&self, recorded: &str) -> String {
        self.continues.get(recorded).cloned().unwrap_or_else(|| self.text(recorded))
    }

    /// A text with live values in it.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        names::replace(text, |token| {
            // Bare numbers are resourceVersions only where a field says so.
            let number = token.bytes().all(|byte| byte.is_ascii_digit());
            if number { None } else { self.texts.get(token).map(String::as_str) }
        })
    }

    /// A body with live values in it.
    #[must_use]
    pub fn tree(&self, tree: &Tree) -> Tree {
        match tree {
            Tree::Text(text) => Tree::Text(self.text(text)),
            Tree::List(items) => Tree::List(items.iter().map(|item| self.tree(item)).collect()),
            Tree::Map(entries) => {
                let patches_revision = tree.text_at(&["path"]).ends_with("/resourceVersion");
                let value = |key: &str, value: &Tree| match value {
                    Tree::Text(text) if key == "resourceVersion" || patches_revision && key == "value" => {
                        Tree::Text(self.revision(text))
                    }
                    Tree::Text(text) if key == "continue" => Tree::Text(self.token(text)),
                    other => self.tree(other),
                };
                Tree::Map(entries.iter().map(|(key, old)| (self.text(key), value(key, old))).collect())
            }
            other => other.clone(),
        }
    }

    /// A recorded request as it is sent now: live values in path, query and body; JSON where it was protobuf.
    #[must_use]
    pub fn request(&self, recorded: &Request) -> Request {
        let mut request = recorded.clone();
        request.path = self.text(&recorded.path);
        for (key, value) in &mut request.query {
            *value = match key.as_str() {
                "resourceVersion" => self.revision(value),
                "continue" => self.token(value),
                _ => self.text(value),
            };
        }
        let json = |media: &str| media.contains("protobuf");
        for (_, value) in request.headers.iter_mut().filter(|(name, value)| name == "accept" && json(value)) {
            *value = "application/json".to_owned();
        }
        request.body = recorded.body.as_ref().map(|body| match body {
            Body::Json { tree, render } => Body::Json { tree: self.tree(tree), render: *render },
            Body::Text(text) => Body::Text(self.text(text)),
            Body::Yaml(text) => Body::Yaml(self.text(text)),
            Body::Proto { .. } => history::object(body).map_or_else(
                || body.clone(),
                |tree| {
                    let types =
                        request.headers.iter_mut().filter(|(name, value)| name == "content-type" && json(value));
                    types.for_each(|(_, value)| "application/json".clone_into(value));
                    Body::Json { tree: self.tree(&tree), render: crate::format::model::Render::COMPACT }
                },
            ),
            other => other.clone(),
        });
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        Tree::from_json(text.as_bytes()).unwrap()
    }

    fn pod(uid: &str, rv: &str, name: &str) -> Tree {
        tree(&format!(
            r#"{{"metadata":{{"name":"{name}","generateName":"web-","uid":"{uid}","resourceVersion":"{rv}"}}}}"#
        ))
    }

    const OLD: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    const NEW: &str = "7ca7b810-9dad-11d1-80b4-00c04fd430c8";

    #[test]
    fn what_the_server_chose_goes_into_the_next_request() {
        let mut bindings = Bindings::default();
        assert!(bindings.learn(&pod(OLD, "100", "web-abcde"), &pod(NEW, "7", "web-zzzzz")).is_empty());
        let body =
            tree(&format!(r#"{{"metadata":{{"resourceVersion":"100"}},"preconditions":{{"uid":"{OLD}"}},"n":"100"}}"#));
        let sent = bindings.request(&Request {
            path: "/api/v1/namespaces/a/pods/web-abcde".into(),
            query: vec![("resourceVersion".into(), "104".into()), ("limit".into(), "100".into())],
            body: Some(Body::Json { tree: body, render: crate::format::model::Render::COMPACT }),
            ..Request::default()
        });
        assert_eq!(sent.path, "/api/v1/namespaces/a/pods/web-zzzzz");
        assert_eq!((sent.query[0].1.as_str(), sent.query[1].1.as_str()), ("7", "100"));
        let text = String::from_utf8(sent.body.unwrap().bytes().unwrap()).unwrap();
        assert_eq!(
            text,
            format!(r#"{{"metadata":{{"resourceVersion":"7"}},"preconditions":{{"uid":"{NEW}"}},"n":"100"}}"#)
        );
    }

    #[test]
    fn a_change_that_was_none_is_a_clash() {
        let mut bindings = Bindings::default();
        assert!(bindings.learn(&pod(OLD, "100", "web-a"), &pod(NEW, "7", "web-b")).is_empty());
        assert!(bindings.learn(&pod(OLD, "101", "web-a"), &pod(NEW, "8", "web-b")).is_empty());
        let clashes = bindings.learn(&pod(OLD, "102", "web-a"), &pod(NEW, "8", "web-b"));
        assert_eq!(clashes.len(), 1);
        assert_eq!(clashes[0].path, "metadata.resourceVersion");
    }
}
