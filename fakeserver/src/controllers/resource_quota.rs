//! What a namespace may use and does use: `status.hard` and `status.used` of its quotas.
//!
//! Admission raises `used` with the request that uses more; counting anew and lowering is done here. What an object uses
//! is told by the admission plugin's evaluator. Counterpart: `pkg/controller/resourcequota`.

use super::Parts;
use super::agent::Agent;
use super::runner::{Change, Controller, Item, Outcome};
use super::tracked::Tracked;
use crate::admission::resource_quota_usage::{Usage, amounts, has_ended, in_scope, usage};
use crate::admission::{Attributes, Operation};
use crate::catalog::ResourceInfo;
use crate::registry::Target;
use crate::store::{Collection, split_key};
use futures::FutureExt;
use futures::future::BoxFuture;
use rehearsal_apimachinery::ObjectMeta;
use rehearsal_apimachinery::quantity::Quantity;
use rehearsal_apimachinery::status::Status;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const QUOTAS: &str = "resourcequotas";
const EVENTS: &str = "events";
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Recounts the quotas of a namespace when something in it comes, goes or, for pods and a few others, changes.
pub(super) struct QuotaController {
    agent: Agent,
    quotas: Tracked,
}

impl QuotaController {
    pub(super) fn new(parts: &Parts) -> Self {
        Self { agent: Agent::new(&parts.registry, "resourcequota-controller"), quotas: Tracked::new(QUOTAS) }
    }

    async fn sync(&self, key: &str) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let target = self.agent.target(QUOTAS, namespace, name)?;
        let Some(quota) = self.agent.read(&target) else { return Ok(()) };
        let used = self.count(&quota, namespace);
        let print = |usage: &Usage| -> Map<String, Value> {
            usage.iter().map(|(name, amount)| (name.clone(), amount.to_string().into())).collect()
        };
        let status = Target { subresource: "status".into(), ..target };
        let change = |quota: &mut Value| {
            let hard = quota.pointer("/spec/hard").cloned().unwrap_or_else(|| Map::new().into());
            // A figure that is right stays as it is written.
            let used = if amounts(&quota["status"], "used") == used {
                quota["status"]["used"].clone()
            } else {
                print(&used).into()
            };
            quota["status"] = serde_json::json!({"hard": hard, "used": used});
        };
        self.agent.patch(&status, quota.uid(), change).await.map(drop)
    }

    /// What the objects of a namespace use of what a quota bounds.
    fn count(&self, quota: &Value, namespace: &str) -> Usage {
        let bounds = amounts(&quota["spec"], "hard");
        let mut used: Usage = bounds.keys().map(|name| (name.clone(), Quantity::ZERO)).collect();
        for (collection, info) in self.counted(&bounds) {
            let snapshot = self.agent.registry.storage().snapshot();
            for (key, object) in snapshot.range(&collection, &format!("{namespace}/"), "") {
                let (object, (_, name)) = (object.value(), split_key(key));
                let at = attributes(&info, namespace, name);
                if has_ended(&at, &object) || !in_scope(&at, quota, &object) {
                    continue;
                }
                for (name, amount) in usage(&at, &object) {
                    if let Some(sum) = used.get_mut(&name) {
                        *sum = *sum + amount;
                    }
                }
            }
        }
        used
    }

    /// The collections whose objects matter to what is bounded.
    fn counted(&self, bounds: &Usage) -> BTreeMap<String, Arc<ResourceInfo>> {
        let names: BTreeSet<String> = bounds.keys().filter_map(|name| collection_of(name)).collect();
        let table = self.agent.registry.table();
        let rows = table.rows().iter().filter(|row| row.namespaced && row.serves_storage_form());
        rows.map(|row| (row.collection_name(), row.clone())).filter(|(name, _)| names.contains(name)).collect()
    }
}

fn attributes<'a>(info: &'a ResourceInfo, namespace: &'a str, name: &'a str) -> Attributes<'a> {
    Attributes {
        operation: Operation::Create,
        group: &info.group,
        version: &info.version,
        resource: &info.resource,
        kind: &info.kind,
        subresource: "",
        namespace,
        name,
        old: None,
    }
}

/// The collection whose objects use a resource that a quota bounds.
fn collection_of(bound: &str) -> Option<String> {
    if let Some(counted) = bound.strip_prefix("count/") {
        return Some(counted.to_owned());
    }
    let plain = bound.strip_prefix("requests.").or_else(|| bound.strip_prefix("limits.")).unwrap_or(bound);
    let collection = match bound {
        "services.nodeports" | "services.loadbalancers" => "services",
        _ if bound == "requests.storage" || bound.contains(".storageclass.storage.k8s.io/") => "persistentvolumeclaims",
        _ if COMPUTE.contains(&plain) || plain != bound => "pods",
        "pods"
        | "services"
        | "secrets"
        | "configmaps"
        | "persistentvolumeclaims"
        | "replicationcontrollers"
        | QUOTAS => bound,
        _ => return None,
    };
    Some(collection.to_owned())
}

/// Whether a change that neither creates nor removes an object may change what it uses.
fn changes_usage(collection: &str) -> bool {
    matches!(collection, "pods" | "services" | "persistentvolumeclaims")
}

impl Controller for QuotaController {
    fn watches(&self, collection: &str) -> bool {
        collection != EVENTS
    }

    fn forget(&mut self, collection: &Collection, work: &mut Vec<Item>) {
        work.extend(self.quotas.forget(collection));
    }

    fn observe(&mut self, change: &Change<'_>, work: &mut Vec<Item>) {
        if change.collection.as_str() == QUOTAS {
            self.quotas.follow(change, true);
            work.extend(change.after.map(|_| change.item()));
        }
        let stays = change.before.is_some() && change.after.is_some();
        if !stays || changes_usage(change.collection.as_str()) {
            work.extend(self.quotas.of_namespace(split_key(change.key).0));
        }
    }

    fn reconcile<'a>(&'a mut self, item: &'a Item, _work: &'a mut Vec<Item>) -> BoxFuture<'a, Result<Outcome, Status>> {
        async move { self.sync(&item.key).await.map(|()| Outcome::Done) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_name_the_objects_that_count() {
        for (bound, collection) in [
            ("count/deployments.apps", Some("deployments.apps")),
            ("pods", Some("pods")),
            ("cpu", Some("pods")),
            ("limits.memory", Some("pods")),
            ("requests.nvidia.com/gpu", Some("pods")),
            ("requests.storage", Some("persistentvolumeclaims")),
            ("gold.storageclass.storage.k8s.io/requests.storage", Some("persistentvolumeclaims")),
            ("services.nodeports", Some("services")),
            ("secrets", Some("secrets")),
            ("nonsense", None),
        ] {
            assert_eq!(collection_of(bound).as_deref(), collection, "{bound}");
        }
    }
}
