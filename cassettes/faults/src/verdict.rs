//! What an engine answers: nothing, or the firings that apply, in the order of their rules.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::{Action, Stage};
use crate::units;

/// What is to happen to a request, a connection or a frame.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a verdict that nobody applies counts as fired all the same"]
pub enum Verdict {
    /// Nothing goes wrong.
    Pass,
    /// These rules have fired. At most the last holds an action that settles the answer; the others stack.
    Act(Vec<Firing>),
}

impl Verdict {
    /// Whether nothing goes wrong.
    #[must_use]
    pub fn is_pass(&self) -> bool {
        matches!(self, Self::Pass)
    }

    /// The firings; none for a pass.
    #[must_use]
    pub fn firings(&self) -> &[Firing] {
        match self {
            Self::Pass => &[],
            Self::Act(firings) => firings,
        }
    }

    /// All actions with their stages, in order.
    pub fn actions(&self) -> impl Iterator<Item = (Stage, &Action)> {
        self.firings().iter().flat_map(|firing| firing.actions.iter().map(|action| (firing.stage, action)))
    }
}

/// One rule that fired: what the journal and the tape keep, and what a repetition needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Firing {
    /// Id of the rule.
    pub rule: String,
    /// The scope that the occurrence was counted in.
    pub scope: String,
    /// The occurrence in that scope, from 1, counted while the rule was armed.
    pub occurrence: u64,
    /// Identity of the request: lane, verb, resource, namespace and name.
    pub request: String,
    /// How many requests of that identity the rule had matched, from 1, armed or not. Decides chances and repetitions.
    pub repeat: u64,
    /// The state of the scenario that armed the rule, such as `s1[1] apf`; `None` for a rule that no scenario names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// When, since the start of the engine's clock.
    #[serde(with = "units::text")]
    pub at: Duration,
    /// When on the way of the request it takes place.
    pub stage: Stage,
    /// What happens, with every chance already drawn.
    pub actions: Vec<Action>,
}
