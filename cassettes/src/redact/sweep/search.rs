//! The search itself: patterns, runs of base64 around them, and base64 within base64.

use std::borrow::Cow;
use std::ops::Range;

use aho_corasick::Input;
use base64::Engine as _;
use rehearsal_apimachinery::catalog::Catalog;
use rehearsal_apimachinery::codec::frames::{decode_protobuf_event, protobuf_event};
use rehearsal_apimachinery::codec::protobuf::{MAGIC, decode_object, encode_object};
use serde_json::Value;

use super::Sweeper;
use crate::format::Tree;
use crate::redact::detect::{BASE64, BASE64_URL};
use crate::redact::dictionary::Reach;
use crate::redact::encodings::Form;

/// How deep base64 within base64 is followed.
const DEPTH: u8 = 3;
/// Shortest base64 that may hold the base64 of a secret.
const SHORTEST_NESTED: usize = 20;

impl Sweeper {
    pub(super) fn proto(&self, bytes: &[u8]) -> Swept {
        if self.bytes(bytes, 0).is_none() {
            return Swept::Clean;
        }
        let catalog = Catalog::builtin();
        let decoded = if bytes.starts_with(&MAGIC) {
            decode_object(bytes, catalog).map(|object| (None, object))
        } else {
            decode_protobuf_event(bytes, catalog).map(|(kind, object)| (Some(kind), object))
        };
        let Ok((kind, object)) = decoded else { return Swept::Unreadable };
        let mut tree = Tree::from(&object);
        self.tree(&mut tree);
        let object = Value::from(&tree);
        let encoded = match kind {
            Some(kind) => protobuf_event(&kind, &object, catalog).map(|b| b.get(4..).unwrap_or_default().to_vec()),
            None => encode_object(&object, catalog),
        };
        match encoded {
            Ok(new) if self.bytes(&new, 0).is_none() => Swept::New(new),
            _ => Swept::Unreadable,
        }
    }

    /// Where known secrets stand in a text, in order.
    pub(in crate::redact) fn places(&self, text: &[u8]) -> Vec<usize> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let real = |hit: &aho_corasick::Match| {
            let (n, form) = self.patterns[hit.pattern().as_usize()];
            let weak = self.secrets[n].reach == Reach::Words && !matches!(form, Form::Base64 { .. });
            !weak || stands_alone(text, &hit.range())
        };
        automaton.find_iter(text).filter(real).map(|hit| hit.start()).collect()
    }

    /// The bytes without secrets; `None` if there were none.
    pub(super) fn bytes(&self, text: &[u8], depth: u8) -> Option<Vec<u8>> {
        let plain = self.searched(text, depth);
        match self.nested(plain.as_deref().unwrap_or(text), depth) {
            Some(deeper) => Some(deeper),
            None => plain,
        }
    }

    /// The bytes without the secrets that stand in base64 within base64, which no pattern shows.
    fn nested(&self, text: &[u8], depth: u8) -> Option<Vec<u8>> {
        if depth + 1 >= DEPTH || self.automaton.is_none() {
            return None;
        }
        let own = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
        let mut out: Option<Vec<u8>> = None;
        let (mut copied, mut at) = (0, 0);
        while let Some(skip) = text[at..].iter().position(own) {
            let start = at + skip;
            let length = text[start..].iter().take_while(|b| own(b)).count();
            let padding = text[start + length..].iter().take(2).take_while(|b| **b == b'=').count();
            at = start + length;
            if length < SHORTEST_NESTED || length % 4 == 1 {
                continue;
            }
            let Some(clean) = BASE64.decode(&text[start..at]).ok().and_then(|plain| self.bytes(&plain, depth + 1))
            else {
                continue;
            };
            let mut new = BASE64.encode(clean);
            if padding == 0 && !length.is_multiple_of(4) {
                new.truncate(new.trim_end_matches('=').len());
            }
            at += padding;
            let out = out.get_or_insert_with(|| Vec::with_capacity(text.len()));
            out.extend_from_slice(&text[copied..start]);
            out.extend_from_slice(new.as_bytes());
            copied = at;
        }
        let mut out = out?;
        out.extend_from_slice(&text[copied..]);
        Some(out)
    }

    fn searched(&self, text: &[u8], depth: u8) -> Option<Vec<u8>> {
        let automaton = self.automaton.as_ref()?;
        let mut out: Option<Vec<u8>> = None;
        // What is before `copied` is in `out`; what is before `at` was searched.
        let (mut copied, mut at) = (0, 0);
        while at < text.len() {
            let Some(hit) = automaton.find(Input::new(text).range(at..)) else { break };
            let (n, form) = self.patterns[hit.pattern().as_usize()];
            let Some(edit) = self.edit(text, hit.start()..hit.end(), n, form, copied, depth) else {
                at = hit.start() + 1;
                continue;
            };
            let out = out.get_or_insert_with(|| Vec::with_capacity(text.len()));
            out.extend_from_slice(&text[copied..edit.start]);
            out.extend_from_slice(&edit.new);
            copied = edit.end;
            at = edit.end;
        }
        let mut out = out?;
        out.extend_from_slice(&text[copied..]);
        Some(out)
    }

    fn edit(&self, text: &[u8], range: Range<usize>, n: usize, form: Form, from: usize, depth: u8) -> Option<Edit<'_>> {
        let secret = &self.secrets[n];
        if let Form::Base64 { lead } = form {
            return self.run(text, &range, lead, &secret.placeholder, from, depth);
        }
        if secret.reach == Reach::Words && !stands_alone(text, &range) {
            return None;
        }
        let new = match form {
            Form::Plain => Cow::Borrowed(secret.placeholder.as_bytes()),
            form => Cow::Owned(form.write(&secret.placeholder).into_bytes()),
        };
        Some(Edit { start: range.start, end: range.end, new })
    }

    /// Decodes the whole run of base64 around a hit, sweeps what is in it, and encodes it again.
    fn run(
        &self,
        text: &[u8],
        hit: &Range<usize>,
        lead: usize,
        placeholder: &str,
        from: usize,
        depth: u8,
    ) -> Option<Edit<'_>> {
        if depth >= DEPTH {
            return Some(Edit {
                start: hit.start,
                end: hit.end,
                new: Cow::Owned(BASE64.encode(placeholder).into_bytes()),
            });
        }
        for url in [false, true] {
            let own = |b: &u8| {
                b.is_ascii_alphanumeric() || if url { matches!(b, b'-' | b'_') } else { matches!(b, b'+' | b'/') }
            };
            if !text[hit.clone()].iter().all(own) {
                continue;
            }
            let group = hit.start.checked_sub(Form::skipped(lead))?;
            let back = text[from..hit.start].iter().rev().take_while(|b| own(b)).count();
            let run = hit.start - back;
            if group < run {
                continue;
            }
            let start = group - (group - run) / 4 * 4;
            let mut end = hit.end + text[hit.end..].iter().take_while(|b| own(b)).count();
            let padding = text[end..].iter().take(2).take_while(|b| **b == b'=').count();
            if (end - start) % 4 == 1 {
                end -= 1;
            }
            let engine = if url { BASE64_URL } else { BASE64 };
            let Some(clean) = engine.decode(&text[start..end]).ok().and_then(|plain| self.bytes(&plain, depth + 1))
            else {
                continue;
            };
            let mut new = engine.encode(clean);
            // A whole number of groups does not tell whether its writer pads; those of the standard alphabet do.
            if padding == 0 && (url || !(end - start).is_multiple_of(4)) {
                new.truncate(new.trim_end_matches('=').len());
            } else {
                new.extend(std::iter::repeat_n('=', (4 - new.len() % 4) % 4));
            }
            let end = end + padding;
            return Some(Edit { start, end, new: Cow::Owned(new.into_bytes()) });
        }
        // The head of a long secret whose rest is missing.
        let new = BASE64.encode(placeholder);
        Some(Edit { start: hit.start, end: hit.end, new: Cow::Owned(new.trim_end_matches('=').as_bytes().to_vec()) })
    }
}

struct Edit<'a> {
    start: usize,
    end: usize,
    new: Cow<'a, [u8]>,
}

pub(super) enum Swept {
    Clean,
    New(Vec<u8>),
    Unreadable,
}

/// Whether bytes are not part of a longer word or name.
pub(in crate::redact) fn stands_alone(text: &[u8], range: &Range<usize>) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_') || !b.is_ascii();
    let before = range.start.checked_sub(1).and_then(|n| text.get(n)).copied();
    let after = text.get(range.end).copied();
    let dotted = after == Some(b'.') && text.get(range.end + 1).is_some_and(|b| word(*b));
    let joined = before == Some(b'.') && range.start >= 2 && text.get(range.start - 2).is_some_and(|b| word(*b));
    !before.is_some_and(word) && !after.is_some_and(word) && !dotted && !joined
}
