//! Create: from a decoded body to a stored object.
//!
//! Counterpart: `Store.Create` and `rest.BeforeCreate`. The order of the steps is the order in which the real server
//! refuses: namespace, admission, validation, storage.

use super::object::check_size;
use super::{Object, Registry, SnapshotPeek, Target, Write};
use crate::admission::{self, Operation, QuotaUpdate};
use crate::registry::metadata;
use crate::store::{Expect, Op, TxnError};
use crate::strategies::SideEffect;
use crate::strategies::table::GenerationRule;
use rehearsal_apimachinery::status::{Status, StatusReason};
use rehearsal_apimachinery::{ObjectMeta, ObjectMetaMut};
use serde_json::{Value, json};

/// How many random names are tried for a `generateName` (apiserver `maxNameGenerationCreateAttempts`).
const MAX_GENERATED_NAMES: usize = 8;

impl Registry {
    /// Creates an object. `target.name` is ignored; the name comes from the body.
    ///
    /// # Errors
    /// The real server's refusals, in its order.
    pub async fn create(&self, target: &Target, mut object: Value, write: &mut Write<'_>) -> Result<Object, Status> {
        self.check_namespace(target, &mut object)?;
        self.default(target, &mut object);
        if let Some(text) = metadata::dedup_owner_references(&mut object, false) {
            write.warnings.push(text);
        }
        self.wipe_system_metadata(target, &mut object);
        Self::normalize_incoming(target, &mut object);
        self.track(target, None, &mut object, write);
        self.create_tracked(target, object, write).await
    }

    /// Creates an object whose managed fields are already settled (server-side apply, bootstrap).
    pub(super) async fn create_tracked(
        &self,
        target: &Target,
        mut object: Value,
        write: &mut Write<'_>,
    ) -> Result<Object, Status> {
        if target.info.terminating {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(Status::forbidden(&target.group_resource(), object.name(), why));
        }
        let peek = self.peek();
        self.admit(target, Operation::Create, &mut object, None, write, &peek)?;
        let generated = object.name().is_empty() && !object.meta_str("generateName").is_empty();
        let tries = if generated { MAX_GENERATED_NAMES } else { 1 };
        let mut refusal = Status::internal_error("no name could be generated");
        for _ in 0..tries {
            match self.create_named(target, &object, write).await {
                Err(status) if status.is(&StatusReason::AlreadyExists) => refusal = status,
                done => return done,
            }
        }
        Err(if object.meta_str("generateName").is_empty() { refusal } else { not_unique(refusal) })
    }

    /// Creates under one name; an allocation that another request took meanwhile is made again.
    async fn create_named(&self, target: &Target, object: &Value, write: &mut Write<'_>) -> Result<Object, Status> {
        for _ in 0..super::MAX_RACES {
            let warned = write.warnings.len();
            if let Some(object) = self.create_once(target, object.clone(), write).await? {
                return Ok(object);
            }
            write.warnings.truncate(warned);
        }
        Err(Status::internal_error("too many concurrent allocations"))
    }

    /// One try; `None` when something that was to be allocated is gone.
    async fn create_once(
        &self,
        target: &Target,
        mut object: Value,
        write: &mut Write<'_>,
    ) -> Result<Option<Object>, Status> {
        let peek = self.peek();
        self.fill_system_metadata(&mut object);
        let target = Target { name: object.name().to_owned(), ..target.clone() };
        let rules = target.rules();
        if target.info.subresource("status").is_some()
            && let Value::Object(map) = &mut object
        {
            map.remove("status");
        }
        if rules.generation != GenerationRule::None {
            object.set_meta("generation", 1);
        }
        rules.strategy.prepare_create(&self.context(&target, write, &peek), &mut object);
        self.validate_new(&target, &object, write, &peek)?;
        let mut ops = self.check_admission(&target, Operation::Create, Some(&object), None, write, &peek)?;
        let effects = rules.strategy.allocate(&self.context(&target, write, &peek), &mut object, None)?;
        ops.extend(self.side_effects(effects, write));
        refuse_given_version(&object)?;
        object.remove_meta("resourceVersion");
        Self::normalize(&target, &mut object);
        self.insert(&target, object, ops, write, &peek).await
    }

    fn validate_new(
        &self,
        target: &Target,
        object: &Value,
        write: &mut Write<'_>,
        peek: &SnapshotPeek,
    ) -> Result<(), Status> {
        let rules = target.rules();
        let mut errors = target.validate_meta(object);
        let cx = self.context(target, write, peek);
        errors.extend(rules.strategy.validate_create(&cx, object));
        errors.extend(crate::schema::custom::validate(&target.info, "", object, None));
        if !errors.is_empty() {
            return Err(Status::invalid(&target.info.gvk().group_kind(), object.name(), &errors));
        }
        let warnings = rules.strategy.warnings(&cx, object, None);
        write.warnings.extend(warnings);
        Ok(())
    }

    async fn insert(
        &self,
        target: &Target,
        object: Value,
        mut ops: Vec<Op>,
        write: &mut Write<'_>,
        peek: &SnapshotPeek,
    ) -> Result<Option<Object>, Status> {
        use crate::strategies::Peek as _;
        let collection = target.info.collection();
        super::object::check_depth(&object)?;
        if write.dry_run {
            return match peek.get(collection.as_str(), &target.namespace, &target.name) {
                Some(live) => Err(exists(target, live.is_deleting())),
                None => Ok(Some(Object::Value(object))),
            };
        }
        let draft = self.draft(target, &object);
        check_size(&draft)?;
        let put = Op::Put { collection, key: target.key(), draft, expect: Expect::Absent };
        let main = ops.len();
        ops.push(put);
        match self.storage.txn(ops).await {
            Ok(mut done) => match done.objects.swap_remove(main) {
                Some(stored) => Ok(Some(Object::Stored(stored))),
                None => Err(Status::internal_error("the store lost what it was given")),
            },
            Err(TxnError::Conflict { op, current }) if op == main => {
                Err(exists(target, current.is_some_and(|c| c.value().is_deleting())))
            }
            Err(TxnError::Conflict { .. }) => Ok(None),
            Err(TxnError::Unavailable(why)) => Err(Status::bare500(why)),
        }
    }

    /// The operations behind allocations and releases.
    pub(super) fn side_effects(&self, effects: Vec<SideEffect>, write: &Write<'_>) -> Vec<Op> {
        effects.into_iter().filter_map(|effect| self.side_effect(effect, write)).collect()
    }

    fn side_effect(&self, effect: SideEffect, write: &Write<'_>) -> Option<Op> {
        match effect {
            SideEffect::Create { resource, namespace, name, mut object } => {
                let target = self.internal_target(&resource, &namespace, &name)?;
                self.wipe_system_metadata(&target, &mut object);
                self.fill_system_metadata(&mut object);
                if target.rules().generation != GenerationRule::None {
                    object.set_meta("generation", 1);
                }
                self.default(&target, &mut object);
                self.track(&target, None, &mut object, write);
                Self::normalize(&target, &mut object);
                let draft = self.draft(&target, &object);
                Some(Op::Put { collection: target.info.collection(), key: target.key(), draft, expect: Expect::Absent })
            }
            SideEffect::Delete { resource, namespace, name } => {
                let target = self.internal_target(&resource, &namespace, &name)?;
                Some(Op::Delete { collection: target.info.collection(), key: target.key(), expect: Expect::Any })
            }
        }
    }

    /// The namespace of the body must be the one of the URL; cluster-scoped kinds drop it.
    pub(crate) fn check_namespace(&self, target: &Target, object: &mut Value) -> Result<(), Status> {
        if !target.info.namespaced {
            object.remove_meta("namespace");
            return Ok(());
        }
        let given = object.namespace();
        if !given.is_empty() && given != target.namespace {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        object.set_meta("namespace", target.namespace.clone());
        Ok(())
    }

    fn wipe_system_metadata(&self, target: &Target, object: &mut Value) {
        for key in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            object.remove_meta(key);
        }
        if let Value::Object(map) = object {
            map.insert("kind".into(), json!(target.info.kind));
            map.insert("apiVersion".into(), json!(target.info.gvk().api_version()));
        }
    }

    fn fill_system_metadata(&self, object: &mut Value) {
        if object.name().is_empty() {
            let base = object.meta_str("generateName").to_owned();
            if !base.is_empty() {
                object.set_meta("name", self.ids.name_from(&base));
            }
        }
        object.set_meta("uid", self.ids.uid());
        object.set_meta("creationTimestamp", self.clock.now_rfc3339());
    }

    /// Mutating admission.
    pub(super) fn admit(
        &self,
        target: &Target,
        operation: Operation,
        object: &mut Value,
        old: Option<&Value>,
        write: &mut Write<'_>,
        peek: &SnapshotPeek,
    ) -> Result<(), Status> {
        let mut warnings = Vec::new();
        let name = if target.name.is_empty() { object.name().to_owned() } else { target.name.clone() };
        let named = Target { name, ..target.clone() };
        let at = Self::attributes(&named, operation, old);
        let cx = self.context(target, write, peek);
        let outcome = admission::mutate(self.plugins, &cx, &at, object, &mut warnings);
        write.warnings.extend(warnings);
        outcome
    }

    /// Validating admission. Returns what it wants to be written together with the object.
    pub(super) fn check_admission(
        &self,
        target: &Target,
        operation: Operation,
        object: Option<&Value>,
        old: Option<&Value>,
        write: &mut Write<'_>,
        peek: &SnapshotPeek,
    ) -> Result<Vec<Op>, Status> {
        let mut warnings = Vec::new();
        let at = Self::attributes(target, operation, old);
        let cx = self.context(target, write, peek);
        let outcome = admission::validate(self.plugins, &cx, &at, object, &mut warnings);
        write.warnings.extend(warnings);
        Ok(outcome?.into_iter().filter_map(|update| self.quota_op(&update)).collect())
    }

    /// The raised usage of a quota, to be written together with what raises it.
    fn quota_op(&self, update: &QuotaUpdate) -> Option<Op> {
        let target = self.internal_target("resourcequotas", &update.namespace, &update.name)?;
        let stored = self.snapshot().get(target.info.collection().as_str(), &target.key())?;
        let mut quota = self.decode(&target, &stored);
        let used = quota.pointer_mut("/status/used").and_then(Value::as_object_mut)?;
        used.extend(update.used.as_object()?.clone());
        let draft = self.draft(&target, &quota);
        let expect = Expect::Revision(stored.revision());
        Some(Op::Put { collection: target.info.collection(), key: target.key(), draft, expect })
    }
}

/// 409 for an object with a `generateName`, whether its name was generated or given.
fn not_unique(refusal: Status) -> Status {
    let message = format!("{}, the server was not able to generate a unique name for the object", refusal.message);
    Status { message, ..refusal.retry_after(1) }
}

/// 409 for a name that is taken.
fn exists(target: &Target, terminating: bool) -> Status {
    let status = Status::already_exists(&target.group_resource(), &target.name);
    if !terminating {
        return status;
    }
    Status { message: format!("object is being deleted: {}", status.message), ..status }
}

/// The storage layer refuses a numeric resourceVersion on create; anything else is ignored.
fn refuse_given_version(object: &Value) -> Result<(), Status> {
    match object.resource_version().parse::<u64>() {
        Ok(n) if n != 0 => Err(Status::bare500("resourceVersion should not be set on objects to be created")),
        _ => Ok(()),
    }
}
