//! [`List`]: a typed list of any resource, built in or custom.
//!
//! Counterpart: the `PodList` and its siblings of `k8s.io/api`. One generic type does for all; `k8s-openapi` has its own,
//! which serves built-in kinds only.

use super::Resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use serde::de::Error as _;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Objects of one kind, with the version of the collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List<K> {
    /// Version of the collection, token of the next page.
    pub metadata: ListMeta,
    /// The objects.
    pub items: Vec<K>,
}

impl<K> List<K> {
    /// Version of the collection: where a watch goes on. Empty when the server named none.
    #[must_use]
    pub fn resource_version(&self) -> &str {
        self.metadata.resource_version.as_deref().unwrap_or_default()
    }

    /// Token of the next page, empty on the last one.
    #[must_use]
    pub fn continue_token(&self) -> &str {
        self.metadata.continue_.as_deref().unwrap_or_default()
    }

    /// The objects, one after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, K> {
        self.items.iter()
    }
}

impl<K> IntoIterator for List<K> {
    type Item = K;
    type IntoIter = std::vec::IntoIter<K>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, K> IntoIterator for &'a List<K> {
    type Item = &'a K;
    type IntoIter = std::slice::Iter<'a, K>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

/// What a list is read from. Items may be `null`, as Go writes an empty list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "K: Resource")]
struct Wire<K> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default = "none")]
    items: Option<Vec<K>>,
}

fn none<T>() -> Option<T> {
    None
}

impl<'de, K: Resource> Deserialize<'de> for List<K> {
    /// Fails for a list of another kind. A custom resource may name its list as it likes, so of the kind only its
    /// ending counts; items that name their kind must name the right one.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::<K>::deserialize(deserializer)?;
        let foreign = !wire.kind.is_empty() && !wire.kind.ends_with("List");
        if foreign || (!wire.api_version.is_empty() && wire.api_version != K::API_VERSION) {
            return Err(D::Error::custom(format!(
                "expected {}, Kind={}List, received {}, Kind={}",
                K::API_VERSION,
                K::KIND,
                wire.api_version,
                wire.kind
            )));
        }
        Ok(Self { metadata: wire.metadata, items: wire.items.unwrap_or_default() })
    }
}

impl<K: Resource> Serialize for List<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_struct("List", 4)?;
        list.serialize_field("apiVersion", K::API_VERSION)?;
        list.serialize_field("kind", &format!("{}List", K::KIND))?;
        list.serialize_field("metadata", &self.metadata)?;
        list.serialize_field("items", &self.items)?;
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};
    use serde_json::json;

    #[test]
    fn items_need_no_kind_and_may_be_null() {
        let json = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7", "continue": "c"},
            "items": [{"metadata": {"name": "a"}}]});
        let list: List<Pod> = serde_json::from_value(json).unwrap();
        assert_eq!((list.resource_version(), list.continue_token()), ("7", "c"));
        assert_eq!(list.iter().map(Resource::name).collect::<Vec<_>>(), ["a"]);
        let empty: List<Pod> = serde_json::from_value(json!({"kind": "PodList", "items": null})).unwrap();
        assert!(empty.items.is_empty());
    }

    #[test]
    fn lists_of_others_are_refused() {
        let read = |json| serde_json::from_value::<List<Pod>>(json).map_err(|e| e.to_string());
        assert!(read(json!({"kind": "Status", "apiVersion": "v1"})).is_err());
        assert!(read(json!({"kind": "DeploymentList", "apiVersion": "apps/v1"})).unwrap_err().contains("Kind=PodList"));
        assert!(read(json!({"kind": "List", "apiVersion": "v1", "items": [{"kind": "Secret"}]})).is_err());
    }

    #[test]
    fn a_list_writes_its_kind() {
        let list = List { items: vec![ConfigMap::default()], ..List::default() };
        let json = serde_json::to_value(&list).unwrap();
        assert_eq!(json["kind"], "ConfigMapList");
        assert_eq!(serde_json::from_value::<List<ConfigMap>>(json).unwrap(), list);
    }
}
