//! What can go wrong with a tape, always with the file and, in text, the line.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in the text of a tape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file; none for text in memory.
    pub file: Option<PathBuf>,
    /// Ordinal of the document, from 1 (the header); 0 where it is not about one.
    pub document: usize,
    /// Line in the file, from 1; 0 where it is not known.
    pub line: usize,
}

impl Place {
    /// The same place, in a file.
    #[must_use]
    pub fn in_file(mut self, file: &Path) -> Self {
        self.file.get_or_insert_with(|| file.to_owned());
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}", file.display())?,
            None => f.write_str("tape")?,
        }
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.document > 0 {
            write!(f, " (document {})", self.document)?;
        }
        Ok(())
    }
}

/// Why a tape cannot be read or written. Cloneable, because every later call of a broken writer tells it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TapeError {
    /// Text that is not a tape.
    #[error("{place}: {message}")]
    Invalid {
        /// Where.
        place: Place,
        /// What, naming the field.
        message: String,
    },
    /// A tape of another age.
    #[error("{place}: {message}")]
    Version {
        /// Where.
        place: Place,
        /// Which version, and what to do.
        message: String,
    },
    /// The operating system said no.
    #[error("{step} {}: {reason}{safe}", path.display())]
    Io {
        /// What was tried: `open`, `read`, `write`…
        step: &'static str,
        /// On which file.
        path: PathBuf,
        /// The kind of refusal.
        kind: std::io::ErrorKind,
        /// Its text.
        reason: String,
        /// What is safe nevertheless; empty, or begins with `; `.
        safe: String,
    },
    /// A body's side file is not there, or is not what its name says.
    #[error("{place}: side file {}: {reason}", path.display())]
    SideFile {
        /// Which document needs it.
        place: Place,
        /// Where it should be.
        path: PathBuf,
        /// `missing` or what is wrong with it.
        reason: String,
    },
    /// The tape has no such thing.
    #[error("{place}: {message}")]
    Missing {
        /// Which tape.
        place: Place,
        /// What it has not.
        message: String,
    },
    /// The writer has ended, and takes nothing any more.
    #[error("write {}: the tape is closed", path.display())]
    Closed {
        /// The tape.
        path: PathBuf,
    },
}

impl TapeError {
    /// An error of the operating system.
    pub(crate) fn io(step: &'static str, path: &Path, error: &std::io::Error) -> Self {
        Self::Io { step, path: path.to_owned(), kind: error.kind(), reason: error.to_string(), safe: String::new() }
    }

    /// A field that is wrong.
    pub(crate) fn invalid(document: usize, line: usize, message: impl Into<String>) -> Self {
        Self::Invalid { place: Place { file: None, document, line }, message: message.into() }
    }

    /// The same error, told of a file.
    #[must_use]
    pub fn in_file(mut self, file: &Path) -> Self {
        match &mut self {
            Self::Invalid { place, .. }
            | Self::Version { place, .. }
            | Self::SideFile { place, .. }
            | Self::Missing { place, .. } => {
                place.file.get_or_insert_with(|| file.to_owned());
            }
            Self::Io { .. } | Self::Closed { .. } => {}
        }
        self
    }

    /// Whether the disk had no room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { kind: std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded, .. })
    }

    /// Whether the tape is of a version or with features this program does not know.
    #[must_use]
    pub fn is_version(&self) -> bool {
        matches!(self, Self::Version { .. })
    }

    /// Whether the file is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { kind: std::io::ErrorKind::NotFound, .. })
    }
}
