//! Bearer tokens that cannot be printed and can be looked up without comparing them byte by byte.

use sha2::{Digest, Sha256};
use std::fmt;

/// A bearer token. `Debug` prints `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Wraps a token.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token itself, for the one place that must send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether this is the token, without telling by the time it takes how much of it is.
    #[must_use]
    pub fn is(&self, other: &str) -> bool {
        !other.is_empty() && self.digest() == Self::new(other).digest()
    }

    /// What tables of tokens are keyed by: comparing digests tells nothing about the token, however long it takes.
    pub(super) fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// SHA-256 of a token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct TokenDigest([u8; 32]);

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_prints_itself() {
        let token = Token::new("s3cret");
        assert_eq!(format!("{token:?} {:?}", token.digest()), "[redacted] [redacted]");
    }
}
