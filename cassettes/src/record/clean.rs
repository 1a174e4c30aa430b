//! Redaction as a recorder's [`Clean`]: remembers whose answer a document belongs to, and sweeps at the end.

use super::tape::Clean;
use crate::format::model::{Document, Entry, Header, Tape};
use crate::redact::{Context, Redactor};
use std::collections::HashMap;

/// Takes secrets out of what one recorder writes.
pub struct Redaction {
    redactor: Redactor,
    /// Of the calls that are open.
    contexts: HashMap<u64, Context>,
}

impl Redaction {
    /// With this redactor, whose clones may be told of further secrets.
    #[must_use]
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor, contexts: HashMap::new() }
    }
}

impl Clean for Redaction {
    fn header(&mut self, header: &mut Header) {
        header.redaction = self.redactor.facts();
    }

    fn document(&mut self, document: &mut Document) {
        let of = match document {
            Document::Req(req) => {
                self.contexts.insert(req.of, Context::of(&req.lane, &req.request));
                req.of
            }
            Document::Head(head) => head.of,
            Document::Frame(frame) => frame.of,
            Document::End(end) => end.of,
            _ => 0,
        };
        let nobody = Context::default();
        self.redactor.document(self.contexts.get(&of).unwrap_or(&nobody), document);
        if matches!(document, Document::End(_)) {
            self.contexts.remove(&of);
        }
    }

    fn tape(&mut self, tape: &mut Tape) {
        let sweeper = self.redactor.seal();
        self.redactor.sealed(&mut tape.header);
        sweeper.header(&mut tape.header);
        for entry in &mut tape.entries {
            match entry {
                Entry::Call(call) => sweeper.call(call),
                Entry::Upgrade(upgrade) => sweeper.upgrade(upgrade),
                Entry::Mark(mark) => sweeper.text(&mut mark.text),
            };
        }
    }
}
