//! [`Scheme`]: which Rust type a kind is, for code that learns kinds at run time.
//!
//! Counterpart: apimachinery `runtime.Scheme` and client-go `kubernetes/scheme`. A type is registered once; there are no
//! internal versions and no conversions between versions, as clients have none.

use super::unstructured::gvk_of;
use super::{Object, Resource, Scope, Unstructured};
use crate::rest::Codecs;
use rehearsal_apimachinery::{Catalog, GroupVersion, GroupVersionKind, GroupVersionResource};
use serde_json::{Value, json};
use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};

/// Why an object is not what it was taken for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemeError {
    /// The object does not say what it is.
    #[error("Object 'Kind' is missing")]
    MissingKind,
    /// The object does not say of which version it is.
    #[error("Object 'apiVersion' is missing in a {kind}")]
    MissingVersion {
        /// Its kind.
        kind: String,
    },
    /// Nobody registered this kind.
    #[error("no kind {:?} is registered for version {:?}", .0.kind, .0.api_version())]
    NotRegistered(GroupVersionKind),
    /// The object is of another kind than the one asked for.
    #[error("expected {expected}, received {received}")]
    KindMismatch {
        /// Asked for.
        expected: GroupVersionKind,
        /// Found.
        received: GroupVersionKind,
    },
    /// Two types claim one kind.
    #[error("double registration of different types for {0}")]
    DoubleRegistration(GroupVersionKind),
    /// Members that the type does not have.
    #[error("strict decoding error: {}", .0.iter().map(|p| format!("unknown field {p:?}")).collect::<Vec<_>>().join(", "))]
    UnknownFields(Vec<String>),
    /// Bytes or values that are no such object.
    #[error("{0}")]
    Malformed(String),
}

type Read = fn(&Value) -> Result<Box<dyn Object>, SchemeError>;

/// What is known of a registered type.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its kind.
    pub gvk: GroupVersionKind,
    /// Plural name, as in paths.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether it has a status subresource.
    pub status: bool,
    /// Whether it has a scale subresource.
    pub scale: bool,
    type_id: TypeId,
    read: Read,
}

impl Registered {
    /// Group, version and plural name.
    #[must_use]
    pub fn gvr(&self) -> GroupVersionResource {
        GroupVersionResource::new(&self.gvk.group, &self.gvk.version, &self.plural)
    }
}

/// Kinds and their types.
#[derive(Clone, Debug, Default)]
pub struct Scheme {
    kinds: BTreeMap<GroupVersionKind, Registered>,
    types: HashMap<TypeId, GroupVersionKind>,
}

impl Scheme {
    /// A scheme that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All types of the clientset. Counterpart: client-go `scheme.Scheme`.
    ///
    /// Readers of every built-in type are compiled into whoever calls this; a controller that needs three kinds
    /// registers three.
    #[must_use]
    #[inline]
    pub fn builtin() -> Self {
        let mut scheme = Self::new();
        crate::clientset::generated::register(&mut scheme);
        scheme
    }

    /// Adds a type; whether it has status and scale is known for built-in kinds. Adding it again changes nothing.
    ///
    /// # Errors
    /// [`SchemeError::DoubleRegistration`] when another type has this kind.
    pub fn register<K: Resource>(&mut self) -> Result<(), SchemeError> {
        let row = Catalog::builtin().resource(&K::gvr());
        let has = |name: &str| row.is_some_and(|r| r.subresources.iter().any(|s| s.name == name));
        self.insert::<K>(has("status"), has("scale"))
    }

    /// Adds a type of one's own, with what it has. `derive(CustomResource)` gives it a `register` that calls this.
    ///
    /// # Errors
    /// As [`Scheme::register`].
    pub fn insert<K: Resource>(&mut self, status: bool, scale: bool) -> Result<(), SchemeError> {
        let gvk = K::gvk();
        if self.kinds.get(&gvk).is_some_and(|known| known.type_id != TypeId::of::<K>()) {
            return Err(SchemeError::DoubleRegistration(gvk));
        }
        self.put::<K>(status, scale);
        Ok(())
    }

    /// The same where no other type can have the kind.
    pub(crate) fn put<K: Resource>(&mut self, status: bool, scale: bool) {
        let registered = Registered {
            gvk: K::gvk(),
            plural: K::PLURAL.to_owned(),
            namespaced: K::Scope::NAMESPACED,
            status,
            scale,
            type_id: TypeId::of::<K>(),
            read: read::<K>,
        };
        self.types.insert(registered.type_id, registered.gvk.clone());
        self.kinds.insert(registered.gvk.clone(), registered);
    }

    /// Whether a kind is registered.
    #[must_use]
    pub fn recognizes(&self, gvk: &GroupVersionKind) -> bool {
        self.kinds.contains_key(gvk)
    }

    /// What is known of a kind.
    #[must_use]
    pub fn get(&self, gvk: &GroupVersionKind) -> Option<&Registered> {
        self.kinds.get(gvk)
    }

    /// All kinds, in order.
    pub fn kinds(&self) -> impl Iterator<Item = &Registered> {
        self.kinds.values()
    }

    /// The kinds of a group and version. Counterpart: `KnownTypes`.
    pub fn kinds_of<'a>(&'a self, gv: &'a GroupVersion) -> impl Iterator<Item = &'a Registered> {
        self.kinds().filter(move |r| r.gvk.group == gv.group && r.gvk.version == gv.version)
    }

    /// Whether there is a kind of this group and version.
    #[must_use]
    pub fn is_version_registered(&self, gv: &GroupVersion) -> bool {
        self.kinds_of(gv).next().is_some()
    }

    /// The kind of a type, if it is registered.
    #[must_use]
    pub fn kind_of<K: Resource>(&self) -> Option<&GroupVersionKind> {
        self.types.get(&TypeId::of::<K>())
    }

    /// An empty object of a kind. Counterpart: `New`.
    ///
    /// # Errors
    /// [`SchemeError::NotRegistered`]; [`SchemeError::Malformed`] for a type that has no empty object, such as a custom
    /// resource whose spec has required members.
    pub fn new_object(&self, gvk: &GroupVersionKind) -> Result<Box<dyn Object>, SchemeError> {
        let registered = self.registered(gvk)?;
        let empty = json!({"apiVersion": gvk.api_version(), "kind": gvk.kind, "metadata": {}});
        (registered.read)(&empty).or_else(|_| {
            let with_spec = json!({"apiVersion": gvk.api_version(), "kind": gvk.kind, "metadata": {}, "spec": {}});
            (registered.read)(&with_spec)
        })
    }

    /// Reads JSON as the type of the kind it names.
    ///
    /// # Errors
    /// Each reason has its own [`SchemeError`].
    pub fn decode(&self, json: &[u8]) -> Result<Box<dyn Object>, SchemeError> {
        let value = serde_json::from_slice(json).map_err(|e| SchemeError::Malformed(e.to_string()))?;
        self.convert(&value)
    }

    /// Like [`Scheme::decode`], for a body in any media type that there is a codec for.
    ///
    /// # Errors
    /// As [`Scheme::decode`]; [`SchemeError::Malformed`] also where there is no codec.
    pub fn decode_body(
        &self,
        codecs: &Codecs,
        content_type: &str,
        body: &[u8],
    ) -> Result<Box<dyn Object>, SchemeError> {
        let codec = codecs.find(content_type).map_err(|e| SchemeError::Malformed(e.to_string()))?;
        self.convert(&codec.decode(body).map_err(SchemeError::Malformed)?)
    }

    /// Like [`Scheme::decode`], and refuses members that the type does not have.
    ///
    /// # Errors
    /// As [`Scheme::decode`]; [`SchemeError::UnknownFields`].
    pub fn decode_strict(&self, json: &[u8]) -> Result<Box<dyn Object>, SchemeError> {
        let value: Value = serde_json::from_slice(json).map_err(|e| SchemeError::Malformed(e.to_string()))?;
        let object = self.convert(&value)?;
        let mut unknown = Vec::new();
        lost("", &value, object.to_unstructured()?.as_value(), &mut unknown);
        if unknown.is_empty() { Ok(object) } else { Err(SchemeError::UnknownFields(unknown)) }
    }

    /// An unstructured object as the type of its kind.
    ///
    /// # Errors
    /// As [`Scheme::decode`].
    pub fn to_object(&self, object: &Unstructured) -> Result<Box<dyn Object>, SchemeError> {
        self.convert(object.as_value())
    }

    fn convert(&self, value: &Value) -> Result<Box<dyn Object>, SchemeError> {
        (self.registered(&gvk_of(value)?)?.read)(value)
    }

    fn registered(&self, gvk: &GroupVersionKind) -> Result<&Registered, SchemeError> {
        self.kinds.get(gvk).ok_or_else(|| SchemeError::NotRegistered(gvk.clone()))
    }
}

fn read<K: Resource>(value: &Value) -> Result<Box<dyn Object>, SchemeError> {
    match K::deserialize(value) {
        Ok(object) => Ok(Box::new(object)),
        Err(error) => Err(SchemeError::Malformed(error.to_string())),
    }
}

/// Paths of members that did not survive a type. Empty and zero values may go: types leave them out.
fn lost(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match after.get(key) {
                    Some(kept) => lost(&path, value, kept, found),
                    None if is_empty(value) => {}
                    None => found.push(path),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for (at, (value, kept)) in before.iter().zip(after).enumerate() {
                lost(&format!("{path}[{at}]"), value, kept, found);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_empty),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};

    fn scheme() -> Scheme {
        let mut scheme = Scheme::new();
        scheme.register::<Deployment>().unwrap();
        scheme.register::<ConfigMap>().unwrap();
        scheme
    }

    #[test]
    fn a_registered_type_is_found_by_its_kind_and_the_kind_by_its_type() {
        let scheme = scheme();
        let known = scheme.get(&Deployment::gvk()).unwrap();
        assert_eq!(known.gvr(), Deployment::gvr());
        assert!(known.namespaced && known.status && known.scale);
        assert!(!scheme.get(&ConfigMap::gvk()).unwrap().status);
        assert_eq!(scheme.kind_of::<Deployment>(), Some(&Deployment::gvk()));
        assert_eq!(scheme.kind_of::<Pod>(), None);
        assert!(scheme.is_version_registered(&GroupVersion::new("apps", "v1")));
        assert!(!scheme.is_version_registered(&GroupVersion::new("apps", "v2")));
    }

    #[test]
    fn objects_are_read_as_what_they_say_they_are() {
        let scheme = scheme();
        let json = br#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":3}}"#;
        let object = scheme.decode(json).unwrap();
        assert_eq!(object.to_partial().metadata.name.as_deref(), Some("web"));
        assert_eq!(object.downcast_ref::<Deployment>().unwrap().spec.replicas, Some(3));
        assert_eq!(object.to_unstructured().unwrap().nested(&["spec", "replicas"]), Some(&json!(3)));
        let object = object.downcast::<ConfigMap>().unwrap_err();
        assert!(object.downcast::<Deployment>().is_ok());
        assert!(scheme.new_object(&ConfigMap::gvk()).unwrap().downcast_ref::<ConfigMap>().is_some());
    }

    #[test]
    fn bodies_are_read_in_every_media_type() {
        let (scheme, codecs) = (scheme(), Codecs::default());
        let yaml = b"apiVersion: v1\nkind: ConfigMap\ndata:\n  k: v\n";
        let object = scheme.decode_body(&codecs, "application/yaml", yaml).unwrap();
        let json = object.to_unstructured().unwrap();
        let protobuf = codecs.find("application/vnd.kubernetes.protobuf").unwrap().encode(json.as_value()).unwrap();
        let again = scheme.decode_body(&codecs, "application/vnd.kubernetes.protobuf", &protobuf).unwrap();
        assert_eq!(again.downcast_ref::<ConfigMap>(), object.downcast_ref::<ConfigMap>());
        assert!(scheme.decode_body(&codecs, "text/html", b"").is_err());
    }

    #[test]
    fn reasons_are_told_apart() {
        let scheme = scheme();
        let fault = |json: &str| scheme.decode(json.as_bytes()).unwrap_err();
        assert_eq!(fault(r#"{"apiVersion":"v1","kind":"Pod"}"#), SchemeError::NotRegistered(Pod::gvk()));
        assert_eq!(fault(r#"{"apiVersion":"v1"}"#), SchemeError::MissingKind);
        assert_eq!(fault(r#"{"kind":"Pod"}"#), SchemeError::MissingVersion { kind: "Pod".into() });
        assert!(matches!(fault("{"), SchemeError::Malformed(_)));
        let strict = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","nme":"b"},"data":{"k":"v"},"dta":{"a":1},"binaryData":{}}"#;
        assert_eq!(
            scheme.decode_strict(strict).unwrap_err(),
            SchemeError::UnknownFields(vec!["dta".into(), "metadata.nme".into()])
        );
        assert!(scheme.decode(strict).is_ok());
    }
}
