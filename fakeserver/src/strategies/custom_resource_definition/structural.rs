//! Whether a schema is structural: every place typed once, outside of alternatives.
//!
//! Counterpart: apiextensions-apiserver `apiserver/schema/validation.go`.

use super::schema::{flag, pattern, text};
use rehearsal_apimachinery::field::{FieldError, Path};
use serde_json::{Value, json};

const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// The errors of a root schema, sorted by their text as the server sorts them.
pub(super) fn validate(schema: &Value, path: &Path) -> Vec<FieldError> {
    let mut walk = Walk { errors: Vec::new() };
    walk.node(schema, Level::Root, path);
    walk.covered(schema, Some(schema), path, path);
    walk.errors.sort_by_cached_key(ToString::to_string);
    walk.errors
}

struct Walk {
    errors: Vec<FieldError>,
}

fn list<'v>(schema: &'v Value, key: &str) -> &'v [Value] {
    schema.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

impl Walk {
    fn forbid(&mut self, path: Path, text: &str) {
        self.errors.push(FieldError::forbidden(path, text));
    }

    fn invalid(&mut self, path: Path, value: impl Into<Value>, text: &str) {
        self.errors.push(FieldError::invalid(path, value, text));
    }

    fn require(&mut self, path: Path, text: &str) {
        self.errors.push(FieldError::required(path, text));
    }

    fn node(&mut self, schema: &Value, level: Level, path: &Path) {
        let items = schema.get("items").filter(|i| i.is_object());
        match items {
            Some(items) => self.node(items, Level::Item, &path.child("items")),
            None if text(schema, "type") == "array" => self.require(path.child("items"), "must be specified"),
            None => {}
        }
        for (name, inner) in properties(schema) {
            self.node(inner, Level::Field, &path.child("properties").key(name));
        }
        self.additional(schema, level, path);
        self.extensions(schema, path);
        self.constraints_of_node(schema, level, path);
        self.typed(schema, level, path);
        self.metadata(schema, level, path);
    }

    fn additional(&mut self, schema: &Value, level: Level, path: &Path) {
        let Some(additional) = schema.get("additionalProperties").filter(|a| !a.is_null()) else { return };
        if level == Level::Root {
            self.forbid(path.child("additionalProperties"), "must not be used at the root");
        }
        if additional.is_object() {
            self.node(additional, Level::Field, &path.child("additionalProperties"));
        }
        if flag(schema, EMBEDDED) {
            let text = format!("must not be used if {EMBEDDED} is set");
            self.forbid(path.child("additionalProperties"), &text);
        }
    }

    fn extensions(&mut self, schema: &Value, path: &Path) {
        for key in [PRESERVE, EMBEDDED] {
            if flag(schema, INT_OR_STRING) && flag(schema, key) {
                self.invalid(path.child(key), true, &format!("must be false if {INT_OR_STRING} is true"));
            }
        }
    }

    /// An int-or-string may say so a second time as alternatives.
    fn constraints_of_node(&mut self, schema: &Value, level: Level, path: &Path) {
        let twice = json!([{"type": "integer"}, {"type": "string"}]);
        let mixed = flag(schema, INT_OR_STRING);
        let in_any = mixed && schema.get("anyOf") == Some(&twice);
        let in_all = mixed && !in_any && list(schema, "allOf").first().and_then(|a| a.get("anyOf")) == Some(&twice);
        self.constraints(schema, in_any, in_all, level, path);
    }

    fn constraints(&mut self, schema: &Value, skip_any: bool, skip_all: bool, level: Level, path: &Path) {
        if !skip_any {
            for (i, inner) in list(schema, "anyOf").iter().enumerate() {
                self.nested(inner, false, level, &path.child("anyOf").index(i));
            }
        }
        for (i, inner) in list(schema, "allOf").iter().enumerate() {
            self.nested(inner, skip_all && i == 0, level, &path.child("allOf").index(i));
        }
        for (i, inner) in list(schema, "oneOf").iter().enumerate() {
            self.nested(inner, false, level, &path.child("oneOf").index(i));
        }
        if let Some(not) = schema.get("not").filter(|n| n.is_object()) {
            self.nested(not, false, level, &path.child("not"));
        }
        self.errors.extend(pattern(schema, path));
    }

    /// Within alternatives there are constraints on values and nothing else.
    fn nested(&mut self, schema: &Value, skip_any: bool, level: Level, path: &Path) {
        self.constraints(schema, skip_any, false, level, path);
        if let Some(items) = schema.get("items").filter(|i| i.is_object()) {
            self.nested(items, false, Level::Item, &path.child("items"));
        }
        for (name, inner) in properties(schema) {
            self.nested(inner, false, Level::Field, &path.child("properties").key(name));
        }
        let empty = "must be empty to be structural";
        let undefined = "must be undefined to be structural";
        let unset = "must be false to be structural";
        for (key, text_of) in [("type", empty), ("title", empty), ("description", empty)] {
            if !text(schema, key).is_empty() {
                self.forbid(path.child(key), text_of);
            }
        }
        for key in ["additionalProperties", "default", "x-kubernetes-list-type", "x-kubernetes-map-type"] {
            if schema.get(key).is_some_and(|v| !v.is_null()) {
                self.forbid(path.child(key), undefined);
            }
        }
        for key in ["nullable", PRESERVE, EMBEDDED, INT_OR_STRING] {
            if flag(schema, key) {
                self.forbid(path.child(key), unset);
            }
        }
        if !list(schema, "x-kubernetes-list-map-keys").is_empty() {
            self.forbid(path.child("x-kubernetes-list-map-keys"), empty);
        }
        if schema.get("properties").is_some_and(|p| p.get("metadata").is_some()) {
            self.forbid(path.child("properties").key("metadata"), "must not be specified in a nested context");
        }
    }

    fn typed(&mut self, schema: &Value, level: Level, path: &Path) {
        let (kind, embedded) = (text(schema, "type"), flag(schema, EMBEDDED));
        let at = path.child("type");
        if embedded && kind != "object" {
            let text = format!("must be object if {EMBEDDED} is true");
            if kind.is_empty() { self.require(at, &text) } else { self.invalid(at, kind, &text) }
        } else if kind.is_empty() && !flag(schema, INT_OR_STRING) && !flag(schema, PRESERVE) {
            self.require(
                at,
                match level {
                    Level::Root => "must not be empty at the root",
                    Level::Item => "must not be empty for specified array items",
                    Level::Field => "must not be empty for specified object fields",
                },
            );
        } else if level == Level::Root && !kind.is_empty() && kind != "object" {
            self.invalid(at, kind, "must be object at the root");
        }
        if embedded && !flag(schema, PRESERVE) && properties(schema).next().is_none() {
            let text = format!("must not be empty if {EMBEDDED} is true without {PRESERVE}");
            self.require(path.child("properties"), &text);
        }
    }

    /// Of the metadata a schema may restrict the names alone.
    fn metadata(&mut self, schema: &Value, level: Level, path: &Path) {
        let resource = level == Level::Root || flag(schema, EMBEDDED);
        let member = |name: &str| schema.get("properties").and_then(|p| p.get(name));
        for name in ["kind", "apiVersion"] {
            if let Some(inner) = member(name).filter(|i| resource && text(i, "type") != "string") {
                let at = path.child("properties").key(name).child("type");
                self.invalid(at, text(inner, "type"), "must be string");
            }
        }
        let Some(metadata) = member("metadata") else { return };
        let at = path.child("properties").key("metadata");
        if resource && text(metadata, "type") != "object" {
            self.invalid(at.child("type"), text(metadata, "type"), "must be object");
        }
        let known = |(name, _): (&String, &Value)| matches!(name.as_str(), "name" | "generateName");
        let bare = metadata
            .as_object()
            .is_some_and(|m| m.keys().all(|k| matches!(k.as_str(), "type" | "properties" | "default")));
        if level == Level::Root && !(bare && properties(metadata).all(known)) {
            let text =
                "must not specify anything other than name and generateName, but metadata is implicitly specified";
            self.forbid(at, text);
        }
    }

    /// What alternatives at the root constrain must be declared outside of them.
    fn covered(&mut self, rules: &Value, schema: Option<&Value>, declared: &Path, stated: &Path) {
        for key in ["allOf", "anyOf", "oneOf"] {
            for (i, inner) in list(rules, key).iter().enumerate() {
                self.nested_covered(inner, schema, declared, &stated.child(key).index(i));
            }
        }
        if let Some(not) = rules.get("not").filter(|n| n.is_object()) {
            self.nested_covered(not, schema, declared, &stated.child("not"));
        }
    }

    fn nested_covered(&mut self, rules: &Value, schema: Option<&Value>, declared: &Path, stated: &Path) {
        let Some(known) = schema else {
            return self.require(declared.clone(), &format!("because it is defined in {stated}"));
        };
        self.covered(rules, schema, declared, stated);
        if let Some(items) = rules.get("items").filter(|i| i.is_object()) {
            let inner = known.get("items").filter(|i| i.is_object());
            self.nested_covered(items, inner, &declared.child("items"), &stated.child("items"));
        }
        for (name, rule) in properties(rules) {
            let inner = known.get("properties").and_then(|p| p.get(name));
            let below = |path: &Path| path.child("properties").key(name);
            self.nested_covered(rule, inner, &below(declared), &below(stated));
        }
    }
}
