//! Placeholders for secrets: a keyed hash of the plaintext, so that equal secrets stay equal and nothing can be guessed
//! back. The key lives in memory only; the tape carries its id. How a placeholder keeps the shape of what it stands
//! for is in [`super::shape`].

use std::fmt;
use std::path::{Path, PathBuf};

use ring::rand::SecureRandom;
use ring::{digest, hmac};
use zeroize::Zeroizing;

use super::shape;

/// What every flat placeholder begins with.
pub(super) const PREFIX: &str = "redacted-";
/// Hex digits of a flat placeholder.
const DIGITS: usize = 8;
/// What the output of `action: hash` begins with.
pub(super) const HASH_PREFIX: &str = "hmac-sha256:";
/// Shortest key a user may bring, in bytes.
const SHORTEST_KEY: usize = 16;

/// The key that turns secrets into placeholders.
///
/// A random one is made per recording and forgotten with it. A key of the user's own makes placeholders the same in
/// several tapes; whoever holds it can test guesses against a tape, so it is to be kept like a password.
#[derive(Clone)]
pub struct Key(Zeroizing<Vec<u8>>);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The operating system gives no random bytes.
    #[error("no random bytes for a redaction key")]
    Random,
    /// The key is too short to keep guesses away.
    #[error("redaction key of {0} bytes, at least {SHORTEST_KEY} are needed")]
    Short(usize),
    /// The environment has no such variable.
    #[error("no redaction key in the environment variable {0}")]
    Unset(String),
    /// The file cannot be read.
    #[error("read redaction key from {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Key {
    /// A key of 32 random bytes from the operating system. It is the one thing here that no seed decides: a key that
    /// could be drawn again would undo the redaction.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn random() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new(vec![0; 32]);
        ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Random)?;
        Ok(Self(bytes))
    }

    /// A key of the user's own; blank ends are cut off.
    ///
    /// # Errors
    /// [`KeyError::Short`] below 16 bytes.
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        let secret = secret.trim_ascii();
        if secret.len() < SHORTEST_KEY {
            return Err(KeyError::Short(secret.len()));
        }
        Ok(Self(Zeroizing::new(secret.to_vec())))
    }

    /// The key in an environment variable.
    ///
    /// # Errors
    /// [`KeyError::Unset`], [`KeyError::Short`].
    pub fn from_env(name: &str) -> Result<Self, KeyError> {
        let value = std::env::var(name).map_err(|_| KeyError::Unset(name.to_owned()))?;
        Self::from_secret(Zeroizing::new(value).as_bytes())
    }

    /// The key in a file.
    ///
    /// # Errors
    /// [`KeyError::File`], [`KeyError::Short`].
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let bytes = std::fs::read(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
        Self::from_secret(&Zeroizing::new(bytes))
    }

    /// What a tape says about its key: enough to see that two tapes share one, nothing about the key.
    #[must_use]
    pub fn id(&self) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hex(hmac::sign(&key, b"rehearsal redaction key id").as_ref(), DIGITS)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id())
    }
}

/// Makes placeholders.
#[derive(Clone)]
pub(super) struct Pseudonyms {
    key: hmac::Key,
    id: String,
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonyms({})", self.id)
    }
}

impl Pseudonyms {
    pub(super) fn new(key: &Key) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key.0), id: key.id() }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// All 64 digits.
    pub(super) fn digest(&self, secret: &[u8]) -> String {
        hex(hmac::sign(&self.key, canonical(secret)).as_ref(), 64)
    }

    /// `redacted-` and eight digits: of one length, whatever it stands for.
    pub(super) fn flat(&self, secret: &[u8]) -> String {
        format!("{PREFIX}{}", &self.digest(secret)[..DIGITS])
    }

    /// A placeholder that parses as what it stands for: a token, a PEM block, a docker configuration.
    pub(super) fn shaped(&self, secret: &[u8]) -> String {
        std::str::from_utf8(canonical(secret))
            .ok()
            .and_then(|text| shape::of(text, self))
            .unwrap_or_else(|| self.flat(secret))
    }

    /// The output of `action: hash`.
    pub(super) fn hash(&self, secret: &[u8]) -> String {
        format!("{HASH_PREFIX}{}", self.digest(secret))
    }
}

/// A secret without the newline that `echo` or an editor left behind: with and without it are one secret.
pub(super) fn canonical(secret: &[u8]) -> &[u8] {
    let mut rest = secret;
    while let [head @ .., b'\n' | b'\r'] = rest {
        rest = head;
    }
    rest
}

/// The SHA-256 of some text, in hex.
pub(super) fn sha256(text: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, text).as_ref(), 64)
}

fn hex(bytes: &[u8], digits: usize) -> String {
    const ALPHABET: &[u8; 16] = b"0123456789abcdef";
    let both = |b: &u8| [ALPHABET[usize::from(b >> 4)], ALPHABET[usize::from(b & 15)]];
    bytes.iter().flat_map(both).take(digits).map(char::from).collect()
}

/// Whether a text is a placeholder, of any shape, rather than something that still has to be replaced.
///
/// Comparisons of a live request with a recorded one should let a placeholder stand for any value.
#[must_use]
pub fn is_placeholder(text: &str) -> bool {
    let text = text.trim_end_matches(['\n', '\r']);
    if text == "redacted" || is_flat(text) {
        return true;
    }
    if let Some(digits) = text.strip_prefix(HASH_PREFIX) {
        return digits.len() == 64 && digits.bytes().all(is_hex);
    }
    shape::is_shaped(text)
}

pub(super) fn is_flat(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|d| d.len() == DIGITS && d.bytes().all(is_hex))
}

/// Whether a flat placeholder occurs anywhere in these bytes.
pub(super) fn holds_flat(bytes: &[u8]) -> bool {
    let length = PREFIX.len() + DIGITS;
    bytes.windows(length).any(|w| std::str::from_utf8(w).is_ok_and(is_flat))
}

pub(super) fn is_hex(b: u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(key: &[u8]) -> Pseudonyms {
        Pseudonyms::new(&Key::from_secret(key).unwrap())
    }

    #[test]
    fn equal_secrets_have_equal_placeholders_under_one_key_only() {
        let (a, b) = (names(b"0123456789abcdef"), names(b"fedcba9876543210"));
        assert_eq!(a.flat(b"hunter2"), a.flat(b"hunter2\n"));
        assert_ne!(a.flat(b"hunter2"), a.flat(b"hunter3"));
        assert_ne!(a.flat(b"hunter2"), b.flat(b"hunter2"));
        assert_ne!(a.id(), b.id());
        assert!(is_placeholder(&a.flat(b"x")) && is_placeholder(&a.hash(b"x")));
        assert!(!is_placeholder("redacted-xyz") && !is_placeholder("hunter2"));
    }

    #[test]
    fn random_keys_differ_and_print_as_their_id() {
        let (a, b) = (Key::random().unwrap(), Key::random().unwrap());
        assert_ne!(a.id(), b.id());
        assert_eq!(format!("{a:?}"), format!("Key({})", a.id()));
    }

    #[test]
    fn short_and_missing_keys_are_refused() {
        assert!(matches!(Key::from_secret(b" short \n"), Err(KeyError::Short(5))));
        assert!(matches!(Key::from_env("REHEARSAL_NO_SUCH_KEY"), Err(KeyError::Unset(_))));
        assert!(matches!(Key::from_file(Path::new("/no/such/key")), Err(KeyError::File { .. })));
    }
}
