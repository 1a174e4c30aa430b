//! Printing: struct order for built-ins, sorted keys for maps and custom resources, Go's escapes, no copies.
//!
//! Counterpart: `encoding/json`. [`encode_with_hole`] leaves room for the one member that is known last.

use super::conform::{SchemaOther, schema_or};
use super::number;
use crate::catalog::{Form, Shape, TypeDef, TypeId, Types};
use serde_json::{Map, Value};

/// An encoded object with a place to write its `resourceVersion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Compact JSON without a newline.
    pub json: Vec<u8>,
    /// Where the digits of `metadata.resourceVersion` go; `None` for a value without metadata.
    pub hole: Option<usize>,
}

/// Prints a value compactly: in struct order for a type, fully key-sorted without one.
#[must_use]
pub fn encode(value: &Value, types: Option<(&Types, TypeId)>) -> Vec<u8> {
    let mut writer = Writer { out: Vec::with_capacity(1024), types: types.map(|(t, _)| t), hole: None };
    writer.root(value, types, false);
    writer.out
}

/// Prints like [`encode`], with `metadata.resourceVersion` always there and always empty.
#[must_use]
pub fn encode_with_hole(value: &Value, types: Option<(&Types, TypeId)>) -> Encoded {
    let mut writer = Writer { out: Vec::with_capacity(1024), types: types.map(|(t, _)| t), hole: None };
    writer.root(value, types, true);
    Encoded { json: writer.out, hole: writer.hole }
}

const RESOURCE_VERSION: &str = "resourceVersion";

/// How far below the root a struct is, as far as the hole is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Metadata,
    Elsewhere,
}

impl Place {
    fn member(self, name: &str) -> Self {
        if self == Self::Root && name == "metadata" { Self::Metadata } else { Self::Elsewhere }
    }
}

struct Writer<'w> {
    out: Vec<u8>,
    types: Option<&'w Types>,
    hole: Option<usize>,
}

impl<'w> Writer<'w> {
    fn root(&mut self, value: &Value, types: Option<(&'w Types, TypeId)>, hole: bool) {
        let place = if hole { Place::Root } else { Place::Elsewhere };
        match types {
            Some((types, id)) => self.named(value, &types[id], place),
            None => self.any(value, place),
        }
    }

    fn named(&mut self, value: &Value, def: &'w TypeDef, place: Place) {
        match (def.form, value) {
            (Form::Struct, Value::Object(members)) => self.structure(members, def, place),
            (Form::SchemaOr, value) => self.schema(value, def),
            _ => self.any(value, Place::Elsewhere),
        }
    }

    fn schema(&mut self, value: &Value, def: &TypeDef) {
        match (value, schema_or(def, self.types), self.types) {
            (Value::Object(members), (Some(id), _), Some(types)) => {
                self.structure(members, &types[id], Place::Elsewhere);
            }
            (Value::Array(items), (_, SchemaOther::Schemas(Shape::Named { id, .. })), Some(types)) => {
                self.list(items, |w, item| w.named(item, &types[id], Place::Elsewhere));
            }
            _ => self.any(value, Place::Elsewhere),
        }
    }

    fn shape(&mut self, value: &Value, shape: &'w Shape, place: Place) {
        match (shape, value, self.types) {
            (Shape::Named { id, .. }, value, Some(types)) => self.named(value, &types[*id], place),
            (Shape::List { items, .. }, Value::Array(list), _) => {
                self.list(list, |w, item| w.shape(item, items, Place::Elsewhere));
            }
            (Shape::Map { values, .. }, Value::Object(map), _) => {
                self.out.push(b'{');
                for (i, (key, value)) in map.iter().enumerate() {
                    self.key(i == 0, key);
                    self.shape(value, values, Place::Elsewhere);
                }
                self.out.push(b'}');
            }
            _ => self.any(value, place),
        }
    }

    fn list(&mut self, items: &[Value], mut each: impl FnMut(&mut Self, &Value)) {
        self.out.push(b'[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            each(self, item);
        }
        self.out.push(b']');
    }

    /// Members in struct order; members the type does not know come last.
    fn structure(&mut self, members: &Map<String, Value>, def: &'w TypeDef, place: Place) {
        let hole = place == Place::Metadata;
        let mut order: Vec<(usize, &str, Option<&Value>)> = Vec::with_capacity(members.len() + 1);
        for (name, value) in members {
            if !(hole && name == RESOURCE_VERSION) {
                order.push((position(def, name), name, Some(value)));
            }
        }
        if hole {
            order.push((position(def, RESOURCE_VERSION), RESOURCE_VERSION, None));
        }
        order.sort_by_key(|(at, ..)| *at);
        self.out.push(b'{');
        for (i, (at, name, value)) in order.into_iter().enumerate() {
            self.key(i == 0, name);
            match (value, def.fields.get(at)) {
                (None, _) => self.leave_hole(),
                (Some(value), Some(field)) => self.shape(value, &field.shape, place.member(name)),
                (Some(value), None) => self.any(value, Place::Elsewhere),
            }
        }
        self.out.push(b'}');
    }

    fn leave_hole(&mut self) {
        self.hole = Some(self.out.len() + 1);
        self.out.extend_from_slice(b"\"\"");
    }

    fn any(&mut self, value: &Value, place: Place) {
        match value {
            Value::Null => self.out.extend_from_slice(b"null"),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Number(n) => number::write(&mut self.out, n),
            Value::String(s) => string(&mut self.out, s),
            Value::Array(items) => self.list(items, |w, item| w.any(item, Place::Elsewhere)),
            Value::Object(members) => self.sorted(members, place),
        }
    }

    fn sorted(&mut self, members: &Map<String, Value>, place: Place) {
        let hole = place == Place::Metadata;
        let mut first = true;
        self.out.push(b'{');
        for (name, value) in members {
            if hole && self.hole.is_none() && name.as_str() >= RESOURCE_VERSION {
                self.key(first, RESOURCE_VERSION);
                self.leave_hole();
                first = false;
            }
            if hole && name == RESOURCE_VERSION {
                continue;
            }
            self.key(first, name);
            self.any(value, place.member(name));
            first = false;
        }
        if hole && self.hole.is_none() {
            self.key(first, RESOURCE_VERSION);
            self.leave_hole();
        }
        self.out.push(b'}');
    }

    fn key(&mut self, first: bool, name: &str) {
        if !first {
            self.out.push(b',');
        }
        string(&mut self.out, name);
        self.out.push(b':');
    }
}

/// Where a member stands in its struct; beyond the end if it is unknown.
fn position(def: &TypeDef, name: &str) -> usize {
    def.field(name).and_then(|field| def.fields.iter().position(|f| std::ptr::eq(f, field))).unwrap_or(usize::MAX)
}

/// Prints a string with Go's HTML-safe escapes.
fn string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut run = 0;
    out.push(b'"');
    for (i, &b) in bytes.iter().enumerate() {
        let short = match b {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            b'<' | b'>' | b'&' | 0..0x20 => 0,
            0xE2 if matches!(bytes.get(i + 1..i + 3), Some([0x80, 0xA8 | 0xA9])) => 0,
            _ => continue,
        };
        out.extend_from_slice(&bytes[run..i]);
        run = i + 1;
        match (short, b) {
            (0, 0xE2) => {
                out.extend_from_slice(if bytes.get(i + 2) == Some(&0xA8) { b"\\u2028" } else { b"\\u2029" });
                run = i + 3;
            }
            (0, _) => {
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
            }
            _ => out.extend([b'\\', short]),
        }
    }
    out.extend_from_slice(&bytes[run..]);
    out.push(b'"');
}

/// Indents compact JSON by two spaces, keeping its order; `{}` and `[]` stay closed. No trailing newline.
#[must_use]
pub fn to_pretty(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let (mut quoted, mut escaped, mut opened) = (false, false, false);
    for &b in json {
        if quoted {
            out.push(b);
            quoted = escaped || b != b'"';
            escaped = b == b'\\' && !escaped;
            continue;
        }
        if matches!(b, b' ' | b'\t' | b'\r' | b'\n') {
            continue;
        }
        if opened && !matches!(b, b'}' | b']') {
            depth += 1;
            newline(&mut out, depth);
        }
        match b {
            b'{' | b'[' => out.push(b),
            b',' => {
                out.push(b);
                newline(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            b'}' | b']' => {
                if !opened {
                    depth = depth.saturating_sub(1);
                    newline(&mut out, depth);
                }
                out.push(b);
            }
            _ => {
                quoted = b == b'"';
                out.push(b);
            }
        }
        opened = matches!(b, b'{' | b'[');
    }
    out
}

fn newline(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + depth * 2, b' ');
}
