//! Where the scenarios of a plan are at run time, and what moves them on.
//!
//! A scenario has one small lock. It is taken by requests that meet the conditions of one of its rules, by marks and by
//! frames; a request that matches nothing never waits for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::event::EventMatcher;
use crate::explain::Why;
use crate::facts::FrameFacts;
use crate::scenario::{Scenario, State};

/// The scenarios of a plan.
#[derive(Debug, Default)]
pub(crate) struct Scenes {
    scenes: Vec<Scene>,
    /// By rule: the scenario that arms it.
    gates: Vec<Option<Gate>>,
}

/// In which states of a scenario a rule is armed.
#[derive(Debug)]
struct Gate {
    scene: usize,
    set: String,
    open: Vec<bool>,
}

#[derive(Debug)]
struct Scene {
    name: String,
    states: Vec<Step>,
    repeat: bool,
    /// How long a round takes when time alone moves the scenario on.
    round: Option<Duration>,
    progress: Mutex<Progress>,
}

/// A state, compiled.
#[derive(Debug)]
struct Step {
    name: String,
    mark: Option<String>,
    count: Option<u64>,
    event: Option<EventMatcher>,
    after: Option<Duration>,
}

/// The current state, when it began, and how often its rules have fired since.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    step: usize,
    began: Duration,
    fired: u64,
}

impl Scenes {
    /// `sets` are the names that states know each rule by, in the order of the rules.
    pub(crate) fn new(scenarios: &BTreeMap<String, Scenario>, sets: &[&str]) -> Self {
        let gate = |set: &&str| {
            let open = |scenario: &Scenario| scenario.states.iter().map(|state| names(state, set)).collect::<Vec<_>>();
            let all = scenarios.values().map(open).enumerate();
            let mut mine = all.filter(|(_, open)| open.contains(&true));
            mine.next().map(|(scene, open)| Gate { scene, set: (*set).to_owned(), open })
        };
        Self {
            scenes: scenarios.iter().map(|(name, scenario)| Scene::new(name, scenario)).collect(),
            gates: sets.iter().map(gate).collect(),
        }
    }

    fn gate(&self, rule: usize) -> Option<(&Gate, &Scene)> {
        let gate = self.gates.get(rule)?.as_ref()?;
        Some((gate, self.scenes.get(gate.scene)?))
    }

    /// Whether a scenario waits for frames.
    pub(crate) fn looks_at_frames(&self) -> bool {
        self.scenes.iter().flat_map(|scene| &scene.states).any(|state| state.event.is_some())
    }

    /// Whether the rule is armed in the current state of its scenario.
    pub(crate) fn admit(&self, rule: usize, now: Duration) -> Result<(), Why> {
        self.claim(rule, now, 0).map(drop)
    }

    /// Lets a rule fire if it is still armed: counts the firing, and says in which state it was.
    pub(crate) fn fire(&self, rule: usize, now: Duration) -> Result<Option<String>, Why> {
        self.claim(rule, now, 1)
    }

    fn claim(&self, rule: usize, now: Duration, firings: u64) -> Result<Option<String>, Why> {
        let Some((gate, scene)) = self.gate(rule) else { return Ok(None) };
        let mut progress = scene.at(now);
        let step = progress.step;
        if gate.open.get(step) != Some(&true) {
            return Err(scene.elsewhere(gate, step));
        }
        if firings == 0 {
            return Ok(None);
        }
        progress.fired += firings;
        if scene.states.get(step).and_then(|state| state.count).is_some_and(|count| progress.fired >= count) {
            scene.advance(&mut progress, now);
        }
        Ok(Some(format!("{}[{step}] {}", scene.name, scene.name_of(step))))
    }

    /// What the rule waits for, as its scenario was last seen.
    pub(crate) fn waits(&self, rule: usize) -> Option<Why> {
        let (gate, scene) = self.gate(rule)?;
        let step = scene.lock().step;
        (gate.open.get(step) != Some(&true)).then(|| scene.elsewhere(gate, step))
    }

    /// A mark was set.
    pub(crate) fn mark(&self, mark: &str, now: Duration) {
        self.advance(now, |step| step.mark.as_deref() == Some(mark));
    }

    /// A frame was sent.
    pub(crate) fn observe(&self, frame: &FrameFacts<'_>, now: Duration) {
        if self.looks_at_frames() {
            self.advance(now, |step| step.event.as_ref().is_some_and(|event| event.sees(frame)));
        }
    }

    fn advance(&self, now: Duration, ends: impl Fn(&Step) -> bool) {
        for scene in &self.scenes {
            let mut progress = scene.at(now);
            if scene.states.get(progress.step).is_some_and(&ends) {
                scene.advance(&mut progress, now);
            }
        }
    }

    /// Name and current state of each scenario, as last seen.
    pub(crate) fn current(&self) -> Vec<(String, String)> {
        let of = |scene: &Scene| (scene.name.clone(), scene.name_of(scene.lock().step).to_owned());
        self.scenes.iter().map(of).collect()
    }
}

/// A duration of so many nanoseconds, which come from one and so fit into one.
fn nanos(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    Duration::new(u64::try_from(nanos / SECOND).unwrap_or(u64::MAX), (nanos % SECOND) as u32)
}

/// Whether a state names a set.
fn names(state: &State, set: &str) -> bool {
    state.rules.iter().any(|name| name == set)
}

impl Scene {
    fn new(name: &str, scenario: &Scenario) -> Self {
        let last = scenario.states.len().saturating_sub(1);
        let step = |(n, state): (usize, &State)| Step {
            name: state.name(),
            // A state that does not say how it ends waits for the mark of its scenario; the last one stays.
            mark: match &state.on.mark {
                None if state.on.is_empty() && (n < last || scenario.repeat) => Some(name.to_owned()),
                mark => mark.clone(),
            },
            count: state.on.count,
            event: state.on.event.as_ref().map(EventMatcher::new),
            after: state.on.after,
        };
        let round = || scenario.states.iter().try_fold(Duration::ZERO, |all, state| all.checked_add(state.on.after?));
        Self {
            name: name.to_owned(),
            states: scenario.states.iter().enumerate().map(step).collect(),
            repeat: scenario.repeat,
            round: scenario.repeat.then(round).flatten(),
            progress: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The progress at a time: states that end by time have ended.
    fn at(&self, now: Duration) -> MutexGuard<'_, Progress> {
        let mut progress = self.lock();
        if let Some(round) = self.round.map(|round| round.as_nanos()) {
            // Whole rounds at once: a clock that leaps a year must not cost a step a second.
            let gone = now.saturating_sub(progress.began).as_nanos().checked_div(round).unwrap_or(0);
            if gone > 0 {
                progress.began = progress.began.saturating_add(nanos(gone * round));
                progress.fired = 0;
            }
        }
        // Once round at most: what is left is less than a round, or comes to a state that time does not end.
        for _ in 0..=self.states.len() {
            let after = self.states.get(progress.step).and_then(|state| state.after);
            let Some(over) = after.and_then(|time| progress.began.checked_add(time)).filter(|over| *over <= now) else {
                break;
            };
            if !self.advance(&mut progress, over) {
                break;
            }
        }
        progress
    }

    /// Goes to the next state, if there is one.
    fn advance(&self, progress: &mut Progress, now: Duration) -> bool {
        let next = progress.step + 1;
        let step = match next < self.states.len() {
            true => next,
            false if self.repeat => 0,
            false => return false,
        };
        *progress = Progress { step, began: now, fired: 0 };
        true
    }

    fn name_of(&self, step: usize) -> &str {
        self.states.get(step).map_or("", |state| &state.name)
    }

    fn elsewhere(&self, gate: &Gate, step: usize) -> Why {
        Why::OtherState {
            scenario: self.name.clone(),
            wanted: gate.set.clone(),
            current: self.name_of(step).to_owned(),
        }
    }
}
