//! `FieldsV1`: path sets as JSON, both ways, and in the order in which the server writes them.
//!
//! Counterpart: structured-merge-diff `fieldpath/serialize.go`. Keys are `f:<member>`, `k:{<keys>}`, `v:<value>`,
//! `i:<index>` and `.` for the node itself; a node without children is `{}`.

use super::path::{Key, PathElement};
use super::set::Set;
use rehearsal_apimachinery::field::go_json;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A set as JSON. Member order is the map's; see [`ordered_json`].
pub(in crate::patch) fn to_fields_v1(set: &Set<'_>) -> Value {
    let mut out = Map::new();
    for node in set.nodes() {
        let mut below = to_fields_v1(&node.children);
        if let (true, false, Value::Object(map)) = (node.member, node.children.is_empty(), &mut below) {
            map.insert(".".into(), Value::Object(Map::new()));
        }
        out.insert(key(&node.element), below);
    }
    Value::Object(out)
}

fn key(element: &PathElement<'_>) -> String {
    match element {
        PathElement::Field(name) => ["f:", name].concat(),
        PathElement::Key(keys) => {
            let keys: Vec<_> =
                keys.iter().map(|(name, value)| format!("{}:{}", Value::from(name.as_ref()), go_json(value))).collect();
            format!("k:{{{}}}", keys.join(","))
        }
        PathElement::Value(value) => format!("v:{}", go_json(value)),
        PathElement::Index(i) => format!("i:{i}"),
    }
}

/// Reads a set. Keys of unknown kinds are passed over.
///
/// # Errors
/// Says which key is malformed.
pub(in crate::patch) fn from_fields_v1(fields: &Value) -> Result<Set<'_>, String> {
    Ok(read(fields)?.0)
}

/// What is below, and whether the node itself is a member.
fn read(fields: &Value) -> Result<(Set<'_>, bool), String> {
    let map = match fields {
        Value::Object(map) => map,
        Value::Null => return Ok((Set::default(), true)),
        other => return Err(format!("expected an object, got {other}")),
    };
    let (mut set, mut member) = (Set::default(), false);
    for (key, value) in map {
        if key == "." {
            member = true;
        } else if let Some(element) = parse_key(key)? {
            let (children, child_member) = read(value)?;
            set.push(element, child_member, children);
        }
    }
    let member = member || set.is_empty();
    Ok((set, member))
}

fn parse_key(key: &str) -> Result<Option<PathElement<'_>>, String> {
    if key.len() < 2 {
        return Err("key must be 2 characters long:".into());
    }
    if key.as_bytes()[1] != b':' {
        return Err(format!("missing colon: {key}"));
    }
    let rest = &key[2..];
    let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|e| e.to_string());
    Ok(match key.as_bytes()[0] {
        b'f' => Some(PathElement::Field(rest)),
        b'v' => Some(PathElement::Value(Cow::Owned(json(rest)?))),
        b'i' => Some(PathElement::Index(rest.parse().map_err(|e| format!("{e}"))?)),
        b'k' => {
            let Value::Object(keys) = json(rest)? else { return Err(format!("expected an object, got {rest}")) };
            let keys: Vec<Key<'_>> = keys.into_iter().map(|(k, v)| (Cow::Owned(k), Cow::Owned(v))).collect();
            Some(PathElement::Key(keys.into()))
        }
        _ => None,
    })
}

/// A `FieldsV1` value as JSON text in the server's own order: `.` first, then members by name, keyed items and set
/// items by value (so that port 80 comes before port 443). Built-in kinds are sent in this order; custom resources
/// sort by text. A value that is no field set is written as it is.
#[must_use]
pub fn ordered_json(fields: &Value) -> String {
    let Ok(set) = from_fields_v1(fields) else { return fields.to_string() };
    let mut out = String::new();
    write(&set, false, &mut out);
    out
}

fn write(set: &Set<'_>, member: bool, out: &mut String) {
    out.push('{');
    let mut first = true;
    if member && !set.is_empty() {
        out.push_str("\".\":{}");
        first = false;
    }
    for node in set.nodes() {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        out.push_str(&Value::from(key(&node.element)).to_string());
        out.push(':');
        write(&node.children, node.member, out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn keys_are_written_in_the_order_of_their_values() {
        let fields = json!({"f:ports": {
            ".": {},
            "k:{\"containerPort\":443,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}},
            "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {},
        }});
        let want = r#"{"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{},"k:{\"containerPort\":443,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}"#;
        assert_eq!(ordered_json(&fields), want);
        assert_eq!(to_fields_v1(&from_fields_v1(&fields).unwrap()), fields);
    }

    #[test]
    fn angle_brackets_in_set_items_are_escaped_and_read_back() {
        let fields = json!({"v:\"a\\u003cb\"": {}});
        assert_eq!(to_fields_v1(&from_fields_v1(&fields).unwrap()), fields);
    }

    #[test]
    fn malformed_keys_are_refused_and_unknown_kinds_passed_over() {
        for bad in [json!({"f": {}}), json!({"spec": {}}), json!({"i:x": {}}), json!({"k:[]": {}}), json!({"f:a": 1})] {
            assert!(from_fields_v1(&bad).is_err(), "{bad}");
        }
        assert!(from_fields_v1(&json!({"x:new": {}})).unwrap().is_empty());
    }

    fn fields_v1() -> impl Strategy<Value = Value> {
        let leaf = Just(json!({}));
        let key = prop_oneof![
            "[a-z<&]{1,3}".prop_map(|s| format!("f:{s}")),
            any::<i8>().prop_map(|n| format!("k:{{\"port\":{n},\"protocol\":\"TCP\"}}")),
            "[a-z]{1,2}".prop_map(|s| format!("v:\"{s}\"")),
            (0..3u8).prop_map(|n| format!("i:{n}")),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            (prop::collection::btree_map(key.clone(), inner, 1..4), any::<bool>()).prop_map(|(map, member)| {
                let mut map: Map<String, Value> = map.into_iter().collect();
                if member {
                    map.insert(".".into(), json!({}));
                }
                Value::Object(map)
            })
        })
    }

    proptest! {
        #[test]
        fn sets_survive_the_round_trip(fields in fields_v1()) {
            let mut fields = fields;
            fields.as_object_mut().unwrap().remove(".");
            let set = from_fields_v1(&fields).unwrap();
            prop_assert_eq!(&to_fields_v1(&set), &fields);
            let ordered: Value = serde_json::from_str(&ordered_json(&fields)).unwrap();
            prop_assert_eq!(ordered, fields);
        }
    }
}
