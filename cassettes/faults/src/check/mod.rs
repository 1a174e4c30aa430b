//! Whether a plan makes sense: every fault and knob exists, nothing contradicts itself, every rule can fire.
//!
//! What passes is also prepared for the engine, so that there is no second opinion about what a rule means.

mod conditions;
mod faults;
mod objects;
mod scenarios;
mod schedules;
mod server;

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use self::faults::normalise;
pub(crate) use self::server::check as check_server;
use crate::action::{Action, Stage};
use crate::error::{Complaint, Path, ProblemKind};
use crate::facts::Protocol;
use crate::matcher::{Matcher, Moment, When};
use crate::plan::{Plan, Rule, Then};
use crate::schedule::{Per, Schedule, Trigger};

/// A rule that is ready to be asked.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) id: String,
    /// The conditions that [`matcher`](Self::matcher) is made of.
    pub(crate) when: When,
    pub(crate) matcher: Matcher,
    pub(crate) schedule: Schedule,
    pub(crate) stage: Stage,
    pub(crate) actions: Vec<Action>,
    pub(crate) stops: bool,
    pub(crate) count: Option<u64>,
    pub(crate) cooldown: Option<Duration>,
}

impl Prepared {
    pub(crate) fn moment(&self) -> Moment {
        Moment::from(self.stage)
    }
}

/// All complaints, or the rules ready to be asked.
pub(crate) fn check(plan: &Plan) -> Result<Vec<Prepared>, Vec<Complaint>> {
    let mut complaints = Vec::new();
    let prepared: Vec<Option<Prepared>> =
        plan.rules.iter().enumerate().map(|(index, rule)| prepare(plan, index, rule, &mut complaints)).collect();
    ids(plan, &mut complaints);
    triggers(plan, &mut complaints);
    scenarios::check(plan, &mut complaints);
    if complaints.is_empty() {
        shadows(plan, &prepared, &mut complaints);
    }
    if complaints.is_empty() { Ok(prepared.into_iter().flatten().collect()) } else { Err(complaints) }
}

fn prepare(plan: &Plan, index: usize, rule: &Rule, complaints: &mut Vec<Complaint>) -> Option<Prepared> {
    let path = Path::rule(index);
    let before = complaints.len();
    let used = faults::check(plan, rule, &path, complaints);
    schedules::check(rule, &path, complaints);
    let verbs = conditions::check(plan, rule, &used, &path, complaints);
    let terminal = used.actions.iter().any(Action::is_terminal);
    if terminal && rule.then == Some(Then::Continue) {
        let message = "the fault settles the answer, so no later rule can be asked";
        complaints.push(
            Complaint::new(ProblemKind::Contradiction, path.key("then"), message).suggest(Some("leave `then` out")),
        );
    }
    let mut when = rule.when.clone();
    if used.stage != Stage::Connection && used.bound().is_some() {
        // What only HTTP/2 has happens on HTTP/2 only.
        when.protocol = when.protocol.or(Some(Protocol::Http2));
    }
    (complaints.len() == before).then(|| Prepared {
        id: rule.id.clone(),
        matcher: Matcher::new(&when, verbs),
        when,
        schedule: rule.schedule.clone(),
        stage: used.stage,
        actions: used.actions,
        stops: terminal || rule.then == Some(Then::Stop),
        count: rule.count,
        cooldown: rule.cooldown,
    })
}

fn ids(plan: &Plan, complaints: &mut Vec<Complaint>) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, rule) in plan.rules.iter().enumerate() {
        let path = Path::rule(index).key("id");
        if rule.id.is_empty() {
            complaints.push(Complaint::new(
                ProblemKind::Value,
                path,
                "the rule has no id; it names the rule in reports",
            ));
        } else if let Some(first) = seen.insert(&rule.id, index) {
            let message = format!("`{}` is the id of rules[{first}] already", rule.id);
            complaints.push(Complaint::new(ProblemKind::Contradiction, path, message));
        }
    }
}

/// `after: {rule: …}` must name another rule, and not lead back to itself.
fn triggers(plan: &Plan, complaints: &mut Vec<Complaint>) {
    let after = |rule: &Rule| match &rule.schedule.trigger {
        Some(Trigger::Rule(id)) => plan.rules.iter().position(|other| other.id == *id),
        _ => None,
    };
    for (index, rule) in plan.rules.iter().enumerate() {
        let Some(Trigger::Rule(id)) = &rule.schedule.trigger else { continue };
        let path = Path::rule(index).key("when").key("after");
        if after(rule).is_none() {
            let ids = plan.rules.iter().map(|rule| rule.id.as_str());
            let meant = crate::words::nearest(id, ids).map(|id| format!("did you mean `{id}`?"));
            let message = format!("there is no rule `{id}`");
            complaints.push(Complaint::new(ProblemKind::Unknown, path, message).suggest(meant));
            continue;
        }
        let mut next = after(rule);
        // A chain longer than the plan has gone round.
        for _ in 0..plan.rules.len() {
            if next == Some(index) {
                let message = "the rule waits for itself, so it can never fire";
                complaints.push(Complaint::new(ProblemKind::NeverFires, path, message));
                break;
            }
            next = next.and_then(|n| plan.rules.get(n)).and_then(after);
        }
    }
}

/// A rule behind one that always settles the same requests can never fire.
fn shadows(plan: &Plan, prepared: &[Option<Prepared>], complaints: &mut Vec<Complaint>) {
    let pairs: Vec<(&Rule, &Prepared)> =
        plan.rules.iter().zip(prepared).filter_map(|(rule, prepared)| prepared.as_ref().map(|p| (rule, p))).collect();
    for (index, (rule, late)) in pairs.iter().enumerate() {
        let shadow = pairs.iter().take(index).find(|(earlier, early)| {
            early.stops
                && early.moment() == late.moment()
                && early.schedule.is_unconditional()
                && !is_gated(plan, earlier)
                && early.count.is_none()
                && early.cooldown.is_none()
                && late.matcher.verbs & !early.matcher.verbs == 0
                && earlier.when.covers(&rule.when)
        });
        if let Some((earlier, _)) = shadow {
            let message =
                format!("`{}` always answers these requests first, so `{}` can never fire", earlier.id, rule.id);
            complaints.push(
                Complaint::new(ProblemKind::NeverFires, Path::rule(index), message)
                    .suggest(Some(format!("move it before `{}`", earlier.id))),
            );
        }
    }
}

/// Whether a state of a scenario names the rule, so that it is not always armed.
fn is_gated(plan: &Plan, rule: &Rule) -> bool {
    let mut states = plan.scenarios.values().flat_map(|scenario| &scenario.states);
    states.any(|state| state.rules.iter().any(|name| name == rule.set_name()))
}

/// Rules and scenarios whose outcome depends on who comes first.
pub(crate) fn notes(plan: &Plan) -> Vec<Complaint> {
    let mut notes = Vec::new();
    for (index, rule) in plan.rules.iter().enumerate() {
        let path = Path::rule(index).key("when");
        let mut note = |path, message: &str| notes.push(Complaint::new(ProblemKind::Value, path, message));
        if rule.schedule.per() == Per::Rule && rule.when.lane.len() != 1 {
            note(path.key("per"), "order-dependent: requests of all lanes are counted together");
        }
        if matches!(rule.schedule.trigger, Some(Trigger::Rule(_))) {
            note(path.key("after"), "order-dependent: another rule's firing arms this one for all lanes");
        }
        if matches!(rule.schedule.trigger, Some(Trigger::Idle(_))) && rule.when.lane.len() != 1 {
            note(path.key("after"), "order-dependent: requests of all lanes end the idleness");
        }
    }
    notes.extend(scenarios::notes(plan));
    notes
}

#[cfg(test)]
mod tests;
