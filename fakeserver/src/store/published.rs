//! The current state and those who wait for a newer one.

use super::root::Root;
use super::{Collection, Revision};
use arc_swap::ArcSwap;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// A slot for the current [`Root`] with wake-ups. Readers take no lock; whoever waits must register with a signal
/// first and look at the root second.
pub(crate) struct Published {
    root: ArcSwap<Root>,
    /// One per collection that was ever watched.
    signals: RwLock<HashMap<Collection, Arc<Notify>>>,
    advanced: Notify,
}

impl Published {
    pub(super) fn new(root: Root) -> Self {
        Self { root: ArcSwap::from_pointee(root), signals: RwLock::default(), advanced: Notify::new() }
    }

    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<Root>> {
        self.root.load()
    }

    pub(super) fn load_full(&self) -> Arc<Root> {
        self.root.load_full()
    }

    /// Makes a state current and wakes the watches of one collection after the other.
    pub(super) fn publish<'a>(&self, root: Root, touched: impl Iterator<Item = &'a Collection>) {
        self.root.store(Arc::new(root));
        self.advanced.notify_waiters();
        let signals = self.signals.read();
        for collection in touched {
            if let Some(signal) = signals.get(collection) {
                signal.notify_waiters();
            }
        }
    }

    /// Makes a state current that does not continue the last one, and wakes everybody.
    pub(super) fn replace(&self, root: Root) {
        self.root.store(Arc::new(root));
        self.advanced.notify_waiters();
        for signal in self.signals.read().values() {
            signal.notify_waiters();
        }
    }

    /// What tells of writes to a collection.
    pub(crate) fn signal(&self, collection: &Collection) -> Arc<Notify> {
        if let Some(signal) = self.signals.read().get(collection) {
            return signal.clone();
        }
        self.signals.write().entry(collection.clone()).or_default().clone()
    }

    /// Waits until the revision has been reached. Cancel-safe.
    pub(super) async fn reached(&self, revision: Revision) -> Arc<Root> {
        loop {
            let mut advanced = std::pin::pin!(self.advanced.notified());
            advanced.as_mut().enable();
            let root = self.load_full();
            if root.revision >= revision {
                return root;
            }
            advanced.await;
        }
    }
}
