//! [`Delivery`]: whether what a body has given out is on its way. A cut must not overtake the bytes before it.

use super::BoxError;
use crate::line::Line;
use rehearsal_faults::Cut;
use tokio_util::sync::CancellationToken;

/// The bytes of one body, as its connection counts them.
///
/// The connection counts what all its streams write. So the body's bytes count from where the connection stood when they
/// were given out: other answers that went before must not be taken for them.
pub(super) struct Delivery {
    line: Option<Line>,
    /// Bytes the connection had written when the body began, and bytes given out since.
    base: u64,
    given: u64,
    /// How many bytes the connection has written, at least, once everything is on its way: at first, the head.
    due: u64,
}

impl Delivery {
    pub(super) fn new(line: Option<Line>) -> Self {
        let base = line.as_ref().map_or(0, Line::written);
        Self { line, base, given: 0, due: base + 1 }
    }

    /// Bytes given out so far.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// Counts bytes that are given out now.
    pub(super) fn give(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.given += bytes;
        let now = self.line.as_ref().map_or(0, Line::written);
        self.due = self.due.max(self.base + self.given).max(now + bytes);
    }

    /// Waits until everything that was given out is on its way, as [`Line::delivered`] does.
    pub(super) async fn done(&self) {
        if let Some(line) = &self.line {
            line.delivered(self.due).await;
        }
    }

    /// Cuts the connection once everything is on its way; without one, the body fails.
    pub(super) async fn cut(&self, how: Cut, held: &CancellationToken) -> BoxError {
        self.done().await;
        if let Some(line) = &self.line {
            line.cut(how, held);
            std::future::pending::<()>().await;
        }
        BoxError::from("cut by a fault")
    }
}
