//! JSON merge patch (RFC 7386) with the server's refusals.
//!
//! Counterpart: `evanphx/json-patch` v4 `MergePatch`, behind `endpoints/handlers/patch.go`.

use super::read;
use rehearsal_apimachinery::Status;
use serde_json::{Map, Value};

/// Applies a merge patch in place; on refusal the document is unchanged. Returns the strict findings.
///
/// # Errors
/// 400 for a patch that is no JSON object.
pub fn apply(doc: &mut Value, patch: &[u8]) -> Result<Vec<String>, Status> {
    let (patch, findings) =
        read::parse(patch).map_err(|e| Status::bad_request(format!("error decoding patch: {e}")))?;
    match patch {
        Value::Object(patch) => merge_into(doc, patch),
        Value::Null => return Err(Status::bad_request("Invalid JSON Patch")),
        other => {
            let kind = super::json::kind(&other);
            let text = format!(
                "error decoding patch: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            );
            return Err(Status::bad_request(text));
        }
    }
    Ok(findings)
}

fn merge_into(doc: &mut Value, patch: Map<String, Value>) {
    let Value::Object(members) = doc else {
        let mut fresh = Value::Object(patch);
        prune(&mut fresh);
        *doc = fresh;
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            members.remove(&key);
            continue;
        }
        match members.get_mut(&key).filter(|v| !v.is_null()) {
            Some(current) => merge_value(current, value),
            None => {
                let mut value = value;
                prune(&mut value);
                members.insert(key, value);
            }
        }
    }
}

fn merge_value(current: &mut Value, mut patch: Value) {
    if !current.is_object() {
        prune(&mut patch);
        *current = patch;
        return;
    }
    match patch {
        Value::Object(patch) => merge_into(current, patch),
        other => *current = other,
    }
}

/// Drops null members of maps; null items of lists stay.
fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(prune);
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn patched(mut doc: Value, patch: &str) -> Value {
        apply(&mut doc, patch.as_bytes()).unwrap();
        doc
    }

    #[test]
    fn nulls_remove_and_lists_replace() {
        let doc = json!({"a": {"b": 1, "c": 2}, "l": [1, 2], "s": "x"});
        let patch = r#"{"a":{"b":null,"d":{"e":null,"f":1}},"l":[{"x":null,"y":1},null],"s":{"t":null},"n":null}"#;
        assert_eq!(patched(doc, patch), json!({"a": {"c": 2, "d": {"f": 1}}, "l": [{"y": 1}, null], "s": {}}));
    }

    #[test]
    fn refusals_leave_the_document_alone() {
        let cases = [
            ("null", "Invalid JSON Patch"),
            ("[]", "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"),
            ("5", "error decoding patch: json: cannot unmarshal number into Go value of type map[string]interface {}"),
            ("x", "error decoding patch: invalid character 'x' looking for beginning of value"),
        ];
        for (patch, text) in cases {
            let mut doc = json!({"a": 1});
            let status = apply(&mut doc, patch.as_bytes()).unwrap_err();
            assert_eq!((status.code, status.message.as_str()), (400, text));
            assert_eq!(doc, json!({"a": 1}));
        }
    }

    #[test]
    fn repeated_members_are_findings() {
        let mut doc = json!({});
        let findings = apply(&mut doc, br#"{"data":{"a":"1","a":"2"}}"#).unwrap();
        assert_eq!(findings, ["duplicate field \"data.a\""]);
        assert_eq!(doc, json!({"data": {"a": "2"}}));
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), "[a-c]{0,2}".prop_map(Value::from)];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_empty_patch_changes_nothing(doc in json_value().prop_filter("an object", Value::is_object)) {
            prop_assert_eq!(patched(doc.clone(), "{}"), doc);
        }

        #[test]
        fn patching_twice_is_patching_once(doc in json_value(), patch in json_value().prop_filter("an object", Value::is_object)) {
            let once = patched(doc, &patch.to_string());
            prop_assert_eq!(patched(once.clone(), &patch.to_string()), once);
        }

        #[test]
        fn no_patch_panics(mut doc in json_value(), patch in "[\\[\\]{}\":,a0-9nul]{0,20}") {
            let _ = apply(&mut doc, patch.as_bytes());
        }
    }
}
