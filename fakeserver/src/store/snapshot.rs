//! A consistent view of everything at one revision.

use super::root::{Objects, Root, Table};
use super::{Collection, Revision, StoredObject};
use std::fmt;
use std::sync::Arc;

/// All collections as they were at one revision. Cloning copies a pointer; keeping one keeps its objects alive.
#[derive(Clone)]
pub struct Snapshot(pub(super) Arc<Root>);

impl Snapshot {
    /// The revision of this view.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.0.revision
    }

    /// One object.
    #[must_use]
    pub fn get(&self, collection: impl AsRef<str>, key: &str) -> Option<Arc<StoredObject>> {
        self.table(collection.as_ref())?.get(key).cloned()
    }

    /// Number of objects whose key starts with a prefix. O(log n) for `""` and `<namespace>/`, else a walk.
    #[must_use]
    pub fn count(&self, collection: impl AsRef<str>, prefix: &str) -> usize {
        self.table(collection.as_ref()).map_or(0, |table| table.count(prefix))
    }

    /// The objects whose key starts with `prefix` and is not less than `start`, in the order of their keys.
    #[must_use]
    pub fn range(&self, collection: impl AsRef<str>, prefix: &str, start: &str) -> Range<'_> {
        let from = if start > prefix { start } else { prefix };
        let objects = self.table(collection.as_ref()).map(|table| table.from(from));
        Range { objects, prefix: prefix.into() }
    }

    /// The collections that hold or held objects, in order.
    pub fn collections(&self) -> impl Iterator<Item = &Collection> {
        self.0.tables.keys()
    }

    /// The revision of the last write to a collection, 0 when there was none.
    #[must_use]
    pub fn collection_revision(&self, collection: impl AsRef<str>) -> Revision {
        self.table(collection.as_ref()).map_or(0, |table| table.revision)
    }

    fn table(&self, collection: &str) -> Option<&Table> {
        self.0.table(collection)
    }
}

/// Objects in the order of their keys. See [`Snapshot::range`].
pub struct Range<'a> {
    objects: Option<Objects<'a>>,
    prefix: Box<str>,
}

impl<'a> Iterator for Range<'a> {
    type Item = (&'a str, &'a Arc<StoredObject>);

    fn next(&mut self) -> Option<Self::Item> {
        let object = self.objects.as_mut()?.next()?;
        let key = object.key();
        if key.starts_with(&*self.prefix) {
            return Some((key, object));
        }
        self.objects = None;
        None
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("revision", &self.0.revision).finish_non_exhaustive()
    }
}
