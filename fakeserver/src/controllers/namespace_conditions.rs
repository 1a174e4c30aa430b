//! What the status of a terminating namespace says about how far its deletion has come.
//!
//! Counterpart: `pkg/controller/namespace/deletion/status_condition_utils.go`.

use rehearsal_apimachinery::GroupResource;
use rehearsal_apimachinery::status::Status;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is left in a namespace after an attempt to empty it.
#[derive(Debug, Default)]
pub(super) struct Remaining {
    /// Number of objects by `<resource>.<group>`.
    objects: BTreeMap<String, usize>,
    /// Number of objects by finalizer.
    finalizers: BTreeMap<String, usize>,
    refusals: Vec<String>,
}

impl Remaining {
    /// Counts an object.
    pub(super) fn object(&mut self, resource: &GroupResource, finalizers: &[&str]) {
        // The dot is there in the core group, too.
        *self.objects.entry(format!("{}.{}", resource.resource, resource.group)).or_default() += 1;
        for finalizer in finalizers {
            *self.finalizers.entry((*finalizer).to_owned()).or_default() += 1;
        }
    }

    /// Notes why objects of a kind could not be deleted.
    pub(super) fn refused(&mut self, why: &Status) {
        self.refusals.push(why.message.clone());
        self.refusals.sort();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    fn content_failure(&self) -> Option<String> {
        let (count, list) = (self.refusals.len(), self.refusals.join(", "));
        (count > 0).then(|| format!("Failed to delete all resource types, {count} remaining: {list}"))
    }

    fn content_remaining(&self) -> Option<String> {
        let list = self.objects.iter().map(|(resource, n)| format!("{resource} has {n} resource instances"));
        sentence("Some resources are remaining: ", list)
    }

    fn finalizers_remaining(&self) -> Option<String> {
        let list = self.finalizers.iter().map(|(finalizer, n)| format!("{finalizer} in {n} resource instances"));
        sentence("Some content in the namespace has finalizers remaining: ", list)
    }
}

fn sentence(start: &str, list: impl Iterator<Item = String>) -> Option<String> {
    let list: Vec<String> = list.collect();
    (!list.is_empty()).then(|| format!("{start}{}", list.join(", ")))
}

/// A condition: its type, its reason and message while all is well, and its reason otherwise.
type Row = (&'static str, &'static str, &'static str, &'static str);

const CONDITIONS: [Row; 5] = [
    (
        "NamespaceDeletionDiscoveryFailure",
        "ResourcesDiscovered",
        "All resources successfully discovered",
        "DiscoveryFailed",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
        "GroupVersionParsingFailed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
        "ContentDeletionFailed",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed", "SomeResourcesRemain"),
    (
        "NamespaceFinalizersRemaining",
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
        "SomeFinalizersRemain",
    ),
];

/// Brings the conditions of a namespace up to date; `now` is for those that change sides.
pub(super) fn set_conditions(namespace: &mut Value, remaining: &Remaining, now: &str) {
    // Kinds are looked up in a table, so neither discovery nor parsing fails here.
    let troubles =
        [None, None, remaining.content_failure(), remaining.content_remaining(), remaining.finalizers_remaining()];
    let Some(status) = namespace.as_object_mut().map(|n| n.entry("status").or_insert_with(|| json!({}))) else {
        return;
    };
    let mut conditions = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    for ((kind, fine, all_well, bad), trouble) in CONDITIONS.into_iter().zip(troubles) {
        let side = if trouble.is_some() { "True" } else { "False" };
        let reason = if trouble.is_some() { bad } else { fine };
        let message = trouble.unwrap_or_else(|| all_well.to_owned());
        let old = conditions.iter_mut().find(|condition| condition["type"] == kind);
        let since = match &old {
            Some(old) if old["status"] == side => old["lastTransitionTime"].clone(),
            _ => json!(now),
        };
        let new =
            json!({"type": kind, "status": side, "lastTransitionTime": since, "reason": reason, "message": message});
        match old {
            Some(old) => *old = new,
            None => conditions.push(new),
        }
    }
    status["conditions"] = Value::Array(conditions);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition<'a>(namespace: &'a Value, kind: &str) -> &'a Value {
        namespace["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == kind).unwrap()
    }

    #[test]
    fn what_is_left_is_counted_by_resource_and_by_finalizer() {
        let mut remaining = Remaining::default();
        remaining.object(&GroupResource::new("", "pods"), &[]);
        remaining.object(&GroupResource::new("apps", "deployments"), &["b", "a"]);
        remaining.object(&GroupResource::new("apps", "deployments"), &["a"]);
        let mut namespace = json!({"status": {"phase": "Terminating"}});
        set_conditions(&mut namespace, &remaining, "t0");
        assert_eq!(
            condition(&namespace, "NamespaceContentRemaining")["message"],
            "Some resources are remaining: deployments.apps has 2 resource instances, pods. has 1 resource instances"
        );
        assert_eq!(
            condition(&namespace, "NamespaceFinalizersRemaining")["message"],
            "Some content in the namespace has finalizers remaining: a in 2 resource instances, b in 1 resource instances"
        );
    }

    #[test]
    fn a_condition_keeps_its_time_until_it_changes_sides() {
        let mut left = Remaining::default();
        left.object(&GroupResource::new("", "pods"), &[]);
        let mut namespace = json!({});
        set_conditions(&mut namespace, &left, "t0");
        left.object(&GroupResource::new("", "pods"), &[]);
        set_conditions(&mut namespace, &left, "t1");
        assert_eq!(condition(&namespace, "NamespaceContentRemaining")["lastTransitionTime"], "t0");
        set_conditions(&mut namespace, &Remaining::default(), "t2");
        let content = condition(&namespace, "NamespaceContentRemaining");
        assert_eq!((&content["lastTransitionTime"], &content["status"]), (&json!("t2"), &json!("False")));
        assert_eq!(condition(&namespace, "NamespaceFinalizersRemaining")["lastTransitionTime"], "t0");
    }
}
