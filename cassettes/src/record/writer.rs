//! [`Writer`]: from events to the documents of a sink. One at a time uses it.

use super::event::Event;
use super::repeats::{Repeats, refer};
use super::sink::{RecordError, Sink};
use super::tally::Tally;
use crate::format::model::{Sealed, Seq};

/// Makes documents of events, counts them and gives them to the sink.
pub(super) struct Writer {
    /// None once it is sealed.
    sink: Option<Box<dyn Sink>>,
    tally: Tally,
    /// Where answers that were given before are to be references.
    repeats: Option<Repeats>,
}

impl Writer {
    pub(super) fn new(sink: Box<dyn Sink>, share: bool) -> Self {
        Self { sink: Some(sink), tally: Tally::default(), repeats: share.then(Repeats::default) }
    }

    /// Gives the document of an event to the sink.
    pub(super) fn write(&mut self, mut event: Event, seq: Seq) -> Result<(), RecordError> {
        let first = self.repeats.as_mut().and_then(|repeats| repeats.take(&mut event));
        let mut document = event.document(seq);
        if let Some(first) = first {
            refer(&mut document, first);
        }
        self.tally.count(&document);
        self.sink.as_mut().ok_or(RecordError::Ended)?.write(document)
    }

    /// Has the sink bring everything into the file.
    pub(super) fn flush(&mut self) -> Result<(), RecordError> {
        self.sink.as_mut().ok_or(RecordError::Ended)?.flush()
    }

    /// Ends the recording and tells its footer.
    pub(super) fn seal(&mut self, open: u64, stalled_ms: u64) -> Result<Sealed, RecordError> {
        let sink = self.sink.take().ok_or(RecordError::Ended)?;
        let sealed = Sealed { open, stalled_ms, ..std::mem::take(&mut self.tally).sealed() };
        sink.seal(sealed.clone()).map(|()| sealed)
    }
}
