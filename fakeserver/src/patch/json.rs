//! JSON patch (RFC 6902) with the quirks of the library the server uses.
//!
//! Counterpart: `evanphx/json-patch` v4, behind `endpoints/handlers/patch.go`. Its quirks: `replace` creates missing
//! members, `add` without a value adds null, negative indices count from the end, what stands before the first slash
//! of a pointer is ignored. Every failure to apply is one and the same 422.

use super::{depth_of, read};
use rehearsal_apimachinery::codec::json;
use rehearsal_apimachinery::field::{go_json, go_quote};
use rehearsal_apimachinery::status::StatusDetails;
use rehearsal_apimachinery::{Status, StatusReason};
use serde_json::{Map, Value};

/// Most operations of one patch.
const MAX_OPERATIONS: usize = 10_000;
/// Most bytes that all `copy` operations of one patch may add.
const MAX_COPY_BYTES: usize = 3 * 1024 * 1024;

/// Deepest nesting of a patched document, that of a document sent whole.
const MAX_DEPTH: usize = json::MAX_DEPTH;
/// Deepest nesting while operations go on: what recursion over a document can bear.
const MAX_DEPTH_BETWEEN: usize = 4 * MAX_DEPTH;

/// An operation cannot be applied; why is never told.
struct Inapplicable;

type Outcome<T> = Result<T, Inapplicable>;

/// Applies a JSON patch in place; on refusal the document is unchanged. Returns the strict findings.
///
/// # Errors
/// 400 for a patch that is no list of operations, 413 for too many, 422 if one cannot be applied.
pub fn apply(doc: &mut Value, patch: &[u8]) -> Result<Vec<String>, Status> {
    let refuse = |why: String| Status::bad_request(format!("error decoding patch: {why}"));
    let (patch, duplicates) = read::parse(patch).map_err(refuse)?;
    let operations = match patch {
        Value::Array(operations) => operations,
        Value::Null => Vec::new(),
        other => return Err(refuse(mismatch(&other, "value", "[]handlers.jsonPatchOp"))),
    };
    let mut findings = check_members(&operations).map_err(refuse)?;
    findings.splice(0..0, duplicates);
    if operations.len() > MAX_OPERATIONS {
        return Err(too_many(operations.len()));
    }
    let mut work = doc.clone();
    let (mut copied, mut depth) = (0, Depth::default());
    for operation in &operations {
        depth.before(&work, operation).map_err(|_| inapplicable())?;
        run(&mut work, operation, &mut copied).map_err(|_| inapplicable())?;
    }
    if depth_of(&work) > MAX_DEPTH {
        return Err(inapplicable());
    }
    *doc = work;
    Ok(findings.into_iter().map(|f| format!("json patch {f}")).collect())
}

/// How deep a document may be by now, without a walk at each operation: one `move` can double the depth.
struct Depth(usize);

impl Default for Depth {
    /// The depth of any document and of any patch.
    fn default() -> Self {
        Self(MAX_DEPTH)
    }
}

impl Depth {
    /// Adds what an operation may add; where that could be too much, looks what it is.
    fn before(&mut self, doc: &Value, operation: &Value) -> Outcome<()> {
        let level =
            |name: &str| operation.get(name).and_then(Value::as_str).map_or(0, |pointer| pointer.matches('/').count());
        let added = |depth: usize| depth.max(MAX_DEPTH) + level("path");
        if added(self.0) > MAX_DEPTH_BETWEEN {
            self.0 = depth_of(doc);
        }
        self.0 = added(self.0);
        if self.0 > MAX_DEPTH_BETWEEN { Err(Inapplicable) } else { Ok(()) }
    }
}

fn too_many(got: usize) -> Status {
    let text = format!(
        "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {got}"
    );
    Status::failure(413, StatusReason::RequestEntityTooLarge, text)
}

fn inapplicable() -> Status {
    let text = "the server rejected our request due to an error in our request";
    Status::failure(422, StatusReason::Invalid, text).details(StatusDetails::default())
}

/// Go's word for a JSON type.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn mismatch(value: &Value, place: &str, go_type: &str) -> String {
    format!("json: cannot unmarshal {} into Go {place} of type {go_type}", kind(value))
}

/// Checks the operations against their struct: refuses wrong types, finds unknown members.
fn check_members(operations: &[Value]) -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    for (i, operation) in operations.iter().enumerate() {
        let members = match operation {
            Value::Object(members) => members,
            Value::Null => continue,
            other => return Err(mismatch(other, "value", "handlers.jsonPatchOp")),
        };
        for (name, value) in members {
            match name.as_str() {
                "op" | "path" | "from" if value.is_string() || value.is_null() => {}
                "op" | "path" | "from" => {
                    return Err(mismatch(value, &format!("struct field jsonPatchOp.{name}"), "string"));
                }
                "value" => {}
                _ => findings.push(format!("unknown field {}", go_quote(&format!("[{i}].{name}")))),
            }
        }
    }
    Ok(findings)
}

fn run(doc: &mut Value, operation: &Value, copied: &mut usize) -> Outcome<()> {
    let empty = Map::new();
    let members = operation.as_object().unwrap_or(&empty);
    let text = |name: &str| members.get(name).and_then(Value::as_str).ok_or(Inapplicable);
    let value = members.get("value").unwrap_or(&Value::Null);
    match text("op")? {
        "add" => add(doc, text("path")?, value.clone()),
        "remove" => remove(doc, text("path")?).map(drop),
        "replace" => replace(doc, text("path")?, value),
        "test" => test(doc, text("path")?, value),
        "move" => {
            let moved = remove(doc, text("from")?)?;
            add(doc, text("path")?, moved)
        }
        "copy" => {
            let source = get(doc, text("from")?)?.cloned();
            let target = text("path")?;
            if let Some(source) = &source {
                *copied += go_json(source).len();
            }
            if *copied > MAX_COPY_BYTES {
                return Err(Inapplicable);
            }
            add(doc, target, source.unwrap_or_default())
        }
        _ => Err(Inapplicable),
    }
}

// === pointers ===

fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The keys below the root; what stands before the first slash is ignored.
fn keys(pointer: &str) -> Outcome<Vec<String>> {
    let mut parts = pointer.split('/');
    parts.next();
    let keys: Vec<String> = parts.map(unescape).collect();
    if keys.is_empty() { Err(Inapplicable) } else { Ok(keys) }
}

/// The container a pointer leads into, and the key inside it.
fn parent<'a>(doc: &'a mut Value, pointer: &str) -> Outcome<(&'a mut Value, String)> {
    let mut keys = keys(pointer)?;
    let last = keys.pop().ok_or(Inapplicable)?;
    let mut at = doc;
    for key in keys {
        at = match at {
            Value::Object(map) => map.get_mut(&key).ok_or(Inapplicable)?,
            Value::Array(items) => {
                let i = existing(&key, items.len())?;
                items.get_mut(i).ok_or(Inapplicable)?
            }
            _ => return Err(Inapplicable),
        };
    }
    if at.is_object() || at.is_array() { Ok((at, last)) } else { Err(Inapplicable) }
}

/// The index of an existing item; -1 is the last one.
fn existing(key: &str, len: usize) -> Outcome<usize> {
    index(key, len, len)
}

/// An index below `limit`; a negative one counts back from `len`.
fn index(key: &str, len: usize, limit: usize) -> Outcome<usize> {
    let n: i64 = key.parse().map_err(|_| Inapplicable)?;
    let len = i64::try_from(len).map_err(|_| Inapplicable)?;
    let i = usize::try_from(if n < 0 { n + len } else { n }).map_err(|_| Inapplicable)?;
    if i < limit { Ok(i) } else { Err(Inapplicable) }
}

// === operations ===

/// The value behind a pointer; a missing member is `None`, a missing item a failure.
fn get<'a>(doc: &'a mut Value, pointer: &str) -> Outcome<Option<&'a Value>> {
    let (container, key) = parent(doc, pointer)?;
    match container {
        Value::Object(map) => Ok(map.get(&key)),
        Value::Array(items) => {
            let i = existing(&key, items.len())?;
            Ok(items.get(i))
        }
        _ => Err(Inapplicable),
    }
}

fn add(doc: &mut Value, pointer: &str, value: Value) -> Outcome<()> {
    match parent(doc, pointer)? {
        (Value::Object(map), key) => {
            map.insert(key, value);
        }
        (Value::Array(items), key) if key == "-" => items.push(value),
        (Value::Array(items), key) => {
            let len = items.len() + 1;
            items.insert(index(&key, len, len)?, value);
        }
        _ => return Err(Inapplicable),
    }
    Ok(())
}

fn remove(doc: &mut Value, pointer: &str) -> Outcome<Value> {
    match parent(doc, pointer)? {
        (Value::Object(map), key) => map.remove(&key).ok_or(Inapplicable),
        (Value::Array(items), key) => {
            let i = existing(&key, items.len())?;
            Ok(items.remove(i))
        }
        _ => Err(Inapplicable),
    }
}

fn replace(doc: &mut Value, pointer: &str, value: &Value) -> Outcome<()> {
    if pointer.is_empty() {
        // A scalar does not replace the document, yet the library calls that a success.
        if value.is_object() || value.is_array() {
            *doc = value.clone();
        }
        return Ok(());
    }
    match parent(doc, pointer)? {
        (Value::Object(map), key) => {
            map.insert(key, value.clone());
        }
        (Value::Array(items), key) => {
            let i = existing(&key, items.len())?;
            *items.get_mut(i).ok_or(Inapplicable)? = value.clone();
        }
        _ => return Err(Inapplicable),
    }
    Ok(())
}

fn test(doc: &mut Value, pointer: &str, value: &Value) -> Outcome<()> {
    let have = if pointer.is_empty() { Some(&*doc) } else { get(doc, pointer)? };
    if have.unwrap_or(&Value::Null) == value { Ok(()) } else { Err(Inapplicable) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn patched(doc: &Value, patch: &Value) -> Option<Value> {
        let mut doc = doc.clone();
        apply(&mut doc, patch.to_string().as_bytes()).ok().map(|_| doc)
    }

    #[test]
    fn moves_do_not_nest_without_end() {
        let doc = json!({"t": {}});
        let step = |from: &str, path: &str| json!({"op": "move", "from": from, "path": path});
        let round = [json!({"op": "add", "path": "/u", "value": {}}), step("/t", "/u/t"), step("/u", "/t")];
        let rounds = |n: usize| Value::Array(round.iter().cloned().cycle().take(3 * n).collect());
        assert!(patched(&doc, &rounds(100)).is_some());
        assert!(patched(&doc, &rounds(200)).is_none());
        assert!(patched(&doc, &rounds(3_000)).is_none());
    }

    #[test]
    fn operations_work_as_the_library_does_them() {
        let doc = json!({"a": {"b": 1}, "l": [1, 2, 3], "x/y": 1, "n": null});
        let cases = [
            (json!([{"op": "add", "path": "/a/c", "value": 2}]), "/a", json!({"b": 1, "c": 2})),
            (json!([{"op": "add", "path": "/a/c"}]), "/a", json!({"b": 1, "c": null})),
            (json!([{"op": "replace", "path": "/a/new", "value": 2}]), "/a", json!({"b": 1, "new": 2})),
            (json!([{"op": "add", "path": "/l/-", "value": 4}]), "/l", json!([1, 2, 3, 4])),
            (json!([{"op": "add", "path": "/l/0", "value": 4}]), "/l", json!([4, 1, 2, 3])),
            (json!([{"op": "add", "path": "/l/3", "value": 4}]), "/l", json!([1, 2, 3, 4])),
            (json!([{"op": "add", "path": "/l/-1", "value": 4}]), "/l", json!([1, 2, 3, 4])),
            (json!([{"op": "remove", "path": "/l/-1"}]), "/l", json!([1, 2])),
            (json!([{"op": "move", "from": "/a/b", "path": "/l/0"}]), "/l", json!([1, 1, 2, 3])),
            (json!([{"op": "copy", "from": "/a", "path": "/a/b"}]), "/a", json!({"b": {"b": 1}})),
            (json!([{"op": "replace", "path": "/x~1y", "value": 2}]), "/x~1y", json!(2)),
            (json!([{"op": "remove", "path": "ignored/a/b"}]), "/a", json!({})),
            (json!([{"op": "test", "path": "/missing", "value": null}]), "/a", json!({"b": 1})),
            (json!([{"op": "test", "path": "/n", "value": null}]), "/a", json!({"b": 1})),
        ];
        for (patch, pointer, want) in cases {
            let got = patched(&doc, &patch).unwrap_or_else(|| panic!("{patch}"));
            assert_eq!(got.pointer(pointer), Some(&want), "{patch}");
        }
    }

    #[test]
    fn what_cannot_be_applied_is_one_422_and_changes_nothing() {
        let bad = [
            json!([{"op": "remove", "path": "/a/x"}]),
            json!([{"op": "add", "path": "/x/y", "value": 1}]),
            json!([{"op": "add", "path": "/l/9", "value": 1}]),
            json!([{"op": "replace", "path": "/l/3", "value": 1}]),
            json!([{"op": "add", "path": "", "value": 1}]),
            json!([{"op": "replace", "path": "/a", "value": 1}, {"op": "test", "path": "/a", "value": 2}]),
            json!([{"op": "test", "path": "/a/b", "value": 1.0}]),
            json!([{"op": "spin", "path": "/a"}]),
            json!([{"path": "/a"}]),
            json!([{"op": "remove"}]),
            json!([null]),
        ];
        for patch in bad {
            let mut doc = json!({"a": {"b": 1}, "l": [1, 2, 3]});
            let before = doc.clone();
            let status = apply(&mut doc, patch.to_string().as_bytes()).unwrap_err();
            assert_eq!(status, inapplicable(), "{patch}");
            assert_eq!(doc, before, "{patch}");
        }
    }

    #[test]
    fn malformed_patches_are_400() {
        let cases = [
            ("{}", "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
            ("[5]", "json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
            (r#"[{"op":5}]"#, "json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string"),
            ("x", "invalid character 'x' looking for beginning of value"),
        ];
        for (patch, text) in cases {
            let status = apply(&mut json!({}), patch.as_bytes()).unwrap_err();
            assert_eq!((status.code, status.message), (400, format!("error decoding patch: {text}")));
        }
    }

    #[test]
    fn unknown_members_are_findings() {
        let patch = br#"[{"op":"add","path":"/a","value":{"q":1},"foo":1}]"#;
        assert_eq!(apply(&mut json!({}), patch).unwrap(), ["json patch unknown field \"[0].foo\""]);
    }

    #[test]
    fn operations_and_copies_are_limited() {
        let many = Value::from(vec![json!({"op": "test", "path": "", "value": {}}); MAX_OPERATIONS + 1]);
        let status = apply(&mut json!({}), many.to_string().as_bytes()).unwrap_err();
        assert_eq!(
            status.message,
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
        );
        let big = json!({"a": "x".repeat(1024 * 1024)});
        let copy = json!({"op": "copy", "from": "/a", "path": "/b"});
        assert!(patched(&big, &json!([copy, copy])).is_some());
        assert!(patched(&big, &json!([copy, copy, copy])).is_none());
    }

    proptest! {
        #[test]
        fn no_patch_panics(op in "add|remove|replace|move|copy|test", path in "(/(a|l|-|-?[0-4]|~1))?(/(b|[0-9]|-))?", from in "/(a|l/-?[0-4]|x)") {
            let mut doc = json!({"a": {"b": 1}, "l": [1, {"b": 2}]});
            let patch = json!([{"op": op, "path": path, "from": from, "value": [1]}]);
            let _ = apply(&mut doc, patch.to_string().as_bytes());
        }
    }
}
