//! Reading and writing members of JSON objects the way Go code reads struct fields: what is absent is the zero value.
//!
//! Reads never fail: a missing member, or one of another type, is empty. Plain lookups need no helper: `value["a"]`
//! is `Null` when absent. Writes turn what is missing or null into an object or a list; they never touch a value of
//! another type than asked for.

use serde_json::{Map, Value};

/// The object's `spec`, `Null` when absent.
pub(crate) fn spec(object: &Value) -> &Value {
    &object["spec"]
}

/// A string member, `""` when absent.
pub(crate) fn str_at<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// A list member, empty when absent.
pub(crate) fn list_at<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// The strings of a list member.
pub(crate) fn strings_at<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    list_at(value, name).iter().filter_map(Value::as_str)
}

/// The entries of a map member in key order, none when absent.
pub(crate) fn entries_at<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    value[name].as_object().into_iter().flatten().map(|(k, v)| (k.as_str(), v))
}

/// An integer member, `None` when absent.
pub(crate) fn int_at(value: &Value, name: &str) -> Option<i64> {
    value[name].as_i64()
}

/// A boolean member, false when absent.
pub(crate) fn bool_at(value: &Value, name: &str) -> bool {
    value[name].as_bool().unwrap_or_default()
}

/// Whether a member is present and not null.
pub(crate) fn has(value: &Value, name: &str) -> bool {
    !value[name].is_null()
}

/// Whether a member is absent, null, or an empty string, list or map: what Go's `len(x) == 0` finds.
pub(crate) fn is_empty_at(value: &Value, name: &str) -> bool {
    match &value[name] {
        Value::Null => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Like [`Value::pointer`] over member names; `Null` when any step is missing.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |v, name| &v[*name])
}

/// Equality as Go's `apiequality.Semantic` sees it: absent, null and empty lists and maps are the same.
pub(crate) fn semantic_eq(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            x.iter().all(|(k, v)| semantic_eq(v, &b[k.as_str()]))
                && y.iter().all(|(k, v)| x.contains_key(k) || semantic_eq(&Value::Null, v))
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(v, w)| semantic_eq(v, w)),
        (Value::Null, Value::Array(y)) => y.is_empty(),
        (Value::Array(x), Value::Null) => x.is_empty(),
        (Value::Null, Value::Object(y)) => y.is_empty(),
        (Value::Object(x), Value::Null) => x.is_empty(),
        _ => a == b,
    }
}

/// The member map of `value`, if it is an object; null becomes one.
pub(crate) fn object_mut(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

/// Sets a member. No effect on anything but objects and null.
pub(crate) fn set(value: &mut Value, name: &str, member: impl Into<Value>) {
    if let Some(map) = object_mut(value) {
        map.insert(name.to_owned(), member.into());
    }
}

/// Sets a member that is absent or null.
pub(crate) fn set_default(value: &mut Value, name: &str, member: impl Into<Value>) {
    if !has(value, name) {
        set(value, name, member);
    }
}

/// Removes a member and returns it.
pub(crate) fn remove(value: &mut Value, name: &str) -> Option<Value> {
    value.as_object_mut()?.remove(name)
}

/// Makes a member of `to` equal to that of `from`, removing it where `from` has none.
pub(crate) fn copy(from: &Value, to: &mut Value, name: &str) {
    match from.get(name) {
        Some(member) => set(to, name, member.clone()),
        None => {
            remove(to, name);
        }
    }
}

/// The member at a path of names, if every step is there and an object.
pub(crate) fn path_mut<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |v, name| v.as_object_mut()?.get_mut(*name))
}

/// The member at a path of names; missing steps become empty objects. `None` where a step is of another type.
pub(crate) fn ensure_path<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    let end = path.iter().try_fold(value, |v, name| Some(object_mut(v)?.entry(*name).or_insert(Value::Null)))?;
    object_mut(end)?;
    Some(end)
}

/// The items of a list member, for writing; none when absent.
pub(crate) fn list_mut<'a>(value: &'a mut Value, name: &str) -> &'a mut [Value] {
    value.as_object_mut().and_then(|o| o.get_mut(name)).and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// The list member itself, made when absent; `None` where it is of another type.
pub(crate) fn ensure_list<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Vec<Value>> {
    let member = object_mut(value)?.entry(name).or_insert(Value::Null);
    if member.is_null() {
        *member = Value::Array(Vec::new());
    }
    member.as_array_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn absent_null_and_empty_collections_are_semantically_equal() {
        assert!(semantic_eq(&json!({"a": [], "b": {"c": null}}), &json!({"b": {}, "d": {}})));
        assert!(!semantic_eq(&json!({"a": [1]}), &json!({"a": []})));
        assert!(!semantic_eq(&json!({}), &json!({"a": ""})));
    }

    #[test]
    fn paths_are_made_on_the_way_but_foreign_types_stay() {
        let mut v = json!({"a": {"s": "text"}});
        set(ensure_path(&mut v, &["a", "b", "c"]).unwrap(), "k", 1);
        assert!(ensure_path(&mut v, &["a", "s", "x"]).is_none());
        assert_eq!(v, json!({"a": {"s": "text", "b": {"c": {"k": 1}}}}));
    }
}
