//! [`TapeFile`]: a tape that is read as it is needed. Opening reads the header and the index; entries are parsed when
//! they are asked for, with their symbols replaced.

use super::canonical;
use super::error::{Place, TapeError};
use super::index::{self, Index, Key, Row, RowKind, Sighting};
use super::journal;
use super::migrate::Converter;
use super::model::*;
use super::read::{self, Piece};
use super::side::SideFiles;
use super::symbols::Symbols;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Smaller tapes are read at once, and leave no index behind.
const SMALL: u64 = 1 << 20;

/// A tape on a disk. Shareable between threads; reading takes no lock.
#[derive(Debug)]
pub struct TapeFile {
    path: PathBuf,
    source: Source,
    header: Header,
    converter: Converter,
    index: Index,
    /// Rows of calls by id; of doubled ids the first.
    calls: OnceLock<HashMap<u64, usize>>,
    symbols: Symbols,
    sides: SideFiles,
}

#[derive(Debug)]
enum Source {
    File(File),
    /// Small tapes, and journals, which were folded.
    Memory(Vec<u8>),
}

impl TapeFile {
    /// Opens a tape of any layer. The index of a large one is cached in `$REHEARSAL_CACHE`, `$XDG_CACHE_HOME/rehearsal`
    /// or `~/.cache/rehearsal`; without one all of it is read once.
    ///
    /// # Errors
    /// A file that cannot be read or is not a tape, with document and line.
    pub fn open(path: &Path) -> Result<Self, TapeError> {
        Self::open_with_cache(path, index::default_cache().as_deref())
    }

    /// Opens a tape with a directory of its own for indexes, or without one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_cache(path: &Path, cache: Option<&Path>) -> Result<Self, TapeError> {
        Self::try_open(path, cache).map_err(|error| error.in_file(path))
    }

    fn try_open(path: &Path, cache: Option<&Path>) -> Result<Self, TapeError> {
        let io = |error: std::io::Error| TapeError::io("read", path, &error);
        let file = File::open(path).map_err(|error| TapeError::io("open", path, &error))?;
        let size = file.metadata().map_err(io)?.len();
        let cached = match cache.filter(|_| size >= SMALL) {
            Some(cache) => Some((index::place(cache, path), Key::of(&file).map_err(io)?)),
            None => None,
        };
        if let Some((place, key)) = &cached
            && let Some(index) = index::load(place, key)
        {
            let mut text = vec![0; usize::try_from(index.header).unwrap_or_default()];
            file.read_exact_at(&mut text, 0).map_err(io)?;
            let (header, converter) = head(&text)?;
            return Ok(Self::new(path, Source::File(file), header, converter, index));
        }
        let mut bytes = all(&file).map_err(io)?;
        if journal::is_journal(&bytes) {
            bytes = canonical::to_text(&canonical::load_bytes(&bytes)?.tape).into_bytes();
            let (header, converter, index) = parse(&bytes)?;
            return Ok(Self::new(path, Source::Memory(bytes), header, converter, index));
        }
        let (header, converter, index) = parse(&bytes)?;
        let source = match cached {
            None => Source::Memory(bytes),
            Some((place, key)) => {
                index::save(&index, &place, &key);
                Source::File(file)
            }
        };
        Ok(Self::new(path, source, header, converter, index))
    }

    fn new(path: &Path, source: Source, header: Header, converter: Converter, index: Index) -> Self {
        let symbols = Symbols::of(&header);
        let (path, sides) = (path.to_owned(), SideFiles::of(path));
        Self { path, source, header, converter, index, calls: OnceLock::new(), symbols, sides }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The seal; none where there is none.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub fn sealed(&self) -> Result<Option<Sealed>, TapeError> {
        let Some((offset, length)) = self.index.sealed else { return Ok(None) };
        match self.document(offset, length, 0, 0)? {
            Document::Sealed(sealed) => Ok(Some(sealed)),
            _ => Err(self.stale()),
        }
    }

    /// What the index says about each entry, in the order of the tape.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.index.rows
    }

    /// Lane of a row.
    #[must_use]
    pub fn lane(&self, row: &Row) -> &str {
        self.string(row.lane)
    }

    /// HTTP method of a row; empty for marks.
    #[must_use]
    pub fn method(&self, row: &Row) -> &str {
        self.string(row.method)
    }

    /// Path of a row, symbols replaced; what a mark is.
    #[must_use]
    pub fn row_path(&self, row: &Row) -> &str {
        self.string(row.path)
    }

    fn string(&self, at: u32) -> &str {
        self.index.strings.get(at as usize).map_or("", String::as_str)
    }

    /// Rows of one method and path, in the order of the tape.
    pub fn route<'t>(&'t self, method: &'t str, path: &'t str) -> impl Iterator<Item = usize> + 't {
        let rows = self.index.rows.iter().enumerate();
        rows.filter(move |(_, row)| self.method(row) == method && self.row_path(row) == path).map(|(at, _)| at)
    }

    /// Where a resourceVersion was seen, in the order of the tape.
    #[must_use]
    pub fn sightings(&self, version: u64) -> &[Sighting] {
        let all = &self.index.sightings;
        let start = all.partition_point(|it| it.version < version);
        let end = all.partition_point(|it| it.version <= version);
        &all[start..end]
    }

    /// All resourceVersions seen, rising.
    pub fn versions(&self) -> impl Iterator<Item = u64> + '_ {
        self.index.sightings.chunk_by(|a, b| a.version == b.version).filter_map(|same| Some(same.first()?.version))
    }

    /// An entry by its row, symbols replaced, [`Body::Same`] and [`Body::Ref`] as they are: see [`body`](Self::body).
    ///
    /// # Errors
    /// A file that changed since it was opened; text that is not a tape.
    pub fn entry(&self, at: usize) -> Result<Entry, TapeError> {
        let Some(row) = self.index.rows.get(at) else {
            return Err(self.missing(format!("no entry {at}: the tape has {}", self.index.rows.len())));
        };
        let mut entry = match self.document(row.offset, row.length, row.line, row.document)? {
            Document::Call(call) => Entry::Call(call),
            Document::Upgrade(upgrade) => Entry::Upgrade(upgrade),
            Document::Mark(mark) => Entry::Mark(mark),
            _ => return Err(self.stale()),
        };
        self.symbols.expand_entry(&mut entry);
        Ok(entry)
    }

    /// All entries, one after the other.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry, TapeError>> + '_ {
        (0..self.index.rows.len()).map(|at| self.entry(at))
    }

    /// A call by its id.
    ///
    /// # Errors
    /// No call has the id; as [`entry`](Self::entry).
    pub fn call(&self, id: u64) -> Result<Call, TapeError> {
        let rows = self.index.rows.iter().enumerate().rev().filter(|(_, row)| row.kind == RowKind::Call);
        let calls = self.calls.get_or_init(|| rows.map(|(at, row)| (row.id, at)).collect());
        match calls.get(&id).map(|at| self.entry(*at)).transpose()? {
            Some(Entry::Call(call)) => Ok(call),
            _ => Err(self.missing(format!("no call {id}"))),
        }
    }

    /// What a body stands for: that of another call for [`Body::Same`], that of a side file for [`Body::Ref`].
    ///
    /// # Errors
    /// A call that is not there; a side file that is missing or damaged.
    pub fn body(&self, body: &Body) -> Result<Body, TapeError> {
        let of = match body {
            Body::Same { of } => *of,
            other => return self.sides.load(other).map_err(|error| error.in_file(&self.path)),
        };
        let call = self.call(of)?;
        match call.response.and_then(|response| response.body) {
            None | Some(Body::Same { .. }) => Err(self.missing(format!("call {of} has no body to share"))),
            Some(body) => self.sides.load(&body).map_err(|error| error.in_file(&self.path)),
        }
    }

    /// All of the tape, symbols replaced and none left in the header.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub fn tape(&self) -> Result<Tape, TapeError> {
        let mut header = self.header.clone();
        header.symbols.clear();
        Ok(Tape { header, entries: self.entries().collect::<Result<_, _>>()?, sealed: self.sealed()? })
    }

    fn document(&self, offset: u64, length: u64, line: u32, document: u32) -> Result<Document, TapeError> {
        let bytes = match &self.source {
            Source::File(file) => {
                let mut bytes = vec![0; usize::try_from(length).map_err(|_| self.stale())?];
                file.read_exact_at(&mut bytes, offset).map_err(|error| TapeError::io("read", &self.path, &error))?;
                std::borrow::Cow::Owned(bytes)
            }
            Source::Memory(bytes) => {
                let range = usize::try_from(offset).ok().zip(usize::try_from(offset + length).ok());
                let slice = range.and_then(|(start, end)| bytes.get(start..end)).ok_or_else(|| self.stale())?;
                std::borrow::Cow::Borrowed(slice)
            }
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| self.stale())?;
        let piece = Piece { document: document as usize, line: line as usize, offset: 0, text };
        let read = || read::typed(&piece, self.converter.convert(read::tree(&piece)?));
        read().map_err(|error| error.in_file(&self.path))
    }

    fn missing(&self, message: String) -> TapeError {
        TapeError::Missing { place: Place { file: Some(self.path.clone()), ..Place::default() }, message }
    }

    fn stale(&self) -> TapeError {
        self.missing("the file has changed since it was opened".to_owned())
    }
}

fn all(file: &File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = file;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn utf8(bytes: &[u8]) -> Result<&str, TapeError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let line = memchr::memchr_iter(b'\n', &bytes[..error.valid_up_to()]).count() + 1;
        TapeError::invalid(0, line, "not UTF-8")
    })
}

fn head(bytes: &[u8]) -> Result<(Header, Converter), TapeError> {
    let Some(first) = read::pieces(utf8(bytes)?).next() else {
        return Err(TapeError::invalid(0, 0, "there is no document; a tape begins with one of kind Tape"));
    };
    match read::opening(&first)? {
        (converter, Document::Header(header)) => Ok((header, converter)),
        _ => Err(TapeError::invalid(first.document, first.line, "a tape begins with a document of kind Tape")),
    }
}

fn parse(bytes: &[u8]) -> Result<(Header, Converter, Index), TapeError> {
    let (header, converter) = head(bytes)?;
    let index = index::build(utf8(bytes)?, converter, &Symbols::of(&header))?;
    Ok((header, converter, index))
}

#[cfg(test)]
mod tests {
    use super::super::{Tree, canonical};
    use super::*;

    fn event(n: u64) -> Body {
        let text = format!(
            r#"{{"type":"ADDED","object":{{"kind":"Pod","metadata":{{"name":"p{n}","uid":"u{n}","resourceVersion":"{n}"}}}}}}"#
        );
        Body::Json { tree: Tree::from_json(text.as_bytes()).unwrap(), render: Render::GO }
    }

    fn sample(calls: u64, padding: usize) -> Tape {
        let call = |id: u64| {
            let seq = id * 10;
            let frame = |n: u64| Frame { seq: seq + n, content: event(id * 3 + n), ..Frame::default() };
            Entry::Call(Call {
                id,
                lane: "sut".into(),
                seq: Marks { req: seq, head: Some(seq + 1), end: seq + 5 },
                request: Request { method: "GET".into(), path: "/api/v1/pods".into(), ..Request::default() },
                response: Some(Response {
                    status: 200,
                    headers: vec![("x-padding".into(), "x".repeat(padding))],
                    ..Response::default()
                }),
                frames: (2..4).map(frame).collect(),
                ..Call::default()
            })
        };
        let mut tape = Tape { entries: (1..=calls).map(call).collect(), ..Tape::default() };
        canonical::seal(&mut tape);
        tape
    }

    #[test]
    fn a_small_tape_is_read_by_its_parts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tape.yaml");
        let tape = sample(3, 10);
        canonical::save(&tape, &path).unwrap();
        let file = TapeFile::open_with_cache(&path, None).unwrap();
        assert_eq!(file.tape().unwrap(), tape);
        assert_eq!(Some(&file.call(2).unwrap()), tape.calls().nth(1));
        assert_eq!(file.route("GET", "/api/v1/pods").collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(file.sightings(8), [Sighting { version: 8, row: 1, frame: Some(0) }]);
        assert_eq!(file.versions().collect::<Vec<_>>(), [5, 6, 8, 9, 11, 12]);
        assert!(file.call(9).unwrap_err().to_string().ends_with("x.tape.yaml: no call 9"));
    }

    #[test]
    fn the_index_is_kept_used_and_made_anew_when_the_tape_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (path, cache) = (dir.path().join("x.tape.yaml"), dir.path().join("cache"));
        canonical::save(&sample(40, 40_000), &path).unwrap();
        let first = TapeFile::open_with_cache(&path, Some(&cache)).unwrap();
        let place = index::place(&cache, &path);
        let written = std::fs::read(&place).unwrap();
        let second = TapeFile::open_with_cache(&path, Some(&cache)).unwrap();
        assert!(matches!(second.source, Source::File(_)));
        assert_eq!(second.index, first.index);
        assert_eq!(second.tape().unwrap(), sample(40, 40_000));
        // Damaged.
        let mut damaged = written.clone();
        damaged[100] ^= 1;
        std::fs::write(&place, damaged).unwrap();
        assert_eq!(TapeFile::open_with_cache(&path, Some(&cache)).unwrap().index, first.index);
        assert_eq!(std::fs::read(&place).unwrap(), written);
        // Another tape in its place.
        canonical::save(&sample(41, 40_000), &path).unwrap();
        assert_eq!(TapeFile::open_with_cache(&path, Some(&cache)).unwrap().rows().len(), 41);
    }

    #[test]
    fn a_journal_opens_as_what_it_would_become() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tape.part");
        let mut journal = journal::JournalWriter::create(&path, &Header::default()).unwrap();
        let request = Request { method: "GET".into(), path: "/version".into(), ..Request::default() };
        journal.append(&Document::Req(ReqDoc { of: 1, seq: 1, request, ..ReqDoc::default() })).unwrap();
        let file = TapeFile::open_with_cache(&path, None).unwrap();
        assert_eq!(file.call(1).unwrap().end, End::RecorderCrash);
    }

    #[test]
    fn a_side_file_that_is_missing_is_told_with_the_tape() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tape.yaml");
        canonical::save(&sample(1, 1), &path).unwrap();
        let file = TapeFile::open_with_cache(&path, None).unwrap();
        let body = Body::Ref {
            hash: "0123456789abcdef".into(),
            bytes: 1,
            is: "json".into(),
            render: Render::GO,
            summary: Vec::new(),
        };
        let error = file.body(&body).unwrap_err().to_string();
        assert!(
            error.contains("x.tape.yaml: side file ") && error.contains("0123456789abcdef.json.zst: missing"),
            "{error}"
        );
    }
}
