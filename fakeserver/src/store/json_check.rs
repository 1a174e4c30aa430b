//! Go's words for what is wrong with a piece of JSON. Counterpart: `encoding/json` `scanner.go`.
//!
//! Only the check: a text that passes is decoded by `serde_json`.

use serde_json::Value;

/// Deepest nesting Go accepts.
const MAX_DEPTH: usize = 10_000;

/// What Go's `json.Unmarshal` says about a text that is not JSON; `None` when it is.
pub(super) fn json_error(text: &[u8]) -> Option<String> {
    Scanner { text, at: 0, open: Vec::new() }.document().err()
}

/// Go's word for the type of a value in a type error.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    open: Vec<Container>,
}

type Check = Result<(), String>;

impl Scanner<'_> {
    fn document(&mut self) -> Check {
        loop {
            if self.value()? {
                continue;
            }
            // A value has ended: close what it completes, until another value is due.
            loop {
                match self.open.last() {
                    None => return self.end_of_document(),
                    Some(Container::Object) => match self.significant()? {
                        b',' => {
                            self.key("looking for beginning of object key string")?;
                            break;
                        }
                        b'}' => drop(self.open.pop()),
                        other => return Err(invalid(other, "after object key:value pair")),
                    },
                    Some(Container::Array) => match self.significant()? {
                        b',' => break,
                        b']' => drop(self.open.pop()),
                        other => return Err(invalid(other, "after array element")),
                    },
                }
            }
        }
    }

    /// Reads a scalar or an empty container (false), or opens a container whose first value is due (true).
    fn value(&mut self) -> Result<bool, String> {
        match self.significant()? {
            b'{' => self.open_object(),
            b'[' => self.open_array(),
            b'"' => self.string().map(|()| false),
            b'-' => {
                let first = self.next()?;
                if !first.is_ascii_digit() {
                    return Err(invalid(first, "in numeric literal"));
                }
                self.number(first).map(|()| false)
            }
            first @ b'0'..=b'9' => self.number(first).map(|()| false),
            b't' => self.literal("true").map(|()| false),
            b'f' => self.literal("false").map(|()| false),
            b'n' => self.literal("null").map(|()| false),
            other => Err(invalid(other, "looking for beginning of value")),
        }
    }

    fn push(&mut self, container: Container) -> Check {
        self.open.push(container);
        if self.open.len() > MAX_DEPTH { Err("exceeded max depth".to_owned()) } else { Ok(()) }
    }

    fn open_object(&mut self) -> Result<bool, String> {
        self.push(Container::Object)?;
        if self.peek_significant() == Some(b'}') {
            self.at += 1;
            self.open.pop();
            return Ok(false);
        }
        self.key("looking for beginning of object key string")?;
        Ok(true)
    }

    fn open_array(&mut self) -> Result<bool, String> {
        self.push(Container::Array)?;
        if self.peek_significant() == Some(b']') {
            self.at += 1;
            self.open.pop();
            return Ok(false);
        }
        Ok(true)
    }

    fn key(&mut self, context: &str) -> Check {
        match self.significant()? {
            b'"' => self.string()?,
            other => return Err(invalid(other, context)),
        }
        match self.significant()? {
            b':' => Ok(()),
            other => Err(invalid(other, "after object key")),
        }
    }

    fn string(&mut self) -> Check {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                control @ 0..=0x1f => return Err(invalid(control, "in string literal")),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Check {
        match self.next()? {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    let digit = self.next()?;
                    if !digit.is_ascii_hexdigit() {
                        return Err(invalid(digit, "in \\u hexadecimal character escape"));
                    }
                }
                Ok(())
            }
            other => Err(invalid(other, "in string escape code")),
        }
    }

    fn number(&mut self, first: u8) -> Check {
        if first != b'0' {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn some_digits(&mut self, context: &str) -> Check {
        let first = self.next()?;
        if !first.is_ascii_digit() {
            return Err(invalid(first, context));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &str) -> Check {
        for expected in word.bytes().skip(1) {
            let found = self.next()?;
            if found != expected {
                return Err(invalid(found, &format!("in literal {word} (expecting {})", quote(expected))));
            }
        }
        Ok(())
    }

    fn end_of_document(&mut self) -> Check {
        self.peek_significant().map_or(Ok(()), |byte| Err(invalid(byte, "after top-level value")))
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, String> {
        let byte = self.peek().ok_or("unexpected end of JSON input")?;
        self.at += 1;
        Ok(byte)
    }

    fn peek_significant(&mut self) -> Option<u8> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.peek()
    }

    fn significant(&mut self) -> Result<u8, String> {
        self.peek_significant();
        self.next()
    }
}

fn invalid(byte: u8, context: &str) -> String {
    format!("invalid character {} {context}", quote(byte))
}

/// A byte as Go's scanner quotes it: taken for a code point, in single quotes.
fn quote(byte: u8) -> String {
    let inner = match byte {
        b'\'' => "\\'".to_owned(),
        b'\\' => "\\\\".to_owned(),
        0x07 => "\\a".to_owned(),
        0x08 => "\\b".to_owned(),
        0x0b => "\\v".to_owned(),
        0x0c => "\\f".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        0..=0x1f | 0x7f => format!("\\x{byte:02x}"),
        0x80..=0xa0 | 0xad => format!("\\u{byte:04x}"),
        _ => char::from(byte).to_string(),
    };
    format!("'{inner}'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn faults_are_named_in_gos_words() {
        for (text, message) in [
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{x", "invalid character 'x' looking for beginning of object key string"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{} {", "invalid character '{' after top-level value"),
            ("01", "invalid character '1' after top-level value"),
            ("trux", "invalid character 'x' in literal true (expecting 'e')"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\\u00g0\"", "invalid character 'g' in \\u hexadecimal character escape"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("'", "invalid character '\\'' looking for beginning of value"),
            ("\u{e9}", "invalid character 'Ã' looking for beginning of value"),
            ("[", "unexpected end of JSON input"),
        ] {
            assert_eq!(json_error(text.as_bytes()).as_deref(), Some(message), "{text}");
        }
    }

    #[test]
    fn json_passes() {
        for text in ["{}", "[]", " [ { \"a\" : [ ] , \"b\" : -0.5e+7 } , null ] ", "\"\\u00e9\\n\"", "0", "true"] {
            assert_eq!(json_error(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn depth_has_an_end() {
        assert_eq!(json_error("[".repeat(10_001).as_bytes()).as_deref(), Some("exceeded max depth"));
    }

    proptest! {
        #[test]
        fn verdicts_agree_with_serde_json(text in "[\\[\\]{},:\"a0-9.eE+\\- tn\\\\]{0,12}") {
            let ours = json_error(text.as_bytes()).is_none();
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(ours, theirs);
        }
    }
}
