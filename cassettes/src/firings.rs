//! What a fault plan did to a recording: noted on the tape, and taken off it again to be done once more.
//!
//! A tape holds what the recorded server answered and, beside it, what the plan made of that. So whoever repeats a
//! recording lets the tape answer and the firings happen again in front of it. A request that a firing answered without
//! the server is on the tape with that answer, and is no part of what the server said.

use crate::format::Tree;
use crate::format::model::{End, Entry, Mark, PlanFacts, Tape};
use rehearsal_fault_wire::{Record, Severed};
use rehearsal_faults::{Action, Cut, Firing, Plan};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// A mark that holds a firing at a connection, which is no call's.
pub const FAULT_MARK: &str = "fault";
/// A mark that holds a plan which was armed while the recording went on.
pub const PLAN_MARK: &str = "fault-plan";
/// Member of a firing that answered in the server's place.
const UNASKED: &str = "unasked";
/// Between two plans in one text.
const BETWEEN: &str = "---\n";

/// A firing as a tape has it. `asked`: the server answered the request, or was to.
#[must_use]
pub fn note(firing: &Firing, asked: bool) -> Tree {
    let text = serde_json::to_vec(firing).unwrap_or_default();
    let mut tree = Tree::from_json(&text).unwrap_or_default();
    if let Tree::Map(members) = &mut tree
        && !asked
    {
        members.push((UNASKED.to_owned(), Tree::Bool(true)));
    }
    tree
}

/// Whether a rule has put the request off rather than answered in the server's place: the server gets it later.
#[must_use]
pub fn is_late(firings: &[Firing]) -> bool {
    firings.iter().flat_map(|firing| &firing.actions).any(|action| matches!(action, Action::CommitLater { .. }))
}

/// How an exchange ends that rules have cut off.
#[must_use]
pub fn end_of(severed: &Severed) -> End {
    match severed {
        Severed::Connection(Cut::Reset, _) => End::Reset { code: None },
        Severed::Connection(Cut::Eof | Cut::TlsEof, _) => End::EofNoNotify,
        Severed::Connection(Cut::HalfOpen, _) => End::Timeout,
        Severed::Connection(Cut::Clean, _) => End::Complete,
        Severed::Stream(code) => End::Reset { code: Some(code.code()) },
        Severed::GoAway(_) => End::ServerGoaway,
    }
}

/// What a session asks at the end of its exchange: everything that has fired for it.
pub fn witness(record: Record) -> impl Fn() -> Vec<Tree> + Send + Sync + 'static {
    move || record.firings().iter().map(|firing| note(firing, true)).collect()
}

/// What the header of a tape says of the plans in force; none for no plans.
#[must_use]
pub fn plan_facts(plans: &[Plan]) -> Option<PlanFacts> {
    let text = plans.iter().map(Plan::to_yaml).collect::<Vec<_>>().join(BETWEEN);
    let sha256 = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    (!plans.is_empty()).then(|| PlanFacts { text, sha256, ..PlanFacts::default() })
}

/// Why the firings of a tape cannot be repeated.
#[derive(Debug, thiserror::Error)]
pub enum RepetitionError {
    /// There are none.
    #[error("no fault was recorded: the tape has no firings to repeat")]
    None,
    /// The tape does not say which plan.
    #[error("the tape has {0} firings and no fault plan in its header")]
    NoPlan(usize),
    /// A plan on the tape is refused.
    #[error("the fault plan on the tape: {0}")]
    Plan(#[from] rehearsal_faults::PlanError),
    /// A firing is none that this version knows.
    #[error("call {call}: a firing that cannot be read: {error}")]
    Firing {
        /// The call; 0 for a connection.
        call: u64,
        /// Why.
        error: serde_json::Error,
    },
    /// A firing of a rule that no plan on the tape has.
    #[error("call {call}: the rule {rule:?} is in no fault plan on the tape")]
    Rule {
        /// The call; 0 for a connection.
        call: u64,
        /// The rule.
        rule: String,
    },
}

/// A recording taken apart again: what the server said, and what the plan made of it.
#[derive(Clone, Debug)]
pub struct Repetition {
    /// The tape as the server would have recorded it: without the requests that it never saw.
    pub tape: Tape,
    /// The plans, in the order of their arming, each with what its rules did.
    pub sets: Vec<(Plan, Vec<Firing>)>,
    /// Where lanes were told otherwise than by the proxy (a server that recorded itself): the lane of the plan by the lane
    /// of the tape.
    pub lanes: Option<BTreeMap<String, String>>,
}

impl Repetition {
    /// Takes a tape apart.
    ///
    /// # Errors
    /// A tape without firings, or with firings that nothing on it explains.
    pub fn of(tape: &Tape) -> Result<Self, RepetitionError> {
        let mut plans = Vec::new();
        if let Some(facts) = &tape.header.plan {
            for text in split(&facts.text) {
                plans.push(Plan::from_yaml("header.plan", &text)?);
            }
        }
        let mut firings = Vec::new();
        let mut lanes = BTreeMap::new();
        let mut left = Tape { header: tape.header.clone(), sealed: tape.sealed.clone(), entries: Vec::new() };
        for entry in &tape.entries {
            let (call, noted): (u64, Vec<Tree>) = match entry {
                Entry::Call(call) => (call.id, call.faults.clone()),
                Entry::Mark(Mark { what, text, .. }) if what == FAULT_MARK => {
                    (0, Tree::from_json(text.as_bytes()).into_iter().collect())
                }
                Entry::Mark(Mark { what, text, .. }) if what == PLAN_MARK => {
                    plans.push(Plan::from_yaml("mark", text)?);
                    (0, Vec::new())
                }
                Entry::Mark(_) | Entry::Upgrade(_) => (0, Vec::new()),
            };
            for tree in &noted {
                let firing: Firing =
                    serde_json::from_value(tree.into()).map_err(|error| RepetitionError::Firing { call, error })?;
                if let Entry::Call(call) = entry {
                    let lane = firing.request.split(' ').next().filter(|lane| *lane != "-").unwrap_or_default();
                    lanes.entry(call.lane.clone()).or_insert_with(|| lane.to_owned());
                }
                firings.push((call, firing));
            }
            if !noted.iter().any(is_unasked) {
                left.entries.push(entry.clone());
            }
        }
        if firings.is_empty() {
            return Err(RepetitionError::None);
        }
        if plans.is_empty() {
            return Err(RepetitionError::NoPlan(firings.len()));
        }
        let by_proxy = tape.header.recorded.placement == "proxy";
        Ok(Self { tape: left, sets: shared_out(plans, firings)?, lanes: (!by_proxy).then_some(lanes) })
    }
}

/// Whether a firing answered in the server's place.
fn is_unasked(firing: &Tree) -> bool {
    firing.get(UNASKED) == Some(&Tree::Bool(true))
}

fn split(text: &str) -> Vec<String> {
    let mut plans = vec![String::new()];
    for line in text.split_inclusive('\n') {
        match plans.last_mut() {
            Some(plan) if line != BETWEEN => plan.push_str(line),
            _ => plans.push(String::new()),
        }
    }
    plans
}

/// Gives each plan the firings of its rules.
fn shared_out(plans: Vec<Plan>, firings: Vec<(u64, Firing)>) -> Result<Vec<(Plan, Vec<Firing>)>, RepetitionError> {
    let mut sets: Vec<(Plan, Vec<Firing>)> = plans.into_iter().map(|plan| (plan, Vec::new())).collect();
    for (call, firing) in firings {
        let set = sets.iter_mut().find(|(plan, _)| plan.rules().iter().any(|rule| rule.id() == firing.rule));
        match set {
            Some((_, list)) => list.push(firing),
            None => return Err(RepetitionError::Rule { call, rule: firing.rule }),
        }
    }
    Ok(sets)
}

/// The first rule that two plans have both: its firings could not be told apart.
#[must_use]
pub fn shared_rule(plans: &[Plan]) -> Option<&str> {
    let ids: Vec<&str> = plans.iter().flat_map(|plan| plan.rules().iter().map(rehearsal_faults::Rule::id)).collect();
    ids.iter().enumerate().find(|(n, id)| ids.iter().take(*n).any(|other| other == *id)).map(|(_, id)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::model::Call;
    use rehearsal_faults::{RequestFacts, Rule};
    use std::time::Duration;

    fn plan(rule: &str) -> Plan {
        Plan::seed(7).rule(Rule::new(rule).verb("get").fault("delay"))
    }

    fn fired(plan: &Plan) -> Firing {
        let get = RequestFacts { verb: "get", resource: "pods", lane: "sut", name: "a", ..RequestFacts::default() };
        plan.compile().unwrap().decide(&get, Duration::from_millis(3)).firings()[0].clone()
    }

    fn tape(calls: Vec<Tree>, plans: &[Plan]) -> Tape {
        let call = |(id, firing): (u64, Tree)| {
            Entry::Call(Call { id, lane: "kubectl".into(), faults: vec![firing], ..Call::default() })
        };
        let mut tape = Tape { entries: (1..).zip(calls).map(call).collect(), ..Tape::default() };
        tape.header.plan = plan_facts(plans);
        tape
    }

    #[test]
    fn a_recording_is_taken_apart_into_what_the_server_said_and_what_was_made_of_it() {
        let plans = [plan("a"), plan("b")];
        let (a, b) = (fired(&plans[0]), fired(&plans[1]));
        let taken = Repetition::of(&tape(vec![note(&a, false), note(&b, true)], &plans)).unwrap();
        assert_eq!(taken.tape.calls().map(|call| call.id).collect::<Vec<_>>(), [2]);
        assert_eq!(taken.sets, [(plans[0].clone(), vec![a]), (plans[1].clone(), vec![b])]);
        assert_eq!(taken.lanes.unwrap()["kubectl"], "sut");
    }

    #[test]
    fn what_cannot_be_repeated_says_why() {
        let why = |tape: Tape| Repetition::of(&tape).unwrap_err().to_string();
        assert!(why(Tape::default()).contains("no fault was recorded"));
        let firing = fired(&plan("a"));
        assert!(why(tape(vec![note(&firing, true)], &[])).contains("1 firings and no fault plan"));
        assert!(why(tape(vec![note(&firing, true)], &[plan("b")])).contains("call 1: the rule \"a\""));
        assert!(why(tape(vec![Tree::Bool(true)], &[plan("b")])).contains("call 1: a firing that cannot be read"));
    }

    #[test]
    fn a_rule_in_two_plans_is_found() {
        assert_eq!(shared_rule(&[plan("a"), plan("b")]), None);
        assert_eq!(shared_rule(&[plan("a"), plan("b"), plan("a")]), Some("a"));
    }
}
