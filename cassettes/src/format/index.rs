//! The index of a canonical tape: where its entries are and what a reader wants to know before it parses a body.
//!
//! It lives in a cache directory, not beside the tape, and is nothing but a cache: made anew when the tape's size, time
//! or ends have changed, and when it is damaged.

use super::canonical::{hex, write_atomically};
use super::error::TapeError;
use super::migrate::Converter;
use super::model::*;
use super::read::{self, Piece};
use super::revisions;
use super::symbols::Symbols;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"rehearsal tape index 1\n";
/// How much of each end of a tape is hashed: the header is in the first, the seal with its hash in the last.
const EDGE: usize = 64 * 1024;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A call.
    Call,
    /// An upgraded connection.
    Upgrade,
    /// A mark; its `what` is what `row_path` gives.
    Mark,
}

/// What the index says about one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub kind: RowKind,
    /// Id of a call or an upgrade; 0 for marks.
    pub id: u64,
    /// Ordinal of its first event.
    pub seq: Seq,
    /// Ordinal of its last event.
    pub end: Seq,
    /// Time of its first event.
    pub t: Micros,
    /// Time of its last event.
    pub t_end: Micros,
    /// HTTP status; 0 without an answer.
    pub status: u16,
    /// Number of frames.
    pub frames: u32,
    pub(super) lane: u32,
    pub(super) method: u32,
    pub(super) path: u32,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) line: u32,
    pub(super) document: u32,
}

/// Where a resourceVersion was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    /// The resourceVersion.
    pub version: u64,
    /// Which entry, an index into the rows.
    pub row: u32,
    /// Which of its frames; none for the response.
    pub frame: Option<u32>,
}

/// Rows of all entries, their strings, and the resourceVersions seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Index {
    pub(super) rows: Vec<Row>,
    pub(super) strings: Vec<String>,
    /// By resourceVersion.
    pub(super) sightings: Vec<Sighting>,
    /// Length of the header, with all before it.
    pub(super) header: u64,
    /// Offset and length of the seal.
    pub(super) sealed: Option<(u64, u64)>,
}

/// What an index belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key([u8; 60]);

impl Key {
    pub(super) fn of(file: &File) -> std::io::Result<Self> {
        let facts = file.metadata()?;
        let size = facts.size();
        let edge = usize::try_from(size).unwrap_or(usize::MAX).min(EDGE);
        let mut ends = vec![0; edge * 2];
        file.read_exact_at(&mut ends[..edge], 0)?;
        file.read_exact_at(&mut ends[edge..], size - edge as u64)?;
        let mut key = [0; 60];
        key[..8].copy_from_slice(&size.to_le_bytes());
        key[8..16].copy_from_slice(&facts.mtime().to_le_bytes());
        key[16..24].copy_from_slice(&facts.mtime_nsec().to_le_bytes());
        key[24..28].copy_from_slice(&1u32.to_le_bytes());
        key[28..].copy_from_slice(&Sha256::digest(&ends));
        Ok(Self(key))
    }
}

/// Where the index of a tape is cached: one file a path, so that stale ones are written over.
pub(super) fn place(cache: &Path, tape: &Path) -> PathBuf {
    let whole = std::path::absolute(tape).unwrap_or_else(|_| tape.to_owned());
    let name = hex(&Sha256::digest(whole.as_os_str().as_encoded_bytes())[..16]);
    cache.join(format!("{name}.idx"))
}

/// `$REHEARSAL_CACHE`, `$XDG_CACHE_HOME/rehearsal` or `~/.cache/rehearsal`, and in it `tape-index`.
pub(super) fn default_cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("REHEARSAL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("rehearsal")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/rehearsal")));
    base.map(|dir| dir.join("tape-index"))
}

/// Makes the index of a text that begins with its header.
pub(super) fn build(text: &str, converter: Converter, symbols: &Symbols) -> Result<Index, TapeError> {
    let mut build = Build::default();
    for piece in read::pieces(text) {
        if piece.document == 1 {
            build.index.header = (piece.offset + piece.text.len()) as u64;
            continue;
        }
        let mut document = read::typed(&piece, converter.convert(read::tree(&piece)?))?;
        symbols.expand_document(&mut document);
        build.add(&piece, document)?;
    }
    Ok(build.finish())
}

#[derive(Default)]
struct Build {
    index: Index,
    known: HashMap<String, u32>,
}

impl Build {
    fn add(&mut self, piece: &Piece<'_>, document: Document) -> Result<(), TapeError> {
        let (offset, length) = (piece.offset as u64, piece.text.len() as u64);
        let place = (offset, length, piece.line, piece.document);
        // Symbols were replaced before.
        let literal = Symbols::default();
        match document {
            Document::Call(call) => {
                let row = self.index.rows.len();
                let seen = revisions::versions(&call, &literal).map(|(frame, version)| Sighting {
                    version,
                    row: narrow(row),
                    frame: frame.map(narrow),
                });
                self.index.sightings.extend(seen);
                let status = call.response.as_ref().map_or(0, |response| response.status);
                self.row(RowKind::Call, call.id, (call.seq, call.t), &call.lane, &call.request, status, place);
                if let Some(row) = self.index.rows.last_mut() {
                    row.frames = narrow(call.frames.len());
                }
            }
            Document::Upgrade(it) => {
                let status = it.response.as_ref().map_or(0, |response| response.status);
                self.row(RowKind::Upgrade, it.id, (it.seq, it.t), &it.lane, &it.request, status, place);
            }
            Document::Mark(it) => {
                let at = (Marks { req: it.seq, head: None, end: it.seq }, Marks { req: it.t, head: None, end: it.t });
                let request = Request { path: it.what, ..Request::default() };
                self.row(RowKind::Mark, 0, at, "", &request, 0, place);
            }
            Document::Sealed(_) => self.index.sealed = Some((offset, length)),
            Document::Header(_) => return Err(TapeError::invalid(piece.document, piece.line, "a second header")),
            Document::Req(_) | Document::Head(_) | Document::Frame(_) | Document::End(_) => {
                let message = "a document of a journal in a canonical tape; `rehearsal tape fmt` folds it";
                return Err(TapeError::invalid(piece.document, piece.line, message));
            }
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "calls and upgrades have these in common, and no more")]
    fn row(
        &mut self,
        kind: RowKind,
        id: u64,
        (seq, t): (Marks<Seq>, Marks<Micros>),
        lane: &str,
        request: &Request,
        status: u16,
        (offset, length, line, document): (u64, u64, usize, usize),
    ) {
        let row = Row {
            kind,
            id,
            seq: seq.req,
            end: seq.end,
            t: t.req,
            t_end: t.end,
            status,
            frames: 0,
            lane: self.string(lane),
            method: self.string(&request.method),
            path: self.string(&request.path),
            offset,
            length,
            line: narrow(line),
            document: narrow(document),
        };
        self.index.rows.push(row);
    }

    fn string(&mut self, text: &str) -> u32 {
        if let Some(at) = self.known.get(text) {
            return *at;
        }
        let at = narrow(self.index.strings.len());
        self.index.strings.push(text.to_owned());
        self.known.insert(text.to_owned(), at);
        at
    }

    fn finish(mut self) -> Index {
        self.index.sightings.sort_unstable();
        self.index
    }
}

/// No tape has four thousand million of anything; one that had would be told apart by its lines, not by its index.
fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Reads a cached index, if it is there, whole, and of this tape.
pub(super) fn load(path: &Path, key: &Key) -> Option<Index> {
    let bytes = std::fs::read(path).ok()?;
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut input = Input(content.strip_prefix(MAGIC)?.strip_prefix(&key.0)?);
    let strings = (0..input.number()?).map(|_| input.text()).collect::<Option<_>>()?;
    let rows = (0..input.number()?).map(|_| input.row()).collect::<Option<_>>()?;
    let sightings = (0..input.number()?).map(|_| input.sighting()).collect::<Option<_>>()?;
    let sealed = match (input.number()?, input.number()?) {
        (0, 0) => None,
        place => Some(place),
    };
    Some(Index { rows, strings, sightings, header: input.number()?, sealed })
}

/// Caches an index. That it cannot be written is no error: the next reader makes it again.
pub(super) fn save(index: &Index, path: &Path, key: &Key) {
    let mut out = Output(MAGIC.to_vec());
    out.0.extend_from_slice(&key.0);
    out.number(index.strings.len() as u64);
    index.strings.iter().for_each(|text| out.text(text));
    out.number(index.rows.len() as u64);
    index.rows.iter().for_each(|row| out.row(row));
    out.number(index.sightings.len() as u64);
    index.sightings.iter().for_each(|sighting| out.sighting(sighting));
    let (offset, length) = index.sealed.unwrap_or_default();
    out.number(offset);
    out.number(length);
    out.number(index.header);
    let crc = crc32c::crc32c(&out.0);
    out.0.extend_from_slice(&crc.to_le_bytes());
    if let Some(dir) = path.parent()
        && std::fs::create_dir_all(dir).is_ok()
    {
        let _ = write_atomically(path, &out.0);
    }
}

struct Output(Vec<u8>);

impl Output {
    /// Seven bits a byte, lowest first: most numbers are small.
    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn row(&mut self, row: &Row) {
        let kind = match row.kind {
            RowKind::Call => 0,
            RowKind::Upgrade => 1,
            RowKind::Mark => 2,
        };
        let numbers = [row.id, row.seq, row.end, row.t, row.t_end, row.offset, row.length];
        let small = [u32::from(row.status), row.frames, row.lane, row.method, row.path, row.line, row.document];
        self.number(kind);
        numbers.into_iter().for_each(|n| self.number(n));
        small.into_iter().for_each(|n| self.number(u64::from(n)));
    }

    fn sighting(&mut self, it: &Sighting) {
        self.number(it.version);
        self.number(u64::from(it.row));
        self.number(it.frame.map_or(0, |frame| u64::from(frame) + 1));
    }
}

struct Input<'b>(&'b [u8]);

impl Input<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn row(&mut self) -> Option<Row> {
        let kind = match self.number()? {
            0 => RowKind::Call,
            1 => RowKind::Upgrade,
            _ => RowKind::Mark,
        };
        let mut numbers = [0; 7];
        for n in &mut numbers {
            *n = self.number()?;
        }
        let mut small = [0; 7];
        for n in &mut small {
            *n = self.small()?;
        }
        let [id, seq, end, t, t_end, offset, length] = numbers;
        let [status, frames, lane, method, path, line, document] = small;
        let status = u16::try_from(status).ok()?;
        Some(Row { kind, id, seq, end, t, t_end, status, frames, lane, method, path, offset, length, line, document })
    }

    fn sighting(&mut self) -> Option<Sighting> {
        let (version, row, frame) = (self.number()?, self.small()?, self.small()?);
        Some(Sighting { version, row, frame: frame.checked_sub(1) })
    }
}
