//! A compiled plan that is armed, and what one of its rules did.

use crate::facts::Facts;
use crate::overload::Levels;
use parking_lot::Mutex;
use rehearsal_faults::{Engine, Firing, Plan, PlanError};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

type Undo = Box<dyn FnOnce() + Send>;

/// One armed plan. Everything that its rules do ends with it.
pub struct RuleSet {
    /// Rising number, from 1.
    pub id: u64,
    /// The plan.
    pub plan: Plan,
    pub(crate) engine: Engine,
    hash: String,
    pub(crate) frames: bool,
    gone: CancellationToken,
    undo: Mutex<Vec<Undo>>,
    pub(crate) levels: Levels,
}

impl fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleSet").field("id", &self.id).field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl RuleSet {
    pub(crate) fn new(id: u64, plan: &Plan, engine: Engine) -> Self {
        let digest = Sha256::digest(plan.to_yaml().as_bytes());
        let hash = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let frames = engine.looks_at_frames();
        let (gone, undo, levels) = (CancellationToken::new(), Mutex::default(), Levels::default());
        Self { id, plan: plan.clone(), engine, hash, frames, gone, undo, levels }
    }

    pub(crate) fn compile(id: u64, plan: &Plan) -> Result<Self, PlanError> {
        Ok(Self::new(id, plan, plan.compile()?))
    }

    /// Cancelled when the set is disarmed for good: whatever waits, waits no longer.
    #[must_use]
    pub fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// What is to be put back when the set is disarmed; at once if it is already.
    pub fn on_removal(&self, undo: impl FnOnce() + Send + 'static) {
        let mut list = self.undo.lock();
        if self.gone.is_cancelled() {
            drop(list);
            undo();
        } else {
            list.push(Box::new(undo));
        }
    }

    pub(crate) fn remove(&self) {
        let undo = {
            let mut list = self.undo.lock();
            self.gone.cancel();
            std::mem::take(&mut *list)
        };
        undo.into_iter().for_each(|undo| undo());
    }

    /// The lane that a request is of, as this plan tells lanes.
    #[must_use]
    pub fn lane_of(&self, facts: &Facts) -> String {
        if !facts.listener.is_empty() {
            return facts.listener.clone();
        }
        let told = facts.credentials.iter().find_map(|credential| self.plan.lane_of(credential, &facts.user_agent));
        let told = told.or_else(|| self.plan.lane_of("", &facts.user_agent));
        told.map_or_else(|| facts.lane.clone(), str::to_owned)
    }

    /// What names the plan in messages.
    #[must_use]
    pub fn reproduction(&self, rule: &str) -> Reproduction {
        Reproduction { plan: self.hash.clone(), seed: self.plan.seed_value(), rule: rule.to_owned() }
    }

    /// The beginning of the SHA-256 of the plan's text, in hex.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// What another run needs to come to the same decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reproduction {
    /// The beginning of the SHA-256 of the plan's text, in hex.
    pub plan: String,
    /// The plan's seed.
    pub seed: u64,
    /// The rule.
    pub rule: String,
}

impl fmt::Display for Reproduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reproduce: plan {} seed {} rule {}", self.plan, self.seed, self.rule)
    }
}

/// A rule that has fired, and the set it is of.
#[derive(Clone, Debug)]
pub struct Fired {
    /// What fired.
    pub firing: Firing,
    /// Its set.
    pub set: Arc<RuleSet>,
    /// The lane of the request, as the set tells lanes.
    pub lane: String,
}

impl Fired {
    /// The lanes that the rule names; none when it is about all.
    #[must_use]
    pub fn lanes(&self) -> &[String] {
        let rule = self.set.plan.rules().iter().find(|rule| rule.id() == self.firing.rule);
        rule.map(rehearsal_faults::Rule::lanes).unwrap_or_default()
    }
}
