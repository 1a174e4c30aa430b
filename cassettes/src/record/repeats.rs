//! Answers that were given before: a poll that gets the same bytes again is written as a reference to the first time,
//! without being parsed, redacted and written out once more.

use super::event::Event;
use crate::format::model::{Body, Document};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};

/// Bodies shorter than this are written out: a reference would save nothing.
const WORTH: usize = 256;
/// Bodies remembered.
const REMEMBERED: usize = 4096;

type Print = [u8; 32];

/// Remembers the answers of a recording.
#[derive(Default)]
pub(crate) struct Repeats {
    /// Paths of the calls that are open: what is redacted in an answer depends on what was asked for.
    paths: HashMap<u64, String>,
    seen: HashMap<Print, u64>,
    order: VecDeque<Print>,
}

impl Repeats {
    /// The call that was answered with the same body before; takes that body out of the event.
    pub(crate) fn take(&mut self, event: &mut Event) -> Option<u64> {
        match event {
            Event::Req { of, head, .. } => {
                self.paths.insert(*of, head.uri.path().to_owned());
                None
            }
            Event::End { of, .. } => {
                self.paths.remove(of);
                None
            }
            Event::Head { of, body, .. } => {
                let path = self.paths.get(of)?;
                let payload = body.as_ref().filter(|payload| payload.bytes.len() >= WORTH)?;
                let mut hash = Sha256::new();
                for part in [path.as_bytes(), b"\0", payload.media.as_bytes(), &[0, u8::from(payload.raw)]] {
                    hash.update(part);
                }
                hash.update(&payload.bytes);
                let print: Print = hash.finalize().into();
                if let Some(first) = self.seen.get(&print).copied() {
                    *body = None;
                    return Some(first);
                }
                self.remember(print, *of);
                None
            }
            _ => None,
        }
    }

    fn remember(&mut self, print: Print, of: u64) {
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.order.push_back(print);
        self.seen.insert(print, of);
    }
}

/// Puts the reference into the document.
pub(crate) fn refer(document: &mut Document, first: u64) {
    if let Document::Head(head) = document {
        head.response.body = Some(Body::Same { of: first });
    }
}
