//! Fitting a document into a type, as decoding into the Go struct does.
//!
//! Counterpart: `sigs.k8s.io/json` `UnmarshalStrict` and the `UnmarshalJSON` methods of the API's own types. A wrong
//! JSON type is noted and the first one reported at the end; a refusal by a type's own method ends decoding at once.

use super::source::{Figure, Source, Taken};
use super::{DecodeError, Decoded, base64, number, parse as scan};
use crate::catalog::{Field, Form, Shape, TypeDef, TypeId, Types};
use crate::quantity::Quantity;
use crate::time;
use serde_json::{Map, Number, Value};
use std::borrow::Cow;

/// The server keeps no more strict findings than this.
const MAX_FINDINGS: usize = 100;

/// Parses an untyped document. Later duplicates win and are reported with their paths, in document order.
///
/// # Errors
/// [`DecodeError::Syntax`] if it is not JSON, [`DecodeError::Type`] if a number is beyond a float.
pub fn parse(bytes: &[u8]) -> Result<(Value, Vec<String>), DecodeError> {
    let tree = scan::tree(bytes).map_err(DecodeError::Syntax)?;
    let mut findings = Vec::new();
    let mut fitter = Fitter::new(None, &mut findings);
    let value = fitter.any(tree, &Frame::ROOT)?;
    fitter.finish(value).map(|value| (value, findings))
}

/// Fits a value into a type: drops and reports unknown members, turns nulls into absence, refuses wrong types,
/// canonicalises quantities, times and base64. Findings come in member order.
///
/// # Errors
/// [`DecodeError::Type`] with Go's text.
pub fn conform(value: Value, types: &Types, root: TypeId, findings: &mut Vec<String>) -> Result<Value, DecodeError> {
    fit(value, types, root, findings)
}

/// Parses a document into a type.
///
/// # Errors
/// [`DecodeError::Syntax`] if it is not JSON, [`DecodeError::Type`] if it does not fit.
pub fn decode(bytes: &[u8], types: &Types, root: TypeId) -> Result<Decoded, DecodeError> {
    let tree = scan::tree(bytes).map_err(DecodeError::Syntax)?;
    let mut findings = Vec::new();
    let value = fit(tree, types, root, &mut findings)?;
    Ok(Decoded { value, findings })
}

fn fit<'a, S: Source<'a>>(
    source: S,
    types: &Types,
    root: TypeId,
    findings: &mut Vec<String>,
) -> Result<Value, DecodeError> {
    if source.is_null() {
        return Ok(Value::Object(Map::new()));
    }
    let mut fitter = Fitter::new(Some(types), findings);
    let value = fitter.named(source, root, &Target::ROOT, &Frame::ROOT)?;
    fitter.finish(value)
}

// === where we are ===

/// A step of the path from the root, on the call stack.
struct Frame<'f> {
    parent: Option<&'f Frame<'f>>,
    step: Step<'f>,
}

enum Step<'f> {
    Root,
    Member { owner: &'f TypeDef, field: &'f Field },
    Key(&'f str),
    Index(usize),
}

impl<'f> Frame<'f> {
    const ROOT: Frame<'static> = Frame { parent: None, step: Step::Root };

    fn member(&'f self, owner: &'f TypeDef, field: &'f Field) -> Frame<'f> {
        Frame { parent: Some(self), step: Step::Member { owner, field } }
    }

    fn key(&'f self, key: &'f str) -> Frame<'f> {
        Frame { parent: Some(self), step: Step::Key(key) }
    }

    fn index(&'f self, index: usize) -> Frame<'f> {
        Frame { parent: Some(self), step: Step::Index(index) }
    }

    /// The path of strict findings: `spec.containers[0].name`.
    fn strict_path(&self) -> String {
        let mut path = self.parent.map(Frame::strict_path).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Index(i) => path.push_str(&format!("[{i}]")),
            Step::Key(name) => dotted(&mut path, name),
            Step::Member { field, .. } => dotted(&mut path, &field.name),
        }
        path
    }

    /// The place Go's refusals name: the innermost struct and the struct members on the way, `EnvVar.spec.env.value`.
    fn go_place(&self, types: Option<&Types>) -> Option<String> {
        match self.step {
            Step::Member { owner, .. } => Some(format!("{}.{}", owner.short_name(), self.go_path(types))),
            _ => self.parent.and_then(|p| p.go_place(types)),
        }
    }

    fn go_path(&self, types: Option<&Types>) -> String {
        let mut path = self.parent.map(|p| p.go_path(types)).unwrap_or_default();
        if let Step::Member { owner, field } = self.step {
            if let Some(embedded) = embedded(owner, field, types) {
                dotted(&mut path, embedded);
            }
            dotted(&mut path, &field.name);
        }
        path
    }
}

fn dotted(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// The Go struct that is embedded in the owner and holds the field; Go names it on the way.
fn embedded<'t>(owner: &TypeDef, field: &Field, types: Option<&'t Types>) -> Option<&'t str> {
    let types = types?;
    let inner = owner.inline.iter().filter_map(|inline| types.named(&inline.reference));
    inner.filter(|def| def.field(&field.name).is_some()).map(TypeDef::short_name).next()
}

/// What a value is decoded into, for refusals: the Go type as the catalogue writes it, if it does.
struct Target<'t> {
    go_type: &'t str,
}

impl<'t> Target<'t> {
    const ROOT: Target<'static> = Target { go_type: "" };

    fn field(field: &'t Field) -> Self {
        Self { go_type: field.go_type.trim_start_matches('*') }
    }

    /// The type of a list's items.
    fn item(&self) -> Self {
        Self { go_type: self.go_type.strip_prefix("[]").unwrap_or_default().trim_start_matches('*') }
    }

    /// The type of a map's values.
    fn value(&self) -> Self {
        Self { go_type: self.go_type.strip_prefix("map[string]").unwrap_or_default().trim_start_matches('*') }
    }
}

/// The Go type of a shape, where the catalogue's own name for it is unknown.
fn go_type(shape: &Shape, types: Option<&Types>) -> String {
    match shape {
        Shape::String => "string".to_owned(),
        Shape::Bytes => "[]uint8".to_owned(),
        Shape::Bool => "bool".to_owned(),
        Shape::Int32 => "int32".to_owned(),
        Shape::Int64 => "int64".to_owned(),
        Shape::Double => "float64".to_owned(),
        Shape::Named { id, .. } => types.map(|t| go_struct(&t[*id])).unwrap_or_default(),
        Shape::List { items, .. } => format!("[]{}", go_type(items, types)),
        Shape::Map { values, .. } => format!("map[string]{}", go_type(values, types)),
        Shape::Any => "interface {}".to_owned(),
    }
}

/// `v1.PodSpec` for `io.k8s.api.core.v1.PodSpec`.
fn go_struct(def: &TypeDef) -> String {
    let mut parts = def.name.rsplitn(3, '.');
    match (parts.next(), parts.next()) {
        (Some(name), Some(package)) => format!("{package}.{name}"),
        _ => def.name.clone(),
    }
}

// === the walk ===

struct Fitter<'w> {
    types: Option<&'w Types>,
    findings: &'w mut Vec<String>,
    /// The first wrong type.
    saved: Option<String>,
    /// Inside types with a method of their own nothing is found.
    muted: bool,
}

type Fitted = Result<Value, DecodeError>;

impl<'w> Fitter<'w> {
    fn new(types: Option<&'w Types>, findings: &'w mut Vec<String>) -> Self {
        Self { types, findings, saved: None, muted: false }
    }

    fn finish(self, value: Value) -> Fitted {
        match self.saved {
            None => Ok(value),
            Some(text) => Err(DecodeError::Type(text)),
        }
    }

    fn find(&mut self, what: &str, frame: &Frame<'_>) {
        if self.muted || self.findings.len() >= MAX_FINDINGS {
            return;
        }
        let finding = format!("{what} field \"{}\"", frame.strict_path());
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Notes a value of the wrong type and goes on without it.
    fn wrong(&mut self, word: &str, go_type: &str, frame: &Frame<'_>) -> Fitted {
        if self.saved.is_none() {
            self.saved = Some(match frame.go_place(self.types) {
                Some(place) => format!("json: cannot unmarshal {word} into Go struct field {place} of type {go_type}"),
                None => format!("json: cannot unmarshal {word} into Go value of type {go_type}"),
            });
        }
        Ok(Value::Null)
    }

    fn mismatch<'a, S: Source<'a>>(
        &mut self,
        taken: &Taken<'a, S>,
        shape: &Shape,
        target: &Target<'_>,
        frame: &Frame<'_>,
    ) -> Fitted {
        let go = if target.go_type.is_empty() { go_type(shape, self.types) } else { target.go_type.to_owned() };
        self.wrong(word(taken), &go, frame)
    }

    fn shape<'a, S: Source<'a>>(&mut self, source: S, shape: &Shape, target: &Target<'_>, frame: &Frame<'_>) -> Fitted {
        match shape {
            Shape::Any => return self.any(source, frame),
            Shape::Named { id, .. } => return self.named(source, *id, target, frame),
            _ => {}
        }
        match (shape, source.take()) {
            (Shape::List { items, .. }, Taken::List(list)) => self.list(list, items, target, frame),
            (Shape::Map { values, .. }, Taken::Object(members)) => self.map(members, values, target, frame),
            (Shape::String, Taken::String(s)) => Ok(Value::String(s.into_owned())),
            (Shape::Bool, Taken::Bool(b)) => Ok(Value::Bool(b)),
            (Shape::Int32 | Shape::Int64 | Shape::Double, Taken::Number(n)) => self.number(&n, shape, target, frame),
            (Shape::Bytes, Taken::String(s)) => {
                Ok(base64::canonical(s.into_owned()).map(Value::String).unwrap_or_else(|text| {
                    self.saved.get_or_insert(text);
                    Value::Null
                }))
            }
            (_, Taken::Null) => Ok(zero(shape)),
            (_, taken) => self.mismatch(&taken, shape, target, frame),
        }
    }

    fn number(&mut self, n: &Figure<'_>, shape: &Shape, target: &Target<'_>, frame: &Frame<'_>) -> Fitted {
        let fitted = match shape {
            Shape::Int32 => n.integer().filter(|i| i32::try_from(*i).is_ok()).map(Number::from),
            Shape::Int64 => n.integer().map(Number::from),
            _ => n.float().and_then(number::from_f64),
        };
        match fitted {
            Some(n) => Ok(Value::Number(n)),
            None => {
                let go = if target.go_type.is_empty() { go_type(shape, self.types) } else { target.go_type.to_owned() };
                self.wrong(&format!("number {}", n.text()), &go, frame)
            }
        }
    }

    fn list<'a, S: Source<'a>>(
        &mut self,
        list: impl ExactSizeIterator<Item = S>,
        items: &Shape,
        target: &Target<'_>,
        frame: &Frame<'_>,
    ) -> Fitted {
        let mut out = Vec::with_capacity(list.len());
        let target = target.item();
        for (i, item) in list.enumerate() {
            out.push(self.shape(item, items, &target, &frame.index(i))?);
        }
        Ok(Value::Array(out))
    }

    fn map<'a, S: Source<'a>>(
        &mut self,
        members: impl Iterator<Item = (Cow<'a, str>, S)>,
        values: &Shape,
        target: &Target<'_>,
        frame: &Frame<'_>,
    ) -> Fitted {
        let mut out = Map::new();
        let target = target.value();
        for (key, member) in members {
            let here = frame.key(&key);
            if out.contains_key(&*key) {
                self.find("duplicate", &here);
            }
            let value = self.shape(member, values, &target, &here)?;
            out.insert(key.into_owned(), value);
        }
        Ok(Value::Object(out))
    }

    fn named<'a, S: Source<'a>>(&mut self, source: S, id: TypeId, target: &Target<'_>, frame: &Frame<'_>) -> Fitted {
        let Some(types) = self.types else { return self.any(source, frame) };
        let def = &types[id];
        match def.form {
            Form::Struct => match source.take() {
                Taken::Object(members) => self.members(members, def, frame),
                Taken::Null => Ok(Value::Object(Map::new())),
                taken => self.mismatch(&taken, &Shape::Named { id, atomic: false }, target, frame),
            },
            Form::Time => self.text(source, frame, |s| {
                let t = time::parse_time(s)?;
                Ok(if time::is_zero(t) { Value::Null } else { Value::String(time::format_time(t)) })
            }),
            Form::MicroTime => self.text(source, frame, |s| {
                let t = time::parse_micro_time(s)?;
                Ok(if time::is_zero(t) { Value::Null } else { Value::String(time::format_micro_time(t)) })
            }),
            Form::Duration => {
                self.text(source, frame, |s| Ok(Value::String(time::format_duration(time::parse_duration(s)?))))
            }
            Form::Quantity => quantity(source),
            Form::IntOrString => self.int_or_string(source, frame),
            Form::RawExtension | Form::FieldsV1 | Form::Json => self.muted(|f| f.any(source, frame)),
            Form::SchemaOr => self.muted(|f| f.schema_or(source, def, frame)),
        }
    }

    fn muted(&mut self, body: impl FnOnce(&mut Self) -> Fitted) -> Fitted {
        let before = std::mem::replace(&mut self.muted, true);
        let result = body(self);
        self.muted = before;
        result
    }

    /// The members of a struct.
    fn members<'a, S: Source<'a>>(
        &mut self,
        members: impl Iterator<Item = (Cow<'a, str>, S)>,
        def: &TypeDef,
        frame: &Frame<'_>,
    ) -> Fitted {
        let mut out = Map::new();
        for (key, member) in members {
            let Some(field) = def.field(&key) else {
                let here = frame.key(&key);
                if def.preserve_unknown {
                    let value = self.any(member, &here)?;
                    out.insert(key.into_owned(), value);
                } else {
                    self.find("unknown", &here);
                }
                continue;
            };
            let here = frame.member(def, field);
            let again = out.contains_key(&*key);
            if again {
                self.find("duplicate", &here);
            }
            if member.is_null() {
                // Null empties what can be nil and leaves everything else as it is.
                if again && (field.pointer || matches!(field.shape, Shape::List { .. } | Shape::Map { .. })) {
                    out.remove(&*key);
                }
                if keeps_null(field, self.types) {
                    out.insert(key.into_owned(), Value::Null);
                }
                continue;
            }
            let value = self.shape(member, &field.shape, &Target::field(field), &here)?;
            match out.get_mut(&*key) {
                Some(first) => overlay(first, value, &field.shape),
                None => {
                    out.insert(key.into_owned(), value);
                }
            }
        }
        // A zero time is nothing.
        out.retain(|name, v| !v.is_null() || def.field(name).is_none_or(|f| keeps_null(f, self.types)));
        Ok(Value::Object(out))
    }

    /// A type whose own method reads a string.
    fn text<'a, S: Source<'a>>(
        &mut self,
        source: S,
        frame: &Frame<'_>,
        read: impl FnOnce(&str) -> Result<Value, String>,
    ) -> Fitted {
        match source.take() {
            Taken::Null => Ok(Value::Null),
            Taken::String(s) => read(&s).map_err(DecodeError::Type),
            taken => self.abort(word(&taken), "string", frame),
        }
    }

    /// A refusal by a type's own method: the end of decoding.
    fn abort(&mut self, word: &str, go_type: &str, frame: &Frame<'_>) -> Fitted {
        self.saved = None;
        let _ = self.wrong(word, go_type, frame)?;
        Err(DecodeError::Type(self.saved.take().unwrap_or_default()))
    }

    fn int_or_string<'a, S: Source<'a>>(&mut self, source: S, frame: &Frame<'_>) -> Fitted {
        match source.take() {
            Taken::String(s) => Ok(Value::String(s.into_owned())),
            Taken::Null => Ok(Value::from(0)),
            Taken::Number(n) => match n.integer().filter(|i| i32::try_from(*i).is_ok()) {
                Some(i) => Ok(Value::from(i)),
                None => self.abort(&format!("number {}", n.text()), "int32", frame),
            },
            taken => self.abort(word(&taken), "int32", frame),
        }
    }

    /// `JSONSchemaPropsOrBool` and its kin: a schema, a boolean, a list of schemas or a list of strings.
    fn schema_or<'a, S: Source<'a>>(&mut self, source: S, def: &TypeDef, frame: &Frame<'_>) -> Fitted {
        let (schema, other) = schema_or(def, self.types);
        match (source.take(), other) {
            (Taken::Object(members), _) => match (schema, self.types) {
                (Some(id), Some(types)) => self.members(members, &types[id], frame),
                _ => Ok(Value::Null),
            },
            (Taken::List(items), SchemaOther::Schemas(shape)) => self.list(items, &shape, &Target::ROOT, frame),
            (Taken::List(items), SchemaOther::Strings) => self.list(items, &Shape::String, &Target::ROOT, frame),
            (Taken::Bool(b), SchemaOther::Bool) => Ok(Value::Bool(b)),
            (_, SchemaOther::Bool) => Err(DecodeError::Type("boolean or JSON schema expected".to_owned())),
            _ => Ok(Value::Null),
        }
    }

    /// Anything, kept as it is.
    fn any<'a, S: Source<'a>>(&mut self, source: S, frame: &Frame<'_>) -> Fitted {
        match source.take() {
            Taken::Null => Ok(Value::Null),
            Taken::Bool(b) => Ok(Value::Bool(b)),
            Taken::String(s) => Ok(Value::String(s.into_owned())),
            Taken::Number(n) => match n.any() {
                Some(n) => Ok(Value::Number(n)),
                None => self.wrong(&format!("number {}", n.text()), "float64", frame),
            },
            Taken::List(items) => {
                let mut out = Vec::with_capacity(items.len());
                for (i, item) in items.enumerate() {
                    out.push(self.any(item, &frame.index(i))?);
                }
                Ok(Value::Array(out))
            }
            Taken::Object(members) => {
                let mut out = Map::new();
                for (key, member) in members {
                    let here = frame.key(&key);
                    if out.contains_key(&*key) {
                        self.find("duplicate", &here);
                    }
                    let value = self.any(member, &here)?;
                    out.insert(key.into_owned(), value);
                }
                Ok(Value::Object(out))
            }
        }
    }
}

/// What stands beside a schema.
pub(super) enum SchemaOther {
    Bool,
    Strings,
    Schemas(Shape),
}

/// The schema type of a `SchemaOr` form and what else it may be.
pub(super) fn schema_or(def: &TypeDef, types: Option<&Types>) -> (Option<TypeId>, SchemaOther) {
    let (base, suffix) = def.name.rsplit_once("Or").unwrap_or((&def.name, ""));
    let schema = types.and_then(|t| t.id(base));
    let other = match (suffix, schema) {
        ("Bool", _) => SchemaOther::Bool,
        ("Array", Some(id)) => SchemaOther::Schemas(Shape::Named { id, atomic: false }),
        _ => SchemaOther::Strings,
    };
    (schema, other)
}

/// Quantities take their text with or without quotes.
fn quantity<'a, S: Source<'a>>(source: S) -> Fitted {
    let text = match source.take() {
        Taken::Null => Cow::Borrowed("0"),
        Taken::String(s) => s,
        Taken::Number(n) => Cow::Owned(n.text().into_owned()),
        Taken::Bool(_) | Taken::List(_) | Taken::Object(_) => Cow::Borrowed("not a quantity"),
    };
    match text.trim().parse::<Quantity>() {
        Ok(q) => Ok(Value::String(q.to_string())),
        Err(error) => Err(DecodeError::Type(error.to_string())),
    }
}

fn word<'a, S: Source<'a>>(taken: &Taken<'a, S>) -> &'static str {
    match taken {
        Taken::Null => "null",
        Taken::Bool(_) => "bool",
        Taken::Number(_) => "number",
        Taken::String(_) => "string",
        Taken::List(_) => "array",
        Taken::Object(_) => "object",
    }
}

/// The zero value an item or a map value takes from `null`.
fn zero(shape: &Shape) -> Value {
    match shape {
        Shape::String => Value::String(String::new()),
        Shape::Bool => Value::Bool(false),
        Shape::Int32 | Shape::Int64 | Shape::Double => Value::from(0),
        _ => Value::Null,
    }
}

/// Whether null is a value of this member: untyped JSON that is not behind a pointer.
fn keeps_null(field: &Field, types: Option<&Types>) -> bool {
    match &field.shape {
        Shape::Any => true,
        Shape::Named { id, .. } => {
            !field.pointer && types.is_some_and(|t| matches!(t[*id].form, Form::Json | Form::RawExtension))
        }
        _ => false,
    }
}

/// Decoding a member a second time goes into what the first time left: maps and structs are merged.
fn overlay(first: &mut Value, second: Value, shape: &Shape) {
    match (first, second, shape) {
        (Value::Object(a), Value::Object(b), Shape::Map { .. }) => a.extend(b),
        (Value::Object(a), Value::Object(b), Shape::Named { .. }) => {
            for (key, value) in b {
                match a.get_mut(&key) {
                    Some(old @ Value::Object(_)) if value.is_object() => overlay(old, value, shape),
                    Some(old) => *old = value,
                    None => {
                        a.insert(key, value);
                    }
                }
            }
        }
        (first, second, _) => *first = second,
    }
}
