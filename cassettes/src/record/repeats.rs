//! Answers that were given before: a poll that gets the same bytes again is written as a reference to the first time,
//! without being parsed, redacted and written out once more.

use super::event::{Event, Payload};
use crate::format::model::{Body, Document};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};

/// Bodies shorter than this are written out: a reference would save nothing.
const WORTH: usize = 256;
/// Bodies remembered by their hash.
const REMEMBERED: usize = 4096;
/// Bytes of bodies that are kept to be compared, which is cheaper than to hash again: the last one of each path.
const KEPT: usize = 4 << 20;

type Print = [u8; 32];

/// Remembers the answers of a recording.
#[derive(Default)]
pub(crate) struct Repeats {
    /// Paths of the calls that are open: what is redacted in an answer depends on what was asked for.
    paths: HashMap<u64, String>,
    seen: HashMap<Print, u64>,
    order: VecDeque<Print>,
    last: Last,
}

/// The last body of each path, as far as there is room.
#[derive(Default)]
struct Last {
    bodies: HashMap<String, (Payload, Print)>,
    bytes: usize,
}

impl Last {
    /// The hash of a body, where it is known without hashing.
    fn find(&self, path: &str, payload: &Payload) -> Option<Print> {
        self.bodies.get(path).filter(|(known, _)| known == payload).map(|(_, print)| *print)
    }

    fn keep(&mut self, path: &str, payload: &Payload, print: Print) {
        let length = payload.bytes.len();
        if length > KEPT / 2 {
            return;
        }
        if self.bytes + length > KEPT {
            *self = Self::default();
        }
        // Of its own, for the bytes may be a small part of a large buffer.
        let payload = Payload { bytes: Bytes::copy_from_slice(&payload.bytes), ..payload.clone() };
        if let Some((old, _)) = self.bodies.insert(path.to_owned(), (payload, print)) {
            self.bytes -= old.bytes.len();
        }
        self.bytes += length;
    }
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
                let known = self.last.find(path, payload);
                let print = known.unwrap_or_else(|| print(path, payload));
                if known.is_none() {
                    self.last.keep(path, payload, print);
                }
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

fn print(path: &str, payload: &Payload) -> Print {
    let mut hash = Sha256::new();
    for part in [path.as_bytes(), b"\0", payload.media.as_bytes(), &[0, u8::from(payload.raw)]] {
        hash.update(part);
    }
    hash.update(&payload.bytes);
    hash.finalize().into()
}

/// Puts the reference into the document.
pub(crate) fn refer(document: &mut Document, first: u64) {
    if let Document::Head(head) = document {
        head.response.body = Some(Body::Same { of: first });
    }
}
