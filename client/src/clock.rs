//! The crate's only readings of time, all through tokio's clock, so that a paused test clock rules them.

use tokio::time::Instant;

/// The monotonic present.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The calendar present, for expiry dates that others wrote.
pub(crate) fn wall() -> jiff::Timestamp {
    #[allow(clippy::disallowed_methods, reason = "the one place where real time enters")]
    jiff::Timestamp::now()
}
