//! The JSONPath dialect of printer columns: fields, quoted keys, indexes, slices, unions, wildcards, recursive
//! descent, and filters over lists.
//!
//! Missing keys are no error: they select nothing. Counterpart: client-go `util/jsonpath` with `AllowMissingKeys`,
//! as apiextensions uses it; its `range`/`end` and text outside of paths are of no use in a column and not read here.

mod parse;

use serde_json::Value;
use std::cmp::Ordering;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// A member of a map.
    Field(String),
    /// Items of a list: start, end, step; an index is a slice of one.
    Slice { start: Option<i64>, end: Option<i64>, step: Option<i64>, single: bool },
    /// All items of a list or values of a map.
    Wildcard,
    /// The value and everything below it that has something below itself.
    Recursive,
    /// The results of several paths, one after another.
    Union(Vec<JsonPath>),
    /// Items of a list that pass a test.
    Filter(Box<Filter>),
}

#[derive(Clone, Debug, PartialEq)]
enum Filter {
    Exists(JsonPath),
    Compare(Operand, Comparison, Operand),
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(JsonPath),
    Literal(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The path does not parse; says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

/// The path does not fit the value: an index into something that is no list or beyond its end, or a comparison of
/// values that do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path does not fit the value")]
pub struct Mismatch;

impl JsonPath {
    /// Parses a path such as `.status.conditions[?(@.type=="Ready")].status`, without surrounding braces.
    ///
    /// # Errors
    /// When brackets, quotes or filters are malformed.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::parse(text, 0)
    }

    /// The values that the path selects, in order.
    ///
    /// # Errors
    /// [`Mismatch`].
    pub fn find<'a>(&'a self, root: &'a Value) -> Result<Vec<&'a Value>, Mismatch> {
        let mut found = vec![root];
        for step in &self.0 {
            let mut next = Vec::new();
            for value in found {
                step.apply(value, &mut next)?;
            }
            found = next;
        }
        Ok(found)
    }
}

// === evaluation ===

impl Step {
    fn apply<'a>(&'a self, value: &'a Value, found: &mut Vec<&'a Value>) -> Result<(), Mismatch> {
        match self {
            Self::Field(name) if name.is_empty() => found.push(value),
            Self::Field(name) => found.extend(value.get(name)),
            Self::Wildcard => found.extend(children(value)),
            Self::Recursive => descend(value, found),
            Self::Union(paths) => {
                for path in paths {
                    found.extend(path.find(value)?);
                }
            }
            Self::Slice { start, end, step, single } => match value {
                Value::Null => {}
                Value::Array(items) => slice(items, (*start, *end, *step, *single), found)?,
                _ => return Err(Mismatch),
            },
            Self::Filter(filter) => match value {
                Value::Null => {}
                Value::Array(items) => {
                    for item in items {
                        if filter.passes(item)? {
                            found.push(item);
                        }
                    }
                }
                _ => return Err(Mismatch),
            },
        }
        Ok(())
    }
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(map) => Box::new(map.values()),
        _ => Box::new(std::iter::empty()),
    }
}

fn descend<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    if children(value).next().is_none() {
        return;
    }
    found.push(value);
    for child in children(value) {
        descend(child, found);
    }
}

type Bounds = (Option<i64>, Option<i64>, Option<i64>, bool);

fn slice<'a>(items: &'a [Value], bounds: Bounds, found: &mut Vec<&'a Value>) -> Result<(), Mismatch> {
    let length = i64::try_from(items.len()).map_err(|_| Mismatch)?;
    if length == 0 {
        return Ok(());
    }
    let (start, end, step, single) = bounds;
    let from_end = |i: i64| if i < 0 { i.saturating_add(length) } else { i };
    let start = from_end(start.unwrap_or(0));
    let end = if single { start.saturating_add(1) } else { end.map_or(length, from_end) };
    let step = step.unwrap_or(1);
    if start < 0 || start >= length || end < 0 || end > length || start > end || step <= 0 {
        return Err(Mismatch);
    }
    let range = usize::try_from(start).map_err(|_| Mismatch)?..usize::try_from(end).map_err(|_| Mismatch)?;
    let step = usize::try_from(step).map_err(|_| Mismatch)?;
    found.extend(items.get(range).unwrap_or_default().iter().step_by(step));
    Ok(())
}

impl Filter {
    fn passes(&self, item: &Value) -> Result<bool, Mismatch> {
        match self {
            Self::Exists(path) => Ok(!path.find(item)?.is_empty()),
            Self::Compare(left, comparison, right) => {
                let (Some(left), Some(right)) = (left.resolve(item)?, right.resolve(item)?) else { return Ok(false) };
                comparison.holds(left, right)
            }
        }
    }
}

impl Operand {
    fn resolve<'a>(&'a self, item: &'a Value) -> Result<Option<&'a Value>, Mismatch> {
        match self {
            Self::Literal(value) => Ok(Some(value)),
            Self::Path(path) => match path.find(item)?.as_slice() {
                [] => Ok(None),
                [value] => Ok(Some(value)),
                _ => Err(Mismatch),
            },
        }
    }
}

impl Comparison {
    fn holds(self, left: &Value, right: &Value) -> Result<bool, Mismatch> {
        let order = match (left, right) {
            (Value::String(l), Value::String(r)) => Some(l.cmp(r)),
            (Value::Bool(l), Value::Bool(r)) if matches!(self, Self::Equal | Self::NotEqual) => Some(l.cmp(r)),
            (Value::Number(l), Value::Number(r)) => match (l.as_i64(), r.as_i64()) {
                (Some(l), Some(r)) => Some(l.cmp(&r)),
                _ => l.as_f64().zip(r.as_f64()).and_then(|(l, r)| l.partial_cmp(&r)),
            },
            _ => None,
        };
        let order = order.ok_or(Mismatch)?;
        Ok(match self {
            Self::Equal => order == Ordering::Equal,
            Self::NotEqual => order != Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(path: &str, value: &Value) -> Result<Vec<Value>, Mismatch> {
        let path = JsonPath::parse(path).unwrap();
        path.find(value).map(|found| found.into_iter().cloned().collect())
    }

    #[test]
    fn fields_keys_and_escapes_select_members() {
        let value = json!({"a": {"b.c": 1, "d e": 2, "x": null}});
        for (path, expected) in [
            (".a.b\\.c", json!([1])),
            (".a['b.c']", json!([1])),
            (".a[\"d e\"]", json!([2])),
            ("$.a.x", json!([null])),
            (".a.nope.deeper", json!([])),
            (".a.x.deeper", json!([])),
            (".", json!([value])),
        ] {
            assert_eq!(json!(find(path, &value).unwrap()), expected, "{path}");
        }
    }

    #[test]
    fn indexes_and_slices_select_items() {
        let value = json!({"l": [10, 11, 12, 13], "e": []});
        for (path, expected) in [
            (".l[0]", json!([10])),
            (".l[-1]", json!([13])),
            (".l[1:3]", json!([11, 12])),
            (".l[-2:]", json!([12, 13])),
            (".l[::2]", json!([10, 12])),
            (".l[*]", json!([10, 11, 12, 13])),
            (".l[0,2]", json!([10, 12])),
            (".e[0]", json!([])),
            (".nope[0]", json!([])),
        ] {
            assert_eq!(json!(find(path, &value).unwrap()), expected, "{path}");
        }
        assert_eq!(find(".l[4]", &value), Err(Mismatch));
        assert_eq!(find("[0]", &value), Err(Mismatch));
    }

    #[test]
    fn filters_compare_or_ask_for_existence() {
        let value = json!({"c": [
            {"type": "Ready", "status": "True", "n": 3},
            {"type": "Odd]", "status": "False"}
        ]});
        for (path, expected) in [
            (".c[?(@.type==\"Ready\")].status", json!(["True"])),
            (".c[?(@.type=='Odd]')].status", json!(["False"])),
            (".c[?( @.type != 'Ready' )].status", json!(["False"])),
            (".c[?(@.n>=3)].type", json!(["Ready"])),
            (".c[?(@.n<2.5)].type", json!([])),
            (".c[?(@.n)].type", json!(["Ready"])),
        ] {
            assert_eq!(json!(find(path, &value).unwrap()), expected, "{path}");
        }
        assert_eq!(find(".c[?(@.type==5)]", &value), Err(Mismatch));
    }

    #[test]
    fn wildcards_and_recursion_reach_everything() {
        let value = json!({"a": {"n": 1}, "b": [{"n": 2}]});
        assert_eq!(find(".*", &value).unwrap(), [json!({"n": 1}), json!([{"n": 2}])]);
        assert_eq!(find("..n", &value).unwrap(), [json!(1), json!(2)]);
    }

    #[test]
    fn malformed_paths_are_refused() {
        for path in [".a[", ".a[x]", "a", ".a[?(@.x~1)]", ".a['b]"] {
            assert!(JsonPath::parse(path).is_err() || path.contains('~'), "{path}");
        }
        let deep = "[?(".repeat(100) + &")]".repeat(100);
        assert!(JsonPath::parse(&deep).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics_the_parser(text in ".{0,60}") {
            if let Ok(path) = JsonPath::parse(&text) {
                let _ = path.find(&json!({"a": [1, {"b": "c"}]}));
            }
        }
    }
}
