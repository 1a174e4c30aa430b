//! Emptying and removing namespaces that are being deleted.
//!
//! Counterpart: `pkg/controller/namespace/deletion`. Where the real controller estimates and comes back later, this one
//! is woken by whatever happens in the namespace. What conditions say is in `namespace_conditions.rs`.

use super::Parts;
use super::agent::{Agent, marked_for_deletion};
use super::namespace_conditions::{Remaining, set_conditions};
use super::runner::{Change, Controller, Item, Outcome};
use crate::catalog::ResourceInfo;
use crate::registry::Target;
use crate::store::{Collection, Snapshot, split_key};
use futures::FutureExt;
use futures::future::BoxFuture;
use rehearsal_apimachinery::ObjectMeta;
use rehearsal_apimachinery::options::DeleteOptions;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The entry of `spec.finalizers` that stands for this controller.
const FINALIZER: &str = "kubernetes";
const NAMESPACES: &str = "namespaces";
/// Goes before everything else: pods may need what is beside them until they are gone.
const PODS: &str = "pods";

/// Deletes what is in terminating namespaces, then the namespaces.
pub(super) struct NamespaceController {
    agent: Agent,
    /// Keys of the namespaces that are being deleted.
    terminating: BTreeSet<String>,
}

impl NamespaceController {
    pub(super) fn new(parts: &Parts) -> Self {
        Self { agent: Agent::new(&parts.registry, "namespace-controller"), terminating: BTreeSet::new() }
    }

    async fn sync(&self, name: &str) -> Result<(), Status> {
        let target = self.agent.target(NAMESPACES, "", name)?;
        let Some(namespace) = self.agent.read(&target).filter(Value::is_deleting) else { return Ok(()) };
        if !finalizers(&namespace).any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        let (remaining, refusal) = self.empty(name).await;
        let now = self.agent.registry.clock().now_rfc3339();
        let status = Target { subresource: "status".into(), ..target.clone() };
        self.agent.patch(&status, namespace.uid(), |namespace| set_conditions(namespace, &remaining, &now)).await?;
        match refusal {
            Some(refusal) => Err(refusal),
            None if !remaining.is_empty() => Ok(()),
            None => self.finalize(target, namespace.uid()).await,
        }
    }

    async fn finalize(&self, target: Target, uid: &str) -> Result<(), Status> {
        let finalize = Target { subresource: "finalize".into(), ..target };
        let drop_ours = |namespace: &mut Value| {
            if let Some(list) = namespace.pointer_mut("/spec/finalizers").and_then(Value::as_array_mut) {
                list.retain(|finalizer| finalizer != FINALIZER);
            }
        };
        self.agent.patch(&finalize, uid, drop_ours).await.map(drop)
    }

    /// Deletes everything in a namespace; what is left, and the first refusal.
    async fn empty(&self, namespace: &str) -> (Remaining, Option<Status>) {
        let (mut remaining, mut refusal) = (Remaining::default(), None);
        let mut rows = self.rows();
        let pods = rows.remove(PODS);
        for (collection, info) in pods.map(|info| (PODS.to_owned(), info)).into_iter().chain(rows) {
            if let Err(status) = self.delete_all(&collection, &info, namespace).await {
                remaining.refused(&status);
                refusal.get_or_insert(status);
            }
            count_left(&mut remaining, &self.snapshot(), &collection, &info, namespace);
            if collection == PODS && !remaining.is_empty() {
                break;
            }
        }
        (remaining, refusal)
    }

    /// The kinds whose objects can be deleted, by collection: built-in ones, and custom ones as of now.
    fn rows(&self) -> BTreeMap<String, Arc<ResourceInfo>> {
        let mut rows = BTreeMap::new();
        for row in self.agent.registry.table().rows() {
            if row.namespaced && row.has_verb("delete") && (row.serves_storage_form() || row.custom) {
                rows.entry(row.collection_name()).or_insert_with(|| row.clone());
            }
        }
        rows
    }

    async fn delete_all(&self, collection: &str, info: &Arc<ResourceInfo>, namespace: &str) -> Result<(), Status> {
        let options = DeleteOptions { propagation_policy: Some("Background".into()), ..DeleteOptions::default() };
        let snapshot = self.snapshot();
        let keys: Vec<&str> = snapshot.range(collection, &format!("{namespace}/"), "").map(|(key, _)| key).collect();
        for key in keys {
            let target = Target {
                info: info.clone(),
                namespace: namespace.to_owned(),
                name: split_key(key).1.to_owned(),
                subresource: String::new(),
            };
            self.agent.delete(&target, &options).await?;
        }
        Ok(())
    }

    fn snapshot(&self) -> Snapshot {
        self.agent.registry.storage().snapshot()
    }
}

fn finalizers(namespace: &Value) -> impl Iterator<Item = &str> {
    let list = namespace.pointer("/spec/finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

fn count_left(remaining: &mut Remaining, snapshot: &Snapshot, collection: &str, info: &ResourceInfo, namespace: &str) {
    for (_, object) in snapshot.range(collection, &format!("{namespace}/"), "") {
        remaining.object(&info.group_resource(), &object.value().finalizers());
    }
}

impl Controller for NamespaceController {
    fn watches(&self, _collection: &str) -> bool {
        true
    }

    fn forget(&mut self, collection: &Collection, _work: &mut Vec<Item>) {
        if collection.as_str() == NAMESPACES {
            self.terminating.clear();
        }
    }

    fn observe(&mut self, change: &Change<'_>, work: &mut Vec<Item>) {
        if change.collection.as_str() == NAMESPACES {
            match change.after.and_then(marked_for_deletion) {
                Some(_) => {
                    self.terminating.insert(change.key.to_owned());
                    work.push(change.item());
                }
                None => drop(self.terminating.remove(change.key)),
            }
        } else if !self.terminating.is_empty()
            && let (namespace, _) = split_key(change.key)
            && self.terminating.contains(namespace)
        {
            work.push(Item::new(&Collection::new(NAMESPACES), namespace));
        }
    }

    fn reconcile<'a>(&'a mut self, item: &'a Item, _work: &'a mut Vec<Item>) -> BoxFuture<'a, Result<Outcome, Status>> {
        async move { self.sync(&item.key).await.map(|()| Outcome::Done) }.boxed()
    }
}
