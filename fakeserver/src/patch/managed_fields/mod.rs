//! Field ownership on every write: `metadata.managedFields`.
//!
//! Counterpart: apimachinery `util/managedfields` and apiserver `handlers/fieldmanager`. The order of a write is:
//! 1. decode and default the body, or patch and default the stored object;
//! 2. [`update`] (POST, PUT and all patches but apply), or [`apply`] followed by decoding and defaulting its result;
//! 3. mutating admission, whose changes nobody comes to own, and [`restore_if_unreadable`];
//! 4. the strategy's preparation and validation;
//! 5. [`keep_times_if_unchanged`] (not on creation), validating admission, and the store, which writes nothing when
//!    nothing changed.

mod admission;
mod apply;
mod conflict;
mod empty;
mod entries;
mod last_applied;
mod scale;
mod times;
mod update;
mod user_agent;

pub use admission::restore_if_unreadable;
pub use apply::{apply, check_kind, undecodable};
pub use scale::{ReplicasPaths, to_parent, to_scale};
pub use times::keep_times_if_unchanged;
pub use update::update;
pub use user_agent::manager_from_user_agent;

use super::apply::{Entry, Operation, Schema, Set, Updater};
use entries::id;
use rehearsal_apimachinery::{ObjectMeta, ObjectMetaMut};
use serde_json::Value;

/// Fields that never are anybody's.
const UNTRACKED: [&str; 12] = [
    "apiVersion",
    "kind",
    "metadata",
    "metadata.name",
    "metadata.namespace",
    "metadata.creationTimestamp",
    "metadata.selfLink",
    "metadata.uid",
    "metadata.clusterName",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.resourceVersion",
];

/// Who writes, through what, and when.
#[derive(Clone, Copy, Debug)]
pub struct Manager<'a> {
    /// The `fieldManager` option, else [`manager_from_user_agent`]. Empty counts as `unknown`.
    pub name: &'a str,
    /// API version of the request, as `apiVersion` writes it.
    pub api_version: &'a str,
    /// Subresource written, `""` for the object itself.
    pub subresource: &'a str,
    /// The time, RFC 3339 in whole seconds.
    pub now: &'a str,
}

impl<'a> Manager<'a> {
    fn entry<'v>(&self, name: &'a str, operation: Operation, set: Set<'v>) -> Entry<'v>
    where
        'a: 'v,
    {
        let name = if name.is_empty() { "unknown" } else { name };
        let id = id(name, operation, self.api_version, self.subresource);
        Entry { id, api_version: self.api_version, time: None, set }
    }
}

fn paths<'a>(dotted: &[&'a str]) -> Set<'a> {
    Set::of_fields(dotted.iter().map(|path| path.split('.')))
}

fn updater<'a>(schema: &Schema<'a>, manager: &Manager<'a>, reset_fields: &[&'a str]) -> Updater<'a> {
    Updater { schema: *schema, api_version: manager.api_version, ignored: paths(reset_fields) }
}

fn managed_fields(object: &Value) -> Option<&Value> {
    object.meta().and_then(|m| m.get("managedFields"))
}

fn list(managed_fields: Option<&Value>) -> &[Value] {
    managed_fields.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn set_managed_fields(object: &mut Value, entries: Vec<Value>) {
    if entries.is_empty() {
        object.remove_meta("managedFields");
    } else {
        object.set_meta("managedFields", entries);
    }
}

#[cfg(test)]
mod tests;
