//! [`Unstructured`]: an object of any kind as JSON, and its conversions to and from types.
//!
//! Counterparts: apimachinery `meta/v1/unstructured` and `runtime.DefaultUnstructuredConverter`.

use super::{PartialObjectMetadata, Resource, SchemeError};
use rehearsal_apimachinery::{GroupVersion, GroupVersionKind, ObjectMeta};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A JSON object that names its kind and version.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Unstructured(Value);

impl Unstructured {
    /// Takes a JSON object.
    ///
    /// # Errors
    /// [`SchemeError::MissingKind`] and [`SchemeError::MissingVersion`]; [`SchemeError::Malformed`] for what is no
    /// object, or an `apiVersion` that is none.
    pub fn try_new(value: Value) -> Result<Self, SchemeError> {
        gvk_of(&value)?;
        Ok(Self(value))
    }

    /// Writes a typed object.
    ///
    /// # Errors
    /// [`SchemeError::Malformed`] when it cannot be written.
    pub fn from_typed<K: Resource>(object: &K) -> Result<Self, SchemeError> {
        Self::try_new(serde_json::to_value(object).map_err(|e| SchemeError::Malformed(e.to_string()))?)
    }

    /// Reads it as a type.
    ///
    /// # Errors
    /// [`SchemeError::KindMismatch`] when it is of another kind, [`SchemeError::Malformed`] when it cannot be read.
    pub fn to_typed<K: Resource>(&self) -> Result<K, SchemeError> {
        let received = self.gvk();
        if received != K::gvk() {
            return Err(SchemeError::KindMismatch { expected: K::gvk(), received });
        }
        K::deserialize(&self.0).map_err(|e| SchemeError::Malformed(e.to_string()))
    }

    /// Its metadata-only view.
    ///
    /// # Errors
    /// [`SchemeError::Malformed`] when the metadata cannot be read.
    pub fn to_partial(&self) -> Result<PartialObjectMetadata, SchemeError> {
        PartialObjectMetadata::deserialize(&self.0).map_err(|e| SchemeError::Malformed(e.to_string()))
    }

    /// Group, version and kind.
    #[must_use]
    pub fn gvk(&self) -> GroupVersionKind {
        gvk_of(&self.0).unwrap_or_default()
    }

    /// The JSON object.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// The JSON object.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.0
    }

    /// A member anywhere below, by its path.
    #[must_use]
    pub fn nested(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.0, |value, key| value.get(key))
    }
}

impl ObjectMeta for Unstructured {
    fn meta(&self) -> Option<&serde_json::Map<String, Value>> {
        self.0.meta()
    }
}

impl<'de> Deserialize<'de> for Unstructured {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_new(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl From<Unstructured> for Value {
    fn from(object: Unstructured) -> Self {
        object.0
    }
}

/// The kind an object names.
pub(super) fn gvk_of(value: &Value) -> Result<GroupVersionKind, SchemeError> {
    if !value.is_object() {
        return Err(SchemeError::Malformed("the object is no JSON object".into()));
    }
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if kind.is_empty() {
        return Err(SchemeError::MissingKind);
    }
    if version.is_empty() {
        return Err(SchemeError::MissingVersion { kind: kind.to_owned() });
    }
    let parsed = GroupVersion::parse(version);
    let gv = parsed.ok_or_else(|| SchemeError::Malformed(format!("unexpected GroupVersion string: {version}")))?;
    Ok(gv.kind(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    #[test]
    fn typed_objects_go_there_and_back() {
        let mut map = ConfigMap { data: Some([("k".into(), "v".into())].into()), ..ConfigMap::default() };
        map.metadata.name = Some("a".into());
        let loose = Unstructured::from_typed(&map).unwrap();
        assert_eq!((loose.name(), loose.nested(&["data", "k"])), ("a", Some(&json!("v"))));
        assert_eq!(loose.to_typed::<ConfigMap>().unwrap(), map);
        let partial = loose.to_partial().unwrap();
        assert_eq!(partial, PartialObjectMetadata::of(&map));
        assert_eq!((partial.kind.as_str(), partial.metadata), ("ConfigMap", map.metadata));
    }

    #[test]
    fn what_is_missing_is_told_apart() {
        let fault = |value| Unstructured::try_new(value).unwrap_err();
        assert!(matches!(fault(json!([])), SchemeError::Malformed(_)));
        assert!(matches!(fault(json!({"apiVersion": "v1"})), SchemeError::MissingKind));
        assert!(matches!(fault(json!({"kind": "A"})), SchemeError::MissingVersion { .. }));
        assert!(matches!(fault(json!({"kind": "A", "apiVersion": "a/b/c"})), SchemeError::Malformed(_)));
        let loose = Unstructured::try_new(json!({"kind": "ConfigMap", "apiVersion": "v1"})).unwrap();
        assert!(matches!(loose.to_typed::<Deployment>(), Err(SchemeError::KindMismatch { .. })));
    }
}
