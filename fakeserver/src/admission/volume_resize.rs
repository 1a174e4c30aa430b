//! PersistentVolumeClaimResize: a claim grows only where its class allows it.

use super::{Attributes, Operation};
use crate::strategies::WriteContext;
use crate::strategies::access::{bool_at, spec, str_at};
use crate::strategies::resource_names::quantity;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;

pub(super) fn validate(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &Value) -> Result<(), Status> {
    let Some(old) = at.old.filter(|_| at.operation == Operation::Update && at.is("", "persistentvolumeclaims")) else {
        return Ok(());
    };
    let size = |o: &Value| quantity(&spec(o)["resources"]["requests"]["storage"]);
    if size(object) <= size(old) {
        return Ok(());
    }
    let class = str_at(spec(object), "storageClassName");
    let class = cx.peek.get("storageclasses.storage.k8s.io", "", class).filter(|_| !class.is_empty());
    if class.is_some_and(|c| bool_at(&c, "allowVolumeExpansion")) {
        return Ok(());
    }
    let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
    Err(at.forbidden(Some(object), why))
}
