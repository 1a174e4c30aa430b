//! Where a walk is: the object it is in, and the chain of steps to the document's root.

use crate::redact::Class;
use crate::redact::kinds::{Row, Treatment};
use crate::redact::path::Step;
use crate::redact::policy::Rule;

/// A place where something was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::redact) struct Hit {
    /// As a JSONPath.
    pub(in crate::redact) path: String,
    /// Members and indices from the root.
    pub(in crate::redact) steps: Vec<String>,
    pub(in crate::redact) class: Class,
}

/// The object a place belongs to.
pub(super) struct Scope<'a> {
    pub(super) kind: String,
    pub(super) rows: &'static [Row],
    pub(super) rules: Vec<&'a Rule>,
}

/// A place in the document, as a chain to its root.
#[derive(Clone, Copy)]
pub(in crate::redact) struct Place<'a> {
    pub(super) parent: Option<&'a Place<'a>>,
    pub(super) step: Option<Step<'a>>,
    pub(super) scope: &'a Scope<'a>,
    /// The object of `scope` begins here.
    pub(super) root: bool,
}

impl<'a> Place<'a> {
    pub(super) fn down(&'a self, step: Step<'a>) -> Place<'a> {
        Place { parent: Some(self), step: Some(step), scope: self.scope, root: false }
    }

    /// Steps from the object's root, or from the document's.
    pub(super) fn steps(&self, whole: bool) -> Vec<Step<'a>> {
        let mut steps = Vec::new();
        let mut at = *self;
        while whole || !at.root {
            steps.extend(at.step);
            match at.parent {
                Some(parent) => at = *parent,
                None => break,
            }
        }
        steps.reverse();
        steps
    }

    /// The nearest member's name; items have their list's.
    pub(super) fn key(&self) -> &'a str {
        let mut at = *self;
        loop {
            match (at.step, at.parent) {
                (Some(Step::Key(key)), _) => return key,
                (_, Some(parent)) => at = *parent,
                _ => return "",
            }
        }
    }

    pub(super) fn treatment(&self) -> Option<Treatment> {
        if self.scope.rows.is_empty() || self.root {
            return None;
        }
        let steps = self.steps(false);
        let fits = |row: &&Row| {
            row.path.len() == steps.len()
                && row.path.iter().zip(&steps).all(|(want, step)| *want == "*" || *step == Step::Key(want))
        };
        self.scope.rows.iter().find(fits).map(|row| row.treatment)
    }
}
