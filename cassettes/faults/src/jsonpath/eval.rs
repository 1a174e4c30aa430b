//! Walks an object along a path. Every node that is looked at costs a step, long texts cost more; when the steps run
//! out, nothing matches.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{Comparison, Expression, MOST_STEPS, Operand, Query, Segment, Selector};

/// Beyond this many levels of an object nothing is looked for; no server takes one that is as deep.
const MOST_LEVELS: usize = 256;
/// So many bytes of a text are read in one step.
const BYTES_A_STEP: usize = 64;

/// Whether a query selects a node that is `wanted`.
pub(super) fn any(query: &Query, object: &Value, mut wanted: impl FnMut(&Value) -> bool) -> bool {
    let mut walk = Walk { root: object, steps: MOST_STEPS };
    let found = walk.query(query, object, &mut |node| wanted(node));
    found && walk.steps > 0
}

/// Whether an expression holds of an object.
pub(super) fn holds(expression: &Expression, object: &Value) -> bool {
    let mut walk = Walk { root: object, steps: MOST_STEPS };
    let holds = walk.holds(expression, object);
    holds && walk.steps > 0
}

struct Walk<'v> {
    root: &'v Value,
    steps: usize,
}

/// Told of each selected node; says whether that was enough.
type Found<'f, 'v> = &'f mut dyn FnMut(&'v Value) -> bool;

impl<'v> Walk<'v> {
    /// Whether there were steps left.
    fn spend(&mut self, steps: usize) -> bool {
        self.steps = self.steps.saturating_sub(steps);
        self.steps > 0
    }

    // === paths ===

    fn query(&mut self, query: &'v Query, current: &'v Value, found: Found<'_, 'v>) -> bool {
        let start = if query.from_root { self.root } else { current };
        self.segments(&query.segments, start, found)
    }

    fn segments(&mut self, segments: &'v [Segment], node: &'v Value, found: Found<'_, 'v>) -> bool {
        if !self.spend(1) {
            // Out of steps counts as enough, so that the walk ends; who asked looks at the steps too.
            return true;
        }
        match segments.split_first() {
            None => found(node),
            Some((segment, rest)) if segment.deep => self.descend(segment, rest, node, MOST_LEVELS, found),
            Some((segment, rest)) => self.children(segment, rest, node, found),
        }
    }

    fn descend(
        &mut self,
        segment: &'v Segment,
        rest: &'v [Segment],
        node: &'v Value,
        levels: usize,
        found: Found<'_, 'v>,
    ) -> bool {
        if !self.spend(1) || self.children(segment, rest, node, found) {
            return true;
        }
        let Some(levels) = levels.checked_sub(1) else { return false };
        let mut deeper = |child| self.descend(segment, rest, child, levels, &mut *found);
        match node {
            Value::Array(items) => items.iter().any(&mut deeper),
            Value::Object(members) => members.values().any(&mut deeper),
            _ => false,
        }
    }

    fn children(&mut self, segment: &'v Segment, rest: &'v [Segment], node: &'v Value, found: Found<'_, 'v>) -> bool {
        segment.selectors.iter().any(|selector| self.select(selector, rest, node, &mut *found))
    }

    fn select(&mut self, selector: &'v Selector, rest: &'v [Segment], node: &'v Value, found: Found<'_, 'v>) -> bool {
        let mut step = |walk: &mut Self, child| walk.segments(rest, child, &mut *found);
        match (selector, node) {
            (Selector::Name(name), Value::Object(members)) => members.get(name).is_some_and(|child| step(self, child)),
            (Selector::Index(index), Value::Array(items)) => {
                position(*index, items.len()).and_then(|n| items.get(n)).is_some_and(|child| step(self, child))
            }
            (Selector::Wildcard, Value::Object(members)) => members.values().any(|child| step(self, child)),
            (Selector::Wildcard, Value::Array(items)) => items.iter().any(|child| step(self, child)),
            (Selector::Slice { start, end, step: by }, Value::Array(items)) => {
                let mut children = slice(items.len(), *start, *end, *by).filter_map(|n| items.get(n));
                children.any(|child| step(self, child))
            }
            (Selector::Filter(wanted), Value::Object(members)) => {
                members.values().any(|child| self.holds(wanted, child) && step(self, child))
            }
            (Selector::Filter(wanted), Value::Array(items)) => {
                items.iter().any(|child| self.holds(wanted, child) && step(self, child))
            }
            _ => false,
        }
    }

    // === expressions ===

    fn holds(&mut self, expression: &'v Expression, node: &'v Value) -> bool {
        match expression {
            _ if !self.spend(1) => false,
            Expression::Any(parts) => parts.iter().any(|part| self.holds(part, node)),
            Expression::All(parts) => parts.iter().all(|part| self.holds(part, node)),
            Expression::Not(part) => !self.holds(part, node),
            Expression::Exists(query) => self.query(query, node, &mut |_| true),
            Expression::Compare(left, comparison, right) => {
                let (left, right) = (self.operand(left, node), self.operand(right, node));
                self.compare(left.as_deref(), *comparison, right.as_deref())
            }
        }
    }

    fn operand(&mut self, operand: &'v Operand, node: &'v Value) -> Option<Cow<'v, Value>> {
        match operand {
            Operand::Literal(value) => Some(Cow::Borrowed(value)),
            Operand::Value(query) => {
                let mut value = None;
                self.query(query, node, &mut |found| {
                    value = Some(Cow::Borrowed(found));
                    true
                });
                value
            }
            Operand::Length(operand) => {
                let length = match &*self.operand(operand, node)? {
                    Value::String(text) => {
                        self.spend(text.len() / BYTES_A_STEP);
                        text.chars().count()
                    }
                    Value::Array(items) => items.len(),
                    Value::Object(members) => members.len(),
                    _ => return None,
                };
                Some(Cow::Owned(Value::from(length)))
            }
            Operand::Count(query) => {
                let mut count = 0_u64;
                self.query(query, node, &mut |_| {
                    count += 1;
                    false
                });
                Some(Cow::Owned(Value::from(count)))
            }
        }
    }

    /// Two values that are not there are equal; there is no order but among numbers and among texts.
    fn compare(&mut self, left: Option<&Value>, comparison: Comparison, right: Option<&Value>) -> bool {
        let equal = match (left, right) {
            (None, None) => true,
            (Some(left), Some(right)) => self.equal(left, right),
            _ => false,
        };
        let order = || match (left?, right?) {
            (Value::Number(left), Value::Number(right)) => order(left, right),
            (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            _ => None,
        };
        match comparison {
            Comparison::Equal => equal,
            Comparison::Unequal => !equal,
            Comparison::Less => order() == Some(Ordering::Less),
            Comparison::Greater => order() == Some(Ordering::Greater),
            Comparison::AtMost => equal || order() == Some(Ordering::Less),
            Comparison::AtLeast => equal || order() == Some(Ordering::Greater),
        }
    }

    fn equal(&mut self, left: &Value, right: &Value) -> bool {
        if !self.spend(1) {
            return false;
        }
        match (left, right) {
            (Value::Number(left), Value::Number(right)) => order(left, right) == Some(Ordering::Equal),
            (Value::String(left), Value::String(right)) => {
                self.spend(left.len().min(right.len()) / BYTES_A_STEP);
                left == right
            }
            (Value::Array(left), Value::Array(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| self.equal(left, right))
            }
            (Value::Object(left), Value::Object(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| self.equal(left, right)))
            }
            (left, right) => left == right,
        }
    }
}

/// 1 and 1.0 are one number; whole numbers are compared exactly.
fn order(left: &Number, right: &Number) -> Option<Ordering> {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// Negative indices count from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    let back = || length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
    if index < 0 { back() } else { usize::try_from(index).ok() }
}

/// The indices of a slice: as in Python, up to and without `end`, none for a step of 0.
fn slice(length: usize, start: Option<i64>, end: Option<i64>, step: i64) -> impl Iterator<Item = usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let bound = |n: i64| if n < 0 { length.saturating_add(n) } else { n };
    // From `first` on; a backward slice begins and ends one before a forward one.
    let (first, last) = if step >= 0 {
        (bound(start.unwrap_or(0)).clamp(0, length), bound(end.unwrap_or(length)).clamp(0, length))
    } else {
        let before = length.saturating_sub(1);
        (start.map_or(before, bound).clamp(-1, before), end.map_or(-1, bound).clamp(-1, before))
    };
    let inside = move |n: &i64| if step > 0 { *n < last } else { step < 0 && *n > last };
    let indices = std::iter::successors(Some(first), move |n| n.checked_add(step)).take_while(inside);
    indices.filter_map(|n| usize::try_from(n).ok())
}
