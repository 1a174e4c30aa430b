//! The canonical form as text: header, entries by `seq`, seal. Reading and writing it again changes nothing.

use super::delta;
use super::error::TapeError;
use super::fold;
use super::journal;
use super::migrate;
use super::model::*;
use super::read;
use super::revisions;
use super::write;
use sha2::{Digest as _, Sha256};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the seal of a text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// There is none: a recorder died, or somebody took it off.
    None,
    /// The text is as it was sealed.
    Intact,
    /// The text was changed after it was sealed.
    Edited,
}

/// A tape with what reading it told.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The tape, folded.
    pub tape: Tape,
    /// Whether the file is a journal.
    pub journal: bool,
    /// Bytes of a journal that hold no whole document.
    pub lost_bytes: usize,
    /// What the seal says.
    pub seal: Seal,
}

/// The canonical text of a tape. The seal is written as it is: see [`seal`].
#[must_use]
pub fn to_text(tape: &Tape) -> String {
    let mut text = unsealed(tape);
    if let Some(sealed) = &tape.sealed {
        text.push_str(&write::document(&Document::Sealed(sealed.clone())));
    }
    text
}

fn unsealed(tape: &Tape) -> String {
    let mut text = write::header(&tape.header);
    let mut entries: Vec<_> = tape.entries.iter().collect();
    entries.sort_by_key(|entry| entry.seq());
    let deltas = tape.header.format.requires.iter().any(|feature| feature == delta::FEATURE);
    for entry in entries {
        let small = match entry {
            Entry::Call(call) if deltas => delta::compressed(call).map(Entry::Call),
            _ => None,
        };
        text.push_str(&write::entry(small.as_ref().unwrap_or(entry)));
    }
    text
}

/// Seals a tape: counts it and signs its canonical text. Numbers of drops and stalls are kept from an earlier seal.
pub fn seal(tape: &mut Tape) {
    let old = tape.sealed.take().unwrap_or_default();
    tape.header.format.major = migrate::CURRENT.0;
    let open = |call: &&Call| matches!(call.end, End::RecorderStop | End::RecorderCrash);
    tape.sealed = Some(Sealed {
        calls: tape.calls().count() as u64,
        frames: tape.calls().map(|call| call.frames.len() as u64).sum(),
        revisions: revisions::of(tape),
        open: tape.calls().filter(open).count() as u64,
        sha256: sha256(unsealed(tape).as_bytes()),
        ..old
    });
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the canonical text of a tape.
///
/// # Errors
/// Text that is not a tape, with document and line.
pub fn from_text(text: &str) -> Result<Tape, TapeError> {
    let mut tape = Tape::default();
    for document in read::documents(text)? {
        match document {
            Document::Header(header) => tape.header = header,
            Document::Call(call) => tape.entries.push(Entry::Call(call)),
            Document::Upgrade(upgrade) => tape.entries.push(Entry::Upgrade(upgrade)),
            Document::Mark(mark) => tape.entries.push(Entry::Mark(mark)),
            Document::Sealed(sealed) => tape.sealed = Some(sealed),
            // A journal whose trailers somebody stripped.
            Document::Req(_) | Document::Head(_) | Document::Frame(_) | Document::End(_) => {
                return Ok(fold::fold(read::documents(text)?));
            }
        }
    }
    tape.entries.sort_by_key(Entry::seq);
    Ok(tape)
}

/// Reads a tape from bytes: canonical, symbolised or journal.
///
/// # Errors
/// Text that is not a tape, with document and line. A damaged journal is no error.
pub fn load_bytes(bytes: &[u8]) -> Result<Loaded, TapeError> {
    if journal::is_journal(bytes) {
        let recovered = journal::recover(bytes)?;
        let lost_bytes = recovered.lost_bytes();
        return Ok(Loaded { tape: fold::fold(recovered.documents), journal: true, lost_bytes, seal: Seal::None });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = memchr::memchr_iter(b'\n', &bytes[..error.valid_up_to()]).count() + 1;
        TapeError::invalid(0, line, "not UTF-8")
    })?;
    let tape = from_text(text)?;
    let seal = check(text, &tape);
    Ok(Loaded { tape, journal: false, lost_bytes: 0, seal })
}

/// Reads a tape from a file: canonical, symbolised or journal.
///
/// # Errors
/// As [`load_bytes`], and a file that cannot be read.
pub fn load(path: &Path) -> Result<Loaded, TapeError> {
    let bytes = std::fs::read(path).map_err(|error| TapeError::io("read", path, &error))?;
    load_bytes(&bytes).map_err(|error| error.in_file(path))
}

/// Holds a text against its seal: the hash covers all before the last document.
fn check(text: &str, tape: &Tape) -> Seal {
    let Some(sealed) = &tape.sealed else { return Seal::None };
    let Some(end) = text.rfind("\n---\nkind: Sealed\n") else { return Seal::Edited };
    if sha256(&text.as_bytes()[..=end]) == sealed.sha256 { Seal::Intact } else { Seal::Edited }
}

/// Writes a file so that whoever reads it sees the old content or the new, never half of one: a temporary file beside
/// it, synced and renamed.
///
/// # Errors
/// What the operating system said; the old file is as it was.
pub fn write_atomically(path: &Path, text: &[u8]) -> Result<(), TapeError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (process, ordinal) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let temporary = path.with_file_name(format!(".{name}.{process}-{ordinal}.tmp"));
    let write = || {
        let mut file = std::fs::File::create(&temporary)?;
        // Who may read the old file may read the new one, and nobody else.
        if let Ok(old) = std::fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text)?;
        file.sync_data()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        TapeError::io("write", path, &error)
    })
}

/// Writes a tape to a file, atomically.
///
/// # Errors
/// As [`write_atomically`].
pub fn save(tape: &Tape, path: &Path) -> Result<(), TapeError> {
    write_atomically(path, to_text(tape).as_bytes())
}
