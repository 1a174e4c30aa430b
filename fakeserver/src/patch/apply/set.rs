//! A set of field paths, as a tree whose nodes are sorted by path element.
//!
//! Counterpart: structured-merge-diff `fieldpath.Set`, with members and children of a level kept in one list. A node
//! is a member of the set or has children, or both; empty nodes never stay.

use super::path::PathElement;
use std::cmp::Ordering;

/// A set of field paths.
#[derive(Clone, Debug, Default)]
pub(in crate::patch) struct Set<'a> {
    nodes: Vec<Node<'a>>,
}

/// One level of a path: whether the path that ends here is in the set, and what is below it.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) element: PathElement<'a>,
    pub(super) member: bool,
    pub(super) children: Set<'a>,
}

impl Node<'_> {
    fn is_dead(&self) -> bool {
        !self.member && self.children.is_empty()
    }
}

impl<'a> Set<'a> {
    /// A set of member paths written as names.
    pub(in crate::patch) fn of_fields(paths: impl IntoIterator<Item = impl IntoIterator<Item = &'a str>>) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<_> = path.into_iter().map(PathElement::Field).collect();
            set.insert(&path);
        }
        set
    }

    /// Whether no path is in the set.
    pub(in crate::patch) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    pub(super) fn nodes_mut(&mut self) -> &mut [Node<'a>] {
        &mut self.nodes
    }

    /// Adds a path. The empty path is nobody's.
    pub(in crate::patch) fn insert(&mut self, path: &[PathElement<'a>]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.descend(first.clone());
        if rest.is_empty() {
            node.member = true;
        } else {
            node.children.insert(rest);
        }
    }

    /// The node of an element, made where it is missing; the caller gives it life.
    fn descend(&mut self, element: PathElement<'a>) -> &mut Node<'a> {
        let at = match self.nodes.binary_search_by(|n| n.element.order(&element)) {
            Ok(at) => at,
            Err(at) => {
                self.nodes.insert(at, Node { element, member: false, children: Set::default() });
                at
            }
        };
        &mut self.nodes[at]
    }

    /// Adds a level unless it is empty; joins it with what is there under the same element.
    pub(super) fn push(&mut self, element: PathElement<'a>, member: bool, children: Set<'a>) {
        let node = Node { element, member, children };
        if node.is_dead() {
            return;
        }
        match self.nodes.last().map(|last| last.element.order(&node.element)) {
            None | Some(Ordering::Less) => self.nodes.push(node),
            _ => {
                let there = self.descend(node.element);
                there.member |= node.member;
                there.children = std::mem::take(&mut there.children).union(node.children);
            }
        }
    }

    /// What is below an element.
    pub(super) fn node(&self, element: &PathElement<'_>) -> Option<&Node<'a>> {
        self.nodes.binary_search_by(|n| n.element.order(element)).ok().map(|at| &self.nodes[at])
    }

    /// Whether the path is in the set.
    pub(in crate::patch) fn has(&self, path: &[PathElement<'_>]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        self.node(first).is_some_and(|n| if rest.is_empty() { n.member } else { n.children.has(rest) })
    }

    /// The paths of either set.
    pub(in crate::patch) fn union(self, other: Set<'a>) -> Self {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        let mut nodes = Vec::with_capacity(self.nodes.len() + other.nodes.len());
        let mut right = other.nodes.into_iter().peekable();
        for mut node in self.nodes {
            while let Some(before) = right.next_if(|r| r.element.order(&node.element).is_lt()) {
                nodes.push(before);
            }
            if let Some(same) = right.next_if(|r| r.element.order(&node.element).is_eq()) {
                node.member |= same.member;
                node.children = node.children.union(same.children);
            }
            nodes.push(node);
        }
        nodes.extend(right);
        Self { nodes }
    }

    /// The paths of both sets.
    pub(in crate::patch) fn intersection(&self, other: &Set<'_>) -> Self {
        let mut out = Self::default();
        self.zip(other, |node, same| {
            if let Some(same) = same {
                let children = node.children.intersection(&same.children);
                out.push(node.element.clone(), node.member && same.member, children);
            }
        });
        out
    }

    /// The paths of this set that are not in the other; paths below one that goes are not touched.
    pub(in crate::patch) fn difference(&self, other: &Set<'_>) -> Self {
        let mut out = Self::default();
        self.zip(other, |node, same| match same {
            None => out.nodes.push(node.clone()),
            Some(same) => {
                let children = node.children.difference(&same.children);
                out.push(node.element.clone(), node.member && !same.member, children);
            }
        });
        out
    }

    /// The paths of this set that neither are in the other nor lie below one that is.
    pub(in crate::patch) fn recursive_difference(&self, other: &Set<'_>) -> Self {
        let mut out = Self::default();
        self.zip(other, |node, same| match same {
            None => out.nodes.push(node.clone()),
            Some(same) if same.member => {}
            Some(same) => {
                let children = node.children.recursive_difference(&same.children);
                out.push(node.element.clone(), node.member, children);
            }
        });
        out
    }

    /// Calls `f` with every node of this level and the other set's node of the same element.
    fn zip<'s, 'o, 'b>(&'s self, other: &'o Set<'b>, mut f: impl FnMut(&'s Node<'a>, Option<&'o Node<'b>>)) {
        let mut right = other.nodes.iter().peekable();
        for node in &self.nodes {
            while right.next_if(|r| r.element.order(&node.element).is_lt()).is_some() {}
            f(node, right.next_if(|r| r.element.order(&node.element).is_eq()));
        }
    }

    /// Whether every path of this set is in the other.
    pub(super) fn is_subset(&self, other: &Set<'_>) -> bool {
        self.difference(other).is_empty()
    }

    /// Calls `f` with every path; the paths that end on a level come before those that go deeper.
    pub(in crate::patch) fn each(&self, f: &mut impl FnMut(&[PathElement<'a>])) {
        self.each_below(&mut Vec::new(), f);
    }

    fn each_below(&self, path: &mut Vec<PathElement<'a>>, f: &mut impl FnMut(&[PathElement<'a>])) {
        for node in self.nodes.iter().filter(|n| n.member) {
            path.push(node.element.clone());
            f(path);
            path.pop();
        }
        for node in &self.nodes {
            path.push(node.element.clone());
            node.children.each_below(path, f);
            path.pop();
        }
    }
}

impl PartialEq for Set<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.nodes.len() == other.nodes.len()
            && self
                .nodes
                .iter()
                .zip(&other.nodes)
                .all(|(a, b)| a.member == b.member && a.element.order(&b.element).is_eq() && a.children == b.children)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn printed(set: &Set<'_>) -> Vec<String> {
        let mut out = Vec::new();
        set.each(&mut |p| out.push(super::super::path::print(p)));
        out
    }

    fn set<'a>(paths: &'a [&'a str]) -> Set<'a> {
        Set::of_fields(paths.iter().map(|p| p.split('.')))
    }

    #[test]
    fn taking_a_parent_leaves_its_children_unless_recursive() {
        let all = set(&["a", "a.b", "a.b.c", "d"]);
        let parent = set(&["a.b"]);
        assert_eq!(printed(&all.difference(&parent)), [".a", ".d", ".a.b.c"]);
        assert_eq!(printed(&all.recursive_difference(&parent)), [".a", ".d"]);
        assert_eq!(printed(&all.intersection(&set(&["a.b.c", "a.x", "d.e"]))), [".a.b.c"]);
    }

    fn paths() -> impl Strategy<Value = Vec<Vec<usize>>> {
        prop::collection::vec(prop::collection::vec(0..3usize, 1..4), 0..12)
    }

    const NAMES: [&str; 3] = ["a", "b", "c"];

    fn build(paths: &[Vec<usize>]) -> Set<'static> {
        Set::of_fields(paths.iter().map(|p| p.iter().map(|i| NAMES[*i]).collect::<Vec<_>>()))
    }

    proptest! {
        #[test]
        fn sets_obey_the_algebra(a in paths(), b in paths()) {
            let (a, b) = (build(&a), build(&b));
            prop_assert_eq!(a.clone().union(b.clone()), b.clone().union(a.clone()));
            prop_assert_eq!(a.difference(&b).union(a.intersection(&b)), a.clone());
            prop_assert!(a.difference(&b).intersection(&b).is_empty());
            prop_assert!(a.intersection(&b).is_subset(&a));
            prop_assert!(a.recursive_difference(&b).is_subset(&a.difference(&b)));
        }
    }
}
