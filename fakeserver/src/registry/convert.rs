//! Between the version a kind is stored in and the version it is served in.
//!
//! Most kinds have one version, for which stored bytes are served as they are. Events and horizontal pod autoscalers
//! are served in two groups or versions over one storage; custom resources with conversion strategy `None` change
//! their `apiVersion` alone.

use crate::catalog::ResourceInfo;
use crate::schema::custom;
use crate::store::StoredObject;
use crate::strategies::{autoscaling_v1, event};
use bytes::Bytes;
use rehearsal_apimachinery::codec::json;
use rehearsal_apimachinery::{Catalog, GroupVersionKind};
use serde_json::Value;
use std::sync::Arc;

/// The stored object as JSON of the served version.
pub(super) fn served_bytes(info: &ResourceInfo, stored: &StoredObject) -> Bytes {
    if reads_as_stored(info, stored) {
        return stored.bytes().clone();
    }
    Bytes::from(json::encode(&to_served(info, stored), super::object::encoding(info)))
}

/// The stored object as a value of the served version.
pub(super) fn to_served(info: &ResourceInfo, stored: &StoredObject) -> Value {
    let value = Arc::unwrap_or_clone(stored.value());
    if info.custom {
        return custom::read(info, value);
    }
    if info.serves_storage_form() { value } else { to_version(info, value) }
}

/// Whether the stored bytes of an object are what a row serves.
pub(crate) fn reads_as_stored(info: &ResourceInfo, stored: &StoredObject) -> bool {
    if info.custom { custom::reads_as_stored(info, stored) } else { info.serves_storage_form() }
}

/// The object in the version of the storage, or `None` where the served version is the stored one.
pub(super) fn to_storage(info: &ResourceInfo, object: &Value) -> Option<Value> {
    if info.custom {
        return (!info.serves_storage_form()).then(|| custom::write(info, object.clone()));
    }
    (!info.serves_storage_form()).then(|| convert(&info.storage_gvk(), object.clone()))
}

/// Rewrites an object of a sibling version into the version of this row.
pub(crate) fn to_version(info: &ResourceInfo, value: Value) -> Value {
    if info.custom {
        return custom::read(info, value);
    }
    if info.serves_storage_form() { value } else { convert(&info.gvk(), value) }
}

fn convert(gvk: &GroupVersionKind, mut value: Value) -> Value {
    let from = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    let to = gvk.api_version();
    let mut converted = match (gvk.kind.as_str(), from.as_str(), to.as_str()) {
        ("Event", "v1", "events.k8s.io/v1") => event::to_regarding(&value),
        ("Event", "events.k8s.io/v1", "v1") => event::to_involved(&value),
        ("HorizontalPodAutoscaler", "autoscaling/v2", "autoscaling/v1") => autoscaling_v1::v2_to_v1(&value),
        ("HorizontalPodAutoscaler", "autoscaling/v1", "autoscaling/v2") => autoscaling_v1::v1_to_v2(&value),
        _ => {
            if let Value::Object(map) = &mut value {
                map.insert("apiVersion".into(), to.into());
            }
            value
        }
    };
    let catalog = Catalog::builtin();
    if let Some(root) = catalog.type_of(gvk) {
        json::normalize(&mut converted, &catalog.types, root);
    }
    converted
}
