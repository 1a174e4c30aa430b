//! The `continue` token of a paged list.
//!
//! Counterpart: apiserver `storage/continue.go`; errors are worded as there, after `invalid continue token: `.

use super::Revision;
use super::json_check::{self, json_error};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// The only version of the encoding there is.
const VERSION: &str = "meta.k8s.io/v1";

/// Where the next page of a list starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContinueToken {
    /// The revision all pages show; negative: whatever is current.
    pub rv: i64,
    /// The first key of the page, relative to the prefix of the list (collection or namespace), without leading `/`.
    pub start: String,
    /// Number of objects on the pages before, 0 when unknown. Lets the server tell how many remain without a walk. The
    /// real server's token has no such member (`n`) and counts instead; to clients a token is opaque.
    pub given: u64,
}

/// Why a token is refused. The text is the message of the 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContinueTokenError {
    /// Not base64url without padding.
    #[error("invalid continue token: continue key is not valid: illegal base64 data at input byte {0}")]
    Base64(usize),
    /// Not JSON, or not of the token's types; the text is that of Go's `encoding/json`.
    #[error("invalid continue token: continue key is not valid: {0}")]
    Json(String),
    /// `v` is not `meta.k8s.io/v1`.
    #[error("invalid continue token: continue key is not valid: server does not recognize this encoded version {0}")]
    UnknownVersion(String),
    /// `rv` is zero or missing.
    #[error(
        "invalid continue token: continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"
    )]
    NoRevision,
    /// `start` is empty or missing.
    #[error("invalid continue token: continue key is not valid: encoded start key empty (version meta.k8s.io/v1)")]
    NoStart,
    /// `start` is not a clean path.
    #[error("invalid continue token: continue key is not valid: {0}")]
    UncleanStart(String),
}

impl ContinueToken {
    /// The token for the page after `last`, a key of the list relative to the prefix of the list.
    #[must_use]
    pub fn after(revision: Revision, last: &str) -> Self {
        Self { rv: i64::try_from(revision).unwrap_or(i64::MAX), start: format!("{last}\0"), given: 0 }
    }

    /// Notes how many objects the pages before have given.
    #[must_use]
    pub fn given(self, given: u64) -> Self {
        Self { given, ..self }
    }

    /// The same place in whatever is current, as an expired list's 410 offers it.
    #[must_use]
    pub fn inconsistent(self) -> Self {
        Self { rv: -1, given: 0, ..self }
    }

    /// The revision all pages show; `None`: whatever is current.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        Revision::try_from(self.rv).ok()
    }

    /// The wire form.
    #[must_use]
    pub fn encode(&self) -> String {
        let start = Value::String(format!("/{}", self.start)).to_string();
        // Go's encoder escapes these three for the sake of HTML.
        let start = start.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
        let given = if self.given > 0 { format!(r#","n":{}"#, self.given) } else { String::new() };
        URL_SAFE_NO_PAD.encode(format!(r#"{{"v":"{VERSION}","rv":{},"start":{start}{given}}}"#, self.rv))
    }

    /// Reads the wire form.
    ///
    /// # Errors
    /// [`ContinueTokenError`], in the order in which the real server checks.
    pub fn decode(token: &str) -> Result<Self, ContinueTokenError> {
        let json = decode_base64url(token.as_bytes()).map_err(ContinueTokenError::Base64)?;
        if let Some(error) = json_error(&json) {
            return Err(ContinueTokenError::Json(error));
        }
        let members = members(&json)?;
        let version = string(&members, "v")?;
        let rv = integer(&members, "rv")?;
        let start = string(&members, "start")?;
        if version != VERSION {
            return Err(ContinueTokenError::UnknownVersion(version));
        }
        if rv == 0 {
            return Err(ContinueTokenError::NoRevision);
        }
        if start.is_empty() {
            return Err(ContinueTokenError::NoStart);
        }
        let relative = start.strip_prefix('/').unwrap_or(&start);
        if !is_clean(relative) {
            return Err(ContinueTokenError::UncleanStart(start));
        }
        let given = members.get("n").and_then(Value::as_u64).filter(|_| rv > 0).unwrap_or(0);
        Ok(Self { rv, start: relative.to_owned(), given })
    }
}

/// Whether Go's `path.Clean` would leave `/` followed by this path alone.
fn is_clean(relative: &str) -> bool {
    relative.is_empty() || relative.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The members of a token as Go's decoder would find them; a bare `null` has none.
fn members(json: &[u8]) -> Result<Map<String, Value>, ContinueTokenError> {
    match serde_json::from_slice(&replace_bad_utf8(json)) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(other) => {
            let kind = json_check::kind(&other);
            Err(ContinueTokenError::Json(format!(
                "json: cannot unmarshal {kind} into Go value of type storage.continueToken"
            )))
        }
        Err(error) => Err(ContinueTokenError::Json(error.to_string())),
    }
}

fn replace_bad_utf8(json: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(json).into_owned().into_bytes()
}

/// A member by its name, without regard to case as in Go; `null` counts as missing.
fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let exact = members.get(name);
    let folded = || members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    exact.or_else(folded).filter(|value| !value.is_null())
}

fn string(members: &Map<String, Value>, name: &str) -> Result<String, ContinueTokenError> {
    match member(members, name) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(mismatch(json_check::kind(other), name, "string")),
    }
}

fn integer(members: &Map<String, Value>, name: &str) -> Result<i64, ContinueTokenError> {
    match member(members, name) {
        None => Ok(0),
        Some(Value::Number(number)) => {
            number.as_i64().ok_or_else(|| mismatch(&format!("number {number}"), name, "int64"))
        }
        Some(other) => Err(mismatch(json_check::kind(other), name, "int64")),
    }
}

fn mismatch(found: &str, name: &str, wanted: &str) -> ContinueTokenError {
    ContinueTokenError::Json(format!(
        "json: cannot unmarshal {found} into Go struct field continueToken.{name} of type {wanted}"
    ))
}

/// Decodes as Go's `base64.RawURLEncoding`: line breaks are skipped, spare bits ignored. The error is the offset of the
/// first byte that is wrong.
fn decode_base64url(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0u32, 0u8);
    for (offset, byte) in text.iter().enumerate() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            b'\r' | b'\n' => continue,
            _ => return Err(offset),
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 1);
        if count == 4 {
            out.extend_from_slice(&bits.to_be_bytes()[1..]);
            (bits, count) = (0, 0);
        }
    }
    match count {
        0 => {}
        1 => return Err(text.len() - 1),
        2 => out.push((bits >> 4) as u8),
        _ => out.extend_from_slice(&((bits >> 2) as u16).to_be_bytes()),
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(json: &str) -> String {
        ContinueToken::decode(&URL_SAFE_NO_PAD.encode(json)).unwrap_err().to_string()
    }

    fn after_prefix(message: &str) -> &str {
        message.strip_prefix("invalid continue token: continue key is not valid").unwrap()
    }

    #[test]
    fn a_token_is_written_as_the_real_server_writes_it() {
        let token = ContinueToken::after(515, "c1").encode();
        let json = URL_SAFE_NO_PAD.decode(token).unwrap();
        assert_eq!(String::from_utf8(json).unwrap(), r#"{"v":"meta.k8s.io/v1","rv":515,"start":"/c1\u0000"}"#);
        let token = ContinueToken::after(1, "a&b").encode();
        let json = String::from_utf8(URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
        assert!(json.ends_with(r#""start":"/a\u0026b\u0000"}"#), "{json}");
    }

    #[test]
    fn the_leading_slash_may_be_absent() {
        let token = URL_SAFE_NO_PAD.encode(r#"{"V":"meta.k8s.io/v1","rv":-1,"start":"ns/c1\u0000"}"#);
        let token = ContinueToken::decode(&token).unwrap();
        assert_eq!((token.rv, token.start.as_str(), token.revision()), (-1, "ns/c1\0", None));
    }

    #[test]
    fn what_is_not_base64_is_refused_by_its_first_bad_byte() {
        for (token, offset) in [("!", 0), ("e30=", 3), ("e", 0), ("e30ab", 4), ("e3+0", 2)] {
            assert_eq!(ContinueToken::decode(token), Err(ContinueTokenError::Base64(offset)), "{token}");
        }
        let message = ContinueToken::decode("*").unwrap_err().to_string();
        assert_eq!(after_prefix(&message), ": illegal base64 data at input byte 0");
    }

    #[test]
    fn refusals_are_worded_as_the_real_ones() {
        let garbage = ContinueToken::decode("garbage").unwrap_err().to_string();
        assert_eq!(after_prefix(&garbage), ": invalid character '\\u0081' looking for beginning of value");
        for (json, message) in [
            ("", ": unexpected end of JSON input"),
            ("{}", ": server does not recognize this encoded version "),
            ("null", ": server does not recognize this encoded version "),
            (r#"{"v":"v2","rv":1,"start":"a"}"#, ": server does not recognize this encoded version v2"),
            (r#"{"v":"meta.k8s.io/v1","rv":0}"#, ": incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
            (r#"{"v":"meta.k8s.io/v1","rv":1}"#, ": encoded start key empty (version meta.k8s.io/v1)"),
            (r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../a"}"#, ": ../a"),
            (r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a/"}"#, ": a/"),
            (r#"{"v":"meta.k8s.io/v1","rv":1,"start":"//a"}"#, ": //a"),
            ("[]", ": json: cannot unmarshal array into Go value of type storage.continueToken"),
            (r#"{"rv":"1"}"#, ": json: cannot unmarshal string into Go struct field continueToken.rv of type int64"),
            (r#"{"v":1}"#, ": json: cannot unmarshal number into Go struct field continueToken.v of type string"),
        ] {
            assert_eq!(after_prefix(&refusal(json)), message, "{json}");
        }
    }

    proptest! {
        #[test]
        fn tokens_survive_the_round_trip(rv in 1u64..u64::MAX / 2, given in 0u64.., last in "[a-z<>&é:\"]{1,9}(/[a-z]{1,9})?") {
            let token = ContinueToken::after(rv, &last).given(given);
            prop_assert_eq!(token.revision(), Some(rv));
            prop_assert_eq!(ContinueToken::decode(&token.encode()), Ok(token.clone()));
            let token = token.inconsistent();
            prop_assert_eq!(ContinueToken::decode(&token.encode()), Ok(token));
        }

        #[test]
        fn no_token_trips_the_decoder(token in ".*") {
            let _ = ContinueToken::decode(&token);
        }
    }
}
