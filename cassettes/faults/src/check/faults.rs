//! Faults and knobs of a rule: do they exist, are they in range, do they fit together, what actions do they make.

use std::collections::BTreeMap;

use crate::action::{Action, Stage};
use crate::catalog::{self, Legality, Protocols, Row, Traffic};
use crate::error::{Complaint, Path, ProblemKind};
use crate::knob::{Knobs, Unsaid, Value};
use crate::plan::{Byzantine, Fault, Plan, Rule};
use crate::reply::RetryAfter;
use crate::words::nearest;

/// What the faults of a rule come to.
pub(super) struct Used {
    pub(super) stage: Stage,
    pub(super) actions: Vec<Action>,
    pub(super) rows: Vec<&'static Row>,
}

impl Used {
    /// The traffic that all of the faults make sense for.
    pub(super) fn on(&self) -> Traffic {
        let all = Traffic { reads: true, writes: true, streams: true };
        self.rows.iter().fold(all, |on, row| Traffic {
            reads: on.reads && row.on.reads,
            writes: on.writes && row.on.writes,
            streams: on.streams && row.on.streams,
        })
    }

    /// The first fault that exists on one HTTP version only.
    pub(super) fn bound(&self) -> Option<&'static Row> {
        self.rows.iter().find(|row| row.protocols != Protocols::Any).copied()
    }
}

pub(super) fn check(plan: &Plan, rule: &Rule, path: &Path, complaints: &mut Vec<Complaint>) -> Used {
    let path = path.key("do");
    let mut used = Used { stage: rule.at.unwrap_or(Stage::Arrive), actions: Vec::new(), rows: Vec::new() };
    if rule.faults.is_empty() {
        complaints.push(Complaint::new(ProblemKind::NeverFires, path.clone(), "the rule does nothing; name a fault"));
    }
    let mut settled: Option<&str> = None;
    for fault in &rule.faults {
        let here = path.key(&fault.name);
        let Some(row) = catalog::find(&fault.name) else {
            let meant = catalog::suggest(&fault.name).map(|name| format!("did you mean `{name}`?"));
            let message = format!("there is no fault `{}`", fault.name);
            complaints.push(Complaint::new(ProblemKind::Unknown, here, message).suggest(meant));
            continue;
        };
        let knobs = knobs(row, fault, &here, complaints);
        legality(plan, row, &knobs, &here, complaints);
        let actions = row.build(&knobs);
        if actions.iter().any(Action::is_terminal) {
            if let Some(first) = settled {
                let message = format!("`{}` cannot happen after `{first}`: both settle the answer", row.name);
                complaints.push(Complaint::new(ProblemKind::Contradiction, here, message));
            }
            settled = Some(row.name);
        }
        used.rows.push(row);
        used.actions.extend(actions);
    }
    used.stage = stage(rule, &used.rows, &path, complaints);
    used
}

fn knobs(row: &'static Row, fault: &Fault, path: &Path, complaints: &mut Vec<Complaint>) -> Knobs {
    let mut values: BTreeMap<&'static str, Value> = BTreeMap::new();
    for (name, text) in &fault.knobs {
        let Some(knob) = row.knob(name) else {
            let meant =
                nearest(name, row.knobs.iter().map(|knob| knob.name)).map(|name| format!("did you mean `{name}`?"));
            let known: Vec<_> = row.knobs.iter().map(|knob| knob.name).collect();
            let has = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
            let message = format!("`{}` has no knob `{name}`", row.name);
            complaints.push(Complaint::new(ProblemKind::Unknown, path.key(name), message).suggest(meant.or(Some(has))));
            continue;
        };
        match knob.kind.parse(text) {
            Ok(value) => {
                values.insert(knob.name, value);
            }
            Err((message, suggestion)) => {
                complaints.push(Complaint::new(ProblemKind::Value, path.key(name), message).suggest(suggestion));
            }
        }
    }
    points(&values, path, complaints);
    for knob in row.knobs {
        match knob.unsaid {
            Unsaid::Default(text) => {
                if let Ok(value) = knob.kind.parse(text) {
                    values.entry(knob.name).or_insert(value);
                }
            }
            Unsaid::Refused if !fault.knobs.contains_key(knob.name) => {
                let message = format!("`{}` needs `{}`: {}", row.name, knob.name, knob.about);
                complaints.push(Complaint::new(ProblemKind::Value, path.clone(), message));
            }
            _ => {}
        }
    }
    Knobs(values)
}

/// Two of the three ways to say where, or both ways to say how far behind, leave open which is meant.
fn points(given: &BTreeMap<&'static str, Value>, path: &Path, complaints: &mut Vec<Complaint>) {
    for group in [["afterBytes", "afterFrames", "after"], ["revisions", "age", ""], ["rate", "chunks", ""]] {
        let said: Vec<_> = group.into_iter().filter(|name| given.contains_key(name)).collect();
        if let [first, second, ..] = said[..] {
            let message = format!("`{first}` and `{second}` exclude each other");
            complaints.push(Complaint::new(ProblemKind::Contradiction, path.key(second), message));
        }
    }
}

fn legality(plan: &Plan, row: &Row, knobs: &Knobs, path: &Path, complaints: &mut Vec<Complaint>) {
    let byzantine = match row.legality {
        Legality::Legal => None,
        Legality::Byzantine => Some(format!("`{}`", row.name)),
        Legality::Except(knob, words) => {
            odd_value(knobs, knob, words).map(|word| format!("`{}` with {knob} {word}", row.name))
        }
    };
    // A header that no server may send is byzantine in whatever row it is given.
    let garbled =
        || knobs.retry_after("retryAfter").filter(|header| !header.is_legal()).map(|h| format!("retryAfter {h}"));
    if let Some(what) = byzantine.or_else(garbled).filter(|_| plan.byzantine == Byzantine::Refused) {
        let message = format!("{what} is byzantine: no correct cluster does this");
        let complaint = Complaint::new(ProblemKind::Contradiction, path.clone(), message);
        complaints.push(complaint.suggest(Some("write `byzantine: allowed` into the plan to have it all the same")));
    }
}

fn odd_value(knobs: &Knobs, knob: &str, words: &[&str]) -> Option<String> {
    let word = match knobs.retry_after(knob) {
        Some(RetryAfter::Seconds(n)) if n < 0 => "negative".to_owned(),
        Some(RetryAfter::Twice(..)) => "twice".to_owned(),
        Some(RetryAfter::Text(_)) => "text".to_owned(),
        Some(_) => return None,
        None => knobs.text(knob).to_owned(),
    };
    words.contains(&word.as_str()).then_some(word)
}

/// The stage that was asked for, or the first that all faults share.
fn stage(rule: &Rule, rows: &[&'static Row], path: &Path, complaints: &mut Vec<Complaint>) -> Stage {
    let possible = |stage: &Stage| rows.iter().all(|row| row.stages.contains(stage));
    let asked = rule.at;
    let usual = rows.first().and_then(|row| row.stages.iter().copied().find(|stage| possible(stage)));
    match (asked, usual) {
        (Some(stage), _) if possible(&stage) => stage,
        (Some(stage), _) => {
            let row = rows.iter().find(|row| !row.stages.contains(&stage));
            let (name, stages) = row.map_or(("", &[][..]), |row| (row.name, row.stages));
            let stages: Vec<_> = stages.iter().map(ToString::to_string).collect();
            let message = format!("`{name}` cannot happen at {stage}");
            let complaint = Complaint::new(ProblemKind::Impossible, at_path(path), message);
            complaints.push(complaint.suggest(Some(format!("it happens at {}", stages.join(", ")))));
            stage
        }
        (None, Some(stage)) => stage,
        (None, None) => {
            if !rows.is_empty() {
                let names: Vec<_> = rows.iter().map(|row| format!("`{}`", row.name)).collect();
                let message = format!("{} never happen at the same stage", names.join(" and "));
                complaints.push(Complaint::new(ProblemKind::Contradiction, path.clone(), message));
            }
            Stage::Arrive
        }
    }
}

/// `at` stands beside `do`.
fn at_path(path: &Path) -> Path {
    let mut steps = path.0.clone();
    steps.pop();
    Path(steps).key("at")
}

/// Names instead of ids, and every knob in its shortest spelling. What is wrong stays as it is, to be complained of.
pub(crate) fn normalise(fault: &mut Fault) {
    let Some(row) = catalog::find(&fault.name) else { return };
    row.name.clone_into(&mut fault.name);
    for (name, text) in &mut fault.knobs {
        if let Some(Ok(value)) = row.knob(name).map(|knob| knob.kind.parse(text)) {
            *text = value.to_string();
        }
    }
}
