//! The objects of a tape as manifests: as somebody would apply them, or exactly as they were.

use crate::format::Tree;
use crate::history::History;
use serde_json::Value;

/// Which form manifests have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manifests {
    /// To be applied: without status and what a server sets.
    #[default]
    Appliable,
    /// As they were, for fixtures.
    Exact,
}

/// What a server sets in `metadata`.
const SERVER_SET: [&str; 9] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The objects that were there at a resourceVersion, as a stream of YAML documents: namespaces and definitions first.
#[must_use]
pub fn to_manifests(history: &History, revision: u64, form: Manifests) -> String {
    let mut found = history.at(revision);
    let rank = |resource: &str| match resource {
        "customresourcedefinitions" => 0,
        "namespaces" => 1,
        _ => 2,
    };
    found.sort_by_key(|(key, _)| (rank(&key.collection.resource), *key));
    let mut out = String::new();
    for (_, version) in found {
        let Some(mut object) = version.object.clone() else { continue };
        if form == Manifests::Appliable {
            // What is owned is made by its owner.
            if object.at(&["metadata", "ownerReferences"]).is_some_and(|owners| !owners.items().is_empty()) {
                continue;
            }
            strip(&mut object);
        }
        out.push_str("---\n");
        out.push_str(&rehearsal_apimachinery::codec::yaml::encode(&Value::from(&object)));
    }
    out
}

fn strip(object: &mut Tree) {
    object.remove("status");
    if let Some(metadata) = object.get_mut("metadata") {
        for member in SERVER_SET {
            metadata.remove(member);
        }
    }
}
