//! [`Cursor`]: a position in the log of one collection, with a wake-up.

use super::Ceiling;
use crate::store::{Collection, Event, Published, Revision};
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::Notify;

/// Most events in a [`Batch`].
const BATCH: usize = 256;

/// Events in order, newer than all the cursor gave out before. Never empty.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The events.
    pub events: Vec<Arc<Event>>,
    /// All events up to this revision have been given out.
    pub progress: Revision,
}

impl Deref for Batch {
    type Target = [Arc<Event>];

    fn deref(&self) -> &Self::Target {
        &self.events
    }
}

impl IntoIterator for Batch {
    type Item = Arc<Event>;
    type IntoIter = std::vec::IntoIter<Arc<Event>>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.into_iter()
    }
}

/// Why a cursor gives no more events. Clients see their stream end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// It was too slow: events it had not read left the history.
    #[error("watch fell behind the retained history")]
    Lagged,
    /// The storage was closed, or restored to another state.
    #[error("storage was closed or restored")]
    Closed,
}

/// A position in the log of a collection.
pub struct Cursor {
    published: Arc<Published>,
    signal: Arc<Notify>,
    collection: Collection,
    position: Revision,
    epoch: u64,
    ceiling: Option<Arc<Ceiling>>,
}

impl Cursor {
    pub(crate) fn new(published: Arc<Published>, collection: Collection, position: Revision, epoch: u64) -> Self {
        let signal = published.signal(&collection);
        Self { published, signal, collection, position, epoch, ceiling: None }
    }

    /// Shows nothing newer than a ceiling, for as long as that stands.
    pub(crate) fn below(self, ceiling: Arc<Ceiling>) -> Self {
        Self { ceiling: Some(ceiling), ..self }
    }

    /// The newest revision that may be shown.
    fn top(&self) -> Revision {
        self.ceiling.as_ref().map_or(Revision::MAX, |ceiling| ceiling.visible())
    }

    /// The collection watched.
    #[must_use]
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// Waits for events. Cancel-safe: what was not returned is returned by the next call.
    ///
    /// # Errors
    /// [`CursorError`] when the stream has to end.
    pub async fn next(&mut self) -> Result<Batch, CursorError> {
        let signal = self.signal.clone();
        if let Some(ceiling) = self.ceiling.clone() {
            return self.next_below(&signal, &ceiling).await;
        }
        loop {
            // Registered before the look at the log, so that no write falls in between.
            let mut notified = std::pin::pin!(signal.notified());
            notified.as_mut().enable();
            if let Some(batch) = self.try_next_batch()? {
                return Ok(batch);
            }
            notified.await;
        }
    }

    async fn next_below(&mut self, signal: &Notify, ceiling: &Ceiling) -> Result<Batch, CursorError> {
        loop {
            let mut notified = std::pin::pin!(signal.notified());
            notified.as_mut().enable();
            let mut moved = std::pin::pin!(ceiling.moved.notified());
            moved.as_mut().enable();
            if let Some(batch) = self.try_next_batch()? {
                return Ok(batch);
            }
            tokio::select! {
                () = notified => {}
                () = moved => {}
            }
        }
    }

    /// The events there are now, up to 256; `None` when there are none.
    ///
    /// # Errors
    /// [`CursorError`] when the stream has to end.
    pub fn try_next_batch(&mut self) -> Result<Option<Batch>, CursorError> {
        let root = self.published.load();
        if root.epoch() != self.epoch {
            return Err(CursorError::Closed);
        }
        if root.lost_after(self.collection.as_str(), self.position) {
            return Err(CursorError::Lagged);
        }
        let top = self.top();
        let visible = |event: &&Arc<Event>| event.revision <= top;
        let mut waiting = root.events_after(self.collection.as_str(), self.position).take_while(visible).cloned();
        let events: Vec<_> = waiting.by_ref().take(BATCH).collect();
        let Some(last) = events.last() else {
            drop(waiting);
            self.position = self.position.max(root.revision().min(top));
            return Ok(None);
        };
        let progress = if waiting.next().is_some() { last.revision } else { root.revision().min(top) };
        drop(waiting);
        self.position = progress;
        Ok(Some(Batch { events, progress }))
    }

    /// All events up to this revision have been given out or skipped.
    #[must_use]
    pub fn position(&self) -> Revision {
        self.position
    }

    /// The newest revision of the storage with which the cursor has caught up, for bookmarks: there is no event between
    /// [`position`](Self::position) and here.
    #[must_use]
    pub fn progress(&self) -> Revision {
        let root = self.published.load();
        let ended = root.epoch() != self.epoch || root.lost_after(self.collection.as_str(), self.position);
        if ended || root.events_after(self.collection.as_str(), self.position).next().is_some() {
            return self.position;
        }
        self.position.max(root.revision().min(self.top()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::put;
    use crate::store::{Expect, MemoryStorage, Storage};
    use futures::FutureExt;

    fn write(store: &MemoryStorage, collection: &str, n: u64) -> Revision {
        store.commit(vec![put(collection, "a/x", n, Expect::Any)]).unwrap().revision
    }

    #[tokio::test]
    async fn a_write_wakes_the_watches_of_its_collection() {
        let store = MemoryStorage::new();
        let mut cursor = store.watch(&"pods".into(), 1).unwrap();
        let mut waiting = Box::pin(cursor.next());
        assert!(waiting.as_mut().now_or_never().is_none());
        write(&store, "secrets", 1);
        assert!(waiting.as_mut().now_or_never().is_none());
        write(&store, "pods", 2);
        let batch = waiting.await.unwrap();
        assert_eq!((batch.len(), batch[0].revision, batch.progress), (1, 3, 3));
    }

    #[tokio::test]
    async fn a_cancelled_wait_loses_nothing() {
        let store = MemoryStorage::new();
        let mut cursor = store.watch(&"pods".into(), 1).unwrap();
        assert!(cursor.next().now_or_never().is_none());
        write(&store, "pods", 1);
        assert_eq!(cursor.next().await.unwrap().len(), 1);
    }

    #[test]
    fn batches_are_bounded_and_progress_waits_for_the_rest() {
        let store = MemoryStorage::new();
        for n in 0..300 {
            write(&store, "pods", n);
        }
        write(&store, "secrets", 0);
        let mut cursor = store.watch(&"pods".into(), 1).unwrap();
        assert_eq!(cursor.progress(), 1);
        let first = cursor.try_next_batch().unwrap().unwrap();
        assert_eq!((first.len(), first.progress, cursor.progress()), (256, 257, 257));
        let second = cursor.try_next_batch().unwrap().unwrap();
        assert_eq!((second.len(), second.progress, cursor.position()), (44, 302, 302));
        assert!(cursor.try_next_batch().unwrap().is_none());
    }

    #[test]
    fn progress_follows_the_writes_to_other_collections() {
        let store = MemoryStorage::new();
        let cursor = store.watch(&"pods".into(), 1).unwrap();
        write(&store, "secrets", 1);
        assert_eq!((cursor.position(), cursor.progress()), (1, 2));
    }

    #[test]
    fn a_watch_from_the_future_skips_what_happens_before() {
        let store = MemoryStorage::new();
        let mut cursor = store.watch(&"pods".into(), 3).unwrap();
        for n in 0..2 {
            write(&store, "pods", n);
        }
        assert!(cursor.try_next_batch().unwrap().is_none());
        assert_eq!(cursor.progress(), 3);
        write(&store, "pods", 3);
        assert_eq!(cursor.try_next_batch().unwrap().unwrap()[0].revision, 4);
    }

    #[tokio::test]
    async fn dropping_the_storage_ends_the_watches() {
        let store = MemoryStorage::new();
        let mut cursor = store.watch(&"pods".into(), 1).unwrap();
        let mut waiting = Box::pin(cursor.next());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(store);
        assert_eq!(waiting.await.err(), Some(CursorError::Closed));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_up_is_lost_among_many_watches() {
        const WRITES: u64 = 300;
        let store = Arc::new(MemoryStorage::new());
        let watchers: Vec<_> = (0..100)
            .map(|_| {
                let mut cursor = store.watch(&"pods".into(), 1).unwrap();
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    while seen.last() != Some(&(WRITES + 1)) {
                        seen.extend(cursor.next().await.unwrap().iter().map(|event| event.revision));
                    }
                    seen
                })
            })
            .collect();
        let writer = tokio::task::spawn_blocking(move || {
            for n in 0..WRITES {
                write(&store, "pods", n);
            }
            store
        });
        for watcher in watchers {
            assert_eq!(watcher.await.unwrap(), (2..=WRITES + 1).collect::<Vec<_>>());
        }
        drop(writer.await.unwrap());
    }
}
