//! Files of a scan: folders walked in order, zstd and gzip undone, side files found beside their tape.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::content::Content;
use super::report::{Problem, ScanReport};
use super::{Scanner, tape};
use crate::format::{self, SideFiles};

/// Largest content that is looked at, after decompression.
const LARGEST: u64 = 2 * 1024 * 1024 * 1024;
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP: [u8; 2] = [0x1f, 0x8b];

pub(super) fn path(scanner: &Scanner, path: &Path, report: &mut ScanReport) {
    walk(scanner, path, report);
    if let Some(aside) = side_files(path)
        && aside.is_dir()
    {
        walk(scanner, &aside, report);
    }
    if path.is_file() {
        elsewhere(scanner, path, report);
    }
}

/// The side files that a tape shares with its neighbours. One that is not there was not looked at.
fn elsewhere(scanner: &Scanner, path: &Path, report: &mut ScanReport) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    if !text.contains("is: ref") || !tape::is_tape(&text) {
        return;
    }
    // What is no tape has been scanned as the text it is.
    let Ok(loaded) = format::load_bytes(text.as_bytes()) else { return };
    let (files, own) = (SideFiles::of(path), side_files(path));
    for name in loaded.tape.side_files() {
        match files.find(&name) {
            Some(file) if file.parent() == own.as_deref() => {}
            Some(file) => walk(scanner, &file, report),
            None => problem(report, path, &format!("its side file {name} is missing")),
        }
    }
}

fn walk(scanner: &Scanner, path: &Path, report: &mut ScanReport) {
    if path.is_dir() {
        match entries(path) {
            Ok(entries) => entries.iter().for_each(|entry| walk(scanner, entry, report)),
            Err(e) => problem(report, path, &e.to_string()),
        }
        return;
    }
    match std::fs::read(path) {
        Ok(bytes) => one(scanner, &path.display().to_string(), &bytes, report),
        Err(e) => problem(report, path, &e.to_string()),
    }
}

fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut entries = std::fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    entries.retain(|entry| entry.file_name().is_none_or(|name| name != ".git"));
    entries.sort();
    Ok(entries)
}

/// `x.tape.d` beside `x.tape.yaml`, `x.tape.part` and `x.tape.failed`.
fn side_files(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let (stem, _) = name.split_once(".tape.")?;
    Some(path.with_file_name(format!("{stem}.tape.d")))
}

fn problem(report: &mut ScanReport, path: &Path, problem: &str) {
    report.problems.push(Problem { file: path.display().to_string(), problem: problem.to_owned() });
}

/// Scans the content of one file.
pub(super) fn one(scanner: &Scanner, name: &str, bytes: &[u8], report: &mut ScanReport) {
    report.files += 1;
    let unpacked = match unpack(bytes) {
        Ok(unpacked) => unpacked,
        Err(e) => {
            report.problems.push(Problem { file: name.to_owned(), problem: format!("cannot be decompressed: {e}") });
            return;
        }
    };
    let bytes = unpacked.as_deref().unwrap_or(bytes);
    report.bytes += bytes.len() as u64;
    match std::str::from_utf8(bytes) {
        Ok(text) if tape::is_tape(text) => tape::scan(scanner, name, text, report),
        _ => Content { scanner, file: name, line: 1, call: None, within: Vec::new() }.bytes(bytes, report),
    }
}

/// The content of compressed bytes; `None` if they are not compressed.
pub(super) fn unpack(bytes: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    let read = if bytes.starts_with(&ZSTD) {
        zstd::stream::read::Decoder::new(bytes)?.take(LARGEST + 1).read_to_end(&mut out)?
    } else if bytes.starts_with(&GZIP) {
        flate2::read::MultiGzDecoder::new(bytes).take(LARGEST + 1).read_to_end(&mut out)?
    } else {
        return Ok(None);
    };
    if read as u64 > LARGEST {
        return Err(std::io::Error::other("larger than 2 GiB"));
    }
    Ok(Some(out))
}
