//! Why a plan is refused: every problem at once, each with its place in the file and, where one is near, a suggestion.

use std::fmt;

/// A refused plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", listed(.problems))]
pub struct PlanError {
    problems: Vec<Problem>,
}

impl PlanError {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// Every problem, in the order of the plan.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether one of the problems is of that kind.
    #[must_use]
    pub fn has(&self, kind: ProblemKind) -> bool {
        self.problems.iter().any(|problem| problem.kind == kind)
    }
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What is wrong with one place of a plan. Printed as `file:line:column: path: message; suggestion`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// What kind of problem.
    pub kind: ProblemKind,
    /// Where in the file; `None` for a plan that was built in code.
    pub place: Option<Place>,
    /// Where in the plan, such as `rules[1].when.nth`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

/// A place in a plan file. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the file.
    pub file: String,
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// The classes of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// Not YAML, or not of the shape of a plan.
    Syntax,
    /// A field, fault, knob or name that does not exist.
    Unknown,
    /// A value that its field cannot have.
    Value,
    /// Two parts that exclude each other.
    Contradiction,
    /// A matcher that nothing can meet.
    Impossible,
    /// A rule that can never fire.
    NeverFires,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { file, line, column }) = &self.place {
            write!(f, "{file}:{line}:{column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

/// A step from a node of a plan to one of its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// Where in a plan; its text is that of [`Problem::path`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Path(pub(crate) Vec<Step>);

impl Path {
    pub(crate) fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }

    /// The path of a rule.
    pub(crate) fn rule(index: usize) -> Self {
        Self::default().key("rules").index(index)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A problem before its place in the file is known.
#[derive(Debug, Clone)]
pub(crate) struct Complaint {
    pub(crate) kind: ProblemKind,
    pub(crate) path: Path,
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
}

impl Complaint {
    pub(crate) fn new(kind: ProblemKind, path: Path, message: impl Into<String>) -> Self {
        Self { kind, path, message: message.into(), suggestion: None }
    }

    pub(crate) fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }

    pub(crate) fn at(self, place: Option<Place>) -> Problem {
        let Self { kind, path, message, suggestion } = self;
        Problem { kind, place, path: path.to_string(), message, suggestion }
    }
}
