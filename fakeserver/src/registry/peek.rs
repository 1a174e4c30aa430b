//! The view that hooks have of the other objects: one snapshot, parsed on demand.

use crate::store::{Snapshot, object_key};
use crate::strategies::Peek;
use serde_json::Value;
use std::sync::Arc;

/// [`Peek`] over a snapshot of the store. Objects are in their storage version.
#[derive(Clone)]
pub struct SnapshotPeek(Snapshot);

impl SnapshotPeek {
    /// A view of this snapshot.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self(snapshot)
    }

    /// The revision of the view.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.0.revision()
    }
}

impl Peek for SnapshotPeek {
    fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.0.get(resource, &object_key(namespace, name)).map(|stored| stored.value())
    }

    fn list(&self, resource: &str, namespace: &str) -> Vec<Arc<Value>> {
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        self.0.range(resource, &prefix, "").map(|(_, stored)| stored.value()).collect()
    }
}
