//! Update: PUT, the patches and the subresource writes, all as "change the live object, compare, swap".
//!
//! Counterpart: `Store.Update` and `rest.BeforeUpdate`. The change runs again on fresh state after a lost race, unless
//! the client pinned a resourceVersion.

use super::object::check_size;
use super::{Object, Registry, SnapshotPeek, Target, Write};
use crate::admission::Operation;
use crate::registry::metadata;
use crate::store::{Expect, Op, StoredObject, TxnError};
use crate::strategies::table::{GenerationRule, StatusMetadata};
use rehearsal_apimachinery::field::FieldError;
use rehearsal_apimachinery::status::Status;
use rehearsal_apimachinery::{GroupKind, ObjectMeta, ObjectMetaMut};
use serde_json::Value;
use std::sync::Arc;

/// What kind of write a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// PUT: the body replaces the object; a missing object may be created by some kinds.
    Replace,
    /// A patch of any type but apply.
    Patch,
    /// Server-side apply: managed fields are settled by the change itself; a missing object is created.
    Apply,
    /// A write by the server itself through a view of the object, such as its scale.
    Internal,
    /// A write by the server itself that the kind's update rules do not bind, such as a binding.
    Direct,
}

/// What a change yields.
#[derive(Debug)]
pub enum Change {
    /// The new object, in the target's version.
    To(Value),
    /// Nothing to write.
    Nothing,
}

/// The change to make, given the live object in the target's version (`None`: there is none).
pub type ChangeFn<'a> = dyn Fn(Option<&Value>) -> Result<Change, Status> + Send + Sync + 'a;

impl Registry {
    /// Changes an object. Returns it with whether it was created.
    ///
    /// # Errors
    /// The real server's refusals, in its order.
    pub async fn update(
        &self,
        target: &Target,
        mode: Mode,
        write: &mut Write<'_>,
        change: &ChangeFn<'_>,
    ) -> Result<(Object, bool), Status> {
        for _ in 0..super::MAX_RACES {
            let snapshot = self.snapshot();
            let collection = target.info.collection();
            let Some(stored) = snapshot.get(collection.as_str(), &target.key()) else {
                return self.create_by_update(target, mode, write, change).await.map(|o| (o, true));
            };
            let warned = write.warnings.len();
            match self.update_once(target, mode, write, change, &stored).await? {
                Some(object) => return Ok((object, false)),
                None => write.warnings.truncate(warned),
            }
        }
        Err(Status::internal_error("too many concurrent writes to one object"))
    }

    async fn create_by_update(
        &self,
        target: &Target,
        mode: Mode,
        write: &mut Write<'_>,
        change: &ChangeFn<'_>,
    ) -> Result<Object, Status> {
        let creates = match mode {
            Mode::Replace => target.rules().create_on_update && target.subresource.is_empty(),
            Mode::Apply => target.subresource.is_empty(),
            Mode::Patch | Mode::Internal | Mode::Direct => false,
        };
        if !creates {
            return Err(target.not_found());
        }
        let Change::To(mut object) = change(None)? else { return Err(target.not_found()) };
        if mode == Mode::Replace {
            return self.create(target, object, write).await;
        }
        self.check_namespace(target, &mut object)?;
        object.remove_meta("resourceVersion");
        self.default(target, &mut object);
        Self::normalize_incoming(target, &mut object);
        self.create_tracked(target, object, write).await
    }

    /// One try; `None` when another write came first and the change may run again.
    async fn update_once(
        &self,
        target: &Target,
        mode: Mode,
        write: &mut Write<'_>,
        change: &ChangeFn<'_>,
        stored: &Arc<StoredObject>,
    ) -> Result<Option<Object>, Status> {
        let old = self.decode(target, stored);
        let Change::To(mut new) = change(Some(&old))? else { return Ok(Some(Object::Stored(stored.clone()))) };
        self.check_namespace(target, &mut new)?;
        self.default(target, &mut new);
        if let Some(text) = metadata::dedup_owner_references(&mut new, false) {
            write.warnings.push(text);
        }
        let pinned = check_versions(target, mode, &new, &old)?;
        new.set_meta("resourceVersion", old.resource_version());
        Self::normalize_incoming(target, &mut new);
        if mode != Mode::Apply {
            self.track(target, Some(&old), &mut new, write);
        }
        let peek = self.peek();
        self.admit(target, Operation::Update, &mut new, Some(&old), write, &peek)?;
        if mode != Mode::Direct {
            self.prepare(target, &mut new, &old, write, &peek);
        }
        if mode != Mode::Direct {
            self.validate_changed(target, &mut new, &old, write, &peek)?;
        }
        let mut ops = self.check_admission(target, Operation::Update, Some(&new), Some(&old), write, &peek)?;
        let effects = target.rules().strategy.allocate(&self.context(target, write, &peek), &mut new, Some(&old))?;
        ops.extend(self.side_effects(effects, write));
        Self::normalize(target, &mut new);
        if crate::patch::managed_fields::keep_times_if_unchanged(&old, &mut new) {
            return Ok(Some(Object::Stored(stored.clone())));
        }
        if emptied_finalizers(&new) {
            return self.remove_emptied(target, stored, new, write, &peek).await;
        }
        super::object::check_depth(&new)?;
        let draft = self.draft(target, &new);
        check_size(&draft)?;
        if stored.same_content(&draft) {
            return Ok(Some(Object::Stored(stored.clone())));
        }
        if write.dry_run {
            return Ok(Some(Object::Value(new)));
        }
        let main = ops.len();
        ops.push(Op::Put {
            collection: target.info.collection(),
            key: target.key(),
            draft,
            expect: Expect::Revision(stored.revision()),
        });
        self.commit(target, ops, main, pinned).await
    }

    async fn commit(&self, target: &Target, ops: Vec<Op>, main: usize, pinned: bool) -> Result<Option<Object>, Status> {
        match self.storage.txn(ops).await {
            Ok(mut done) => Ok(done.objects.swap_remove(main).map(Object::Stored)),
            Err(TxnError::Conflict { .. }) if pinned => Err(Status::modified(&target.group_resource(), &target.name)),
            Err(TxnError::Conflict { .. }) => Ok(None),
            Err(TxnError::Unavailable(why)) => Err(Status::bare500(why)),
        }
    }

    /// The write that removes the last finalizer removes the object, and answers with what it would have stored.
    async fn remove_emptied(
        &self,
        target: &Target,
        stored: &Arc<StoredObject>,
        new: Value,
        write: &Write<'_>,
        peek: &SnapshotPeek,
    ) -> Result<Option<Object>, Status> {
        if write.dry_run {
            return Ok(Some(Object::Value(new)));
        }
        let cx = self.context(target, write, peek);
        let mut ops = self.side_effects(target.rules().strategy.release(&cx, &new), write);
        let main = ops.len();
        ops.push(Op::Delete {
            collection: target.info.collection(),
            key: target.key(),
            expect: Expect::Revision(stored.revision()),
        });
        Ok(self.commit(target, ops, main, false).await?.map(|_| Object::Value(new)))
    }

    /// Puts back what the endpoint may not touch, lets the kind prepare the object, and sets the generation.
    fn prepare(&self, target: &Target, new: &mut Value, old: &Value, write: &Write<'_>, peek: &SnapshotPeek) {
        restore_system_metadata(new, old);
        let rules = target.rules();
        match target.subresource.as_str() {
            "" if target.info.subresource("status").is_some() => restore_member(new, old, "status"),
            "status" => restore_all_but_status(new, old, rules.status_metadata),
            _ => {}
        }
        if rules.generation != GenerationRule::None {
            new.set_meta("generation", old.generation());
        }
        rules.strategy.prepare_update(&self.context(target, write, peek), new, old);
        Self::normalize(target, new);
        if rises(target, rules.generation, new, old) {
            new.set_meta("generation", old.generation() + 1);
        }
    }

    fn validate_changed(
        &self,
        target: &Target,
        new: &mut Value,
        old: &Value,
        write: &mut Write<'_>,
        peek: &SnapshotPeek,
    ) -> Result<(), Status> {
        let rules = target.rules();
        let cx = self.context(target, write, peek);
        // The generic layer and the kind's own validation both check the metadata, so its findings come twice.
        let generic = metadata::validate_object_meta_update(new, old);
        let mut errors = generic.clone();
        if target.subresource.is_empty() {
            errors.extend(generic);
        }
        if target.subresource.is_empty() {
            errors.extend(target.validate_meta(new));
        }
        errors.extend(rules.strategy.validate_update(&cx, new, old));
        errors.extend(crate::schema::custom::validate(&target.info, &target.subresource, new, Some(old)));
        if !errors.is_empty() {
            return Err(Status::invalid(&target.info.gvk().group_kind(), old.name(), &errors));
        }
        let warnings = rules.strategy.warnings(&cx, new, Some(old));
        write.warnings.extend(warnings);
        Ok(())
    }
}

/// The uid that a replacement gives, if it does, against the live object.
///
/// # Errors
/// 409 in the words of the storage layer.
pub(crate) fn check_uid(target: &Target, uid: &str, old: &Value) -> Result<(), Status> {
    if uid.is_empty() || uid == old.uid() {
        return Ok(());
    }
    let key = format!("/registry/{}/{}", storage_path(target), target.key());
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: \
         Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
        old.uid()
    );
    Err(Status::conflict(&target.group_resource(), &target.name, why))
}

/// resourceVersion and uid of the body against the live object. `true`: the client pinned a version.
fn check_versions(target: &Target, mode: Mode, new: &Value, old: &Value) -> Result<bool, Status> {
    let gr = target.group_resource();
    if mode == Mode::Replace {
        check_uid(target, new.uid(), old)?;
    }
    let given = new.resource_version();
    let version = if given.is_empty() { 0 } else { parse_version(given)? };
    if version == 0 {
        let required = target.rules().rv_required && target.subresource != "scale";
        return if required && mode == Mode::Replace { Err(version_required(target)) } else { Ok(false) };
    }
    if given != old.resource_version() {
        return Err(Status::modified(&gr, &target.name));
    }
    Ok(mode == Mode::Replace || given != old.resource_version())
}

fn parse_version(given: &str) -> Result<u64, Status> {
    let why = match given.parse::<u64>() {
        Ok(n) => return Ok(n),
        Err(e) if *e.kind() == std::num::IntErrorKind::PosOverflow => "value out of range",
        Err(_) => "invalid syntax",
    };
    Err(Status::bare500(format!("strconv.ParseUint: parsing {given:?}: {why}")))
}

/// 422 whose text and details name the plural, unlike every other 422.
fn version_required(target: &Target) -> Status {
    let error = FieldError::invalid("metadata.resourceVersion", 0, "must be specified for an update");
    let gr = target.group_resource();
    let status = Status::invalid(&GroupKind::new(gr.group, gr.resource), &target.name, &[error]);
    let details = status.details.clone().unwrap_or_default();
    status.details(details)
}

/// The path of a collection in etcd; only the core group has no group in it, and a few have historical names.
fn storage_path(target: &Target) -> String {
    match (target.info.group.as_str(), target.info.resource.as_str()) {
        ("", "services") => "services/specs".into(),
        ("", "endpoints") => "services/endpoints".into(),
        ("", "nodes") => "minions".into(),
        ("networking.k8s.io", "ingresses") => "ingress".into(),
        (_, resource) if target.info.custom => format!("{}/{resource}", target.info.group),
        (_, resource) => resource.into(),
    }
}

/// Members of the metadata that only the server sets.
fn restore_system_metadata(new: &mut Value, old: &Value) {
    if new.uid().is_empty() {
        new.set_meta("uid", old.uid());
    }
    for key in ["creationTimestamp", "selfLink", "generation"] {
        restore_meta(new, old, key);
    }
    if old.is_deleting() {
        restore_meta(new, old, "deletionTimestamp");
        restore_meta(new, old, "deletionGracePeriodSeconds");
    } else {
        new.remove_meta("deletionGracePeriodSeconds");
    }
}

fn restore_meta(new: &mut Value, old: &Value, key: &str) {
    match old.meta().and_then(|m| m.get(key)) {
        Some(value) => new.set_meta(key, value.clone()),
        None => drop(new.remove_meta(key)),
    }
}

fn restore_member(new: &mut Value, old: &Value, key: &str) {
    let Value::Object(map) = new else { return };
    match old.get(key) {
        Some(value) => drop(map.insert(key.to_owned(), value.clone())),
        None => drop(map.remove(key)),
    }
}

/// On `/status` everything outside `status` stays, except what the kind lets through of the metadata.
fn restore_all_but_status(new: &mut Value, old: &Value, rule: StatusMetadata) {
    let status = new.get("status").cloned();
    let keys: Vec<String> = ["labels", "annotations", "finalizers", "ownerReferences"].map(str::to_owned).to_vec();
    let taken: &[&str] = match rule {
        StatusMetadata::Keep => &["labels", "annotations", "finalizers", "ownerReferences"],
        StatusMetadata::KeepButOwners => &["labels", "annotations", "finalizers"],
        StatusMetadata::ResetLabels => &["annotations", "finalizers", "ownerReferences"],
        StatusMetadata::Reset => &[],
    };
    for key in keys.iter().filter(|k| !taken.contains(&k.as_str())) {
        restore_meta(new, old, key);
    }
    if let (Value::Object(new), Value::Object(old)) = (&mut *new, old) {
        let meta = new.remove("metadata");
        new.clone_from(old);
        if let Some(meta) = meta {
            new.insert("metadata".into(), meta);
        }
        match status {
            Some(status) => drop(new.insert("status".into(), status)),
            None => drop(new.remove("status")),
        }
    }
}

/// Whether the generation rises with this write.
fn rises(target: &Target, rule: GenerationRule, new: &Value, old: &Value) -> bool {
    let changed = |keys: &[&str]| keys.iter().any(|k| new.get(*k) != old.get(*k));
    if target.subresource == "status" {
        return false;
    }
    match rule {
        GenerationRule::None | GenerationRule::Fixed => false,
        GenerationRule::Members(keys) => changed(keys),
        GenerationRule::MembersOrAnnotations(keys) => changed(keys) || new.annotations() != old.annotations(),
        GenerationRule::Pod => target.subresource != "binding" && changed(&["spec"]),
        GenerationRule::ContentOrLabels => content_changed(new, old, false) || new.labels() != old.labels(),
        GenerationRule::CustomResource => content_changed(new, old, target.info.subresource("status").is_some()),
    }
}

fn content_changed(new: &Value, old: &Value, without_status: bool) -> bool {
    let content = |v: &Value| -> serde_json::Map<String, Value> {
        let mut map = v.as_object().cloned().unwrap_or_default();
        for key in ["metadata", "apiVersion", "kind"] {
            map.remove(key);
        }
        if without_status {
            map.remove("status");
        }
        map
    };
    content(new) != content(old)
}

/// The object was being deleted and nothing holds it any more.
fn emptied_finalizers(new: &Value) -> bool {
    let grace = new.meta().and_then(|m| m.get("deletionGracePeriodSeconds")).and_then(Value::as_i64).unwrap_or(0);
    let held = new.get("kind").and_then(Value::as_str) == Some("Namespace")
        && new.pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|f| !f.is_empty());
    new.is_deleting() && grace == 0 && new.finalizers().is_empty() && !held
}
