//! OpenAPI v2 as a protobuf message: what client-go's `OpenAPISchema()` asks for and cannot do without.
//!
//! The message is gnostic's `openapi.v2.Document`. Written are the members that our document has; security
//! definitions are left out, no client reads them from here.

use serde_json::{Map, Value};

/// A protobuf message being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.0.push(low & 0x7f);
                return;
            }
            self.0.push(low | 0x80);
        }
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field << 3 | 2));
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Writes a non-empty string member.
    fn text(&mut self, field: u32, value: Option<&Value>) {
        if let Some(text) = value.and_then(Value::as_str).filter(|t| !t.is_empty()) {
            self.bytes(field, text.as_bytes());
        }
    }

    fn texts(&mut self, field: u32, value: Option<&Value>) {
        for text in value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            self.bytes(field, text.as_bytes());
        }
    }

    fn flag(&mut self, field: u32, value: Option<&Value>) {
        if value == Some(&Value::Bool(true)) {
            self.varint(u64::from(field << 3));
            self.varint(1);
        }
    }

    fn integer(&mut self, field: u32, value: Option<&Value>) {
        if let Some(number) = value.and_then(Value::as_u64).filter(|n| *n != 0) {
            self.varint(u64::from(field << 3));
            self.varint(number);
        }
    }

    fn double(&mut self, field: u32, value: Option<&Value>) {
        if let Some(number) = value.and_then(Value::as_f64).filter(|n| *n != 0.0) {
            self.varint(u64::from(field << 3 | 1));
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn message(&mut self, field: u32, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// Writes a named member (`NamedSchema`, `NamedAny`, …): name and value.
    fn named(&mut self, field: u32, name: &str, value: &Self) {
        let mut entry = Self::default();
        entry.bytes(1, name.as_bytes());
        entry.message(2, value);
        self.message(field, &entry);
    }

    fn extensions(&mut self, field: u32, map: &Map<String, Value>) {
        for (key, value) in map.iter().filter(|(key, _)| key.starts_with("x-")) {
            self.named(field, key, &any(value));
        }
    }
}

/// `Any` holds YAML text, and JSON is YAML.
fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.bytes(2, value.to_string().as_bytes());
    message
}

fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

/// Encodes a v2 document.
pub(super) fn document(document: &Value) -> Vec<u8> {
    let mut out = Message::default();
    out.text(1, document.get("swagger"));
    let mut info = Message::default();
    info.text(1, document.pointer("/info/title"));
    info.text(2, document.pointer("/info/version"));
    out.message(2, &info);
    let mut paths = Message::default();
    for (path, item) in members(document.get("paths")) {
        paths.named(2, path, &path_item(item));
    }
    out.message(8, &paths);
    let mut definitions = Message::default();
    for (name, definition) in members(document.get("definitions")) {
        definitions.named(1, name, &schema(definition));
    }
    out.message(9, &definitions);
    out.0
}

fn path_item(item: &Value) -> Message {
    let mut out = Message::default();
    let methods = [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (6, "options"), (7, "head"), (8, "patch")];
    for (field, method) in methods {
        if let Some(found) = item.get(method) {
            out.message(field, &operation(found));
        }
    }
    for found in item.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        out.message(9, &parameter(found));
    }
    out
}

fn operation(operation: &Value) -> Message {
    let mut out = Message::default();
    out.texts(1, operation.get("tags"));
    out.text(3, operation.get("description"));
    out.text(5, operation.get("operationId"));
    out.texts(6, operation.get("produces"));
    out.texts(7, operation.get("consumes"));
    for found in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        out.message(8, &parameter(found));
    }
    let mut responses = Message::default();
    for (code, found) in members(operation.get("responses")) {
        let (mut response, mut value) = (Message::default(), Message::default());
        response.text(1, found.get("description"));
        if let Some(found) = found.get("schema") {
            let mut item = Message::default();
            item.message(1, &schema(found));
            response.message(2, &item);
        }
        value.message(1, &response);
        responses.named(1, code, &value);
    }
    out.message(9, &responses);
    out.texts(10, operation.get("schemes"));
    if let Some(map) = operation.as_object() {
        out.extensions(13, map);
    }
    out
}

/// `ParametersItem`: body, query and path parameters are messages of their own, numbered differently.
fn parameter(parameter: &Value) -> Message {
    let (mut inner, mut non_body, mut choice, mut item) =
        (Message::default(), Message::default(), Message::default(), Message::default());
    let get = |key: &str| parameter.get(key);
    match get("in").and_then(Value::as_str) {
        Some("body") => {
            inner.text(2, get("name"));
            inner.text(3, get("in"));
            inner.flag(4, get("required"));
            if let Some(found) = get("schema") {
                inner.message(5, &schema(found));
            }
            choice.message(1, &inner);
        }
        Some("path") => {
            inner.flag(1, get("required"));
            inner.text(2, get("in"));
            inner.text(4, get("name"));
            inner.text(5, get("type"));
            inner.flag(19, get("uniqueItems"));
            non_body.message(4, &inner);
            choice.message(2, &non_body);
        }
        _ => {
            inner.flag(1, get("required"));
            inner.text(2, get("in"));
            inner.text(4, get("name"));
            inner.text(6, get("type"));
            inner.flag(20, get("uniqueItems"));
            non_body.message(3, &inner);
            choice.message(2, &non_body);
        }
    }
    item.message(1, &choice);
    item
}

fn schema(schema_value: &Value) -> Message {
    let mut out = Message::default();
    let Some(map) = schema_value.as_object() else { return out };
    let get = |key: &str| map.get(key);
    out.text(1, get("$ref"));
    out.text(2, get("format"));
    out.text(3, get("title"));
    out.text(4, get("description"));
    if let Some(default) = get("default") {
        out.message(5, &any(default));
    }
    out.double(6, get("multipleOf"));
    out.double(7, get("maximum"));
    out.flag(8, get("exclusiveMaximum"));
    out.double(9, get("minimum"));
    out.flag(10, get("exclusiveMinimum"));
    out.integer(11, get("maxLength"));
    out.integer(12, get("minLength"));
    out.text(13, get("pattern"));
    out.integer(14, get("maxItems"));
    out.integer(15, get("minItems"));
    out.flag(16, get("uniqueItems"));
    out.integer(17, get("maxProperties"));
    out.integer(18, get("minProperties"));
    out.texts(19, get("required"));
    for value in get("enum").and_then(Value::as_array).into_iter().flatten() {
        out.message(20, &any(value));
    }
    match get("additionalProperties") {
        Some(Value::Bool(allowed)) => {
            let mut item = Message::default();
            // A member of a oneof is written even when it is false.
            item.varint(2 << 3);
            item.varint(u64::from(*allowed));
            out.message(21, &item);
        }
        Some(values) => {
            let mut item = Message::default();
            item.message(1, &schema(values));
            out.message(21, &item);
        }
        None => {}
    }
    if get("type").is_some() {
        let mut kind = Message::default();
        kind.text(1, get("type"));
        out.message(22, &kind);
    }
    if let Some(items) = get("items") {
        let mut item = Message::default();
        item.message(1, &schema(items));
        out.message(23, &item);
    }
    for part in get("allOf").and_then(Value::as_array).into_iter().flatten() {
        out.message(24, &schema(part));
    }
    if get("properties").is_some() {
        let mut properties = Message::default();
        for (name, property) in members(get("properties")) {
            properties.named(1, name, &schema(property));
        }
        out.message(25, &properties);
    }
    out.extensions(31, map);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lengths_beyond_one_byte_are_varints() {
        let mut message = Message::default();
        message.bytes(1, &[b'x'; 300]);
        assert_eq!(message.0[..3], [0x0a, 0xac, 0x02]);
    }

    #[test]
    fn a_schema_has_the_field_numbers_of_gnostic() {
        let encoded = schema(&json!({"type": "string", "format": "byte", "x-a": 1}));
        let mut expected = vec![0x12, 4];
        expected.extend(b"byte");
        expected.extend([0xb2, 0x01, 8, 0x0a, 6]);
        expected.extend(b"string");
        // vendor_extension = 31: NamedAny{name: "x-a", value: Any{yaml: "1"}}
        expected.extend([0xfa, 0x01, 10, 0x0a, 3]);
        expected.extend(b"x-a");
        expected.extend([0x12, 3, 0x12, 1, b'1']);
        assert_eq!(encoded.0, expected);
    }

    #[test]
    fn a_document_starts_with_its_version() {
        let encoded = document(&json!({"swagger": "2.0", "info": {"title": "K", "version": "v1"}}));
        assert_eq!(encoded[..5], [0x0a, 3, b'2', b'.', b'0']);
    }
}
