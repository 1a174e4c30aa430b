//! DefaultStorageClass: a claim without a class gets the newest default class.

use super::Attributes;
use crate::strategies::WriteContext;
use crate::strategies::access::{has, set, spec};
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::Value;
use std::sync::Arc;

const ANNOTATIONS: &[&str] =
    &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) fn mutate(cx: &WriteContext<'_>, at: &Attributes<'_>, object: &mut Value) {
    if !at.is_create("", "persistentvolumeclaims")
        || has(spec(object), "storageClassName")
        || object.annotation(CLASS_ANNOTATION).is_some()
    {
        return;
    }
    let classes = cx.peek.list("storageclasses.storage.k8s.io", "");
    if let Some(class) = newest_default(&classes, ANNOTATIONS) {
        set(&mut object["spec"], "storageClassName", class.name());
    }
}

/// The newest object that one of the annotations marks as default; among equals the first by name.
pub(super) fn newest_default<'a>(objects: &'a [Arc<Value>], annotations: &[&str]) -> Option<&'a Value> {
    let marked = |o: &Value| annotations.iter().any(|a| o.annotation(a) == Some("true"));
    let mut found: Vec<&Value> = objects.iter().map(AsRef::as_ref).filter(|o| marked(o)).collect();
    found.sort_by(|a, b| {
        let time = |o: &Value| o.meta_str("creationTimestamp").to_owned();
        time(b).cmp(&time(a)).then_with(|| a.name().cmp(b.name()))
    });
    found.first().copied()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Cluster, create};
    use super::*;
    use serde_json::json;

    #[test]
    fn the_newest_default_wins_and_an_empty_name_stays() {
        let class = |name: &str, time: &str| {
            (
                "storageclasses.storage.k8s.io",
                json!({"metadata": {"name": name, "creationTimestamp": time, "annotations": {ANNOTATIONS[0]: "true"}}}),
            )
        };
        let cluster = Cluster::new(vec![class("a", "2026-01-01T00:00:00Z"), class("b", "2026-01-01T00:00:01Z")]);
        let mut claim = json!({"spec": {}});
        mutate(&cluster.cx(), &create("persistentvolumeclaims"), &mut claim);
        assert_eq!(claim["spec"]["storageClassName"], "b");
        let mut claim = json!({"spec": {"storageClassName": ""}});
        mutate(&cluster.cx(), &create("persistentvolumeclaims"), &mut claim);
        assert_eq!(claim["spec"]["storageClassName"], "");
    }
}
