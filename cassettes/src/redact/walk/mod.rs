//! The walk through a document: which object are we in, what is secret by place, by name, by looks. Documents within
//! strings (last-applied configurations, kubeconfigs in ConfigMaps) are walked the same way.

mod learn;
mod message;
mod named;
mod place;
mod texts;
mod treat;

use base64::Engine as _;
use regex::Regex;

use super::detect::{BASE64, decode_base64};
use super::dictionary::Reach;
use super::kinds::{self, Treatment};
use super::names::{Sense, sense};
use super::path::{self, Step};
use super::policy::Action;
use super::pseudonym::is_placeholder;
use super::{Class, Context, Core};
use crate::format::Tree;
use message::is_harmless;
use place::Scope;

pub(super) use learn::learn_within;
pub(super) use place::{Hit, Place};
pub(super) use treat::pseudonymous;

/// The annotation kubectl keeps its last manifest in.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Longest string that is read as a document of its own.
const LONGEST_DOCUMENT: usize = 4 * 1024 * 1024;
/// Shortest base64 that may wrap a text worth looking into.
const SHORTEST_WRAPPED: usize = 24;
/// How deep documents may stand within strings of documents.
const NESTING: u8 = 4;

/// What becomes of a value's member or item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stay,
    Drop,
}

/// One walk.
pub(super) struct Walk<'a> {
    core: &'a Core,
    context: &'a Context,
    regexes: Vec<(&'a Regex, &'a Action)>,
    nesting: u8,
    /// The message to come is about a member that holds no secret.
    harmless: bool,
    /// Something was replaced.
    pub(super) changed: bool,
    /// Where, if anybody asks.
    pub(super) hits: Option<Vec<Hit>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(core: &'a Core, context: &'a Context) -> Self {
        let regexes = if core.policy.has_regexes() { core.policy.regexes(context) } else { Vec::new() };
        Self { core, context, regexes, nesting: 0, harmless: false, changed: false, hits: None }
    }

    /// Walks a whole body.
    pub(super) fn document(&mut self, tree: &mut Tree) {
        let scope = self.scope(tree, self.context.kind());
        let root = Place { parent: None, step: None, scope: &scope, root: true };
        if !super::patch::operations(self, tree, &root) {
            self.inside(tree, &root);
        }
    }

    /// Walks a document that has nothing to do with the request's resource.
    fn foreign(&mut self, tree: &mut Tree) {
        let scope = self.scope(tree, "");
        self.inside(tree, &Place { parent: None, step: None, scope: &scope, root: true });
    }

    /// The value of a patch's operation, at the place its pointer names.
    pub(super) fn at_pointer(&mut self, tree: &mut Tree, pointer: &[String], place: &Place<'_>) {
        match pointer.split_first() {
            Some((step, rest)) => self.at_pointer(tree, rest, &place.down(Step::Key(step))),
            // The value of `add ""` is a whole object.
            None if place.root => self.inside(tree, place),
            None => {
                // Once the place is treated as a whole, so is everything below it.
                match Self::above(place) {
                    Some(treatment) => self.treat(tree, treatment, place),
                    None => {
                        if self.value(tree, place) == Fate::Drop {
                            *tree = Tree::Null;
                        }
                    }
                }
            }
        }
    }

    /// The treatment of the nearest place above that has one.
    fn above(place: &Place<'_>) -> Option<Treatment> {
        let mut at = *place;
        while let Some(parent) = at.parent {
            if let Some(treatment) = parent.treatment() {
                return Some(treatment);
            }
            at = *parent;
        }
        None
    }

    fn scope(&self, tree: &Tree, implied: &str) -> Scope<'a> {
        let own = tree.text_at(&["kind"]);
        // A body sent to a sensitive resource is one, whatever it calls itself.
        let is_other = matches!(own, "Status" | "Table" | "List" | "DeleteOptions")
            || own.ends_with("List")
            || own.starts_with("PartialObjectMetadata");
        let kind = if own.is_empty() || (kinds::is_sensitive(implied) && !is_other) { implied } else { own };
        self.scope_of(kind, tree)
    }

    fn scope_of(&self, kind: &str, tree: &Tree) -> Scope<'a> {
        let rules = if self.core.policy.has_paths() {
            let namespace = tree.text_at(&["metadata", "namespace"]);
            self.core.policy.paths(self.context, namespace, tree.text_at(&["apiVersion"]), kind)
        } else {
            Vec::new()
        };
        Scope { kind: kind.to_owned(), rows: kinds::rows(kind), rules }
    }

    // === By place ===

    fn value(&mut self, tree: &mut Tree, place: &Place<'_>) -> Fate {
        if let Some(fate) = self.ruled(tree, place) {
            return fate;
        }
        if let Some(treatment) = place.treatment() {
            self.treat(tree, treatment, place);
            return Fate::Stay;
        }
        match tree {
            Tree::Map(_) if is_object(tree) => {
                let scope = self.scope_of(tree.text_at(&["kind"]), tree);
                self.inside(tree, &Place { scope: &scope, root: true, ..*place });
            }
            Tree::Map(_) | Tree::List(_) => self.inside(tree, place),
            Tree::Text(text) => {
                if let Some(clean) = self.text(text, place) {
                    *text = clean;
                }
            }
            Tree::Int(_) | Tree::Uint(_) | Tree::Float(_) if sense(place.key()) == Sense::Yes => {
                let loud = place.key().contains("pass") || place.key().contains("PASS");
                if loud {
                    self.secret(tree, Class::NamedValue, Reach::Anywhere, place);
                }
            }
            _ => {}
        }
        Fate::Stay
    }

    /// What the user says about this place.
    fn ruled(&mut self, tree: &mut Tree, place: &Place<'_>) -> Option<Fate> {
        if place.scope.rules.is_empty() {
            return None;
        }
        let steps = place.steps(false);
        let rule = place.scope.rules.iter().find(|rule| rule.is_at(&steps))?;
        match &rule.action {
            Action::Keep => Some(Fate::Stay),
            Action::Drop => {
                self.hit(place, Class::Rule);
                Some(Fate::Drop)
            }
            action => {
                let bytes = matches!(place.treatment().or_else(|| Self::above(place)), Some(Treatment::Bytes));
                self.apply(tree, action, bytes, place);
                Some(Fate::Stay)
            }
        }
    }

    fn apply(&mut self, tree: &mut Tree, action: &Action, bytes: bool, place: &Place<'_>) {
        match tree {
            Tree::Map(entries) => {
                for (key, value) in entries {
                    self.apply(value, action, bytes, &place.down(Step::Key(key)));
                }
            }
            Tree::List(items) => {
                for (n, item) in items.iter_mut().enumerate() {
                    self.apply(item, action, bytes, &place.down(Step::Index(n)));
                }
            }
            _ => {
                let Some(text) = scalar(tree) else { return };
                let plain = if bytes { decode_base64(&text) } else { None };
                let plain = plain.unwrap_or_else(|| text.clone().into_bytes());
                let done = std::str::from_utf8(&plain).is_ok_and(is_placeholder);
                let Some(new) = self.replacement(&plain, action) else { return };
                let new = if bytes { BASE64.encode(new) } else { new };
                if !done && new != text {
                    *tree = Tree::Text(new);
                    self.hit(place, Class::Rule);
                }
            }
        }
    }

    fn replacement(&self, plain: &[u8], action: &Action) -> Option<String> {
        self.core.learn(plain, Reach::Anywhere);
        match action {
            Action::Keep => None,
            Action::Drop => Some(String::new()),
            Action::Pseudonym => Some(self.core.names.flat(plain)),
            Action::Hash => Some(self.core.names.hash(plain)),
            Action::Constant(text) => Some(text.clone()),
            Action::Shape => Some(self.core.names.shaped(plain)),
        }
    }

    fn inside(&mut self, tree: &mut Tree, place: &Place<'_>) {
        match tree {
            Tree::Map(entries) => {
                self.identify(entries, place);
                self.pairs(entries, place);
                if place.scope.kind == "Table" && place.root {
                    self.cells(entries, place);
                }
                // A cause of a refusal.
                let field = entries.iter().find(|(key, _)| key == "field").and_then(|(_, value)| value.as_str());
                self.harmless = field.is_some_and(is_harmless);
                // Field ownership repeats the names of keys.
                let owned = matches!(place.step, Some(Step::Key("f:data" | "f:stringData")));
                let rename = owned && self.renames(place);
                let unapplied = self.core.policy.drop_last_applied;
                entries.retain_mut(|(key, value)| {
                    if unapplied && key == LAST_APPLIED {
                        self.changed = true;
                        return false;
                    }
                    let fate = self.value(value, &place.down(Step::Key(key)));
                    if rename {
                        self.rename(key);
                    }
                    fate == Fate::Stay
                });
                self.harmless = false;
            }
            Tree::List(items) => {
                self.flags(items, place);
                let unnamed = (place.scope.kind.ends_with("List") && place.step == Some(Step::Key("items")))
                    .then(|| place.scope.kind.trim_end_matches("List").to_owned());
                for (n, item) in items.iter_mut().enumerate() {
                    let at = place.down(Step::Index(n));
                    match &unnamed {
                        // Items of typed lists do not repeat their kind.
                        Some(kind) if item.get("kind").is_none() => {
                            let kind = if kind.is_empty() { self.context.kind() } else { kind };
                            let scope = self.scope_of(kind, item);
                            self.inside(item, &Place { scope: &scope, root: true, ..at });
                        }
                        _ => {
                            if self.value(item, &at) == Fate::Drop {
                                *item = Tree::Null;
                            }
                        }
                    }
                }
            }
            _ => {
                self.value(tree, place);
            }
        }
    }

    /// Remembers what objects are called, so that no sweep renames them.
    fn identify(&self, entries: &[(String, Tree)], place: &Place<'_>) {
        if place.step != Some(Step::Key("metadata")) {
            return;
        }
        for (key, value) in entries {
            if let ("name" | "namespace", Tree::Text(name)) = (key.as_str(), value) {
                self.core.dictionary.lock().identifier(name);
            }
        }
    }

    /// Replaces the name of a Secret's key.
    pub(super) fn rename(&mut self, key: &mut String) {
        let (mark, name) = key.strip_prefix("f:").map_or(("", key.as_str()), |name| ("f:", name));
        if name != "." && !is_placeholder(name) {
            *key = format!("{mark}{}", self.core.names.flat(name.as_bytes()));
            self.changed = true;
        }
    }

    /// Whether the keys of this place's Secret lose their names.
    pub(super) fn renames(&self, place: &Place<'_>) -> bool {
        self.core.policy.redact_keys && place.scope.kind == "Secret"
    }

    fn hit(&mut self, place: &Place<'_>, class: Class) {
        self.changed = true;
        if let Some(hits) = &mut self.hits {
            let steps = place.steps(true);
            let step = |step: &Step<'_>| match step {
                Step::Key(key) => (*key).to_owned(),
                Step::Index(n) => n.to_string(),
            };
            hits.push(Hit { path: path::print(&steps), steps: steps.iter().map(step).collect(), class });
        }
    }
}

/// Whether a map is an object rather than a reference to one.
fn is_object(tree: &Tree) -> bool {
    const BODIES: [&str; 9] = ["metadata", "spec", "status", "data", "stringData", "users", "items", "rows", "request"];
    !tree.text_at(&["kind"]).is_empty() && BODIES.iter().any(|member| tree.get(member).is_some())
}

/// Words about a value rather than the value: the schema of a custom resource has members called `password`.
fn is_name_of_type(place: &Place<'_>) -> bool {
    place.scope.kind == "CustomResourceDefinition"
}

fn scalar(tree: &Tree) -> Option<String> {
    match tree {
        Tree::Text(text) => Some(text.clone()),
        Tree::Int(n) => Some(n.to_string()),
        Tree::Uint(n) => Some(n.to_string()),
        Tree::Float(n) => Some(n.to_string()),
        _ => None,
    }
}
