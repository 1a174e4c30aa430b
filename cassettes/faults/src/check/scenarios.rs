//! Scenarios: does every state name rules that exist, is every state reached, does every set belong to one scenario.

use std::collections::BTreeMap;
use std::time::Duration;

use super::conditions;
use crate::error::{Complaint, Path, ProblemKind};
use crate::plan::{Plan, Rule};
use crate::scenario::{Advance, CALM, Scenario, State};
use crate::schedule::Per;
use crate::words::nearest;

pub(super) fn check(plan: &Plan, complaints: &mut Vec<Complaint>) {
    for (name, scenario) in &plan.scenarios {
        check_scenario(plan, name, scenario, complaints);
    }
    shared(plan, complaints);
    unnamed(plan, complaints);
}

fn path_of(scenario: &str) -> Path {
    Path::default().key("scenarios").key(scenario)
}

fn path_of_state(name: &str, scenario: &Scenario, index: usize) -> Path {
    // A list cannot say that it repeats, so a scenario that does was written as a map.
    let path = path_of(name);
    if scenario.repeat { path.key("states").index(index) } else { path.index(index) }
}

fn sets(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.rules.iter().map(Rule::set_name)
}

fn states(plan: &Plan) -> impl Iterator<Item = (&String, &State, Path)> {
    plan.scenarios.iter().flat_map(|(name, scenario)| {
        let states = scenario.states.iter().enumerate();
        states.map(move |(index, state)| (name, state, path_of_state(name, scenario, index)))
    })
}

fn check_scenario(plan: &Plan, name: &str, scenario: &Scenario, complaints: &mut Vec<Complaint>) {
    let Some(last) = scenario.states.len().checked_sub(1) else {
        complaints.push(Complaint::new(ProblemKind::NeverFires, path_of(name), "the scenario has no states"));
        return;
    };
    if last == 0 && scenario.repeat {
        let message = "there is one state only, so there is nothing to repeat";
        complaints.push(Complaint::new(ProblemKind::Contradiction, path_of(name).key("repeat"), message));
    }
    for (index, state) in scenario.states.iter().enumerate() {
        let path = path_of_state(name, scenario, index);
        names(plan, state, &path, complaints);
        ends(plan, state, &path.key("on"), complaints);
        if index == last && !scenario.repeat && !state.on.is_empty() {
            let message = "no state comes after the last one, so nothing ends it";
            let complaint = Complaint::new(ProblemKind::Contradiction, path.key("on"), message);
            complaints.push(complaint.suggest(Some("write `{states: […], repeat: true}` to begin anew")));
        }
    }
}

/// Every name is that of a set or of a rule.
fn names(plan: &Plan, state: &State, path: &Path, complaints: &mut Vec<Complaint>) {
    let calm = || format!("a state without rules is called `{CALM}`");
    if state.rules.is_empty() {
        let complaint = Complaint::new(ProblemKind::Value, path.clone(), "the state names no rules");
        complaints.push(complaint.suggest(Some(calm())));
    }
    for name in state.rules.iter().filter(|name| *name != CALM && !sets(plan).any(|set| set == **name)) {
        let hint = match plan.rules.iter().find(|rule| rule.id == *name) {
            Some(rule) => format!("the rule is in the set `{}`", rule.set_name()),
            None => nearest(name, sets(plan)).map_or_else(calm, |meant| format!("did you mean `{meant}`?")),
        };
        let message = format!("there is no rule or set `{name}`");
        complaints.push(Complaint::new(ProblemKind::Unknown, path.clone(), message).suggest(Some(hint)));
    }
}

/// What ends a state can happen, so that the states after it are reached.
fn ends(plan: &Plan, state: &State, path: &Path, complaints: &mut Vec<Complaint>) {
    let Advance { mark, count, event, after } = &state.on;
    let mut never = |key: &str, message: String| {
        complaints.push(Complaint::new(ProblemKind::NeverFires, path.key(key), message));
    };
    if *after == Some(Duration::ZERO) {
        never("after", "the state is over before it begins".to_owned());
    }
    match count {
        Some(0) => never("count", "firings count from 1, so `count: 0` never ends the state".to_owned()),
        Some(count) if mark.is_none() && event.is_none() && after.is_none() => {
            let rules = plan.rules.iter().filter(|rule| state.rules.iter().any(|name| name == rule.set_name()));
            let most = rules.map(most_firings).try_fold(0, |all: u64, most| all.checked_add(most?));
            if let Some(most) = most.filter(|most| most < count) {
                let message = match most {
                    0 => format!("no rule fires in `{}`, so the state never ends", state.name()),
                    most => format!("the rules of `{}` fire {most} times at most, so it never ends", state.name()),
                };
                never("count", message);
            }
        }
        _ => {}
    }
    if let Some(event) = event {
        conditions::event(event, &path.key("event"), complaints);
    }
}

/// How often a rule can fire in all, when that is known.
fn most_firings(rule: &Rule) -> Option<u64> {
    let once = rule.schedule.nth.map(|_| 1);
    let limit = rule.count.into_iter().chain(rule.schedule.first).chain(once).min();
    limit.filter(|_| rule.schedule.per() == Per::Rule)
}

/// A set that two scenarios name would be armed by whom?
fn shared(plan: &Plan, complaints: &mut Vec<Complaint>) {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, state, path) in states(plan) {
        for set in state.rules.iter().filter(|name| sets(plan).any(|set| set == **name)) {
            let owner = owners.entry(set).or_insert(name);
            if *owner != name {
                let message = format!("`{set}` is in scenario `{owner}` already, and only one can arm it");
                complaints.push(Complaint::new(ProblemKind::Contradiction, path.clone(), message));
            }
        }
    }
}

/// A rule says that it is in a set, and no state arms the set.
fn unnamed(plan: &Plan, complaints: &mut Vec<Complaint>) {
    let named = || states(plan).flat_map(|(_, state, _)| state.rules.iter().map(String::as_str));
    for (index, rule) in plan.rules.iter().enumerate() {
        let Some(set) = rule.set.as_ref().filter(|set| !named().any(|name| name == **set)) else { continue };
        let meant = nearest(set, named()).map(|name| format!("did you mean `{name}`?"));
        let message = format!("no state of a scenario names the set `{set}`, so the rule is never armed");
        complaints.push(Complaint::new(ProblemKind::NeverFires, Path::rule(index).key("set"), message).suggest(meant));
    }
}

/// Scenarios that move on with the order in which lanes arrive.
pub(super) fn notes(plan: &Plan) -> Vec<Complaint> {
    let mut notes = Vec::new();
    for (_, state, path) in states(plan) {
        let mut note = |key: &str, message: &str| {
            notes.push(Complaint::new(ProblemKind::Value, path.key("on").key(key), message));
        };
        if state.on.count.is_some() {
            note("count", "order-dependent: firings for all lanes are counted together");
        }
        if state.on.event.is_some() {
            note("event", "order-dependent: an event that one lane is sent moves the scenario on for all");
        }
    }
    notes
}
