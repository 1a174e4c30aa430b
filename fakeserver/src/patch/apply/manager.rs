//! Who owns what: managers with their sets, and how writes move ownership.
//!
//! Counterpart: structured-merge-diff `merge/update.go` and `typed/reconcile_schema.go`. Paths recorded in another
//! API version are read as they are; the versions of a kind are taken to name their fields alike.

use super::compare::{Comparison, compare};
use super::field_set::{field_set, field_set_without};
use super::merge::merge;
use super::path::PathElement;
use super::remove::remove;
use super::set::Set;
use super::typed::{Schema, Ty};
use serde_json::Value;

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What tells managers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::patch) struct Id<'a> {
    pub(in crate::patch) manager: &'a str,
    pub(in crate::patch) operation: Operation,
    /// Empty for appliers, who are the same whatever version they apply.
    pub(in crate::patch) api_version: &'a str,
    pub(in crate::patch) subresource: &'a str,
}

/// A manager's fields.
#[derive(Clone, Debug)]
pub(in crate::patch) struct Entry<'a> {
    pub(in crate::patch) id: Id<'a>,
    pub(in crate::patch) api_version: &'a str,
    pub(in crate::patch) time: Option<&'a str>,
    pub(in crate::patch) set: Set<'a>,
}

/// All managers of an object.
#[derive(Clone, Debug, Default)]
pub(in crate::patch) struct Managers<'a> {
    pub(in crate::patch) entries: Vec<Entry<'a>>,
}

impl<'a> Managers<'a> {
    pub(in crate::patch) fn get(&self, id: &Id<'_>) -> Option<&Entry<'a>> {
        self.entries.iter().find(|e| e.id == *id)
    }

    /// Adds an entry; one of the same manager gives way, though its time stays where the new one has none.
    pub(in crate::patch) fn put(&mut self, mut entry: Entry<'a>) {
        match self.entries.iter_mut().find(|e| e.id == entry.id) {
            Some(there) => {
                entry.time = entry.time.or(there.time);
                *there = entry;
            }
            None => self.entries.push(entry),
        }
    }

    pub(in crate::patch) fn drop_empty(&mut self) {
        self.entries.retain(|e| !e.set.is_empty());
    }

    /// Forgets what was recorded in versions that are gone, and makes owners of parts of what has become atomic
    /// owners of the whole.
    fn reconcile(&mut self, schema: &Schema<'_>) {
        self.entries.retain(|e| schema.serves(e.api_version));
        for entry in &mut self.entries {
            reconcile(&mut entry.set, schema.ty());
        }
    }

    /// Takes what a change touches from everybody but `writer`.
    ///
    /// # Errors
    /// Unless forced: what others own and the change would alter.
    fn give_way(
        &mut self,
        change: &Comparison<'_>,
        writer: Option<&Id<'_>>,
        force: bool,
    ) -> Result<(), Vec<Conflict<'a>>> {
        let mut conflicts = Vec::new();
        for entry in self.entries.iter_mut().filter(|e| writer != Some(&e.id)) {
            let contested = entry.set.intersection(&change.modified).union(entry.set.intersection(&change.added));
            if !force {
                contested.each(&mut |path| conflicts.push(Conflict { id: entry.id, path: path.to_vec() }));
            }
            if !contested.is_empty() {
                entry.set = entry.set.difference(&contested);
            }
            if !change.removed.is_empty() {
                entry.set = entry.set.difference(&change.removed);
            }
        }
        if conflicts.is_empty() { Ok(()) } else { Err(conflicts) }
    }
}

/// A field somebody else owns.
#[derive(Clone, Debug)]
pub(in crate::patch) struct Conflict<'a> {
    pub(in crate::patch) id: Id<'a>,
    pub(in crate::patch) path: Vec<PathElement<'a>>,
}

/// Why an apply is refused.
#[derive(Debug)]
pub(in crate::patch) enum Refusal<'a> {
    /// Fields of others.
    Conflicts(Vec<Conflict<'a>>),
    /// Anything else.
    Other(String),
}

/// Moves ownership for writes of one kind through one endpoint.
pub(in crate::patch) struct Updater<'a> {
    pub(in crate::patch) schema: Schema<'a>,
    pub(in crate::patch) api_version: &'a str,
    /// Paths that nobody comes to own through this endpoint.
    pub(in crate::patch) ignored: Set<'a>,
}

impl<'a> Updater<'a> {
    /// Takes ownership of what differs between `live` and `new` from the others; says what the writer now owns.
    pub(in crate::patch) fn update<'v>(&self, live: &'v Value, new: &'v Value, managers: &mut Managers<'v>) -> Set<'v>
    where
        'a: 'v,
    {
        managers.reconcile(&self.schema);
        let change = compare(live, new, self.schema.ty()).without(&self.ignored);
        // Forced, so there are no conflicts.
        let _ = managers.give_way(&change, None, true);
        managers.drop_empty();
        change.modified.union(change.added)
    }

    /// Merges a configuration into `new`, a copy of `live`, and removes what its manager no longer applies.
    ///
    /// # Errors
    /// Conflicts, unless forced.
    pub(in crate::patch) fn apply<'v>(
        &self,
        live: &'v Value,
        new: &mut Value,
        config: &'v Value,
        managers: &mut Managers<'v>,
        id: Id<'v>,
        force: bool,
    ) -> Result<(), Refusal<'v>>
    where
        'a: 'v,
    {
        let ty = self.schema.ty();
        managers.reconcile(&self.schema);
        merge(new, config, ty).map_err(|e| Refusal::Other(format!("failed to merge config: {e}")))?;
        let set = field_set(config, ty).recursive_difference(&self.ignored);
        let last = managers.get(&id).map(|e| e.set.clone()).unwrap_or_default();
        let dropped = !last.is_subset(&set);
        managers.put(Entry { id, api_version: self.api_version, time: None, set });
        if dropped {
            prune(new, last, managers, ty);
        }
        let change = compare(live, new, ty).without(&self.ignored);
        managers.give_way(&change, Some(&id), force).map_err(Refusal::Conflicts)?;
        managers.drop_empty();
        Ok(())
    }
}

/// Removes what the manager applied last time (`last`) and nobody owns now. What nobody owned before stays.
fn prune(merged: &mut Value, last: Set<'_>, managers: &Managers<'_>, ty: Ty<'_>) {
    let last = named_fields_are_members(last, ty);
    let gone = {
        let all = named_fields_are_members(field_set(merged, ty), ty);
        let without_last = named_fields_are_members(field_set_without(merged, ty, &last), ty);
        let mut unowned = all.difference(&without_last);
        for entry in &managers.entries {
            unowned = unowned.difference(&named_fields_are_members(entry.set.clone(), ty));
        }
        let owned = named_fields_are_members(field_set_without(merged, ty, &unowned), ty);
        last.intersection(&all.difference(&owned))
    };
    remove(merged, &gone, ty);
}

/// Adds the declared members on the way to every path, which sets otherwise leave out.
fn named_fields_are_members<'v>(mut set: Set<'v>, ty: Ty<'_>) -> Set<'v> {
    for node in set.nodes_mut() {
        if node.children.is_empty() {
            continue;
        }
        if let PathElement::Field(name) = node.element {
            node.member |= ty.declares(name);
        }
        if let Some(below) = ty.below(&node.element) {
            node.children = named_fields_are_members(std::mem::take(&mut node.children), below);
        }
    }
    set
}

fn reconcile(set: &mut Set<'_>, ty: Ty<'_>) {
    if ty.is_free_form() {
        return;
    }
    for node in set.nodes_mut() {
        let Some(below) = ty.below(&node.element) else { continue };
        if node.children.is_empty() {
            continue;
        }
        if below.is_whole() {
            node.member = true;
            node.children = Set::default();
        } else {
            reconcile(&mut node.children, below);
        }
    }
}
