//! [`FaultedStorage`]: the place between the checks of a write and its commit.
//!
//! The write faults of a request travel with its task, so that neither the registry nor the writes of controllers know
//! of them.

use super::Views;
use crate::store::{AtError, Collection, Committed, MemoryStorage, Op, Revision, Snapshot, Storage, TxnError};
use crate::watch::Cursor;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rehearsal_fault_wire::{Faults, WriteFaults};
use std::sync::Arc;
use std::time::Duration;

tokio::task_local! {
    static WRITE: WriteFaults;
}

/// Runs a handler whose commits are subject to faults.
pub(crate) async fn scoped<F: Future>(write: Option<WriteFaults>, handler: F) -> F::Output {
    match write {
        Some(write) => WRITE.scope(write, handler).await,
        None => handler.await,
    }
}

/// A storage that asks the write faults of the present task before it commits.
pub(crate) struct FaultedStorage {
    pub(crate) memory: Arc<MemoryStorage>,
    pub(crate) faults: Faults,
    pub(crate) views: Arc<Views>,
}

impl FaultedStorage {
    fn remember(&self) {
        if self.faults.is_armed() {
            self.views.remember(self.faults.now(), self.memory.snapshot().revision());
        }
    }
}

impl Storage for FaultedStorage {
    fn snapshot(&self) -> Snapshot {
        self.memory.snapshot()
    }

    fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, AtError> {
        self.memory.snapshot_at(revision)
    }

    fn collection_at(&self, collection: &Collection, revision: Revision) -> Result<Snapshot, AtError> {
        self.memory.collection_at(collection, revision)
    }

    fn wait_for(&self, revision: Revision, timeout: Duration) -> BoxFuture<'_, Result<Snapshot, AtError>> {
        self.memory.wait_for(revision, timeout)
    }

    fn txn(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Committed, TxnError>> {
        let Ok(write) = WRITE.try_with(WriteFaults::clone) else {
            let done = self.memory.commit(ops);
            self.remember();
            return std::future::ready(done).boxed();
        };
        async move {
            if !write.before_commit().await {
                return Err(TxnError::Unavailable("withheld by a fault".to_owned()));
            }
            let done = self.memory.commit(ops)?;
            write.committed();
            self.remember();
            Ok(done)
        }
        .boxed()
    }

    fn watch(&self, collection: &Collection, from: Revision) -> Result<Cursor, AtError> {
        self.memory.watch(collection, from)
    }

    fn compact(&self, revision: Revision) {
        self.memory.compact(revision);
    }

    fn begin_history(&self, collection: &Collection) {
        self.memory.begin_history(collection);
    }

    fn bump(&self) -> Revision {
        self.memory.bump()
    }
}
