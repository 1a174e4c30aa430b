//! Access to the metadata of an object that is held as JSON.
//!
//! Counterpart: apimachinery `meta.Accessor` over `unstructured`. Reading never allocates; writing creates `metadata`
//! where it is missing. An object whose `metadata` is not a map reads as one without metadata.

use serde_json::{Map, Value};

/// Read access to `metadata` of a JSON object.
pub trait ObjectMeta {
    /// The `metadata` member, if it is a map.
    fn meta(&self) -> Option<&Map<String, Value>>;

    /// A string member of the metadata; empty when missing.
    fn meta_str(&self, key: &str) -> &str {
        self.meta().and_then(|m| m.get(key)).and_then(Value::as_str).unwrap_or_default()
    }
    /// `metadata.name`.
    fn name(&self) -> &str {
        self.meta_str("name")
    }
    /// `metadata.namespace`.
    fn namespace(&self) -> &str {
        self.meta_str("namespace")
    }
    /// `metadata.uid`.
    fn uid(&self) -> &str {
        self.meta_str("uid")
    }
    /// `metadata.resourceVersion`.
    fn resource_version(&self) -> &str {
        self.meta_str("resourceVersion")
    }
    /// `metadata.generation`, 0 when missing.
    fn generation(&self) -> i64 {
        self.meta().and_then(|m| m.get("generation")).and_then(Value::as_i64).unwrap_or_default()
    }
    /// Whether `metadata.deletionTimestamp` is set.
    fn is_deleting(&self) -> bool {
        self.meta().is_some_and(|m| m.get("deletionTimestamp").is_some_and(|v| !v.is_null()))
    }
    /// `metadata.labels`.
    fn labels(&self) -> Option<&Map<String, Value>> {
        self.meta().and_then(|m| m.get("labels")).and_then(Value::as_object)
    }
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str> {
        self.labels().and_then(|l| l.get(key)).and_then(Value::as_str)
    }
    /// `metadata.annotations`.
    fn annotations(&self) -> Option<&Map<String, Value>> {
        self.meta().and_then(|m| m.get("annotations")).and_then(Value::as_object)
    }
    /// The value of an annotation.
    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations().and_then(|l| l.get(key)).and_then(Value::as_str)
    }
    /// `metadata.finalizers`, strings only.
    fn finalizers(&self) -> Vec<&str> {
        self.meta()
            .and_then(|m| m.get("finalizers"))
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default()
    }
    /// `metadata.ownerReferences`.
    fn owner_references(&self) -> &[Value] {
        self.meta().and_then(|m| m.get("ownerReferences")).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

impl ObjectMeta for Value {
    fn meta(&self) -> Option<&Map<String, Value>> {
        self.get("metadata").and_then(Value::as_object)
    }
}

/// Write access to a JSON object.
pub trait ObjectMetaMut: ObjectMeta {
    /// The `metadata` map, created (or replaced, if it was no map) where needed.
    fn meta_mut(&mut self) -> &mut Map<String, Value>;

    /// Sets a member of the metadata.
    fn set_meta(&mut self, key: &str, value: impl Into<Value>) {
        self.meta_mut().insert(key.to_owned(), value.into());
    }
    /// Removes a member of the metadata.
    fn remove_meta(&mut self, key: &str) -> Option<Value> {
        self.meta_mut().remove(key)
    }
    /// Sets a label.
    fn set_label(&mut self, key: &str, value: &str) {
        child_map(self.meta_mut(), "labels").insert(key.to_owned(), value.into());
    }
    /// Sets an annotation.
    fn set_annotation(&mut self, key: &str, value: &str) {
        child_map(self.meta_mut(), "annotations").insert(key.to_owned(), value.into());
    }
}

impl ObjectMetaMut for Value {
    fn meta_mut(&mut self) -> &mut Map<String, Value> {
        if !self.is_object() {
            *self = Value::Object(Map::new());
        }
        match self {
            Value::Object(map) => child_map(map, "metadata"),
            _ => unreachable!("made an object above"),
        }
    }
}

/// The member `key` as a map, created or replaced where it is none.
pub fn child_map<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let entry = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !entry.is_object() {
        *entry = Value::Object(Map::new());
    }
    match entry {
        Value::Object(m) => m,
        _ => unreachable!("made an object above"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn missing_metadata_reads_as_empty_and_is_made_on_write() {
        let mut object = json!({"metadata": 5});
        assert_eq!(object.name(), "");
        object.set_label("a", "b");
        assert_eq!(object, json!({"metadata": {"labels": {"a": "b"}}}));
    }
}
