//! One state of the whole storage: an immutable value, cheap to copy, from which the next one is made.

use super::log::{Event, Log};
use super::{AtError, Collection, Revision, StoredObject, split_key};
use imbl::{OrdMap, OrdSet};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

#[derive(Clone, Default)]
pub(crate) struct Root {
    pub(super) revision: Revision,
    /// Nothing older than this is served.
    pub(super) floor: Revision,
    /// Changes when the state is replaced rather than continued; ends all watches.
    pub(super) epoch: u64,
    pub(super) tables: OrdMap<Collection, Arc<Table>>,
}

impl Root {
    pub(super) fn table(&self, collection: &str) -> Option<&Table> {
        self.tables.get(collection).map(|table| &**table)
    }

    pub(super) fn table_mut(&mut self, collection: &Collection) -> &mut Table {
        Arc::make_mut(self.tables.entry(collection.clone()).or_default())
    }

    /// The oldest revision after which the collection's history is complete.
    pub(crate) fn oldest(&self, collection: &str) -> Revision {
        self.table(collection).map_or(0, |table| table.log.complete_after()).max(self.floor)
    }

    /// Whether the history after a revision is there.
    pub(crate) fn check(&self, collection: &str, revision: Revision) -> Result<(), AtError> {
        let oldest = self.oldest(collection);
        if revision < oldest { Err(AtError::Compacted { oldest }) } else { Ok(()) }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether events after a revision have been lost to the bounds.
    pub(crate) fn lost_after(&self, collection: &str, revision: Revision) -> bool {
        self.table(collection).is_some_and(|table| table.log.complete_after() > revision)
    }

    pub(crate) fn events_after(
        &self,
        collection: &str,
        revision: Revision,
    ) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        self.table(collection).into_iter().flat_map(move |table| table.log.after(revision))
    }
}

/// One collection in one state.
#[derive(Clone, Default)]
pub(super) struct Table {
    objects: OrdSet<Entry>,
    /// Number of objects per namespace, so that a namespace is counted without a walk.
    namespaces: OrdMap<Arc<str>, usize>,
    /// Revision of the last write.
    pub(super) revision: Revision,
    pub(super) log: Log,
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Arc<StoredObject>> {
        self.objects.get(key.as_bytes()).map(|entry| &entry.0)
    }

    /// Stores an object under its key and returns the one that was there.
    pub(super) fn put(&mut self, object: &Arc<StoredObject>) -> Option<Arc<StoredObject>> {
        let previous = self.objects.insert(Entry(object.clone()));
        let (namespace, _) = split_key(object.key());
        if previous.is_none() && !namespace.is_empty() {
            match self.namespaces.get_mut(namespace) {
                Some(count) => *count += 1,
                None => {
                    self.namespaces.insert(namespace.into(), 1);
                }
            }
        }
        previous.map(|entry| entry.0)
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Arc<StoredObject>> {
        let removed = self.objects.remove(key.as_bytes())?;
        let (namespace, _) = split_key(key);
        match self.namespaces.get_mut(namespace) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) => {
                self.namespaces.remove(namespace);
            }
            None => {}
        }
        Some(removed.0)
    }

    /// Number of objects whose key starts with a prefix; a walk only for prefixes other than `""` and `<ns>/`.
    pub(super) fn count(&self, prefix: &str) -> usize {
        match prefix.split_once('/') {
            None if prefix.is_empty() => self.objects.len(),
            Some((namespace, "")) => self.namespaces.get(namespace).copied().unwrap_or(0),
            _ => self.from(prefix).take_while(|object| object.key_bytes().starts_with(prefix.as_bytes())).count(),
        }
    }

    /// The objects from a key on.
    pub(super) fn from(&self, start: &str) -> Objects<'_> {
        Objects(self.objects.range::<_, [u8]>((Bound::Included(start.as_bytes()), Bound::Unbounded)))
    }
}

/// An object in the order of its key. The key is in the object only, not beside it in the tree as well.
#[derive(Clone)]
struct Entry(Arc<StoredObject>);

impl Borrow<[u8]> for Entry {
    fn borrow(&self) -> &[u8] {
        self.0.key_bytes()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key_bytes().cmp(other.0.key_bytes())
    }
}

/// Objects in the order of their keys.
pub(super) struct Objects<'a>(imbl::ordset::RangedIter<'a, Entry, imbl::shared_ptr::DefaultSharedPtr>);

impl<'a> Iterator for Objects<'a> {
    type Item = &'a Arc<StoredObject>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|entry| &entry.0)
    }
}
