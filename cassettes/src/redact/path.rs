//! Where in a document something stands, and the JSONPath of a rule that may mean it: `$.data.password`,
//! `$['a.b'][0]`, `$.items[*]`, `$..token`. Filters, slices and scripts are refused.

use std::fmt;

/// A step from a value into one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Steps from the root, as text: `$.data['a.b'][0]`.
pub(super) fn print(steps: &[Step<'_>]) -> String {
    let mut out = "$".to_owned();
    for step in steps {
        match step {
            Step::Index(n) => out.push_str(&format!("[{n}]")),
            Step::Key(key) if !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                out.push('.');
                out.push_str(key);
            }
            Step::Key(key) => out.push_str(&format!("['{key}']")),
        }
    }
    out
}

/// A parsed JSONPath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonPath {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Key(String),
    Index(usize),
    Any,
    /// Any number of steps.
    Deep,
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl JsonPath {
    /// Reads a path; the error says what is wrong at which byte.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.trim().strip_prefix('$').ok_or_else(|| "a path begins with $".to_owned())?;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let at = text.len() - rest.len();
            if let Some(after) = rest.strip_prefix("..") {
                parts.push(Part::Deep);
                rest = after;
                if !rest.starts_with('[') {
                    rest = name(rest, &mut parts, at)?;
                }
            } else if let Some(after) = rest.strip_prefix('.') {
                rest = name(after, &mut parts, at)?;
            } else if let Some(after) = rest.strip_prefix('[') {
                rest = bracket(after, &mut parts, at)?;
            } else {
                return Err(format!("unexpected text at byte {at}"));
            }
        }
        Ok(Self { text: text.trim().to_owned(), parts })
    }

    pub(super) fn matches(&self, steps: &[Step<'_>]) -> bool {
        matches(&self.parts, steps)
    }
}

fn name<'a>(rest: &'a str, parts: &mut Vec<Part>, at: usize) -> Result<&'a str, String> {
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    match &rest[..end] {
        "" => return Err(format!("a name is missing at byte {at}")),
        "*" => parts.push(Part::Any),
        key => parts.push(Part::Key(key.to_owned())),
    }
    Ok(&rest[end..])
}

fn bracket<'a>(rest: &'a str, parts: &mut Vec<Part>, at: usize) -> Result<&'a str, String> {
    for quote in ['\'', '"'] {
        if let Some(inner) = rest.strip_prefix(quote) {
            let (key, after) =
                inner.split_once(&format!("{quote}]")).ok_or_else(|| format!("a bracket stays open at byte {at}"))?;
            parts.push(Part::Key(key.to_owned()));
            return Ok(after);
        }
    }
    let (inner, after) = rest.split_once(']').ok_or_else(|| format!("a bracket stays open at byte {at}"))?;
    match (inner.trim(), inner.trim().parse()) {
        ("*", _) => parts.push(Part::Any),
        (_, Ok(n)) => parts.push(Part::Index(n)),
        _ => return Err(format!("neither index, * nor quoted name at byte {at}")),
    }
    Ok(after)
}

fn matches(parts: &[Part], steps: &[Step<'_>]) -> bool {
    match (parts, steps) {
        ([], []) => true,
        ([Part::Deep, rest @ ..], _) => (0..=steps.len()).any(|n| matches(rest, &steps[n..])),
        ([part, parts @ ..], [step, steps @ ..]) => fits(part, *step) && matches(parts, steps),
        _ => false,
    }
}

fn fits(part: &Part, step: Step<'_>) -> bool {
    match (part, step) {
        (Part::Any, _) => true,
        (Part::Key(want), Step::Key(key)) => want == key,
        (Part::Index(want), Step::Index(n)) => *want == n,
        // The pointers of JSON patches do not tell members from items.
        (Part::Index(want), Step::Key(key)) => key.parse() == Ok(*want),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Step::{Index, Key};

    fn hit(path: &str, steps: &[Step<'_>]) -> bool {
        JsonPath::parse(path).unwrap().matches(steps)
    }

    #[test]
    fn paths_find_what_they_say() {
        assert!(hit("$.data.a", &[Key("data"), Key("a")]));
        assert!(!hit("$.data", &[Key("data"), Key("a")]));
        assert!(hit("$['data']['a.b'][0]", &[Key("data"), Key("a.b"), Index(0)]));
        assert!(hit("$.items[*].x", &[Key("items"), Index(7), Key("x")]));
        assert!(hit("$..token", &[Key("a"), Index(1), Key("token")]) && hit("$..token", &[Key("token")]));
        assert!(hit("$", &[]));
        assert_eq!(print(&[Key("data"), Key("a.b"), Index(0)]), "$.data['a.b'][0]");
    }

    #[test]
    fn nonsense_is_refused() {
        for path in ["data", "$.", "$x", "$[", "$[?(@.a)]", "$['a", "$.a..", "$[1:2]"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
