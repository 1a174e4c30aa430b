//! The built-in admission plugins as one ordered chain, first the mutating half, then the validating half.
//!
//! Counterpart: `plugin/pkg/admission` of kube-apiserver with its default set of plugins. Webhooks and admission
//! policies run after [`mutate`] and before the quota part of [`validate`]; they live elsewhere.

mod certificates;
mod default_ingress_class;
mod default_storage_class;
mod default_toleration_seconds;
mod limit_ranger;
mod namespace_lifecycle;
mod pod_security;
mod pod_security_checks;
mod priority;
mod resource_quota;
pub(crate) mod resource_quota_usage;
mod runtime_class;
mod service_account;
mod storage_object_in_use;
mod taint_nodes;
#[cfg(test)]
pub(crate) mod testing;
mod volume_resize;

use crate::controllers::Controllers;
use crate::strategies::WriteContext;
use rehearsal_apimachinery::gvk::GroupResource;
use rehearsal_apimachinery::meta::ObjectMeta;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;

/// Which plugins run beyond those that always do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plugins {
    /// ServiceAccount. Off where nobody makes the accounts, as envtest runs kube-apiserver, or no Pod could be created.
    pub service_account: bool,
}

impl Plugins {
    /// The plugins that make sense beside these controllers.
    #[must_use]
    pub fn for_controllers(controllers: &Controllers) -> Self {
        Self { service_account: controllers.has("service-account") }
    }
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// A removal.
    Delete,
    /// A connection to a subresource such as `exec`.
    Connect,
}

/// What a plugin may know of a request beside the object.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// What it does.
    pub operation: Operation,
    /// API group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Kind of the object.
    pub kind: &'a str,
    /// Subresource or `""`.
    pub subresource: &'a str,
    /// Namespace or `""`.
    pub namespace: &'a str,
    /// Name in the URL or in the object; `""` when it is still to be generated.
    pub name: &'a str,
    /// The stored object on updates and deletes.
    pub old: Option<&'a Value>,
}

impl Attributes<'_> {
    /// Whether the request is about this resource itself, not one of its subresources.
    #[must_use]
    pub fn is(&self, group: &str, resource: &str) -> bool {
        self.group == group && self.resource == resource && self.subresource.is_empty()
    }

    fn is_create(&self, group: &str, resource: &str) -> bool {
        self.operation == Operation::Create && self.is(group, resource)
    }

    /// The 403 of a plugin that says no.
    fn forbidden(&self, object: Option<&Value>, why: impl std::fmt::Display) -> Status {
        let from_object =
            || object.map_or("", |o| if o.name().is_empty() { o.meta_str("generateName") } else { o.name() });
        let name = match (self.name, from_object()) {
            ("", "") => "Unknown",
            ("", name) => name,
            (name, _) => name,
        };
        Status::forbidden(&GroupResource::new(self.group, self.resource), name, why)
    }
}

/// A raised usage that the registry writes into a quota's `status.used`, in the transaction of the request itself.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaUpdate {
    /// Namespace of the quota.
    pub namespace: String,
    /// Name of the quota.
    pub name: String,
    /// The members of `status.used` to set, as an object.
    pub used: Value,
}

/// Runs the mutating plugins on the object of a create or update.
///
/// # Errors
/// The refusal of the first plugin that refuses.
pub fn mutate(
    plugins: Plugins,
    cx: &WriteContext<'_>,
    at: &Attributes<'_>,
    object: &mut Value,
    _warnings: &mut Vec<String>,
) -> Result<(), Status> {
    namespace_lifecycle::admit(cx, at, Some(object))?;
    limit_ranger::mutate(cx, at, object);
    if plugins.service_account {
        service_account::mutate(cx, at, object)?;
    }
    taint_nodes::mutate(at, object);
    priority::mutate(cx, at, object)?;
    default_toleration_seconds::mutate(at, object);
    default_storage_class::mutate(cx, at, object);
    storage_object_in_use::mutate(at, object);
    runtime_class::mutate(cx, at, object)?;
    default_ingress_class::mutate(cx, at, object);
    Ok(())
}

/// Runs the validating plugins. `object` is `None` on deletes and connections without a body.
///
/// # Errors
/// The refusal of the first plugin that refuses.
pub fn validate(
    plugins: Plugins,
    cx: &WriteContext<'_>,
    at: &Attributes<'_>,
    object: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<Vec<QuotaUpdate>, Status> {
    if matches!(at.operation, Operation::Delete | Operation::Connect) {
        namespace_lifecycle::admit(cx, at, object)?;
    }
    let Some(object) = object else { return Ok(Vec::new()) };
    limit_ranger::validate(cx, at, object)?;
    if plugins.service_account {
        service_account::validate(cx, at, object)?;
    }
    pod_security::validate(cx, at, object, warnings)?;
    priority::validate(cx, at, object)?;
    volume_resize::validate(cx, at, object)?;
    runtime_class::validate(cx, at, object)?;
    certificates::validate(at, object)?;
    resource_quota::validate(cx, at, object)
}
