//! Strings: documents within strings, base64 of them, and running text.

use base64::Engine as _;
use rehearsal_apimachinery::codec::yaml;
use serde_json::Value;

use super::learn::learn_within;
use super::named::is_authorization;
use super::place::Place;
use super::{LAST_APPLIED, LONGEST_DOCUMENT, NESTING, SHORTEST_WRAPPED, Walk, is_name_of_type};
use crate::format::Tree;
use crate::redact::detect::{self, BASE64, decode_base64};
use crate::redact::dictionary::Reach;
use crate::redact::headers::is_dropped;
use crate::redact::names::{Sense, is_value, looks_random, sense};
use crate::redact::pseudonym::is_placeholder;
use crate::redact::{Class, kinds};

impl Walk<'_> {
    /// A string anywhere: by its name, as a document, as running text. `None` if it may stay.
    pub(super) fn text(&mut self, text: &str, place: &Place<'_>) -> Option<String> {
        if text.is_empty() || is_placeholder(text) {
            return None;
        }
        let key = place.key();
        let named = match sense(key) {
            Sense::Yes => is_value(text) && !is_dropped(key, text),
            Sense::Maybe => looks_random(text),
            Sense::No => false,
        };
        if named && is_authorization(key) && text.contains(' ') {
            let clean = self.scheme(text)?;
            self.hit(place, Class::NamedValue);
            return Some(clean);
        }
        if named && !is_name_of_type(place) {
            let clean = self.named(key, text)?;
            self.hit(place, Class::NamedValue);
            return Some(clean);
        }
        let before = self.changed;
        if let Some(clean) = self.wrapped(text, place) {
            self.changed = before;
            self.hit(place, Class::SecretData);
            return Some(clean);
        }
        if !detect::is_suspect(text) && self.regexes.is_empty() && !self.core.policy.has_paths() {
            return None;
        }
        let clean = self.embedded(text, place);
        self.changed = before;
        if clean.is_some() {
            self.hit(place, Class::SecretData);
            return clean;
        }
        if key == LAST_APPLIED && kinds::is_sensitive(&place.scope.kind) && !reads_as_document(text) {
            // It was a document once, so what is left of it may be anything.
            self.hit(place, Class::Unreadable);
            return Some(self.core.shaped(text.as_bytes(), Reach::Anywhere));
        }
        self.running(text, Some(place))
    }

    /// Base64 of a text that holds secrets, as user data and binary members of ConfigMaps do.
    fn wrapped(&mut self, text: &str, place: &Place<'_>) -> Option<String> {
        let own = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'\n');
        if self.nesting >= NESTING || text.len() < SHORTEST_WRAPPED || text.len() % 4 > 1 || !text.bytes().all(own) {
            return None;
        }
        let plain = String::from_utf8(decode_base64(text)?).ok().filter(|plain| detect::is_suspect(plain))?;
        self.nesting += 1;
        let clean = self.embedded(&plain, place).or_else(|| self.running(&plain, None));
        self.nesting -= 1;
        clean.map(|clean| BASE64.encode(clean))
    }

    /// Text that is a document: walked, and printed again if anything changed.
    pub(super) fn embedded(&mut self, text: &str, place: &Place<'_>) -> Option<String> {
        if self.nesting >= NESTING || text.len() > LONGEST_DOCUMENT {
            return None;
        }
        let start = text.trim_start();
        let inner = |walk: &mut Self, tree: &mut Tree| {
            let mut deeper = Walk { nesting: walk.nesting + 1, hits: None, ..Walk::new(walk.core, walk.context) };
            if place.key() == LAST_APPLIED {
                let scope = deeper.scope(tree, &place.scope.kind);
                deeper.inside(tree, &Place { parent: None, step: None, scope: &scope, root: true });
            } else {
                deeper.foreign(tree);
            }
            deeper.changed
        };
        if start.starts_with(['{', '[']) {
            let mut tree = parse_json(text)?;
            return inner(self, &mut tree).then(|| print_json(&tree) + if text.ends_with('\n') { "\n" } else { "" });
        }
        if text.contains('\n') && text.contains(": ") && !text.contains("-----BEGIN ") || text.contains("kind: ") {
            return self.yaml(text, inner);
        }
        None
    }

    fn yaml(&mut self, text: &str, inner: impl Fn(&mut Self, &mut Tree) -> bool) -> Option<String> {
        let mut changed = false;
        let mut out = Vec::new();
        for document in yaml::documents(text) {
            let (value, _) = yaml::parse(document.as_bytes()).ok()?;
            if !value.is_object() && !value.is_array() {
                return None;
            }
            let mut tree = Tree::from(&value);
            changed |= inner(self, &mut tree);
            out.push(yaml::encode(&Value::from(&tree)));
        }
        changed.then(|| out.join("---\n"))
    }

    /// Running text through the user's patterns and the detectors.
    pub(super) fn running(&mut self, text: &str, place: Option<&Place<'_>>) -> Option<String> {
        let mut found: Vec<(std::ops::Range<usize>, Class, String)> = Vec::new();
        let mut kept = Vec::new();
        for (regex, action) in self.regexes.clone() {
            for hit in regex.find_iter(text).filter(|hit| !hit.is_empty() && !is_placeholder(hit.as_str())) {
                match self.replacement(hit.as_str().as_bytes(), action) {
                    None => kept.push(hit.range()),
                    Some(new) => found.push((hit.range(), Class::Rule, new)),
                }
            }
        }
        let overlaps = |a: &std::ops::Range<usize>, b: &std::ops::Range<usize>| a.start < b.end && b.start < a.end;
        if detect::is_suspect(text) {
            for hit in detect::find(text) {
                let taken = found.iter().any(|(range, ..)| overlaps(range, &hit.range));
                if !taken && !kept.iter().any(|range| overlaps(range, &hit.range)) {
                    let new = self.found(&text[hit.range.clone()], &hit);
                    found.push((hit.range, hit.class, new));
                }
            }
        }
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|(range, ..)| range.start);
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (range, class, new) in found {
            if range.start < at {
                continue;
            }
            out.push_str(&text[at..range.start]);
            out.push_str(&new);
            at = range.end;
            match place {
                Some(place) => self.hit(place, class),
                None => self.changed = true,
            }
        }
        out.push_str(&text[at..]);
        (out != text).then_some(out)
    }

    /// The placeholder for what a detector found.
    fn found(&self, text: &str, found: &detect::Found) -> String {
        let plain = if found.base64 { decode_base64(text) } else { None };
        match plain {
            Some(plain) => {
                learn_within(self.core, &String::from_utf8_lossy(&plain));
                if found.class == Class::BasicAuth
                    && let Some(colon) = plain.iter().position(|b| *b == b':')
                {
                    let password = self.core.flat(&plain[colon + 1..], Reach::Anywhere);
                    self.core.learn(&plain, Reach::Anywhere);
                    return BASE64.encode(format!("redacted:{password}"));
                }
                BASE64.encode(self.core.shaped(&plain, Reach::Anywhere))
            }
            None => {
                let whole = percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
                if found.class == Class::UrlPassword && whole != text {
                    return self.core.shaped(whole.as_bytes(), Reach::Anywhere);
                }
                if found.class == Class::PrivateKey {
                    let unescaped = text.replace("\\n", "\n");
                    let placeholder = self.core.shaped(unescaped.as_bytes(), Reach::Anywhere);
                    let placeholder = placeholder.trim_end();
                    return if text.contains('\n') { placeholder.to_owned() } else { placeholder.replace('\n', "\\n") };
                }
                self.core.shaped(text.as_bytes(), Reach::Anywhere)
            }
        }
    }

    /// A YAML body, printed again only if something in it was secret; its comments go then.
    pub(in crate::redact) fn yaml_body(&mut self, text: &str) -> Result<Option<String>, ()> {
        let mut changed = false;
        let mut out = Vec::new();
        for document in yaml::documents(text) {
            let (value, _) = yaml::parse(document.as_bytes()).map_err(|_| ())?;
            let mut tree = Tree::from(&value);
            let mut walk = Walk::new(self.core, self.context);
            walk.document(&mut tree);
            changed |= walk.changed;
            out.push(yaml::encode(&Value::from(&tree)));
        }
        if changed {
            self.changed = true;
            return Ok(Some(out.join("---\n")));
        }
        // Nothing by place, but comments are text as well.
        Ok(self.message(text))
    }
}

/// Reads a document in a string, doubled keys and all.
pub(super) fn parse_json(text: &str) -> Option<Tree> {
    Tree::from_json(text.as_bytes())
        .ok()
        .or_else(|| serde_json::from_str::<Value>(text).ok().map(|value| Tree::from(&value)))
        .filter(|tree| matches!(tree, Tree::Map(_) | Tree::List(_)))
}

fn print_json(tree: &Tree) -> String {
    serde_json::to_string(tree).unwrap_or_else(|_| "null".to_owned())
}

fn reads_as_document(text: &str) -> bool {
    parse_json(text).is_some()
}
