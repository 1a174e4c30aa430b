//! A CRD version's schema, compiled once: patterns as automata, lists as enums, members sorted.
//!
//! Counterpart: apiextensions-apiserver `apiserver/schema` (`Structural`). Nested value validations (`allOf`, `not` …)
//! have the same form with most members empty. Nothing is refused here: the CRD's own validation has done that.

use super::formats::Format;
use regex::Regex;
use rehearsal_apimachinery::catalog::ListSemantics;
use serde_json::Value;
use std::collections::BTreeMap;

/// A compiled schema node.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)]
pub struct Schema {
    /// Allowed JSON types as errors name them; empty: any.
    pub types: Vec<String>,
    /// Known string format.
    pub format: Option<Format>,
    /// `format` as written, for integers.
    pub format_name: String,
    /// `null` is a value.
    pub nullable: bool,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserve_unknown: bool,
    /// `x-kubernetes-embedded-resource`.
    pub embedded: bool,
    /// `x-kubernetes-map-type: atomic`.
    pub atomic_map: bool,
    /// `x-kubernetes-list-type` and keys.
    pub list: ListSemantics,
    /// Value of an absent member.
    pub default: Option<Value>,
    /// Declared members.
    pub properties: BTreeMap<String, Schema>,
    /// All other members.
    pub additional: Additional,
    /// List items.
    pub items: Option<Box<Schema>>,
    /// Value constraints.
    pub rules: Rules,
}

/// What members beyond the declared ones may be.
#[derive(Clone, Debug, Default)]
pub enum Additional {
    /// Not mentioned: unknown members are pruned.
    #[default]
    Unsaid,
    /// `true` or `false`.
    Allowed(bool),
    /// Of this schema.
    Schema(Box<Schema>),
}

/// A number bound.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// The limit.
    pub limit: f64,
    /// The limit itself is outside.
    pub exclusive: bool,
}

/// Constraints on values.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub maximum: Option<Bound>,
    pub minimum: Option<Bound>,
    pub multiple_of: Option<f64>,
    pub max_length: Option<usize>,
    pub min_length: Option<usize>,
    pub pattern: Option<(String, Option<Regex>)>,
    pub max_items: Option<usize>,
    pub min_items: Option<usize>,
    pub max_properties: Option<usize>,
    pub min_properties: Option<usize>,
    pub required: Vec<String>,
    pub allowed: Vec<Value>,
    pub all_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
}

impl Schema {
    /// Compiles an OpenAPI v3 schema as a CRD states it.
    #[must_use]
    pub fn compile(raw: &Value) -> Self {
        let flag = |key: &str| raw.get(key).and_then(Value::as_bool).unwrap_or(false);
        let text = |key: &str| raw.get(key).and_then(Value::as_str).unwrap_or_default();
        let int_or_string = flag("x-kubernetes-int-or-string");
        let types = match text("type") {
            _ if int_or_string => vec!["integer".to_owned(), "string".to_owned()],
            "" => Vec::new(),
            one => vec![one.to_owned()],
        };
        let properties = raw.get("properties").and_then(Value::as_object);
        Self {
            types,
            format: Format::named(text("format")).filter(|_| int_or_string || matches!(text("type"), "" | "string")),
            format_name: text("format").to_owned(),
            nullable: flag("nullable"),
            int_or_string,
            preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            atomic_map: text("x-kubernetes-map-type") == "atomic",
            list: list_semantics(raw),
            default: raw.get("default").filter(|d| !d.is_null()).cloned(),
            properties: properties.into_iter().flatten().map(|(k, v)| (k.clone(), Self::compile(v))).collect(),
            additional: match raw.get("additionalProperties") {
                Some(Value::Bool(allowed)) => Additional::Allowed(*allowed),
                Some(schema @ Value::Object(_)) => Additional::Schema(Box::new(Self::compile(schema))),
                _ => Additional::Unsaid,
            },
            items: raw.get("items").filter(|i| i.is_object()).map(|i| Box::new(Self::compile(i))),
            rules: Rules::compile(raw),
        }
    }

    /// The schema of a kind about which nothing is known: everything is kept.
    #[must_use]
    pub fn open() -> Self {
        Self { preserve_unknown: true, ..Self::default() }
    }

    /// The schema of a member: declared, or that of all others.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(match &self.additional {
            Additional::Schema(schema) => Some(schema),
            _ => None,
        })
    }
}

impl Rules {
    fn compile(raw: &Value) -> Self {
        let size = |key: &str| raw.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let flag = |key: &str| raw.get(key).and_then(Value::as_bool).unwrap_or(false);
        let bound = |key: &str, exclusive: &str| {
            let limit = raw.get(key).and_then(Value::as_f64)?;
            Some(Bound { limit, exclusive: flag(exclusive) })
        };
        let schemas = |key: &str| {
            let list = raw.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list.iter().map(Schema::compile).collect()
        };
        let pattern = raw.get("pattern").and_then(Value::as_str).filter(|p| !p.is_empty());
        Self {
            maximum: bound("maximum", "exclusiveMaximum"),
            minimum: bound("minimum", "exclusiveMinimum"),
            multiple_of: raw.get("multipleOf").and_then(Value::as_f64),
            max_length: size("maxLength"),
            min_length: size("minLength"),
            pattern: pattern.map(|p| (p.to_owned(), go_regex(p).ok())),
            max_items: size("maxItems"),
            min_items: size("minItems"),
            max_properties: size("maxProperties"),
            min_properties: size("minProperties"),
            required: strings(raw.get("required")),
            allowed: raw.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
            all_of: schemas("allOf"),
            any_of: schemas("anyOf"),
            one_of: schemas("oneOf"),
            not: raw.get("not").filter(|n| n.is_object()).map(|n| Box::new(Schema::compile(n))),
        }
    }
}

/// A pattern as Go reads it: `\d` and `\w` are ASCII, `\z` and `\Z` differ little.
///
/// # Errors
/// When the pattern is no regular expression.
pub fn go_regex(pattern: &str) -> Result<Regex, regex::Error> {
    // Perl classes are ASCII in Go and Unicode here.
    let mut ascii = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match (chars.next(), in_class) {
                (Some('d'), false) => ascii.push_str("[0-9]"),
                (Some('d'), true) => ascii.push_str("0-9"),
                (Some('w'), false) => ascii.push_str("[0-9A-Za-z_]"),
                (Some('w'), true) => ascii.push_str("0-9A-Za-z_"),
                (Some('s'), false) => ascii.push_str("[\\t\\n\\x0c\\r ]"),
                (Some('s'), true) => ascii.push_str("\\t\\n\\x0c\\r "),
                (Some('D'), false) => ascii.push_str("[^0-9]"),
                (Some('W'), false) => ascii.push_str("[^0-9A-Za-z_]"),
                (Some('S'), false) => ascii.push_str("[^\\t\\n\\x0c\\r ]"),
                // Go takes an escaped punctuation character for itself.
                (Some(other), _) => ascii.extend(['\\', other]),
                (None, _) => ascii.push('\\'),
            },
            '[' if in_class => ascii.push_str("\\["),
            '&' | '~' if in_class => ascii.extend(['\\', c]),
            '[' => {
                in_class = true;
                ascii.push('[');
            }
            ']' => {
                in_class = false;
                ascii.push(']');
            }
            other => ascii.push(other),
        }
    }
    Regex::new(&ascii)
}

fn list_semantics(raw: &Value) -> ListSemantics {
    match raw.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListSemantics::Set,
        Some("map") => ListSemantics::Map(strings(raw.get("x-kubernetes-list-map-keys"))),
        _ => ListSemantics::Atomic,
    }
}

pub(super) fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
