//! What a server offers: groups, versions, resources; and the mapping between kinds and resources.
//!
//! Counterparts: client-go `discovery`, `discovery/cached`, `restmapper`. `aggregated.rs` and `legacy.rs` read the two
//! flavours of answers, `cached.rs` remembers, `mapper.rs` answers questions.

mod aggregated;
mod cached;
mod client;
mod error;
mod legacy;
mod mapper;
mod model;

pub(crate) use cached::write_bytes;
pub use cached::{DiskCache, MemoryCache};
pub use client::DiscoveryClient;
pub use error::{GroupDiscoveryFailed, MappingError};
pub use mapper::{DeferredRestMapper, RestMapper, RestMapping};
pub use model::{ApiGroup, ApiResource, ApiResourceList, Discovered};

use crate::BoxFuture;
use crate::error::Error;

/// Something that knows what a server offers: the server itself, or a cache of it.
pub trait Discovery: Send + Sync {
    /// Groups and resources; failures of single versions are part of the result.
    ///
    /// # Errors
    /// When nothing could be learned.
    fn discover(&self) -> BoxFuture<'_, Result<Discovered, Error>>;

    /// Whether everything that is remembered was learned since the last invalidation.
    fn is_fresh(&self) -> bool {
        true
    }

    /// Forgets what is remembered.
    fn invalidate(&self) {}
}
