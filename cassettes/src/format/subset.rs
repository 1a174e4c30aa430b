//! A reader for the YAML that `emit` writes, some ten times as fast as the general one, and for nothing else.
//!
//! Whatever is not in the strict subset (a hand was here) gives `None`, and the general reader decides. So this one need
//! not report errors; it must only never read a text differently, which a property test holds it to.

use super::emit::is_plain;
use super::tree::Tree;
use std::collections::HashSet;

/// As many levels as the general reader allows.
const MAX_DEPTH: usize = 100;

/// Reads one document, if it is in the strict subset.
pub(super) fn parse(text: &str) -> Option<Tree> {
    let text = text.strip_prefix("---\n")?;
    let mut reader = Reader { bytes: text.as_bytes(), text, at: 0 };
    let tree = reader.block(0, MAX_DEPTH)?;
    (reader.at == text.len()).then_some(tree)
}

struct Reader<'t> {
    bytes: &'t [u8],
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    /// Spaces before the content of the line at hand; none at the end.
    fn indent(&self) -> Option<usize> {
        let spaces = self.bytes[self.at..].iter().take_while(|b| **b == b' ').count();
        (self.at + spaces < self.bytes.len()).then_some(spaces)
    }

    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek() == byte).then(|| self.at += 1)
    }

    /// A map or a list whose lines are all indented by `indent`.
    fn block(&mut self, indent: usize, depth: usize) -> Option<Tree> {
        let depth = depth.checked_sub(1)?;
        if self.indent()? != indent {
            return None;
        }
        self.at += indent;
        match (self.peek(), self.bytes.get(self.at + 1)) {
            (b'-', Some(b' ' | b'\n')) => self.list(indent, depth),
            _ => self.map(indent, depth),
        }
    }

    /// Stands behind the indent of the first key.
    fn map(&mut self, indent: usize, depth: usize) -> Option<Tree> {
        let mut entries: Vec<(String, Tree)> = Vec::new();
        loop {
            let key = self.key()?;
            self.eat(b':')?;
            let value = self.value(indent, depth)?;
            entries.push((key, value));
            match self.indent() {
                Some(found) if found == indent => self.at += indent,
                Some(found) if found > indent => return None,
                _ => break,
            }
        }
        unique(&entries).then_some(Tree::Map(entries))
    }

    /// Stands at the first dash.
    fn list(&mut self, indent: usize, depth: usize) -> Option<Tree> {
        let mut items = Vec::new();
        loop {
            self.eat(b'-')?;
            items.push(self.item(indent, depth)?);
            match self.indent() {
                Some(found) if found == indent => self.at += indent,
                Some(found) if found > indent => return None,
                _ => break,
            }
        }
        Some(Tree::List(items))
    }

    fn item(&mut self, indent: usize, depth: usize) -> Option<Tree> {
        if self.peek() == b'\n' {
            return self.value(indent, depth);
        }
        let start = self.at;
        self.eat(b' ')?;
        // `- key: value` begins a map that goes on below the key; anything else is a value.
        if matches!(self.peek(), b'"' | b'A'..=b'Z' | b'a'..=b'z' | b'/') {
            let first = self.at;
            if self.key().is_some() && self.peek() == b':' {
                self.at = first;
                return self.map(indent + 2, depth.checked_sub(1)?);
            }
        }
        self.at = start;
        self.value(indent, depth)
    }

    fn key(&mut self) -> Option<String> {
        if self.peek() == b'"' { self.quoted() } else { self.plain().map(str::to_owned) }
    }

    /// What follows a colon or a dash: something on the line, or a block below.
    fn value(&mut self, indent: usize, depth: usize) -> Option<Tree> {
        if self.eat(b'\n').is_some() {
            let below = self.indent()?;
            return if below > indent { self.block(below, depth) } else { None };
        }
        self.eat(b' ')?;
        let tree = match self.peek() {
            b'[' => self.flow_list()?,
            b'{' => self.flow_map()?,
            _ => self.scalar()?,
        };
        self.eat(b'\n')?;
        Some(tree)
    }

    fn flow_list(&mut self) -> Option<Tree> {
        self.eat(b'[')?;
        let mut items = Vec::new();
        while self.eat(b']').is_none() {
            if !items.is_empty() {
                self.eat(b',')?;
                self.eat(b' ')?;
            }
            items.push(self.scalar()?);
        }
        Some(Tree::List(items))
    }

    fn flow_map(&mut self) -> Option<Tree> {
        self.eat(b'{')?;
        let mut entries: Vec<(String, Tree)> = Vec::new();
        while self.eat(b'}').is_none() {
            if !entries.is_empty() {
                self.eat(b',')?;
                self.eat(b' ')?;
            }
            let key = self.key()?;
            self.eat(b':')?;
            self.eat(b' ')?;
            entries.push((key, self.scalar()?));
        }
        unique(&entries).then_some(Tree::Map(entries))
    }

    fn scalar(&mut self) -> Option<Tree> {
        match self.peek() {
            b'"' => self.quoted().map(Tree::Text),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                let start = self.at;
                match self.word() {
                    "true" => Some(Tree::Bool(true)),
                    "false" => Some(Tree::Bool(false)),
                    "null" => Some(Tree::Null),
                    _ => {
                        self.at = start;
                        self.plain().map(Tree::from)
                    }
                }
            }
        }
    }

    /// The characters a plain scalar may have.
    fn word(&mut self) -> &str {
        let start = self.at;
        let safe = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'-');
        self.at += self.bytes[start..].iter().take_while(safe).count();
        &self.text[start..self.at]
    }

    fn plain(&mut self) -> Option<&str> {
        let word = self.word();
        is_plain(word).then_some(word)
    }

    fn number(&mut self) -> Option<Tree> {
        let start = self.at;
        let bytes = &self.bytes[start..];
        let length = bytes.iter().take_while(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e')).count();
        self.at += length;
        let text = &self.text[start..self.at];
        let digits = text.strip_prefix('-').unwrap_or(text);
        // A leading zero is an octal number to some.
        if digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.") || text == "-0" {
            return None;
        }
        if digits.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().map(Tree::Int).or_else(|_| text.parse().map(Tree::Uint)).ok();
        }
        let (mantissa, exponent) = match digits.split_once('e') {
            Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix(['+', '-'])?),
            None => (digits, "0"),
        };
        let (whole, part) = mantissa.split_once('.')?;
        let numeric = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !(numeric(whole) && numeric(part) && numeric(exponent)) {
            return None;
        }
        text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Tree::Float)
    }

    fn quoted(&mut self) -> Option<String> {
        self.eat(b'"')?;
        let mut out = String::new();
        loop {
            let rest = &self.bytes[self.at..];
            let stop = rest.iter().position(|b| matches!(b, b'"' | b'\\') || *b < b' ' || *b == 0x7f)?;
            out.push_str(&self.text[self.at..self.at + stop]);
            self.at += stop + 1;
            match rest[stop] {
                b'"' => break,
                b'\\' => out.push(self.escape()?),
                _ => return None,
            }
        }
        // Unescaped, these are line breaks or not allowed; the general reader knows.
        let odd =
            |c: char| matches!(c, '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
        let escaped_only = out.is_ascii() || !out.contains(odd) || self.was_escaped(&out, odd);
        escaped_only.then_some(out)
    }

    /// Whether none of the odd characters stands in the source of the text just read.
    fn was_escaped(&self, out: &str, odd: impl Fn(char) -> bool) -> bool {
        // Escapes only make a source longer, so this window holds all of it; more before it does no harm but a detour.
        let window = (out.len() * 6 + 2).min(self.at);
        let mut start = self.at - window;
        while !self.text.is_char_boundary(start) {
            start += 1;
        }
        !self.text[start..self.at].contains(odd)
    }

    fn escape(&mut self) -> Option<char> {
        let code = self.peek();
        self.at += 1;
        Some(match code {
            b'"' => '"',
            b'\\' => '\\',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return None;
                }
                self.at += 4;
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
            }
            _ => return None,
        })
    }
}

fn unique(entries: &[(String, Tree)]) -> bool {
    if entries.len() <= 12 {
        return entries.iter().enumerate().all(|(at, (key, _))| entries[..at].iter().all(|(other, _)| other != key));
    }
    let mut seen = HashSet::with_capacity(entries.len());
    entries.iter().all(|(key, _)| seen.insert(key.as_str()))
}

#[cfg(test)]
mod tests {
    use super::super::{strategies, to_text};
    use super::*;
    use proptest::prelude::*;

    fn general(text: &str) -> Option<Tree> {
        serde_yaml::from_str(text).ok()
    }

    #[test]
    fn what_a_hand_writes_is_left_to_the_general_reader() {
        for text in
            ["a: b c", "a: 'b'", "a: |\n  b", "a: &x b", "a: 01", "a:\n- b", "a: b # c", "a: yes", "a: b\r", "a:"]
        {
            assert_eq!(parse(&format!("---\n{text}\n")), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn all_that_is_written_is_read_and_alike(tape in strategies::tape()) {
            for piece in super::super::read::pieces(&to_text(&tape)) {
                let tree = parse(piece.text);
                prop_assert!(tree.is_some(), "{}", piece.text);
                prop_assert_eq!(tree, general(piece.text));
            }
        }

        #[test]
        fn a_changed_text_is_read_alike_or_not_at_all(
            tape in strategies::tape(),
            at in any::<prop::sample::Index>(),
            with in prop::sample::select(vec!["", " ", "\n", "-", ":", "\"", "{", "}", "[", ",", "0", "1", "e", "#", "\\", "y", "\t", "'"]),
        ) {
            let text = to_text(&tape);
            let at = (0..=at.index(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let next = text[at..].chars().next().map_or(0, char::len_utf8);
            let changed = format!("{}{with}{}", &text[..at], &text[at + next..]);
            for piece in super::super::read::pieces(&changed) {
                if let Some(tree) = parse(piece.text) {
                    prop_assert_eq!(Some(tree), general(piece.text), "{}", piece.text);
                }
            }
        }
    }
}
