//! Watches: the stream of one request, the one that survives interruptions.
//!
//! Counterparts: client-go `rest/watch`, apimachinery `watch.StreamWatcher`, client-go `tools/watch.RetryWatcher`.

mod decoder;
mod retry_watcher;
mod stream;

pub use rehearsal_apimachinery::{WatchEvent, WatchEventType};
pub use retry_watcher::{RetryWatcher, StartWatch, WATCH_BACKOFF};
pub use stream::WatchStream;
