//! The YAML text of a tape, in the strict subset: block style, strings plain only where no reader could take them for
//! anything else, double-quoted on one line otherwise; no anchors, tags, comments or block scalars.
//!
//! Every line of a document but its keys is indented, so that a line that begins with `---` or `#` is never content.

use super::tree::Tree;
use std::fmt::Write as _;

/// Longer keys need the explicit form, `? key`.
const SIMPLE_KEY: usize = 1000;

/// Writes maps and lists of one document.
#[derive(Debug, Default)]
pub(super) struct Yaml {
    out: String,
    indent: usize,
    /// An item was begun, and its dash is yet to be written.
    dash: bool,
}

impl Yaml {
    pub(super) fn document(kind: &str) -> Self {
        let mut yaml = Self { out: String::with_capacity(1024), indent: 0, dash: false };
        yaml.out.push_str("---\n");
        yaml.text("kind", kind);
        yaml
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    fn key(&mut self, key: &str) {
        self.margin();
        if key.len() > SIMPLE_KEY {
            self.out.push_str("? ");
            scalar(key, &mut self.out);
            self.out.push('\n');
            pad(self.indent, &mut self.out);
        } else {
            scalar(key, &mut self.out);
        }
        self.out.push(':');
    }

    fn margin(&mut self) {
        if std::mem::take(&mut self.dash) {
            pad(self.indent - 2, &mut self.out);
            self.out.push_str("- ");
        } else {
            pad(self.indent, &mut self.out);
        }
    }

    /// A member whose value is written as it is.
    pub(super) fn plain(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, " {value}");
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.out.push(' ');
        scalar(value, &mut self.out);
        self.out.push('\n');
    }

    /// A text that is left out when it is empty.
    pub(super) fn text_unless_empty(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.text(key, value);
        }
    }

    /// Texts on one line; left out when there are none.
    pub(super) fn texts(&mut self, key: &str, values: &[String]) {
        self.flow(
            key,
            values.iter().map(|value| {
                let mut text = String::new();
                scalar(value, &mut text);
                text
            }),
        );
    }

    /// Values as they are, on one line; left out when there are none.
    pub(super) fn flow<T: std::fmt::Display>(&mut self, key: &str, values: impl IntoIterator<Item = T>) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        self.key(key);
        for (at, value) in values.enumerate() {
            let _ = write!(self.out, "{}{value}", if at == 0 { " [" } else { ", " });
        }
        self.out.push_str("]\n");
    }

    pub(super) fn tree(&mut self, key: &str, tree: &Tree) {
        self.key(key);
        self.value(tree);
    }

    /// What follows a colon, or the dash of an item that is no map.
    fn value(&mut self, tree: &Tree) {
        match tree {
            Tree::Map(entries) if !entries.is_empty() => {
                self.out.push('\n');
                self.indent += 2;
                entries.iter().for_each(|(key, value)| self.tree(key, value));
                self.indent -= 2;
            }
            Tree::List(items) if !items.is_empty() => {
                self.out.push('\n');
                self.indent += 2;
                items.iter().for_each(|item| self.item(item));
                self.indent -= 2;
            }
            other => {
                self.out.push(' ');
                leaf(other, &mut self.out);
                self.out.push('\n');
            }
        }
    }

    fn item(&mut self, item: &Tree) {
        match item {
            Tree::Map(entries) if !entries.is_empty() => {
                self.dash = true;
                self.indent += 2;
                entries.iter().for_each(|(key, value)| self.tree(key, value));
                self.indent -= 2;
            }
            other => {
                pad(self.indent, &mut self.out);
                self.out.push('-');
                self.value(other);
            }
        }
    }

    /// A map within; left out when nothing is written into it.
    pub(super) fn map(&mut self, key: &str, fill: impl FnOnce(&mut Self)) {
        let before = (self.out.len(), self.dash);
        self.key(key);
        self.out.push('\n');
        let start = self.out.len();
        self.indent += 2;
        fill(self);
        self.indent -= 2;
        if self.out.len() == start {
            self.out.truncate(before.0);
            self.dash = before.1;
        }
    }

    /// A list of maps; left out when there are no items.
    pub(super) fn list<T>(&mut self, key: &str, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        if items.is_empty() {
            return;
        }
        self.key(key);
        self.out.push('\n');
        self.indent += 4;
        for item in items {
            self.dash = true;
            each(self, item);
        }
        self.indent -= 4;
    }

    pub(super) fn members(&mut self, entries: &[(String, Tree)]) {
        entries.iter().for_each(|(key, value)| self.tree(key, value));
    }
}

fn pad(width: usize, out: &mut String) {
    const SPACES: &str = "                                                                ";
    let mut left = width;
    while left > 0 {
        let some = left.min(SPACES.len());
        out.push_str(&SPACES[..some]);
        left -= some;
    }
}

fn leaf(tree: &Tree, out: &mut String) {
    let _ = match tree {
        Tree::Null => write!(out, "null"),
        Tree::Bool(b) => write!(out, "{b}"),
        Tree::Int(int) => write!(out, "{int}"),
        Tree::Uint(uint) => write!(out, "{uint}"),
        Tree::Float(number) => write!(out, "{}", float(*number)),
        Tree::Text(text) => {
            scalar(text, out);
            Ok(())
        }
        Tree::List(_) => write!(out, "[]"),
        Tree::Map(_) => write!(out, "{{}}"),
    };
}

/// A float that every reader of YAML 1.1 and 1.2 takes for one: with a point, and a sign before the exponent.
pub(super) fn float(number: f64) -> String {
    let text = format!("{number:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => {
            let point = if digits.contains('.') { "" } else { ".0" };
            let sign = if exponent.starts_with('-') { "" } else { "+" };
            format!("{digits}{point}e{sign}{exponent}")
        }
    }
}

/// A string as a scalar.
pub(super) fn scalar(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    // Most of a quoted text needs no escape: it is copied in stretches.
    let mut from = 0;
    for (at, c) in text.char_indices() {
        if needs_no_escape(c) {
            continue;
        }
        out.push_str(&text[from..at]);
        from = at + c.len_utf8();
        let _ = match c {
            '"' => out.write_str("\\\""),
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            other => write!(out, "\\u{:04x}", u32::from(other)),
        };
    }
    out.push_str(&text[from..]);
    out.push('"');
}

/// Characters that YAML calls printable and no reader takes for a line break or a mark of byte order.
fn needs_no_escape(c: char) -> bool {
    match c {
        '"' | '\\' => false,
        ' '..='~' => true,
        '\u{a0}'..='\u{fffd}' => !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'),
        _ => c > '\u{ffff}',
    }
}

/// Whether a string needs no quotes: `[A-Za-z/][A-Za-z0-9_./-]*`, and neither a boolean nor a null of YAML 1.1 or 1.2.
pub(super) fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some(first) = bytes.first() else { return false };
    if !(first.is_ascii_alphabetic() || *first == b'/') {
        return false;
    }
    let safe = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'-');
    bytes.iter().all(safe) && !is_lookalike(text)
}

fn is_lookalike(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    text.len() <= 5 && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_strings_are_plain() {
        for text in ["a", "/api/v1/pods", "apps/v1", "kube-system", "A_b.c"] {
            assert!(is_plain(text), "{text}");
        }
        for text in ["", "no", "Y", "TRUE", "null", "1e3", "00123", "2026-01-01", "a b", "a:", "-a", "~", "é", "a#"] {
            assert!(!is_plain(text), "{text}");
        }
    }

    #[test]
    fn quoted_strings_stay_on_one_line_and_escape_what_yaml_cannot_print() {
        let mut out = String::new();
        scalar("a\n\t\"\\\u{0}\u{7f}\u{85}\u{2028}é😀\u{feff}", &mut out);
        assert_eq!(out, "\"a\\n\\t\\\"\\\\\\u0000\\u007f\\u0085\\u2028é😀\\ufeff\"");
    }

    #[test]
    fn floats_have_a_point() {
        let texts: Vec<_> = [1.0, 1.5, 1e21, -2.5e-10, 0.1].into_iter().map(float).collect();
        assert_eq!(texts, ["1.0", "1.5", "1.0e+21", "-2.5e-10", "0.1"]);
    }

    #[test]
    fn groups_nest() {
        let tree = Tree::from_json(br#"{"a":[1,[2,[]],{"b":[{}],"c":null}],"d":{}}"#).unwrap();
        let mut yaml = Yaml::document("X");
        yaml.tree("tree", &tree);
        let text = yaml.finish();
        let wanted = "---\nkind: X\ntree:\n  a:\n    - 1\n    -\n      - 2\n      - []\n    - b:\n        - {}\n      \
                      c: null\n  d: {}\n";
        assert_eq!(text, wanted);
        let read: Tree = serde_yaml::from_str(&text).unwrap();
        assert_eq!(read.get("tree"), Some(&tree));
    }
}
