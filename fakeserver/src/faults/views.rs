//! Views: what a lane sees of the store when it does not see the present.
//!
//! A view is legal as a lagging watch cache is: only reads that allow it (`resourceVersion` 0 or not newer than the view)
//! and watches are served from it; consistent reads and all writes go to the store itself.

use crate::store::{AtError, Collection, Committed, MemoryStorage, Op, Revision, Snapshot, Storage, TxnError};
use crate::watch::{Ceiling, Cursor};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rehearsal_faults::Lag;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Commits whose time is remembered, for lags by time.
const REMEMBERED: usize = 100_000;

/// How one request sees the store. In the extensions of the request.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) ceiling: Arc<Ceiling>,
    /// Whether a watch that begins in this view goes on into the present.
    pub(crate) catches_up: bool,
}

/// The views of a server: replicas by name, lanes by name.
#[derive(Debug, Default)]
pub(crate) struct Views {
    used: AtomicBool,
    replicas: Mutex<HashMap<String, Arc<Ceiling>>>,
    lanes: Mutex<HashMap<String, Arc<Ceiling>>>,
    commits: Mutex<VecDeque<(Duration, Revision)>>,
}

impl Views {
    /// Whether any lane may have a view of its own.
    pub(crate) fn are_used(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    /// The view of a lane, if it has one.
    pub(crate) fn of(&self, lane: &str) -> Option<Arc<Ceiling>> {
        self.lanes.lock().get(lane).cloned()
    }

    /// The view of a lane; the present, when it had none.
    pub(crate) fn of_lane(&self, lane: &str) -> Arc<Ceiling> {
        self.used.store(true, Ordering::Release);
        self.lanes.lock().entry(lane.to_owned()).or_default().clone()
    }

    /// Moves a lane to a replica, which stands still at `revision` if it is new.
    pub(crate) fn switch(&self, lane: &str, replica: &str, revision: Revision) -> Arc<Ceiling> {
        let ceiling = self.replica(replica, revision);
        self.used.store(true, Ordering::Release);
        self.lanes.lock().insert(lane.to_owned(), ceiling.clone());
        ceiling
    }

    /// A replica, which stands still at `revision` if it is new.
    pub(crate) fn replica(&self, name: &str, revision: Revision) -> Arc<Ceiling> {
        let mut replicas = self.replicas.lock();
        replicas.entry(name.to_owned()).or_insert_with(|| Arc::new(Ceiling::at(revision))).clone()
    }

    /// Everybody sees the present again.
    pub(crate) fn lift_all(&self) {
        self.used.store(false, Ordering::Release);
        let views = self.lanes.lock().drain().chain(self.replicas.lock().drain()).collect::<Vec<_>>();
        views.into_iter().for_each(|(_, ceiling)| ceiling.lift());
    }

    pub(super) fn remember(&self, now: Duration, revision: Revision) {
        let mut commits = self.commits.lock();
        if commits.len() == REMEMBERED {
            commits.pop_front();
        }
        commits.push_back((now, revision));
    }

    /// The revision that lags so far behind `current`.
    pub(super) fn behind(&self, lag: Lag, current: Revision, now: Duration) -> Revision {
        match lag {
            Lag::Revisions(n) => current.saturating_sub(n),
            Lag::Age(age) => {
                let then = now.saturating_sub(age);
                let commits = self.commits.lock();
                let last = commits.iter().rev().find(|(at, _)| *at <= then).map(|(_, revision)| *revision);
                // Before the first remembered commit there was what it found.
                last.or_else(|| commits.front().map(|(_, revision)| revision.saturating_sub(1))).unwrap_or(current)
            }
        }
    }
}

/// The storage as a view shows it.
pub(crate) struct ViewedStorage {
    pub(crate) base: Arc<dyn Storage>,
    pub(crate) memory: Arc<MemoryStorage>,
    pub(crate) view: View,
}

impl ViewedStorage {
    fn top(&self) -> Revision {
        self.view.ceiling.visible().min(self.memory.snapshot().revision())
    }
}

impl Storage for ViewedStorage {
    fn snapshot(&self) -> Snapshot {
        match self.memory.snapshot_at(self.top()) {
            Ok(snapshot) => snapshot,
            // As far back as the history goes.
            Err(AtError::Compacted { oldest }) => {
                self.memory.snapshot_at(oldest).unwrap_or_else(|_| self.memory.snapshot())
            }
            Err(AtError::Future { .. }) => self.memory.snapshot(),
        }
    }

    fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, AtError> {
        match self.top() {
            top if revision > top => Err(AtError::Future { current: top }),
            _ => self.base.snapshot_at(revision),
        }
    }

    fn collection_at(&self, collection: &Collection, revision: Revision) -> Result<Snapshot, AtError> {
        match self.top() {
            top if revision > top => Err(AtError::Future { current: top }),
            _ => self.base.collection_at(collection, revision),
        }
    }

    fn wait_for(&self, revision: Revision, timeout: Duration) -> BoxFuture<'_, Result<Snapshot, AtError>> {
        async move {
            let reached = async {
                while self.top() < revision {
                    // A view that follows moves with the store, one that stands still when it is told to.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            match tokio::time::timeout(timeout, reached).await {
                Ok(()) => Ok(self.snapshot()),
                Err(_) => Err(AtError::Future { current: self.top() }),
            }
        }
        .boxed()
    }

    fn txn(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Committed, TxnError>> {
        self.base.txn(ops)
    }

    fn watch(&self, collection: &Collection, from: Revision) -> Result<Cursor, AtError> {
        let cursor = self.base.watch(collection, from)?;
        Ok(if self.view.catches_up { cursor } else { cursor.below(self.view.ceiling.clone()) })
    }

    fn compact(&self, revision: Revision) {
        self.base.compact(revision);
    }

    fn bump(&self) -> Revision {
        self.base.bump()
    }
}
