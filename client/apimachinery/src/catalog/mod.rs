//! The type catalogue: what every built-in kind looks like and which resources a 1.36 server offers.
//!
//! Loaded once from the fact tables in `data/` and shared for the life of the process; it never changes, so it is a
//! constant rather than global state. Custom resources compile their schemas into a [`Types`] arena of their own and
//! are read through the same model.

mod resources;
mod types;

pub use resources::{Column, ResourceFacts, SubresourceFacts};
pub use types::{Field, Form, Inline, ListSemantics, Shape, TypeDef, TypeId, Types, Union};

use crate::gvk::{GroupVersionKind, GroupVersionResource};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The facts about the built-in API.
#[derive(Debug)]
pub struct Catalog {
    /// All built-in types.
    pub types: Arc<Types>,
    /// All built-in resources, in the order of the fact table.
    pub resources: Vec<ResourceFacts>,
    by_gvk: HashMap<GroupVersionKind, TypeId>,
}

impl Catalog {
    /// The built-in catalogue, parsed at the first call.
    ///
    /// # Panics
    /// If the embedded tables do not parse, which the tests of this crate exclude.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Catalog> = LazyLock::new(Catalog::load);
        &BUILTIN
    }

    fn load() -> Self {
        let types = types::load(include_str!("../../data/types.json"), include_str!("../../data/gostructs.json"));
        let resources = resources::load(include_str!("../../data/resources.json"));
        let mut by_gvk = HashMap::new();
        for id in types.ids() {
            for gvk in &types[id].gvks {
                by_gvk.insert(gvk.clone(), id);
            }
        }
        Self { types: Arc::new(types), resources, by_gvk }
    }

    /// The type behind a kind.
    #[must_use]
    pub fn type_of(&self, gvk: &GroupVersionKind) -> Option<TypeId> {
        self.by_gvk.get(gvk).copied()
    }

    /// The resource row for a group, version and plural name.
    #[must_use]
    pub fn resource(&self, gvr: &GroupVersionResource) -> Option<&ResourceFacts> {
        self.resources.iter().find(|r| r.group == gvr.group && r.version == gvr.version && r.resource == gvr.resource)
    }

    /// Whether any built-in kind has this name in any group or version (words "registered" in decode errors).
    #[must_use]
    pub fn knows_kind(&self, gvk: &GroupVersionKind) -> bool {
        self.by_gvk.contains_key(gvk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_has_a_type() {
        let catalog = Catalog::builtin();
        assert_eq!(catalog.resources.len(), 68);
        for r in &catalog.resources {
            let gvk = GroupVersionKind::new(&r.group, &r.version, &r.kind);
            assert!(catalog.type_of(&gvk).is_some(), "no type for {gvk}");
        }
    }

    #[test]
    fn struct_order_pointers_and_merge_keys_are_known() {
        let catalog = Catalog::builtin();
        let pod = &catalog.types[catalog.type_of(&GroupVersionKind::new("", "v1", "Pod")).unwrap()];
        let names: Vec<_> = pod.fields.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["kind", "apiVersion", "metadata", "spec", "status"]);
        let spec = catalog.types.named("io.k8s.api.core.v1.PodSpec").unwrap();
        let containers = spec.field("containers").unwrap();
        assert_eq!(containers.patch_merge_key.as_deref(), Some("name"));
        assert!(containers.patch_merge);
        assert!(matches!(&containers.shape, Shape::List { list: ListSemantics::Map(k), .. } if k == &["name"]));
        assert!(spec.field("terminationGracePeriodSeconds").unwrap().pointer);
        assert!(!spec.field("hostNetwork").unwrap().pointer);
    }
}
