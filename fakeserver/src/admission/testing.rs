//! A cluster of a few objects for the tests of the plugins.

use super::{Attributes, Operation};
use crate::clock::Clock;
use crate::ids::Ids;
use crate::strategies::{Peek, UserInfo, WriteContext};
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::Value;
use std::sync::Arc;

/// Objects by resource.
pub(crate) struct Cluster {
    pub(crate) objects: Vec<(&'static str, Arc<Value>)>,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) user: UserInfo,
}

impl Cluster {
    pub(crate) fn new(objects: Vec<(&'static str, Value)>) -> Self {
        Self {
            objects: objects.into_iter().map(|(r, o)| (r, Arc::new(o))).collect(),
            clock: Clock::manual(jiff::Timestamp::UNIX_EPOCH),
            ids: Ids::seeded(1),
            user: UserInfo::default(),
        }
    }

    pub(crate) fn cx(&self) -> WriteContext<'_> {
        WriteContext {
            clock: &self.clock,
            ids: &self.ids,
            peek: self,
            user: &self.user,
            subresource: "",
            dry_run: false,
        }
    }
}

impl Peek for Cluster {
    fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let found = self.objects.iter().find(|(r, o)| *r == resource && o.namespace() == namespace && o.name() == name);
        found.map(|(_, o)| o.clone())
    }

    fn list(&self, resource: &str, namespace: &str) -> Vec<Arc<Value>> {
        let wanted = |o: &Value| namespace.is_empty() || o.namespace() == namespace;
        self.objects.iter().filter(|(r, o)| *r == resource && wanted(o)).map(|(_, o)| o.clone()).collect()
    }
}

/// A create of a core resource named `p` in namespace `n`.
pub(crate) fn create(resource: &'static str) -> Attributes<'static> {
    Attributes {
        operation: Operation::Create,
        group: "",
        version: "v1",
        resource,
        kind: "",
        subresource: "",
        namespace: "n",
        name: "p",
        old: None,
    }
}
