//! What data cannot say about a kind: conditional defaults, preparation of writes, cross-field validation, allocation.
//!
//! Counterpart: kube-apiserver `registry/<group>/<resource>/strategy.go` and `apis/<group>/validation`. The generic
//! registry calls the hooks in the order in which the real server does; every hook works on the object in its
//! versioned JSON form, after the data-driven defaults. A kind without a strategy is served by the data alone.

pub(crate) mod access;
pub mod admission_registration;
pub mod api_service;
pub mod autoscaling_v1;
pub mod binding;
pub mod certificate_signing_request;
pub(crate) mod checks;
pub(crate) mod claim_spec;
pub mod config_map;
pub mod controller_revision;
pub mod cron_job;
pub(crate) mod cron_schedule;
pub mod custom_resource;
pub mod custom_resource_definition;
pub mod daemon_set;
pub mod deployment;
pub(crate) mod diff;
pub mod endpoint_slice;
pub mod endpoints;
pub mod event;
pub mod eviction;
pub mod flow_control;
pub mod horizontal_pod_autoscaler;
pub mod ingress;
pub mod ingress_class;
pub(crate) mod internal;
pub mod ip_address;
pub mod job;
pub(crate) mod job_spec;
pub(crate) mod job_status;
pub mod lease;
pub mod limit_range;
pub mod namespace;
pub mod network_policy;
pub mod node;
pub mod persistent_volume;
pub mod persistent_volume_claim;
pub mod pod;
pub mod pod_disruption_budget;
pub(crate) mod pod_qos;
pub(crate) mod pod_spec;
pub mod pod_template;
pub mod priority_class;
pub mod rbac;
pub mod replica_set;
pub mod replication_controller;
pub mod resource_claims;
pub(crate) mod resource_names;
pub mod resource_quota;
pub(crate) mod rules;
pub mod runtime_class;
pub mod secret;
pub mod service;
pub mod service_account;
pub(crate) mod service_allocation;
pub mod service_cidr;
pub(crate) mod service_validation;
pub mod stateful_set;
pub mod storage;
pub mod table;
pub(crate) mod templated;
#[cfg(test)]
mod workload_tests;

use crate::clock::Clock;
use crate::ids::Ids;
use rehearsal_apimachinery::field::FieldError;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;
use std::sync::Arc;

/// Read access to the other objects of the cluster, as of one consistent revision.
pub trait Peek: Send + Sync {
    /// The object of a resource (`pods`, `deployments.apps`: plural, then `.group` outside the core group).
    /// `namespace` is empty for cluster-scoped resources.
    fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>>;

    /// All objects of a resource in a namespace (`""`: in all namespaces), in key order.
    fn list(&self, resource: &str, namespace: &str) -> Vec<Arc<Value>>;
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// User name.
    pub name: String,
    /// Stable id; often empty.
    pub uid: String,
    /// Groups, in the authenticator's order.
    pub groups: Vec<String>,
    /// Extra attributes, sorted by key.
    pub extra: std::collections::BTreeMap<String, Vec<String>>,
}

/// What a hook may look at and use.
pub struct WriteContext<'a> {
    /// Injected time.
    pub clock: &'a Clock,
    /// Injected chance.
    pub ids: &'a Ids,
    /// Other objects.
    pub peek: &'a dyn Peek,
    /// Who asks.
    pub user: &'a UserInfo,
    /// The subresource written, `""` for the object itself.
    pub subresource: &'a str,
    /// Nothing will be stored.
    pub dry_run: bool,
}

/// A further write that must happen in the same transaction as the object's own.
#[derive(Clone, Debug, PartialEq)]
pub enum SideEffect {
    /// Create this object; the transaction fails if it exists.
    Create {
        /// Resource as [`Peek::get`] names it.
        resource: String,
        /// Namespace or `""`.
        namespace: String,
        /// Name.
        name: String,
        /// The object; metadata is filled in by the registry.
        object: Value,
    },
    /// Delete this object if it exists.
    Delete {
        /// Resource as [`Peek::get`] names it.
        resource: String,
        /// Namespace or `""`.
        namespace: String,
        /// Name.
        name: String,
    },
}

/// The hooks of a kind. All have a default that does nothing.
#[allow(unused_variables)]
pub trait Strategy: Send + Sync {
    /// Defaults that depend on other fields. Runs on every decoded body after the data-driven defaults, and on the
    /// result of every patch; must be idempotent.
    fn default(&self, object: &mut Value) {}

    /// Drops or sets what a client may not choose (counterpart `PrepareForCreate`). `status` has already been dropped
    /// for kinds with a status subresource; `generation` is set by the registry.
    fn prepare_create(&self, cx: &WriteContext<'_>, object: &mut Value) {}

    /// Keeps what an update may not change (counterpart `PrepareForUpdate`). For `cx.subresource == "status"` the
    /// registry has already restored everything outside `status` that a status write may not touch.
    fn prepare_update(&self, cx: &WriteContext<'_>, object: &mut Value, old: &Value) {}

    /// Validation of a new object, metadata excluded (the registry validates metadata by the kind's name rule).
    fn validate_create(&self, cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// Validation of a changed object, metadata excluded. `cx.subresource` tells status and other subresource writes.
    fn validate_update(&self, cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// Texts for `Warning` headers; `old` is `None` on create.
    fn warnings(&self, cx: &WriteContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// Allocates what the cluster hands out (service IPs, node ports), writing it into the object. Runs after
    /// validation, also on dry runs (whose effects are dropped). `old` is `None` on create.
    ///
    /// # Errors
    /// A refusal, usually 422, when what was asked for cannot be had.
    fn allocate(
        &self,
        cx: &WriteContext<'_>,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<Vec<SideEffect>, Status> {
        Ok(Vec::new())
    }

    /// Gives back what [`allocate`](Self::allocate) took, when the object is removed.
    fn release(&self, cx: &WriteContext<'_>, object: &Value) -> Vec<SideEffect> {
        Vec::new()
    }

    /// Values of the selectable fields beyond `metadata.name` and `metadata.namespace`, as (label, value).
    fn selectable_fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
