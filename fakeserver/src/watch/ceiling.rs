//! [`Ceiling`]: the newest revision that a view of the storage shows.

use crate::store::Revision;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// A bound on what a lagging view shows. Shared by the view and all watches that began in it.
#[derive(Debug)]
pub struct Ceiling {
    visible: AtomicU64,
    pub(super) moved: Notify,
}

impl Default for Ceiling {
    fn default() -> Self {
        Self { visible: AtomicU64::new(Revision::MAX), moved: Notify::new() }
    }
}

impl Ceiling {
    /// A view that stands still at a revision.
    #[must_use]
    pub fn at(revision: Revision) -> Self {
        Self { visible: AtomicU64::new(revision), moved: Notify::new() }
    }

    /// The newest revision shown; the greatest number when all are.
    #[must_use]
    pub fn visible(&self) -> Revision {
        self.visible.load(Ordering::Acquire)
    }

    /// Shows everything up to a revision from now on.
    pub fn set(&self, revision: Revision) {
        self.visible.store(revision, Ordering::Release);
        self.moved.notify_waiters();
    }

    /// Shows everything from now on.
    pub fn lift(&self) {
        self.set(Revision::MAX);
    }
}
