//! Messages straight into Rust types, without a JSON value in between.
//!
//! A type sees what it would see of the JSON that `decode.rs` makes of the same bytes: JSON names, zeros left out
//! where Go leaves them out, empty members shown where Go shows them. Only the order of members differs.

use super::decode::{self, Decoder};
use super::plan::{Card, Kind, Member, Message, MessageId, Plans};
use super::wire::{BODY, Reader};
use super::{MAX_DEPTH, ProtobufError, decode_envelope, special, type_of};
use crate::catalog::Catalog;
use crate::codec::json;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;
use std::borrow::Cow;
use std::marker::PhantomData;

/// Reads an enveloped object of a built-in kind as a type.
///
/// # Errors
/// [`ProtobufError`], also for kinds that are not built in; [`ProtobufError::Value`] with what the type says.
pub fn deserialize_object<T: DeserializeOwned>(bytes: &[u8], catalog: &Catalog) -> Result<T, ProtobufError> {
    deserialize_object_seed(bytes, catalog, PhantomData)
}

/// Like [`deserialize_object`], for what needs more than a type to be read.
///
/// # Errors
/// As [`deserialize_object`].
pub fn deserialize_object_seed<'de, S: DeserializeSeed<'de>>(
    bytes: &[u8],
    catalog: &Catalog,
    seed: S,
) -> Result<S::Value, ProtobufError> {
    let unknown = decode_envelope(bytes)?;
    let gvk = unknown.gvk(None)?;
    let not_registered = || ProtobufError::NotRegistered { api_version: gvk.api_version(), kind: gvk.kind.clone() };
    let id = Plans::id(type_of(&gvk, catalog).ok_or_else(not_registered)?);
    let plans = Plans::of(&catalog.types);
    let (api_version, kind) = (gvk.api_version(), gvk.kind.as_str());
    let type_meta = vec![("kind", kind), ("apiVersion", &api_version)];
    seed.deserialize(Object { plans: &plans, id, body: unknown.raw, depth: 0, type_meta })
}

impl serde::de::Error for ProtobufError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Value(message.to_string())
    }
}

/// A message that is an object of its own in JSON.
struct Object<'a> {
    plans: &'a Plans,
    id: MessageId,
    body: &'a [u8],
    depth: usize,
    /// What the envelope says and the message does not.
    type_meta: Vec<(&'a str, &'a str)>,
}

impl<'de> Deserializer<'de> for Object<'_> {
    type Error = ProtobufError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        let message = self.plans.get(self.id);
        let mut found = Vec::new();
        collect(self.plans, message, self.body, self.depth, &mut found)?;
        // Nearly always in order already: members stand in the order of their numbers.
        found.sort_by_key(|part| std::ptr::from_ref(part.member).addr());
        visitor.visit_map(Members {
            plans: self.plans,
            depth: self.depth,
            found: &found,
            always: &message.always,
            type_meta: self.type_meta,
            seen: Vec::new(),
            current: Current::Nothing,
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ProtobufError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

/// One occurrence of a member.
#[derive(Clone, Copy)]
struct Part<'a> {
    member: &'a Member,
    raw: Raw<'a>,
}

#[derive(Clone, Copy)]
enum Raw<'a> {
    /// A varint, or eight bytes.
    Number(u64),
    /// What follows a length.
    Body(&'a [u8]),
}

impl<'a> Raw<'a> {
    fn number(self) -> u64 {
        if let Self::Number(number) = self { number } else { 0 }
    }

    fn body(self) -> &'a [u8] {
        if let Self::Body(body) = self { body } else { &[] }
    }
}

/// All known members of a message, those of flattened messages among them.
fn collect<'a>(
    plans: &'a Plans,
    message: &'a Message,
    body: &'a [u8],
    depth: usize,
    found: &mut Vec<Part<'a>>,
) -> Result<(), ProtobufError> {
    if depth > MAX_DEPTH {
        return Err(ProtobufError::TooDeep);
    }
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let tag = reader.tag(&message.name)?;
        let Some(member) = message.member(tag.number) else {
            reader.skip(tag)?;
            continue;
        };
        let numeric = matches!(member.kind, Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Double);
        if member.card == Card::List && tag.wire == BODY && numeric {
            let mut packed = Reader::new(reader.body()?);
            while !packed.is_empty() {
                found.push(Part { member, raw: raw(&mut packed, member.kind)? });
            }
            continue;
        }
        decode::check_wire(member, tag.wire)?;
        if let Kind::Inline(id) = member.kind {
            collect(plans, plans.get(id), reader.body()?, depth + 1, found)?;
            continue;
        }
        let raw = match (member.card, member.kind) {
            (Card::Map, _) => Raw::Body(reader.body()?),
            (_, kind) => raw(&mut reader, kind)?,
        };
        found.push(Part { member, raw });
    }
    Ok(())
}

fn raw<'a>(reader: &mut Reader<'a>, kind: Kind) -> Result<Raw<'a>, ProtobufError> {
    Ok(match kind {
        Kind::Bool | Kind::Int32 | Kind::Int64 => Raw::Number(reader.varint()?),
        Kind::Double => Raw::Number(reader.fixed64()?),
        _ => Raw::Body(reader.body()?),
    })
}

/// The members of an object, one after the other.
struct Members<'a> {
    plans: &'a Plans,
    depth: usize,
    /// What is left, the occurrences of a member beside each other.
    found: &'a [Part<'a>],
    always: &'a [(String, Value)],
    type_meta: Vec<(&'a str, &'a str)>,
    /// Names that were handed out, as far as somebody will ask.
    seen: Vec<&'a str>,
    current: Current<'a>,
}

/// The value whose key was handed out.
enum Current<'a> {
    Nothing,
    Text(&'a str),
    Zero(&'a Value),
    Read(Value),
    Parts(&'a [Part<'a>]),
}

impl<'a> Members<'a> {
    /// The next member that JSON would show.
    fn next(&mut self) -> Result<Option<&'a str>, ProtobufError> {
        if let Some((name, text)) = self.type_meta.pop() {
            self.current = Current::Text(text);
            return Ok(Some(name));
        }
        while let Some(first) = self.found.first() {
            let member = first.member;
            let count = self.found.iter().take_while(|part| std::ptr::eq(part.member, member)).count();
            let (parts, rest) = self.found.split_at(count);
            self.found = rest;
            if let Some(current) = self.shown(member, parts)? {
                if !self.always.is_empty() {
                    self.seen.push(&member.name);
                }
                self.current = current;
                return Ok(Some(&member.name));
            }
        }
        while let Some(((name, zero), rest)) = self.always.split_first() {
            self.always = rest;
            if !self.seen.contains(&name.as_str()) {
                self.current = Current::Zero(zero);
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// What JSON shows of a member; `None` for a zero that it leaves out.
    fn shown(&self, member: &'a Member, parts: &'a [Part<'a>]) -> Result<Option<Current<'a>>, ProtobufError> {
        let Some(last) = parts.last().filter(|_| member.card == Card::One) else {
            return Ok(Some(Current::Parts(parts)));
        };
        let zero = match member.kind {
            Kind::Bool => last.raw.number() == 0,
            Kind::Int32 => last.raw.number() as i32 == 0,
            Kind::Int64 => last.raw.number() == 0,
            Kind::String | Kind::Bytes => last.raw.body().is_empty(),
            Kind::Message(_) | Kind::Strings | Kind::Inline(_) => false,
            Kind::Double | Kind::Special(_) | Kind::SchemaOr(..) => {
                // Every occurrence has to be readable, the last one counts.
                let mut value = Value::Null;
                for part in parts {
                    value = own_form(self.plans, member.kind, part.raw, self.depth)?;
                }
                let zero = value.is_null() || member.omit && value.as_i64() == Some(0);
                return Ok((!zero).then_some(Current::Read(value)));
            }
        };
        Ok((!(zero && member.omit)).then_some(Current::Parts(parts)))
    }
}

/// The JSON value of what has a form of its own.
fn own_form(plans: &Plans, kind: Kind, raw: Raw<'_>, depth: usize) -> Result<Value, ProtobufError> {
    match kind {
        Kind::Double => Ok(json::from_f64(f64::from_bits(raw.number())).map_or(Value::Null, Value::Number)),
        Kind::Special(form) => special::read(form, raw.body(), depth),
        Kind::SchemaOr(other, schema) => Decoder { plans }.schema_or(raw.body(), other, schema, depth),
        Kind::Strings => decode::strings(raw.body(), None),
        _ => Ok(Value::Null),
    }
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = ProtobufError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ProtobufError> {
        match self.next()? {
            Some(name) => seed.deserialize(text(name)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ProtobufError> {
        match std::mem::replace(&mut self.current, Current::Nothing) {
            Current::Nothing => Err(no_key()),
            Current::Text(said) => seed.deserialize(text(said)),
            Current::Zero(zero) => seed.deserialize(Json(zero.clone())),
            Current::Read(value) => seed.deserialize(Json(value)),
            Current::Parts(parts) => seed.deserialize(Parts { plans: self.plans, depth: self.depth, parts }),
        }
    }
}

/// All occurrences of a member.
#[derive(Clone, Copy)]
struct Parts<'a> {
    plans: &'a Plans,
    depth: usize,
    parts: &'a [Part<'a>],
}

impl<'a> Parts<'a> {
    fn single<'de, V: Visitor<'de>>(self, kind: Kind, visitor: V) -> Result<V::Value, ProtobufError> {
        // Messages and lists merge, which is what their bytes do when they follow each other.
        let body: Cow<'a, [u8]> = match self.parts {
            [only] => Cow::Borrowed(only.raw.body()),
            several => Cow::Owned(several.iter().flat_map(|part| part.raw.body()).copied().collect()),
        };
        match (kind, self.parts.last()) {
            (Kind::Message(_) | Kind::Strings, _) => {
                One { plans: self.plans, depth: self.depth, kind, raw: Raw::Body(&body) }.deserialize_any(visitor)
            }
            (_, Some(last)) => {
                One { plans: self.plans, depth: self.depth, kind, raw: last.raw }.deserialize_any(visitor)
            }
            (_, None) => visitor.visit_unit(),
        }
    }
}

impl<'de> Deserializer<'de> for Parts<'_> {
    type Error = ProtobufError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        let Some(first) = self.parts.first() else { return visitor.visit_unit() };
        match first.member.card {
            Card::One => self.single(first.member.kind, visitor),
            Card::List => visitor.visit_seq(Items(self)),
            Card::Map => visitor.visit_map(Entries { left: self, value: Entry::None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ProtobufError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

/// One value.
#[derive(Clone, Copy)]
struct One<'a> {
    plans: &'a Plans,
    depth: usize,
    kind: Kind,
    raw: Raw<'a>,
}

impl<'de> Deserializer<'de> for One<'_> {
    type Error = ProtobufError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        match self.kind {
            Kind::Bool => visitor.visit_bool(self.raw.number() != 0),
            Kind::Int32 => visitor.visit_i64(i64::from(self.raw.number() as i32)),
            Kind::Int64 => visitor.visit_i64(self.raw.number() as i64),
            Kind::String => match std::str::from_utf8(self.raw.body()) {
                Ok(text) => visitor.visit_str(text),
                Err(_) => visitor.visit_string(special::string(self.raw.body())),
            },
            Kind::Bytes => visitor.visit_string(STANDARD.encode(self.raw.body())),
            Kind::Message(id) => {
                let body = self.raw.body();
                let object = Object { plans: self.plans, id, body, depth: self.depth + 1, type_meta: Vec::new() };
                object.deserialize_any(visitor)
            }
            kind => Json(own_form(self.plans, kind, self.raw, self.depth)?).deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ProtobufError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// The items of a list.
struct Items<'a>(Parts<'a>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ProtobufError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ProtobufError> {
        let Parts { plans, depth, parts } = self.0;
        let Some((first, rest)) = parts.split_first() else { return Ok(None) };
        self.0.parts = rest;
        seed.deserialize(One { plans, depth, kind: first.member.kind, raw: first.raw }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.parts.len())
    }
}

/// The entries of a map.
struct Entries<'a> {
    left: Parts<'a>,
    /// The value whose key was handed out.
    value: Entry<'a>,
}

enum Entry<'a> {
    None,
    Text(Cow<'a, str>),
    Read(Value),
}

impl<'a> Entries<'a> {
    fn next(&mut self) -> Result<Option<Cow<'a, str>>, ProtobufError> {
        let Parts { plans, depth, parts } = self.left;
        let Some((first, rest)) = parts.split_first() else { return Ok(None) };
        self.left.parts = rest;
        if first.member.kind == Kind::String {
            let (key, value) = texts(first.raw.body())?;
            self.value = Entry::Text(value);
            return Ok(Some(key));
        }
        let (key, value) = Decoder { plans }.entry(first.raw.body(), first.member, depth)?;
        self.value = Entry::Read(value);
        Ok(Some(Cow::Owned(key)))
    }
}

/// A map entry from text to text; what is missing is empty.
fn texts(body: &[u8]) -> Result<(Cow<'_, str>, Cow<'_, str>), ProtobufError> {
    let (mut key, mut value) = (Cow::Borrowed(""), Cow::Borrowed(""));
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let tag = reader.tag("map entry")?;
        match tag.number {
            1 => key = String::from_utf8_lossy(reader.body()?),
            2 => value = String::from_utf8_lossy(reader.body()?),
            _ => reader.skip(tag)?,
        }
    }
    Ok((key, value))
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = ProtobufError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ProtobufError> {
        match self.next()? {
            Some(key) => seed.deserialize(text(&key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ProtobufError> {
        match std::mem::replace(&mut self.value, Entry::None) {
            Entry::None => Err(no_key()),
            Entry::Text(value) => seed.deserialize(text(&value)),
            Entry::Read(value) => seed.deserialize(Json(value)),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.parts.len())
    }
}

fn no_key() -> ProtobufError {
    ProtobufError::Value("a value was asked for before its key".to_owned())
}

fn text(text: &str) -> StrDeserializer<'_, ProtobufError> {
    text.into_deserializer()
}

/// A JSON value as it is; small ones only.
struct Json(Value);

impl<'de> Deserializer<'de> for Json {
    type Error = ProtobufError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        self.0.deserialize_any(visitor).map_err(ProtobufError::custom)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ProtobufError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}
