//! The set of paths a value mentions: its leaves, the items of its associative lists and the entries of its maps.
//!
//! Counterpart: structured-merge-diff `typed/tofieldset.go`, with the option to leave paths out as if they had been
//! removed from the value before.

use super::path::PathElement;
use super::set::Set;
use super::typed::{Case, Ty};
use serde_json::{Map, Value};

/// What a value contributes: whether the place itself is a leaf, what is below, and whether anything is left of it.
#[derive(Default)]
struct Found<'a> {
    leaf: bool,
    below: Set<'a>,
    /// The value is null or has become so by removal.
    null: bool,
}

/// All paths of a value.
pub(in crate::patch) fn field_set<'v, 'a: 'v>(value: &'v Value, ty: Ty<'a>) -> Set<'v> {
    walk(value, ty, None).below
}

/// All paths of a value from which `without` has been removed.
pub(super) fn field_set_without<'v, 'a: 'v>(value: &'v Value, ty: Ty<'a>, without: &Set<'_>) -> Set<'v> {
    walk(value, ty, Some(without)).below
}

fn walk<'v, 'a: 'v>(value: &'v Value, ty: Ty<'a>, without: Option<&Set<'_>>) -> Found<'v> {
    let without = without.filter(|w| !w.is_empty());
    let case = ty.case(value);
    if ty.is_atomic(case) {
        // Paths below something owned as a whole take the whole with them, as removal does.
        let null = value.is_null() || (without.is_some() && case != Case::Scalar);
        return Found { leaf: true, null, ..Found::default() };
    }
    match value {
        Value::Object(map) if case == Case::Map => members(map, ty, without),
        Value::Array(items) if case == Case::List => list(items, ty, without),
        _ => Found { null: true, ..Found::default() },
    }
}

fn members<'v, 'a: 'v>(map: &'v Map<String, Value>, ty: Ty<'a>, without: Option<&Set<'_>>) -> Found<'v> {
    let mut out = Found { null: without.is_some(), ..Found::default() };
    for (name, value) in map {
        let element = PathElement::Field(name);
        let gone = without.and_then(|w| w.node(&element));
        if gone.is_some_and(|g| g.member) {
            continue;
        }
        out.null = false;
        let found = walk(value, ty.field(name).unwrap_or(Ty::Deduced), gone.map(|g| &g.children));
        let empty = found.null || value.as_object().is_some_and(Map::is_empty);
        out.below.push(element, found.leaf || empty || !ty.declares(name), found.below);
    }
    out
}

fn list<'v, 'a: 'v>(items: &'v [Value], ty: Ty<'a>, without: Option<&Set<'_>>) -> Found<'v> {
    let mut out = Found { null: without.is_some(), ..Found::default() };
    let mut seen: Vec<(PathElement<'v>, &'v Value, bool)> = Vec::with_capacity(items.len());
    for item in items {
        let Ok(element) = ty.element(item) else { continue };
        if without.and_then(|w| w.node(&element)).is_some_and(|g| g.member) {
            continue;
        }
        out.null = false;
        seen.push((element, item, false));
    }
    // Stable, so that of twins the second is the one marked.
    seen.sort_by(|a, b| a.0.order(&b.0));
    for i in 1..seen.len() {
        if seen[i - 1].0.order(&seen[i].0).is_eq() {
            seen[i - 1].2 = true;
            seen[i].2 = true;
        }
    }
    for (element, item, twin) in seen {
        // Items that share an element are owned as one.
        let below = if twin {
            Set::default()
        } else {
            let gone = without.and_then(|w| w.node(&element));
            walk(item, ty.item(), gone.map(|g| &g.children)).below
        };
        out.below.push(element, true, below);
    }
    out
}
