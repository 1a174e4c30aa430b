//! Reading a patch: the document, and the members it repeats, with Go's refusals.
//!
//! Counterpart: `sigs.k8s.io/json` `UnmarshalStrict` into an untyped value. Later duplicates win.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// The server keeps no more findings than this.
const MAX_FINDINGS: usize = 100;

/// Parses a document; the findings are `duplicate field "a.b[0].c"`.
///
/// # Errors
/// Go's text of the syntax error.
pub(super) fn parse(bytes: &[u8]) -> Result<(Value, Vec<String>), String> {
    let mut findings = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let seed = Reader { place: &Place::Root, findings: &mut findings };
    let value = seed.deserialize(&mut reader).and_then(|v| reader.end().map(|()| v));
    value.map(|v| (v, findings)).map_err(|e| go_error(bytes, &e))
}

/// A place in the document, on the call stack; written out only where something is found there.
enum Place<'p> {
    Root,
    Member(&'p Place<'p>, &'p str),
    Item(&'p Place<'p>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(Self::Root, key) => f.write_str(key),
            Self::Member(parent, key) => write!(f, "{parent}.{key}"),
            Self::Item(parent, i) => write!(f, "{parent}[{i}]"),
        }
    }
}

struct Reader<'a> {
    place: &'a Place<'a>,
    findings: &'a mut Vec<String>,
}

impl Reader<'_> {
    /// Notes a repeated member.
    fn repeated(&mut self, place: &Place<'_>) {
        if self.findings.len() >= MAX_FINDINGS {
            return;
        }
        let finding = format!("duplicate field {}", rehearsal_apimachinery::field::go_quote(&place.to_string()));
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Number::from_f64(v).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let place = Place::Item(self.place, items.len());
            match seq.next_element_seed(Reader { place: &place, findings: &mut *self.findings })? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let place = Place::Member(self.place, &key);
            if map.contains_key(&key) {
                self.repeated(&place);
            }
            let value = access.next_value_seed(Reader { place: &place, findings: &mut *self.findings })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// Says in Go's words where the document breaks.
fn go_error(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".into();
    }
    let text = error.to_string();
    let line_start: usize =
        bytes.split(|b| *b == b'\n').take(error.line().saturating_sub(1)).map(|line| line.len() + 1).sum();
    let at = line_start + error.column().saturating_sub(1);
    let Some(byte) = bytes.get(at).copied() else { return "unexpected end of JSON input".into() };
    let place = match text.as_str() {
        t if t.starts_with("key must be a string") => "looking for beginning of object key string",
        t if t.starts_with("trailing comma") && byte == b'}' => "looking for beginning of object key string",
        t if t.starts_with("expected `:`") => "after object key",
        t if t.starts_with("expected `,` or `}`") => "after object key:value pair",
        t if t.starts_with("expected `,` or `]`") => "after array element",
        t if t.starts_with("trailing characters") => "after top-level value",
        t if t.starts_with("invalid escape") => "in string escape code",
        t if t.starts_with("control character") => "in string literal",
        t if t.starts_with("invalid number") => "in numeric literal",
        _ => "looking for beginning of value",
    };
    format!("invalid character {} {place}", quote(byte))
}

fn quote(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".into(),
        b'"' => "'\"'".into(),
        b'\n' => r"'\n'".into(),
        b'\t' => r"'\t'".into(),
        b'\r' => r"'\r'".into(),
        b if b < 0x20 || b == 0x7f => format!("'\\x{b:02x}'"),
        b => format!("'{}'", char::from(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_members_are_reported_once_with_their_path() {
        let (value, findings) = parse(br#"{"a":{"b":1,"b":2,"b":3},"c":[{"d":1,"d":2}],"a":{}}"#).unwrap();
        assert_eq!(value, serde_json::json!({"a": {}, "c": [{"d": 2}]}));
        assert_eq!(findings, ["duplicate field \"a.b\"", "duplicate field \"c[0].d\"", "duplicate field \"a\""]);
    }

    #[test]
    fn refusals_use_gos_words() {
        let cases = [
            ("", "unexpected end of JSON input"),
            ("{\"a\":", "unexpected end of JSON input"),
            ("xyz", "invalid character 'x' looking for beginning of value"),
            ("{x", "invalid character 'x' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
        ];
        for (text, error) in cases {
            assert_eq!(parse(text.as_bytes()).unwrap_err(), error, "{text:?}");
        }
    }
}
