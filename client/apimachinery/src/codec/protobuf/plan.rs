//! How the messages of a type arena stand on the wire: for every type its members by number.
//!
//! Compiled once for the built-in catalogue. Members that JSON flattens (`ProbeHandler`, `VolumeSource`, …) become
//! messages of their own that read from and write to the JSON object of their owner.

use crate::catalog::{Catalog, Field, Form, Shape, TypeDef, TypeId, Types};
use crate::codec::json;
use serde_json::{Map, Value};
use std::sync::{Arc, LazyLock};

/// Index of a message in [`Plans`].
pub(super) type MessageId = usize;

/// All messages of an arena; the first ones are its types, in order.
#[derive(Debug, Default)]
pub(super) struct Plans {
    messages: Vec<Message>,
}

/// A message on the wire.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Name in refusals.
    pub(super) name: String,
    /// Members in ascending order of their numbers.
    pub(super) members: Vec<Member>,
    /// Members that JSON shows even when they are zero, and their zeros.
    pub(super) always: Vec<(String, Value)>,
}

impl Message {
    pub(super) fn member(&self, number: u32) -> Option<&Member> {
        // Numbers are mostly dense.
        let guess = self.members.get(number as usize - 1).filter(|m| m.number == number);
        guess
            .or_else(|| self.members.binary_search_by_key(&number, |m| m.number).ok().and_then(|i| self.members.get(i)))
    }
}

/// A member of a message.
#[derive(Debug)]
pub(super) struct Member {
    /// Field number.
    pub(super) number: u32,
    /// JSON name.
    pub(super) name: String,
    /// How often.
    pub(super) card: Card,
    /// What.
    pub(super) kind: Kind,
    /// Absence differs from zero.
    pub(super) pointer: bool,
    /// JSON leaves a zero out.
    pub(super) omit: bool,
}

/// How often a member may be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Card {
    One,
    List,
    Map,
}

/// What a member's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Bytes,
    Bool,
    Int32,
    Int64,
    Double,
    /// A message with an object of its own in JSON.
    Message(MessageId),
    /// A message whose members belong to the JSON object of its owner.
    Inline(MessageId),
    /// A message around repeated strings, a plain list in JSON (`Verbs`, `ExtraValue`).
    Strings,
    /// A type with a JSON form of its own; never [`Form::Struct`] nor [`Form::SchemaOr`].
    Special(Form),
    /// A schema or something simpler.
    SchemaOr(SchemaOther, MessageId),
}

/// What stands beside a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SchemaOther {
    Bool,
    Schemas,
    Strings,
}

impl Plans {
    /// The plans of an arena: shared for the built-in one, compiled anew for others.
    pub(super) fn of(types: &Types) -> Arc<Self> {
        static BUILTIN: LazyLock<Arc<Plans>> = LazyLock::new(|| Arc::new(Plans::compile(&Catalog::builtin().types)));
        let builtin: &Types = &Catalog::builtin().types;
        if std::ptr::eq(types, builtin) { Arc::clone(&BUILTIN) } else { Arc::new(Self::compile(types)) }
    }

    /// The message of a type.
    pub(super) fn id(root: TypeId) -> MessageId {
        root.0 as usize
    }

    pub(super) fn get(&self, id: MessageId) -> &Message {
        &self.messages[id]
    }

    fn compile(types: &Types) -> Self {
        let mut plans = Self { messages: types.ids().map(|_| Message::default()).collect() };
        for id in types.ids() {
            let def = &types[id];
            let members = plans.members(types, def, def);
            plans.messages[Self::id(id)] =
                Message { name: def.short_name().to_owned(), members, always: always(types, id) };
        }
        plans
    }

    /// The members of `def` as far as they stand in the JSON object of `owner`.
    fn members(&mut self, types: &Types, def: &TypeDef, owner: &TypeDef) -> Vec<Member> {
        let mut members = Vec::new();
        for field in def.fields.iter().filter(|f| f.proto > 0) {
            members.extend(member(types, field.proto, &field.proto_type, owner.field(&field.name).unwrap_or(field)));
        }
        for inline in &def.inline {
            if let Some(field) = renamed(&inline.name).and_then(|name| owner.field(&name)) {
                members.extend(member(types, inline.proto, "", field));
            } else if let Some(inner) = types.named(&inline.reference) {
                let inner_members = self.members(types, inner, owner);
                self.messages.push(Message {
                    name: inner.short_name().to_owned(),
                    members: inner_members,
                    always: Vec::new(),
                });
                members.push(Member {
                    number: inline.proto,
                    name: inline.name.clone(),
                    card: Card::One,
                    kind: Kind::Inline(self.messages.len() - 1),
                    pointer: false,
                    omit: false,
                });
            }
        }
        members.sort_by_key(|m| m.number);
        members
    }
}

/// What Go prints of an empty object of the type.
fn always(types: &Types, id: TypeId) -> Vec<(String, Value)> {
    if types[id].form != Form::Struct {
        return Vec::new();
    }
    let mut zero = Value::Object(Map::new());
    json::normalize(&mut zero, types, id);
    match zero {
        Value::Object(members) => members.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// `None` for what has no place on the wire.
fn member(types: &Types, number: u32, proto_type: &str, field: &Field) -> Option<Member> {
    let (card, kind) = match &field.shape {
        // A list that the wire does not repeat is a message around one.
        Shape::List { .. } if !proto_type.is_empty() && !proto_type.starts_with("repeated ") => {
            (Card::One, Kind::Strings)
        }
        Shape::List { items, .. } => (Card::List, kind(types, items)?),
        Shape::Map { values, .. } if matches!(**values, Shape::List { .. }) => (Card::Map, Kind::Strings),
        Shape::Map { values, .. } => (Card::Map, kind(types, values)?),
        shape => (Card::One, kind(types, shape)?),
    };
    // The tables have no Go facts about discovery, whose only pointer this is.
    let pointer = field.pointer || field.go_type.is_empty() && field.name == "responseKind";
    Some(Member { number, name: field.name.clone(), card, kind, pointer, omit: field.omit_empty && !pointer })
}

fn kind(types: &Types, shape: &Shape) -> Option<Kind> {
    Some(match shape {
        Shape::String => Kind::String,
        Shape::Bytes => Kind::Bytes,
        Shape::Bool => Kind::Bool,
        Shape::Int32 => Kind::Int32,
        Shape::Int64 => Kind::Int64,
        Shape::Double => Kind::Double,
        Shape::Named { id, .. } => match types[*id].form {
            Form::Struct => Kind::Message(Plans::id(*id)),
            Form::SchemaOr => schema_or(types, &types[*id])?,
            special => Kind::Special(special),
        },
        Shape::List { .. } | Shape::Map { .. } | Shape::Any => return None,
    })
}

fn schema_or(types: &Types, def: &TypeDef) -> Option<Kind> {
    let (base, suffix) = def.name.rsplit_once("Or")?;
    let other = match suffix {
        "Bool" => SchemaOther::Bool,
        "Array" => SchemaOther::Schemas,
        _ => SchemaOther::Strings,
    };
    // `…OrStringArray` has one `Or`, so the base is the schema for all three.
    types.id(base).map(|id| Kind::SchemaOr(other, Plans::id(id)))
}

/// The JSON name of a schema keyword whose wire name differs from it.
fn renamed(wire: &str) -> Option<String> {
    match wire {
        "schema" => Some("$schema".to_owned()),
        "ref" => Some("$ref".to_owned()),
        _ => wire.strip_prefix("xKubernetes").map(|rest| {
            let mut name = String::from("x-kubernetes");
            for c in rest.chars() {
                if c.is_ascii_uppercase() {
                    name.push('-');
                }
                name.push(c.to_ascii_lowercase());
            }
            name
        }),
    }
}

/// The Go name of a member, which refusals print.
pub(super) fn go_name(json: &str) -> String {
    const INITIALS: [&str; 14] =
        ["api", "ca", "csi", "fc", "fs", "http", "id", "ip", "nfs", "rbd", "tls", "uid", "url", "tcp"];
    if json == "metadata" {
        return "ObjectMeta".to_owned();
    }
    let head: usize = json.bytes().take_while(u8::is_ascii_lowercase).count();
    let (first, rest) = json.split_at(head);
    if INITIALS.contains(&first) {
        return first.to_ascii_uppercase() + rest;
    }
    let mut chars = json.trim_start_matches('$').chars();
    chars.next().map(|c| c.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str) -> &'static Message {
        static PLANS: LazyLock<Arc<Plans>> = LazyLock::new(|| Plans::of(&Catalog::builtin().types));
        PLANS.get(Plans::id(Catalog::builtin().types.id(name).unwrap()))
    }

    #[test]
    fn every_number_is_used_once_and_no_member_is_lost() {
        let types = &Catalog::builtin().types;
        let plans = Plans::of(types);
        for id in types.ids().filter(|id| types[*id].form == Form::Struct) {
            let message = plans.get(Plans::id(id));
            assert!(message.members.windows(2).all(|w| w[0].number < w[1].number), "{}", message.name);
            let expected = types[id].fields.iter().filter(|f| f.proto > 0).count() + types[id].inline.len();
            assert_eq!(message.members.len(), expected, "{}", types[id].name);
        }
    }

    #[test]
    fn schema_keywords_find_their_json_names() {
        let schema = message("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
        let named = |number| schema.member(number).map(|m| (m.name.as_str(), m.card, m.pointer));
        assert_eq!(named(2), Some(("$schema", Card::One, false)));
        assert_eq!(named(3), Some(("$ref", Card::One, true)));
        assert_eq!(named(38), Some(("x-kubernetes-preserve-unknown-fields", Card::One, true)));
        assert_eq!(named(41), Some(("x-kubernetes-list-map-keys", Card::List, false)));
        assert_eq!(named(44), Some(("x-kubernetes-validations", Card::List, false)));
    }

    #[test]
    fn flattened_messages_keep_the_pointers_of_their_owner() {
        let probe = message("io.k8s.api.core.v1.Probe");
        let Some(Kind::Inline(handler)) = probe.member(1).map(|m| m.kind) else { panic!("no handler") };
        let plans = Plans::of(&Catalog::builtin().types);
        let exec = plans.get(handler).member(1).unwrap();
        assert_eq!((exec.name.as_str(), exec.pointer), ("exec", true));
    }

    #[test]
    fn go_names_are_guessed_from_json_names() {
        for (json, go) in [("name", "Name"), ("metadata", "ObjectMeta"), ("podIP", "PodIP"), ("uid", "UID")] {
            assert_eq!(go_name(json), go);
        }
        assert_eq!(go_name("apiVersion"), "APIVersion");
        assert_eq!(go_name("caBundle"), "CABundle");
    }
}
