//! `Warning` headers of an answer, within the server's limits.
//!
//! Counterpart: `recorder` of apiserver `pkg/endpoints/filters/warning.go`.

use axum::body::Body;
use http::{HeaderValue, Response};
use rehearsal_apimachinery::field::go_quote;
use std::collections::HashSet;

/// Warnings beyond this many characters are cut, and none follow once the cut ones reach it (`truncateAtTotalRunes`).
const BUDGET: usize = 4096;
/// What a warning is then cut to, in characters (`truncateItemRunes`).
const CUT: usize = 256;

/// Adds a `Warning` header per distinct text.
pub(crate) fn add(response: &mut Response<Body>, warnings: &[String]) {
    for text in within_budget(warnings) {
        if let Ok(value) = HeaderValue::from_str(&format!("299 - {}", quote(&text))) {
            response.headers_mut().append("warning", value);
        }
    }
}

/// Distinct texts, whole if all of them fit, otherwise cut, and as many of these as fit.
fn within_budget(warnings: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let distinct: Vec<&str> = warnings.iter().flat_map(|text| each(text)).filter(|text| seen.insert(*text)).collect();
    let total: usize = distinct.iter().map(|text| text.chars().count()).sum();
    if total <= BUDGET {
        return distinct.into_iter().map(str::to_owned).collect();
    }
    // The server cuts when the budget is passed, and what came before then is told in any case.
    let (mut whole, mut written) = (0, 0);
    let told = distinct.into_iter().take_while(|text| {
        let fitted = whole <= BUDGET;
        whole += text.chars().count();
        let more = fitted || written < BUDGET;
        written += text.chars().count().min(CUT);
        more
    });
    told.map(|text| text.chars().take(CUT).collect()).collect()
}

/// Duplicate keys of a YAML body come as one finding of many lines; each becomes a warning of its own.
fn each(text: &str) -> impl Iterator<Item = &str> {
    let (lines, whole) = match text.strip_prefix("yaml: unmarshal errors:\n") {
        Some(lines) => (lines, None),
        None => ("", Some(text)),
    };
    lines.lines().map(str::trim).chain(whole)
}

/// A quoted-string of HTTP: backslash and quote escaped, control characters dropped.
fn quote(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    let quoted = go_quote(&clean);
    if quoted.is_ascii() { quoted } else { format!("\"{}\"", clean.replace('\\', "\\\\").replace('"', "\\\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(warnings: &[String]) -> Vec<usize> {
        within_budget(warnings).iter().map(String::len).collect()
    }

    #[test]
    fn repeated_texts_are_told_once_and_lines_of_yaml_each() {
        let warnings = ["a", "b", "a", "yaml: unmarshal errors:\n  line 2: x\n  line 3: y"].map(str::to_owned);
        assert_eq!(within_budget(&warnings), ["a", "b", "line 2: x", "line 3: y"]);
    }

    #[test]
    fn what_fits_is_told_whole() {
        assert_eq!(told(&["x".repeat(4000), "y".repeat(96)]), [4000, 96]);
    }

    #[test]
    fn what_does_not_fit_is_cut_and_none_follow_once_the_cut_ones_fill_the_budget() {
        assert_eq!(told(&["x".repeat(4000), "y".repeat(97)]), [256, 97]);
        let long: Vec<String> = (0..40).map(|n| format!("{n:0300}")).collect();
        assert_eq!(told(&long), vec![256; 16]);
        let short: Vec<String> = (0..5000).map(|n| format!("{n:010}")).collect();
        assert_eq!(told(&short).len(), 410);
    }
}
