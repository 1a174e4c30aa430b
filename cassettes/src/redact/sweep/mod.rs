//! The second pass: every value that was ever found secret, in every encoding, anywhere on the tape. It catches what
//! was written before its secret was known.

mod search;

use std::fmt;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use zeroize::{Zeroize, Zeroizing};

use super::body::note;
use super::dictionary::{Dictionary, Reach};
use super::encodings::{Form, forms};
use super::pseudonym::Pseudonyms;
use crate::format::Tree;
use crate::format::model::{
    Body, Call, Document, End, Entry, Extra, Frame, Header, Render, Request, Response, Tape, Upgrade,
};
use search::Swept;

pub(super) use search::stands_alone;

/// Bytes of patterns up to which the fastest way of searching may be chosen.
const LONG: usize = 4096;

/// Replaces known secrets in everything that was recorded.
pub struct Sweeper {
    automaton: Option<AhoCorasick>,
    /// Secret and form of each pattern.
    patterns: Vec<(usize, Form)>,
    secrets: Vec<Known>,
    names: Pseudonyms,
}

struct Known {
    plain: Zeroizing<Vec<u8>>,
    placeholder: String,
    reach: Reach,
}

impl fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sweeper({} secrets)", self.secrets.len())
    }
}

impl Sweeper {
    pub(super) fn new(dictionary: &Dictionary, names: Pseudonyms) -> Self {
        let known = |(plain, reach): (&[u8], Reach)| Known {
            plain: Zeroizing::new(plain.to_vec()),
            placeholder: names.shaped(plain),
            reach,
        };
        let secrets: Vec<Known> = dictionary.wanted().into_iter().map(known).collect();
        let mut patterns = Vec::new();
        let mut bytes = Vec::new();
        for (n, secret) in secrets.iter().enumerate() {
            for (form, text) in forms(&secret.plain) {
                patterns.push((n, form));
                bytes.push(text);
            }
        }
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::LeftmostLongest);
        // A table of all states is the fastest to search, and takes minutes and gigabytes to build for long values,
        // above all for such as repeat themselves.
        if bytes.iter().map(Vec::len).sum::<usize>() > LONG {
            builder.kind(Some(AhoCorasickKind::ContiguousNFA));
        }
        let built = builder.build(&bytes);
        bytes.iter_mut().for_each(Zeroize::zeroize);
        // Only more than 2³¹ states fail to build; a dictionary of that size has no place in memory.
        let automaton = if bytes.is_empty() { None } else { built.ok() };
        Self { automaton, patterns, secrets, names }
    }

    /// How many secrets are looked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.secrets.len()
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Sweeps a text; `true` if it changed.
    pub fn text(&self, text: &mut String) -> bool {
        let Some(clean) = self.bytes(text.as_bytes(), 0) else { return false };
        *text = String::from_utf8_lossy(&clean).into_owned();
        true
    }

    /// Sweeps values and keys of a tree; `true` if any changed.
    pub fn tree(&self, tree: &mut Tree) -> bool {
        match tree {
            Tree::Text(text) => self.text(text),
            Tree::List(items) => items.iter_mut().fold(false, |changed, item| self.tree(item) | changed),
            Tree::Map(entries) => {
                let sweep =
                    |changed: bool, (key, value): &mut (String, Tree)| self.text(key) | self.tree(value) | changed;
                entries.iter_mut().fold(false, sweep)
            }
            _ => false,
        }
    }

    /// Sweeps a body; `true` if it changed. The content of [`Body::Ref`] is in a file: see [`Sweeper::side_file`].
    pub fn body(&self, body: &mut Body) -> bool {
        let closed = |bytes: &[u8]| {
            let tree = note("", "", bytes.len(), &self.names.digest(bytes));
            Body::Json { tree, render: Render::default() }
        };
        match body {
            Body::Json { tree, .. } => self.tree(tree),
            Body::Yaml(text) | Body::Text(text) => self.text(text),
            Body::Proto { bytes, summary } => {
                let changed = summary.iter_mut().fold(false, |changed, (_, value)| self.text(value) | changed);
                match self.proto(bytes) {
                    Swept::Clean => changed,
                    Swept::New(new) => {
                        *bytes = new;
                        true
                    }
                    Swept::Unreadable => {
                        *body = closed(bytes);
                        true
                    }
                }
            }
            Body::Bytes(bytes) => {
                let hit = self.bytes(bytes, 0).is_some();
                if hit {
                    // Bytes of an unknown form cannot be edited.
                    *body = closed(bytes);
                }
                hit
            }
            Body::Ref { summary, .. } => {
                summary.iter_mut().fold(false, |changed, (_, value)| self.text(value) | changed)
            }
            Body::Same { .. } => false,
        }
    }

    /// Sweeps the decompressed content of a side file, given the `is` of its reference; `None` if it may stay. The
    /// new content has a new hash.
    #[must_use]
    pub fn side_file(&self, is: &str, content: &[u8]) -> Option<Vec<u8>> {
        match is {
            "proto" => match self.proto(content) {
                Swept::Clean => None,
                Swept::New(new) => Some(new),
                Swept::Unreadable => {
                    let tree = note("", "", content.len(), &self.names.digest(content));
                    Some(serde_json::to_vec(&tree).unwrap_or_default())
                }
            },
            "json" => {
                let Ok(mut tree) = Tree::from_json(content) else { return self.bytes(content, 0) };
                self.tree(&mut tree).then(|| serde_json::to_vec(&tree).unwrap_or_default())
            }
            _ => self.bytes(content, 0),
        }
    }

    /// Sweeps a whole tape and notes it in its header: the second pass. `load` reads the body that a [`Body::Ref`]
    /// stands for; one that changes stays in the tape, for its owner to take out again under its new name. Returns
    /// whether everything could be read: if not, the header keeps saying that one pass was made.
    pub fn tape(&self, tape: &mut Tape, load: &mut dyn FnMut(&Body) -> Option<Body>) -> bool {
        let mut whole = true;
        let mut aside = |body: &mut Body| {
            if matches!(body, Body::Ref { .. }) {
                let Some(mut loaded) = load(body) else {
                    whole = false;
                    return;
                };
                if self.body(&mut loaded) {
                    *body = loaded;
                }
            }
        };
        self.header(&mut tape.header);
        for entry in &mut tape.entries {
            match entry {
                Entry::Call(call) => {
                    self.call(call);
                    call.request.body.iter_mut().for_each(&mut aside);
                    call.response.iter_mut().filter_map(|r| r.body.as_mut()).for_each(&mut aside);
                    call.frames.iter_mut().for_each(|frame| aside(&mut frame.content));
                }
                Entry::Upgrade(upgrade) => {
                    self.upgrade(upgrade);
                    upgrade.messages.iter_mut().for_each(|message| aside(&mut message.content));
                }
                Entry::Mark(mark) => {
                    self.text(&mut mark.text);
                    self.extra(&mut mark.extra);
                }
            }
        }
        if whole {
            tape.header.redaction.passes = 2;
        }
        whole
    }

    /// Sweeps an interaction; `true` if it changed.
    pub fn call(&self, call: &mut Call) -> bool {
        let mut changed = self.request(&mut call.request);
        changed |= call.response.as_mut().is_some_and(|response| self.response(response));
        changed |= call.frames.iter_mut().fold(false, |changed, frame| self.frame(frame) | changed);
        changed |= self.end(&mut call.end);
        changed |= call.faults.iter_mut().fold(false, |changed, fault| self.tree(fault) | changed);
        changed | self.extra(&mut call.extra)
    }

    fn extra(&self, extra: &mut Extra) -> bool {
        extra.iter_mut().fold(false, |changed, (_, value)| self.tree(value) | changed)
    }

    /// Sweeps an upgraded connection; `true` if it changed.
    pub fn upgrade(&self, upgrade: &mut Upgrade) -> bool {
        let mut changed = self.request(&mut upgrade.request);
        changed |= upgrade.response.as_mut().is_some_and(|response| self.response(response));
        changed |= upgrade.messages.iter_mut().fold(false, |changed, m| self.body(&mut m.content) | changed);
        changed |= self.end(&mut upgrade.end);
        changed | self.extra(&mut upgrade.extra)
    }

    /// Sweeps a header: what its lanes and its fault plan say.
    pub fn header(&self, header: &mut Header) -> bool {
        let lane = |changed: bool, lane: &mut crate::format::model::Lane| self.text(&mut lane.user_agent) | changed;
        let changed = header.lanes.values_mut().fold(false, lane);
        let changed = header.symbols.iter_mut().fold(changed, |changed, (_, value)| self.tree(value) | changed);
        let changed = self.text(&mut header.recorded.origin) | self.extra(&mut header.extra) | changed;
        header.plan.as_mut().is_some_and(|plan| self.text(&mut plan.text)) | changed
    }

    /// Sweeps any document; `true` if it changed.
    pub fn document(&self, document: &mut Document) -> bool {
        match document {
            Document::Header(header) => self.header(header),
            Document::Req(doc) => self.request(&mut doc.request) | self.extra(&mut doc.extra),
            Document::Head(doc) => self.response(&mut doc.response) | self.extra(&mut doc.extra),
            Document::Frame(doc) => self.frame(&mut doc.frame),
            Document::End(doc) => {
                let changed = doc.faults.iter_mut().fold(false, |changed, fault| self.tree(fault) | changed);
                self.end(&mut doc.end) | self.extra(&mut doc.extra) | changed
            }
            Document::Call(call) => self.call(call),
            Document::Upgrade(upgrade) => self.upgrade(upgrade),
            Document::Mark(mark) => self.text(&mut mark.text) | self.extra(&mut mark.extra),
            Document::Sealed(_) => false,
        }
    }

    fn request(&self, request: &mut Request) -> bool {
        let changed = self.text(&mut request.path) | self.pairs(&mut request.query) | self.pairs(&mut request.headers);
        let changed = self.extra(&mut request.extra) | changed;
        request.body.as_mut().is_some_and(|body| self.body(body)) | changed
    }

    fn response(&self, response: &mut Response) -> bool {
        let changed = self.pairs(&mut response.headers) | self.extra(&mut response.extra);
        response.body.as_mut().is_some_and(|body| self.body(body)) | changed
    }

    fn frame(&self, frame: &mut Frame) -> bool {
        self.body(&mut frame.content) | self.extra(&mut frame.extra)
    }

    fn end(&self, end: &mut End) -> bool {
        match end {
            End::Upstream { message } => self.text(message),
            _ => false,
        }
    }

    fn pairs(&self, pairs: &mut [(String, String)]) -> bool {
        pairs.iter_mut().fold(false, |changed, (_, value)| self.text(value) | changed)
    }
}
