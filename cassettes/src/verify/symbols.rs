//! Texts that stand for others: what redaction left, and the placeholders of transcripts whose answers were made
//! comparable before they became a tape. Here is which live text a recorded one stands for.

use crate::redact::is_placeholder;
use regex::Regex;
use std::sync::LazyLock;

/// The pin in a tape's header that says its answers hold placeholders, with its value.
pub const PLACEHOLDERS: (&str, &str) = ("placeholders", "oracle/1");

static SYMBOL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"<(uid|rv|suffix):\d+>|<(rv|time|microtime|continue|masked|uid)>|\{\{\w+\}\}").ok());
static REVISION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i)(resource version:? ?|resourceVersion:? ?|current: |requested: )"?\d+"?( \(\d+\))?"#).ok()
});
static TIME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( \+0000 UTC|Z)?").ok());

/// Which texts a placeholder can stand for.
fn meaning(symbol: &str) -> &'static str {
    match symbol.trim_start_matches('<').split([':', '>']).next().unwrap_or_default() {
        "uid" => "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|<uid>",
        "rv" => r#""?\d+"?(?: \(\d+\))?|<rv>"#,
        "time" | "microtime" => r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?: \+0000 UTC|Z)?|<time>",
        "suffix" => "[a-z0-9]+",
        "masked" => "(?s:.*)",
        _ => "(?s:.+)",
    }
}

/// The placeholders in a text, and the expression that live texts must match.
fn pattern(recorded: &str) -> Option<(Vec<&str>, Regex)> {
    let mut expression = String::from("^");
    let (mut symbols, mut end) = (Vec::new(), 0);
    for found in SYMBOL.as_ref()?.find_iter(recorded) {
        expression.push_str(&regex::escape(recorded.get(end..found.start())?));
        expression.push_str(&format!("({})", meaning(found.as_str())));
        symbols.push(found.as_str());
        end = found.end();
    }
    if symbols.is_empty() {
        return None;
    }
    expression.push_str(&regex::escape(recorded.get(end..)?));
    expression.push('$');
    Some((symbols, Regex::new(&expression).ok()?))
}

/// What each placeholder of a recorded text is in the live one; empty where they do not fit.
pub(super) fn assignments<'a>(recorded: &'a str, live: &'a str) -> Vec<(&'a str, &'a str)> {
    let Some((symbols, expression)) = pattern(recorded) else { return Vec::new() };
    let Some(found) = expression.captures(live) else { return Vec::new() };
    let parts = found.iter().skip(1).flatten().map(|part| part.as_str());
    symbols.into_iter().zip(parts).filter(|(symbol, _)| symbol.contains([':', '{'])).collect()
}

/// The text without times and resourceVersions, which messages quote.
fn masked(text: &str) -> String {
    let timeless = TIME.as_ref().map_or_else(|| text.into(), |time| time.replace_all(text, "<time>"));
    REVISION.as_ref().map_or_else(|| timeless.to_string(), |rv| rv.replace_all(&timeless, "$1<rv>").into_owned())
}

/// Whether two texts say the same. `symbolic`: the recorded one may hold placeholders of a transcript.
pub(super) fn same(recorded: &str, live: &str, symbolic: bool) -> bool {
    if recorded == live || is_placeholder(recorded) {
        return true;
    }
    let (a, b) = (masked(recorded), masked(live));
    a == b
        || symbolic && pattern(&a).is_some_and(|(_, expression)| expression.is_match(&b) || expression.is_match(live))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_stands_for_what_its_kind_says() {
        assert!(same("a <uid:1> b", "a 6ba7b810-9dad-11d1-80b4-00c04fd430c8 b", true));
        assert!(!same("a <uid:1> b", "a c b", true) && !same("<rv:2>", "x", true));
        assert!(!same("<rv:2>", "7", false), "only where the tape says that it holds placeholders");
        assert!(same("redacted", "anything", false));
    }

    #[test]
    fn messages_quote_other_revisions_and_times() {
        assert!(same("too old resource version: 5 (9)", "too old resource version: 7 (11)", false));
        assert!(same("too old resource version: <rv>", "too old resource version: 7 (11)", true));
        assert!(!same("too old resource version: 5", "too new", false));
    }

    #[test]
    fn placeholders_are_assigned_where_the_rest_of_the_text_fits() {
        assert_eq!(
            assignments("pod a-<suffix:1> of {{u}}", "pod a-x2b of me"),
            [("<suffix:1>", "x2b"), ("{{u}}", "me")]
        );
        assert!(assignments("pod <rv>", "pod 5").is_empty() && assignments("b <suffix:1>", "a x").is_empty());
    }
}
