//! Volatile values under names: uids, resourceVersions, generated names, times, continue tokens. Recording anew changes
//! the table in the header, and not the bodies that are reviewed.
//!
//! A symbol stands as `${name}`; a `${` that was there before stands as `${$}{`. A tape without a table is literal.
//! Whatever is replaced, replacing it back gives the same tape: which values are found is a matter of taste only.

use super::model::*;
use super::tree::Tree;
use aho_corasick::{AhoCorasick, MatchKind};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The table of a tape, for reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Symbols(HashMap<String, String>);

impl Symbols {
    pub(super) fn of(header: &Header) -> Self {
        let texts = header.symbols.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        Self(texts.collect())
    }

    /// What a text stands for that is one symbol or none.
    pub(super) fn value<'t>(&'t self, text: &'t str) -> &'t str {
        let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        name.and_then(|name| self.0.get(name)).map_or(text, String::as_str)
    }

    /// The text with all symbols replaced. One that is not in the table stays, and `lint` tells of it.
    pub(super) fn expand(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 32);
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            out.push_str(&rest[..at]);
            let inner = &rest[at + 2..];
            let name = inner.split('}').next().unwrap_or_default();
            let value = if name == "$" { Some("$") } else { self.0.get(name).map(String::as_str) };
            match value.filter(|_| inner.len() > name.len()) {
                Some(value) => {
                    out.push_str(value);
                    rest = &inner[name.len() + 1..];
                }
                None => {
                    out.push_str("${");
                    rest = inner;
                }
            }
        }
        out.push_str(rest);
        out
    }

    /// Names in the texts of an entry that are not in the table, each once.
    pub(super) fn unknown(&self, entry: &Entry) -> BTreeSet<String> {
        let mut unknown = BTreeSet::new();
        if !self.0.is_empty() {
            visit_entry(&mut entry.clone(), &mut |_, text| {
                let names = text.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
                unknown.extend(names.filter(|name| *name != "$" && !self.0.contains_key(*name)).map(str::to_owned));
            });
        }
        unknown
    }

    pub(super) fn expand_entry(&self, entry: &mut Entry) {
        if !self.0.is_empty() {
            visit_entry(entry, &mut |_, text| {
                if text.contains("${") {
                    *text = self.expand(text);
                }
            });
        }
    }

    pub(super) fn expand_document(&self, document: &mut Document) {
        if self.0.is_empty() {
            return;
        }
        let mut entry = match std::mem::replace(document, Document::Mark(Mark::default())) {
            Document::Call(it) => Entry::Call(it),
            Document::Upgrade(it) => Entry::Upgrade(it),
            Document::Mark(it) => Entry::Mark(it),
            other => {
                *document = other;
                return;
            }
        };
        self.expand_entry(&mut entry);
        *document = entry.into();
    }
}

/// Replaces all symbols of a tape by their values, and empties its table.
pub fn literal(tape: &mut Tape) {
    let symbols = Symbols::of(&tape.header);
    tape.entries.iter_mut().for_each(|entry| symbols.expand_entry(entry));
    tape.header.symbols.clear();
}

/// Puts volatile values under names. What is in side files, base64 and protobuf stays as it is. A tape that has symbols
/// already gets new ones.
pub fn symbolise(tape: &mut Tape) {
    literal(tape);
    // Generated names first: an object's uid is named after it, and its own name must not give it away.
    let mut found = Found { naming: true, ..Found::default() };
    tape.entries.iter().for_each(|entry| found.entry(entry));
    found.naming = false;
    tape.entries.iter().for_each(|entry| found.entry(entry));
    let table = found.table();
    if table.is_empty() {
        return;
    }
    let replacer = Replacer::of(&table);
    tape.entries.iter_mut().for_each(|entry| visit_entry(entry, &mut |place, text| replacer.replace(place, text)));
    tape.header.symbols = table.into_iter().map(|symbol| (symbol.name, Tree::Text(symbol.value))).collect();
}

/// What a text is, as far as it decides how it is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A resourceVersion and nothing else.
    Version,
    /// A message, which may name resourceVersions among other words.
    Message,
    /// Anything else.
    Other,
}

/// Where a symbol is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reach {
    /// In every text, wherever it stands.
    Anywhere,
    /// Where it is the whole text.
    Whole,
    /// Where a resourceVersion stands.
    Version,
}

#[derive(Clone, Debug)]
struct Symbol {
    name: String,
    value: String,
    reach: Reach,
}

/// Calls a function with every text that symbols may stand in. Both directions go this way, so they fit.
fn visit_entry(entry: &mut Entry, visit: &mut dyn FnMut(Place, &mut String)) {
    match entry {
        Entry::Call(call) => {
            visit_request(&mut call.request, visit);
            call.response.iter_mut().for_each(|response| visit_response(response, visit));
            call.frames.iter_mut().for_each(|frame| visit_body(&mut frame.content, visit));
            visit_end(&mut call.end, visit);
            call.faults.iter_mut().for_each(|fault| visit_tree(Place::Other, fault, visit));
            call.audit_id.iter_mut().for_each(|id| visit(Place::Other, id));
        }
        Entry::Upgrade(upgrade) => {
            visit_request(&mut upgrade.request, visit);
            upgrade.response.iter_mut().for_each(|response| visit_response(response, visit));
            upgrade.messages.iter_mut().for_each(|message| visit_body(&mut message.content, visit));
            visit_end(&mut upgrade.end, visit);
        }
        Entry::Mark(mark) => visit(Place::Other, &mut mark.text),
    }
}

fn visit_request(request: &mut Request, visit: &mut dyn FnMut(Place, &mut String)) {
    visit(Place::Other, &mut request.path);
    visit_pairs(&mut request.query, visit);
    visit_pairs(&mut request.headers, visit);
    request.body.iter_mut().for_each(|body| visit_body(body, visit));
}

fn visit_response(response: &mut Response, visit: &mut dyn FnMut(Place, &mut String)) {
    visit_pairs(&mut response.headers, visit);
    response.body.iter_mut().for_each(|body| visit_body(body, visit));
}

fn visit_end(end: &mut End, visit: &mut dyn FnMut(Place, &mut String)) {
    if let End::Upstream { message } = end {
        visit(Place::Other, message);
    }
}

fn visit_pairs(pairs: &mut [(String, String)], visit: &mut dyn FnMut(Place, &mut String)) {
    pairs.iter_mut().for_each(|(key, value)| visit(place(key), value));
}

fn visit_body(body: &mut Body, visit: &mut dyn FnMut(Place, &mut String)) {
    match body {
        Body::Json { tree, .. } => visit_tree(Place::Other, tree, visit),
        Body::Yaml(text) | Body::Text(text) => visit(Place::Message, text),
        Body::Proto { summary, .. } | Body::Ref { summary, .. } => visit_pairs(summary, visit),
        Body::Bytes(_) | Body::Same { .. } => {}
    }
}

fn visit_tree(at: Place, tree: &mut Tree, visit: &mut dyn FnMut(Place, &mut String)) {
    match tree {
        Tree::Text(text) => visit(at, text),
        Tree::List(items) => items.iter_mut().for_each(|item| visit_tree(at, item, visit)),
        Tree::Map(entries) => {
            for (key, value) in entries {
                let at = place(key);
                // Field sets have uids in their keys.
                visit(Place::Other, key);
                visit_tree(at, value, visit);
            }
        }
        _ => {}
    }
}

fn place(key: &str) -> Place {
    match key {
        "resourceVersion" => Place::Version,
        "message" => Place::Message,
        _ => Place::Other,
    }
}

/// The volatile values of a tape, in the order they are met.
#[derive(Default)]
struct Found {
    symbols: Vec<Symbol>,
    /// Only generated names are looked for.
    naming: bool,
    /// Symbols of generated names, without their `name.`.
    generated: HashMap<String, String>,
    values: HashSet<(Reach, String)>,
    names: HashSet<String>,
    versions: BTreeSet<u64>,
    /// Counters of names without a better word.
    counts: HashMap<&'static str, usize>,
}

impl Found {
    fn entry(&mut self, entry: &Entry) {
        let Entry::Call(call) = entry else { return };
        if self.naming {
            let response = call.response.as_ref().and_then(|response| response.body.as_ref());
            let frames = call.frames.iter().map(|frame| &frame.content);
            let trees = call.request.body.iter().chain(response).chain(frames).filter_map(Body::json);
            return trees.for_each(|tree| self.generated_names(tree));
        }
        for (key, value) in &call.request.query {
            match key.as_str() {
                "resourceVersion" => self.version(value),
                "continue" => self.numbered("continue", value, Reach::Whole),
                _ => {}
            }
        }
        if let Some(id) = &call.audit_id {
            self.symbol(&format!("audit.{}", call.id), id, Reach::Anywhere);
        }
        self.body(call.request.body.as_ref());
        if let Some(response) = &call.response {
            for (key, value) in &response.headers {
                if key == "date" {
                    self.numbered("date", value, Reach::Whole);
                } else if is_uuid(value) {
                    self.symbol(&format!("header.{key}.{}", call.id), value, Reach::Anywhere);
                }
            }
            self.body(response.body.as_ref());
        }
        call.frames.iter().for_each(|frame| self.body(Some(&frame.content)));
    }

    fn body(&mut self, body: Option<&Body>) {
        match body {
            Some(Body::Json { tree, .. }) => self.tree(tree, ""),
            Some(Body::Proto { summary, .. } | Body::Ref { summary, .. }) => {
                let versions = summary.iter().filter(|(key, _)| key == "resourceVersion");
                versions.for_each(|(_, value)| self.version(value));
            }
            _ => {}
        }
    }

    /// Kind of the object around, where it is known: items of a list have none of their own, metadata never.
    fn tree(&mut self, tree: &Tree, around: &str) {
        if let Some(text) = tree.as_str() {
            if is_time(text) {
                self.numbered("time", text, Reach::Whole);
            }
            return;
        }
        let own = tree.text_at(&["kind"]);
        let kind = if own.is_empty() { around } else { own };
        if let Some(uid) = tree.get("uid").and_then(Tree::as_str).filter(|uid| is_uuid(uid)) {
            let name = tree.text_at(&["name"]);
            let name = self.generated.get(name).map_or(name, String::as_str);
            self.symbol(&format!("uid.{}.{name}", kind.to_ascii_lowercase()), uid, Reach::Anywhere);
        }
        for (key, value) in tree.entries() {
            match (key.as_str(), value.as_str()) {
                ("resourceVersion", Some(text)) => self.version(text),
                ("continue", Some(text)) => self.numbered("continue", text, Reach::Whole),
                _ => self.tree(value, kind),
            }
        }
        let item = kind.strip_suffix("List").unwrap_or(kind);
        tree.items().iter().for_each(|value| self.tree(value, item));
    }

    fn version(&mut self, text: &str) {
        // Only what reads back as it was: `007` is no resourceVersion of anybody's.
        if let Some(number) = text.parse::<u64>().ok().filter(|n| *n > 0 && n.to_string() == text) {
            self.versions.insert(number);
        }
    }

    fn numbered(&mut self, word: &'static str, value: &str, reach: Reach) {
        if value.is_empty() || self.values.contains(&(reach, value.to_owned())) {
            return;
        }
        let count = self.counts.entry(word).or_default();
        *count += 1;
        let name = format!("{word}.{count}");
        self.symbol(&name, value, reach);
    }

    fn generated_names(&mut self, tree: &Tree) {
        let (base, name) = (tree.text_at(&["generateName"]), tree.text_at(&["name"]));
        if !base.is_empty() && name.len() > base.len() && name.starts_with(base) && !self.generated.contains_key(name) {
            let symbol = format!("name.{}", base.trim_end_matches(['-', '.']));
            self.symbol(&symbol, name, Reach::Anywhere);
            let symbol = self.symbols.last().map_or("", |symbol| symbol.name.trim_start_matches("name."));
            self.generated.insert(name.to_owned(), symbol.to_owned());
        }
        tree.entries().iter().for_each(|(_, value)| self.generated_names(value));
        tree.items().iter().for_each(|value| self.generated_names(value));
    }

    fn symbol(&mut self, name: &str, value: &str, reach: Reach) {
        if value.is_empty() || !self.values.insert((reach, value.to_owned())) {
            return;
        }
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
        let base: String = name.trim_end_matches('.').chars().map(safe).collect();
        let base = base.replace("..", ".");
        let names = std::iter::once(base.clone()).chain((2..).map(|n| format!("{base}.{n}")));
        let name = names.into_iter().find(|name| !self.names.contains(name)).unwrap_or(base);
        self.names.insert(name.clone());
        self.symbols.push(Symbol { name, value: value.to_owned(), reach });
    }

    /// The table: as met, resourceVersions last and in their order, so that `rv.3` is older than `rv.5`.
    fn table(mut self) -> Vec<Symbol> {
        for (at, version) in self.versions.iter().enumerate() {
            let name = format!("rv.{}", at + 1);
            self.symbols.push(Symbol { name, value: version.to_string(), reach: Reach::Version });
        }
        self.symbols
    }
}

fn is_uuid(text: &str) -> bool {
    let groups = [8, 4, 4, 4, 12];
    text.len() == 36
        && text.split('-').map(str::len).eq(groups)
        && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// RFC 3339 in UTC, as the API writes all its times.
fn is_time(text: &str) -> bool {
    let pattern = b"0000-00-00T00:00:00";
    let bytes = text.as_bytes();
    (20..=30).contains(&bytes.len())
        && bytes.iter().zip(pattern).all(|(b, p)| if *p == b'0' { b.is_ascii_digit() } else { b == p })
        && bytes[19..bytes.len() - 1]
            .iter()
            .enumerate()
            .all(|(at, b)| if at == 0 { *b == b'.' } else { b.is_ascii_digit() })
        && bytes.ends_with(b"Z")
}

/// Puts symbols in the place of values.
struct Replacer<'s> {
    /// Values of reach `Anywhere`, and last of all `${`.
    anywhere: Option<AhoCorasick>,
    names: Vec<&'s str>,
    whole: HashMap<&'s str, &'s str>,
    versions: HashMap<&'s str, &'s str>,
}

impl<'s> Replacer<'s> {
    fn of(table: &'s [Symbol]) -> Self {
        let with = |reach: Reach| table.iter().filter(move |symbol| symbol.reach == reach);
        let pair = |symbol: &'s Symbol| (symbol.value.as_str(), symbol.name.as_str());
        let mut patterns: Vec<&str> = with(Reach::Anywhere).map(|symbol| symbol.value.as_str()).collect();
        patterns.push("${");
        Self {
            // Fails for tables beyond 2^31 states only; such a tape keeps its uids.
            anywhere: AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns).ok(),
            names: with(Reach::Anywhere).map(|symbol| symbol.name.as_str()).collect(),
            whole: with(Reach::Whole).map(pair).collect(),
            versions: with(Reach::Version).map(pair).collect(),
        }
    }

    fn replace(&self, place: Place, text: &mut String) {
        let table = if place == Place::Version { &self.versions } else { &self.whole };
        if let Some(name) = table.get(text.as_str()) {
            *text = format!("${{{name}}}");
            return;
        }
        let replaced = self.anywhere(text);
        *text = if place == Place::Message { self.message(&replaced) } else { replaced };
    }

    fn anywhere(&self, text: &str) -> String {
        let Some(searcher) = &self.anywhere else { return text.replace("${", "${$}{") };
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for found in searcher.find_iter(text) {
            out.push_str(&text[done..found.start()]);
            done = found.end();
            match self.names.get(found.pattern().as_usize()) {
                Some(name) => {
                    out.push_str("${");
                    out.push_str(name);
                    out.push('}');
                }
                None => out.push_str("${$}{"),
            }
        }
        out.push_str(&text[done..]);
        out
    }

    /// The resourceVersions that messages name: `too old resource version: 7 (12)`, `Too large resource version: …`.
    fn message(&self, text: &str) -> String {
        let Some(start) = text.find("resource version: ") else { return text.to_owned() };
        let (before, after) = text.split_at(start);
        let mut out = before.to_owned();
        for part in after.split_inclusive(|c: char| !c.is_ascii_digit()) {
            let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
            match self.versions.get(digits) {
                Some(name) => out.push_str(&format!("${{{name}}}{}", &part[digits.len()..])),
                None => out.push_str(part),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::strategies;
    use super::*;
    use proptest::prelude::*;

    const UID: &str = "0b5f7a52-2d3c-4f0e-9a3b-0f6a5c1d2e3f";

    fn tape() -> Tape {
        let object = format!(
            r#"{{"kind":"Pod","metadata":{{"generateName":"web-","name":"web-x7k2p","uid":"{UID}","resourceVersion":"12","creationTimestamp":"2026-01-02T03:04:05Z","annotations":{{"a":"${{b}} {UID}"}}}}}}"#
        );
        let gone =
            r#"{"kind":"Status","message":"too old resource version: 7 (12)","metadata":{"resourceVersion":"7"}}"#;
        let answer = |text: &str| {
            Some(Response { status: 200, body: Some(Body::from_json(text.as_bytes())), ..Response::default() })
        };
        let get = |path: &str| Request { method: "GET".into(), path: path.into(), ..Request::default() };
        let first = Call { id: 1, request: get("/pods/web-x7k2p"), response: answer(&object), ..Call::default() };
        let second = Call { id: 2, request: get("/pods"), response: answer(gone), ..Call::default() };
        Tape { entries: vec![Entry::Call(first), Entry::Call(second)], ..Tape::default() }
    }

    #[test]
    fn volatile_values_go_into_the_table_and_come_back() {
        let mut symbolic = tape();
        symbolise(&mut symbolic);
        let table: Vec<_> =
            symbolic.header.symbols.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        let wanted = [
            ("name.web", "web-x7k2p"),
            ("uid.pod.web", UID),
            ("time.1", "2026-01-02T03:04:05Z"),
            ("rv.1", "7"),
            ("rv.2", "12"),
        ];
        assert_eq!(table, wanted);
        let calls: Vec<_> = symbolic.calls().collect();
        assert_eq!(calls[0].request.path, "/pods/${name.web}");
        let metadata =
            calls[0].response.as_ref().unwrap().body.as_ref().unwrap().json().unwrap().get("metadata").unwrap();
        assert_eq!(metadata.text_at(&["annotations", "a"]), "${$}{b} ${uid.pod.web}");
        assert_eq!(metadata.text_at(&["resourceVersion"]), "${rv.2}");
        let message = calls[1].response.as_ref().unwrap().body.as_ref().unwrap().json().unwrap().text_at(&["message"]);
        assert_eq!(message, "too old resource version: ${rv.1} (${rv.2})");
        literal(&mut symbolic);
        assert_eq!(symbolic, tape());
    }

    #[test]
    fn another_recording_of_the_same_events_differs_in_its_table_alone() {
        let mut first = tape();
        let text = super::super::to_text(&first)
            .replace(UID, "ffffffff-2d3c-4f0e-9a3b-0f6a5c1d2e3f")
            .replace("x7k2p", "zzzzz")
            .replace("\"7\"", "\"70\"")
            .replace("\"12\"", "\"1200\"")
            .replace("7 (12)", "70 (1200)")
            .replace("2026-01-02T03:04:05Z", "2027-06-07T08:09:10Z");
        let mut second = super::super::from_text(&text).unwrap();
        symbolise(&mut first);
        symbolise(&mut second);
        assert_eq!(first.entries, second.entries);
        let names = |tape: &Tape| tape.header.symbols.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&first), names(&second));
        assert_ne!(first.header.symbols, second.header.symbols);
    }

    #[test]
    fn a_name_that_is_not_in_the_table_stays() {
        let symbols = Symbols(HashMap::from([("a".to_owned(), "1".to_owned())]));
        assert_eq!(symbols.expand("${a} ${b} ${a ${$}{a} $${a}$"), "1 ${b} ${a ${a} $1$");
        let mark = Entry::Mark(Mark { text: "${a} ${b} ${$}{c}".into(), ..Mark::default() });
        assert!(symbols.unknown(&mark).into_iter().eq(["b".to_owned()]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_tape_comes_back(mut tape in strategies::tape()) {
            tape.header.symbols.clear();
            let mut symbolic = tape.clone();
            symbolise(&mut symbolic);
            let again = { let mut again = symbolic.clone(); symbolise(&mut again); again };
            prop_assert_eq!(&again, &symbolic);
            literal(&mut symbolic);
            prop_assert_eq!(symbolic, tape);
        }
    }
}
