//! Imprinting: an object put into the store as it was somewhere else, system metadata included, and taken out again.
//!
//! No admission, no defaults, no validation, no allocation: what a recording saw, a server once accepted. Nothing like
//! it exists in the real server; the nearest thing is a restore of etcd.

use super::{Registry, Target};
use crate::store::{Committed, Expect, Op, Revision, TxnError};
use rehearsal_apimachinery::ObjectMeta;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;

fn unavailable(error: &TxnError) -> Status {
    Status::internal_error(error.to_string())
}

impl Registry {
    /// The place of an object by its `apiVersion`, `kind`, namespace and name; a missing namespace is `default`.
    ///
    /// # Errors
    /// 400 for a kind that nobody serves.
    pub fn target_of(&self, object: &Value) -> Result<Target, Status> {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let gv = rehearsal_apimachinery::GroupVersion::parse(text("apiVersion")).unwrap_or_default();
        let gvk = gv.kind(text("kind"));
        let info = self.table().by_kind(&gvk).ok_or_else(|| {
            Status::bad_request(format!("no kind {:?} is served in version {:?}", gvk.kind, gv.to_string()))
        })?;
        let namespace = match (info.namespaced, object.namespace()) {
            (false, _) => String::new(),
            (true, "") => "default".to_owned(),
            (true, given) => given.to_owned(),
        };
        Ok(Target { name: object.name().to_owned(), namespace, subresource: String::new(), info })
    }

    /// Stores an object exactly as it is, in place of one of its name; its resourceVersion is the next one. Returns it.
    ///
    /// # Errors
    /// 400 for a kind that nobody serves, or an object without a name.
    pub async fn imprint(&self, object: Value) -> Result<Revision, Status> {
        let target = self.target_of(&object)?;
        if target.name.is_empty() {
            return Err(Status::bad_request("an object without a name"));
        }
        let mut object = super::decode_trusted(&target.info, object)?;
        super::object::check_depth(&object)?;
        rehearsal_apimachinery::ObjectMetaMut::remove_meta(&mut object, "resourceVersion");
        let draft = self.draft(&target, &object);
        let put = Op::Put { collection: target.info.collection(), key: target.key(), draft, expect: Expect::Any };
        let done: Committed = self.storage().txn(vec![put]).await.map_err(|e| unavailable(&e))?;
        self.after_write(&target.info).await;
        Ok(done.revision)
    }

    /// Removes an object, finalizers or not. Says whether it was there.
    ///
    /// # Errors
    /// 400 for a kind that nobody serves.
    pub async fn erase(&self, object: &Value) -> Result<bool, Status> {
        let target = self.target_of(object)?;
        let delete = Op::Delete { collection: target.info.collection(), key: target.key(), expect: Expect::Any };
        let done = self.storage().txn(vec![delete]).await.map_err(|e| unavailable(&e))?;
        self.after_write(&target.info).await;
        Ok(done.objects.iter().any(Option::is_some))
    }

    /// The object of the place of another, as it is now.
    ///
    /// # Errors
    /// 400 for a kind that nobody serves.
    pub fn present(&self, object: &Value) -> Result<Option<Value>, Status> {
        Ok(self.peek_target(&self.target_of(object)?))
    }
}
