//! YAML to JSON.
//!
//! `serde_yaml` resolves scalars by YAML 1.2 and hides where they stand. Both are recovered from the text itself: a
//! scalar that is borrowed from the input tells by its address on which line it is and whether it was quoted.

use crate::codec::json::DecodeError;
use crate::field::go_quote;
use serde::de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::{Cell, RefCell};
use std::fmt;

/// Reads the first document of a YAML stream. Findings hold at most one entry, the one that lists duplicate keys:
/// `yaml: unmarshal errors:\n  line 3: key "name" already set in map`. An empty stream is null.
///
/// # Errors
/// [`DecodeError::Syntax`] with the text yaml.v2 prints, `yaml: line 2: did not find expected ',' or ']'`.
pub fn parse(bytes: &[u8]) -> Result<(Value, Vec<String>), DecodeError> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(DecodeError::Syntax("yaml: invalid leading UTF-8 octet".to_owned()));
    };
    let Some(document) = serde_yaml::Deserializer::from_str(text).next() else {
        return Ok((Value::Null, Vec::new()));
    };
    let duplicates = RefCell::new(Vec::new());
    let counted = Cell::new((0, 1));
    let reader = Reader { text, duplicates: &duplicates, counted: &counted };
    let scalar = reader.deserialize(document).map_err(|e| DecodeError::Syntax(refusal(&e.to_string(), text)))?;
    let duplicates = duplicates.into_inner();
    let findings = match duplicates.is_empty() {
        true => Vec::new(),
        false => vec![format!("yaml: unmarshal errors:\n  {}", duplicates.join("\n  "))],
    };
    Ok((scalar.value, findings))
}

/// Parses a document that must be a map; nothing and `null` are an empty one.
///
/// # Errors
/// [`DecodeError`] with the text of `sigs.k8s.io/yaml`.
pub fn parse_map(bytes: &[u8]) -> Result<(Value, Vec<String>), DecodeError> {
    let (value, findings) =
        parse(bytes).map_err(|e| DecodeError::Syntax(format!("error converting YAML to JSON: {e}")))?;
    let word = match value {
        Value::Object(_) => return Ok((value, findings)),
        Value::Null => return Ok((Value::Object(Map::new()), findings)),
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
    };
    Err(DecodeError::Type(format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {word} into Go value of type \
         map[string]interface {{}}"
    )))
}

/// Messages of the parser proper; all others are the scanner's, which counts lines differently.
const PARSER: [&str; 7] = [
    "did not find expected <document start>",
    "did not find expected node content",
    "did not find expected '-' indicator",
    "did not find expected key",
    "did not find expected ',' or ']'",
    "did not find expected ',' or '}'",
    "found undefined tag handle",
];

/// Turns a message of `serde_yaml` into one of yaml.v2.
fn refusal(message: &str, text: &str) -> String {
    if let Some((_, number)) = message.split_once("json: unsupported value: ") {
        return format!("json: unsupported value: {}", number.split(' ').next().unwrap_or(number));
    }
    let (problem, place) = message.split_once(" at line ").unwrap_or((message, ""));
    let problem = problem.split(" at position ").next().unwrap_or(problem);
    let problem = problem.split(", while ").next().unwrap_or(problem);
    let mut numbers = place.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<usize>().ok());
    let (line, column) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1));
    if problem == "unknown anchor" {
        let rest = text.lines().nth(line - 1).and_then(|l| l.get(column..)).unwrap_or_default();
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
        return format!("yaml: unknown anchor '{name}' referenced");
    }
    match (line - 1, PARSER.contains(&problem)) {
        (0, _) => format!("yaml: {problem}"),
        (before, true) => format!("yaml: line {before}: {problem}"),
        (_, false) => format!("yaml: line {line}: {problem}"),
    }
}

/// A value and where its first scalar stands, if that is known.
struct Placed {
    value: Value,
    at: Option<usize>,
    /// Written without quotes, hence open to interpretation.
    plain: bool,
}

impl Placed {
    fn new(value: impl Into<Value>) -> Self {
        Self { value: value.into(), at: None, plain: true }
    }
}

#[derive(Clone, Copy)]
struct Reader<'r> {
    text: &'r str,
    duplicates: &'r RefCell<Vec<String>>,
    /// The last offset whose line was asked for, and that line: many questions in order cost one walk.
    counted: &'r Cell<(usize, usize)>,
}

impl Reader<'_> {
    /// The line of an offset, from 1.
    fn line(self, at: usize) -> usize {
        let (from, line) = match self.counted.get() {
            known if known.0 <= at => known,
            _ => (0, 1),
        };
        let between = self.text.as_bytes().get(from..at).unwrap_or_default();
        let line = line + between.iter().filter(|b| **b == b'\n').count();
        self.counted.set((at, line));
        line
    }

    /// Where a borrowed scalar stands.
    fn offset(self, scalar: &str) -> Option<usize> {
        let at = (scalar.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        (at <= self.text.len()).then_some(at)
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Placed;
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Placed, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Placed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Placed, E> {
        Ok(Placed::new(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Placed, E> {
        Ok(Placed::new(Value::Null))
    }

    fn visit_some<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Placed, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, b: bool) -> Result<Placed, E> {
        Ok(Placed::new(b))
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Placed, E> {
        Ok(Placed::new(n))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Placed, E> {
        Ok(Placed::new(n))
    }

    fn visit_i128<E: de::Error>(self, n: i128) -> Result<Placed, E> {
        self.visit_f64(n as f64)
    }

    fn visit_u128<E: de::Error>(self, n: u128) -> Result<Placed, E> {
        self.visit_f64(n as f64)
    }

    fn visit_f64<E: de::Error>(self, n: f64) -> Result<Placed, E> {
        match Number::from_f64(n) {
            Some(_) if n.fract() == 0.0 && n.abs() < 1e15 => Ok(Placed::new(n as i64)),
            Some(n) => Ok(Placed::new(Value::Number(n))),
            None => {
                let name = if n.is_nan() {
                    "NaN"
                } else if n > 0.0 {
                    "+Inf"
                } else {
                    "-Inf"
                };
                Err(E::custom(format!("json: unsupported value: {name}")))
            }
        }
    }

    fn visit_str<E: de::Error>(self, s: &str) -> Result<Placed, E> {
        Ok(Placed { value: Value::from(s), at: None, plain: false })
    }

    fn visit_borrowed_str<E: de::Error>(self, s: &'de str) -> Result<Placed, E> {
        let at = self.offset(s);
        let before = at.and_then(|i| i.checked_sub(1)).and_then(|i| self.text.as_bytes().get(i));
        let tagged = at.and_then(|i| self.text.get(..i)).is_some_and(|t| t.trim_end().ends_with("!!str"));
        let plain = at.is_some() && !tagged && !matches!(before, Some(b'"' | b'\''));
        let value = plain.then(|| resolve(s)).flatten().unwrap_or_else(|| Value::from(s));
        Ok(Placed { value, at, plain })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Placed, A::Error> {
        let mut out = Vec::new();
        let mut first = None;
        while let Some(item) = items.next_element_seed(self)? {
            first = first.or(item.at);
            out.push(item.value);
        }
        Ok(Placed { value: Value::Array(out), at: first, plain: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Placed, A::Error> {
        let mut out = Map::new();
        let mut inherited = Vec::new();
        let mut first = None;
        while let Some(key) = members.next_key_seed(self)? {
            let member = members.next_value_seed(self)?;
            first = first.or(key.at);
            if key.plain && key.value == "<<" {
                inherited.push(member.value);
                continue;
            }
            let name = key_name(&key.value);
            if out.contains_key(&name) {
                let line = member.at.or(key.at).map_or(0, |at| self.line(at));
                let shown = if key.value.is_string() { go_quote(&name) } else { name.clone() };
                self.duplicates.borrow_mut().push(format!("line {line}: key {shown} already set in map"));
            }
            out.insert(name, member.value);
        }
        inherited.into_iter().for_each(|from| inherit(&mut out, from));
        Ok(Placed { value: Value::Object(out), at: first, plain: false })
    }

    /// A value with a tag of its own: the tag says nothing to JSON.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Placed, A::Error> {
        let (_, content) = tagged.variant::<String>()?;
        content.newtype_variant_seed(self)
    }
}

/// Merges the maps of a `<<` below the members that are there.
fn inherit(into: &mut Map<String, Value>, from: Value) {
    match from {
        Value::Object(members) => {
            for (name, value) in members {
                into.entry(name).or_insert(value);
            }
        }
        Value::Array(maps) => maps.into_iter().for_each(|map| inherit(into, map)),
        _ => {}
    }
}

/// A key as JSON spells it.
fn key_name(key: &Value) -> String {
    match key {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

/// What YAML 1.1 makes of a plain scalar that YAML 1.2 calls a string.
fn resolve(plain: &str) -> Option<Value> {
    match plain {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Some(Value::Bool(true)),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Some(Value::Bool(false)),
        _ => {}
    }
    if !plain.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let digits = plain.replace('_', "");
    let (sign, body) = match digits.strip_prefix('-') {
        Some(body) => ("-", body),
        None => ("", digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let (radix, body) = match body.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &body[2..]),
        [b'0', b'o' | b'O', ..] => (8, &body[2..]),
        [b'0', b'b' | b'B', ..] => (2, &body[2..]),
        [b'0', _, ..] => (8, &body[1..]),
        _ => (10, body),
    };
    if body.starts_with(['+', '-']) {
        return None;
    }
    if let Ok(n) = i64::from_str_radix(&format!("{sign}{body}"), radix) {
        return Some(Value::from(n));
    }
    let float_like = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    let float = digits
        .parse::<f64>()
        .ok()
        .filter(|f| float_like && f.is_finite() && digits.ends_with(|c: char| c.is_ascii_digit()));
    float.and_then(Number::from_f64).map(Value::Number)
}

/// Whether a text would be read as something other than a string if it stood without quotes.
pub(super) fn is_ambiguous(text: &str) -> bool {
    const WORDS: [&str; 19] = [
        "", "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", "<<", ".nan", ".NaN",
        ".NAN", ".inf", ".Inf", ".INF", "=",
    ];
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    // `0.` is a float although it ends in its point.
    let float = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') && unsigned.parse::<f64>().is_ok();
    let word = WORDS.contains(&text) || matches!(unsigned, ".inf" | ".Inf" | ".INF");
    word || float || resolve(text).is_some() || is_date(text)
}

/// Whether a text looks like a YAML 1.1 timestamp or a number of base 60, which are quoted to stay texts.
fn is_date(text: &str) -> bool {
    let b = text.as_bytes();
    let date = b.len() >= 8
        && b[..4].iter().all(u8::is_ascii_digit)
        && b[4] == b'-'
        && b.iter().all(|c| c.is_ascii_digit() || matches!(c, b'-' | b':' | b'T' | b't' | b'Z' | b'.' | b' ' | b'+'))
        && b.iter().filter(|c| **c == b'-').count() >= 2;
    let sixty = text.strip_prefix(['+', '-']).unwrap_or(text);
    let base60 = sixty.contains(':')
        && sixty.starts_with(|c: char| c.is_ascii_digit())
        && sixty.split(':').skip(1).all(|part| {
            let whole = part.split('.').next().unwrap_or_default();
            (1..=2).contains(&whole.len()) && whole.bytes().all(|c| c.is_ascii_digit()) && whole < "60"
        });
    date || base60
}
