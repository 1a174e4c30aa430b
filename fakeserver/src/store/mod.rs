//! MVCC storage: objects as encoded bytes in persistent ordered maps, one revision counter, one bounded history.
//!
//! A state of the whole cluster is an immutable value behind one pointer, so consistent reads, time travel, snapshots
//! and forks are the same mechanism. What an object means is decided above (registry); who hears of a change, in
//! `watch`. Counterpart: etcd together with apiserver `storage/etcd3` and `storage/cacher`.

mod collection;
mod continue_token;
mod json_check;
mod log;
mod memory;
mod object;
mod published;
mod root;
mod snapshot;
mod storage;
#[cfg(test)]
pub(crate) mod tests;

pub use collection::{Collection, object_key, split_key};
pub use continue_token::{ContinueToken, ContinueTokenError};
pub use log::{Event, EventKey, EventKind, Limits};
pub use memory::MemoryStorage;
pub use object::{Draft, Header, StoredObject};
pub use snapshot::{Range, Snapshot};
pub use storage::{AtError, Committed, Expect, Op, Storage, TxnError};

pub(crate) use published::Published;

/// A point in the history of a storage; every write has one of its own. The resourceVersion, as a number.
pub type Revision = u64;

const _: () = {
    const fn shared_between_threads<T: Send + Sync + ?Sized>() {}
    shared_between_threads::<dyn Storage>();
    shared_between_threads::<MemoryStorage>();
    shared_between_threads::<Snapshot>();
    shared_between_threads::<crate::watch::Cursor>();
};
