//! JSON to YAML, laid out as yaml.v2 does: block style, two spaces, lists at their parent's indentation, sorted keys.

use super::read::is_ambiguous;
use crate::codec::json;
use serde_json::Value;
use std::cmp::Ordering;
use std::fmt::Write as _;

/// Prints a value as a YAML document, with its final newline.
#[must_use]
pub fn encode(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(m) if !m.is_empty() => mapping(&mut out, m, 0),
        Value::Array(a) if !a.is_empty() => sequence(&mut out, a, 0),
        other => {
            scalar(&mut out, other, 0);
            out.push('\n');
        }
    }
    out
}

/// Members, of which the first starts where the cursor is.
fn mapping(out: &mut String, members: &serde_json::Map<String, Value>, indent: usize) {
    let mut keys: Vec<&String> = members.keys().collect();
    keys.sort_by(|a, b| natural(a, b));
    for (i, key) in keys.into_iter().enumerate() {
        if i > 0 {
            pad(out, indent);
        }
        string(out, key, indent, true);
        out.push(':');
        let Some(value) = members.get(key) else { continue };
        match value {
            Value::Object(m) if !m.is_empty() => {
                out.push('\n');
                pad(out, indent + 2);
                mapping(out, m, indent + 2);
            }
            Value::Array(a) if !a.is_empty() => {
                out.push('\n');
                pad(out, indent);
                sequence(out, a, indent);
            }
            other => {
                out.push(' ');
                scalar(out, other, indent + 2);
                out.push('\n');
            }
        }
    }
}

/// Items, of which the first starts where the cursor is.
fn sequence(out: &mut String, items: &[Value], indent: usize) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            pad(out, indent);
        }
        out.push_str("- ");
        match item {
            Value::Object(m) if !m.is_empty() => mapping(out, m, indent + 2),
            Value::Array(a) if !a.is_empty() => sequence(out, a, indent + 2),
            other => {
                scalar(out, other, indent + 2);
                out.push('\n');
            }
        }
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn scalar(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        Value::String(s) => string(out, s, indent, false),
        other => out.push_str(&String::from_utf8_lossy(&json::encode(other, None))),
    }
}

/// A string in the plainest style that reads back as the same string.
fn string(out: &mut String, text: &str, indent: usize, key: bool) {
    let quotes = is_ambiguous(text);
    let special = text.chars().any(|c| c != '\n' && !printable(c)) || text.contains('\u{feff}');
    if text.contains('\n') && !key && !special && !blanks_at_breaks(text) {
        literal(out, text, indent);
    } else if special || quotes || text.contains('\n') {
        double(out, text);
    } else if plain(text) {
        fold(out, text, indent, key);
    } else {
        out.push('\'');
        fold(out, &text.replace('\'', "''"), indent, key);
        out.push('\'');
    }
}

/// Spaces around line breaks that a literal block would lose or misread.
fn blanks_at_breaks(text: &str) -> bool {
    text.contains(" \n") || text.ends_with(' ')
}

/// Best line width of yaml.v2.
const WIDTH: usize = 80;

/// Writes words, breaking the line at single spaces once it is full.
fn fold(out: &mut String, text: &str, indent: usize, key: bool) {
    let mut column = out.len() - out.rfind('\n').map_or(0, |i| i + 1);
    let chars: Vec<char> = text.chars().collect();
    let mut after_space = false;
    for (i, c) in chars.iter().enumerate() {
        let inner = i > 0 && i + 1 < chars.len() && chars.get(i + 1) != Some(&' ');
        if *c == ' ' && !key && !after_space && column > WIDTH && inner {
            out.push('\n');
            pad(out, indent);
            column = indent;
            after_space = true;
            continue;
        }
        out.push(*c);
        column += 1;
        after_space = *c == ' ';
    }
}

/// A literal block: `|`, `|-` or `|+`, with an indentation hint if the text starts with a space.
fn literal(out: &mut String, text: &str, indent: usize) {
    let indent = indent.max(2);
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    if !text.ends_with('\n') {
        out.push('-');
    } else if text == "\n" || text.ends_with("\n\n") {
        out.push('+');
    }
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, indent);
            out.push_str(line);
        }
    }
}

fn double(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\0' => out.push_str("\\0"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\x1b' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{a0}' => out.push_str("\\_"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c if printable(c) && c != '\u{feff}' => out.push(c),
            c => {
                let n = c as u32;
                let _ = match n {
                    0..0x100 => write!(out, "\\x{n:02X}"),
                    0x100..0x1_0000 => write!(out, "\\u{n:04X}"),
                    _ => write!(out, "\\U{n:08X}"),
                };
            }
        }
    }
    out.push('"');
}

/// What the emitter writes without an escape.
fn printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a1}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Whether the text may stand without quotes as far as its punctuation goes.
fn plain(text: &str) -> bool {
    let mut chars = text.chars();
    let (Some(first), second) = (chars.next(), text.chars().nth(1)) else { return false };
    let first_bad = match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' | ' ' => true,
        '-' | '?' | ':' => second.is_none_or(|c| c == ' '),
        _ => false,
    };
    let document_mark = text.starts_with("---") || text.starts_with("...");
    let inner_bad = text.contains(": ") || text.ends_with(':') || text.contains(" #") || text.ends_with(' ');
    !(first_bad || document_mark || inner_bad)
}

/// The order of keys: letters by code, digits by the number they spell, other characters before letters.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(i) = a.iter().zip(&b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    let (x, y) = (a[i], b[i]);
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // Leading zeros count only within a longer number.
    let inside = (x == '0' || y == '0') && a[..i].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let number = |chars: &[char]| {
        let digits = chars[i..].iter().map_while(|c| c.to_digit(10));
        digits.fold((u64::from(inside), 0_usize), |(n, len), d| (n.wrapping_mul(10).wrapping_add(d.into()), len + 1))
    };
    number(&a).cmp(&number(&b)).then(x.cmp(&y))
}
