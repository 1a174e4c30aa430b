//! Reading the text of a path into its steps.
//!
//! Counterpart: the parser of client-go `util/jsonpath`, less what a single path does not need.

use super::{Comparison, Filter, JsonPath, Operand, ParseError, Step};
use serde_json::Value;

/// Filters within filters beyond this depth are refused.
const MAX_NESTING: usize = 16;

/// Parses a path; `depth` counts the filters and unions around it.
pub(super) fn parse(text: &str, depth: usize) -> Result<JsonPath, ParseError> {
    if depth > MAX_NESTING {
        return Err(ParseError("filters nest too deeply".into()));
    }
    let mut steps = Vec::new();
    let mut rest = text.trim();
    if let Some(after) = rest.strip_prefix(['@', '$']) {
        rest = after;
    }
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("..") {
            steps.push(Step::Recursive);
            rest = if after.starts_with(['[', '.']) { after } else { field(after, &mut steps) };
        } else if let Some(after) = rest.strip_prefix('.') {
            rest = field(after, &mut steps);
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = bracket_end(after).ok_or_else(|| ParseError("unterminated array".into()))?;
            let (inside, after) = after.split_at(end);
            steps.push(bracket(inside.trim(), depth)?);
            rest = &after[1..];
        } else {
            return Err(ParseError(format!("unrecognized character in action: {}", first_char(rest))));
        }
    }
    Ok(JsonPath(steps))
}

fn first_char(text: &str) -> String {
    text.chars().next().map(|c| format!("U+{:04X} '{c}'", u32::from(c))).unwrap_or_default()
}

/// Reads a name up to the next unescaped terminator; a backslash takes the character after it literally.
fn field<'a>(text: &'a str, steps: &mut Vec<Step>) -> &'a str {
    let mut name = String::new();
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, escaped)| escaped)),
            ' ' | '.' | '[' | ']' => {
                end = at;
                break;
            }
            other => name.push(other),
        }
    }
    steps.push(if name == "*" { Step::Wildcard } else { Step::Field(name) });
    text[end..].trim_start()
}

/// Where the bracket closes, minding quotes and brackets within.
fn bracket_end(text: &str) -> Option<usize> {
    scan(text, |_, c, depth| c == ']' && depth == 0)
}

/// The first position outside of quotes that `stop` accepts; it is told the depth of open brackets.
fn scan(text: &str, mut stop: impl FnMut(usize, char, usize) -> bool) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if let Some(open) = quote {
            if c == open {
                quote = None;
            }
        } else if stop(at, c, depth) {
            return Some(at);
        } else {
            match c {
                '\'' | '"' => quote = Some(c),
                '[' | '(' => depth += 1,
                ']' | ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    None
}

fn bracket(inside: &str, depth: usize) -> Result<Step, ParseError> {
    if let Some(filter) = inside.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
        return Ok(Step::Filter(Box::new(parse_filter(filter.trim(), depth + 1)?)));
    }
    if let Some(comma) = scan(inside, |_, c, depth| c == ',' && depth == 0) {
        let mut paths = vec![JsonPath(vec![bracket(inside[..comma].trim(), depth + 1)?])];
        let mut rest = &inside[comma + 1..];
        while let Some(comma) = scan(rest, |_, c, depth| c == ',' && depth == 0) {
            paths.push(JsonPath(vec![bracket(rest[..comma].trim(), depth + 1)?]));
            rest = &rest[comma + 1..];
        }
        paths.push(JsonPath(vec![bracket(rest.trim(), depth + 1)?]));
        return Ok(Step::Union(paths));
    }
    if let Some(key) = quoted(inside) {
        return Ok(Step::Field(key));
    }
    if inside == "*" {
        return Ok(Step::Slice { start: None, end: None, step: None, single: false });
    }
    bounds(inside).ok_or_else(|| ParseError(format!("invalid array index {inside}")))
}

/// `3`, `-1`, `1:`, `:2`, `0:4:2`.
fn bounds(text: &str) -> Option<Step> {
    let number =
        |part: &str| -> Option<Option<i64>> { if part.is_empty() { Some(None) } else { part.parse().ok().map(Some) } };
    let parts: Vec<_> = text.split(':').map(number).collect::<Option<_>>()?;
    match parts.as_slice() {
        [Some(index)] => Some(Step::Slice { start: Some(*index), end: None, step: None, single: true }),
        [start, end] => Some(Step::Slice { start: *start, end: *end, step: None, single: false }),
        [start, end, step] => Some(Step::Slice { start: *start, end: *end, step: *step, single: false }),
        _ => None,
    }
}

fn quoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text.get(1..)?.strip_suffix(quote)?;
    let (mut out, mut escaped) = (String::new(), false);
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else if c == quote && !escaped {
            return None;
        } else {
            escaped = false;
            out.push(c);
        }
    }
    Some(out)
}

fn parse_filter(text: &str, depth: usize) -> Result<Filter, ParseError> {
    let Some(at) = scan(text, |_, c, depth| matches!(c, '=' | '!' | '<' | '>') && depth == 0) else {
        return Ok(Filter::Exists(parse(text, depth)?));
    };
    let (left, rest) = text.split_at(at);
    let operators = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    let found = operators.iter().find_map(|(sign, op)| rest.strip_prefix(sign).map(|right| (*op, right)));
    let (comparison, right) = found.ok_or_else(|| ParseError("unrecognized filter operator".into()))?;
    Ok(Filter::Compare(operand(left.trim(), depth)?, comparison, operand(right.trim(), depth)?))
}

fn operand(text: &str, depth: usize) -> Result<Operand, ParseError> {
    if let Some(literal) = quoted(text) {
        return Ok(Operand::Literal(literal.into()));
    }
    if matches!(text, "true" | "false") {
        return Ok(Operand::Literal((text == "true").into()));
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') {
        let number = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from));
        return number.map(Operand::Literal).map_err(|_| ParseError(format!("cannot parse number {text}")));
    }
    Ok(Operand::Path(parse(text, depth)?))
}
