//! The seam between the registry and whatever keeps the state: memory, or an etcd cluster behind a mirror of it.

use super::{Collection, Draft, Revision, Snapshot, StoredObject};
use crate::watch::Cursor;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// What must be true of a key for an [`Op`] to go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is no object.
    Absent,
    /// The object is at this very revision.
    Revision(Revision),
    /// There is an object.
    Exists,
    /// Nothing.
    Any,
}

impl Expect {
    pub(super) fn holds(self, current: Option<&StoredObject>) -> bool {
        match self {
            Self::Absent => current.is_none(),
            Self::Revision(revision) => current.is_some_and(|object| object.revision() == revision),
            Self::Exists => current.is_some(),
            Self::Any => true,
        }
    }
}

/// One write of a transaction.
#[derive(Clone, Debug)]
pub enum Op {
    /// Stores an object.
    Put {
        /// Where.
        collection: Collection,
        /// Key within the collection, see [`object_key`](super::object_key).
        key: String,
        /// The object.
        draft: Draft,
        /// Condition.
        expect: Expect,
    },
    /// Removes an object. Removing what is not there, under [`Expect::Any`], does nothing and takes no revision.
    Delete {
        /// Where.
        collection: Collection,
        /// Key within the collection.
        key: String,
        /// Condition.
        expect: Expect,
    },
}

/// A transaction that went through.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The revision of the last op.
    pub revision: Revision,
    /// Per op the object put or the last version of the object deleted; `None` when there was nothing to delete.
    pub objects: Vec<Option<Arc<StoredObject>>>,
}

/// Why a transaction changed nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TxnError {
    /// An op's condition does not hold.
    #[error("condition of write {op} does not hold")]
    Conflict {
        /// Index of the op.
        op: usize,
        /// The object as it is, as far as earlier ops of the transaction leave it.
        current: Option<Arc<StoredObject>>,
    },
    /// The backend cannot be reached or refuses to serve.
    #[error("storage unavailable: {0}")]
    Unavailable(String),
}

/// Why a revision cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AtError {
    /// It is older than the history.
    #[error("revision has been compacted, oldest is {oldest}")]
    Compacted {
        /// The oldest revision that can be read, and the oldest that a watch can start after: the number in
        /// parentheses of `too old resource version: 5 (536)`.
        oldest: Revision,
    },
    /// It has not happened yet.
    #[error("revision is in the future, current is {current}")]
    Future {
        /// The newest revision.
        current: Revision,
    },
}

/// A store of all collections under one revision counter.
pub trait Storage: Send + Sync + 'static {
    /// The current state. Never waits for a writer.
    fn snapshot(&self) -> Snapshot;

    /// The state at any retained revision.
    ///
    /// # Errors
    /// [`AtError::Compacted`] when the history of any collection does not reach back so far, [`AtError::Future`].
    fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, AtError>;

    /// The state of one collection at any retained revision; the snapshot may lack all others. Cheaper than
    /// [`snapshot_at`](Self::snapshot_at), and independent of how busy other collections are.
    ///
    /// # Errors
    /// [`AtError::Compacted`] when the collection's history does not reach back so far, [`AtError::Future`].
    fn collection_at(&self, collection: &Collection, revision: Revision) -> Result<Snapshot, AtError> {
        let _ = collection;
        self.snapshot_at(revision)
    }

    /// Waits until the state is at least as new as a revision. Cancel-safe.
    ///
    /// # Errors
    /// [`AtError::Future`] after `timeout`.
    fn wait_for(&self, revision: Revision, timeout: Duration) -> BoxFuture<'_, Result<Snapshot, AtError>>;

    /// Applies all ops in order or none. Each takes a revision of its own.
    ///
    /// # Errors
    /// [`TxnError::Conflict`] when a condition does not hold.
    fn txn(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Committed, TxnError>>;

    /// The events of a collection with revisions greater than `from`; `from` may lie in the future, what happens up to
    /// it is then skipped.
    ///
    /// # Errors
    /// [`AtError::Compacted`] when `from` is older than the history.
    fn watch(&self, collection: &Collection, from: Revision) -> Result<Cursor, AtError>;

    /// Forgets the history up to a revision, which remains readable itself.
    fn compact(&self, revision: Revision);

    /// Lets the history of a collection begin now, as it does when a resource begins to be served: no watch can start
    /// before.
    fn begin_history(&self, collection: &Collection) {
        let _ = collection;
    }

    /// Takes a revision without a write, and returns it.
    fn bump(&self) -> Revision;
}
