//! JSON Schemas, as generators write them, to the structural schemas that a CustomResourceDefinition takes.
//!
//! Counterpart: what controller-gen does while it reads Go types; the rules are apiextensions' structural schemas. No
//! generator is a dependency of ours: hand in what `schemars::schema_for!` or any other one gives.

use serde_json::{Map, Value, json};

/// What is nested deeper may be anything.
const MAX_DEPTH: usize = 64;

/// Members of a schema that a structural schema has too and that mean the same there; so do all `x-kubernetes-…`.
const KEPT: [&str; 15] = [
    "type",
    "format",
    "description",
    "default",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "required",
    "nullable",
];

/// A structural schema that allows at least what the JSON Schema allows.
///
/// References are put in place of themselves, `null` among the types becomes `nullable`, alternatives of plain texts
/// become an `enum`. What a structural schema cannot say, such as an alternative between objects or a recursive type, is
/// left open with `x-kubernetes-preserve-unknown-fields`.
///
/// ```
/// use rehearsal_client::structural_schema;
/// use serde_json::json;
///
/// let schema = json!({"title": "Spec", "type": "object", "properties": {"size": {"type": ["integer", "null"], "format": "uint8"}}});
/// let wanted = json!({"type": "object", "properties": {"size": {"type": "integer", "nullable": true}}});
/// assert_eq!(structural_schema(&schema), wanted);
/// ```
#[must_use]
pub fn structural_schema(json_schema: &Value) -> Value {
    Value::Object(Walk { root: json_schema, within: vec!["#"] }.schema(json_schema, 0))
}

/// Goes through a schema; the root holds what is referred to.
struct Walk<'a> {
    root: &'a Value,
    /// References being followed: one that leads back to itself is where a recursive type is left open.
    within: Vec<&'a str>,
}

/// A schema that allows everything.
fn anything() -> Map<String, Value> {
    Map::from_iter([("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true))])
}

impl<'a> Walk<'a> {
    fn schema(&mut self, schema: &'a Value, depth: usize) -> Map<String, Value> {
        let Some(members) = schema.as_object().filter(|members| !members.is_empty() && depth < MAX_DEPTH) else {
            return anything();
        };
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            return described(self.referred(reference, depth), members);
        }
        if let Some(parts) = ["allOf", "anyOf", "oneOf"].iter().find_map(|key| members.get(*key)?.as_array()) {
            return described(self.alternatives(parts, depth), members);
        }
        self.plain(members, depth)
    }

    fn referred(&mut self, reference: &'a str, depth: usize) -> Map<String, Value> {
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let Some(target) = target.filter(|_| !self.within.contains(&reference)) else { return anything() };
        self.within.push(reference);
        let found = self.schema(target, depth + 1);
        self.within.pop();
        found
    }

    /// One of several: with `null` for one that is nullable, of texts for an enumeration, otherwise anything.
    fn alternatives(&mut self, parts: &'a [Value], depth: usize) -> Map<String, Value> {
        let (nulls, others): (Vec<_>, Vec<_>) = parts.iter().partition(|part| is_null(part));
        let read: Vec<_> = others.iter().map(|part| self.schema(part, depth + 1)).collect();
        let mut found = match read.as_slice() {
            [only] => only.clone(),
            several => enumeration(several).unwrap_or_else(anything),
        };
        if !nulls.is_empty() {
            found.insert("nullable".into(), json!(true));
        }
        found
    }

    fn plain(&mut self, members: &'a Map<String, Value>, depth: usize) -> Map<String, Value> {
        let kept = members.iter().filter(|(key, _)| KEPT.contains(&key.as_str()) || key.starts_with("x-kubernetes-"));
        let mut found: Map<String, Value> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
        if let Some(only) = members.get("const") {
            found.insert("enum".into(), json!([only]));
        }
        if !single_type(&mut found) {
            return described(anything(), members);
        }
        // The server knows no unsigned numbers; the minimum says it all.
        if found.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
            found.remove("format");
        }
        if !found.contains_key("type") && !found.contains_key("enum") {
            found.append(&mut anything());
        }
        if let Some(items) = members.get("items").filter(|items| items.is_object()) {
            found.insert("items".into(), Value::Object(self.schema(items, depth + 1)));
        } else if found.get("type") == Some(&json!("array")) {
            found.insert("items".into(), Value::Object(anything()));
        }
        self.object(members, &mut found, depth);
        found
    }

    /// Members of an object: named ones, or any of one shape; a structural schema has not both.
    fn object(&mut self, members: &'a Map<String, Value>, found: &mut Map<String, Value>, depth: usize) {
        let named = members.get("properties").and_then(Value::as_object).filter(|named| !named.is_empty());
        if let Some(named) = named {
            let each = named.iter().map(|(name, s)| (name.clone(), Value::Object(self.schema(s, depth + 1))));
            found.insert("properties".into(), Value::Object(each.collect()));
        }
        match members.get("additionalProperties") {
            None | Some(Value::Bool(false)) => {}
            Some(values) if named.is_none() && values.as_object().is_some_and(|v| !v.is_empty()) => {
                found.insert("additionalProperties".into(), Value::Object(self.schema(values, depth + 1)));
            }
            Some(_) => found.append(&mut anything()),
        }
    }
}

/// The description beside a reference or an alternative outdoes the one inside.
fn described(mut found: Map<String, Value>, members: &Map<String, Value>) -> Map<String, Value> {
    for key in ["description", "default"] {
        if let Some(value) = members.get(key) {
            found.insert(key.into(), value.clone());
        }
    }
    found
}

fn is_null(part: &Value) -> bool {
    part.get("type").and_then(Value::as_str) == Some("null") || part.get("const") == Some(&Value::Null)
}

/// `["string", "null"]` becomes a nullable string; false for several types.
fn single_type(found: &mut Map<String, Value>) -> bool {
    let Some(types) = found.get("type").and_then(Value::as_array).cloned() else { return true };
    let others: Vec<_> = types.iter().filter(|t| *t != "null").collect();
    if others.len() < types.len() {
        found.insert("nullable".into(), json!(true));
    }
    match others.as_slice() {
        [only] => {
            found.insert("type".into(), (*only).clone());
            true
        }
        _ => false,
    }
}

/// One list of values from alternatives that are lists of texts.
fn enumeration(parts: &[Map<String, Value>]) -> Option<Map<String, Value>> {
    let mut all = Vec::new();
    for part in parts {
        let values = part.get("enum")?.as_array()?;
        if !values.iter().all(Value::is_string) {
            return None;
        }
        all.extend(values.iter().cloned());
    }
    Some(Map::from_iter([("type".to_owned(), json!("string")), ("enum".to_owned(), Value::Array(all))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Value {
        Value::Object(anything())
    }

    #[test]
    fn references_are_put_in_place_and_keep_the_nearer_description() {
        let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/A", "description": "near"}},
            "$defs": {"A": {"type": "object", "description": "far", "required": ["n"], "properties": {"n": {"type": "integer", "format": "int32"}}}}});
        let a = &structural_schema(&schema)["properties"]["a"];
        assert_eq!(
            *a,
            json!({"type": "object", "description": "near", "required": ["n"], "properties": {"n": {"type": "integer", "format": "int32"}}})
        );
    }

    #[test]
    fn an_optional_part_is_nullable() {
        let schema = json!({"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}], "$defs": {"A": {"type": "string"}}});
        assert_eq!(structural_schema(&schema), json!({"type": "string", "nullable": true}));
    }

    #[test]
    fn alternatives_of_texts_are_an_enumeration_and_others_are_open() {
        let texts = json!({"oneOf": [{"type": "string", "const": "A", "description": "first"}, {"type": "string", "enum": ["B", "C"]}]});
        assert_eq!(structural_schema(&texts), json!({"type": "string", "enum": ["A", "B", "C"]}));
        let objects = json!({"oneOf": [{"type": "object", "properties": {}}, {"type": "object"}]});
        assert_eq!(structural_schema(&objects), open());
        assert_eq!(structural_schema(&json!({"type": ["string", "integer"]})), open());
    }

    #[test]
    fn maps_lists_and_anything() {
        let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
        assert_eq!(structural_schema(&map), map);
        let closed = json!({"type": "object", "properties": {"a": true}, "additionalProperties": false});
        assert_eq!(structural_schema(&closed), json!({"type": "object", "properties": {"a": open()}}));
        let list = json!({"type": "array", "items": {"type": "boolean"}});
        assert_eq!(structural_schema(&list), list);
        let tuple = json!({"type": "array", "prefixItems": [{"type": "boolean"}]});
        assert_eq!(structural_schema(&tuple), json!({"type": "array", "items": open()}));
        assert_eq!(structural_schema(&json!(true)), open());
        let loose = json!({"type": "object", "additionalProperties": true});
        assert_eq!(structural_schema(&loose)["x-kubernetes-preserve-unknown-fields"], true);
    }

    #[test]
    fn a_structural_schema_stays_what_it_is() {
        let schema = json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.a > 0"}], "properties": {
            "a": {"type": "integer", "nullable": true}, "b": open(), "c": {"type": "array", "items": {"type": "string"},
            "x-kubernetes-list-type": "set"}, "d": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
        assert_eq!(structural_schema(&schema), schema);
    }

    #[test]
    fn recursive_types_end_in_anything() {
        let schema = json!({"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#/$defs/Node"}},
            "$defs": {"Node": {"type": "object", "properties": {"a": {"$ref": "#/$defs/Node"}, "b": {"$ref": "#"}}}}});
        let found = structural_schema(&schema);
        assert_eq!(found["properties"]["left"], open());
        assert_eq!(found["properties"]["right"]["properties"], json!({"a": open(), "b": open()}));
        assert_eq!(structural_schema(&json!({"$ref": "elsewhere.json"})), open());
    }
}
