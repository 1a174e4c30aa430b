//! JSONPath (RFC 9535), and as kubectl writes it in braces: paths that select members of an object, and filter
//! expressions about it.
//!
//! Without regular expressions, and with two bounds that a plan must not be able to break: expressions nest
//! [`MOST_NESTED`] deep, and one evaluation looks at no more than [`MOST_STEPS`] nodes. What runs out matches nothing.

mod eval;
mod parse;

use serde_json::Value;

/// How deep brackets and parentheses nest.
const MOST_NESTED: usize = 8;
/// How many nodes one evaluation looks at.
const MOST_STEPS: usize = 100_000;
/// How long an expression is, in bytes.
const MOST_BYTES: usize = 4096;

/// A path that selects any number of nodes of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JsonPath(Query);

impl JsonPath {
    /// Whether a text is meant as a path: `$.spec.replicas`, `{.spec.replicas}`.
    pub(crate) fn is_meant(text: &str) -> bool {
        text.trim_start().starts_with(['$', '{'])
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        parse::path(text).map(Self)
    }

    /// Whether the path selects a node that is `wanted`.
    pub(crate) fn any(&self, object: &Value, wanted: impl FnMut(&Value) -> bool) -> bool {
        eval::any(&self.0, object, wanted)
    }
}

/// A condition on an object, which is `@` and `$` alike: `@.spec.replicas > 3 && @.status.phase == "Running"`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter(Expression);

impl Filter {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        parse::filter(text).map(Self)
    }

    pub(crate) fn holds(&self, object: &Value) -> bool {
        eval::holds(&self.0, object)
    }
}

/// Where a query begins, and its steps.
#[derive(Debug, Clone, PartialEq)]
struct Query {
    from_root: bool,
    segments: Vec<Segment>,
}

impl Query {
    /// Whether it can select one node at most.
    fn is_singular(&self) -> bool {
        let one = |segment: &Segment| matches!(segment.selectors.as_slice(), [Selector::Name(_) | Selector::Index(_)]);
        self.segments.iter().all(|segment| !segment.deep && one(segment))
    }
}

/// One step: to children, or to all descendants.
#[derive(Debug, Clone, PartialEq)]
struct Segment {
    deep: bool,
    selectors: Vec<Selector>,
}

#[derive(Debug, Clone, PartialEq)]
enum Selector {
    Name(String),
    Wildcard,
    Index(i64),
    Slice { start: Option<i64>, end: Option<i64>, step: i64 },
    Filter(Expression),
}

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Not(Box<Expression>),
    Exists(Query),
    Compare(Operand, Comparison, Operand),
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Literal(Value),
    /// The one node that a singular query selects.
    Value(Query),
    /// `length(…)`: of a text in characters, of a list or a map in members.
    Length(Box<Operand>),
    /// `count(…)`: how many nodes a query selects.
    Count(Query),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

#[cfg(test)]
mod tests;
