//! What changed between two values, as three sets of paths.
//!
//! Counterpart: structured-merge-diff `typed/compare.go`.

use super::path::PathElement;
use super::set::Set;
use super::typed::{Case, Ty};
use super::value::equal;
use serde_json::{Map, Value};

/// The paths that came, went and hold another value. A path that came or went is named together with all below it.
#[derive(Debug, Default)]
pub(in crate::patch) struct Comparison<'a> {
    pub(in crate::patch) removed: Set<'a>,
    pub(in crate::patch) modified: Set<'a>,
    pub(in crate::patch) added: Set<'a>,
}

impl<'a> Comparison<'a> {
    /// Leaves these paths and everything below them out.
    pub(in crate::patch) fn without(self, paths: &Set<'_>) -> Self {
        if paths.is_empty() {
            return self;
        }
        Self {
            removed: self.removed.recursive_difference(paths),
            modified: self.modified.recursive_difference(paths),
            added: self.added.recursive_difference(paths),
        }
    }

    fn push(&mut self, element: PathElement<'a>, found: Found<'a>) {
        self.removed.push(element.clone(), found.removed, found.below.removed);
        self.modified.push(element.clone(), found.modified, found.below.modified);
        self.added.push(element, found.added, found.below.added);
    }

    fn join(self, other: Self) -> Self {
        Self {
            removed: self.removed.union(other.removed),
            modified: self.modified.union(other.modified),
            added: self.added.union(other.added),
        }
    }
}

/// What happened at one place and below it.
#[derive(Default)]
struct Found<'a> {
    removed: bool,
    modified: bool,
    added: bool,
    below: Comparison<'a>,
}

/// Compares an old and a new value of a type.
pub(in crate::patch) fn compare<'v, 'a: 'v>(old: &'v Value, new: &'v Value, ty: Ty<'a>) -> Comparison<'v> {
    walk(Some(old), Some(new), ty).below
}

fn walk<'v, 'a: 'v>(old: Option<&'v Value>, new: Option<&'v Value>, ty: Ty<'a>) -> Found<'v> {
    let (before, after) = (old.map(|v| ty.case(v)), new.map(|v| ty.case(v)));
    let mut found = Found { added: old.is_none(), removed: new.is_none(), ..Found::default() };
    if let Some(case) = before.or(after) {
        form(old, new, ty, case, &mut found);
    }
    // A value that changes its form is compared once as what it was and once as what it is.
    if let Some(case) = after.filter(|a| before.is_some_and(|b| b != *a)) {
        form(old, new, ty, case, &mut found);
    }
    found
}

fn form<'v, 'a: 'v>(old: Option<&'v Value>, new: Option<&'v Value>, ty: Ty<'a>, case: Case, found: &mut Found<'v>) {
    if !ty.is_atomic(case) {
        let below = match case {
            Case::Map => members(object(old), object(new), ty),
            _ => items(array(old), array(new), ty),
        };
        if let Some(below) = below {
            found.below = std::mem::take(&mut found.below).join(below);
            return;
        }
    }
    found.modified |= matches!((old, new), (Some(a), Some(b)) if !equal(a, b));
}

fn object(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object).filter(|m| !m.is_empty())
}

fn array(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `None` when both sides are empty: then the place is a leaf, which keeps null and empty apart.
fn members<'v, 'a: 'v>(
    old: Option<&'v Map<String, Value>>,
    new: Option<&'v Map<String, Value>>,
    ty: Ty<'a>,
) -> Option<Comparison<'v>> {
    if old.is_none() && new.is_none() {
        return None;
    }
    let mut out = Comparison::default();
    let mut right = new.into_iter().flatten().peekable();
    let mut visit = |name: &'v str, old, new| {
        let found = walk(old, new, ty.field(name).unwrap_or(Ty::Deduced));
        out.push(PathElement::Field(name), found);
    };
    for (name, value) in old.into_iter().flatten() {
        while let Some((name, value)) = right.next_if(|(r, _)| *r < name) {
            visit(name, None, Some(value));
        }
        let same = right.next_if(|(r, _)| *r == name).map(|(_, v)| v);
        visit(name, Some(value), same);
    }
    for (name, value) in right {
        visit(name, None, Some(value));
    }
    Some(out)
}

/// Items with their elements, sorted; items without one are passed over, as validation has refused them.
fn index<'v, 'a: 'v>(items: &'v [Value], ty: Ty<'a>) -> Vec<(PathElement<'v>, &'v Value)> {
    let mut out: Vec<_> = items.iter().filter_map(|item| Some((ty.element(item).ok()?, item))).collect();
    out.sort_by(|a, b| a.0.order(&b.0));
    out
}

fn items<'v, 'a: 'v>(old: &'v [Value], new: &'v [Value], ty: Ty<'a>) -> Option<Comparison<'v>> {
    if old.is_empty() && new.is_empty() {
        return None;
    }
    let (old, new) = (index(old, ty), index(new, ty));
    let (mut left, mut right) = (old.as_slice(), new.as_slice());
    let mut out = Comparison::default();
    while let Some(element) = first_of(left, right).cloned() {
        let (was, is);
        (was, left) = take_same(left, &element);
        (is, right) = take_same(right, &element);
        out.push(element, item(was, is, ty.item()));
    }
    Some(out)
}

type Items<'i, 'v> = &'i [(PathElement<'v>, &'v Value)];

fn first_of<'i, 'v>(left: Items<'i, 'v>, right: Items<'i, 'v>) -> Option<&'i PathElement<'v>> {
    match (left.first(), right.first()) {
        (Some(l), Some(r)) => Some(if r.0.order(&l.0).is_lt() { &r.0 } else { &l.0 }),
        (l, r) => l.or(r).map(|i| &i.0),
    }
}

fn take_same<'i, 'v>(items: Items<'i, 'v>, element: &PathElement<'_>) -> (Items<'i, 'v>, Items<'i, 'v>) {
    items.split_at(items.iter().take_while(|i| i.0.order(element).is_eq()).count())
}

/// Twins (items with one element) are one leaf together.
fn item<'v, 'a: 'v>(was: Items<'_, 'v>, is: Items<'_, 'v>, ty: Ty<'a>) -> Found<'v> {
    match (was, is) {
        ([], [one]) => walk(None, Some(one.1), ty),
        ([one], []) => walk(Some(one.1), None, ty),
        ([a], [b]) => walk(Some(a.1), Some(b.1), ty),
        ([] | [_], _) => {
            let gone = was.first().map_or_else(Found::default, |one| walk(Some(one.1), None, ty));
            Found { added: true, ..gone }
        }
        (_, [] | [_]) => {
            let came = is.first().map_or_else(Found::default, |one| walk(None, Some(one.1), ty));
            Found { removed: true, ..came }
        }
        _ => {
            let same = was.len() == is.len() && was.iter().zip(is).all(|(a, b)| equal(a.1, b.1));
            Found { modified: !same, ..Found::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::path::print;
    use super::*;
    use rehearsal_apimachinery::{Catalog, GroupVersionKind};
    use serde_json::json;

    fn printed(set: &Set<'_>) -> Vec<String> {
        let mut out = Vec::new();
        set.each(&mut |p| out.push(print(p)));
        out
    }

    /// Removed, modified, added.
    fn changes(old: &Value, new: &Value, ty: Ty<'_>) -> [Vec<String>; 3] {
        let c = compare(old, new, ty);
        [printed(&c.removed), printed(&c.modified), printed(&c.added)]
    }

    fn pod() -> Ty<'static> {
        let catalog = Catalog::builtin();
        super::super::Schema::new(&catalog.types, catalog.type_of(&GroupVersionKind::new("", "v1", "Pod"))).ty()
    }

    fn with_containers(containers: &Value) -> Value {
        json!({"spec": {"containers": containers}})
    }

    #[test]
    fn what_comes_comes_with_its_parents_and_children() {
        let old = json!({"a": {"x": 1}, "same": [1]});
        let new = json!({"a": {"x": 2}, "b": {"c": {"d": null}}, "same": [1]});
        let want = [vec![], vec![".a.x"], vec![".b", ".b.c", ".b.c.d"]];
        assert_eq!(changes(&old, &new, Ty::Deduced).map(|v| v.join(" ")), want.map(|v| v.join(" ")));
    }

    #[test]
    fn null_and_empty_differ_and_a_new_form_is_a_change_of_both_forms() {
        assert_eq!(changes(&json!({"a": null}), &json!({"a": {}}), Ty::Deduced)[1], [".a"]);
        let [removed, modified, added] = changes(&json!({"a": {"x": 1}}), &json!({"a": "s"}), Ty::Deduced);
        assert_eq!((removed, modified, added), (vec![".a.x".to_owned()], vec![".a".to_owned()], vec![]));
    }

    #[test]
    fn items_are_compared_with_their_namesakes_whatever_the_order() {
        let old = with_containers(&json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]));
        let new = with_containers(&json!([{"name": "b", "image": "2"}, {"name": "a", "image": "1"}]));
        let [removed, modified, added] = changes(&old, &new, pod());
        assert_eq!((removed.len(), added.len()), (0, 0));
        assert_eq!(modified, [".spec.containers[name=\"b\"].image"]);
    }

    #[test]
    fn twins_are_one_leaf() {
        let one = with_containers(&json!([{"name": "a", "image": "1"}]));
        let two = with_containers(&json!([{"name": "a", "image": "1"}, {"name": "a", "image": "2"}]));
        let item = ".spec.containers[name=\"a\"]";
        let below = [format!("{item}.image"), format!("{item}.name")];
        let [removed, _, added] = changes(&one, &two, pod());
        assert_eq!((&removed[1..], added), (&below[..], vec![item.to_owned()]));
        let [removed, _, added] = changes(&two, &one, pod());
        assert_eq!((removed, &added[1..]), (vec![item.to_owned()], &below[..]));
        assert_eq!(changes(&two, &two, pod()).concat(), Vec::<String>::new());
    }
}
