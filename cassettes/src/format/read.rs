//! The text of a tape as documents: where each begins, the YAML reader, and the line of every mistake.

use super::error::{Place, TapeError};
use super::fields::{Step, Wrong};
use super::migrate;
use super::model::Document;
use super::parse;
use super::subset;
use super::tree::Tree;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The text of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'t> {
    /// Ordinal, from 1.
    pub document: usize,
    /// First line, from 1: that of its `---`.
    pub line: usize,
    /// Offset of that line in bytes.
    pub offset: usize,
    /// Text, with the `---` line where there is one.
    pub text: &'t str,
}

/// Cuts a text into its documents; empty ones and those of nothing but comments are left out.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    Pieces { text, at: 0, line: 1, document: 0 }
}

struct Pieces<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    document: usize,
}

impl<'t> Iterator for Pieces<'t> {
    type Item = Piece<'t>;

    fn next(&mut self) -> Option<Piece<'t>> {
        while self.at < self.text.len() {
            let (offset, line) = (self.at, self.line);
            let rest = &self.text[offset..];
            let length = next_start(rest);
            let text = &rest[..length];
            self.at += length;
            self.line += memchr::memchr_iter(b'\n', text.as_bytes()).count();
            if has_content(text) {
                self.document += 1;
                return Some(Piece { document: self.document, line, offset, text });
            }
        }
        None
    }
}

/// Where the next document begins: at a line `---` after the first line.
fn next_start(text: &str) -> usize {
    let starts = memchr::memmem::find_iter(text.as_bytes(), b"\n---").map(|at| at + 1);
    let mut whole = starts.filter(|at| matches!(text.as_bytes().get(at + 3), None | Some(b'\n' | b'\r' | b' ')));
    whole.next().unwrap_or(text.len())
}

fn has_content(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    lines.any(|line| !line.is_empty() && line != "---" && !line.starts_with('#'))
}

/// Reads one document of the current version.
///
/// # Errors
/// Text that is not YAML, or not a document of a tape, with its line.
pub fn document(piece: &Piece<'_>) -> Result<Document, TapeError> {
    let tree = tree(piece)?;
    typed(piece, tree)
}

pub(super) fn typed(piece: &Piece<'_>, tree: Tree) -> Result<Document, TapeError> {
    parse::document(tree).map_err(|wrong| misfit(piece, &wrong))
}

/// The error of a document that is YAML, but not what a tape has.
pub(super) fn misfit(piece: &Piece<'_>, wrong: &Wrong) -> TapeError {
    let line = locate(piece.text, &wrong.path()).unwrap_or(1);
    TapeError::invalid(piece.document, piece.line + line - 1, wrong.to_string())
}

/// The tree of a document: by the fast reader where nothing but our own writer was at work, else by the general one.
pub(super) fn tree(piece: &Piece<'_>) -> Result<Tree, TapeError> {
    if let Some(tree) = subset::parse(piece.text) {
        return Ok(tree);
    }
    serde_yaml::from_str(piece.text).map_err(|error| {
        let line = error.location().map_or(0, |place| piece.line + place.line() - 1);
        let message = error.to_string();
        // The place is told in front; the message need not repeat it.
        let message = message.split(" at line ").next().unwrap_or(&message);
        TapeError::invalid(piece.document, line, message)
    })
}

/// Reads all documents of a text: those of other versions are converted, so the header must come first.
///
/// # Errors
/// As [`document`]; a text that does not begin with a header; a version or feature that is not known.
pub fn documents(text: &str) -> Result<Vec<Document>, TapeError> {
    let mut pieces = pieces(text);
    let Some(first) = pieces.next() else {
        return Err(TapeError::invalid(0, 0, "there is no document; a tape begins with one of kind Tape"));
    };
    let (converter, header) = opening(&first)?;
    let mut documents = vec![header];
    for piece in pieces {
        documents.push(typed(&piece, converter.convert(tree(&piece)?))?);
    }
    Ok(documents)
}

/// The header, and what converts the documents after it.
pub(super) fn opening(first: &Piece<'_>) -> Result<(migrate::Converter, Document), TapeError> {
    let tree = tree(first)?;
    if tree.text_at(&["kind"]) != "Tape" {
        return Err(TapeError::invalid(first.document, first.line, "a tape begins with a document of kind Tape"));
    }
    let format = parse::format(&tree).map_err(|wrong| misfit(first, &wrong))?;
    let place = Place { file: None, document: first.document, line: first.line };
    let converter = migrate::converter(&format).map_err(|message| TapeError::Version { place, message })?;
    let header = typed(first, converter.convert(tree))?;
    Ok((converter, header))
}

/// Line of the node at a path, from 1; of the nearest one around it where that is not there. The YAML package tells
/// places in its errors only, so the text is read once more and fails on purpose at the node.
fn locate(text: &str, path: &[Step]) -> Option<usize> {
    (0..=path.len()).rev().find_map(|length| {
        let error = Locate(&path[..length]).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
        let place = error.location()?;
        error.to_string().contains(FOUND).then(|| place.line())
    })
}

const FOUND: &str = "here is the node that was asked for";

struct Locate<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Locate<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! found {
    ($($visit:ident: $type:ty),*) => {$(
        fn $visit<E: serde::de::Error>(self, _: $type) -> Result<(), E> {
            self.found()
        }
    )*};
}

impl Locate<'_> {
    fn found<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.0.is_empty() { Err(E::custom(FOUND)) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for Locate<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    found!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.found()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((Step::Item(index), rest)) = self.0.split_first() else {
            return Err(A::Error::custom(if self.0.is_empty() { FOUND } else { "not on the path" }));
        };
        for _ in 0..*index {
            seq.next_element::<IgnoredAny>()?;
        }
        seq.next_element_seed(Locate(rest))?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key(key), rest)) = self.0.split_first() else {
            return Err(A::Error::custom(if self.0.is_empty() { FOUND } else { "not on the path" }));
        };
        while let Some(found) = map.next_key::<String>()? {
            if found == *key {
                map.next_value_seed(Locate(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_at_their_lines() {
        let text = "# a comment\n---\na: 1\n---\n# nothing\n---\nb: \"\\n---\"\n";
        let found: Vec<_> = pieces(text).map(|p| (p.document, p.line, p.text)).collect();
        assert_eq!(found, [(1, 2, "---\na: 1\n"), (2, 6, "---\nb: \"\\n---\"\n")]);
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        let text = "---\nkind: Tape\nformat: {major: 1, minor: 0}\n---\nkind: Call\nid: 3\nseq: {req: 1, end: x}\n";
        let error = documents(text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tape:7 (document 2): seq.end: expected a whole number from 0 to 18446744073709551615, found \"x\""
        );
        let error = documents("---\nkind: Tape\nformat: {major: 1, minor: 0}\n---\nkind: Call\nid: [3\n").unwrap_err();
        assert!(
            error.to_string().starts_with("tape:6 (document 2): ") || error.to_string().starts_with("tape:7"),
            "{error}"
        );
    }

    #[test]
    fn a_tape_begins_with_its_header() {
        for text in ["", "# nothing\n", "---\nkind: Call\nid: 1\n", "a list\n"] {
            assert!(documents(text).is_err(), "{text}");
        }
    }
}
