//! Objects of any catalogued kind for property tests, made from a string of random bytes.
//!
//! Each choice takes a byte, and a spent string chooses absence, so that shrinking the bytes shrinks the object. The
//! objects fit their types but may be nonsense; [`object`] returns them normalised.

use crate::catalog::{Field, Form, Shape, TypeDef, TypeId, Types};
use crate::codec::json;
use serde_json::{Map, Number, Value, json};

/// Schemas hold schemas; beyond this depth they are left out.
const MAX_DEPTH: usize = 12;

/// The kinds of the catalogue that are worth a round trip: one type each.
pub(crate) fn kinds(types: &Types) -> impl Iterator<Item = TypeId> {
    types.ids().filter(|id| types[*id].gvks.iter().any(|gvk| gvk.kind != "WatchEvent"))
}

/// A normalised object of a type, with `kind` and `apiVersion` of its first kind.
pub(crate) fn object(types: &Types, id: TypeId, choices: &[u8]) -> Value {
    let mut maker = Maker { types, choices };
    let mut members = maker.members(&types[id], 0);
    if let Some(gvk) = types[id].gvks.first() {
        members.insert("apiVersion".to_owned(), Value::String(gvk.api_version()));
        members.insert("kind".to_owned(), Value::String(gvk.kind.clone()));
    }
    let mut value = Value::Object(members);
    json::normalize(&mut value, types, id);
    value
}

struct Maker<'m> {
    types: &'m Types,
    choices: &'m [u8],
}

impl Maker<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.choices.split_first() else { return 0 };
        self.choices = rest;
        *first
    }

    /// Between 0 and `below - 1`.
    fn pick(&mut self, below: u8) -> u8 {
        self.byte() % below
    }

    fn members(&mut self, def: &TypeDef, depth: usize) -> Map<String, Value> {
        let mut members = Map::new();
        for field in &def.fields {
            // TypeMeta belongs to the outermost object alone.
            let type_meta = field.proto == 0 && matches!(field.name.as_str(), "kind" | "apiVersion");
            if type_meta || self.pick(4) == 0 {
                continue;
            }
            if let Some(value) = self.field(field, depth) {
                members.insert(field.name.clone(), value);
            }
        }
        members
    }

    fn field(&mut self, field: &Field, depth: usize) -> Option<Value> {
        if let (Shape::String, Some(first)) = (&field.shape, field.enum_values.first())
            && self.pick(2) == 0
        {
            return Some(Value::String(first.clone()));
        }
        self.shape(&field.shape, depth)
    }

    fn shape(&mut self, shape: &Shape, depth: usize) -> Option<Value> {
        Some(match shape {
            Shape::String => Value::String(self.text()),
            Shape::Bytes => json!(["", "AQI=", "aGVsbG8="][usize::from(self.pick(3))]),
            Shape::Bool => Value::Bool(self.pick(2) == 1),
            Shape::Int32 => json!([0, 1, -1, i32::MAX, i32::MIN, 300][usize::from(self.pick(6))]),
            Shape::Int64 => json!([0, 1, -1, i64::MAX, i64::MIN, 1 << 40][usize::from(self.pick(6))]),
            Shape::Double => self.double(),
            Shape::Named { id, .. } => return self.named(&self.types[*id], depth),
            Shape::List { items, .. } => {
                let n = self.pick(2) + 1;
                Value::Array((0..n).filter_map(|_| self.shape(items, depth)).collect()).non_empty()?
            }
            Shape::Map { values, .. } => {
                let n = self.pick(3) + 1;
                let entries = (0..n).filter_map(|_| Some((self.text(), self.shape(values, depth)?)));
                Value::Object(entries.collect()).non_empty()?
            }
            Shape::Any => self.any(0),
        })
    }

    fn named(&mut self, def: &TypeDef, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        Some(match def.form {
            Form::Struct => Value::Object(self.members(def, depth + 1)),
            Form::Time => json!(
                ["2024-02-29T12:00:00Z", "1969-12-31T23:59:59Z", "0001-01-01T00:00:01Z"][usize::from(self.pick(3))]
            ),
            Form::MicroTime => {
                json!(["2024-02-29T12:00:00.123456Z", "1969-12-31T23:59:59.000001Z"][usize::from(self.pick(2))])
            }
            Form::Quantity => json!(["0", "100m", "1Gi", "-5", "1500M"][usize::from(self.pick(5))]),
            Form::IntOrString => {
                [json!(0), json!(-1), json!(8080), json!("25%"), json!("")][usize::from(self.pick(5))].clone()
            }
            Form::Duration => json!(["0s", "1h30m0s", "-1.5s"][usize::from(self.pick(3))]),
            Form::RawExtension | Form::FieldsV1 | Form::Json => json!({"f:a": self.any(0)}),
            Form::SchemaOr => return self.schema_or(def, depth),
        })
    }

    fn schema_or(&mut self, def: &TypeDef, depth: usize) -> Option<Value> {
        let (base, suffix) = def.name.rsplit_once("Or")?;
        let schema = self.types.named(base)?;
        if self.pick(2) == 0 {
            return self.named(schema, depth);
        }
        Some(match suffix {
            "Bool" => Value::Bool(self.pick(2) == 1),
            "Array" => Value::Array(vec![self.named(schema, depth)?]),
            _ => json!([self.text()]),
        })
    }

    fn text(&mut self) -> String {
        let words = ["", "a", "web-0", "example.com/x", "line\nbreak <&>", "größe \u{1f4a9}", "true"];
        words[usize::from(self.pick(7))].to_owned()
    }

    fn double(&mut self) -> Value {
        let doubles = [0.5, -1e300, 1e-9, 3.25];
        match self.pick(6) {
            4 => json!(0),
            5 => json!(-7),
            n => Number::from_f64(doubles[usize::from(n)]).map_or(Value::Null, Value::Number),
        }
    }

    /// Any JSON value.
    fn any(&mut self, depth: usize) -> Value {
        match self.pick(if depth > 3 { 5 } else { 7 }) {
            0 => Value::Null,
            1 => Value::Bool(true),
            2 => json!(i64::from(self.byte()) - 100),
            3 => Value::String(self.text()),
            4 => json!(1.5),
            5 => Value::Array((0..self.pick(3)).map(|_| self.any(depth + 1)).collect()),
            _ => Value::Object((0..self.pick(3)).map(|_| (self.text(), self.any(depth + 1))).collect()),
        }
    }
}

trait NonEmpty: Sized {
    fn non_empty(self) -> Option<Self>;
}

impl NonEmpty for Value {
    /// Go cannot tell an empty list from none on the protobuf wire.
    fn non_empty(self) -> Option<Self> {
        let empty = self.as_array().is_some_and(Vec::is_empty) || self.as_object().is_some_and(Map::is_empty);
        (!empty).then_some(self)
    }
}
