//! Stored objects and users for the tests of this module.

use crate::strategies::{Peek, UserInfo};
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Objects by resource.
#[derive(Default)]
pub(super) struct Shelves(BTreeMap<String, Vec<Arc<Value>>>);

impl Shelves {
    /// The RBAC objects every cluster starts with.
    pub(super) fn bootstrapped() -> Self {
        let all: BTreeMap<String, Vec<Value>> =
            serde_json::from_str(include_str!("../../data/bootstrap.json")).unwrap();
        let mut shelves = Self::default();
        for (path, objects) in all {
            if let Some(resource) = path.strip_prefix("/apis/rbac.authorization.k8s.io/v1/") {
                let objects = objects.into_iter().map(Arc::new).collect();
                shelves.0.insert(format!("{resource}.rbac.authorization.k8s.io"), objects);
            }
        }
        shelves
    }

    pub(super) fn with(mut self, resource: &str, object: Value) -> Self {
        self.0.entry(resource.into()).or_default().push(Arc::new(object));
        self
    }

    pub(super) fn without(mut self, resource: &str) -> Self {
        self.0.remove(resource);
        self
    }
}

impl Peek for Shelves {
    fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.list(resource, namespace).into_iter().find(|o| o.namespace() == namespace && o.name() == name)
    }

    fn list(&self, resource: &str, namespace: &str) -> Vec<Arc<Value>> {
        let all = self.0.get(resource).into_iter().flatten();
        all.filter(|o| namespace.is_empty() || o.namespace() == namespace).cloned().collect()
    }
}

pub(super) fn user(name: &str, groups: &[&str]) -> UserInfo {
    UserInfo { name: name.into(), groups: groups.iter().map(|g| (*g).to_owned()).collect(), ..UserInfo::default() }
}
