//! One generic registry for every kind: it takes a decoded object and a target, and does what kube-apiserver does
//! between its endpoints and etcd: defaults, preparation, admission, validation, allocation, compare-and-swap.
//!
//! Counterpart: apiserver `registry/generic/registry/store.go` and `registry/rest`. A verb has a file of its own. The
//! differences between kinds are rows of [`strategies::table`](crate::strategies::table) and hooks of their
//! [`Strategy`](crate::strategies::Strategy).

mod bootstrap;
mod collection;
mod convert;
mod create;
mod custom;
mod delete;
mod imprint;
pub mod metadata;
mod object;
mod peek;
mod read;
mod update;

pub use collection::{ListQuery, ListResult};
pub use delete::Deleted;
pub use object::Object;
pub use peek::SnapshotPeek;
pub use update::{Change, ChangeFn, Mode};

pub(crate) use collection::prefix;
pub(crate) use convert::{reads_as_stored, to_version as to_served_version};
pub(crate) use custom::CLEANUP;
pub(crate) use read::{parse_revision, too_large};
pub(crate) use update::check_uid;

use crate::admission::{self, Attributes, Plugins};
use crate::catalog::{ResourceInfo, ResourceTable};
use crate::clock::Clock;
use crate::ids::Ids;
use crate::patch::{apply, managed_fields};
use crate::schema::defaulting::{self, Defaults};
use crate::store::{Snapshot, Storage};
use crate::strategies::table::{self, KindRules, rules};
use crate::strategies::{UserInfo, WriteContext};
use arc_swap::ArcSwap;
use rehearsal_apimachinery::codec::json;
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::options::DeleteOptions;
use rehearsal_apimachinery::status::{Status, StatusReason};
use rehearsal_apimachinery::validation;
use rehearsal_apimachinery::{Catalog, GroupResource, ObjectMetaMut};
use serde_json::Value;
use std::sync::Arc;

/// How often a write that nobody pinned to a resourceVersion is tried again after losing a race.
const MAX_RACES: usize = 1000;

/// Which object a request is about.
#[derive(Clone, Debug)]
pub struct Target {
    /// The row of the table of kinds.
    pub info: Arc<ResourceInfo>,
    /// Namespace, empty for cluster-scoped kinds and cross-namespace lists.
    pub namespace: String,
    /// Name, empty for collections.
    pub name: String,
    /// Subresource, or empty.
    pub subresource: String,
}

impl Target {
    /// Group and resource, as refusals name them.
    #[must_use]
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(&self.info.group, &self.info.resource)
    }

    /// Key within the collection.
    #[must_use]
    pub fn key(&self) -> String {
        crate::store::object_key(&self.namespace, &self.name)
    }

    /// 404 for this object.
    #[must_use]
    pub fn not_found(&self) -> Status {
        Status::not_found(&self.group_resource(), &self.name)
    }

    /// Top-level members that a write through this endpoint neither changes nor owns.
    pub(crate) fn reset_fields(&self) -> &'static [&'static str] {
        match self.subresource.as_str() {
            "" if self.info.subresource("status").is_some() => &["status"],
            "status" => &["spec"],
            _ => &[],
        }
    }

    /// The refusal of a field selector that the kind does not know, if it does not.
    pub(crate) fn unknown_field(&self, field: &str) -> Option<String> {
        let rules = self.rules();
        let known = matches!(field, "metadata.name" | "metadata.namespace")
            || rules.selectable.contains(&field)
            || self.info.rules.as_ref().is_some_and(|r| r.selectable_fields.iter().any(|f| f == field));
        (!known).then(|| rules.unknown_field_label.text(field))
    }

    /// Whether a DELETE that removes the object answers with the object.
    pub(crate) fn returns_object_on_delete(&self) -> bool {
        self.rules().returns_object_on_delete
    }

    /// The warning that deleting a Job without a policy earns.
    pub(crate) fn orphan_warning(&self, options: &DeleteOptions) -> Option<String> {
        let silent = options.propagation_policy.is_some() || options.orphan_dependents.is_some();
        let warns = self.info.group == "batch" && self.info.resource == "jobs" && !silent;
        warns.then(|| {
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them \
             or set propagationPolicy=Orphan to suppress this warning"
                .to_owned()
        })
    }

    /// Errors in the metadata of an object of this kind.
    fn validate_meta(&self, object: &Value) -> Vec<FieldError> {
        let rule = match self.rules().name_rule {
            table::NameRule::Subdomain => metadata::NameRule::Subdomain,
            table::NameRule::Label if self.info.resource == "services" => metadata::NameRule::ServiceName,
            table::NameRule::Label => metadata::NameRule::DnsLabel,
            table::NameRule::PathSegment => metadata::NameRule::PathSegment,
            table::NameRule::IpAddress => metadata::NameRule::Custom(ip_name),
            table::NameRule::CsiDriver => metadata::NameRule::Custom(csi_driver_name),
        };
        let path = Path::new("metadata");
        // Custom kinds and the kind that defines them have no rule for finalizers.
        if self.info.custom || self.info.group == "apiextensions.k8s.io" {
            metadata::validate_object_meta(object, self.info.namespaced, rule, &path)
        } else {
            metadata::validate_kube_object_meta(object, self.info.namespaced, rule, &path)
        }
    }

    /// The rules of the stored form, whose names the selectable fields have.
    fn storage_rules(&self) -> &'static KindRules {
        if self.info.custom { self.rules() } else { rules(&self.info.storage.group, &self.info.resource) }
    }

    fn rules(&self) -> &'static KindRules {
        if self.info.custom {
            &crate::strategies::table::CUSTOM_RESOURCE
        } else {
            rules(&self.info.group, &self.info.resource)
        }
    }
}

/// Who writes, and how.
#[derive(Debug)]
pub struct Write<'a> {
    /// The authenticated user.
    pub user: &'a UserInfo,
    /// Field manager: the `fieldManager` option, or what the User-Agent says.
    pub manager: String,
    /// `dryRun=All`.
    pub dry_run: bool,
    /// Texts for `Warning` headers, filled as the request goes on.
    pub warnings: Vec<String>,
}

/// The registry of one cluster; cheap to clone.
#[derive(Clone)]
pub struct Registry {
    storage: Arc<dyn Storage>,
    table: Arc<ArcSwap<ResourceTable>>,
    clock: Clock,
    ids: Ids,
    plugins: Plugins,
    custom: Arc<custom::CustomRows>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("revision", &self.storage.snapshot().revision()).finish_non_exhaustive()
    }
}

impl Registry {
    /// A registry over a storage; the storage may hold objects already.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, clock: Clock, ids: Ids, plugins: Plugins) -> Self {
        let table = Arc::new(ArcSwap::new(ResourceTable::builtin()));
        Self { storage, table, clock, ids, plugins, custom: Arc::default() }
    }

    /// The same registry over another storage.
    pub(crate) fn over(&self, storage: Arc<dyn Storage>) -> Self {
        Self { storage, ..self.clone() }
    }

    /// The storage below.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The table of served kinds as it is now.
    #[must_use]
    pub fn table(&self) -> Arc<ResourceTable> {
        self.table.load_full()
    }

    /// Injected time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Injected chance.
    #[must_use]
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Read access to all objects as of now.
    #[must_use]
    pub fn peek(&self) -> SnapshotPeek {
        SnapshotPeek::new(self.storage.snapshot())
    }

    // === steps that create and update share ===

    /// Data-driven defaults, then the kind's conditional ones.
    pub fn default(&self, target: &Target, object: &mut Value) {
        if target.info.custom {
            return crate::schema::custom::default(&target.info, object);
        }
        if let Some(root) = target.info.root {
            defaulting::apply_defaults(object, &target.info.types, root, Defaults::builtin());
        }
        target.rules().strategy.default(object);
    }

    /// Puts the object into the one form that is stored and compared.
    fn normalize(target: &Target, object: &mut Value) {
        if target.info.custom {
            return normalize_metadata(object);
        }
        if let Some(root) = target.info.root {
            json::normalize(object, &target.info.types, root);
        }
    }

    /// As [`normalize`](Self::normalize), for an object whose managed fields are not settled yet: an empty list of them
    /// is a client's wish to forget them all, not nothing.
    fn normalize_incoming(target: &Target, object: &mut Value) {
        let sent = object.meta_mut().remove("managedFields");
        Self::normalize(target, object);
        if let Some(sent) = sent {
            object.set_meta("managedFields", sent);
        }
    }

    fn context<'a>(&'a self, target: &'a Target, write: &'a Write<'_>, peek: &'a SnapshotPeek) -> WriteContext<'a> {
        WriteContext {
            clock: &self.clock,
            ids: &self.ids,
            peek,
            user: write.user,
            subresource: &target.subresource,
            dry_run: write.dry_run,
        }
    }

    fn attributes<'a>(target: &'a Target, operation: admission::Operation, old: Option<&'a Value>) -> Attributes<'a> {
        Attributes {
            operation,
            group: &target.info.group,
            version: &target.info.version,
            resource: &target.info.resource,
            kind: &target.info.kind,
            subresource: &target.subresource,
            namespace: &target.namespace,
            name: &target.name,
            old,
        }
    }

    /// The versions in which a custom kind is served, as `apiVersion` writes them: managed fields of others are dropped.
    /// Built-in kinds never lose a version.
    pub(crate) fn served_versions(&self, info: &ResourceInfo) -> Option<Vec<String>> {
        if !info.custom {
            return None;
        }
        let table = self.table();
        let rows = table.rows().iter().filter(|r| r.resource == info.resource && r.storage.group == info.storage.group);
        Some(rows.map(|r| r.gvk().api_version()).collect())
    }

    /// Records who wrote which fields.
    fn track(&self, target: &Target, live: Option<&Value>, object: &mut Value, write: &Write<'_>) {
        let now = self.clock.now_rfc3339();
        let api_version = target.info.gvk().api_version();
        let manager = managed_fields::Manager {
            name: &write.manager,
            api_version: &api_version,
            subresource: &target.subresource,
            now: &now,
        };
        let served = self.served_versions(&target.info);
        let served: Option<Vec<&str>> = served.as_ref().map(|all| all.iter().map(String::as_str).collect());
        let schema = apply::Schema { types: &target.info.types, root: target.info.root, served: served.as_deref() };
        managed_fields::update(&schema, live, object, &manager, target.reset_fields());
    }

    /// Reads a stored object in the version of the target.
    fn decode(&self, target: &Target, stored: &crate::store::StoredObject) -> Value {
        convert::to_served(&target.info, stored)
    }

    /// The target of an object of a built-in resource named as hooks name it: `pods`, `deployments.apps`.
    pub(crate) fn internal_target(&self, resource: &str, namespace: &str, name: &str) -> Option<Target> {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        let table = self.table();
        let info = table.rows().iter().find(|r| r.group == group && r.resource == plural && r.serves_storage_form())?;
        Some(Target {
            info: info.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
        })
    }

    /// The object of a target as it is now, in the target's version.
    pub(crate) fn peek_target(&self, target: &Target) -> Option<Value> {
        let stored = self.snapshot().get(target.info.collection().as_str(), &target.key())?;
        Some(self.decode(target, &stored))
    }

    /// Creates an object, or replaces it where it exists, as an administrator.
    ///
    /// # Errors
    /// 404 for a kind nobody serves; the refusals of create and update.
    pub async fn load(&self, object: Value) -> Result<(), Status> {
        let target = self.target_of(&object)?;
        let object = decode_trusted(&target.info, object)?;
        let user = crate::auth::administrator();
        let mut write = Write { user: &user, manager: "rehearsal".into(), dry_run: false, warnings: Vec::new() };
        match self.create(&target, object.clone(), &mut write).await {
            Err(status) if status.is(&StatusReason::AlreadyExists) => {
                let change = |_: Option<&Value>| Ok(Change::To(object.clone()));
                self.update(&target, Mode::Patch, &mut write, &change).await.map(|_| ())
            }
            outcome => outcome.map(|_| ()),
        }?;
        self.after_write(&target.info).await;
        Ok(())
    }

    fn snapshot(&self) -> Snapshot {
        self.storage.snapshot()
    }
}

/// Names of IPAddress objects are IP addresses in canonical form.
fn ip_name(name: &str, _prefix: bool) -> Vec<String> {
    match name.parse::<std::net::IpAddr>() {
        Ok(ip) if ip.to_string() == name => Vec::new(),
        Ok(ip) => vec![format!("must be in canonical form ({:?})", ip.to_string())],
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()],
    }
}

/// Names of CSI drivers are subdomains of at most 63 characters in which upper case is fine.
fn csi_driver_name(name: &str, _prefix: bool) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > validation::DNS1123_LABEL_MAX_LENGTH {
        errors.push(validation::max_len_error(validation::DNS1123_LABEL_MAX_LENGTH));
    }
    errors.extend(validation::is_dns1123_subdomain(&name.to_lowercase()));
    errors
}

/// Fits an object from a file into its kind; what the kind does not know is dropped.
fn decode_trusted(info: &ResourceInfo, object: Value) -> Result<Value, Status> {
    let mut findings = Vec::new();
    match info.root {
        Some(root) if !info.custom => json::conform(object, &info.types, root, &mut findings)
            .map_err(|e| Status::bad_request(format!("{}: {e}", info.kind))),
        _ => crate::schema::custom::prune(info, object, &mut findings),
    }
}

/// The metadata of a custom resource goes through the Go struct too (apiextensions-apiserver `schemaobjectmeta.Coerce`),
/// so empty labels, annotations and finalizers are none.
fn normalize_metadata(object: &mut Value) {
    let types = &Catalog::builtin().types;
    let meta = types.id("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    if let (Some(id), Some(value)) = (meta, object.get_mut("metadata")) {
        json::normalize(value, types, id);
    }
}
