//! Where documents go: a tape on disk, a list in memory, a comparison. It is given one document at a time.

use crate::format::model::{Document, Sealed};
use parking_lot::Mutex;
use std::sync::Arc;

/// Why nothing more is recorded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordError {
    /// The tape cannot be written; the text names the file and the reason.
    #[error("write the tape: {0}")]
    Write(Arc<str>),
    /// The recorder was sealed.
    #[error("the recording has ended")]
    Ended,
}

impl RecordError {
    /// A failure to write, in words.
    #[must_use]
    pub fn write(error: impl std::fmt::Display) -> Self {
        Self::Write(error.to_string().into())
    }
}

/// Takes the documents of a recording in their order.
pub trait Sink: Send {
    /// Takes a document. May block: clients wait meanwhile, once the queue is full.
    ///
    /// # Errors
    /// When it cannot be kept. Nothing is written after that.
    fn write(&mut self, document: Document) -> Result<(), RecordError>;

    /// Brings what was written to where a crash of this process leaves it. Nothing by default.
    ///
    /// # Errors
    /// When it cannot be kept. Nothing is written after that.
    fn flush(&mut self) -> Result<(), RecordError> {
        Ok(())
    }

    /// Whether a document takes microseconds, so that a task may write it without giving way. A thread does it
    /// otherwise.
    fn is_prompt(&self) -> bool {
        false
    }

    /// Ends the recording well.
    ///
    /// # Errors
    /// When it cannot be finished; what was written stays.
    fn seal(self: Box<Self>, sealed: Sealed) -> Result<(), RecordError>;
}

/// Keeps documents in memory; clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemorySink(Arc<Mutex<Vec<Document>>>);

impl MemorySink {
    /// What has been written so far.
    #[must_use]
    pub fn documents(&self) -> Vec<Document> {
        self.0.lock().clone()
    }
}

impl Sink for MemorySink {
    fn write(&mut self, document: Document) -> Result<(), RecordError> {
        self.0.lock().push(document);
        Ok(())
    }

    fn seal(self: Box<Self>, sealed: Sealed) -> Result<(), RecordError> {
        self.0.lock().push(Document::Sealed(sealed));
        Ok(())
    }
}
