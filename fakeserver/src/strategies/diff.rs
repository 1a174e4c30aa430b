//! A unified diff of two JSON values, as refusals of forbidden updates append it.
//!
//! Counterpart: apimachinery `util/diff`. Lines are those of the indented JSON; the real server prints its internal
//! struct, so the hunks read alike but not byte for byte.

use serde_json::Value;
use std::fmt::Write as _;

/// Unchanged lines around a change.
const CONTEXT: usize = 3;
/// Beyond this many cells of the comparison table everything in between counts as changed.
const TABLE_LIMIT: usize = 4_000_000;

/// The hunks that turn `old` into `new`; empty when they are equal.
pub(crate) fn unified(old: &Value, new: &Value) -> String {
    let text = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let (old, new) = (text(old), text(new));
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    hunks(&steps(&a, &b))
}

/// One line of the edit script.
#[derive(Clone, Copy)]
struct Step<'a> {
    sign: char,
    line: &'a str,
    /// Lines of the old and of the new text before this one.
    at: (usize, usize),
}

fn steps<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<Step<'a>> {
    let table = common_lengths(a, b);
    let mut steps = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let length = |i: usize, j: usize| table.get(i * (b.len() + 1) + j).copied().unwrap_or_default();
        let at = (i, j);
        match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) if x == y => {
                steps.push(Step { sign: ' ', line: x, at });
                i += 1;
                j += 1;
            }
            (Some(x), other) if other.is_none() || length(i + 1, j) >= length(i, j + 1) => {
                steps.push(Step { sign: '-', line: x, at });
                i += 1;
            }
            (_, Some(y)) => {
                steps.push(Step { sign: '+', line: y, at });
                j += 1;
            }
            (_, None) => break,
        }
    }
    steps
}

/// `[i * (b.len() + 1) + j]` is the length of the longest common subsequence of `a[i..]` and `b[j..]`.
fn common_lengths(a: &[&str], b: &[&str]) -> Vec<u32> {
    let width = b.len() + 1;
    if (a.len() + 1) * width > TABLE_LIMIT {
        return Vec::new();
    }
    let mut table = vec![0; (a.len() + 1) * width];
    for (i, x) in a.iter().enumerate().rev() {
        for (j, y) in b.iter().enumerate().rev() {
            let at = i * width + j;
            table[at] = if x == y { table[at + width + 1] + 1 } else { table[at + width].max(table[at + 1]) };
        }
    }
    table
}

fn hunks(steps: &[Step<'_>]) -> String {
    let mut out = String::new();
    let changed: Vec<usize> = steps.iter().enumerate().filter(|(_, s)| s.sign != ' ').map(|(i, _)| i).collect();
    let mut rest = changed.as_slice();
    while let Some((&first, _)) = rest.split_first() {
        let run = rest.windows(2).take_while(|pair| pair[1] - pair[0] <= 2 * CONTEXT + 1).count();
        let (group, others) = rest.split_at(run + 1);
        rest = others;
        let last = group.last().copied().unwrap_or(first);
        let hunk = &steps[first.saturating_sub(CONTEXT)..(last + CONTEXT + 1).min(steps.len())];
        write_hunk(hunk, &mut out);
    }
    out
}

fn write_hunk(hunk: &[Step<'_>], out: &mut String) {
    let Some(first) = hunk.first() else { return };
    let count = |sign: char| hunk.iter().filter(|step| step.sign != sign).count();
    let range = |before: usize, count: usize| match count {
        0 => format!("{before},0"),
        1 => format!("{}", before + 1),
        n => format!("{},{n}", before + 1),
    };
    let _ = writeln!(out, "@@ -{} +{} @@", range(first.at.0, count('+')), range(first.at.1, count('-')));
    for step in hunk {
        let _ = writeln!(out, "{}{}", step.sign, step.line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_changed_member_is_one_hunk_with_context() {
        let text = unified(&json!({"a": 1, "b": 2, "c": 3}), &json!({"a": 1, "b": 5, "c": 3}));
        assert_eq!(text, "@@ -1,5 +1,5 @@\n {\n   \"a\": 1,\n-  \"b\": 2,\n+  \"b\": 5,\n   \"c\": 3\n }\n");
        assert_eq!(unified(&json!([1]), &json!([1])), "");
    }
}
