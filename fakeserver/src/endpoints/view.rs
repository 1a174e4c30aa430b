//! How one watcher sees objects: in full, as partial metadata, or as Table rows; as JSON lines or protobuf frames.

use super::context::RequestContext;
use super::negotiate::{Accepted, Media, Transform};
use super::{partial, respond, table};
use crate::catalog::ResourceInfo;
use crate::clock::Clock;
use crate::registry::Object;
use crate::store::{Event, Revision, StoredObject};
use crate::watch::{FrameKind, event_frame, frame, object_bytes};
use bytes::Bytes;
use parking_lot::Mutex;
use rehearsal_apimachinery::Catalog;
use rehearsal_apimachinery::codec::{frames, json};
use rehearsal_apimachinery::status::Status;
use rehearsal_apimachinery::{ObjectMeta, ObjectMetaMut};
use serde_json::{Value, json};
use std::sync::Arc;

/// Marks the bookmark that ends the initial state (`metav1.InitialEventsAnnotationKey`).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// A watcher's view of the collection.
pub(crate) struct View {
    info: Arc<ResourceInfo>,
    transform: Transform,
    protobuf: bool,
    include: table::IncludeObject,
    clock: Clock,
    /// Column definitions are sent with the first Table only.
    columns_sent: Mutex<bool>,
}

impl View {
    pub(crate) fn new(cx: &RequestContext, accepted: &Accepted) -> Result<Self, Status> {
        let include = respond::include_object(cx)?;
        Ok(Self {
            info: cx.info.clone(),
            transform: accepted.transform.clone(),
            protobuf: accepted.media == Media::Protobuf,
            include,
            clock: cx.core.registry.clock().clone(),
            columns_sent: Mutex::new(false),
        })
    }

    /// Whether the stored bytes of an object go out as they are, so that frames can be shared by all watchers.
    fn is_plain(&self, object: &StoredObject) -> bool {
        self.transform == Transform::None && !self.protobuf && crate::registry::reads_as_stored(&self.info, object)
    }

    /// The frame of an event.
    pub(crate) fn event(&self, event: &Event, kind: FrameKind) -> Bytes {
        let about = event.prev.as_ref().filter(|_| kind == FrameKind::Deleted).unwrap_or(&event.object);
        if self.is_plain(about) {
            return event_frame(event, kind);
        }
        let stored = object_bytes(event, kind);
        let value = serde_json::from_slice(&stored).unwrap_or(Value::Null);
        self.wrap(kind.as_str(), &crate::registry::to_served_version(&self.info, value))
    }

    /// The frame of an object of the initial state.
    pub(crate) fn initial(&self, object: &Arc<StoredObject>) -> Bytes {
        if self.is_plain(object) {
            return frame(FrameKind::Added, object.bytes());
        }
        self.wrap("ADDED", &Object::Stored(object.clone()).value(&self.info))
    }

    /// A bookmark: a zero object of the kind with nothing but a resourceVersion.
    pub(crate) fn bookmark(&self, revision: Revision, end_of_initial: bool) -> Bytes {
        let gvk = self.info.gvk();
        let mut object = json!({"kind": gvk.kind, "apiVersion": gvk.api_version()});
        object.set_meta("resourceVersion", revision.to_string());
        if end_of_initial {
            object.set_annotation(INITIAL_EVENTS_END, "true");
        }
        if let Some(root) = self.info.root.filter(|_| !self.info.custom) {
            json::normalize(&mut object, &self.info.types, root);
        }
        self.wrap("BOOKMARK", &object)
    }

    /// An `ERROR` frame; Statuses are never transformed.
    pub(crate) fn error(&self, status: &Status) -> Bytes {
        if self.protobuf {
            return binary("ERROR", &serde_json::to_value(status).unwrap_or_default());
        }
        line("ERROR", &serde_json::to_vec(status).unwrap_or_default())
    }

    fn wrap(&self, kind: &str, object: &Value) -> Bytes {
        match &self.transform {
            Transform::Table(version) => line(kind, &self.table(object, version)),
            Transform::Partial(version) | Transform::PartialList(version) => {
                let shown = partial::partial_object(object, version);
                if self.protobuf { binary(kind, &shown) } else { line(kind, &partial::to_json(&shown)) }
            }
            Transform::None if self.protobuf => binary(kind, object),
            Transform::None => {
                let types = self.info.root.filter(|_| !self.info.custom).map(|root| (&*self.info.types, root));
                line(kind, &json::encode(object, types))
            }
        }
    }

    fn table(&self, object: &Value, version: &str) -> Vec<u8> {
        let mut sent = self.columns_sent.lock();
        let meta = json!({"resourceVersion": object.resource_version()});
        let options =
            table::Options { include: self.include, version, metadata: &meta, columns: !*sent, now: self.clock.now() };
        *sent = true;
        table::render(&self.info, [object], &options).to_json(&self.info)
    }
}

/// A length-delimited protobuf frame. Negotiation offers protobuf only for kinds that have such a form.
fn binary(kind: &str, object: &Value) -> Bytes {
    match frames::protobuf_event(kind, object, Catalog::builtin()) {
        Ok(frame) => Bytes::from(frame),
        Err(error) => {
            tracing::error!(target: "fakeserver::watch", %error, "an object has no protobuf form");
            Bytes::new()
        }
    }
}

fn line(kind: &str, object: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(object.len() + 40);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
    Bytes::from(out)
}
