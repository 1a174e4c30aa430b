//! [`MemoryStorage`]: the storage whose state is a value in memory.
//!
//! Writers pass one sequencer, build the next state from the current one and publish it; readers load a pointer. The
//! history is part of the state, so a fork takes it along.

use super::log::{Event, Log};
use super::root::{Root, Table};
use super::{
    AtError, Collection, Committed, Limits, Op, Published, Revision, Snapshot, Storage, StoredObject, TxnError,
};
use crate::watch::Cursor;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Past states kept for the next page of a list.
const RECENT: usize = 8;

/// A storage in memory. Dropping it ends all watches.
pub struct MemoryStorage {
    published: Arc<Published>,
    sequencer: Mutex<()>,
    recent: Mutex<VecDeque<Recent>>,
    limits: Limits,
}

/// An object that may not be there.
type Object = Option<Arc<StoredObject>>;

/// A past state that was rebuilt; of one collection or, with `None`, of all.
struct Recent {
    epoch: u64,
    collection: Option<Collection>,
    snapshot: Snapshot,
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStorage {
    /// An empty storage at revision 1, like a new etcd.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(1)
    }

    /// An empty storage at a revision, which is also the oldest it serves.
    #[must_use]
    pub fn starting_at(revision: Revision) -> Self {
        Self::from_root(Root { revision, floor: revision, ..Root::default() }, Limits::default())
    }

    /// Sets how much history is kept. Takes effect with the next write to each collection.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How much history is kept.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    fn from_root(root: Root, limits: Limits) -> Self {
        Self {
            published: Arc::new(Published::new(root)),
            sequencer: Mutex::default(),
            recent: Mutex::default(),
            limits,
        }
    }

    /// Applies all ops in order or none; see [`Storage::txn`].
    ///
    /// # Errors
    /// [`TxnError::Conflict`] when a condition does not hold.
    pub fn commit(&self, ops: Vec<Op>) -> Result<Committed, TxnError> {
        let _turn = self.sequencer.lock();
        let mut next = Root::clone(&self.published.load());
        let mut touched = BTreeSet::new();
        let mut objects = Vec::with_capacity(ops.len());
        for (index, op) in ops.into_iter().enumerate() {
            let (collection, written) =
                self.apply(&mut next, op).map_err(|current| TxnError::Conflict { op: index, current })?;
            touched.insert(collection);
            objects.push(written);
        }
        let revision = next.revision;
        if objects.iter().any(Option::is_some) {
            self.published.publish(next, touched.iter());
        }
        Ok(Committed { revision, objects })
    }

    /// Applies one op to a state; the error is the object that is in the way.
    fn apply(&self, next: &mut Root, op: Op) -> Result<(Collection, Object), Object> {
        let (collection, key, draft, expect) = match op {
            Op::Put { collection, key, draft, expect } => (collection, key, Some(draft), expect),
            Op::Delete { collection, key, expect } => (collection, key, None, expect),
        };
        let current = next.table(collection.as_str()).and_then(|table| table.get(&key)).cloned();
        if !expect.holds(current.as_deref()) {
            return Err(current);
        }
        if draft.is_none() && current.is_none() {
            return Ok((collection, None));
        }
        next.revision += 1;
        let revision = next.revision;
        let table = next.table_mut(&collection);
        let event = match draft {
            Some(draft) => Some(table.write(&key, &draft, revision)),
            None => table.erase(&key, revision),
        };
        let object = event.as_ref().map(|event| event.object.clone());
        if let Some(event) = event {
            table.revision = revision;
            table.log.append(Arc::new(event), &self.limits);
        }
        Ok((collection, object))
    }

    /// An independent storage that starts as a copy of this one, history included. Copies pointers only.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::from_root(Root::clone(&self.published.load()), self.limits)
    }

    /// Goes back to the objects of a snapshot, of this storage or of a fork. The revision moves forward, all watches
    /// end with [`Closed`](crate::watch::CursorError::Closed) and the history begins anew. Copies pointers only.
    pub fn restore(&self, snapshot: &Snapshot) {
        let _turn = self.sequencer.lock();
        let current = self.published.load_full();
        let revision = current.revision.max(snapshot.revision()) + 1;
        let mut next = Root { revision, floor: revision, epoch: current.epoch + 1, ..Root::default() };
        let names = current.tables.keys().chain(snapshot.0.tables.keys());
        for collection in names.collect::<BTreeSet<_>>() {
            let mut table = snapshot.0.table(collection.as_str()).cloned().unwrap_or_default();
            (table.revision, table.log) = (revision, Log::starting_after(revision));
            next.tables.insert(collection.clone(), Arc::new(table));
        }
        self.recent.lock().clear();
        self.published.replace(next);
    }

    /// Lets the next write take a revision greater than this one; smaller ones change nothing.
    pub fn advance(&self, to: Revision) {
        let _turn = self.sequencer.lock();
        let current = self.published.load_full();
        if to > current.revision {
            self.published.publish(Root { revision: to, ..Root::clone(&current) }, std::iter::empty());
        }
    }

    /// Ends all watches.
    pub fn close(&self) {
        let _turn = self.sequencer.lock();
        let mut next = Root::clone(&self.published.load());
        next.epoch += 1;
        self.published.replace(next);
    }

    /// The state at a revision, of one collection or of all.
    fn rebuild(&self, only: Option<&Collection>, revision: Revision) -> Result<Snapshot, AtError> {
        let root = self.published.load_full();
        if revision > root.revision {
            return Err(AtError::Future { current: root.revision });
        }
        if revision == root.revision {
            return Ok(Snapshot(root));
        }
        if revision < root.floor {
            return Err(AtError::Compacted { oldest: root.floor });
        }
        if let Some(snapshot) = self.recently_rebuilt(&root, only, revision) {
            return Ok(snapshot);
        }
        let snapshot = Snapshot(Arc::new(past(&root, only, revision)?));
        let mut recent = self.recent.lock();
        recent.truncate(RECENT - 1);
        recent.push_front(Recent { epoch: root.epoch, collection: only.cloned(), snapshot: snapshot.clone() });
        Ok(snapshot)
    }

    fn recently_rebuilt(&self, root: &Root, only: Option<&Collection>, revision: Revision) -> Option<Snapshot> {
        let mut recent = self.recent.lock();
        let index = recent.iter().position(|r| {
            r.epoch == root.epoch
                && r.snapshot.revision() == revision
                && (r.collection.is_none() || r.collection.as_ref() == only)
        })?;
        let found = recent.remove(index)?;
        let snapshot = found.snapshot.clone();
        recent.push_front(found);
        Some(snapshot)
    }
}

impl Drop for MemoryStorage {
    fn drop(&mut self) {
        self.close();
    }
}

impl Storage for MemoryStorage {
    fn snapshot(&self) -> Snapshot {
        Snapshot(self.published.load_full())
    }

    fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, AtError> {
        self.rebuild(None, revision)
    }

    fn collection_at(&self, collection: &Collection, revision: Revision) -> Result<Snapshot, AtError> {
        self.rebuild(Some(collection), revision)
    }

    fn wait_for(&self, revision: Revision, timeout: Duration) -> BoxFuture<'_, Result<Snapshot, AtError>> {
        async move {
            // Outside a runtime there is no timer, and none is needed for what is there.
            let root = self.published.load_full();
            if root.revision >= revision {
                return Ok(Snapshot(root));
            }
            match tokio::time::timeout(timeout, self.published.reached(revision)).await {
                Ok(root) => Ok(Snapshot(root)),
                Err(_) => Err(AtError::Future { current: self.published.load().revision }),
            }
        }
        .boxed()
    }

    fn txn(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Committed, TxnError>> {
        async move { self.commit(ops) }.boxed()
    }

    fn watch(&self, collection: &Collection, from: Revision) -> Result<Cursor, AtError> {
        let root = self.published.load();
        root.check(collection.as_str(), from)?;
        Ok(Cursor::new(self.published.clone(), collection.clone(), from, root.epoch))
    }

    fn compact(&self, revision: Revision) {
        let _turn = self.sequencer.lock();
        let mut next = Root::clone(&self.published.load());
        next.floor = next.floor.max(revision.min(next.revision));
        let floor = next.floor;
        for collection in next.tables.keys().cloned().collect::<Vec<_>>() {
            next.table_mut(&collection).log.drop_through(floor);
        }
        self.recent.lock().retain(|recent| recent.snapshot.revision() >= floor);
        self.published.publish(next, std::iter::empty());
    }

    fn begin_history(&self, collection: &Collection) {
        let _turn = self.sequencer.lock();
        let mut next = Root::clone(&self.published.load());
        let revision = next.revision;
        let table = next.table_mut(collection);
        (table.revision, table.log) = (revision, Log::starting_after(revision));
        self.published.publish(next, std::iter::once(collection));
    }

    fn bump(&self) -> Revision {
        let _turn = self.sequencer.lock();
        let mut next = Root::clone(&self.published.load());
        next.revision += 1;
        let revision = next.revision;
        self.published.publish(next, std::iter::empty());
        revision
    }
}

impl Table {
    fn write(&mut self, key: &str, draft: &super::Draft, revision: Revision) -> Event {
        let created = self.get(key).map_or(revision, |current| current.create_revision());
        let object = Arc::new(StoredObject::new(key, draft, revision, created));
        let prev = self.put(&object);
        Event::put(object, prev)
    }

    fn erase(&mut self, key: &str, revision: Revision) -> Option<Event> {
        Some(Event::delete(self.remove(key)?, revision))
    }

    /// Takes back what an event did.
    fn undo(&mut self, event: &Event) {
        match &event.prev {
            Some(prev) => drop(self.put(prev)),
            None => drop(self.remove(&event.key)),
        }
    }
}

/// The state of one collection, or of all, at an earlier revision, without history of its own.
fn past(root: &Root, only: Option<&Collection>, revision: Revision) -> Result<Root, AtError> {
    let mut past = Root { revision, floor: revision, epoch: root.epoch, ..Root::default() };
    for (collection, table) in &root.tables {
        if only.is_some_and(|only| only != collection) {
            continue;
        }
        let complete_after = table.log.complete_after();
        if revision < complete_after {
            return Err(AtError::Compacted { oldest: complete_after });
        }
        let mut earlier = Table::clone(table);
        earlier.log = Log::starting_after(revision);
        for event in table.log.after(revision).rev() {
            earlier.undo(event);
        }
        earlier.revision = table.log.newest_through(revision);
        past.tables.insert(collection.clone(), Arc::new(earlier));
    }
    Ok(past)
}
