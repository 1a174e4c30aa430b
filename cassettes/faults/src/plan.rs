//! A fault plan: a seed, lanes, and rules in order. The same data whether it was read from YAML or built in code.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::action::Stage;
use crate::check;
use crate::engine::Engine;
use crate::error::{Complaint, Place, PlanError, Problem, ProblemKind};
use crate::glob::Pattern;
use crate::matcher::When;
use crate::scenario::Scenario;
use crate::scenes::Scenes;
use crate::schedule::{Schedule, Trigger};
use crate::server::ServerFacts;
use crate::{parse, print, yaml};

/// A fault plan.
///
/// # Example
/// ```
/// use rehearsal_faults::{Plan, RequestFacts, Rule};
/// use std::time::Duration;
///
/// let yaml = "
/// seed: 7
/// rules:
///   - id: lose-2nd-create
///     when: {verb: create, resource: statefulsets.apps, nth: 2, per: route}
///     at: after-commit
///     do: reset
/// ";
/// let built = Plan::seed(7).rule(
///     Rule::new("lose-2nd-create")
///         .verb("create")
///         .resource("statefulsets.apps")
///         .nth(2)
///         .per(rehearsal_faults::Per::Route)
///         .at(rehearsal_faults::Stage::AfterCommit)
///         .fault("reset"),
/// );
/// let plan = Plan::from_yaml("plan.yaml", yaml)?;
/// assert_eq!(plan, built);
///
/// let engine = plan.compile()?;
/// let create = RequestFacts { verb: "create", group: "apps", resource: "statefulsets", ..RequestFacts::default() };
/// assert!(engine.decide(&create, Duration::ZERO).is_pass());
/// assert!(!engine.decide(&create, Duration::ZERO).is_pass());
/// # Ok::<(), rehearsal_faults::PlanError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub(crate) seed: u64,
    pub(crate) lanes: BTreeMap<String, Lane>,
    pub(crate) byzantine: Byzantine,
    pub(crate) rules: Vec<Rule>,
    pub(crate) scenarios: BTreeMap<String, Scenario>,
    /// File name and text, for messages.
    source: Option<(String, String)>,
}

/// How many problems of one plan are told.
const MOST_PROBLEMS: usize = 100;

/// Plans are equal when they mean the same; where they came from does not count.
impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &Self, b: &Self| {
            let rules = a.rules == b.rules && a.scenarios == b.scenarios;
            a.seed == b.seed && a.lanes == b.lanes && a.byzantine == b.byzantine && rules
        };
        same(&self.normalised(), &other.normalised())
    }
}

/// Whether faults are allowed that no correct cluster could cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Byzantine {
    /// They are refused. The default.
    #[default]
    Refused,
    /// They are allowed.
    Allowed,
}

/// How the requests of a logical client are told. Parts that are not given match all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lane {
    pub(crate) auth: Option<String>,
    pub(crate) user_agent: Option<String>,
}

impl Lane {
    /// A lane that is told by its name only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The credential that the lane's requests carry, such as `lane:controller`; a glob.
    #[must_use]
    pub fn auth(mut self, auth: impl Into<String>) -> Self {
        self.auth = Some(auth.into());
        self
    }

    /// The User-Agent of the lane's requests; a glob.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }
}

/// One rule: which requests, which occurrence of them, and what goes wrong.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rule {
    pub(crate) id: String,
    pub(crate) set: Option<String>,
    pub(crate) when: When,
    pub(crate) schedule: Schedule,
    pub(crate) at: Option<Stage>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) count: Option<u64>,
    pub(crate) cooldown: Option<Duration>,
    pub(crate) then: Option<Then>,
}

impl Rule {
    /// The rule's name: part of every draw of its dice.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The lanes that the rule names; none when it is about all.
    #[must_use]
    pub fn lanes(&self) -> &[String] {
        &self.when.lane
    }

    /// The name that states of a scenario know the rule by.
    pub(crate) fn set_name(&self) -> &str {
        self.set.as_deref().unwrap_or(&self.id)
    }
}

crate::words::words! {
    /// What becomes of later rules when a rule has fired.
    pub enum Then {
        /// They are not asked. What a rule with a terminal fault always does.
        Stop = "stop",
        /// They are asked too. The default of rules without a terminal fault.
        Continue = "continue",
    }
}

/// A row of the catalogue and its knobs, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    pub(crate) name: String,
    pub(crate) knobs: BTreeMap<String, String>,
}

impl Plan {
    /// An empty plan. The seed decides all chances; the default of a plan file is 0.
    #[must_use]
    pub fn seed(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Adds a rule after those that are there.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self.source = None;
        self
    }

    /// Declares a lane.
    #[must_use]
    pub fn lane(mut self, name: impl Into<String>, lane: Lane) -> Self {
        self.lanes.insert(name.into(), lane);
        self
    }

    /// Adds a scenario: its states say when the rules that they name are armed.
    #[must_use]
    pub fn scenario(mut self, name: impl Into<String>, scenario: Scenario) -> Self {
        self.scenarios.insert(name.into(), scenario);
        self.source = None;
        self
    }

    /// Says whether faults are allowed that no correct cluster could cause.
    #[must_use]
    pub fn byzantine(mut self, byzantine: Byzantine) -> Self {
        self.byzantine = byzantine;
        self
    }

    /// Reads and checks a plan. `file` is its name in messages.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with line, column and perhaps a suggestion.
    pub fn from_yaml(file: &str, text: &str) -> Result<Self, PlanError> {
        let node = yaml::read(text).map_err(|(message, place)| {
            let place = place.map(|(line, column)| Place { file: file.to_owned(), line, column });
            let complaint = Complaint::new(ProblemKind::Syntax, crate::error::Path::default(), message);
            PlanError::new(vec![complaint.at(place)])
        })?;
        let (mut plan, complaints) = parse::plan(&node);
        plan.source = Some((file.to_owned(), text.to_owned()));
        // A plan that was misread would draw follow-up complaints that help nobody.
        let complaints = if complaints.is_empty() { check::check(&plan).err().unwrap_or_default() } else { complaints };
        if complaints.is_empty() { Ok(plan.normalised()) } else { Err(plan.refuse(complaints)) }
    }

    /// The plan as YAML that [`Plan::from_yaml`] reads back as the same plan.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        yaml::write(&print::plan(&self.normalised()))
    }

    /// Checks the plan and makes it ready to decide.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(&self) -> Result<Engine, PlanError> {
        let rules = check::check(self).map_err(|complaints| self.refuse(complaints))?;
        let sets: Vec<&str> = self.rules.iter().map(Rule::set_name).collect();
        Ok(Engine::new(self.seed, rules, Scenes::new(&self.scenarios, &sets)))
    }

    /// Whether all rules can work on a server: lanes that are told by connection have a listener there, TLS and HTTP/2 are
    /// served where faults need them.
    ///
    /// # Errors
    /// Everything that is wrong with it, as [`compile`](Self::compile) has it or for want of the server.
    pub fn fits(&self, server: &ServerFacts) -> Result<(), PlanError> {
        let complaints = match check::check(self) {
            Ok(prepared) => check::check_server(self, &prepared, server),
            Err(complaints) => complaints,
        };
        if complaints.is_empty() { Ok(()) } else { Err(self.refuse(complaints)) }
    }

    /// What is allowed and still worth knowing: rules whose outcome depends on the order in which lanes arrive.
    #[must_use]
    pub fn notes(&self) -> Vec<Problem> {
        check::notes(self).into_iter().map(|complaint| self.placed(complaint)).collect()
    }

    /// The seed of all chances.
    #[must_use]
    pub fn seed_value(&self) -> u64 {
        self.seed
    }

    /// The rules in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The lane of a request with that credential and User-Agent: the first, by name, that fits both.
    #[must_use]
    pub fn lane_of(&self, auth: &str, user_agent: &str) -> Option<&str> {
        let fits =
            |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|w| Pattern::new(w).matches(found));
        let told = |lane: &Lane| lane.auth.is_some() || lane.user_agent.is_some();
        let lane = self.lanes.iter().find(|(_, l)| told(l) && fits(&l.auth, auth) && fits(&l.user_agent, user_agent));
        lane.map(|(name, _)| name.as_str())
    }

    /// Knobs and selectors in their shortest spelling, so that `90s` and `1m30s` are one plan.
    fn normalised(&self) -> Self {
        let mut plan = self.clone();
        for rule in &mut plan.rules {
            rule.faults.iter_mut().for_each(check::normalise);
            rule.when.object.normalise();
            if let Some(Trigger::Event(event)) = &mut rule.schedule.trigger {
                event.object.normalise();
            }
        }
        for state in plan.scenarios.values_mut().flat_map(|scenario| &mut scenario.states) {
            if let Some(event) = &mut state.on.event {
                event.object.normalise();
            }
        }
        plan
    }

    pub(crate) fn refuse(&self, mut complaints: Vec<Complaint>) -> PlanError {
        // Every place costs a reading of the file, and nobody reads on after this many.
        let rest = complaints.split_off(complaints.len().min(MOST_PROBLEMS)).len();
        let mut problems: Vec<_> = complaints.into_iter().map(|complaint| self.placed(complaint)).collect();
        if rest > 0 {
            let message = format!("{rest} more problems are not listed");
            problems.push(Complaint::new(ProblemKind::Syntax, crate::error::Path::default(), message).at(None));
        }
        PlanError::new(problems)
    }

    fn placed(&self, complaint: Complaint) -> Problem {
        let place = self.source.as_ref().and_then(|(file, text)| {
            yaml::locate(text, &complaint.path).map(|(line, column)| Place { file: file.clone(), line, column })
        });
        complaint.at(place)
    }
}
