//! Where the times of a tape come from.

use crate::format::model;
use jiff::Timestamp;
use std::time::Instant;

/// Counts microseconds from the start of a tape.
pub trait TapeClock: Send + Sync {
    /// Microseconds since the tape began; never runs backwards.
    fn micros(&self) -> model::Micros;

    /// What the header says of the clock.
    fn facts(&self) -> model::Clock;
}

/// The machine's monotonic clock.
#[derive(Clone, Debug)]
pub struct SystemClock {
    zero: Instant,
    start: Timestamp,
}

impl SystemClock {
    /// A clock that begins now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is where the machine's time comes in")]
    pub fn start() -> Self {
        Self { zero: Instant::now(), start: Timestamp::now() }
    }
}

impl TapeClock for SystemClock {
    fn micros(&self) -> model::Micros {
        u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn facts(&self) -> model::Clock {
        model::Clock {
            start: self.start.to_string(),
            source: "monotonic".into(),
            resolution: 1,
            ..model::Clock::default()
        }
    }
}
