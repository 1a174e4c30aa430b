//! An object that every namespace has to have.

use super::agent::Agent;
use super::runner::{Change, Controller, Item, Outcome};
use crate::store::{Collection, split_key};
use futures::FutureExt;
use futures::future::BoxFuture;
use rehearsal_apimachinery::status::Status;
use rehearsal_apimachinery::{ObjectMeta, ObjectMetaMut};
use serde_json::Value;

/// Keeps an object of one name in every namespace that is not on its way out.
pub(super) struct PerNamespace {
    pub(super) agent: Agent,
    /// The collection, a built-in one.
    pub(super) resource: &'static str,
    pub(super) name: &'static str,
    /// The object, without a namespace.
    pub(super) object: Value,
    /// The top-level member that is put back when somebody changes it.
    pub(super) kept: Option<&'static str>,
}

impl PerNamespace {
    async fn ensure(&self, namespace: &str) -> Result<(), Status> {
        let owner = self.agent.target("namespaces", "", namespace)?;
        if self.agent.read(&owner).is_none_or(|namespace| namespace.is_deleting()) {
            return Ok(());
        }
        let target = self.agent.target(self.resource, namespace, self.name)?;
        let Some(live) = self.agent.read(&target) else {
            let mut object = self.object.clone();
            object.set_meta("namespace", namespace);
            return self.agent.create(&target, object).await;
        };
        let Some(kept) = self.kept else { return Ok(()) };
        let restore = |live: &mut Value| live[kept] = self.object[kept].clone();
        self.agent.patch(&target, live.uid(), restore).await.map(drop)
    }
}

impl Controller for PerNamespace {
    fn watches(&self, collection: &str) -> bool {
        collection == "namespaces" || collection == self.resource
    }

    fn observe(&mut self, change: &Change<'_>, work: &mut Vec<Item>) {
        let (namespace, name) = split_key(change.key);
        if change.collection.as_str() == "namespaces" {
            if change.before.is_none() && change.after.is_some() {
                work.push(change.item());
            }
        } else if name == self.name && (change.after.is_none() || self.kept.is_some()) {
            work.push(Item::new(&Collection::new("namespaces"), namespace));
        }
    }

    fn reconcile<'a>(&'a mut self, item: &'a Item, _work: &'a mut Vec<Item>) -> BoxFuture<'a, Result<Outcome, Status>> {
        async move { self.ensure(&item.key).await.map(|()| Outcome::Done) }.boxed()
    }
}
