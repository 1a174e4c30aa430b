//! [`Syncer`]: brings a journal to the disk about once a second, beside the writing, for the day the power goes. A crash of
//! the process needs none of it.

use super::sink::RecordError;
use parking_lot::{Condvar, Mutex};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two syncs, at least.
const PAUSE: Duration = Duration::from_secs(1);

/// A thread that syncs a file. Dropping it lets the thread end by itself.
pub(super) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Something was written since the last sync.
    dirty: bool,
    stop: bool,
    failed: Option<RecordError>,
}

impl Syncer {
    /// Starts the thread. `path` is for messages.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(file: File, path: &Path) -> Result<Self, RecordError> {
        let shared = Arc::new(Shared::default());
        let (working, path) = (shared.clone(), path.to_owned());
        let thread = std::thread::Builder::new()
            .name("tape-sync".into())
            .spawn(move || working.run(&file, &path))
            .map_err(|error| RecordError::write(format!("start a thread: {error}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Something was written.
    ///
    /// # Errors
    /// When an earlier sync failed.
    pub(super) fn written(&self) -> Result<(), RecordError> {
        let mut state = self.shared.state.lock();
        if !std::mem::replace(&mut state.dirty, true) {
            self.shared.changed.notify_one();
        }
        state.failed.clone().map_or(Ok(()), Err)
    }

    /// Ends the thread. What was written last may not be synced.
    ///
    /// # Errors
    /// When a sync failed.
    pub(super) fn stop(mut self) -> Result<(), RecordError> {
        self.shared.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.state.lock().failed.take().map_or(Ok(()), Err)
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Shared {
    fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_one();
    }

    fn run(&self, file: &File, path: &Path) {
        let mut state = self.state.lock();
        loop {
            while !state.dirty && !state.stop {
                self.changed.wait(&mut state);
            }
            if state.stop {
                return;
            }
            state.dirty = false;
            drop(state);
            let synced = file.sync_data();
            state = self.state.lock();
            if let Err(error) = synced
                // Not every file can be synced: pipes and devices cannot.
                && error.kind() != std::io::ErrorKind::InvalidInput
            {
                state.failed = Some(RecordError::write(format!("sync {}: {error}", path.display())));
                return;
            }
            if !state.stop {
                self.changed.wait_while_for(&mut state, |state| !state.stop, PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn what_is_written_is_synced_and_the_thread_ends_when_it_is_told() {
        let mut file = tempfile::tempfile().unwrap();
        let syncer = Syncer::start(file.try_clone().unwrap(), Path::new("x")).unwrap();
        for _ in 0..3 {
            file.write_all(b"x").unwrap();
            syncer.written().unwrap();
        }
        syncer.stop().unwrap();
    }
}
