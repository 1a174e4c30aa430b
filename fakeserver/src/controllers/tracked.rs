//! The objects of one collection that a controller keeps in mind, found by namespace.

use super::runner::{Change, Item};
use crate::store::Collection;
use std::collections::BTreeSet;

/// Keys of some objects of a collection, so that changes elsewhere cost nothing in namespaces without any.
#[derive(Debug)]
pub(super) struct Tracked {
    collection: Collection,
    keys: BTreeSet<String>,
}

impl Tracked {
    pub(super) fn new(collection: &str) -> Self {
        Self { collection: Collection::new(collection), keys: BTreeSet::new() }
    }

    /// Follows a change: keeps the object in mind or not.
    pub(super) fn follow(&mut self, change: &Change<'_>, keep: bool) {
        match keep && change.after.is_some() {
            true => drop(self.keys.insert(change.key.to_owned())),
            false => drop(self.keys.remove(change.key)),
        }
    }

    /// Forgets all if this is the collection. Returns all otherwise: what they depend on may have changed.
    pub(super) fn forget(&mut self, collection: &Collection) -> Vec<Item> {
        if self.collection == *collection {
            self.keys.clear();
        }
        self.keys.iter().map(|key| Item::new(&self.collection, key)).collect()
    }

    /// Those in a namespace, in order.
    pub(super) fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = Item> {
        let prefix = format!("{namespace}/");
        let keys = self.keys.range(prefix.clone()..).take_while(move |key| key.starts_with(&prefix));
        keys.map(|key| Item::new(&self.collection, key))
    }
}
