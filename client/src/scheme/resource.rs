//! [`Resource`]: a Rust type that knows which resource of the API it is.
//!
//! Counterpart: apimachinery `runtime.Object` together with what code generation tags say. Every `k8s-openapi` type with
//! object metadata is one; `derive(CustomResource)` makes one of a spec.

use crate::rest::ObjectKind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rehearsal_apimachinery::{GroupVersion, GroupVersionKind, GroupVersionResource};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Where the objects of a resource live: in namespaces or in the cluster.
pub trait Scope {
    /// Whether they live in namespaces.
    const NAMESPACED: bool;
}

impl Scope for k8s_openapi::NamespaceResourceScope {
    const NAMESPACED: bool = true;
}

impl Scope for k8s_openapi::ClusterResourceScope {
    const NAMESPACED: bool = false;
}

/// An object of the API. Reading one must fail when `kind` or `apiVersion` are present and another's; writing one must
/// write both.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no resource of the API",
    note = "types of k8s-openapi with object metadata are; others become one with `derive(CustomResource)`"
)]
pub trait Resource: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// `apiVersion`: group and version.
    const API_VERSION: &'static str;
    /// API group; empty for the core group.
    const GROUP: &'static str;
    /// Version.
    const VERSION: &'static str;
    /// `kind`.
    const KIND: &'static str;
    /// Plural name, as in paths.
    const PLURAL: &'static str;
    /// Where its objects live.
    type Scope: Scope;

    /// `metadata`.
    fn metadata(&self) -> &ObjectMeta;

    /// `metadata`, to be changed.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;

    /// `metadata.name`, empty when unset.
    fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// `metadata.namespace`, empty when unset.
    fn namespace(&self) -> &str {
        self.metadata().namespace.as_deref().unwrap_or_default()
    }

    /// Group, version and kind.
    #[must_use]
    fn gvk() -> GroupVersionKind {
        GroupVersionKind::new(Self::GROUP, Self::VERSION, Self::KIND)
    }

    /// Group, version and plural name.
    #[must_use]
    fn gvr() -> GroupVersionResource {
        GroupVersionResource::new(Self::GROUP, Self::VERSION, Self::PLURAL)
    }

    /// Group and version.
    #[must_use]
    fn group_version() -> GroupVersion {
        GroupVersion::new(Self::GROUP, Self::VERSION)
    }
}

impl<K> Resource for K
where
    K: k8s_openapi::Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Send + Sync + 'static,
    <K as k8s_openapi::Resource>::Scope: Scope,
{
    const API_VERSION: &'static str = <K as k8s_openapi::Resource>::API_VERSION;
    const GROUP: &'static str = <K as k8s_openapi::Resource>::GROUP;
    const VERSION: &'static str = <K as k8s_openapi::Resource>::VERSION;
    const KIND: &'static str = <K as k8s_openapi::Resource>::KIND;
    const PLURAL: &'static str = <K as k8s_openapi::Resource>::URL_PATH_SEGMENT;
    type Scope = <K as k8s_openapi::Resource>::Scope;

    fn metadata(&self) -> &ObjectMeta {
        k8s_openapi::Metadata::metadata(self)
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        k8s_openapi::Metadata::metadata_mut(self)
    }
}

impl<K: Resource> ObjectKind for K {
    const API_VERSION: &'static str = <K as Resource>::API_VERSION;
    const KIND: &'static str = <K as Resource>::KIND;
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{Namespace, Pod};

    #[test]
    fn built_in_types_know_their_names() {
        assert_eq!(Pod::gvk(), GroupVersionKind::new("", "v1", "Pod"));
        assert_eq!(Pod::gvr(), GroupVersionResource::new("", "v1", "pods"));
        const { assert!(<Pod as Resource>::Scope::NAMESPACED) };
        const { assert!(!<Namespace as Resource>::Scope::NAMESPACED) };
        assert_eq!(Resource::name(&Pod::default()), "");
    }
}
