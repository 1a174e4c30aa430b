//! A card for the terminal, for JUnit and for Markdown.

use super::baseline::Drift;
use super::card::{Card, Points, ScenarioResult};
use super::scenario::Class;
use super::table;
use super::verdict::{Judged, Verdict};
use std::fmt::Write as _;

/// How many requests of a timeline are shown with a failure.
const SHOWN: usize = 40;

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "ok",
        Verdict::Fail => "FAILED",
        Verdict::NotApplicable => "n/a",
    }
}

/// For people at a terminal.
#[must_use]
pub fn terminal(card: &Card) -> String {
    let mut out = String::new();
    let _ =
        writeln!(out, "{} on {}, profile {}, {}", card.client.title(), card.client.runtime, card.profile, card.date);
    if !card.is_scored() {
        for (_, (title, row)) in table::rows(card) {
            let _ = writeln!(out, "  {title:<22} {row}");
        }
        return out;
    }
    let mut group = None;
    for scenario in &card.scenarios {
        if group.replace(scenario.group) != Some(scenario.group) {
            let _ = writeln!(out, "\n{}", scenario.group);
        }
        let _ = writeln!(out, "  {}: {}", scenario.id, scenario.title);
        for check in &scenario.checks {
            let _ = write!(out, "    {:<6} {:<11} {}", mark(check.verdict), check.class, check.expected);
            let _ = match check.verdict {
                Verdict::Pass => writeln!(out),
                _ => writeln!(out, " — {}", check.found),
            };
        }
    }
    let _ = writeln!(out);
    for (group, (points, void)) in card.groups() {
        let void = if void { "  (not safe: worth nothing)" } else { "" };
        let _ = writeln!(out, "{group:<18} {:>3} of {:>3}{void}", points.earned, points.possible);
    }
    let (total, safety) = (card.total(), card.class(Class::Safety));
    let _ = writeln!(
        out,
        "{:<18} {:>3} of {:>3} ({:.0} %), safety {} of {}, {:.0} s",
        "total",
        total.earned,
        total.possible,
        total.percent(),
        safety.met,
        safety.judged,
        card.took_ms / 1000.0
    );
    out
}

/// What has changed since the baseline, for the terminal.
#[must_use]
pub fn drift(drift: &Drift) -> String {
    let mut out = String::new();
    for (word, list) in [("worse", &drift.worse), ("better", &drift.better), ("not in the baseline", &drift.new)] {
        list.iter().for_each(|name| {
            let _ = writeln!(out, "{word}: {name}");
        });
    }
    out
}

fn timeline(scenario: &ScenarioResult) -> String {
    let mut out = String::new();
    for seen in scenario.timeline.iter().take(SHOWN) {
        let _ = writeln!(out, "{}", seen.line());
    }
    if scenario.timeline.len() > SHOWN {
        let _ = writeln!(out, "… and {} more", scenario.timeline.len() - SHOWN);
    }
    out
}

pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 has no way to write these.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// For machines that collect test results: a scenario is a testcase.
#[must_use]
pub fn junit(card: &Card) -> String {
    let failed = card.scenarios.iter().filter(|s| s.failures().next().is_some()).count();
    let skips =
        |s: &&ScenarioResult| !s.checks.is_empty() && s.checks.iter().all(|c| c.verdict == Verdict::NotApplicable);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{}\" time=\"{:.3}\" timestamp=\"{}\">",
        escaped(&format!("score {} {}", card.client.title(), card.profile)),
        card.scenarios.len(),
        card.scenarios.iter().filter(skips).count(),
        card.took_ms / 1000.0,
        escaped(&card.date),
    );
    for scenario in &card.scenarios {
        let _ = write!(
            out,
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
            scenario.group,
            escaped(&scenario.id),
            scenario.took_ms / 1000.0
        );
        if skips(&scenario) {
            let why = scenario.checks.first().map_or("", |c| c.found.as_str());
            let _ = writeln!(out, "><skipped message=\"{}\"/></testcase>", escaped(why));
            continue;
        }
        if scenario.failures().next().is_none() {
            let _ = writeln!(out, "/>");
            continue;
        }
        let _ = writeln!(out, ">");
        for check in scenario.failures() {
            let text = format!("expected: {}\nfound:    {}\n{}", check.expected, check.found, timeline(scenario));
            let _ = writeln!(
                out,
                "    <failure type=\"{}\" message=\"{}\">{}</failure>",
                check.class,
                escaped(&format!("{}: {}", check.id, check.expected)),
                escaped(&text)
            );
        }
        let _ = writeln!(out, "  </testcase>");
    }
    out.push_str("</testsuite>\n");
    out
}

/// One or more cards for a document: totals, groups, what is not met, and the table.
#[must_use]
pub fn markdown(cards: &[Card]) -> String {
    let mut out = String::new();
    let scored: Vec<&Card> = cards.iter().filter(|c| c.is_scored()).collect();
    let dates: std::collections::BTreeSet<_> = cards.iter().map(|c| c.date.as_str()).collect();
    let dates: Vec<_> = dates.into_iter().collect();
    let suite = cards.first().map_or("", |c| c.suite.as_str());
    let _ = writeln!(out, "Measured on {} with rehearsal {suite}.\n", dates.join(", "));
    if !scored.is_empty() {
        totals(&mut out, &scored);
        by_scenario(&mut out, &scored);
    }
    let table = table::markdown(cards);
    if !table.is_empty() {
        let _ = writeln!(out, "Two faults and then success (G get, P post, U put, T patch, D delete):\n\n{table}");
    }
    out
}

fn totals(out: &mut String, cards: &[&Card]) {
    let head: Vec<String> = cards.iter().map(|c| c.client.title()).collect();
    let line = |out: &mut String, name: &str, cells: Vec<String>| {
        let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
    };
    line(out, &format!("Profile {}", cards[0].profile), head);
    let _ = writeln!(out, "|---|{}", "---|".repeat(cards.len()));
    line(out, "runtime", cards.iter().map(|c| c.client.runtime.clone()).collect());
    let share = |p: Points| format!("{} of {}", p.met, p.judged);
    for class in Class::ALL {
        line(out, &format!("{class}, checks met"), cards.iter().map(|c| share(c.class(class))).collect());
    }
    let groups: std::collections::BTreeSet<_> = cards.iter().flat_map(|c| c.groups().into_keys()).collect();
    for group in groups {
        let cell = |card: &&Card| match card.groups().get(&group) {
            Some((points, true)) => format!("**0** of {}", points.possible),
            Some((points, false)) => format!("{} of {}", points.earned, points.possible),
            None => String::new(),
        };
        line(out, &format!("{group}, points"), cards.iter().map(cell).collect());
    }
    let total = |card: &&Card| {
        let total = card.total();
        format!("**{} of {}** ({:.0} %)", total.earned, total.possible, total.percent())
    };
    line(out, "total", cards.iter().map(total).collect());
    let _ = writeln!(out);
}

/// A line a check: what each client made of it.
fn by_scenario(out: &mut String, cards: &[&Card]) {
    let head: Vec<String> = cards.iter().map(|c| c.client.short_title()).collect();
    let _ = writeln!(out, "| Scenario | Expected | Class | {} |", head.join(" | "));
    let _ = writeln!(out, "|---|---|---|{}", "---|".repeat(cards.len()));
    for scenario in &cards[0].scenarios {
        let mut about = format!("`{}`: {}", scenario.id, scenario.title.replace('|', "\\|"));
        for check in &scenario.checks {
            let cells: Vec<&str> = cards.iter().map(|card| cell(card, &scenario.id, &check.id)).collect();
            let expected = check.expected.replace('|', "\\|");
            let _ = writeln!(out, "| {about} | {expected} | {} | {} |", check.class, cells.join(" | "));
            about.clear();
        }
    }
    let _ = writeln!(out);
}

fn cell(card: &Card, scenario: &str, check: &str) -> &'static str {
    let found = card.scenarios.iter().find(|s| s.id == scenario);
    let judged: Option<&Judged> = found.and_then(|s| s.checks.iter().find(|c| c.id == check));
    match judged.map(|c| c.verdict) {
        Some(Verdict::Pass) => "✓",
        Some(Verdict::Fail) => "✗",
        _ => "–",
    }
}

#[cfg(test)]
mod tests {
    use super::super::card::tests::{card, judged, scenario};
    use super::super::scenario::Group;
    use super::*;

    fn example() -> Card {
        card(vec![
            scenario("good", Group::Watches, vec![judged("a", Class::Liveness, Verdict::Pass)]),
            scenario("bad", Group::Watches, vec![judged("b", Class::Diagnostics, Verdict::Fail)]),
            scenario("none", Group::Garbage, vec![judged("c", Class::Safety, Verdict::NotApplicable)]),
        ])
    }

    #[test]
    fn junit_has_a_testcase_a_scenario_and_escapes() {
        let mut card = example();
        card.scenarios[1].checks[0].found = "<&\u{1}>".into();
        let text = junit(&card);
        assert!(text.contains("tests=\"3\" failures=\"1\" skipped=\"1\""), "{text}");
        assert!(text.contains("&lt;&amp;\u{fffd}&gt;"), "{text}");
        assert_eq!(text.matches("<testcase").count(), 3);
    }

    #[test]
    fn the_terminal_says_why_and_adds_up() {
        let text = terminal(&example());
        assert!(text.contains("FAILED diagnostics e — f"), "{text}");
        assert!(text.contains("total                3 of   4 (75 %), safety 0 of 0"), "{text}");
    }

    #[test]
    fn markdown_puts_clients_side_by_side() {
        let text = markdown(&[example(), example()]);
        assert!(text.contains("| Profile short | c 1 | c 1 |"), "{text}");
        assert!(text.contains("| `bad`: t | e | diagnostics | ✗ | ✗ |"), "{text}");
        assert!(text.contains("| total | **3 of 4** (75 %) | **3 of 4** (75 %) |"), "{text}");
    }
}
