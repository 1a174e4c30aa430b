//! [`WriteFaults`]: what happens to a write right before it is stored. In the request's extensions.

use crate::control::Faults;
use crate::facts::Facts;
use crate::host::Host;
use crate::layer::{Outcome, perform};
use crate::ruleset::Fired;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rehearsal_faults::{Action, Stage};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

type Run = dyn Fn() -> BoxFuture<'static, Option<Outcome>> + Send + Sync;

/// What is to be done between the checks of a write and its commit. A host that commits itself takes it from the
/// extensions of the request and calls [`before_commit`](Self::before_commit) there.
#[derive(Clone)]
pub struct WriteFaults(Arc<Inner>);

struct Inner {
    run: Box<Run>,
    ran: AtomicBool,
    outcome: Mutex<Option<Outcome>>,
    committed: AtomicBool,
}

impl fmt::Debug for WriteFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteFaults").field("committed", &self.0.committed).finish_non_exhaustive()
    }
}

impl WriteFaults {
    pub(crate) fn new<H: Host>(faults: &Faults, host: &H, fired: &[Fired], facts: &Arc<Facts>) -> Self {
        let (faults, host, fired, facts) = (faults.clone(), host.clone(), fired.to_vec(), facts.clone());
        let run = move || {
            let (faults, host, fired, facts) = (faults.clone(), host.clone(), fired.clone(), facts.clone());
            let future: BoxFuture<'static, Option<Outcome>> =
                Box::pin(async move { perform(Stage::BeforeCommit, &faults, &host, &fired, &facts, None).await });
            future
        };
        Self(Arc::new(Inner {
            run: Box::new(run),
            ran: AtomicBool::new(false),
            outcome: Mutex::default(),
            committed: AtomicBool::new(false),
        }))
    }

    /// Only waits before the commit.
    pub(crate) fn delayed(faults: &Faults, fired: &Fired, wait: Duration) -> Self {
        let (faults, set) = (faults.clone(), fired.set.clone());
        let run = move || {
            let (faults, set) = (faults.clone(), set.clone());
            let future: BoxFuture<'static, Option<Outcome>> = Box::pin(async move {
                faults.sleep(wait, &set).await;
                None
            });
            future
        };
        Self(Arc::new(Inner {
            run: Box::new(run),
            ran: AtomicBool::new(false),
            outcome: Mutex::default(),
            committed: AtomicBool::new(false),
        }))
    }

    /// How much later than its answer the write is to be stored.
    pub(crate) fn later(fired: &[Fired]) -> Option<(&Fired, Duration)> {
        fired.iter().flat_map(|fired| fired.firing.actions.iter().map(move |action| (fired, action))).find_map(
            |(fired, action)| match action {
                Action::CommitLater { after } => Some((fired, *after)),
                _ => None,
            },
        )
    }

    /// To be awaited right before the commit; does its work once. `false`: the write is not to be stored, and whatever
    /// answer the handler makes of that is thrown away.
    pub async fn before_commit(&self) -> bool {
        if self.0.ran.swap(true, Ordering::AcqRel) {
            return self.0.outcome.lock().is_none();
        }
        let outcome = (self.0.run)().await;
        let goes_on = outcome.is_none();
        *self.0.outcome.lock() = outcome;
        goes_on
    }

    /// To be called right after the commit.
    pub fn committed(&self) {
        self.0.committed.store(true, Ordering::Release);
    }

    /// Whether the write was stored.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.0.committed.load(Ordering::Acquire)
    }

    /// Whether a rule has kept the write from being stored, and answers in the handler's place.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.0.outcome.lock().is_some()
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.0.outcome.lock().take()
    }
}
