//! Scenarios: states that a run goes through one after the other, each with the rules that are armed in it.
//!
//! This is what a plan says; [`crate::scenes`] is what an engine knows of it at run time.

use std::time::Duration;

use crate::event::EventPattern;

/// Rule sets that take turns. The run is in one state at a time, first in the first; a rule that is named by states is
/// armed in these only.
///
/// # Example
/// ```
/// use rehearsal_faults::{Plan, Rule, Scenario, State};
/// use std::time::Duration;
///
/// let yaml = "
/// rules:
///   - {id: apf, when: {verb: list}, do: apf-reject}
/// scenarios:
///   s1: [calm, {rules: apf, on: {after: 30s}}, calm]
/// ";
/// let built = Plan::seed(0)
///     .rule(Rule::new("apf").verb("list").fault("apf-reject"))
///     .scenario("s1", Scenario::new().state("calm").state(State::of("apf").after(Duration::from_secs(30))).state("calm"));
/// assert_eq!(Plan::from_yaml("plan.yaml", yaml)?, built);
/// # Ok::<(), rehearsal_faults::PlanError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scenario {
    pub(crate) states: Vec<State>,
    pub(crate) repeat: bool,
}

impl Scenario {
    /// A scenario without states yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a state after those that are there. A name alone ends when the mark of the scenario's name is set.
    #[must_use]
    pub fn state(mut self, state: impl Into<State>) -> Self {
        self.states.push(state.into());
        self
    }

    /// Begins anew after the last state.
    #[must_use]
    pub fn repeat(mut self) -> Self {
        self.repeat = true;
        self
    }
}

/// The name of a state in which no rule is armed.
pub(crate) const CALM: &str = "calm";

/// One state of a [`Scenario`]: which rules are armed, and what ends it. Of several ends, the first that happens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub(crate) rules: Vec<String>,
    pub(crate) on: Advance,
}

/// What ends a state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Advance {
    pub(crate) mark: Option<String>,
    pub(crate) count: Option<u64>,
    pub(crate) event: Option<EventPattern>,
    pub(crate) after: Option<Duration>,
}

impl Advance {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl State {
    /// A state in which the rules of that set are armed, or the rule with that id; `calm` for none.
    #[must_use]
    pub fn of(rules: impl Into<String>) -> Self {
        Self { rules: vec![rules.into()], on: Advance::default() }
    }

    /// Arms another set in the state.
    #[must_use]
    pub fn and(mut self, rules: impl Into<String>) -> Self {
        self.rules.push(rules.into());
        self
    }

    /// Ends when the mark is set.
    #[must_use]
    pub fn on_mark(mut self, mark: impl Into<String>) -> Self {
        self.on.mark = Some(mark.into());
        self
    }

    /// Ends when its rules have fired so often since it began, all together.
    #[must_use]
    pub fn on_count(mut self, firings: u64) -> Self {
        self.on.count = Some(firings);
        self
    }

    /// Ends when a watch was sent such an event.
    #[must_use]
    pub fn on_event(mut self, event: EventPattern) -> Self {
        self.on.event = Some(event);
        self
    }

    /// Ends this long after it began, on the engine's clock.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.on.after = Some(time);
        self
    }

    /// How people call the state.
    pub(crate) fn name(&self) -> String {
        self.rules.join("+")
    }
}

impl From<&str> for State {
    fn from(rules: &str) -> Self {
        Self::of(rules)
    }
}

impl From<String> for State {
    fn from(rules: String) -> Self {
        Self::of(rules)
    }
}
