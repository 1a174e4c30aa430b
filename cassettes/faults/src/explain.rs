//! What a plan would do to a list of requests, and why each rule did not fire.

use std::fmt;
use std::time::Duration;

use crate::error::PlanError;
use crate::facts::RequestFacts;
use crate::matcher::{Moment, Subject};
use crate::plan::Plan;
use crate::report::Report;
use crate::schedule::Per;
use crate::scope;
use crate::units::duration_text;
use crate::verdict::Firing;

/// Why a rule did not fire.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// The rule is about connections or frames, and this was a request; or the other way round.
    OtherMoment,
    /// This condition does not hold.
    Mismatch(&'static str),
    /// The rule is switched off.
    Disarmed,
    /// What it waits for has not happened.
    NotTriggered,
    /// Its scenario is in another state.
    OtherState {
        /// The scenario.
        scenario: String,
        /// The rule set that a state must name for the rule to be armed.
        wanted: String,
        /// The state that the scenario is in.
        current: String,
    },
    /// Its window is not open.
    OutsideWindow,
    /// This occurrence is not one of those it asks for.
    Occurrence(u64),
    /// The dice showed this number, which is not below its probability.
    Dice(f64),
    /// It has fired as often as it may.
    Spent,
    /// It fired too recently.
    CoolingDown,
    /// An earlier rule settled the answer.
    Shadowed(String),
    /// It did not fire here in the record.
    NotRecorded,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherMoment => f.write_str("is not about requests"),
            Self::Mismatch(field) => write!(f, "`{field}` does not match"),
            Self::Disarmed => f.write_str("is switched off"),
            Self::NotTriggered => f.write_str("waits for what has not happened"),
            Self::OtherState { scenario, wanted, current } => {
                write!(f, "waits for state `{wanted}` of scenario `{scenario}`, which is in `{current}`")
            }
            Self::OutsideWindow => f.write_str("its window is not open"),
            Self::Occurrence(n) => write!(f, "occurrence {n} is not asked for"),
            Self::Dice(drawn) => write!(f, "the dice show {drawn:.3}"),
            Self::Spent => f.write_str("has fired as often as it may"),
            Self::CoolingDown => f.write_str("is cooling down"),
            Self::Shadowed(by) => write!(f, "`{by}` answers first"),
            Self::NotRecorded => f.write_str("did not fire here in the record"),
        }
    }
}

/// What would happen to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// When.
    pub at: Duration,
    /// Identity of the request.
    pub request: String,
    /// The rules that would fire.
    pub firings: Vec<Firing>,
    /// The other rules, and why they would not.
    pub silent: Vec<(String, Why)>,
}

/// What would happen to a list of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// One entry a request.
    pub requests: Vec<Explained>,
    /// The tally in the end.
    pub report: Report,
}

/// Runs `requests`, each with its time, through a fresh engine of `plan`. The requests themselves are not harmed.
///
/// # Errors
/// The plan is refused, as by [`Plan::compile`].
pub fn explain(plan: &Plan, requests: &[(Duration, RequestFacts<'_>)]) -> Result<Explanation, PlanError> {
    let engine = plan.compile()?;
    let requests = requests.iter().map(|(at, facts)| {
        let subject = Subject::new(Moment::Request, facts, None);
        let mut silent = Vec::new();
        let verdict = engine.ask(&subject, *at, Some(&mut silent));
        Explained { at: *at, request: scope::text(&subject, Per::Object), firings: verdict.firings().to_vec(), silent }
    });
    let requests = requests.collect();
    Ok(Explanation { requests, report: engine.report() })
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Explained { at, request, firings, silent } in &self.requests {
            writeln!(f, "{} {request}", duration_text(*at))?;
            for firing in firings {
                let actions = serde_json::to_string(&firing.actions).unwrap_or_default();
                let state = firing.state.as_ref().map_or_else(String::new, |state| format!(", in state {state}"));
                let Firing { rule, stage, occurrence, .. } = firing;
                writeln!(f, "  {rule} fires at {stage} (occurrence {occurrence}{state}): {actions}")?;
            }
            for (rule, why) in silent {
                writeln!(f, "  {rule}: {why}")?;
            }
        }
        self.report.fmt(f)
    }
}
