//! Who depends on whom, by uid: what the garbage collector keeps in mind about the whole store.
//!
//! Only objects with owners have entries, and only what a stored object's header tells is used, so that following a
//! busy store costs next to nothing. Counterpart: `pkg/controller/garbagecollector/graph_builder.go`.

use super::runner::{Change, Item};
use crate::store::{Collection, StoredObject};
use std::collections::{BTreeMap, BTreeSet};

/// Dependents by the uid of their owners.
#[derive(Debug, Default)]
pub(super) struct OwnerIndex {
    dependents: BTreeMap<String, BTreeSet<Item>>,
    /// Owners whose removal was seen and that still have dependents. They are absent even if their kind is unknown now.
    gone: BTreeSet<String>,
}

impl OwnerIndex {
    /// Follows a change. Returns whether the object has owners now that it did not have before.
    pub(super) fn observe(&mut self, change: &Change<'_>) -> bool {
        let before: BTreeSet<&str> = change.before.into_iter().flat_map(StoredObject::owners).collect();
        let after: BTreeSet<&str> = change.after.into_iter().flat_map(StoredObject::owners).collect();
        for owner in before.difference(&after) {
            self.remove(owner, &change.item());
        }
        let mut more = false;
        for owner in after.difference(&before) {
            self.dependents.entry((*owner).to_owned()).or_default().insert(change.item());
            more = true;
        }
        let removed = change.before.filter(|_| change.after.is_none()).map(StoredObject::uid);
        if let Some(uid) = removed.filter(|uid| self.dependents.contains_key(*uid)) {
            self.gone.insert(uid.to_owned());
        }
        more
    }

    fn remove(&mut self, owner: &str, dependent: &Item) {
        let Some(dependents) = self.dependents.get_mut(owner) else { return };
        dependents.remove(dependent);
        if dependents.is_empty() {
            self.dependents.remove(owner);
            self.gone.remove(owner);
        }
    }

    /// Forgets the objects of a collection, and which owners are gone: they may have come back.
    pub(super) fn forget(&mut self, collection: &Collection) {
        self.gone.clear();
        self.dependents.retain(|_, dependents| {
            dependents.retain(|dependent| dependent.collection != *collection);
            !dependents.is_empty()
        });
    }

    /// The dependents of an owner, in order.
    pub(super) fn dependents(&self, owner: &str) -> impl Iterator<Item = &Item> {
        self.dependents.get(owner).into_iter().flatten()
    }

    /// Everything that has an owner.
    pub(super) fn all(&self) -> impl Iterator<Item = &Item> {
        self.dependents.values().flatten()
    }

    /// Whether the removal of an owner was seen.
    pub(super) fn is_gone(&self, owner: &str) -> bool {
        self.gone.contains(owner)
    }
}
