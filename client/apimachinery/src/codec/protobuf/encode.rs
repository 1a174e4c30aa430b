//! JSON values into messages.
//!
//! Counterpart: the generated `MarshalToSizedBuffer` methods. Members come in ascending order of their numbers; scalars
//! and structs that are no pointers are written even when they are zero; maps are sorted by key.

use super::plan::{Card, Kind, Member, MessageId, Plans, SchemaOther};
use super::special;
use super::wire::Writer;
use crate::catalog::{TypeId, Types};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Appends the message of a normalised object. Members the type does not know are left out; values that do not fit
/// their type count as zero.
pub fn encode_message(value: &Value, types: &Types, root: TypeId, out: &mut Vec<u8>) {
    let mut writer = Writer::new(1024);
    write_message(value, types, root, &mut writer);
    out.extend_from_slice(writer.written());
}

/// Prepends the message of a normalised object.
pub(super) fn write_message(value: &Value, types: &Types, root: TypeId, out: &mut Writer) {
    let empty = Map::new();
    Encoder { plans: &Plans::of(types), empty: &empty, out }.object(Some(value), Plans::id(root));
}

/// Prepends the message of a list type: its metadata and its items.
pub(super) fn write_list<'v>(
    metadata: &Value,
    items: impl DoubleEndedIterator<Item = &'v Value>,
    types: &Types,
    root: TypeId,
    out: &mut Writer,
) {
    let (plans, empty) = (Plans::of(types), Map::new());
    let mut encoder = Encoder { plans: &plans, empty: &empty, out };
    let message = plans.get(Plans::id(root));
    // Metadata is number 1 and items are number 2 of every list.
    if let Some(member) = message.member(2).filter(|m| m.card == Card::List) {
        items.rev().for_each(|item| encoder.value(member.number, member.kind, item));
    }
    if let Some(member) = message.member(1) {
        encoder.value(member.number, member.kind, metadata);
    }
}

struct Encoder<'w> {
    plans: &'w Plans,
    empty: &'w Map<String, Value>,
    out: &'w mut Writer,
}

impl Encoder<'_> {
    fn object(&mut self, value: Option<&Value>, id: MessageId) {
        let members = value.and_then(Value::as_object).unwrap_or(self.empty);
        self.message(members, id);
    }

    /// Everything is written from the last to the first.
    fn message(&mut self, members: &Map<String, Value>, id: MessageId) {
        let plans = self.plans;
        for member in plans.get(id).members.iter().rev() {
            if let Kind::Inline(id) = member.kind {
                self.nested(member.number, |e| e.message(members, id));
                continue;
            }
            let value = members.get(&member.name).filter(|v| !v.is_null());
            match (member.card, value) {
                (Card::One, None) => self.absent(member),
                (Card::One, Some(value)) => self.value(member.number, member.kind, value),
                (Card::List, Some(Value::Array(items))) => {
                    items.iter().rev().for_each(|item| self.value(member.number, member.kind, item));
                }
                (Card::Map, Some(Value::Object(entries))) => {
                    entries.iter().rev().for_each(|(key, value)| self.entry(member, key, value));
                }
                (Card::List | Card::Map, _) => {}
            }
        }
    }

    fn nested(&mut self, number: u32, write: impl FnOnce(&mut Encoder<'_>)) {
        let (plans, empty) = (self.plans, self.empty);
        self.out.nested(number, |out| write(&mut Encoder { plans, empty, out }));
    }

    /// What is no pointer is written though it is not there; nil bytes and lists are not.
    fn absent(&mut self, member: &Member) {
        if !member.pointer && !matches!(member.kind, Kind::Bytes | Kind::Strings) {
            self.value(member.number, member.kind, &Value::Null);
        }
    }

    fn entry(&mut self, member: &Member, key: &str, value: &Value) {
        self.nested(member.number, |e| {
            if !(member.kind == Kind::Bytes && value.is_null()) {
                e.value(2, member.kind, value);
            }
            e.out.bytes(1, key.as_bytes());
        });
    }

    fn value(&mut self, number: u32, kind: Kind, value: &Value) {
        match kind {
            Kind::Bool => self.out.integer(number, i64::from(value.as_bool().unwrap_or_default())),
            Kind::Int32 | Kind::Int64 => self.out.integer(number, value.as_i64().unwrap_or_default()),
            Kind::Double => self.out.double(number, value.as_f64().unwrap_or_default()),
            Kind::String => self.out.bytes(number, value.as_str().unwrap_or_default().as_bytes()),
            Kind::Bytes => {
                let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
                self.out.bytes(number, &bytes);
            }
            Kind::Special(form) => self.out.nested(number, |out| special::write(form, value, out)),
            Kind::Message(id) => self.nested(number, |e| e.object(Some(value), id)),
            Kind::Strings => self.nested(number, |e| e.strings(1, value)),
            Kind::SchemaOr(other, schema) => self.nested(number, |e| e.schema_or(other, schema, value)),
            Kind::Inline(_) => {}
        }
    }

    fn strings(&mut self, number: u32, value: &Value) {
        for item in value.as_array().into_iter().flatten().rev() {
            self.value(number, Kind::String, item);
        }
    }

    fn schema_or(&mut self, other: SchemaOther, schema: MessageId, value: &Value) {
        match (other, value) {
            (SchemaOther::Bool, Value::Object(_)) => {
                self.value(2, Kind::Message(schema), value);
                self.out.integer(1, 1);
            }
            (SchemaOther::Bool, value) => self.value(1, Kind::Bool, value),
            (_, Value::Object(_)) => self.value(1, Kind::Message(schema), value),
            (SchemaOther::Strings, value) => self.strings(2, value),
            (SchemaOther::Schemas, value) => {
                for item in value.as_array().into_iter().flatten().rev() {
                    self.value(2, Kind::Message(schema), item);
                }
            }
        }
    }
}
