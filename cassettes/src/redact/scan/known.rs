//! Secrets that a user knows of and wants to be sure about: those of a kubeconfig, of the environment, of a file.

use std::fmt;
use std::path::{Path, PathBuf};

use rehearsal_apimachinery::codec::yaml;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::format::Tree;
use crate::redact::dictionary::{Dictionary, Reach};
use crate::redact::names::{Sense, is_value, looks_random, sense};
use crate::redact::{Context, Key, Policy, Redactor};

/// Known secrets. Never printed; overwritten when dropped.
#[derive(Default)]
pub struct Known {
    dictionary: Dictionary,
}

/// Why known secrets could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KnownError {
    /// A file cannot be read.
    #[error("read known secrets from {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A kubeconfig is none.
    #[error("{} is not a kubeconfig", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Known({})", self.len())
    }
}

impl Known {
    /// Adds one secret.
    pub fn add(&mut self, secret: &[u8]) {
        self.dictionary.learn(secret.trim_ascii(), Reach::Anywhere);
    }

    /// Adds the credentials of a kubeconfig: tokens, passwords, client keys, and those in the files it names.
    ///
    /// # Errors
    /// Files that cannot be read, or are no kubeconfig.
    pub fn add_kubeconfig(&mut self, path: &Path) -> Result<(), KnownError> {
        let text = read(path)?;
        let no = || KnownError::Kubeconfig { path: path.to_owned() };
        let (value, _) = yaml::parse(&text).map_err(|_| no())?;
        let users = value.get("users").and_then(Value::as_array).ok_or_else(no)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for user in users.iter().filter_map(|entry| entry.get("user")) {
            for file in ["tokenFile", "client-key"].iter().filter_map(|key| user.get(key)?.as_str()) {
                self.add(&read(&folder.join(file))?);
            }
        }
        // Everything else is what the redactor would take out of it.
        let key = Key::from_secret(&[0; 32]).map_err(|_| no())?;
        let redactor = Redactor::new(Policy::default(), &key);
        redactor.tree(&Context::default(), &mut Tree::from(&value));
        self.dictionary.absorb(&redactor.core.dictionary.lock());
        Ok(())
    }

    /// Adds the variables of an environment whose names say that they are secrets.
    pub fn add_env(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in variables {
            let value = Zeroizing::new(value);
            let hit = match sense(&name) {
                Sense::Yes => is_value(&value),
                Sense::Maybe => looks_random(&value),
                Sense::No => false,
            };
            if hit {
                self.add(value.as_bytes());
            }
        }
    }

    /// Adds each line of a file that is not blank, and the whole of it.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn add_file(&mut self, path: &Path) -> Result<(), KnownError> {
        let bytes = read(path)?;
        bytes.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).for_each(|line| self.add(line));
        self.add(&bytes);
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dictionary.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KnownError> {
    std::fs::read(path).map(Zeroizing::new).map_err(|source| KnownError::File { path: path.to_owned(), source })
}
