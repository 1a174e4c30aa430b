//! What the footer says: how much is on the tape, and which resourceVersions it spans.

use crate::format::model::{Body, Document, Sealed};
use crate::format::{Tree, resource};
use std::collections::{BTreeMap, HashMap};

/// Counts documents as they are written.
#[derive(Debug, Default)]
pub struct Tally {
    calls: u64,
    frames: u64,
    revisions: BTreeMap<String, (String, String)>,
    /// Resource by id of the calls that are open.
    resources: HashMap<u64, String>,
}

impl Tally {
    /// Counts one.
    pub fn count(&mut self, document: &Document) {
        match document {
            Document::Req(req) => {
                self.calls += 1;
                if let Some(resource) = resource(&req.request) {
                    self.resources.insert(req.of, resource);
                }
            }
            Document::Head(head) => {
                if let Some(body) = &head.response.body {
                    self.note(head.of, body);
                }
            }
            Document::Frame(frame) => {
                self.frames += 1;
                self.note(frame.of, &frame.frame.content);
            }
            Document::End(end) => {
                self.resources.remove(&end.of);
            }
            Document::Header(_)
            | Document::Call(_)
            | Document::Upgrade(_)
            | Document::Mark(_)
            | Document::Sealed(_) => {}
        }
    }

    fn note(&mut self, of: u64, body: &Body) {
        let Some(resource) = self.resources.get(&of) else { return };
        let revision = match body {
            Body::Json { tree, .. } => revision(tree),
            Body::Proto { summary, .. } => {
                summary.iter().find(|(key, _)| key == "resourceVersion").map_or("", |(_, value)| value)
            }
            _ => "",
        };
        if revision.is_empty() || revision == "0" {
            return;
        }
        match self.revisions.get_mut(resource) {
            Some((_, last)) => revision.clone_into(last),
            None => {
                self.revisions.insert(resource.clone(), (revision.to_owned(), revision.to_owned()));
            }
        }
    }

    /// The footer, so far as it is counted here.
    #[must_use]
    pub fn sealed(self) -> Sealed {
        Sealed { calls: self.calls, frames: self.frames, revisions: self.revisions, ..Sealed::default() }
    }
}

/// Of an object, a list, or the object of a watch event.
fn revision(tree: &Tree) -> &str {
    match tree.get("object") {
        Some(object) if tree.get("type").is_some() => object.text_at(&["metadata", "resourceVersion"]),
        _ => tree.text_at(&["metadata", "resourceVersion"]),
    }
}
