//! The finalizers that keep volumes and claims while they are in use.
//!
//! Counterpart: `pkg/controller/volume/pvcprotection` and `pvprotection`. A claim is in use while a pod with a node
//! names it, a volume while it is bound.

use super::Parts;
use super::agent::{Agent, marked_for_deletion};
use super::runner::{Change, Controller, Item, Outcome};
use super::tracked::Tracked;
use crate::registry::Target;
use crate::store::{Collection, split_key};
use crate::strategies::Peek as _;
use crate::strategies::access::{list_at, spec, str_at};
use futures::FutureExt;
use futures::future::BoxFuture;
use rehearsal_apimachinery::status::Status;
use rehearsal_apimachinery::{ObjectMeta, ObjectMetaMut};
use serde_json::{Value, json};

const PODS: &str = "pods";

/// Adds and removes one finalizer on the objects of one resource.
pub(super) struct Protection {
    agent: Agent,
    resource: &'static str,
    finalizer: &'static str,
    /// Pods use the objects, so that they have to be looked at when pods change.
    used_by_pods: bool,
    in_use: fn(&Agent, &Value) -> bool,
    /// The protected objects that are being deleted.
    waiting: Tracked,
}

impl Protection {
    pub(super) fn of_claims(parts: &Parts) -> Self {
        Self {
            agent: Agent::new(&parts.registry, "pvc-protection-controller"),
            resource: "persistentvolumeclaims",
            finalizer: "kubernetes.io/pvc-protection",
            used_by_pods: true,
            in_use: |agent, claim| {
                let pods = agent.registry.peek().list(PODS, claim.namespace());
                pods.iter().any(|pod| uses(pod, claim.name()))
            },
            waiting: Tracked::new("persistentvolumeclaims"),
        }
    }

    pub(super) fn of_volumes(parts: &Parts) -> Self {
        Self {
            agent: Agent::new(&parts.registry, "pv-protection-controller"),
            resource: "persistentvolumes",
            finalizer: "kubernetes.io/pv-protection",
            used_by_pods: false,
            in_use: |_, volume| str_at(&volume["status"], "phase") == "Bound",
            waiting: Tracked::new("persistentvolumes"),
        }
    }

    async fn sync(&self, item: &Item) -> Result<(), Status> {
        let (namespace, name) = split_key(&item.key);
        let target: Target = self.agent.target(self.resource, namespace, name)?;
        let Some(object) = self.agent.read(&target) else { return Ok(()) };
        let protected = object.finalizers().contains(&self.finalizer);
        let wanted = !object.is_deleting() || protected && (self.in_use)(&self.agent, &object);
        if wanted == protected {
            return Ok(());
        }
        let change = |object: &mut Value| {
            let mut list: Vec<Value> = object.finalizers().into_iter().map(|f| json!(f)).collect();
            list.retain(|finalizer| finalizer != self.finalizer);
            if wanted {
                list.push(json!(self.finalizer));
            }
            match list.is_empty() {
                true => drop(object.remove_meta("finalizers")),
                false => object.set_meta("finalizers", list),
            }
        };
        self.agent.patch(&target, object.uid(), change).await.map(drop)
    }
}

/// Whether a pod that a kubelet has seen names a claim, by itself or as the claim behind an ephemeral volume.
fn uses(pod: &Value, claim: &str) -> bool {
    let scheduled = !str_at(spec(pod), "nodeName").is_empty();
    scheduled
        && list_at(spec(pod), "volumes").iter().any(|volume| {
            let ephemeral = volume.get("ephemeral").is_some_and(|source| !source.is_null())
                && claim.strip_prefix(pod.name()).and_then(|rest| rest.strip_prefix('-'))
                    == Some(str_at(volume, "name"));
            ephemeral || volume.pointer("/persistentVolumeClaim/claimName").is_some_and(|name| name == claim)
        })
}

impl Controller for Protection {
    fn watches(&self, collection: &str) -> bool {
        collection == self.resource || self.used_by_pods && collection == PODS
    }

    fn forget(&mut self, collection: &Collection, work: &mut Vec<Item>) {
        work.extend(self.waiting.forget(collection));
    }

    fn observe(&mut self, change: &Change<'_>, work: &mut Vec<Item>) {
        if change.collection.as_str() == PODS {
            work.extend(self.waiting.of_namespace(split_key(change.key).0));
            return;
        }
        self.waiting.follow(change, change.after.is_some_and(|object| marked_for_deletion(object).is_some()));
        work.extend(change.after.map(|_| change.item()));
    }

    fn reconcile<'a>(&'a mut self, item: &'a Item, _work: &'a mut Vec<Item>) -> BoxFuture<'a, Result<Outcome, Status>> {
        async move { self.sync(item).await.map(|()| Outcome::Done) }.boxed()
    }
}
