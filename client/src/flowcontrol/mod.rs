//! How fast a client may ask: the limiter trait, the token bucket and its waiting half.
//!
//! Counterpart: client-go `util/flowcontrol`. The bucket is pure and takes time as an argument; only `layer.rs` waits.

mod layer;
mod token_bucket;

pub use layer::{Throttle, Unlimited};
pub use token_bucket::{Reservation, TokenBucket};

use crate::BoxFuture;
use crate::error::ThrottleError;
use std::time::Duration;
use tokio::time::Instant;

/// Requests a second. Default 5 (client-go `rest/config.go`); negative means no limit, zero means the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Qps(pub f32);

/// Requests that may go at once after a quiet time. Default 10 (client-go `rest/config.go`); zero means the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Burst(pub u32);

/// client-go `rest.DefaultQPS`.
pub const DEFAULT_QPS: Qps = Qps(5.0);
/// client-go `rest.DefaultBurst`.
pub const DEFAULT_BURST: Burst = Burst(10);

/// Decides when a request may go.
pub trait RateLimiter: Send + Sync {
    /// Waits for leave to send, and says how long that took. Dropping the future gives the place back.
    ///
    /// # Errors
    /// When the wait would pass `deadline`; at once, without waiting.
    fn wait(&self, deadline: Option<Instant>) -> BoxFuture<'_, Result<Duration, ThrottleError>>;

    /// Takes a token if one is there.
    fn try_accept(&self) -> bool;

    /// Requests a second, 0 when unlimited.
    fn qps(&self) -> Qps;

    /// Requests that wait right now.
    fn queued(&self) -> usize {
        0
    }
}
