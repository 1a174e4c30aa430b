//! Which write a watch frame tells of: a response with the same uid and resourceVersion, or a deletion of the uid.
//!
//! Events often arrive before the response of the write that caused them, so order of arrival says nothing; but a write
//! must have been asked for before its event.

use super::model::*;
use std::collections::HashMap;

/// Sets the cause of every frame of a tape, from nothing but the tape.
pub(super) fn compute(tape: &mut Tape) {
    let writes = Writes::of(tape);
    for call in tape.calls_mut() {
        for frame in &mut call.frames {
            frame.cause = writes.cause(frame);
        }
    }
}

#[derive(Default)]
struct Writes {
    /// Calls whose response had this uid and resourceVersion: request order and id, the first of them.
    by_version: HashMap<(String, String), (Seq, u64)>,
    /// Deletions by uid, in request order.
    deletions: HashMap<String, Vec<(Seq, u64)>>,
}

impl Writes {
    fn of(tape: &Tape) -> Self {
        let mut writes = Self::default();
        for call in tape.calls() {
            writes.add(call);
        }
        writes
    }

    fn add(&mut self, call: &Call) {
        let Some(response) = call.response.as_ref().filter(|r| (200..300).contains(&r.status)) else { return };
        let Some(body) = &response.body else { return };
        let writes = matches!(call.request.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE");
        let dry = call.request.query.iter().any(|(key, _)| key == "dryRun");
        if !writes || dry {
            return;
        }
        let order = (call.seq.req, call.id);
        self.version(body.fact("uid"), body.fact("resourceVersion"), order);
        if call.request.method == "DELETE" {
            self.deleted(body, order);
        }
    }

    fn version(&mut self, uid: &str, version: &str, order: (Seq, u64)) {
        if !uid.is_empty() && !version.is_empty() {
            // Writes that change nothing answer with an old version; the first one made it.
            let first = self.by_version.entry((uid.to_owned(), version.to_owned())).or_insert(order);
            *first = order.min(*first);
        }
    }

    /// A deletion answers with the object, with a Status whose details have the uid, or with a list of objects.
    fn deleted(&mut self, body: &Body, order: (Seq, u64)) {
        let mut uids = vec![body.fact("uid").to_owned()];
        // Typed clients are answered in protobuf.
        if let Some(tree) = crate::history::object(body) {
            uids.push(tree.text_at(&["details", "uid"]).to_owned());
            let items = tree.get("items").map(super::tree::Tree::items).unwrap_or_default();
            for item in items {
                let uid = item.text_at(&["metadata", "uid"]);
                self.version(uid, item.text_at(&["metadata", "resourceVersion"]), order);
                uids.push(uid.to_owned());
            }
        }
        for uid in uids.into_iter().filter(|uid| !uid.is_empty()) {
            let deletions = self.deletions.entry(uid).or_default();
            if !deletions.contains(&order) {
                deletions.push(order);
            }
        }
    }

    fn cause(&self, frame: &Frame) -> Vec<u64> {
        let content = &frame.content;
        let (uid, version) = (content.fact("uid"), content.fact("resourceVersion"));
        if uid.is_empty() {
            return Vec::new();
        }
        let exact = self.by_version.get(&(uid.to_owned(), version.to_owned())).filter(|(seq, _)| *seq < frame.seq);
        if let Some((_, id)) = exact {
            return vec![*id];
        }
        if content.fact("type") != "DELETED" {
            return Vec::new();
        }
        let deletions = self.deletions.get(uid).map(Vec::as_slice).unwrap_or_default();
        let newest = deletions.iter().filter(|(seq, _)| *seq < frame.seq).max();
        newest.map(|(_, id)| vec![*id]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rehearsal_apimachinery::catalog::Catalog;
    use rehearsal_apimachinery::codec::protobuf::encode_object;

    #[test]
    fn a_deletion_that_was_answered_in_protobuf_is_a_cause_like_any_other() {
        let gone =
            serde_json::json!({"apiVersion": "v1", "kind": "Status", "status": "Success", "details": {"uid": "u"}});
        let body = Body::Proto { bytes: encode_object(&gone, Catalog::builtin()).unwrap(), summary: Vec::new() };
        let delete = Call {
            id: 7,
            seq: Marks { req: 1, head: Some(2), end: 3 },
            request: Request { method: "DELETE".into(), ..Request::default() },
            response: Some(Response { status: 200, body: Some(body), ..Response::default() }),
            ..Call::default()
        };
        let event = br#"{"type":"DELETED","object":{"metadata":{"uid":"u","resourceVersion":"9"}}}"#;
        let frame = Frame { seq: 4, content: Body::from_json(event), ..Frame::default() };
        let watch = Call { id: 8, frames: vec![frame], ..Call::default() };
        let entries = vec![Entry::Call(delete), Entry::Call(watch)];
        let mut tape = Tape { entries, ..Tape::default() };
        compute(&mut tape);
        assert_eq!(tape.calls().last().unwrap().frames[0].cause, [7]);
    }
}
