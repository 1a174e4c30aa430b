//! A [`Tree`] as JSON bytes, as the programs that talk to API servers write it.
//!
//! Counterpart: Go's `encoding/json` (escapes, float form, `Indent`); `spaced` and `ascii` are Python's `json.dumps`.
//! `serde_json` differs in floats and escapes, so the text is made here.

use super::model::Render;
use super::tree::Tree;

/// The bytes of a tree.
#[must_use]
pub fn render(tree: &Tree, how: Render) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    value(tree, how, 0, &mut out);
    if how.newline {
        out.push(b'\n');
    }
    out
}

/// The forms a text can have, likeliest first. Where two give the same bytes the first is recorded, so the order is
/// part of the canonical form.
pub(crate) fn candidates(text: &[u8]) -> Vec<Render> {
    let newline = text.ends_with(b"\n");
    let indent = text.starts_with(b"{\n") || text.starts_with(b"[\n");
    let plain = Render { newline, indent, ..Render::default() };
    let go = Render { html: true, ..plain };
    let python = Render { spaced: true, ascii: true, ..plain };
    let mut all = if newline || indent { vec![go, plain] } else { vec![plain, go] };
    if !indent {
        all.push(python);
        all.push(Render { ascii: false, ..python });
    }
    all.push(Render { ascii: true, ..plain });
    all
}

fn value(tree: &Tree, how: Render, depth: usize, out: &mut Vec<u8>) {
    match tree {
        Tree::Null => out.extend_from_slice(b"null"),
        Tree::Bool(true) => out.extend_from_slice(b"true"),
        Tree::Bool(false) => out.extend_from_slice(b"false"),
        Tree::Int(int) => out.extend_from_slice(int.to_string().as_bytes()),
        Tree::Uint(uint) => out.extend_from_slice(uint.to_string().as_bytes()),
        Tree::Float(number) => out.extend_from_slice(float(*number).as_bytes()),
        Tree::Text(text) => string(text, how, out),
        Tree::List(items) => group(b"[]", items, how, depth, out, |item, out| value(item, how, depth + 1, out)),
        Tree::Map(entries) => group(b"{}", entries, how, depth, out, |(key, member), out| {
            string(key, how, out);
            out.extend_from_slice(if how.indent || how.spaced { b": " } else { b":" });
            value(member, how, depth + 1, out);
        }),
    }
}

fn group<T>(
    brackets: &[u8; 2],
    items: &[T],
    how: Render,
    depth: usize,
    out: &mut Vec<u8>,
    mut each: impl FnMut(&T, &mut Vec<u8>),
) {
    out.push(brackets[0]);
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(if how.spaced && !how.indent { b", " } else { b"," });
        }
        if how.indent {
            line(depth + 1, out);
        }
        each(item, out);
    }
    if how.indent && !items.is_empty() {
        line(depth, out);
    }
    out.push(brackets[1]);
}

fn line(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', depth * 2));
}

fn string(text: &str, how: Render, out: &mut Vec<u8>) {
    out.push(b'"');
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&');
    if text.bytes().all(plain) {
        out.extend_from_slice(text.as_bytes());
    } else {
        text.chars().for_each(|c| character(c, how, out));
    }
    out.push(b'"');
}

fn character(c: char, how: Render, out: &mut Vec<u8>) {
    let short = match c {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        _ => 0,
    };
    let escaped = c < ' '
        || how.html && matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
        || how.ascii && !(' '..='~').contains(&c);
    if short != 0 {
        out.extend_from_slice(&[b'\\', short]);
    } else if escaped {
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
        }
    } else {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// A float as Go writes it: shortest digits that read back, with an exponent below 1e-6 and from 1e21. What JSON has no
/// word for is `null`.
fn float(number: f64) -> String {
    if !number.is_finite() {
        return "null".into();
    }
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        // Rust writes 1.5e21 where Go has 1.5e+21; small ones look alike.
        let text = format!("{number:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => text,
        };
    }
    format!("{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(text: &str) -> String {
        let tree = Tree::from_json(text.as_bytes()).unwrap();
        String::from_utf8(render(&tree, Render { html: true, ..Render::default() })).unwrap()
    }

    #[test]
    fn floats_look_as_go_writes_them() {
        for text in ["1.5", "1e+21", "100000000000000000000", "1e-7", "0.000001", "-0", "1.7976931348623157e+308"] {
            assert_eq!(go(text), text);
        }
        assert_eq!(go("1.0"), "1");
    }

    #[test]
    fn escapes_look_as_go_writes_them() {
        assert_eq!(
            go(r#""<a>&\u2028\u0001\b\f\n\r\t\"\\é€😀""#),
            r#""\u003ca\u003e\u0026\u2028\u0001\b\f\n\r\t\"\\é€😀""#
        );
    }

    #[test]
    fn indented_text_keeps_empty_groups_closed() {
        let tree = Tree::from_json(br#"{"a":[],"b":{},"c":[1,{"d":null}]}"#).unwrap();
        let text = render(&tree, Render { indent: true, ..Render::default() });
        let wanted = "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": null\n    }\n  ]\n}";
        assert_eq!(String::from_utf8(text).unwrap(), wanted);
    }

    #[test]
    fn python_writes_spaces_and_ascii() {
        let tree = Tree::from_json(r#"{"a":[1,"é😀"]}"#.as_bytes()).unwrap();
        let text = render(&tree, Render { spaced: true, ascii: true, ..Render::default() });
        assert_eq!(String::from_utf8(text).unwrap(), r#"{"a": [1, "\u00e9\ud83d\ude00"]}"#);
    }
}
