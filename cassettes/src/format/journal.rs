//! The journal: documents appended, one or several by a write(2), every one followed by a comment with its checksum and
//! length, so that whatever a crash leaves behind is told from what it broke.
//!
//! A document is whole when its trailer is there and fits. Text of documents is indented, so a trailer at the beginning
//! of a line is never content, and reading can go on after any damage.

use super::error::{Place, TapeError};
use super::migrate;
use super::model::{Document, Header, Seq};
use super::read::{self, Piece};
use super::side::{self, SideFiles};
use super::write;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

const TRAILER: &str = "# crc ";
/// Text that is held back for one write(2).
const HELD: usize = 256 << 10;

/// The text of a document in a journal: with its trailer.
#[must_use]
pub fn framed(document: &Document) -> String {
    let mut text = write::document(document);
    let trailer = format!("{TRAILER}{:08x} {}\n", crc32c::crc32c(text.as_bytes()), text.len());
    text.push_str(&trailer);
    text
}

/// Appends documents to a file, and their large bodies to side files before. No task, no clock.
///
/// After the first error every call tells it again: the file holds all that was appended before.
#[derive(Debug)]
pub struct JournalWriter {
    path: PathBuf,
    file: File,
    sides: SideFiles,
    /// Text that is not in the file yet.
    held: String,
    /// Documents and last place of that text.
    holding: (u64, Seq),
    /// Bytes of whole documents in the file.
    length: u64,
    documents: u64,
    last: Seq,
    /// Written, but not yet synced.
    dirty: bool,
    failed: Option<TapeError>,
}

impl JournalWriter {
    /// Makes a journal and writes its header.
    ///
    /// # Errors
    /// A file that is there already or cannot be made or written.
    pub fn create(path: &Path, header: &Header) -> Result<Self, TapeError> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let mut writer = Self::over(file.map_err(|error| TapeError::io("create", path, &error))?, path);
        writer.append(&Document::Header(header.clone()))?;
        Ok(writer)
    }

    /// Appends to an open, empty file.
    #[must_use]
    pub fn over(file: File, path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file,
            sides: SideFiles::private(path),
            held: String::new(),
            holding: (0, 0),
            length: 0,
            documents: 0,
            last: 0,
            dirty: false,
            failed: None,
        }
    }

    /// Appends one document. Bodies of 32 KiB and more go into side files, which are there before the document is.
    ///
    /// # Errors
    /// What the operating system said, with what is safe in the file.
    pub fn append(&mut self, document: &Document) -> Result<(), TapeError> {
        self.hold(document)?;
        self.flush()
    }

    /// As [`append`](Self::append), but the document need not be in the file before the next [`flush`](Self::flush).
    ///
    /// # Errors
    /// What the operating system said, with what is safe in the file.
    pub fn hold(&mut self, document: &Document) -> Result<(), TapeError> {
        self.healthy()?;
        let large = document.bodies().any(side::is_large);
        let text = if large { self.beside(document.clone())? } else { framed(document) };
        self.held.push_str(&text);
        self.holding = (self.holding.0 + 1, self.holding.1.max(document.seq()));
        if self.held.len() >= HELD { self.flush() } else { Ok(()) }
    }

    /// Writes what is held back into the file, where a crash of this process leaves it.
    ///
    /// # Errors
    /// What the operating system said, with what is safe in the file.
    pub fn flush(&mut self) -> Result<(), TapeError> {
        self.healthy()?;
        if self.held.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(self.held.as_bytes()) {
            // Half a document would be skipped by every reader, but a clean end reads better. It may well fail too.
            let _ = self.file.set_len(self.length);
            return Err(self.fail(TapeError::io("write", &self.path, &error)));
        }
        self.length += self.held.len() as u64;
        self.held.clear();
        let (documents, last) = std::mem::take(&mut self.holding);
        self.documents += documents;
        self.last = self.last.max(last);
        self.dirty = true;
        Ok(())
    }

    /// The same file, for [`sync_data`](File::sync_data) beside the writing.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn handle(&self) -> Result<File, TapeError> {
        self.file.try_clone().map_err(|error| TapeError::io("open", &self.path, &error))
    }

    /// The text of a document whose large bodies were put beside the journal.
    fn beside(&mut self, mut document: Document) -> Result<String, TapeError> {
        let mut outcome = Ok(());
        document.for_each_body(&mut |body| {
            if outcome.is_ok() {
                outcome = self.sides.store(body);
            }
        });
        outcome.map_err(|error| self.fail(error))?;
        Ok(framed(&document))
    }

    /// Makes what was appended survive a loss of power. Does nothing when nothing is new.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn sync(&mut self) -> Result<(), TapeError> {
        self.flush()?;
        if self.dirty {
            self.dirty = false;
            if let Err(error) = self.file.sync_data() {
                // Not every file can be synced: pipes and devices cannot.
                if error.kind() != std::io::ErrorKind::InvalidInput {
                    return Err(self.fail(TapeError::io("sync", &self.path, &error)));
                }
            }
        }
        Ok(())
    }

    /// Whether something was appended since the last [`sync`](Self::sync).
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Documents and bytes that are in the file.
    #[must_use]
    pub fn written(&self) -> (u64, u64) {
        (self.documents, self.length)
    }

    fn healthy(&self) -> Result<(), TapeError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Remembers the error that ends the writing.
    fn fail(&mut self, error: TapeError) -> TapeError {
        let error = match error {
            TapeError::Io { step, path, kind, reason, .. } => {
                TapeError::Io { step, path, kind, reason, safe: self.safe() }
            }
            other => other,
        };
        self.failed.get_or_insert(error).clone()
    }

    fn safe(&self) -> String {
        let (documents, length, last) = (self.documents, self.length, self.last);
        format!("; {documents} documents ({length} bytes, up to seq {last}) are safe in {}", self.path.display())
    }
}

/// What a journal gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    /// All whole documents, in the order of the file; the first is the header.
    pub documents: Vec<Document>,
    /// Byte ranges that hold no whole document.
    pub lost: Vec<Range<usize>>,
    /// Whether the header was among them; [`documents`](Self::documents) then begins with an empty one.
    pub header_lost: bool,
}

impl Recovered {
    /// Bytes that hold no whole document.
    #[must_use]
    pub fn lost_bytes(&self) -> usize {
        self.lost.iter().map(ExactSizeIterator::len).sum()
    }
}

/// Whether a text is a journal: a trailer follows one of its documents.
#[must_use]
pub fn is_journal(text: &[u8]) -> bool {
    // In a canonical tape a line never begins like this, however long it is; one look at the beginning tells most.
    trailers(text).next().is_some()
}

/// Reads what is whole in a journal, whatever happened to it.
///
/// # Errors
/// A version or feature that is not known; a document that is whole but not one of a tape.
pub fn recover(bytes: &[u8]) -> Result<Recovered, TapeError> {
    let (whole, lost) = whole(bytes);
    let mut documents = Vec::with_capacity(whole.len() + 1);
    let mut converter = None;
    let (mut line, mut counted) = (1, 0);
    for (at, range) in whole.into_iter().enumerate() {
        line += memchr::memchr_iter(b'\n', &bytes[counted..range.start]).count();
        counted = range.start;
        let place = |message: &str| TapeError::Invalid {
            place: Place { file: None, document: at + 1, line },
            message: message.to_owned(),
        };
        let text = std::str::from_utf8(&bytes[range.clone()]).map_err(|_| place("not UTF-8"))?;
        let piece = Piece { document: at + 1, line, offset: range.start, text };
        match converter {
            None if text.starts_with("---\nkind: Tape\n") => {
                let (found, header) = read::opening(&piece)?;
                converter = Some(found);
                documents.push(header);
            }
            None => {
                let found = migrate::converter(&Header::default().format).map_err(|message| place(&message))?;
                documents.push(Document::Header(Header::default()));
                documents.push(read::typed(&piece, found.convert(read::tree(&piece)?))?);
                converter = Some(found);
            }
            Some(found) => documents.push(read::typed(&piece, found.convert(read::tree(&piece)?))?),
        }
    }
    let header_lost = !lost.is_empty() && lost[0].start == 0;
    if documents.is_empty() {
        documents.push(Document::Header(Header::default()));
    }
    Ok(Recovered { documents, lost, header_lost })
}

/// Ranges of whole documents, and of everything that is neither one nor the trailer of one.
pub(super) fn whole(bytes: &[u8]) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let (mut whole, mut lost) = (Vec::new(), Vec::new());
    let mut done = 0;
    for trailer in trailers(bytes) {
        let Some(start) = trailer.at.checked_sub(trailer.length).filter(|start| *start >= done) else { continue };
        let text = &bytes[start..trailer.at];
        if !text.starts_with(b"---\n") || crc32c::crc32c(text) != trailer.crc {
            continue;
        }
        if start > done {
            lost.push(done..start);
        }
        whole.push(start..trailer.at);
        done = trailer.end;
    }
    if done < bytes.len() {
        lost.push(done..bytes.len());
    }
    (whole, lost)
}

struct Trailer {
    /// Where its line begins: the end of its document.
    at: usize,
    /// Where the next document begins.
    end: usize,
    crc: u32,
    length: usize,
}

/// Everything that looks like a trailer.
fn trailers(bytes: &[u8]) -> impl Iterator<Item = Trailer> + '_ {
    memchr::memmem::find_iter(bytes, b"\n# crc ").filter_map(|newline| {
        let at = newline + 1;
        let rest = &bytes[at + TRAILER.len()..];
        let crc = u32::from_str_radix(std::str::from_utf8(rest.get(..8)?).ok()?, 16).ok()?;
        let rest = rest.get(8..)?.strip_prefix(b" ")?;
        let digits = rest.iter().take(12).take_while(|b| b.is_ascii_digit()).count();
        let length = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        // A cut may have taken the newline: the trailer is whole nevertheless.
        let newline = usize::from(rest.get(digits) == Some(&b'\n'));
        Some(Trailer { at, end: at + TRAILER.len() + 9 + digits + newline, crc, length })
    })
}
