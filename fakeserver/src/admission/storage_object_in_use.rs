//! StorageObjectInUseProtection: volumes and claims start with a protection finalizer.

use super::Attributes;
use crate::strategies::access::ensure_list;
use serde_json::Value;

pub(super) fn mutate(at: &Attributes<'_>, object: &mut Value) {
    let finalizer = if at.is_create("", "persistentvolumeclaims") {
        "kubernetes.io/pvc-protection"
    } else if at.is_create("", "persistentvolumes") {
        "kubernetes.io/pv-protection"
    } else {
        return;
    };
    if let Some(list) = ensure_list(&mut object["metadata"], "finalizers")
        && !list.iter().any(|f| f == finalizer)
    {
        list.push(finalizer.into());
    }
}
