//! The hands of a controller: reads and writes through the registry under the controller's own name.

use super::runner::Item;
use crate::registry::{Change, Deleted, Mode, Object, Registry, Target, Write};
use crate::store::{StoredObject, split_key};
use crate::strategies::UserInfo;
use rehearsal_apimachinery::ObjectMeta;
use rehearsal_apimachinery::options::DeleteOptions;
use rehearsal_apimachinery::status::{Status, StatusReason};
use serde_json::Value;

/// The field manager of what controllers write (the first word of their User-Agent).
const MANAGER: &str = "kube-controller-manager";
const NAMESPACE: &str = "kube-system";

/// Acts as `system:serviceaccount:kube-system:<account>`.
pub(super) struct Agent {
    pub(super) registry: Registry,
    user: UserInfo,
    manager: &'static str,
}

impl Agent {
    pub(super) fn new(registry: &Registry, account: &str) -> Self {
        let mut groups = crate::auth::group_names(NAMESPACE);
        groups.push("system:authenticated".into());
        let user = UserInfo { name: crate::auth::username(NAMESPACE, account), groups, ..UserInfo::default() };
        Self { registry: registry.clone(), user, manager: MANAGER }
    }

    /// The same under another field manager.
    pub(super) fn managing_as(self, manager: &'static str) -> Self {
        Self { manager, ..self }
    }

    fn write(&self) -> Write<'_> {
        Write { user: &self.user, manager: self.manager.to_owned(), dry_run: false, warnings: Vec::new() }
    }

    /// The target of an object of a built-in resource (`pods`, `deployments.apps`).
    pub(super) fn target(&self, resource: &str, namespace: &str, name: &str) -> Result<Target, Status> {
        self.registry.internal_target(resource, namespace, name).ok_or_else(Status::no_such_resource)
    }

    /// The target of what an item is about, in the stored version where that is served; `None` when no version is.
    pub(super) fn target_of(&self, item: &Item) -> Option<Target> {
        let (resource, group) = item.collection.as_str().split_once('.').unwrap_or((item.collection.as_str(), ""));
        let table = self.registry.table();
        let of_collection = || table.rows().iter().filter(|row| row.resource == resource && row.storage.group == group);
        let info = of_collection().find(|row| row.serves_storage_form()).or_else(|| of_collection().next())?.clone();
        let (namespace, name) = split_key(&item.key);
        Some(Target { info, namespace: namespace.to_owned(), name: name.to_owned(), subresource: String::new() })
    }

    /// The object as it is now.
    pub(super) fn read(&self, target: &Target) -> Option<Value> {
        self.registry.peek_target(target)
    }

    /// Creates an object; that there is one already is fine.
    pub(super) async fn create(&self, target: &Target, object: Value) -> Result<(), Status> {
        match self.registry.create(target, object, &mut self.write()).await {
            Err(status) if !status.is(&StatusReason::AlreadyExists) => Err(status),
            _ => Ok(()),
        }
    }

    /// Patches an object if it still has this uid; that it is gone is fine.
    pub(super) async fn patch(
        &self,
        target: &Target,
        uid: &str,
        change: impl Fn(&mut Value) + Send + Sync,
    ) -> Result<Option<Object>, Status> {
        let edit = |live: Option<&Value>| {
            let Some(live) = live.filter(|live| live.uid() == uid) else { return Ok(Change::Nothing) };
            let mut new = live.clone();
            change(&mut new);
            Ok(if new == *live { Change::Nothing } else { Change::To(new) })
        };
        let outcome = self.registry.update(target, Mode::Patch, &mut self.write(), &edit).await;
        self.registry.after_write(&target.info).await;
        match outcome {
            Ok((object, _)) => Ok(Some(object)),
            Err(status) if status.code == 404 => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Deletes an object; that it is gone is fine.
    pub(super) async fn delete(&self, target: &Target, options: &DeleteOptions) -> Result<Option<Deleted>, Status> {
        let outcome = self.registry.delete(target, options, &mut self.write()).await;
        self.registry.after_write(&target.info).await;
        match outcome {
            Ok(deleted) => Ok(Some(deleted)),
            Err(status) if status.code == 404 => Ok(None),
            Err(status) => Err(status),
        }
    }
}

/// The finalizers of an object that is being deleted; `None` for all others, which are told apart without being parsed.
pub(super) fn marked_for_deletion(object: &StoredObject) -> Option<Vec<String>> {
    let text = std::str::from_utf8(object.bytes()).ok()?;
    if !text.contains("\"deletionTimestamp\":") {
        return None;
    }
    let value = object.value();
    value.is_deleting().then(|| value.finalizers().into_iter().map(str::to_owned).collect())
}
