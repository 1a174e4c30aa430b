//! The table of two faults and then success: five verbs, eleven faults, and how a client gives up.
//!
//! Nothing here is scored. What a cell says is made from what the server saw: how many attempts, how far apart, and
//! what the client told in the end.

use super::card::{Card, ScenarioResult};
use super::driver::Exit;
use super::scenario::{Group, Scenario, Watched, config_map};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Verbs with the letter that cells use, the Kubernetes verb, the method and the operation.
const VERBS: [(&str, &str, &str, &str); 5] = [
    ("G", "get", "GET", "get"),
    ("P", "create", "POST", "create"),
    ("U", "update", "PUT", "update"),
    ("T", "patch", "PATCH", "patch"),
    ("D", "delete", "DELETE", "delete"),
];

/// Rows: id, what readers see, and the fault.
const ROWS: [(&str, &str, &str); 11] = [
    ("429-ra", "429 RA 1", "{retry-after: {status: 429, retryAfter: 1}}"),
    ("429", "429 no RA", "{retry-after: {status: 429, retryAfter: absent}}"),
    ("503-ra", "503 RA 1", "{retry-after: {status: 503, retryAfter: 1}}"),
    ("503", "503 no RA", "{retry-after: {status: 503, retryAfter: absent}}"),
    ("500-ra", "500 RA 1", "{internal-error: {retryAfter: 1}}"),
    ("500", "500 no RA", "internal-error"),
    ("504", "504 no RA (F14 body)", "request-timeout"),
    ("503-date", "503 RA = date", "{retry-after: {status: 503, retryAfter: \"date(2s)\"}}"),
    ("reset", "RST before headers", "reset"),
    ("eof", "EOF before headers", "eof"),
    ("cut-body", "truncated body", "{eof: {afterBytes: 20}}"),
];

/// The row of a client that is never let through.
const GIVE_UP: &str = "give-up";

/// How long giving up is watched.
const GIVING_UP: Duration = Duration::from_secs(25);

/// The cells.
pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (row, title, fault) in ROWS {
        for (_, verb, method, op) in VERBS {
            all.push(cell(
                &format!("{row}/{verb}"),
                &format!("{method}: {title}, twice"),
                verb,
                method,
                op,
                &format!("verb: {verb}, first: 2"),
                fault,
            ));
        }
    }
    let mut last =
        cell(&format!("{GIVE_UP}/get"), "GET: 429 RA 1, for ever", "get", "GET", "get", "verb: get", ROWS[0].2);
    last.patience = GIVING_UP;
    all.push(last);
    all
}

fn cell(
    id: &str,
    title: &str,
    verb: &str,
    method: &'static str,
    op: &'static str,
    when: &str,
    fault: &str,
) -> Scenario {
    let namespaced = |extra: Value| {
        let mut args = json!({"namespace": "default"});
        if let (Some(args), Value::Object(extra)) = (args.as_object_mut(), extra) {
            args.extend(extra);
        }
        args
    };
    let args = match verb {
        "create" => namespaced(json!({"object": config_map("made", "new")})),
        "update" => namespaced(json!({"object": config_map("a", "two")})),
        "patch" => namespaced(json!({"name": "a", "patch": {"data": {"v": "two"}}})),
        _ => namespaced(json!({"name": "a"})),
    };
    let watched = if verb == "get" { Watched::Gets } else { Watched::Method(method) };
    let scenario = Scenario::new(id, Group::Table, title).watched(watched).call(op, args).patience(12);
    // Without knobs it would come after the head.
    if fault == "eof" { scenario.fault_at("arrive", when, fault) } else { scenario.fault(when, fault) }
}

/// What one cell says. Waits are not part of it: they differ a little from verb to verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Recovered { attempts: usize },
    Failed { attempts: usize },
    Never,
    Unknown,
}

fn read(result: &ScenarioResult) -> Cell {
    let attempts = result.measured.attempts;
    match result.outcomes.last().map(|o| o.exit) {
        Some(Exit::Ok) => Cell::Recovered { attempts },
        Some(Exit::Error) => Cell::Failed { attempts },
        Some(Exit::Never) => Cell::Never,
        _ => Cell::Unknown,
    }
}

/// Waits in words.
fn gaps(all: &[f64]) -> String {
    let tenths = |ms: f64| (ms / 100.0).round() / 10.0;
    let (low, high) = all.iter().fold((f64::MAX, 0.0_f64), |(l, h), g| (l.min(*g), h.max(*g)));
    match (tenths(low.min(high)), tenths(high)) {
        _ if all.is_empty() => String::new(),
        _ if high < 300.0 => format!(" @{low:.0}–{high:.0} ms"),
        (low, high) if (high - low).abs() < 0.15 => format!(" @{low:.1} s"),
        (low, high) => format!(" @{low:.1}–{high:.1} s"),
    }
}

/// One word about a cell that a baseline can keep: it holds no times.
#[must_use]
pub(super) fn verdict(result: &ScenarioResult) -> String {
    match read(result) {
        Cell::Recovered { attempts } => format!("recovers, {attempts} attempts"),
        Cell::Failed { attempts } => format!("error, {attempts} attempts"),
        Cell::Never => "never settles".into(),
        Cell::Unknown => "not measured".into(),
    }
}

/// A row of one client in the words of the table: `GUD @1.0 s`, `—`, `never settles`.
fn row(card: &Card, row: &str) -> String {
    let mut by_cell: Vec<(Cell, String, Vec<f64>)> = Vec::new();
    for (letter, verb, _, _) in VERBS {
        let id = format!("{row}/{verb}");
        let Some(result) = card.scenarios.iter().find(|s| s.id == id) else { continue };
        let cell = read(result);
        let at = by_cell.iter().position(|(c, ..)| *c == cell).unwrap_or_else(|| {
            by_cell.push((cell, String::new(), Vec::new()));
            by_cell.len() - 1
        });
        if let Some((_, letters, waits)) = by_cell.get_mut(at) {
            letters.push_str(letter);
            waits.extend(&result.measured.gaps_ms);
        }
    }
    let parts: Vec<String> =
        by_cell.iter().filter_map(|(cell, letters, waits)| say(*cell, letters, &gaps(waits))).collect();
    if parts.is_empty() && !by_cell.is_empty() { "—".into() } else { parts.join("; ") }
}

fn say(cell: Cell, letters: &str, gaps: &str) -> Option<String> {
    let letters = if letters.len() == VERBS.len() { "all" } else { letters };
    match cell {
        // It never went wrong: the client does not look at the fault.
        Cell::Recovered { attempts: 0 | 1 } => Some(format!("{letters} accepted")),
        Cell::Recovered { .. } => Some(format!("{letters}{gaps}")),
        Cell::Failed { attempts: 0 | 1 } => None,
        Cell::Failed { attempts } => Some(format!("{letters} error after {attempts}")),
        Cell::Never => Some(format!("**{letters} never settles**")),
        Cell::Unknown => Some(format!("{letters} not measured")),
    }
}

fn giving_up(card: &Card) -> String {
    let Some(result) = card.scenarios.iter().find(|s| s.id == format!("{GIVE_UP}/get")) else { return String::new() };
    let measured = &result.measured;
    let all = &measured.gaps_ms;
    let least = if read(result) == Cell::Never { "≥ " } else { "" };
    let (low, high) = all.iter().fold((f64::MAX, 0.0_f64), |(l, h), g| (l.min(*g), h.max(*g)));
    let shape = match all.len() {
        0 => String::new(),
        _ if high - low < 150.0 => format!(", flat {:.1} s", low / 1000.0),
        _ => format!(", {:.1}–{:.1} s", low / 1000.0, high / 1000.0),
    };
    format!("{least}{}{shape}", measured.attempts)
}

/// The table of several clients in Markdown. Cards of other profiles are left out.
#[must_use]
pub fn markdown(cards: &[Card]) -> String {
    let cards: Vec<&Card> = cards.iter().filter(|c| c.profile == "table9").collect();
    if cards.is_empty() {
        return String::new();
    }
    let mut out = String::new();
    let head: Vec<String> = cards.iter().map(|c| c.client.title()).collect();
    let _ = writeln!(out, "| Fault, twice | {} |", head.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(cards.len()));
    for (id, title, _) in ROWS {
        let cells: Vec<String> = cards.iter().map(|card| row(card, id)).collect();
        let _ = writeln!(out, "| {title} | {} |", cells.join(" | "));
    }
    let cells: Vec<String> = cards.iter().map(|card| giving_up(card)).collect();
    let _ = writeln!(out, "| give-up (GET, 429 RA 1 for ever, {} s) | {} |", GIVING_UP.as_secs(), cells.join(" | "));
    out
}

/// The rows by client, for the terminal.
pub(super) fn rows(card: &Card) -> BTreeMap<usize, (&'static str, String)> {
    let mut all: BTreeMap<_, _> =
        ROWS.iter().enumerate().map(|(n, (id, title, _))| (n, (*title, row(card, id)))).collect();
    all.insert(ROWS.len(), ("give-up", giving_up(card)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_in_tenths_or_milliseconds() {
        assert_eq!(gaps(&[]), "");
        assert_eq!(gaps(&[3.0, 41.0]), " @3–41 ms");
        assert_eq!(gaps(&[1002.0, 1004.0]), " @1.0 s");
        assert_eq!(gaps(&[812.0, 1604.0]), " @0.8–1.6 s");
    }

    #[test]
    fn letters_stand_for_verbs_and_all_for_all() {
        let recovered = Cell::Recovered { attempts: 3 };
        assert_eq!(say(recovered, "GUD", " @1.0 s").unwrap(), "GUD @1.0 s");
        assert_eq!(say(recovered, "GPUTD", " @1.0 s").unwrap(), "all @1.0 s");
        assert_eq!(say(Cell::Failed { attempts: 1 }, "P", ""), None);
        assert_eq!(say(Cell::Never, "GPUTD", "").unwrap(), "**all never settles**");
    }
}
