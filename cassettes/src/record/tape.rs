//! [`TapeSink`]: the journal beside the tape while recording, the canonical tape in one step at the end.
//!
//! `x.tape.part` is written whenever the recorder flushes and is what a crash leaves; `x.tape.yaml` appears whole when the
//! recording is sealed, in place of an older one. What is secret is taken out before the first byte is written.

use super::facts;
use super::sink::{RecordError, Sink};
use super::sync::Syncer;
use crate::format::model::{Document, Entry, Header, Sealed, Tape};
use crate::format::{JournalWriter, make_canonical, paths};
use std::path::{Path, PathBuf};

/// Takes out what must not be on a tape.
pub trait Clean: Send {
    /// Before the header is written.
    fn header(&mut self, header: &mut Header);
    /// Before a document is written.
    fn document(&mut self, document: &mut Document);
    /// Over the whole, once everything that is secret has been seen.
    fn tape(&mut self, tape: &mut Tape);
}

/// Where a tape is and where it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapePaths {
    /// The tape.
    pub tape: PathBuf,
    /// Its journal.
    pub part: PathBuf,
}

impl TapePaths {
    /// The journal of `x.tape.yaml` is `x.tape.part`, of any other name that name with `.part`.
    #[must_use]
    pub fn of(tape: &Path) -> Self {
        let name = tape.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.strip_suffix(".yaml").unwrap_or(&name);
        Self { tape: tape.to_owned(), part: tape.with_file_name(format!("{stem}.part")) }
    }
}

/// Writes a tape.
pub struct TapeSink {
    paths: TapePaths,
    journal: Option<JournalWriter>,
    clean: Option<Box<dyn Clean>>,
    syncer: Option<Syncer>,
    /// What the tape begins with: an older tape that is added to.
    before: Option<Tape>,
}

impl TapeSink {
    /// Writes to this tape, once the header comes. A journal that an earlier recording left is put aside as
    /// `x.tape.crashed`, a tape that is there stays until the new one is whole.
    #[must_use]
    pub fn new(paths: TapePaths, clean: Option<Box<dyn Clean>>) -> Self {
        Self { paths, journal: None, clean, syncer: None, before: None }
    }

    /// Adds to a tape: its header and entries come first. Ids, order and times of what is added must follow on.
    #[must_use]
    pub fn extending(self, tape: Tape) -> Self {
        Self { before: Some(tape), ..self }
    }

    fn open(&mut self, mut header: Header) -> Result<(), RecordError> {
        if let Some(clean) = &mut self.clean {
            clean.header(&mut header);
        }
        let crashed = paths::crashed(&self.paths.part);
        match std::fs::rename(&self.paths.part, &crashed) {
            Ok(()) => {
                let aside = crashed.display();
                tracing::warn!(target: "cassettes::record", %aside, "put a journal aside that a crash left behind");
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(RecordError::write(format!("{}: {error}", self.paths.part.display()))),
        }
        let before = self.before.take();
        let header = before.as_ref().map_or(&header, |tape| &tape.header);
        let mut journal = JournalWriter::create(&self.paths.part, header).map_err(RecordError::write)?;
        for entry in before.into_iter().flat_map(|tape| tape.entries) {
            let document = match entry {
                Entry::Call(call) => Document::Call(call),
                Entry::Upgrade(upgrade) => Document::Upgrade(upgrade),
                Entry::Mark(mark) => Document::Mark(mark),
            };
            journal.hold(&document).map_err(RecordError::write)?;
        }
        journal.flush().map_err(RecordError::write)?;
        self.syncer = Some(Syncer::start(journal.handle().map_err(RecordError::write)?, &self.paths.part)?);
        self.journal = Some(journal);
        Ok(())
    }
}

impl Sink for TapeSink {
    fn write(&mut self, mut document: Document) -> Result<(), RecordError> {
        if let Document::Header(header) = document {
            return self.open(header);
        }
        if let Some(clean) = &mut self.clean {
            clean.document(&mut document);
        }
        let Some(journal) = &mut self.journal else {
            return Err(RecordError::write("a document came before the header"));
        };
        journal.hold(&document).map_err(RecordError::write)
    }

    fn flush(&mut self) -> Result<(), RecordError> {
        if let Some(journal) = &mut self.journal {
            journal.flush().map_err(RecordError::write)?;
        }
        self.syncer.as_ref().map_or(Ok(()), Syncer::written)
    }

    fn is_prompt(&self) -> bool {
        true
    }

    fn seal(mut self: Box<Self>, sealed: Sealed) -> Result<(), RecordError> {
        if let Some(syncer) = self.syncer.take() {
            syncer.stop()?;
        }
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.append(&Document::Sealed(sealed)).map_err(RecordError::write)?;
        journal.sync().map_err(RecordError::write)?;
        let clean = &mut self.clean;
        let sweep = |tape: &mut Tape| {
            facts::complete(tape);
            if let Some(clean) = clean {
                clean.tape(tape);
            }
        };
        make_canonical(&self.paths.part, &self.paths.tape, sweep).map(drop).map_err(RecordError::write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_lies_beside_the_tape() {
        let part = |tape: &str| TapePaths::of(Path::new(tape)).part.display().to_string();
        assert_eq!(part("/t/x.tape.yaml"), "/t/x.tape.part");
        assert_eq!(part("/t/x.tape"), "/t/x.tape.part");
        assert_eq!(part("x"), "x.part");
    }
}
