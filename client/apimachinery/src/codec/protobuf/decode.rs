//! Messages into JSON values.
//!
//! Counterpart: the generated `Unmarshal` methods followed by `encoding/json`: the last of several scalars wins,
//! messages merge, lists grow, unknown members are passed over, and zeros are dropped where `omitempty` says so.

use super::plan::{Card, Kind, Member, MessageId, Plans, SchemaOther, go_name};
use super::wire::{BODY, FIXED64, Reader, VARINT};
use super::{MAX_DEPTH, ProtobufError, special};
use crate::catalog::{TypeId, Types};
use crate::codec::json;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Reads a message of a type into the JSON form a Go round trip leaves of it; `kind` and `apiVersion` are not on the
/// wire.
///
/// # Errors
/// [`ProtobufError`] with the text of Go's generated code.
pub fn decode_message(raw: &[u8], types: &Types, root: TypeId) -> Result<Value, ProtobufError> {
    decode_at(raw, types, root, 0)
}

/// Reads a message that is nested this deep already.
pub(super) fn decode_at(raw: &[u8], types: &Types, root: TypeId, depth: usize) -> Result<Value, ProtobufError> {
    let mut members = Map::new();
    Decoder { plans: &Plans::of(types) }.message(raw, Plans::id(root), &mut members, depth)?;
    Ok(Value::Object(members))
}

pub(super) struct Decoder<'p> {
    pub(super) plans: &'p Plans,
}

impl Decoder<'_> {
    fn message(
        &self,
        raw: &[u8],
        id: MessageId,
        into: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), ProtobufError> {
        if depth > MAX_DEPTH {
            return Err(ProtobufError::TooDeep);
        }
        let message = self.plans.get(id);
        let mut reader = Reader::new(raw);
        while !reader.is_empty() {
            let tag = reader.tag(&message.name)?;
            match message.member(tag.number) {
                Some(member) => self.member(&mut reader, tag.wire, member, into, depth)?,
                None => reader.skip(tag)?,
            }
        }
        for (name, zero) in &message.always {
            if !into.contains_key(name) {
                into.insert(name.clone(), zero.clone());
            }
        }
        Ok(())
    }

    fn member(
        &self,
        reader: &mut Reader<'_>,
        wire: u8,
        member: &Member,
        into: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), ProtobufError> {
        if let (Card::List, BODY, Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Double) =
            (member.card, wire, member.kind)
        {
            return self.packed(reader.body()?, member, into);
        }
        check_wire(member, wire)?;
        match (member.card, member.kind) {
            (_, Kind::Inline(id)) => self.message(reader.body()?, id, into, depth + 1),
            (Card::Map, _) => {
                let (key, value) = self.entry(reader.body()?, member, depth)?;
                put(into, &member.name, key, value);
                Ok(())
            }
            (Card::List, kind) => {
                let value = self.value(reader, kind, None, depth)?;
                push(into, &member.name, value);
                Ok(())
            }
            (Card::One, kind) => {
                let before = match kind {
                    Kind::Message(_) | Kind::Strings => into.get_mut(&member.name).map(Value::take),
                    _ => None,
                };
                let value = self.value(reader, kind, before, depth)?;
                settle(into, member, value);
                Ok(())
            }
        }
    }

    fn packed(&self, body: &[u8], member: &Member, into: &mut Map<String, Value>) -> Result<(), ProtobufError> {
        let mut reader = Reader::new(body);
        while !reader.is_empty() {
            let value = self.value(&mut reader, member.kind, None, 0)?;
            push(into, &member.name, value);
        }
        Ok(())
    }

    /// A map entry; what is missing is zero. Go does not look at wire types here.
    pub(super) fn entry(&self, body: &[u8], member: &Member, depth: usize) -> Result<(String, Value), ProtobufError> {
        let mut reader = Reader::new(body);
        let (mut key, mut value) = (String::new(), None);
        while !reader.is_empty() {
            let tag = reader.tag("map entry")?;
            match tag.number {
                1 => key = special::string(reader.body()?),
                2 => value = Some(self.value(&mut reader, member.kind, None, depth)?),
                _ => reader.skip(tag)?,
            }
        }
        let value = match value {
            // Go starts from nil here, and an empty message adds nothing to it.
            Some(Value::Array(items)) if items.is_empty() => Value::Null,
            Some(value) => value,
            None if member.kind == Kind::Strings => Value::Null,
            None => self.zero(member.kind, depth)?,
        };
        Ok((key, value))
    }

    /// What an entry without a value holds.
    fn zero(&self, kind: Kind, depth: usize) -> Result<Value, ProtobufError> {
        match kind {
            Kind::Double => Ok(Value::from(0)),
            // A number, a length or a message: each reads as its zero from one zero byte.
            kind => self.value(&mut Reader::new(&[0]), kind, None, depth),
        }
    }

    fn value(
        &self,
        reader: &mut Reader<'_>,
        kind: Kind,
        before: Option<Value>,
        depth: usize,
    ) -> Result<Value, ProtobufError> {
        Ok(match kind {
            Kind::Bool => Value::Bool(reader.varint()? != 0),
            Kind::Int32 => Value::from(reader.varint()? as i32),
            Kind::Int64 => Value::from(reader.varint()? as i64),
            Kind::Double => json::from_f64(f64::from_bits(reader.fixed64()?)).map_or(Value::Null, Value::Number),
            Kind::String => Value::String(special::string(reader.body()?)),
            Kind::Bytes => Value::String(STANDARD.encode(reader.body()?)),
            Kind::Special(form) => special::read(form, reader.body()?, depth)?,
            Kind::Message(id) => self.object(reader.body()?, id, before, depth)?,
            Kind::Strings => strings(reader.body()?, before)?,
            Kind::SchemaOr(other, schema) => self.schema_or(reader.body()?, other, schema, depth)?,
            Kind::Inline(_) => Value::Null,
        })
    }

    fn object(&self, body: &[u8], id: MessageId, before: Option<Value>, depth: usize) -> Result<Value, ProtobufError> {
        let mut members = match before {
            Some(Value::Object(members)) => members,
            _ => Map::new(),
        };
        self.message(body, id, &mut members, depth + 1)?;
        Ok(Value::Object(members))
    }

    pub(super) fn schema_or(
        &self,
        body: &[u8],
        other: SchemaOther,
        schema: MessageId,
        depth: usize,
    ) -> Result<Value, ProtobufError> {
        let (schema_number, other_number) = if other == SchemaOther::Bool { (2, 1) } else { (1, 2) };
        let (mut found, mut allows, mut items) = (None, false, Vec::new());
        let mut reader = Reader::new(body);
        while !reader.is_empty() {
            let tag = reader.tag("JSONSchemaPropsOr")?;
            if tag.number == schema_number && tag.wire == BODY {
                found = Some(self.object(reader.body()?, schema, found, depth)?);
            } else if tag.number == other_number {
                match (other, tag.wire) {
                    (SchemaOther::Bool, VARINT) => allows = reader.varint()? != 0,
                    (SchemaOther::Schemas, BODY) => items.push(self.object(reader.body()?, schema, None, depth)?),
                    (SchemaOther::Strings, BODY) => items.push(Value::String(special::string(reader.body()?))),
                    (_, wire) => {
                        let field = match other {
                            SchemaOther::Bool => "Allows",
                            SchemaOther::Schemas => "JSONSchemas",
                            SchemaOther::Strings => "Property",
                        };
                        return Err(ProtobufError::WrongWireType { wire, field: field.to_owned() });
                    }
                }
            } else if tag.number == schema_number {
                return Err(ProtobufError::WrongWireType { wire: tag.wire, field: "Schema".to_owned() });
            } else {
                reader.skip(tag)?;
            }
        }
        Ok(match (other, found) {
            (SchemaOther::Schemas | SchemaOther::Strings, _) if !items.is_empty() => Value::Array(items),
            (_, Some(schema)) => schema,
            (SchemaOther::Bool, None) => Value::Bool(allows),
            (_, None) => Value::Null,
        })
    }
}

/// Refuses a value of another wire type than the member's.
pub(super) fn check_wire(member: &Member, wire: u8) -> Result<(), ProtobufError> {
    let expected = if member.card == Card::Map { BODY } else { wire_of(member.kind) };
    if wire == expected {
        return Ok(());
    }
    Err(ProtobufError::WrongWireType { wire, field: go_name(&member.name) })
}

fn wire_of(kind: Kind) -> u8 {
    match kind {
        Kind::Bool | Kind::Int32 | Kind::Int64 => VARINT,
        Kind::Double => FIXED64,
        _ => BODY,
    }
}

/// Puts a singular value in its place, unless JSON would leave it out.
fn settle(into: &mut Map<String, Value>, member: &Member, value: Value) {
    let nothing = match &value {
        Value::Null => true,
        Value::Bool(b) => member.omit && !b,
        Value::Number(n) => member.omit && n.as_i64() == Some(0),
        Value::String(s) => member.omit && s.is_empty() && matches!(member.kind, Kind::String | Kind::Bytes),
        Value::Array(_) | Value::Object(_) => false,
    };
    match into.get_mut(&member.name) {
        Some(_) if nothing => drop(into.remove(&member.name)),
        Some(place) => *place = value,
        None if nothing => {}
        None => drop(into.insert(member.name.clone(), value)),
    }
}

pub(super) fn strings(body: &[u8], before: Option<Value>) -> Result<Value, ProtobufError> {
    let mut items = match before {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let tag = reader.tag("Items")?;
        match (tag.number, tag.wire) {
            (1, BODY) => items.push(Value::String(special::string(reader.body()?))),
            (1, wire) => return Err(ProtobufError::WrongWireType { wire, field: "Items".to_owned() }),
            _ => reader.skip(tag)?,
        }
    }
    Ok(Value::Array(items))
}

/// Appends to the list of this name, which may be null from an earlier part of the message.
fn push(into: &mut Map<String, Value>, name: &str, value: Value) {
    match into.get_mut(name) {
        Some(Value::Array(items)) => items.push(value),
        Some(place) => *place = Value::Array(vec![value]),
        None => drop(into.insert(name.to_owned(), Value::Array(vec![value]))),
    }
}

/// Sets a key in the map of this name.
fn put(into: &mut Map<String, Value>, name: &str, key: String, value: Value) {
    if let Some(Value::Object(entries)) = into.get_mut(name) {
        entries.insert(key, value);
        return;
    }
    let entries = Map::from_iter([(key, value)]);
    into.insert(name.to_owned(), Value::Object(entries));
}
