//! [`Limits`]: how much is recorded before a recording ends by itself. Traffic goes on then, and the tape is whole.

/// Ends of a recording. The default: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of what passed: bodies as they were decoded, and half a kilobyte for each event. A tape takes about as much,
    /// less where bodies repeat or are compressed beside it.
    pub bytes: Option<u64>,
    /// Watch events and other frames.
    pub frames: Option<u64>,
}

/// What was recorded so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recorded {
    pub(super) bytes: u64,
    pub(super) frames: u64,
}

impl Limits {
    /// Which limit has been reached, in words.
    pub(super) fn reached(self, so_far: Recorded) -> Option<String> {
        let over = |limit: Option<u64>, value: u64| limit.filter(|limit| value >= *limit);
        if let Some(limit) = over(self.bytes, so_far.bytes) {
            return Some(format!("{limit} bytes were recorded"));
        }
        over(self.frames, so_far.frames).map(|limit| format!("{limit} frames were recorded"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_limit_that_is_reached_is_named() {
        let limits = Limits { bytes: Some(100), frames: Some(2) };
        assert_eq!(limits.reached(Recorded { bytes: 99, frames: 1 }), None);
        assert_eq!(limits.reached(Recorded { bytes: 100, frames: 9 }).unwrap(), "100 bytes were recorded");
        assert_eq!(limits.reached(Recorded { bytes: 1, frames: 2 }).unwrap(), "2 frames were recorded");
        assert_eq!(Limits::default().reached(Recorded { bytes: u64::MAX, frames: u64::MAX }), None);
    }
}
