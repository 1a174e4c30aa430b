//! Delete: preconditions, grace, propagation, finalizers, and finally removal.
//!
//! Counterpart: `Store.Delete`, `rest.BeforeDelete` and the namespace and pod strategies' overrides.

use super::{Object, Registry, SnapshotPeek, Target, Write};
use crate::admission::Operation;
use crate::clock::rfc3339;
use crate::store::{Expect, Op, StoredObject, TxnError};
use crate::strategies::table::{DefaultPropagation, GenerationRule};
use jiff::{SignedDuration, Timestamp};
use rehearsal_apimachinery::options::DeleteOptions;
use rehearsal_apimachinery::status::{Status, StatusDetails};
use rehearsal_apimachinery::{GroupResource, ObjectMeta, ObjectMetaMut};
use serde_json::{Value, json};
use std::sync::Arc;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What became of the object.
#[derive(Debug)]
pub enum Deleted {
    /// Removed; the object as it last was, with the resourceVersion of its removal.
    Gone(Object),
    /// Still there, held by finalizers or its grace period.
    Pending(Object),
}

/// What one round of a delete does to the stored object.
enum Step {
    /// Write this, then remove.
    UpdateThenRemove(Value),
    /// Write this and wait.
    Update(Value),
    /// Nothing to write; it waits already.
    Wait,
    /// Remove at once.
    Remove,
}

impl Registry {
    /// Deletes an object.
    ///
    /// # Errors
    /// 404, 409 for preconditions, 403 from admission.
    pub async fn delete(
        &self,
        target: &Target,
        options: &DeleteOptions,
        write: &mut Write<'_>,
    ) -> Result<Deleted, Status> {
        let peek = self.peek();
        let probe = self.snapshot().get(target.info.collection().as_str(), &target.key());
        let live = probe.as_ref().map(|stored| self.decode(target, stored));
        self.check_admission(target, Operation::Delete, None, live.as_ref(), write, &peek)?;
        for _ in 0..super::MAX_RACES {
            let snapshot = self.snapshot();
            let stored =
                snapshot.get(target.info.collection().as_str(), &target.key()).ok_or_else(|| target.not_found())?;
            if let Some(done) = self.delete_once(target, options, write, &stored, &peek).await? {
                return Ok(done);
            }
        }
        Err(Status::internal_error("too many concurrent writes to one object"))
    }

    async fn delete_once(
        &self,
        target: &Target,
        options: &DeleteOptions,
        write: &Write<'_>,
        stored: &Arc<StoredObject>,
        peek: &SnapshotPeek,
    ) -> Result<Option<Deleted>, Status> {
        let old = self.decode(target, stored);
        check_preconditions(target, options, &old)?;
        let now = self.clock.now();
        let step = if target.info.group.is_empty() && target.info.resource == "namespaces" {
            namespace_step(&old, now)
        } else if target.info.resource == "customresourcedefinitions" && !old.is_deleting() {
            crd_step(&old, now)
        } else {
            plan(target, options, &old, now)
        };
        match step {
            Step::Wait => Ok(Some(Deleted::Pending(Object::Stored(stored.clone())))),
            Step::Update(new) => self.write_pending(target, stored, new, write).await,
            Step::UpdateThenRemove(new) => self.write_then_remove(target, stored, new, write, peek).await,
            Step::Remove => self.remove(target, stored, &old, write, peek).await,
        }
    }

    async fn write_pending(
        &self,
        target: &Target,
        stored: &Arc<StoredObject>,
        mut new: Value,
        write: &Write<'_>,
    ) -> Result<Option<Deleted>, Status> {
        Self::normalize(target, &mut new);
        if write.dry_run {
            return Ok(Some(Deleted::Pending(Object::Value(new))));
        }
        let op = self.put(target, stored, &new);
        match self.storage.txn(vec![op]).await {
            Ok(mut done) => Ok(done.objects.pop().flatten().map(|o| Deleted::Pending(Object::Stored(o)))),
            Err(TxnError::Conflict { .. }) => Ok(None),
            Err(TxnError::Unavailable(why)) => Err(Status::bare500(why)),
        }
    }

    async fn write_then_remove(
        &self,
        target: &Target,
        stored: &Arc<StoredObject>,
        mut new: Value,
        write: &Write<'_>,
        peek: &SnapshotPeek,
    ) -> Result<Option<Deleted>, Status> {
        Self::normalize(target, &mut new);
        if write.dry_run {
            return Ok(Some(Deleted::Gone(Object::Value(new))));
        }
        let op = self.put(target, stored, &new);
        match self.storage.txn(vec![op]).await {
            Ok(mut done) => match done.objects.pop().flatten() {
                Some(written) => self.remove(target, &written, &new, write, peek).await,
                None => Ok(None),
            },
            Err(TxnError::Conflict { .. }) => Ok(None),
            Err(TxnError::Unavailable(why)) => Err(Status::bare500(why)),
        }
    }

    fn put(&self, target: &Target, stored: &StoredObject, new: &Value) -> Op {
        Op::Put {
            collection: target.info.collection(),
            key: target.key(),
            draft: self.draft(target, new),
            expect: Expect::Revision(stored.revision()),
        }
    }

    async fn remove(
        &self,
        target: &Target,
        stored: &Arc<StoredObject>,
        last: &Value,
        write: &Write<'_>,
        peek: &SnapshotPeek,
    ) -> Result<Option<Deleted>, Status> {
        if write.dry_run {
            return Ok(Some(Deleted::Gone(Object::Stored(stored.clone()))));
        }
        let effects = target.rules().strategy.release(&self.context(target, write, peek), last);
        let mut ops = self.side_effects(effects, write);
        ops.push(Op::Delete {
            collection: target.info.collection(),
            key: target.key(),
            expect: Expect::Revision(stored.revision()),
        });
        match self.storage.txn(ops).await {
            Ok(done) => {
                let mut gone = self.decode(target, stored);
                gone.set_meta("resourceVersion", done.revision.to_string());
                Ok(Some(Deleted::Gone(Object::Value(gone))))
            }
            Err(TxnError::Conflict { .. }) => Ok(None),
            Err(TxnError::Unavailable(why)) => Err(Status::bare500(why)),
        }
    }
}

/// 409s that name the Kind instead of the plural (and the plural for namespaces and CRDs).
fn check_preconditions(target: &Target, options: &DeleteOptions, old: &Value) -> Result<(), Status> {
    let Some(conditions) = &options.preconditions else { return Ok(()) };
    let (gr, name) = (target.group_resource(), old.name());
    // These two check for themselves, before the store does.
    if matches!(gr.resource.as_str(), "namespaces" | "customresourcedefinitions") {
        let pairs = [
            ("UID", conditions.uid.as_deref(), old.uid()),
            ("ResourceVersion", conditions.resource_version.as_deref(), old.resource_version()),
        ];
        let failed = pairs.iter().find_map(|(what, wanted, got)| Some((what, wanted.filter(|w| w != got)?, got)));
        return failed.map_or(Ok(()), |(what, wanted, got)| {
            let why = format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {got}");
            Err(Status::conflict(&gr, name, why))
        });
    }
    let refuse = |why: String| {
        let gr = GroupResource::new(&target.info.group, &target.info.kind);
        let status = Status::conflict(&gr, name, why);
        let details = StatusDetails {
            name: name.into(),
            group: target.info.group.clone(),
            kind: target.info.kind.clone(),
            ..StatusDetails::default()
        };
        Err(status.details(details))
    };
    if let Some(uid) = &conditions.uid
        && uid != old.uid()
    {
        return refuse(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            old.uid()
        ));
    }
    if let Some(version) = &conditions.resource_version
        && version != old.resource_version()
    {
        return refuse(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The object might have been modified",
            old.resource_version()
        ));
    }
    Ok(())
}

/// A namespace turns Terminating first and goes once nothing finalizes it any more.
fn namespace_step(old: &Value, now: Timestamp) -> Step {
    let held = old.pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|f| !f.is_empty())
        || !old.finalizers().is_empty();
    if !old.is_deleting() {
        let mut new = old.clone();
        new.set_meta("deletionTimestamp", rfc3339(now));
        if let Some(status) = new.as_object_mut().map(|m| m.entry("status").or_insert_with(|| json!({}))) {
            status["phase"] = json!("Terminating");
        }
        return if held { Step::Update(new) } else { Step::UpdateThenRemove(new) };
    }
    if held { Step::Wait } else { Step::Remove }
}

/// A CRD waits until its objects are gone.
fn crd_step(old: &Value, now: Timestamp) -> Step {
    use crate::strategies::custom_resource_definition::names::{condition, set_condition};
    let mut new = old.clone();
    new.set_meta("deletionTimestamp", rfc3339(now));
    let mut finalizers = old.finalizers();
    if !finalizers.contains(&super::CLEANUP) {
        finalizers.push(super::CLEANUP);
    }
    new.set_meta("finalizers", json!(finalizers));
    let text = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    let pending = condition("Terminating", true, "InstanceDeletionPending", text);
    if let Some(status) = new.as_object_mut().map(|m| m.entry("status").or_insert_with(|| json!({}))) {
        set_condition(status, &pending, &rfc3339(now));
    }
    Step::Update(new)
}

fn plan(target: &Target, options: &DeleteOptions, old: &Value, now: Timestamp) -> Step {
    if target.rules().generation == GenerationRule::Pod
        && let Some(step) = graceful_step(target, options, old, now)
    {
        return step;
    }
    let finalizers = propagated_finalizers(target, options, old);
    let changed = finalizers != old.finalizers();
    if finalizers.is_empty() && !(old.is_deleting() && grace_of(old) > 0) {
        return Step::Remove;
    }
    if old.is_deleting() && !changed && grace_of(old) == 0 {
        return Step::Wait;
    }
    let mut new = old.clone();
    set_finalizers(&mut new, &finalizers);
    mark_deleting(&mut new, old, now, 0);
    Step::Update(new)
}

/// Pods: the grace period is the option's, else the spec's; 0 without a node or once finished.
fn graceful_step(target: &Target, options: &DeleteOptions, old: &Value, now: Timestamp) -> Option<Step> {
    let asked = options.grace_period_seconds;
    let finalizers = propagated_finalizers(target, options, old);
    if old.is_deleting() {
        let current = grace_of(old);
        let Some(asked) = asked.map(|s| if s < 0 { 1 } else { s }).filter(|s| *s < current) else {
            return (current > 0 || !finalizers.is_empty()).then_some(Step::Wait);
        };
        let mut new = old.clone();
        let deadline = deletion_time(old).unwrap_or(now) - SignedDuration::from_secs(current);
        new.set_meta("deletionTimestamp", rfc3339(deadline + SignedDuration::from_secs(asked)));
        new.set_meta("deletionGracePeriodSeconds", asked);
        set_finalizers(&mut new, &finalizers);
        return Some(if asked == 0 && finalizers.is_empty() { Step::UpdateThenRemove(new) } else { Step::Update(new) });
    }
    let spec_grace = old.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(30);
    let phase = old.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    let unscheduled = old.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default().is_empty();
    let grace = match asked.unwrap_or(spec_grace) {
        _ if unscheduled || matches!(phase, "Succeeded" | "Failed") => 0,
        s if s < 0 => 1,
        s => s,
    };
    let mut new = old.clone();
    mark_deleting(&mut new, old, now, grace);
    set_finalizers(&mut new, &finalizers);
    Some(if grace == 0 && finalizers.is_empty() { Step::UpdateThenRemove(new) } else { Step::Update(new) })
}

fn mark_deleting(new: &mut Value, old: &Value, now: Timestamp, grace: i64) {
    if !old.is_deleting() {
        new.set_meta("deletionTimestamp", rfc3339(now + SignedDuration::from_secs(grace)));
        if old.generation() > 0 {
            new.set_meta("generation", old.generation() + 1);
        }
    }
    new.set_meta("deletionGracePeriodSeconds", grace);
}

fn grace_of(object: &Value) -> i64 {
    object.meta().and_then(|m| m.get("deletionGracePeriodSeconds")).and_then(Value::as_i64).unwrap_or(0)
}

fn deletion_time(object: &Value) -> Option<Timestamp> {
    object.meta_str("deletionTimestamp").parse().ok()
}

/// The finalizers after the propagation policy has had its say.
fn propagated_finalizers<'a>(target: &Target, options: &DeleteOptions, old: &'a Value) -> Vec<&'a str> {
    let mut kept: Vec<&str> = old.finalizers();
    if !target.rules().gc_supported {
        return kept;
    }
    let explicit = match (options.orphan_dependents, options.propagation_policy.as_deref()) {
        (Some(true), _) | (None, Some("Orphan")) => Some((true, false)),
        (Some(false), _) | (None, Some("Background")) => Some((false, false)),
        (None, Some("Foreground")) => Some((false, true)),
        _ => None,
    };
    let (orphan, foreground) = explicit.unwrap_or_else(|| {
        let has = |f: &str| kept.contains(&f);
        if has(ORPHAN) || has(FOREGROUND) {
            (has(ORPHAN), has(FOREGROUND))
        } else {
            (target.rules().default_propagation == DefaultPropagation::Orphan, false)
        }
    });
    kept.retain(|f| *f != ORPHAN && *f != FOREGROUND);
    if orphan {
        kept.push(ORPHAN);
    }
    if foreground {
        kept.push(FOREGROUND);
    }
    kept
}

fn set_finalizers(object: &mut Value, finalizers: &[&str]) {
    let owned: Vec<Value> = finalizers.iter().map(|f| json!(f)).collect();
    if owned.is_empty() {
        object.remove_meta("finalizers");
    } else {
        object.set_meta("finalizers", owned);
    }
}
