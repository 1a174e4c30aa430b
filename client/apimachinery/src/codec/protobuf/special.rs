//! Types whose JSON is not an object of their members: times, quantities, numbers or strings, raw JSON.
//!
//! Counterparts: the hand-written `Marshal` and `Unmarshal` methods of `metav1.Time`, `resource.Quantity` and their kin.

use super::ProtobufError;
use super::envelope::{MAGIC, decode_nested};
use super::wire::{BODY, Reader, Tag, VARINT, Writer};
use crate::catalog::Form;
use crate::codec::json;
use crate::{quantity, time};
use jiff::Timestamp;
use serde_json::Value;

/// Seconds of the years 0 to 9999, which RFC 3339 can write.
const SECONDS: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

// === reading ===

/// Reads the message of a special type into its JSON form.
pub(super) fn read(form: Form, body: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    match form {
        Form::Time => Ok(instant(body)?.map_or(Value::Null, |t| Value::String(time::format_time(t)))),
        Form::MicroTime => Ok(instant(body)?.map_or(Value::Null, |t| Value::String(time::format_micro_time(t)))),
        Form::Duration => Ok(Value::String(time::format_duration(Parts::read(body, "Duration")?.first as i64))),
        Form::Quantity => amount(body),
        Form::IntOrString => int_or_string(body),
        Form::RawExtension | Form::FieldsV1 | Form::Json => raw(form, body, depth),
        Form::Struct | Form::SchemaOr => Ok(Value::Null),
    }
}

/// The first three members of a small message, in the shapes the special types use them.
#[derive(Default)]
struct Parts<'a> {
    first: u64,
    second: u64,
    text: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// Reads numbers 1 and 2 and whatever has a body.
    fn read(body: &'a [u8], message: &str) -> Result<Self, ProtobufError> {
        let mut parts = Self::default();
        let mut reader = Reader::new(body);
        while !reader.is_empty() {
            match reader.tag(message)? {
                Tag { number: 1, wire: VARINT } => parts.first = reader.varint()?,
                Tag { number: 2, wire: VARINT } => parts.second = reader.varint()?,
                Tag { number: 1 | 3, wire: BODY } => parts.text = Some(reader.body()?),
                tag @ Tag { number: 1..=3, .. } => return Err(wrong(message, tag)),
                tag => reader.skip(tag)?,
            }
        }
        Ok(parts)
    }
}

fn wrong(message: &str, tag: Tag) -> ProtobufError {
    let names = match message {
        "Timestamp" => ["Seconds", "Nanos", ""],
        "Quantity" => ["String_", "", ""],
        "IntOrString" => ["Type", "IntVal", "StrVal"],
        "Duration" => ["Duration", "", ""],
        _ => ["Raw", "", ""],
    };
    let field = names.get(tag.number as usize - 1).copied().unwrap_or_default().to_owned();
    ProtobufError::WrongWireType { wire: tag.wire, field }
}

/// `None` for the zero time, which is an empty message.
fn instant(body: &[u8]) -> Result<Option<Timestamp>, ProtobufError> {
    if body.is_empty() {
        return Ok(None);
    }
    let parts = Parts::read(body, "Timestamp")?;
    let (seconds, nanos) = (parts.first as i64, parts.second as i32);
    let time = Some(seconds).filter(|s| SECONDS.contains(s)).and_then(|s| Timestamp::new(s, nanos).ok());
    let Some(time) = time else {
        return Err(ProtobufError::Value("Time.MarshalJSON: year outside of range [0,9999]".to_owned()));
    };
    Ok(Some(time).filter(|t| !time::is_zero(*t)))
}

fn amount(body: &[u8]) -> Result<Value, ProtobufError> {
    match Parts::read(body, "Quantity")?.text {
        None => Ok(Value::from("0")),
        Some(text) => quantity::canonical(&String::from_utf8_lossy(text))
            .map(Value::String)
            .map_err(|error| ProtobufError::Value(error.to_string())),
    }
}

fn int_or_string(body: &[u8]) -> Result<Value, ProtobufError> {
    let parts = Parts::read(body, "IntOrString")?;
    match parts.first as i64 {
        0 => Ok(Value::from(parts.second as i32)),
        1 => Ok(Value::String(string(parts.text.unwrap_or_default()))),
        _ => Err(ProtobufError::Value("impossible IntOrString.Type".to_owned())),
    }
}

/// JSON bytes, or an object in an envelope of its own.
fn raw(form: Form, body: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    let text = Parts::read(body, "RawExtension")?.text.unwrap_or_default();
    if text.is_empty() {
        return Ok(Value::Null);
    }
    if form == Form::RawExtension && text.starts_with(&MAGIC) {
        return decode_nested(text, depth + 1);
    }
    json::parse(text).map(|(value, _)| value).map_err(|error| ProtobufError::Value(error.to_string()))
}

/// A string; what is not UTF-8 is replaced.
pub(super) fn string(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

// === writing ===

/// Writes the content of a special type's message. Values that do not fit count as zero.
pub(super) fn write(form: Form, value: &Value, out: &mut Writer) {
    match form {
        Form::Time => instant_out(value, time::parse_time, out),
        Form::MicroTime => instant_out(value, time::parse_micro_time, out),
        Form::Duration => out.integer(1, value.as_str().and_then(|s| time::parse_duration(s).ok()).unwrap_or_default()),
        Form::Quantity => out.bytes(1, value.as_str().unwrap_or("0").as_bytes()),
        Form::IntOrString => {
            out.bytes(3, value.as_str().unwrap_or_default().as_bytes());
            out.integer(2, value.as_i64().unwrap_or_default());
            out.integer(1, i64::from(value.is_string()));
        }
        Form::RawExtension | Form::FieldsV1 | Form::Json => {
            if !value.is_null() {
                out.bytes(1, &json::encode(value, None));
            }
        }
        Form::Struct | Form::SchemaOr => {}
    }
}

/// The zero time is an empty message.
fn instant_out(value: &Value, parse: fn(&str) -> Result<Timestamp, String>, out: &mut Writer) {
    let Some(time) = value.as_str().and_then(|s| parse(s).ok()).filter(|t| !time::is_zero(*t)) else { return };
    // jiff rounds towards zero, Go downwards with a positive rest.
    let nanos = time.as_nanosecond();
    out.integer(2, i64::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default());
    out.integer(1, i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or_default());
}
