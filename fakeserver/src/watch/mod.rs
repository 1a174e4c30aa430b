//! Watches: cursors over the log of a collection, and the frames that go out to clients.
//!
//! There is no channel per watcher: the log is the buffer, a cursor a position in it. A cursor that falls out of the
//! retained window is told so, and its stream ends. Counterpart: apiserver `storage/cacher`.

mod ceiling;
mod cursor;
mod frames;

pub use crate::store::{Event, EventKey, EventKind};
pub use ceiling::Ceiling;
pub use cursor::{Batch, Cursor, CursorError};
pub use frames::{FrameKind, classify, event_frame, frame, object_bytes};

pub(crate) use frames::Frames;
