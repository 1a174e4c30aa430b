//! What happened to one collection, in order, within bounds.
//!
//! The log is part of the persistent state and the only buffer watches have. Bounds are counts and bytes, not age:
//! the store has no clock. Counterpart: apiserver `storage/cacher` `watchCache`.

use super::{Revision, StoredObject};
use crate::watch::Frames;
use imbl::OrdMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Frames are kept for this many events...
const HOT_EVENTS: usize = 1_024;
/// ... of which the objects are not larger than this together, in bytes.
const HOT_BYTES: usize = 8 << 20;

/// What a write did to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was created or changed.
    Put,
    /// It was removed.
    Delete,
}

/// One write to one object, shared by all who hear of it.
pub struct Event {
    /// The revision of the write.
    pub revision: Revision,
    /// What it did.
    pub kind: EventKind,
    /// The object as it is now or, for a delete, as it was stored last.
    pub object: Arc<StoredObject>,
    /// The object before; `None` on create.
    pub prev: Option<Arc<StoredObject>>,
    /// The object's key in its collection.
    pub key: EventKey,
    pub(crate) frames: Frames,
}

const _: () = assert!(size_of::<Event>() <= 64, "this is paid a hundred thousand times");

impl Event {
    pub(super) fn put(object: Arc<StoredObject>, prev: Option<Arc<StoredObject>>) -> Self {
        Self::new(object.revision(), EventKind::Put, object, prev)
    }

    pub(super) fn delete(object: Arc<StoredObject>, revision: Revision) -> Self {
        Self::new(revision, EventKind::Delete, object.clone(), Some(object))
    }

    fn new(revision: Revision, kind: EventKind, object: Arc<StoredObject>, prev: Option<Arc<StoredObject>>) -> Self {
        Self { revision, kind, key: EventKey(object.clone()), object, prev, frames: Frames::default() }
    }

    /// What keeping this event costs: itself, and the version that nothing else keeps any more.
    fn cost(&self) -> usize {
        const FIXED: usize = 128;
        FIXED + self.prev.as_ref().map_or(0, |prev| prev.bytes().len())
    }
}

/// The key of an event's object, a `str` kept by the object.
#[derive(Clone)]
pub struct EventKey(Arc<StoredObject>);

impl Deref for EventKey {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.key()
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("revision", &self.revision)
            .field("kind", &self.kind)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// How much history each collection keeps; what is older answers 410.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most events, default 102,400 (the largest `watchCache` of the real server).
    pub events: usize,
    /// Most bytes of events and superseded versions together, default 16 MiB. Encoded frames come on top, of the newest
    /// 1,024 events or 8 MiB.
    pub bytes: usize,
    /// Events kept even when they are larger than `bytes`, default 100 (the smallest `watchCache`).
    pub min_events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: 102_400, bytes: 16 << 20, min_events: 100 }
    }
}

/// The history of one collection.
#[derive(Clone, Default)]
pub(super) struct Log {
    events: OrdMap<Revision, Arc<Event>>,
    bytes: usize,
    /// The newest revision of which events may be missing.
    dropped: Revision,
    hot: Hot,
}

/// The newest events, whose frames are kept.
#[derive(Clone, Default)]
struct Hot {
    /// Those with greater revisions.
    after: Revision,
    events: usize,
    /// Size of their objects.
    bytes: usize,
}

impl Hot {
    fn leave(&mut self, oldest: &Event) {
        self.after = oldest.revision;
        self.events -= 1;
        self.bytes -= oldest.object.bytes().len();
    }
}

impl Log {
    /// An empty history that starts after a revision.
    pub(super) fn starting_after(revision: Revision) -> Self {
        Self { dropped: revision, ..Self::default() }
    }

    /// Events with greater revisions are all here.
    pub(super) fn complete_after(&self) -> Revision {
        self.dropped
    }

    pub(super) fn append(&mut self, event: Arc<Event>, limits: &Limits) {
        self.bytes += event.cost();
        self.hot.events += 1;
        self.hot.bytes += event.object.bytes().len();
        self.events.insert(event.revision, event);
        self.cool();
        while self.events.len() > limits.events || (self.bytes > limits.bytes && self.events.len() > limits.min_events)
        {
            self.drop_oldest();
        }
    }

    /// Drops the frames of events that most watches are past.
    fn cool(&mut self) {
        while self.hot.events > 1 && (self.hot.events > HOT_EVENTS || self.hot.bytes > HOT_BYTES) {
            let Some(event) = self.after(self.hot.after).next().cloned() else { return };
            event.frames.cool();
            self.hot.leave(&event);
        }
    }

    /// Forgets everything up to and including a revision.
    pub(super) fn drop_through(&mut self, revision: Revision) {
        while self.events.get_min().is_some_and(|(oldest, _)| *oldest <= revision) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(&(oldest, _)) = self.events.get_min() else { return };
        if let Some(event) = self.events.remove(&oldest) {
            self.bytes -= event.cost();
            if oldest > self.hot.after {
                self.hot.leave(&event);
            }
        }
        self.dropped = oldest;
    }

    /// The events after a revision, oldest first.
    pub(super) fn after(&self, revision: Revision) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        self.events.range(revision.saturating_add(1)..).map(|(_, event)| event)
    }

    /// The revision of the newest event up to a revision, or of the newest dropped one when none is left.
    pub(super) fn newest_through(&self, revision: Revision) -> Revision {
        self.events.get_prev(&revision).map_or(self.dropped, |(newest, _)| *newest)
    }
}
