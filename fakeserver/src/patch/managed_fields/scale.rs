//! Ownership across the `scale` subresource: the same managers seen from a Scale and from its parent.
//!
//! Counterpart: apimachinery `managedfields/scalehandler.go`. A Scale shows the parent's managers that own the
//! replicas; what a write to it changes is carried back.

use super::entries::{decode, encode};
use crate::patch::apply::{Entry, PathElement, Set};
use serde_json::Value;

/// API version of every Scale.
const SCALE: &str = "autoscaling/v1";

/// Where replicas live in a Scale.
const REPLICAS: [&str; 2] = ["spec", "replicas"];

/// Where each API version of the parent keeps its replicas; an empty path for versions without a scale subresource.
pub type ReplicasPaths<'a> = &'a [(&'a str, &'a [&'a str])];

fn path_in<'a>(paths: ReplicasPaths<'a>, api_version: &str) -> Option<Vec<PathElement<'a>>> {
    let (_, path) = paths.iter().find(|(version, _)| *version == api_version)?;
    Some(path.iter().map(|name| PathElement::Field(name)).collect())
}

fn set_of<'a>(path: &[PathElement<'a>]) -> Set<'a> {
    let mut set = Set::default();
    set.insert(path);
    set
}

/// The entries of a Scale, from those of its parent. Unreadable entries count as none.
#[must_use]
pub fn to_scale(parent: &[Value], paths: ReplicasPaths<'_>) -> Vec<Value> {
    let mut managers = decode(parent).unwrap_or_default();
    managers.entries.retain_mut(|entry| {
        let owns = path_in(paths, entry.api_version).is_some_and(|path| entry.set.has(&path));
        entry.set = Set::of_fields([REPLICAS]);
        entry.api_version = SCALE;
        owns
    });
    encode(&managers)
}

/// The entries of the parent after a write to its Scale. `before` are the parent's entries, `scale` those of the
/// written Scale (made from [`to_scale`] and updated), `api_version` the parent's version in use. Entries of
/// versions that `paths` does not know are dropped.
#[must_use]
pub fn to_parent(before: &[Value], scale: &[Value], api_version: &str, paths: ReplicasPaths<'_>) -> Vec<Value> {
    let mut parents = decode(before).unwrap_or_default();
    let mut scales = decode(scale).unwrap_or_default();
    // Updaters carry their API version in their identity, which was the parent's when the Scale was made.
    for entry in &mut scales.entries {
        if !entry.id.api_version.is_empty() {
            let same = parents.entries.iter().find(|p| {
                (p.id.manager, p.id.operation, p.id.subresource)
                    == (entry.id.manager, entry.id.operation, entry.id.subresource)
            });
            entry.id.api_version = same.map_or(api_version, |p| p.api_version);
        }
    }
    parents.entries.retain_mut(|entry| {
        let Some(path) = path_in(paths, entry.api_version) else { return false };
        if path.is_empty() || !entry.set.has(&path) {
            return true;
        }
        match scales.entries.iter().position(|s| s.id == entry.id) {
            Some(at) => {
                scales.entries.remove(at);
                true
            }
            None => {
                entry.set = entry.set.difference(&set_of(&path));
                !entry.set.is_empty()
            }
        }
    });
    let replicas: Vec<_> = REPLICAS.into_iter().map(PathElement::Field).collect();
    let path = path_in(paths, api_version).unwrap_or_default();
    for entry in scales.entries.iter().filter(|e| e.set.has(&replicas)) {
        // The real server looks the time up among the parent's entries, so a newcomer has none.
        parents.put(Entry { id: entry.id, api_version, time: None, set: set_of(&path) });
    }
    encode(&parents)
}
