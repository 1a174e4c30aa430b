//! Frames: one line of JSON per event, encoded once and shared by all watchers; and which frame a selector asks for.

use super::{Event, EventKind};
use crate::store::StoredObject;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;

/// The type of a watch event, without the types that carry no object of the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// The object has come into view.
    Added,
    /// The object was in view and still is.
    Modified,
    /// The object has left the view.
    Deleted,
}

impl FrameKind {
    /// The wire word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// The frames of an event, encoded when first asked for.
#[derive(Default)]
pub(crate) struct Frames(Mutex<Cache>);

#[derive(Default)]
enum Cache {
    #[default]
    Empty,
    Hot(Box<[Option<Bytes>; 3]>),
    /// Nothing is kept any more: the event is old, and those who still ask are few.
    Cold,
}

impl Frames {
    pub(crate) fn cool(&self) {
        *self.0.lock() = Cache::Cold;
    }

    fn get(&self, kind: FrameKind, encode: impl FnOnce() -> Bytes) -> Bytes {
        let mut cache = self.0.lock();
        if let Cache::Empty = *cache {
            *cache = Cache::Hot(Box::default());
        }
        match &mut *cache {
            Cache::Hot(frames) => frames[kind as usize].get_or_insert_with(encode).clone(),
            Cache::Empty | Cache::Cold => {
                drop(cache);
                encode()
            }
        }
    }
}

/// Tells what a watcher whose selector is `matches` gets to see of an event, and the object it is about. For a frame of
/// kind [`FrameKind::Deleted`] that is the object as it was stored before; its bytes on the wire have the revision of
/// the event, see [`object_bytes`]. `None`: nothing.
pub fn classify(event: &Event, matches: impl Fn(&StoredObject) -> bool) -> Option<(FrameKind, &Arc<StoredObject>)> {
    let before = event.prev.as_ref().filter(|prev| matches(prev));
    let after = Some(&event.object).filter(|object| event.kind == EventKind::Put && matches(object));
    match (before, after) {
        (None, Some(object)) => Some((FrameKind::Added, object)),
        (Some(_), Some(object)) => Some((FrameKind::Modified, object)),
        (Some(prev), None) => Some((FrameKind::Deleted, prev)),
        (None, None) => None,
    }
}

/// The JSON of the object an event's frame carries.
#[must_use]
pub fn object_bytes(event: &Event, kind: FrameKind) -> Bytes {
    match (kind, &event.prev) {
        (FrameKind::Deleted, Some(prev)) => prev.with_revision(event.revision),
        _ => event.object.bytes().clone(),
    }
}

/// The frame of an event, encoded once per kind. The kind comes from [`classify`].
#[must_use]
pub fn event_frame(event: &Event, kind: FrameKind) -> Bytes {
    event.frames.get(kind, || match kind {
        FrameKind::Deleted => frame(kind, &object_bytes(event, kind)),
        // The bytes themselves, not a clone of their handle: the first clone of a `Bytes` costs an allocation that stays.
        FrameKind::Added | FrameKind::Modified => frame(kind, event.object.bytes()),
    })
}

/// One line around an object's JSON.
#[must_use]
pub fn frame(kind: FrameKind, object: &[u8]) -> Bytes {
    let parts: [&[u8]; 5] = [b"{\"type\":\"", kind.as_str().as_bytes(), b"\",\"object\":", object, b"}\n"];
    parts.concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{delete, put};
    use crate::store::{Expect, MemoryStorage, Op, Storage};

    fn event(before: Option<u64>, op: Op) -> Arc<Event> {
        let store = MemoryStorage::new();
        let from = before.map_or(1, |n| store.commit(vec![put("pods", "a/x", n, Expect::Any)]).unwrap().revision);
        store.commit(vec![op]).unwrap();
        store.watch(&"pods".into(), from).unwrap().try_next_batch().unwrap().unwrap().events.remove(0)
    }

    fn to(n: u64) -> Op {
        put("pods", "a/x", n, Expect::Any)
    }

    #[test]
    fn selectors_turn_changes_into_comings_and_goings() {
        let even = |object: &StoredObject| object.label("n").is_some_and(|n| n.parse::<u64>().unwrap() % 2 == 0);
        for (before, op, expected) in [
            (None, to(2), Some((FrameKind::Added, "2"))),
            (None, to(1), None),
            (Some(1), to(2), Some((FrameKind::Added, "2"))),
            (Some(2), to(4), Some((FrameKind::Modified, "4"))),
            (Some(2), to(1), Some((FrameKind::Deleted, "2"))),
            (Some(1), to(3), None),
            (Some(2), delete("pods", "a/x"), Some((FrameKind::Deleted, "2"))),
            (Some(1), delete("pods", "a/x"), None),
        ] {
            let event = event(before, op);
            let seen = classify(&event, even).map(|(kind, object)| (kind, object.label("n").unwrap()));
            assert_eq!(seen, expected, "{before:?} {event:?}");
        }
    }

    #[test]
    fn a_frame_is_encoded_once_and_shared() {
        let event = event(None, to(2));
        let frame = event_frame(&event, FrameKind::Added);
        let expected: &[u8] =
            b"{\"type\":\"ADDED\",\"object\":{\"data\":{\"n\":\"2\"},\"metadata\":{\"resourceVersion\":\"2\"}}}\n";
        assert_eq!(frame, expected);
        assert_eq!(frame.as_ptr(), event_frame(&event, FrameKind::Added).as_ptr());
    }

    #[test]
    fn frames_of_old_events_are_not_kept() {
        let store = MemoryStorage::new();
        let mut watch = store.watch(&"pods".into(), 1).unwrap();
        store.commit(vec![to(0)]).unwrap();
        let old = watch.try_next_batch().unwrap().unwrap().events.remove(0);
        let first = event_frame(&old, FrameKind::Added);
        for n in 0..1_024 {
            store.commit(vec![to(n)]).unwrap();
        }
        let again = event_frame(&old, FrameKind::Added);
        assert_eq!(first, again);
        assert_ne!(first.as_ptr(), again.as_ptr());
        assert_ne!(again.as_ptr(), event_frame(&old, FrameKind::Added).as_ptr());
    }

    #[test]
    fn deleted_frames_carry_the_object_before_with_the_revision_of_the_write() {
        let expected: &[u8] =
            b"{\"type\":\"DELETED\",\"object\":{\"data\":{\"n\":\"2\"},\"metadata\":{\"resourceVersion\":\"3\"}}}\n";
        for op in [delete("pods", "a/x"), to(1)] {
            assert_eq!(event_frame(&event(Some(2), op), FrameKind::Deleted), expected);
        }
    }
}
