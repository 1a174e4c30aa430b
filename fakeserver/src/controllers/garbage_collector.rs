//! The garbage collector: dependents go after their owners, or before them, or are let go.
//!
//! Counterpart: `pkg/controller/garbagecollector`. Every action is derived from objects read at that moment; the index
//! only tells whom to look at. Whether an owner exists is asked of the store, by its kind, its name and the namespace of
//! the dependent, and its uid has to be right.

use super::Parts;
use super::agent::{Agent, marked_for_deletion};
use super::owner_index::OwnerIndex;
use super::runner::{Change, Controller, Item, Outcome};
use crate::registry::Target;
use crate::store::{Collection, StoredObject};
use crate::strategies::Peek as _;
use futures::FutureExt;
use futures::future::BoxFuture;
use rehearsal_apimachinery::gvk::GroupVersion;
use rehearsal_apimachinery::options::{DeleteOptions, Preconditions};
use rehearsal_apimachinery::status::Status;
use rehearsal_apimachinery::{ObjectMeta, ObjectMetaMut};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Holds an owner until its dependents have been let go.
const ORPHAN: &str = "orphan";
/// Holds an owner until the dependents that block its deletion are gone.
const FOREGROUND: &str = "foregroundDeletion";
/// Too many, too short-lived, and never worth collecting.
const EVENTS: &str = "events";

/// Collects what has lost its owners.
pub(super) struct GarbageCollector {
    agent: Agent,
    index: OwnerIndex,
    /// Owners in foreground deletion, by uid: every change of a dependent concerns them.
    foreground: BTreeMap<String, Item>,
}

/// How the store answers to an owner reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// It is there.
    Solid,
    /// It is there and waits for its dependents to go.
    Waiting,
    /// It is not there.
    Absent,
    /// Nobody serves its kind.
    UnknownKind,
    /// The dependent belongs to no namespace but its owner does: nothing is concluded from that.
    Unreachable,
}

impl GarbageCollector {
    pub(super) fn new(parts: &Parts) -> Self {
        let agent = Agent::new(&parts.registry, "generic-garbage-collector");
        Self { agent, index: OwnerIndex::default(), foreground: BTreeMap::new() }
    }

    async fn collect(&self, item: &Item, work: &mut Vec<Item>) -> Result<Outcome, Status> {
        let Some(target) = self.agent.target_of(item) else { return Ok(Outcome::UnknownKind) };
        let Some(object) = self.agent.read(&target) else { return Ok(Outcome::Done) };
        if object.is_deleting() {
            let finalizers = object.finalizers();
            return match (finalizers.contains(&ORPHAN), finalizers.contains(&FOREGROUND)) {
                (true, _) => self.orphan_dependents(&target, &object).await,
                (false, true) => self.delete_dependents(&target, &object, work).await,
                (false, false) => Ok(Outcome::Done),
            };
        }
        self.check_owners(&target, &object).await
    }

    /// Lets the dependents go, then the owner.
    async fn orphan_dependents(&self, target: &Target, owner: &Value) -> Result<Outcome, Status> {
        for dependent in self.index.dependents(owner.uid()) {
            let Some(target) = self.agent.target_of(dependent) else { continue };
            let Some(object) = self.agent.read(&target) else { continue };
            self.disown(&target, &object, &[owner.uid()]).await?;
        }
        self.release(target, owner, ORPHAN).await
    }

    /// Sees to it that the dependents go, and lets the owner go when none that blocks it is left.
    async fn delete_dependents(&self, target: &Target, owner: &Value, work: &mut Vec<Item>) -> Result<Outcome, Status> {
        let mut blocked = false;
        for dependent in self.index.dependents(owner.uid()) {
            let Some(object) = self.agent.target_of(dependent).and_then(|target| self.agent.read(&target)) else {
                continue;
            };
            blocked |= references(&object).any(|r| r["uid"] == owner.uid() && r["blockOwnerDeletion"] == true);
            if !object.is_deleting() {
                work.push(dependent.clone());
            }
        }
        if blocked { Ok(Outcome::Done) } else { self.release(target, owner, FOREGROUND).await }
    }

    /// Removes a finalizer.
    async fn release(&self, target: &Target, owner: &Value, finalizer: &str) -> Result<Outcome, Status> {
        let remove = |owner: &mut Value| {
            let kept: Vec<Value> =
                owner.finalizers().into_iter().filter(|f| *f != finalizer).map(|f| json!(f)).collect();
            set_or_remove(owner, "finalizers", kept);
        };
        self.agent.patch(target, owner.uid(), remove).await?;
        Ok(Outcome::Done)
    }

    /// Deletes an object without owners that are there; drops the references to absent ones where others are there.
    async fn check_owners(&self, target: &Target, object: &Value) -> Result<Outcome, Status> {
        let owners: Vec<(&str, Owner)> =
            references(object).map(|r| (r["uid"].as_str().unwrap_or_default(), self.look_up(target, r))).collect();
        let has = |wanted: Owner| owners.iter().any(|(_, owner)| *owner == wanted);
        if owners.is_empty() || has(Owner::Unreachable) {
            return Ok(Outcome::Done);
        }
        if has(Owner::UnknownKind) {
            return Ok(Outcome::UnknownKind);
        }
        if has(Owner::Solid) {
            let lost: Vec<&str> = owners.iter().filter(|(_, o)| *o != Owner::Solid).map(|(uid, _)| *uid).collect();
            self.disown(target, object, &lost).await?;
            return Ok(Outcome::Done);
        }
        let policy = if has(Owner::Waiting) && self.index.dependents(object.uid()).next().is_some() {
            self.break_circle(target, object).await?;
            "Foreground"
        } else if object.finalizers().contains(&ORPHAN) {
            "Orphan"
        } else if object.finalizers().contains(&FOREGROUND) {
            "Foreground"
        } else {
            "Background"
        };
        self.delete(target, object.uid(), policy).await
    }

    async fn delete(&self, target: &Target, uid: &str, policy: &str) -> Result<Outcome, Status> {
        // Read anew: breaking a circle writes the object.
        let Some(object) = self.agent.read(target).filter(|object| object.uid() == uid) else {
            return Ok(Outcome::Done);
        };
        let preconditions =
            Preconditions { uid: Some(uid.to_owned()), resource_version: Some(object.resource_version().to_owned()) };
        let options = DeleteOptions {
            preconditions: Some(preconditions),
            propagation_policy: Some(policy.to_owned()),
            ..DeleteOptions::default()
        };
        self.agent.delete(target, &options).await?;
        Ok(Outcome::Done)
    }

    /// An object among whose dependents one waits for its own dependents may be part of a circle, in which everybody
    /// would wait for ever: it blocks nobody any more.
    async fn break_circle(&self, target: &Target, object: &Value) -> Result<(), Status> {
        let waits = |dependent: &Item| self.foreground.values().any(|waiting| waiting == dependent);
        if !self.index.dependents(object.uid()).any(waits) {
            return Ok(());
        }
        let unblock = |object: &mut Value| {
            let mut owners: Vec<Value> = object.owner_references().to_vec();
            owners
                .iter_mut()
                .filter(|r| r["blockOwnerDeletion"] == true)
                .for_each(|r| r["blockOwnerDeletion"] = json!(false));
            set_or_remove(object, "ownerReferences", owners);
        };
        self.agent.patch(target, object.uid(), unblock).await.map(drop)
    }

    /// Drops an object's references to some owners.
    async fn disown(&self, target: &Target, object: &Value, owners: &[&str]) -> Result<(), Status> {
        if owners.is_empty() {
            return Ok(());
        }
        let remove = |object: &mut Value| {
            let lost = |r: &&Value| r["uid"].as_str().is_some_and(|uid| owners.contains(&uid));
            let kept: Vec<Value> = references(object).filter(|r| !lost(r)).cloned().collect();
            set_or_remove(object, "ownerReferences", kept);
        };
        self.agent.patch(target, object.uid(), remove).await.map(drop)
    }

    fn look_up(&self, dependent: &Target, reference: &Value) -> Owner {
        let text = |member: &str| reference[member].as_str().unwrap_or_default();
        if self.index.is_gone(text("uid")) {
            return Owner::Absent;
        }
        let kind = GroupVersion::parse(text("apiVersion")).map(|version| version.kind(text("kind")));
        let Some(info) = kind.and_then(|kind| self.agent.registry.table().by_kind(&kind)) else {
            return Owner::UnknownKind;
        };
        let namespace = match info.namespaced {
            true if dependent.namespace.is_empty() => return Owner::Unreachable,
            true => dependent.namespace.as_str(),
            false => "",
        };
        let owner = self.agent.registry.peek().get(&info.collection_name(), namespace, text("name"));
        match owner.filter(|owner| owner.uid() == text("uid")) {
            None => Owner::Absent,
            Some(owner) if owner.is_deleting() && owner.finalizers().contains(&FOREGROUND) => Owner::Waiting,
            Some(_) => Owner::Solid,
        }
    }
}

fn references(object: &Value) -> impl Iterator<Item = &Value> {
    object.owner_references().iter()
}

fn set_or_remove(object: &mut Value, member: &str, list: Vec<Value>) {
    match list.is_empty() {
        true => drop(object.remove_meta(member)),
        false => object.set_meta(member, list),
    }
}

impl Controller for GarbageCollector {
    fn watches(&self, collection: &str) -> bool {
        collection != EVENTS
    }

    fn forget(&mut self, collection: &Collection, work: &mut Vec<Item>) {
        self.index.forget(collection);
        self.foreground.retain(|_, item| item.collection != *collection);
        // Owners may have gone unseen.
        work.extend(self.index.all().cloned());
    }

    fn observe(&mut self, change: &Change<'_>, work: &mut Vec<Item>) {
        if self.index.observe(change) {
            work.push(change.item());
        }
        if !self.foreground.is_empty() {
            let owners = change.before.into_iter().chain(change.after).flat_map(StoredObject::owners);
            work.extend(owners.filter_map(|owner| self.foreground.get(owner)).cloned());
        }
        let Some(after) = change.after else {
            let uid = change.before.map_or("", StoredObject::uid);
            self.foreground.remove(uid);
            work.extend(self.index.dependents(uid).cloned());
            return;
        };
        let finalizers = marked_for_deletion(after);
        let held_by = |finalizer: &str| finalizers.as_ref().is_some_and(|f| f.iter().any(|f| f == finalizer));
        if held_by(FOREGROUND) {
            self.foreground.insert(after.uid().to_owned(), change.item());
        } else {
            self.foreground.remove(after.uid());
        }
        if held_by(FOREGROUND) || held_by(ORPHAN) {
            work.push(change.item());
        }
    }

    fn reconcile<'a>(&'a mut self, item: &'a Item, work: &'a mut Vec<Item>) -> BoxFuture<'a, Result<Outcome, Status>> {
        async move { self.collect(item, work).await }.boxed()
    }
}
