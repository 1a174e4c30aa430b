//! What can be wrong with a configuration.

use std::path::{Path, PathBuf};

/// Why there is no configuration, or none that makes a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A setting, or a pair of them, makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A file cannot be used.
    #[error("{path}: {message}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` are not both set.
    #[error("not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be set")]
    NotInCluster,
    /// There is no configuration at all.
    #[error("no configuration has been provided, try setting KUBERNETES_MASTER environment variable")]
    Empty,
    /// A context was asked for that does not exist.
    #[error("context {0:?} does not exist")]
    NoSuchContext(String),
    /// Several findings.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Many(Vec<ConfigError>),
}

impl ConfigError {
    pub(crate) fn file(path: &Path, error: &impl ToString) -> Self {
        Self::File { path: path.to_owned(), message: error.to_string() }
    }

    /// One finding as itself, several as [`ConfigError::Many`], none as nothing.
    pub(crate) fn gather(mut errors: Vec<Self>) -> Option<Self> {
        match errors.len() {
            0 => None,
            1 => errors.pop(),
            _ => Some(Self::Many(errors)),
        }
    }

    /// Whether there was no configuration at all.
    #[must_use]
    pub fn is_empty_config(&self) -> bool {
        *self == Self::Empty
    }
}
