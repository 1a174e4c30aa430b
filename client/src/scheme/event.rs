//! [`TypedEvent`]: a watch event whose object is a Rust type, read from a frame in one pass.
//!
//! Counterpart: apimachinery `watch.Event`. Bookmarks carry metadata only, so they are no object of the type; ERROR
//! events are errors of the stream and no events.

use super::{PartialObjectMetadata, Resource};
use crate::rest::codec::json;
use rehearsal_apimachinery::codec::protobuf::deserialize_object_seed;
use rehearsal_apimachinery::{Catalog, Status, WatchEventType};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;

/// What happened to an object.
#[derive(Clone, Debug, PartialEq)]
pub enum TypedEvent<K> {
    /// It appeared, or began to match the selector.
    Added(K),
    /// It changed.
    Modified(K),
    /// It went away, or ceased to match the selector; this is its last state.
    Deleted(K),
    /// Nothing happened up to the resourceVersion in this metadata.
    Bookmark(Box<PartialObjectMetadata>),
}

impl<K> TypedEvent<K> {
    /// The object; `None` for a bookmark.
    pub fn object(&self) -> Option<&K> {
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => Some(object),
            Self::Bookmark(_) => None,
        }
    }

    /// The object; `None` for a bookmark.
    pub fn into_object(self) -> Option<K> {
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => Some(object),
            Self::Bookmark(_) => None,
        }
    }

    /// The wire word.
    pub fn kind(&self) -> WatchEventType {
        match self {
            Self::Added(_) => WatchEventType::Added,
            Self::Modified(_) => WatchEventType::Modified,
            Self::Deleted(_) => WatchEventType::Deleted,
            Self::Bookmark(_) => WatchEventType::Bookmark,
        }
    }
}

impl<K: Resource> TypedEvent<K> {
    /// Version of the object, or of the bookmark.
    pub fn resource_version(&self) -> &str {
        match self {
            Self::Bookmark(partial) => partial.resource_version(),
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => {
                object.metadata().resource_version.as_deref().unwrap_or_default()
            }
        }
    }
}

/// An event, or the failure an ERROR event reports.
pub(crate) type EventOrFailure<K> = Result<TypedEvent<K>, Box<Status>>;

/// Reads a JSON frame, its object straight into the type.
pub(crate) fn typed_from_json<K: Resource>(frame: &[u8]) -> Result<EventOrFailure<K>, String> {
    json::<Wire<K>>(frame).map(|wire| wire.0)
}

/// The same for the object of an event in protobuf; `None` for what our own codec cannot read.
pub(crate) fn typed_from_protobuf<K: Resource>(kind: WatchEventType, object: &[u8]) -> Option<EventOrFailure<K>> {
    deserialize_object_seed(object, Catalog::builtin(), ObjectOf(kind, PhantomData)).ok()
}

/// The same for an object that was decoded as a value. By way of JSON, so that types are compiled for one reader less.
pub(crate) fn typed_from_value<K: Resource>(kind: WatchEventType, object: &Value) -> Result<EventOrFailure<K>, String> {
    let json = serde_json::to_vec(object).map_err(|e| e.to_string())?;
    let seed = ObjectOf(kind, PhantomData);
    seed.deserialize(&mut serde_json::Deserializer::from_slice(&json)).map_err(|e| e.to_string())
}

struct Wire<K>(EventOrFailure<K>);

impl<'de, K: Resource> Deserialize<'de> for Wire<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WireVisitor(PhantomData)).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Member {
    Type,
    Object,
    #[serde(other)]
    Other,
}

struct WireVisitor<K>(PhantomData<K>);

impl<'de, K: Resource> Visitor<'de> for WireVisitor<K> {
    type Value = EventOrFailure<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a watch event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kind = None;
        let mut event = None;
        // Servers write the type first; an object that comes before it has to be kept as a value.
        let mut early: Option<Value> = None;
        while let Some(member) = map.next_key()? {
            match (member, kind) {
                (Member::Type, _) => kind = Some(map.next_value::<WatchEventType>()?),
                (Member::Object, Some(kind)) => event = Some(map.next_value_seed(ObjectOf(kind, PhantomData))?),
                (Member::Object, None) => early = Some(map.next_value()?),
                (Member::Other, _) => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let kind = kind.ok_or_else(|| A::Error::missing_field("type"))?;
        match (event, early) {
            (Some(event), _) => Ok(event),
            (None, Some(early)) => typed_from_value(kind, &early).map_err(A::Error::custom),
            (None, None) => {
                Err(A::Error::custom(format!("unable to decode watch event: the object of a {kind} event is missing")))
            }
        }
    }
}

/// Reads the object of an event of a known type.
struct ObjectOf<K>(WatchEventType, PhantomData<K>);

impl<'de, K: Resource> DeserializeSeed<'de> for ObjectOf<K> {
    type Value = EventOrFailure<K>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Ok(match self.0 {
            WatchEventType::Added => Ok(TypedEvent::Added(K::deserialize(deserializer)?)),
            WatchEventType::Modified => Ok(TypedEvent::Modified(K::deserialize(deserializer)?)),
            WatchEventType::Deleted => Ok(TypedEvent::Deleted(K::deserialize(deserializer)?)),
            WatchEventType::Bookmark => {
                Ok(TypedEvent::Bookmark(Box::new(PartialObjectMetadata::deserialize(deserializer)?)))
            }
            WatchEventType::Error => Err(Box::new(Status::deserialize(deserializer)?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn read(frame: &str) -> Result<EventOrFailure<ConfigMap>, String> {
        typed_from_json(frame.as_bytes())
    }

    const OBJECT: &str = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"5"}}"#;

    #[test]
    fn the_order_of_members_does_not_matter() {
        for frame in [
            format!(r#"{{"type":"ADDED","object":{OBJECT}}}"#),
            format!(r#"{{"object":{OBJECT},"x":[1],"type":"ADDED"}}"#),
        ] {
            let event = read(&frame).unwrap().unwrap();
            assert_eq!(event.resource_version(), "5");
            assert!(matches!(event, TypedEvent::Added(_)));
        }
    }

    #[test]
    fn bookmarks_are_metadata_and_errors_are_failures() {
        let end = r#"{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        let TypedEvent::Bookmark(partial) = read(end).unwrap().unwrap() else { panic!("no bookmark") };
        assert!(partial.ends_initial_events());
        assert_eq!(partial.gvk().unwrap().kind, "ConfigMap");
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old","reason":"Expired","code":410}}"#;
        assert_eq!(read(gone).unwrap().unwrap_err().code, 410);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        assert!(read(r#"{"type":"FOO","object":{}}"#).is_err());
        assert!(read(r#"{"type":"ADDED"}"#).unwrap_err().contains("missing"));
        assert!(read(r#"{"type":"ADDED","object":{"kind":"Pod"}}"#).is_err());
        assert!(read(r#"{"object":{"kind":"Pod"},"type":"ADDED"}"#).is_err());
    }
}
