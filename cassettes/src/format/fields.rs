//! Taking a parsed document apart, field by field, so that every mistake knows its path and nothing unknown is lost.

use super::model::Extra;
use super::tree::Tree;
use std::fmt;

/// A step into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Item(usize),
}

/// What is wrong, and where in the document.
#[derive(Clone, Debug)]
pub(super) struct Wrong {
    /// Outermost last: steps are added on the way out.
    steps: Vec<Step>,
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { steps: Vec::new(), message: message.into() }
    }

    pub(super) fn at(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Steps from the root.
    pub(super) fn path(&self) -> Vec<Step> {
        self.steps.iter().rev().cloned().collect()
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().rev().enumerate() {
            match step {
                Step::Key(key) if at == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(index) => write!(f, "[{index}]")?,
            }
        }
        write!(f, "{}{}", if self.steps.is_empty() { "" } else { ": " }, self.message)
    }
}

/// What a tree is, for messages.
fn shape(tree: &Tree) -> String {
    match tree {
        Tree::Null => "nothing".into(),
        Tree::Bool(b) => b.to_string(),
        Tree::Int(int) => int.to_string(),
        Tree::Uint(uint) => uint.to_string(),
        Tree::Float(number) => super::emit::float(*number),
        Tree::Text(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
        Tree::List(_) => "a list".into(),
        Tree::Map(_) => "a map".into(),
    }
}

fn expected(what: &str, found: &Tree) -> Wrong {
    Wrong::new(format!("expected {what}, found {}", shape(found)))
}

/// What a field can be read as.
pub(super) trait FromTree: Sized {
    fn from_tree(tree: Tree) -> Result<Self, Wrong>;
}

impl FromTree for Tree {
    fn from_tree(tree: Tree) -> Result<Self, Wrong> {
        Ok(tree)
    }
}

impl FromTree for String {
    fn from_tree(tree: Tree) -> Result<Self, Wrong> {
        match tree {
            Tree::Text(text) => Ok(text),
            other => Err(expected("a text", &other)),
        }
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl FromTree for $type {
            fn from_tree(tree: Tree) -> Result<Self, Wrong> {
                let found = match &tree {
                    Tree::Int(int) => Self::try_from(*int).ok(),
                    Tree::Uint(uint) => Self::try_from(*uint).ok(),
                    _ => None,
                };
                found.ok_or_else(|| expected(
                    &format!("a whole number from {} to {}", Self::MIN, Self::MAX), &tree))
            }
        }
    )*};
}

whole_numbers!(u16, u32, u64, i16);

impl<T: FromTree> FromTree for Vec<T> {
    fn from_tree(tree: Tree) -> Result<Self, Wrong> {
        match tree {
            Tree::List(items) => items
                .into_iter()
                .enumerate()
                .map(|(at, item)| T::from_tree(item).map_err(|wrong| wrong.at(Step::Item(at))))
                .collect(),
            other => Err(expected("a list", &other)),
        }
    }
}

/// The members of a map that are yet to be read.
pub(super) struct Fields(Vec<Option<(String, Tree)>>);

impl Fields {
    pub(super) fn of(tree: Tree) -> Result<Self, Wrong> {
        match tree {
            Tree::Map(entries) => Ok(Self(entries.into_iter().map(Some).collect())),
            other => Err(expected("a map", &other)),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().flatten().any(|(k, _)| k == key)
    }

    /// Takes a member out.
    pub(super) fn take(&mut self, key: &str) -> Option<Tree> {
        let slot = self.0.iter_mut().find(|slot| slot.as_ref().is_some_and(|(k, _)| k == key))?;
        slot.take().map(|(_, value)| value)
    }

    /// A member by a reader of its own; the default where it is absent.
    pub(super) fn with<T: Default>(
        &mut self,
        key: &str,
        read: impl FnOnce(Tree) -> Result<T, Wrong>,
    ) -> Result<T, Wrong> {
        Ok(self.maybe(key, read)?.unwrap_or_default())
    }

    pub(super) fn maybe<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(Tree) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Wrong> {
        let found = self.take(key).map(read).transpose();
        found.map_err(|wrong| wrong.at(Step::Key(key.to_owned())))
    }

    /// A member that may be absent.
    pub(super) fn optional<T: FromTree>(&mut self, key: &str) -> Result<Option<T>, Wrong> {
        self.maybe(key, T::from_tree)
    }

    /// A member whose absence is its default.
    pub(super) fn or_default<T: FromTree + Default>(&mut self, key: &str) -> Result<T, Wrong> {
        self.with(key, T::from_tree)
    }

    /// A member that must be there.
    pub(super) fn required<T: FromTree>(&mut self, key: &str) -> Result<T, Wrong> {
        self.optional(key)?.ok_or_else(|| Wrong::new(format!("{key} is missing")))
    }

    /// What was not read, in order.
    pub(super) fn rest(self) -> Extra {
        self.0.into_iter().flatten().collect()
    }

    /// Refuses what was not read, where leaving it would change what is meant.
    pub(super) fn closed(self) -> Result<(), Wrong> {
        match self.0.into_iter().flatten().next() {
            None => Ok(()),
            Some((key, _)) => Err(Wrong::new("is not known here").at(Step::Key(key))),
        }
    }
}
