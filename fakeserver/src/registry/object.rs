//! What a registry call hands back, and how an object becomes bytes for the store.

use super::{Registry, Target, convert};
use crate::catalog::ResourceInfo;
use crate::store::{Draft, Header, StoredObject};
use bytes::Bytes;
use rehearsal_apimachinery::ObjectMeta;
use rehearsal_apimachinery::codec::json;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// An object on its way out: shared stored bytes where possible, a value where it was never stored in this form.
#[derive(Clone, Debug)]
pub enum Object {
    /// As stored.
    Stored(Arc<StoredObject>),
    /// Never stored in this form (dry runs, objects that went away, subresources of another kind).
    Value(Value),
}

impl Object {
    /// The object as the served version's JSON, compact, without a newline.
    #[must_use]
    pub fn json(&self, info: &ResourceInfo) -> Bytes {
        match self {
            Self::Stored(stored) => convert::served_bytes(info, stored),
            Self::Value(value) => Bytes::from(json::encode(value, encoding(info))),
        }
    }

    /// The object as a value in the served version.
    #[must_use]
    pub fn value(&self, info: &ResourceInfo) -> Value {
        match self {
            Self::Stored(stored) => convert::to_served(info, stored),
            Self::Value(value) => value.clone(),
        }
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(&self) -> String {
        match self {
            Self::Stored(stored) => stored.uid().to_owned(),
            Self::Value(value) => value.uid().to_owned(),
        }
    }
}

/// Largest object that etcd takes, in bytes (`--max-request-bytes`).
const MAX_OBJECT: usize = 1_572_864;

/// Refuses what etcd would refuse.
///
/// # Errors
/// A plain 500 with etcd's words.
pub(super) fn check_size(draft: &Draft) -> Result<(), Status> {
    if draft.json.len() > MAX_OBJECT { Err(Status::bare500("etcdserver: request is too large")) } else { Ok(()) }
}

/// The member order for a kind: struct order for built-ins, sorted keys for custom resources.
pub(super) fn encoding(
    info: &ResourceInfo,
) -> Option<(&rehearsal_apimachinery::catalog::Types, rehearsal_apimachinery::catalog::TypeId)> {
    if info.custom { None } else { info.root.map(|root| (&*info.types, root)) }
}

/// The member order of the stored form.
fn storage_encoding(
    info: &ResourceInfo,
) -> Option<(&rehearsal_apimachinery::catalog::Types, rehearsal_apimachinery::catalog::TypeId)> {
    if info.custom || info.serves_storage_form() {
        return encoding(info);
    }
    let catalog = rehearsal_apimachinery::Catalog::builtin();
    catalog.type_of(&info.storage_gvk()).map(|root| (&*catalog.types, root))
}

impl Registry {
    /// Encodes an object of the target's version in its storage version.
    pub(super) fn draft(&self, target: &Target, object: &Value) -> Draft {
        let storage = convert::to_storage(&target.info, object);
        let value = storage.as_ref().unwrap_or(object);
        let encoded = json::encode_with_hole(value, storage_encoding(&target.info));
        Draft { hole: encoded.hole.unwrap_or_default(), json: encoded.json, header: header(target, value) }
    }
}

/// 400 for an object nested too deep to be read again. A body is refused by its codec; what the server adds to it, above
/// all `managedFields`, which follow its nesting, is counted here.
pub(super) fn check_depth(object: &Value) -> Result<(), Status> {
    // The parser that reads stored objects gives up at the level at which the codec still accepts.
    if crate::patch::depth_of(object) < json::MAX_DEPTH {
        return Ok(());
    }
    Err(Status::bad_request("exceeded max depth"))
}

fn header(target: &Target, value: &Value) -> Header {
    let labels = value
        .labels()
        .map(|l| l.iter().filter_map(|(k, v)| v.as_str().map(|v| (k.clone(), v.to_owned()))).collect())
        .unwrap_or_default();
    let fields = target
        .storage_rules()
        .strategy
        .selectable_fields(value)
        .into_iter()
        .map(|(k, v)| (Cow::Borrowed(k), v))
        .chain(crate::schema::custom::selectable_values(&target.info, value))
        .collect();
    let owners = value
        .owner_references()
        .iter()
        .filter_map(|o| o.get("uid").and_then(Value::as_str).map(str::to_owned))
        .collect();
    Header { uid: value.uid().to_owned(), labels, fields, owners }
}
