//! Base64 as Go reads it: the same bytes accepted, the same offsets in refusals.
//!
//! Counterpart: `encoding/base64` `StdEncoding`. Line breaks are skipped, trailing bits are not checked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Re-encodes a base64 text without line breaks.
///
/// # Errors
/// `illegal base64 data at input byte N`.
pub(super) fn canonical(text: String) -> Result<String, String> {
    if text.len().is_multiple_of(4) && STANDARD.decode(&text).is_ok() {
        return Ok(text);
    }
    decode(text.as_bytes())
        .map(|bytes| STANDARD.encode(bytes))
        .map_err(|at| format!("illegal base64 data at input byte {at}"))
}

fn digit(c: u8) -> Option<u8> {
    match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// Decodes four digits at a time; an error is the offset Go would name.
fn decode(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut quantum = [0_u8; 4];
    let mut filled = 0;
    let mut at = 0;
    while let Some(&c) = text.get(at) {
        at += 1;
        match (c, digit(c)) {
            (_, Some(d)) => {
                quantum[filled] = d;
                filled += 1;
                if filled == 4 {
                    push(&mut out, quantum, 3);
                    filled = 0;
                }
            }
            (b'\n' | b'\r', _) => {}
            (b'=', _) if filled >= 2 => return finish(text, at, quantum, filled, out),
            _ => return Err(at - 1),
        }
    }
    if filled == 0 { Ok(out) } else { Err(at - filled) }
}

/// Reads the rest of the padding, of which the first `=` is consumed; nothing may follow it.
fn finish(text: &[u8], mut at: usize, mut quantum: [u8; 4], filled: usize, mut out: Vec<u8>) -> Result<Vec<u8>, usize> {
    let skip = |mut i: usize| {
        while matches!(text.get(i), Some(b'\n' | b'\r')) {
            i += 1;
        }
        i
    };
    if filled == 2 {
        at = skip(at);
        match text.get(at) {
            None => return Err(text.len()),
            Some(b'=') => at += 1,
            Some(_) => return Err(at - 1),
        }
    }
    at = skip(at);
    if at < text.len() {
        return Err(at);
    }
    quantum[filled..].fill(0);
    push(&mut out, quantum, filled - 1);
    Ok(out)
}

fn push(out: &mut Vec<u8>, q: [u8; 4], bytes: usize) {
    let word = q.iter().fold(0_u32, |n, d| n << 6 | u32::from(*d));
    out.extend_from_slice(&word.to_be_bytes()[1..=bytes]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_data_is_kept_and_line_breaks_are_dropped() {
        for (text, want) in [("", ""), ("YWJj", "YWJj"), ("YW\nJj\r\n", "YWJj"), ("YQ==\n", "YQ=="), ("YR==", "YQ==")] {
            assert_eq!(canonical(text.to_owned()).as_deref(), Ok(want), "{text:?}");
        }
    }

    /// Offsets printed by Go itself.
    #[test]
    fn bad_data_is_refused_at_gos_offset() {
        for (text, at) in [
            ("!!!!", 0),
            ("a", 0),
            ("YWJjYQ", 4),
            ("YQ=", 3),
            ("YQ=a", 2),
            ("YQ==a", 4),
            ("Y===", 1),
            ("plain text", 5),
        ] {
            assert_eq!(canonical(text.to_owned()), Err(format!("illegal base64 data at input byte {at}")), "{text}");
        }
    }
}
