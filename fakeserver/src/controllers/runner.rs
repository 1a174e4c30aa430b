//! The loop that all controllers share: changes of the store become work, work is done one item after the other, what
//! failed is tried again later.
//!
//! One task for all controllers, so that their actions have one order: by round, controller and key. Before every item
//! the loop reads what was written since, hence a controller's picture of the store is never older than its last action.
//! Counterpart: informers and work queues of client-go.

use crate::catalog::ResourceTable;
use crate::registry::Registry;
use crate::store::{AtError, Collection, EventKind, Revision, Snapshot, Storage, StoredObject};
use crate::watch::Event;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use rehearsal_apimachinery::status::Status;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// First delay after a failure (client-go `DefaultControllerRateLimiter`); doubles with every further one.
const FIRST_DELAY: Duration = Duration::from_millis(5);
/// Longest delay after a failure.
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// How often an item that waits for its kind is tried before it waits for a change of the kinds.
const UNKNOWN_TRIES: u32 = 8;
/// Longest time without a look at the store. There is nothing to see then: timers have no "never".
const FOREVER: Duration = Duration::from_secs(24 * 3600);
/// The collection whose changes bring kinds and take them away.
const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Something to look after: an object, by where it is stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    /// The collection.
    pub(super) collection: Collection,
    /// The key in the collection.
    pub(super) key: String,
}

impl Item {
    pub(super) fn new(collection: &Collection, key: &str) -> Self {
        Self { collection: collection.clone(), key: key.to_owned() }
    }
}

/// A write that has happened.
pub(super) struct Change<'a> {
    pub(super) collection: &'a Collection,
    pub(super) key: &'a str,
    /// The object before; `None` also where that is not known.
    pub(super) before: Option<&'a StoredObject>,
    /// The object now; `None` when it was removed.
    pub(super) after: Option<&'a StoredObject>,
}

impl Change<'_> {
    pub(super) fn item(&self) -> Item {
        Item::new(self.collection, self.key)
    }
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All is as it should be, as far as this controller can do something about it.
    Done,
    /// There will be something to do at this time.
    At(Timestamp),
    /// Nothing can be said before the kinds that are served change.
    UnknownKind,
}

/// A controller: turns changes into items, and items into writes.
pub(super) trait Controller: Send {
    /// Whether changes of a collection matter.
    fn watches(&self, collection: &str) -> bool;

    /// All that was known of a collection is void; its objects follow as changes.
    fn forget(&mut self, collection: &Collection, work: &mut Vec<Item>) {
        let _ = (collection, work);
    }

    /// Takes note of a change.
    fn observe(&mut self, change: &Change<'_>, work: &mut Vec<Item>);

    /// Makes things as they should be. `work` is for what else has to be looked at in turn.
    fn reconcile<'a>(&'a mut self, item: &'a Item, work: &'a mut Vec<Item>) -> BoxFuture<'a, Result<Outcome, Status>>;
}

/// An item of one of the controllers, by the controller's index.
type Task = (usize, Item);

pub(super) struct Runner {
    registry: Registry,
    controllers: Vec<Box<dyn Controller>>,
    /// All changes up to here have been observed; `None` before the first look.
    seen: Option<Revision>,
    table: Arc<ResourceTable>,
    round: BTreeSet<Task>,
    next_round: BTreeSet<Task>,
    failures: BTreeMap<Task, u32>,
    delayed: FuturesUnordered<BoxFuture<'static, Task>>,
    /// Until when those among `delayed` wait that wait for a time of the cluster's clock.
    due: BTreeMap<Task, Timestamp>,
    /// Waiting for a change of the kinds.
    parked: BTreeSet<Task>,
    /// Who wants to know when there is nothing to do.
    asked: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
}

impl Runner {
    pub(super) fn new(
        registry: Registry,
        controllers: Vec<Box<dyn Controller>>,
        asked: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    ) -> Self {
        Self {
            table: registry.table(),
            registry,
            controllers,
            seen: None,
            round: BTreeSet::new(),
            next_round: BTreeSet::new(),
            failures: BTreeMap::new(),
            delayed: FuturesUnordered::new(),
            due: BTreeMap::new(),
            parked: BTreeSet::new(),
            asked,
        }
    }

    /// Runs for good; dropping the future ends it between two writes.
    pub(super) async fn run(mut self) {
        loop {
            self.absorb();
            match self.pop() {
                Some(task) => {
                    self.work(task).await;
                    tokio::task::yield_now().await;
                }
                None => self.sleep().await,
            }
        }
    }

    fn storage(&self) -> Arc<dyn Storage> {
        self.registry.storage().clone()
    }

    /// Observes what was written since the last time.
    fn absorb(&mut self) {
        let table = self.registry.table();
        if !Arc::ptr_eq(&self.table, &table) {
            self.table = table;
            self.next_round.append(&mut self.parked);
        }
        let snapshot = self.storage().snapshot();
        let seen = self.seen.replace(snapshot.revision());
        if seen == Some(snapshot.revision()) {
            return;
        }
        let changed =
            |collection: &&Collection| seen.is_none_or(|seen| snapshot.collection_revision(collection.as_str()) > seen);
        for collection in snapshot.collections().filter(changed) {
            if collection.as_str() == CRDS {
                self.reconsider_kinds();
            }
            if self.controllers.iter().any(|controller| controller.watches(collection.as_str())) {
                self.absorb_collection(collection, seen, &snapshot);
            }
        }
    }

    /// A CRD has changed, and what is served changes about now: as far as that takes a moment, tries bridge it.
    fn reconsider_kinds(&mut self) {
        for task in std::mem::take(&mut self.parked) {
            self.failures.remove(&task);
            self.next_round.insert(task);
        }
    }

    fn absorb_collection(&mut self, collection: &Collection, seen: Option<Revision>, snapshot: &Snapshot) {
        let events = seen.map(|seen| self.events(collection, seen, snapshot.revision()));
        match events {
            Some(Ok(events)) => events.iter().for_each(|event| {
                let after = (event.kind == EventKind::Put).then_some(&*event.object);
                self.observe(&Change { collection, key: &event.key, before: event.prev.as_deref(), after });
            }),
            None | Some(Err(_)) => {
                self.forget(collection);
                for (key, object) in snapshot.range(collection, "", "") {
                    self.observe(&Change { collection, key, before: None, after: Some(object) });
                }
            }
        }
    }

    /// The events after one revision up to another.
    fn events(&self, collection: &Collection, from: Revision, to: Revision) -> Result<Vec<Arc<Event>>, AtError> {
        let storage = self.storage();
        let mut cursor = storage.watch(collection, from)?;
        let mut events = Vec::new();
        // A cursor that ends has lost its history between these lines.
        let lost = |_| AtError::Compacted { oldest: to };
        while let Some(batch) = cursor.try_next_batch().map_err(lost)? {
            let progress = batch.progress;
            events.extend(batch.into_iter().filter(|event| event.revision <= to));
            if progress >= to {
                break;
            }
        }
        Ok(events)
    }

    fn forget(&mut self, collection: &Collection) {
        self.each(collection, |controller, work| controller.forget(collection, work));
    }

    fn observe(&mut self, change: &Change<'_>) {
        self.each(change.collection, |controller, work| controller.observe(change, work));
    }

    fn each(&mut self, collection: &Collection, tell: impl Fn(&mut dyn Controller, &mut Vec<Item>)) {
        let mut work = Vec::new();
        for (index, controller) in self.controllers.iter_mut().enumerate() {
            if controller.watches(collection.as_str()) {
                tell(&mut **controller, &mut work);
                self.next_round.extend(work.drain(..).map(|item| (index, item)));
            }
        }
    }

    fn pop(&mut self) -> Option<Task> {
        if self.round.is_empty() {
            std::mem::swap(&mut self.round, &mut self.next_round);
        }
        self.round.pop_first()
    }

    async fn work(&mut self, task: Task) {
        let mut more = Vec::new();
        let Some(controller) = self.controllers.get_mut(task.0) else { return };
        let outcome = controller.reconcile(&task.1, &mut more).await;
        self.next_round.extend(more.into_iter().map(|item| (task.0, item)));
        match outcome {
            Ok(Outcome::Done) => {
                self.failures.remove(&task);
            }
            Ok(Outcome::At(time)) => {
                self.failures.remove(&task);
                self.wait_until(time, task);
            }
            Ok(Outcome::UnknownKind) if self.failures.get(&task).is_some_and(|tries| *tries >= UNKNOWN_TRIES) => {
                self.failures.remove(&task);
                self.parked.insert(task);
            }
            Ok(Outcome::UnknownKind) => self.retry(task),
            Err(status) => {
                tracing::debug!(collection = %task.1.collection, key = %task.1.key, %status, "controller");
                self.retry(task);
            }
        }
    }

    fn wait_until(&mut self, time: Timestamp, task: Task) {
        if self.due.insert(task.clone(), time) == Some(time) {
            return;
        }
        let clock = self.registry.clock().clone();
        self.delayed.push(Box::pin(async move {
            clock.reached(time).await;
            task
        }));
    }

    fn retry(&mut self, task: Task) {
        let failures = self.failures.entry(task.clone()).or_default();
        let delay = FIRST_DELAY.saturating_mul(1 << (*failures).min(20)).min(LONGEST_DELAY);
        *failures += 1;
        self.delayed.push(Box::pin(async move {
            tokio::time::sleep(delay).await;
            task
        }));
    }

    /// Waits for the next write, or for the time to try something again.
    async fn sleep(&mut self) {
        let next = self.seen.unwrap_or_default() + 1;
        let storage = self.storage();
        tokio::select! {
            // In this order: an answer means that there is neither a write nor a time to act on.
            biased;
            Some(task) = self.delayed.next() => {
                self.due.remove(&task);
                self.next_round.insert(task);
            }
            _ = storage.wait_for(next, FOREVER) => {}
            Some(answer) = self.asked.recv() => drop(answer.send(())),
        }
    }
}
