//! Tapes, canonical or journal: each document is redacted once more, with the context of its request, and what would
//! change is a finding.

use std::collections::HashMap;

use rehearsal_apimachinery::catalog::Catalog;
use rehearsal_apimachinery::codec::frames::decode_protobuf_event;
use rehearsal_apimachinery::codec::protobuf::{MAGIC, decode_object};

use super::Scanner;
use super::content::Content;
use super::report::ScanReport;
use crate::format::Tree;
use crate::format::model::{Body, Call, Document, End, Frame, Request, Response};
use crate::format::read::{self, Piece};
use crate::redact::{Class, Context, detect, headers};

/// Whether a text begins as a tape does.
pub(super) fn is_tape(text: &str) -> bool {
    let first = |line: &&str| !line.is_empty() && !line.starts_with('#') && *line != "---";
    text.lines().take(20).find(first).is_some_and(|line| line.trim_end() == "kind: Tape")
}

pub(super) fn scan(scanner: &Scanner, file: &str, text: &str, report: &mut ScanReport) {
    let mut contexts: HashMap<u64, Context> = HashMap::new();
    for piece in read::pieces(text) {
        let at = Content { scanner, file, line: piece.line as u64, call: None, within: Vec::new() };
        match read::document(&piece) {
            Ok(document) => self::document(&at, &piece, &document, &mut contexts, report),
            // A damaged document is scanned as the text it is.
            Err(_) => at.bytes(piece.text.as_bytes(), report),
        }
    }
}

fn document(
    at: &Content<'_>,
    piece: &Piece<'_>,
    document: &Document,
    contexts: &mut HashMap<u64, Context>,
    report: &mut ScanReport,
) {
    let of = |id: u64, contexts: &HashMap<u64, Context>| contexts.get(&id).cloned().unwrap_or_default();
    let placed = |id: u64| Content { call: Some(id), ..at.clone() };
    let scan = |at| Scan { at, source: piece.text };
    let mut owner = at.clone();
    match document {
        Document::Header(header) => {
            if header.redaction.passes < 2 {
                let passes = header.redaction.passes;
                report
                    .notes
                    .push(format!("{}: redacted in {passes} of 2 passes, the recorder did not seal it", at.file));
            }
        }
        Document::Req(doc) => {
            owner = placed(doc.of);
            let context = Context::of(&doc.lane, &doc.request);
            scan(owner.clone()).request(&context, &doc.request, report);
            contexts.insert(doc.of, context);
        }
        Document::Head(doc) => {
            owner = placed(doc.of);
            scan(owner.clone()).response(&of(doc.of, contexts), &doc.response, report);
        }
        Document::Frame(doc) => {
            owner = placed(doc.of);
            scan(owner.clone()).frame(&of(doc.of, contexts), 0, &doc.frame, report);
        }
        Document::End(doc) => {
            owner = placed(doc.of);
            scan(owner.clone()).end(&doc.end, report);
        }
        Document::Call(call) => {
            owner = placed(call.id);
            scan(owner.clone()).call(call, report);
        }
        Document::Upgrade(upgrade) => {
            owner = placed(upgrade.id);
            let context = Context::of(&upgrade.lane, &upgrade.request);
            let scan = scan(owner.clone());
            scan.request(&context, &upgrade.request, report);
            upgrade.response.iter().for_each(|response| scan.response(&context, response, report));
            for (n, message) in upgrade.messages.iter().enumerate() {
                scan.body(&context, &format!("messages[{n}]"), &message.content, report);
            }
            scan.end(&upgrade.end, report);
        }
        Document::Mark(mark) => scan(at.clone()).text("text", &mark.text, report),
        Document::Sealed(_) => {}
    }
    owner.raw(piece.text, piece.text.as_bytes(), report);
}

/// One document's scan.
struct Scan<'a> {
    at: Content<'a>,
    source: &'a str,
}

impl Scan<'_> {
    fn call(&self, call: &Call, report: &mut ScanReport) {
        let context = Context::of(&call.lane, &call.request);
        self.request(&context, &call.request, report);
        call.response.iter().for_each(|response| self.response(&context, response, report));
        call.frames.iter().enumerate().for_each(|(n, frame)| self.frame(&context, n, frame, report));
        self.end(&call.end, report);
    }

    fn request(&self, context: &Context, request: &Request, report: &mut ScanReport) {
        let mut clean = Request { body: None, ..request.clone() };
        headers::request(self.at.scanner.core(), context, &mut clean);
        if clean.path != request.path {
            self.value("request.path", &request.path, Class::Query, report);
        }
        self.pairs("request.query", &request.query, &clean.query, Class::Query, report);
        self.pairs("request.headers", &request.headers, &clean.headers, Class::Header, report);
        request.body.iter().for_each(|body| self.body(context, "request.body", body, report));
    }

    fn response(&self, context: &Context, response: &Response, report: &mut ScanReport) {
        let mut clean = response.headers.clone();
        headers::response(self.at.scanner.core(), context, &mut clean);
        self.pairs("response.headers", &response.headers, &clean, Class::Header, report);
        response.body.iter().for_each(|body| self.body(context, "response.body", body, report));
    }

    fn frame(&self, context: &Context, n: usize, frame: &Frame, report: &mut ScanReport) {
        self.body(context, &format!("frames[{n}]"), &frame.content, report);
    }

    fn end(&self, end: &End, report: &mut ScanReport) {
        if let End::Upstream { message } = end {
            self.text("end", message, report);
        }
    }

    fn pairs(
        &self,
        place: &str,
        had: &[(String, String)],
        clean: &[(String, String)],
        class: Class,
        report: &mut ScanReport,
    ) {
        // A header that a rule drops has no counterpart.
        let kept = |name: &str, value: &str| clean.iter().any(|(n, v)| n == name && v == value);
        for (name, value) in had.iter().filter(|(name, value)| !kept(name, value)) {
            self.value(&format!("{place}.{name}"), value, class, report);
        }
    }

    fn value(&self, path: &str, value: &str, class: Class, report: &mut ScanReport) {
        let line = self.at.locate(self.source, value).unwrap_or(self.at.line);
        self.at.finding(line, path, class, report);
    }

    fn text(&self, path: &str, text: &str, report: &mut ScanReport) {
        for found in detect::find(text) {
            self.value(path, &text[found.range], found.class, report);
        }
    }

    fn body(&self, context: &Context, path: &str, body: &Body, report: &mut ScanReport) {
        match body {
            Body::Json { tree, .. } => self.at.tree(tree, self.source, context, path, report),
            Body::Yaml(text) | Body::Text(text) => {
                match body.tree().filter(|t| matches!(t, Tree::Map(_) | Tree::List(_))) {
                    Some(tree) => self.at.tree(&tree, self.source, context, path, report),
                    None if context.is_sensitive() && text.trim_start().starts_with(['{', '[']) => {
                        self.value(path, text, Class::Unreadable, report);
                    }
                    None => self.text(path, text, report),
                }
            }
            Body::Proto { bytes, .. } => self.proto(context, path, bytes, report),
            Body::Bytes(bytes) if bytes.starts_with(&MAGIC) => self.proto(context, path, bytes, report),
            Body::Bytes(bytes) if context.is_sensitive() && !bytes.is_empty() => {
                self.at.finding(self.at.line, path, Class::Unreadable, report);
            }
            Body::Bytes(bytes) => self.text(path, &String::from_utf8_lossy(bytes), report),
            // Scanned as the file or the call that it stands for.
            Body::Ref { .. } | Body::Same { .. } => {}
        }
    }

    fn proto(&self, context: &Context, path: &str, bytes: &[u8], report: &mut ScanReport) {
        let catalog = Catalog::builtin();
        let decoded = if bytes.starts_with(&MAGIC) {
            decode_object(bytes, catalog)
        } else {
            decode_protobuf_event(bytes, catalog).map(|(_, object)| object)
        };
        match decoded {
            Ok(object) => self.at.tree(&Tree::from(&object), self.source, context, path, report),
            Err(_) if context.is_sensitive() => self.at.finding(self.at.line, path, Class::Unreadable, report),
            Err(_) => self.text(path, &String::from_utf8_lossy(bytes), report),
        }
    }
}
