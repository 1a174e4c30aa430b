//! Watch events and their JSON form.
//!
//! Counterparts: apimachinery `watch.Event` and `meta/v1.WatchEvent`. The object is kept as JSON; an ERROR event carries
//! a `Status`. Framing of the stream belongs to whoever reads or writes it.

use crate::status::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// What happened to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum WatchEventType {
    /// It appeared, or began to match the selector.
    Added,
    /// It changed.
    Modified,
    /// It went away, or ceased to match the selector.
    Deleted,
    /// Nothing happened up to the resourceVersion of the object.
    Bookmark,
    /// The watch failed; the object is a `Status`.
    Error,
}

impl WatchEventType {
    /// The wire word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for WatchEventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One event of a watch; members in wire order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatchEvent<T = Value> {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: WatchEventType,
    /// The object, or the `Status` of an error.
    pub object: T,
}

impl<T> WatchEvent<T> {
    /// An event of this type.
    #[must_use]
    pub fn new(kind: WatchEventType, object: T) -> Self {
        Self { kind, object }
    }
}

impl WatchEvent {
    /// The event that reports a failure.
    #[must_use]
    pub fn error(status: &Status) -> Self {
        Self::new(WatchEventType::Error, serde_json::to_value(status).unwrap_or_default())
    }

    /// The failure an ERROR event reports.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        if self.kind != WatchEventType::Error {
            return None;
        }
        serde_json::from_value(self.object.clone()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_keep_their_wire_form() {
        let event = WatchEvent::new(WatchEventType::Added, json!({"kind": "Pod"}));
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(text, r#"{"type":"ADDED","object":{"kind":"Pod"}}"#);
        assert_eq!(serde_json::from_str::<WatchEvent>(&text).unwrap(), event);
    }

    #[test]
    fn errors_carry_a_status() {
        let status = Status::expired("too old resource version: 5 (536)");
        let event = WatchEvent::error(&status);
        assert_eq!(event.kind.to_string(), "ERROR");
        assert_eq!(event.status(), Some(status));
        assert_eq!(WatchEvent::new(WatchEventType::Deleted, json!({})).status(), None);
    }
}
