//! [`Sights`]: how far the client under test has been shown each collection by its watches.
//!
//! What others did after the client had been told something must not happen before it has been told again.

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Response, header};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use rehearsal_cassettes::record::body_of;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// The newest resourceVersion of each collection that a watch has sent. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Sights(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    newest: Mutex<BTreeMap<String, u64>>,
    changed: Notify,
}

impl Sights {
    /// Waits for something new. Cancel safe.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// The newest of each collection.
    pub(super) fn newest(&self) -> BTreeMap<String, u64> {
        self.0.newest.lock().clone()
    }

    fn note(&self, collection: &str, revision: u64) {
        let mut newest = self.0.newest.lock();
        let known = newest.entry(collection.to_owned()).or_default();
        *known = revision.max(*known);
        drop(newest);
        self.0.changed.notify_one();
    }

    /// The answer to a watch, whose events are noted as they leave.
    pub(super) fn of(&self, collection: String, response: Response<axum::body::Body>) -> Response<axum::body::Body> {
        let media = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let mut events = Events { media: media.unwrap_or_default().to_owned(), held: BytesMut::new() };
        let sights = self.clone();
        response.map(|body| {
            axum::body::Body::new(body.map_frame(move |frame| {
                if let Some(data) = frame.data_ref() {
                    events.feed(data, |revision| sights.note(&collection, revision));
                }
                frame
            }))
        })
    }
}

/// Finds the events in the bytes of a watch.
struct Events {
    media: String,
    held: BytesMut,
}

impl Events {
    fn feed(&mut self, data: &Bytes, mut note: impl FnMut(u64)) {
        self.held.extend_from_slice(data);
        while let Some(event) = self.next() {
            let body = body_of(&self.media, &event);
            if let Some(revision) = body.and_then(|body| body.fact("resourceVersion").parse().ok()) {
                note(revision);
            }
        }
    }

    /// A line of JSON, or a protobuf message behind its length.
    fn next(&mut self) -> Option<Bytes> {
        if !self.media.contains("protobuf") {
            let end = self.held.iter().position(|byte| *byte == b'\n')?;
            return Some(self.held.split_to(end + 1).freeze());
        }
        let length = usize::try_from(u32::from_be_bytes(*self.held.first_chunk::<4>()?)).ok()?;
        if self.held.len() < length.saturating_add(4) {
            return None;
        }
        self.held.advance(4);
        Some(self.held.split_to(length).freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_the_stream_is_cut() {
        let text = concat!(
            r#"{"type":"ADDED","object":{"kind":"Pod","metadata":{"resourceVersion":"7"}}}"#,
            "\n",
            r#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"9"}}}"#,
            "\n",
        );
        for cut in 0..text.len() {
            let mut events = Events { media: "application/json".to_owned(), held: BytesMut::new() };
            let mut seen = Vec::new();
            for piece in [&text[..cut], &text[cut..]] {
                events.feed(&Bytes::from(piece.to_owned()), |revision| seen.push(revision));
            }
            assert_eq!(seen, [7, 9], "cut at {cut}");
        }
    }
}
