//! [`Object`]: a typed object whose type is known at run time only.
//!
//! Counterpart: apimachinery `runtime.Object` as handed out by a decoder.

use super::{PartialObjectMetadata, Resource, SchemeError, Unstructured};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rehearsal_apimachinery::GroupVersionKind;
use std::any::Any;

/// Any [`Resource`], behind a pointer.
pub trait Object: Any + Send + Sync {
    /// Its kind.
    fn kind(&self) -> GroupVersionKind;

    /// Its metadata.
    fn object_meta(&self) -> &ObjectMeta;

    /// The object as JSON.
    ///
    /// # Errors
    /// [`SchemeError::Malformed`] when it cannot be written.
    fn to_unstructured(&self) -> Result<Unstructured, SchemeError>;

    /// The object as [`Any`], to be read as its type.
    fn as_any(&self) -> &dyn Any;

    /// The object as [`Any`], to be taken as its type.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync>;
}

impl<K: Resource> Object for K {
    fn kind(&self) -> GroupVersionKind {
        K::gvk()
    }

    fn object_meta(&self) -> &ObjectMeta {
        self.metadata()
    }

    fn to_unstructured(&self) -> Result<Unstructured, SchemeError> {
        Unstructured::from_typed(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync> {
        self
    }
}

impl dyn Object {
    /// The object as a type, if it is of that type.
    #[must_use]
    pub fn downcast_ref<K: Resource>(&self) -> Option<&K> {
        self.as_any().downcast_ref()
    }

    /// The object as a type.
    ///
    /// # Errors
    /// The object itself when it is of another type.
    pub fn downcast<K: Resource>(self: Box<Self>) -> Result<Box<K>, Box<Self>> {
        if self.as_any().is::<K>() {
            return self.into_any().downcast().map_err(|_| unreachable!("its type was asked for"));
        }
        Err(self)
    }

    /// Its metadata-only view.
    #[must_use]
    pub fn to_partial(&self) -> PartialObjectMetadata {
        let gvk = self.kind();
        PartialObjectMetadata { api_version: gvk.api_version(), kind: gvk.kind, metadata: self.object_meta().clone() }
    }
}

impl std::fmt::Debug for dyn Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.kind(), self.object_meta().name.as_deref().unwrap_or_default())
    }
}
