//! What a hydrated replay came to: what was done again, what was not, and where the client first did something else.

use serde::Serialize;
use std::fmt;

/// A write of the live client that the recording does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// Verb and object.
    pub write: String,
    /// HTTP status of its answer.
    pub status: u16,
    /// The expected write that was most like it, `#id …`; empty for none.
    pub nearest: String,
    /// Where the bodies differ, at most ten places.
    pub differences: Vec<String>,
}

/// The outcome of a hydrated replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HydrateReport {
    /// Recorded writes of the client under test that it made again.
    pub matched: usize,
    /// Recorded writes that it did not make.
    pub missed: Vec<String>,
    /// Writes that it did not make in the recording, in order: the first is where it took another way.
    pub diverged: Vec<Divergence>,
    /// What others had done and was done again.
    pub changes: usize,
    /// What others had done and could not be done again, with the reason.
    pub skipped: Vec<String>,
    /// What others had done later than the replay came.
    pub unreached: usize,
    /// Collections read of which the tape never saw a whole list.
    pub partial: Vec<String>,
}

impl HydrateReport {
    /// Whether the client did what it had done: every recorded write, and no other.
    #[must_use]
    pub fn is_faithful(&self) -> bool {
        self.missed.is_empty() && self.diverged.is_empty()
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.write, self.status)?;
        if !self.nearest.is_empty() {
            write!(f, "\n  nearest on the tape: {}", self.nearest)?;
        }
        self.differences.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl fmt::Display for HydrateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} recorded writes made again, {} others; {} changes by others done again, {} skipped, {} not reached",
            self.matched,
            self.matched + self.missed.len(),
            self.diverged.len(),
            self.changes,
            self.skipped.len(),
            self.unreached
        )?;
        if let Some(first) = self.diverged.first() {
            write!(f, "\nfirst different write: {first}")?;
        }
        for (heading, lines) in
            [("not made", &self.missed), ("skipped", &self.skipped), ("seen in part", &self.partial)]
        {
            for line in lines.iter().take(20) {
                write!(f, "\n{heading}: {line}")?;
            }
            if lines.len() > 20 {
                write!(f, "\n{heading}: and {} more", lines.len() - 20)?;
            }
        }
        Ok(())
    }
}
