//! Looks for secrets in what is about to be shared: tapes in any of their forms, their side files, and any other file.
//!
//! A tape is scanned by redacting it again and seeing what changes; on top come known secrets in every encoding, text
//! that looks random, and what base64 and gzip hide, three levels deep. A finding names its place and never its secret.

mod content;
mod files;
mod known;
mod report;
mod tape;

use std::path::{Path, PathBuf};

use super::sweep::Sweeper;
use super::{Core, Key, KeyError, Policy, Redactor};

pub use known::{Known, KnownError};
pub use report::{Finding, Problem, ScanReport};

/// Looks for secrets.
pub struct Scanner {
    redactor: Redactor,
    known: Sweeper,
    entropy: bool,
}

impl Scanner {
    /// A scanner with the default rules.
    ///
    /// # Errors
    /// No random bytes for the key that stands in for a recording's.
    pub fn try_new() -> Result<Self, KeyError> {
        Self::with_policy(Policy::default())
    }

    /// A scanner that lets a policy's `keep` rules stand.
    ///
    /// # Errors
    /// As [`Scanner::try_new`].
    pub fn with_policy(policy: Policy) -> Result<Self, KeyError> {
        let redactor = Redactor::new(policy, &Key::random()?);
        let known = redactor.seal();
        Ok(Self { redactor, known, entropy: true })
    }

    /// Looks for these secrets too, in every encoding.
    #[must_use]
    pub fn known(mut self, known: &Known) -> Self {
        self.known = Sweeper::new(known.dictionary(), self.core().names.clone());
        self
    }

    /// Whether text counts that merely looks random: more than 4 bits a character over 20 characters or more. Default
    /// true.
    #[must_use]
    pub fn entropy(mut self, entropy: bool) -> Self {
        self.entropy = entropy;
        self
    }

    /// Scans one text. The name decides how it is read: `.yaml` and `.part` as YAML, `.json` as JSON, else as it looks.
    #[must_use]
    pub fn text(&self, name: &str, text: &str) -> ScanReport {
        self.bytes(name, text.as_bytes())
    }

    /// Scans the bytes of one file, compressed or not.
    #[must_use]
    pub fn bytes(&self, name: &str, bytes: &[u8]) -> ScanReport {
        let mut report = ScanReport::default();
        files::one(self, name, bytes, &mut report);
        report.settle();
        report
    }

    /// Scans files, and folders with all that is in them. The side files of a tape belong to it.
    #[must_use]
    pub fn paths(&self, paths: &[PathBuf]) -> ScanReport {
        let mut report = ScanReport::default();
        for path in paths {
            files::path(self, Path::new(path), &mut report);
        }
        report.settle();
        report
    }

    fn core(&self) -> &Core {
        &self.redactor.core
    }
}

#[cfg(test)]
mod tests;
