//! Field ownership of writes through `scale`.
//!
//! Counterpart: how `ScaleREST` wraps a write into `managedfields.ScaleHandler`: the parent's owners of the replicas
//! are shown on the Scale, the write is tracked there, and what came of it is carried back to the parent.

use super::scale::kind;
use crate::endpoints::context::RequestContext;
use crate::patch::{apply, managed_fields};
use crate::registry::Target;
use rehearsal_apimachinery::ObjectMetaMut;
use rehearsal_apimachinery::catalog::{TypeId, Types};
use rehearsal_apimachinery::status::Status;
use serde_json::Value;
use std::sync::Arc;

/// Who writes, and where the parent keeps its replicas.
pub(super) struct ScaleOwners {
    manager: String,
    now: String,
    parent: String,
    versions: Vec<String>,
    path: Vec<String>,
    types: Arc<Types>,
    root: Option<TypeId>,
}

impl ScaleOwners {
    /// `pointer` is the JSON pointer of the replicas in the parent.
    pub(super) fn new(cx: &RequestContext, field_manager: &str, target: &Target, pointer: &str) -> Self {
        let catalog = rehearsal_apimachinery::Catalog::builtin();
        let parent = target.info.gvk().api_version();
        let registry = &cx.core.registry;
        Self {
            manager: cx.write(field_manager, false).manager,
            now: registry.clock().now_rfc3339(),
            versions: registry.served_versions(&target.info).unwrap_or_else(|| vec![parent.clone()]),
            parent,
            path: pointer.split('/').skip(1).map(str::to_owned).collect(),
            types: catalog.types.clone(),
            root: catalog.type_of(&kind()),
        }
    }

    /// Shows the parent's owners of the replicas on its Scale.
    pub(super) fn show(&self, parent: &Value, scale: &mut Value) {
        let entries = self.with_paths(|paths| managed_fields::to_scale(entries(parent), paths));
        scale.set_meta("managedFields", entries);
    }

    /// Records an update of the Scale.
    pub(super) fn update(&self, old: &Value, new: &mut Value) {
        managed_fields::update(&self.schema(), Some(old), new, &self.manager("autoscaling/v1"), &[]);
    }

    /// Applies a configuration to the Scale; `None`: it changes nothing.
    pub(super) fn apply(&self, scale: &Value, intent: &Value, force: bool) -> Result<Option<Value>, Status> {
        managed_fields::apply(&self.schema(), Some(scale), intent, &self.manager("autoscaling/v1"), force, &[])
    }

    /// Gives the parent the owners that its written Scale has.
    pub(super) fn carry_back(&self, scale: &Value, parent: &mut Value) {
        let owners =
            self.with_paths(|paths| managed_fields::to_parent(entries(parent), entries(scale), &self.parent, paths));
        if owners.is_empty() {
            parent.remove_meta("managedFields");
        } else {
            parent.set_meta("managedFields", owners);
        }
    }

    fn manager<'a>(&'a self, api_version: &'a str) -> managed_fields::Manager<'a> {
        managed_fields::Manager { name: &self.manager, api_version, subresource: "scale", now: &self.now }
    }

    fn schema(&self) -> apply::Schema<'_> {
        apply::Schema { types: &self.types, root: self.root, served: None }
    }

    fn with_paths<R>(&self, use_paths: impl FnOnce(managed_fields::ReplicasPaths<'_>) -> R) -> R {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let paths: Vec<_> = self.versions.iter().map(|version| (version.as_str(), path.as_slice())).collect();
        use_paths(&paths)
    }
}

fn entries(object: &Value) -> &[Value] {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.map(Vec::as_slice).unwrap_or_default()
}
