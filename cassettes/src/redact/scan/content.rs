//! A piece of content that is not a tape: by its form, by its text, and by what base64 and gzip in it hide.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use rehearsal_apimachinery::codec::yaml;

use super::Scanner;
use super::files::unpack;
use super::report::{Finding, ScanReport};
use crate::format::Tree;
use crate::redact::detect::{self, decode_base64};
use crate::redact::names::entropy;
use crate::redact::pseudonym::{holds_flat, is_placeholder};
use crate::redact::walk::{Hit, Walk};
use crate::redact::{Class, Context};

/// How many layers of base64, gzip and documents are undone.
const DEPTH: usize = 3;
/// Shortest run of base64 that is looked into.
const SHORTEST_RUN: usize = 16;
/// From this length on, text that looks random counts.
const RANDOM_LENGTH: usize = 20;
/// Bits a character above which text looks random.
const RANDOM_BITS: f64 = 4.0;

static RUN: LazyLock<Regex> = LazyLock::new(|| Regex::new("[A-Za-z0-9+/_-]{16,}={0,2}").expect("a pattern of our own"));

static BLOCK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("(?s)-----BEGIN [A-Z0-9 ]+-----.*?-----END [A-Z0-9 ]+-----").expect("a pattern of our own")
});

/// Where a piece of content stands.
#[derive(Clone)]
pub(super) struct Content<'a> {
    pub(super) scanner: &'a Scanner,
    pub(super) file: &'a str,
    /// Line of the file where it begins.
    pub(super) line: u64,
    pub(super) call: Option<u64>,
    /// What was undone to get here.
    pub(super) within: Vec<&'static str>,
}

impl Content<'_> {
    /// Everything there is to look for.
    pub(super) fn bytes(&self, bytes: &[u8], report: &mut ScanReport) {
        let text = String::from_utf8_lossy(bytes);
        if std::str::from_utf8(bytes).is_err() || !self.documents(&text, report) {
            for found in detect::find(&text) {
                self.found(&text, found.range.start, "", found.class, report);
            }
        }
        self.raw(&text, bytes, report);
    }

    /// Known secrets, random text, hidden content: what needs no form.
    pub(super) fn raw(&self, text: &str, bytes: &[u8], report: &mut ScanReport) {
        for at in self.scanner.known.places(bytes) {
            // Offsets agree only where the bytes are text; elsewhere there are no lines either.
            let line = if text.len() == bytes.len() { self.line_at(text, at) } else { self.line };
            self.finding(line, "", Class::Known, report);
        }
        // Certificates are public and look random; private keys are found by their name.
        let blocks: Vec<Range<usize>> = BLOCK.find_iter(text).map(|block| block.range()).collect();
        for run in RUN.find_iter(text).map(|run| run.range()) {
            let next = blocks.partition_point(|block| block.end <= run.start);
            if blocks.get(next).is_none_or(|block| run.end <= block.start) {
                self.run(text, &run, report);
            }
        }
    }

    /// Reads the text as documents; `false` if it is none.
    fn documents(&self, text: &str, report: &mut ScanReport) -> bool {
        let start = text.trim_start();
        if start.starts_with(['{', '[']) {
            if let Ok(tree) = Tree::from_json(text.as_bytes()) {
                self.tree(&tree, text, &Context::default(), "", report);
                return true;
            }
            // A document a line.
            let lines: Vec<_> =
                text.lines().filter(|l| !l.trim().is_empty()).map(|l| Tree::from_json(l.as_bytes())).collect();
            if !lines.is_empty() && lines.iter().all(Result::is_ok) {
                lines.iter().flatten().for_each(|tree| self.tree(tree, text, &Context::default(), "", report));
                return true;
            }
            return false;
        }
        let looks_yaml = text.contains(": ") || text.contains(":\n");
        let documents = if looks_yaml { yaml::documents(text) } else { Vec::new() };
        let parsed: Vec<_> =
            documents.iter().filter_map(|d| yaml::parse(d.as_bytes()).ok().map(|(v, _)| (*d, v))).collect();
        if parsed.is_empty()
            || parsed.len() < documents.len()
            || !parsed.iter().all(|(_, v)| v.is_object() || v.is_array())
        {
            return false;
        }
        for (document, value) in parsed {
            let from = document.as_ptr().addr() - text.as_ptr().addr();
            let inner = Self { line: self.line_at(text, from), ..self.clone() };
            inner.tree(&Tree::from(&value), document, &Context::default(), "", report);
        }
        // Comments are no part of the document.
        for (n, line) in text.lines().enumerate() {
            if let Some((_, comment)) = line.split_once('#') {
                for found in detect::find(comment) {
                    self.finding(self.line + n as u64, "", found.class, report);
                }
            }
        }
        true
    }

    /// A document's tree, as redaction would walk it. `source` is the text it was read from.
    pub(super) fn tree(&self, tree: &Tree, source: &str, context: &Context, prefix: &str, report: &mut ScanReport) {
        let mut copy = tree.clone();
        let mut walk = Walk::new(self.scanner.core(), context);
        walk.hits = Some(Vec::new());
        walk.document(&mut copy);
        for Hit { path, steps, class } in walk.hits.take().unwrap_or_default() {
            let line = leaf(tree, &steps).and_then(|text| self.locate(source, text)).unwrap_or(self.line);
            self.finding(line, &format!("{prefix}{path}"), class, report);
        }
    }

    /// The line a value stands on.
    pub(super) fn locate(&self, source: &str, value: &str) -> Option<u64> {
        let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
        let end = value.find(|c| !plain(c)).unwrap_or(value.len());
        let head: String = value[..end].chars().take(64).collect();
        if head.len() < 4 {
            return None;
        }
        source.find(&head).map(|at| self.line_at(source, at))
    }

    /// A run that may be base64.
    fn run(&self, text: &str, range: &Range<usize>, report: &mut ScanReport) {
        let run = &text[range.clone()];
        if is_placeholder(run) || holds_flat(run.as_bytes()) || self.within.len() >= DEPTH {
            return;
        }
        let plain = if run.len() >= SHORTEST_RUN { decode_base64(run) } else { None };
        if let Some(plain) = plain.filter(|plain| is_content(plain)) {
            self.hidden(&plain, self.line_at(text, range.start), report);
            return;
        }
        // Bodies in base64 were looked into as what they are.
        let line = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let body = text[line..range.start].trim_start() == "base64: ";
        if self.scanner.entropy && !body && looks_random(run) {
            self.found(text, range.start, "", Class::Entropy, report);
        }
    }

    /// What base64 hid.
    fn hidden(&self, plain: &[u8], line: u64, report: &mut ScanReport) {
        let mut inner = Self { line, within: [self.within.as_slice(), &["base64"]].concat(), ..self.clone() };
        let unpacked = unpack(plain).ok().flatten();
        if unpacked.is_some() {
            inner.within.push("gzip");
        }
        let before = report.findings.len();
        inner.bytes(unpacked.as_deref().unwrap_or(plain), report);
        // Lines within hidden content mean nothing to a reader of the file.
        report.findings[before..].iter_mut().for_each(|finding| finding.line = line);
    }

    pub(super) fn found(&self, text: &str, at: usize, path: &str, class: Class, report: &mut ScanReport) {
        self.finding(self.line_at(text, at), path, class, report);
    }

    pub(super) fn finding(&self, line: u64, path: &str, class: Class, report: &mut ScanReport) {
        report.findings.push(Finding {
            file: self.file.to_owned(),
            line,
            call: self.call,
            path: path.to_owned(),
            class: class.as_str(),
            within: self.within.join(" > "),
        });
    }

    pub(super) fn line_at(&self, text: &str, at: usize) -> u64 {
        let before = text.as_bytes().get(..at).unwrap_or_default();
        self.line + memchr::memchr_iter(b'\n', before).count() as u64
    }
}

/// The text at the end of some steps.
fn leaf<'t>(tree: &'t Tree, steps: &[String]) -> Option<&'t str> {
    let step = |tree: &'t Tree, step: &String| match tree {
        Tree::List(items) => items.get(step.parse::<usize>().ok()?),
        map => map.get(step),
    };
    steps.iter().try_fold(tree, step)?.as_str()
}

/// Whether decoded bytes are something that can be looked into, rather than chance.
fn is_content(plain: &[u8]) -> bool {
    let packed = plain.starts_with(&[0x1f, 0x8b]) || plain.starts_with(b"k8s\0") || plain.starts_with(&[0x30, 0x82]);
    let text =
        std::str::from_utf8(plain).is_ok_and(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace()));
    packed || text
}

/// Whether a run is as mixed as keys are, and names and hashes are not.
fn looks_random(run: &str) -> bool {
    let run = run.trim_end_matches('=');
    let count = |is: fn(&u8) -> bool| run.bytes().filter(is).count();
    let mixed =
        count(u8::is_ascii_digit) >= 2 && count(u8::is_ascii_uppercase) >= 2 && count(u8::is_ascii_lowercase) >= 2;
    // Names are made of words, and words are joined.
    let joints = count(|b| matches!(b, b'-' | b'_' | b'/'));
    run.len() >= RANDOM_LENGTH && mixed && joints * 8 <= run.len() && entropy(run.as_bytes()) > RANDOM_BITS
}
