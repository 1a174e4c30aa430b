//! Asks the rules of a plan about a request and counts. Handed the time, does no I/O, may be shared by all threads.
//!
//! For every rule whose conditions hold: is it armed, is its window open, which occurrence is this, do the dice say yes,
//! is there anything left to fire. Rules are asked in order; the first that settles the answer ends the asking.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::action::Action;
use crate::check::Prepared;
use crate::counters::{Counters, Turns};
use crate::error::PlanError;
use crate::event::EventMatcher;
use crate::explain::Why;
use crate::facts::{ConnectionFacts, FrameFacts, RequestFacts};
use crate::matcher::{Looks, Moment, Subject};
use crate::plan::Plan;
use crate::report::{Report, RuleReport};
use crate::rng::Dice;
use crate::scenes::Scenes;
use crate::schedule::{Per, Trigger};
use crate::scope;
use crate::verdict::{Firing, Verdict};

/// A compiled plan. Decisions depend on the seed, on what each lane sends and on `now`; never on a clock of its own.
#[derive(Debug)]
pub struct Engine {
    seed: u64,
    rules: Vec<Entry>,
    looks: Looks,
    index: Index,
    occurrences: Counters,
    repeats: Counters,
    turns: Turns,
    scenes: Scenes,
    marks: RwLock<BTreeMap<String, Duration>>,
    recorded: Option<Recorded>,
}

const _: () = {
    const fn shareable<T: Send + Sync>() {}
    shareable::<Engine>();
};

/// Recorded actions, and the state that armed the rule, by rule, request and repeat.
type Recorded = HashMap<(String, String, u64), (Vec<Action>, Option<String>)>;

#[derive(Debug)]
struct Entry {
    rule: Prepared,
    /// Position of the rule that this one waits for.
    after: Option<usize>,
    /// The event that it waits for.
    event: Option<EventMatcher>,
    armed: AtomicBool,
    triggered: AtomicBool,
    /// When a request last met the conditions, in nanoseconds; [`NEVER`] before the first.
    asked: AtomicU64,
    matched: AtomicU64,
    fired: AtomicU64,
    shadowed: AtomicU64,
    /// Firings by lane.
    lanes: Mutex<BTreeMap<String, u64>>,
}

const NEVER: u64 = u64::MAX;

impl Entry {
    fn new(rule: Prepared, after: Option<usize>) -> Self {
        let event = match &rule.schedule.trigger {
            Some(Trigger::Event(pattern)) => Some(EventMatcher::new(pattern)),
            _ => None,
        };
        Self {
            rule,
            after,
            event,
            armed: AtomicBool::new(true),
            triggered: AtomicBool::new(false),
            asked: AtomicU64::new(NEVER),
            matched: AtomicU64::new(0),
            fired: AtomicU64::new(0),
            shadowed: AtomicU64::new(0),
            lanes: Mutex::default(),
        }
    }

    /// Notes that a request met the conditions, and whether none had for as long as the rule waits for.
    fn asked_at(&self, now: Duration) {
        let Some(Trigger::Idle(wait)) = &self.rule.schedule.trigger else { return };
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(NEVER - 1);
        let last = self.asked.swap(nanos, Ordering::AcqRel);
        if last != NEVER && u128::from(nanos.saturating_sub(last)) >= wait.as_nanos() {
            self.triggered.store(true, Ordering::Release);
        }
    }

    /// Whether the conditions hold. Apart from the rest because nearly every answer is no.
    fn is_about(&self, subject: &Subject<'_>) -> bool {
        self.rule.matcher.mismatch(subject).is_none()
    }

    /// The same with a reason. Only needed when every rule is asked, also those of other occasions.
    fn why_not(&self, subject: &Subject<'_>) -> Option<Why> {
        if self.rule.moment() == subject.moment {
            self.rule.matcher.mismatch(subject).map(Why::Mismatch)
        } else {
            Some(Why::OtherMoment)
        }
    }
}

impl Engine {
    pub(crate) fn new(seed: u64, prepared: Vec<Prepared>, scenes: Scenes) -> Self {
        let position = |id: &str| prepared.iter().position(|rule| rule.id == id);
        let afters: Vec<_> = prepared
            .iter()
            .map(|rule| match &rule.schedule.trigger {
                Some(Trigger::Rule(id)) => position(id),
                _ => None,
            })
            .collect();
        let index = Index::new(&prepared);
        let looks = Looks::new(prepared.iter().map(|rule| &rule.when));
        Self {
            seed,
            rules: prepared.into_iter().zip(afters).map(|(rule, after)| Entry::new(rule, after)).collect(),
            looks,
            index,
            occurrences: Counters::default(),
            repeats: Counters::default(),
            turns: Turns::default(),
            scenes,
            marks: RwLock::default(),
            recorded: None,
        }
    }

    /// An engine that repeats recorded firings: the rules of `plan` only match and count, and what fired in the record
    /// fires again for the same request of the same lane, whatever the time and the order of lanes.
    ///
    /// # Errors
    /// The plan is refused, as by [`Plan::compile`].
    pub fn from_firings(plan: &Plan, firings: &[Firing]) -> Result<Self, PlanError> {
        let key = |firing: &Firing| (firing.rule.clone(), firing.request.clone(), firing.repeat);
        let recorded =
            firings.iter().map(|firing| (key(firing), (firing.actions.clone(), firing.state.clone()))).collect();
        Ok(Self { recorded: Some(recorded), ..plan.compile()? })
    }

    /// What happens to a request. `now` is the time since the start of the engine's clock, real or virtual.
    ///
    /// Counts: asking twice is asking about two requests.
    pub fn decide(&self, request: &RequestFacts<'_>, now: Duration) -> Verdict {
        self.ask(&Subject::new(Moment::Request, request, None), now, None)
    }

    /// What happens to a connection that was just accepted.
    pub fn decide_connection(&self, connection: &ConnectionFacts<'_>, now: Duration) -> Verdict {
        let ConnectionFacts { lane, connection } = *connection;
        let facts = RequestFacts { lane, connection, ..RequestFacts::default() };
        self.ask(&Subject::new(Moment::Connection, &facts, None), now, None)
    }

    /// What happens to a watch frame that is about to be sent. Also arms the rules that wait for such an event.
    pub fn decide_frame(&self, frame: &FrameFacts<'_>, now: Duration) -> Verdict {
        let facts = frame.as_request();
        let verdict = self.ask(&Subject::new(Moment::Frame, &facts, Some(frame.event)), now, None);
        // After the asking, so that a rule does not fire on the very event it waits for.
        self.observe(frame, now);
        verdict
    }

    /// Whether frames have to be shown to [`decide_frame`](Self::decide_frame) at all: a rule is about them or waits for
    /// one.
    #[must_use]
    pub fn looks_at_frames(&self) -> bool {
        let looks = |entry: &Entry| entry.rule.moment() == Moment::Frame || entry.event.is_some();
        self.rules.iter().any(looks) || self.scenes.looks_at_frames()
    }

    /// Whether a rule has conditions on the object of a request, so that it must be found for it.
    #[must_use]
    pub fn looks_at_objects(&self) -> bool {
        self.rules.iter().any(|entry| entry.rule.matcher.looks_at_objects())
    }

    /// Whether a connection with that ordinal would find the port closed or its backlog full, were it to come `now`. Unlike
    /// [`decide_connection`](Self::decide_connection) this counts nothing: it lets a listener close before the client
    /// knocks.
    #[must_use]
    pub fn closes_port(&self, connection: &ConnectionFacts<'_>, now: Duration) -> bool {
        let ConnectionFacts { lane, connection } = *connection;
        let facts = RequestFacts { lane, connection, ..RequestFacts::default() };
        let subject = Subject::new(Moment::Connection, &facts, None);
        self.index.connections.iter().filter_map(|position| Some((*position, self.rules.get(*position)?))).any(
            |(position, entry)| {
                let closes = |action: &Action| matches!(action, Action::Refuse { .. } | Action::Blackhole { .. });
                entry.rule.actions.iter().any(closes)
                    && entry.armed.load(Ordering::Acquire)
                    && entry.is_about(&subject)
                    && (self.recorded.is_some() || self.gates(position, entry, now).is_ok())
                    && self.would_pick(position, entry, &subject, now)
            },
        )
    }

    /// Whether any rule closes the port or fills its backlog.
    #[must_use]
    pub fn may_close_port(&self) -> bool {
        let closes = |action: &Action| matches!(action, Action::Refuse { .. } | Action::Blackhole { .. });
        self.rules.iter().any(|entry| entry.rule.actions.iter().any(closes))
    }

    fn would_pick(&self, position: usize, entry: &Entry, subject: &Subject<'_>, now: Duration) -> bool {
        let identity = scope::hash(subject, Per::Object);
        let scope = scope::hash(subject, entry.rule.schedule.per());
        let repeat = self.repeats.next(position, identity);
        if let Some(recorded) = &self.recorded {
            let key = (entry.rule.id.clone(), scope::text(subject, Per::Object), repeat.seen);
            return recorded.contains_key(&key);
        }
        let dice = Dice::new(self.seed, &entry.rule.id, scope, identity, repeat.seen);
        pick(&entry.rule, &self.occurrences.next(position, scope), now, &dice).is_ok()
    }

    /// Whether there is such a rule.
    #[must_use]
    pub fn has_rule(&self, rule: &str) -> bool {
        self.rules.iter().any(|entry| entry.rule.id == rule)
    }

    /// Whether a rule is switched on; `None` when there is no such rule.
    #[must_use]
    pub fn is_armed(&self, rule: &str) -> Option<bool> {
        let entry = self.rules.iter().find(|entry| entry.rule.id == rule)?;
        Some(entry.armed.load(Ordering::Acquire))
    }

    /// How often a rule has fired for the requests of a lane; `None` when there is no such rule.
    #[must_use]
    pub fn fired_in(&self, rule: &str, lane: &str) -> Option<u64> {
        let entry = self.rules.iter().find(|entry| entry.rule.id == rule)?;
        Some(entry.lanes.lock().unwrap_or_else(PoisonError::into_inner).get(lane).copied().unwrap_or(0))
    }

    /// The scenarios of the plan, by name, and the state that each was in when it was last asked about.
    #[must_use]
    pub fn scenarios(&self) -> Vec<(String, String)> {
        self.scenes.current()
    }

    /// Sets a mark: windows and triggers that name it count from `now`, states that wait for it end.
    pub fn mark(&self, name: &str, now: Duration) {
        self.marks.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), now);
        self.scenes.mark(name, now);
    }

    /// Switches a rule on again. Says whether there is such a rule.
    pub fn arm(&self, rule: &str) -> bool {
        self.switch(rule, true)
    }

    /// Switches a rule off: it neither fires nor counts. Says whether there is such a rule.
    pub fn disarm(&self, rule: &str) -> bool {
        self.switch(rule, false)
    }

    fn switch(&self, rule: &str, armed: bool) -> bool {
        let entry = self.rules.iter().find(|entry| entry.rule.id == rule);
        entry.inspect(|entry| entry.armed.store(armed, Ordering::Release)).is_some()
    }

    /// What has fired so far, and what has not.
    #[must_use]
    pub fn report(&self) -> Report {
        let row = |(position, entry): (usize, &Entry)| RuleReport {
            rule: entry.rule.id.clone(),
            matched: entry.matched.load(Ordering::Relaxed),
            fired: entry.fired.load(Ordering::Relaxed),
            shadowed: entry.shadowed.load(Ordering::Relaxed),
            waits_for: self.scenes.waits(position).map(|why| why.to_string()),
        };
        Report { seed: self.seed, rules: self.rules.iter().enumerate().map(row).collect() }
    }

    fn observe(&self, frame: &FrameFacts<'_>, now: Duration) {
        for entry in self.rules.iter().filter(|entry| entry.event.as_ref().is_some_and(|event| event.sees(frame))) {
            entry.triggered.store(true, Ordering::Release);
        }
        self.scenes.observe(frame, now);
    }

    /// Asks every rule that could match; with `trace`, every rule at all, and says why each did not fire.
    pub(crate) fn ask(
        &self,
        subject: &Subject<'_>,
        now: Duration,
        mut trace: Option<&mut Vec<(String, Why)>>,
    ) -> Verdict {
        let mut firings = Vec::new();
        let mut settled_by: Option<&str> = None;
        // Taken with the first rule that matches: most requests match none.
        let mut turn = None;
        let all: Vec<usize>;
        let candidates = if trace.is_some() {
            all = (0..self.rules.len()).collect();
            &all
        } else {
            self.index.candidates(subject)
        };
        for &position in candidates {
            if trace.is_none() && !subject.may_be_of(&self.looks, position) {
                continue;
            }
            let Some(entry) = self.rules.get(position) else { continue };
            if trace.is_none() && !entry.is_about(subject) {
                continue;
            }
            let turn = turn.get_or_insert_with(|| {
                let identity = scope::hash(subject, Per::Object);
                (identity, self.turns.take(identity))
            });
            let identity = turn.0;
            let consider = || self.consider(position, entry, subject, identity, now, settled_by);
            let considered = match &trace {
                Some(_) => entry.why_not(subject).map_or_else(consider, Err),
                None => consider(),
            };
            match considered {
                Ok(firing) => {
                    if entry.rule.stops {
                        settled_by = Some(&entry.rule.id);
                    }
                    firings.push(firing);
                }
                Err(why) => {
                    if let Some(trace) = &mut trace {
                        trace.push((entry.rule.id.clone(), why));
                    }
                }
            }
        }
        if firings.is_empty() { Verdict::Pass } else { Verdict::Act(firings) }
    }

    fn consider(
        &self,
        position: usize,
        entry: &Entry,
        subject: &Subject<'_>,
        identity: u128,
        now: Duration,
        settled_by: Option<&str>,
    ) -> Result<Firing, Why> {
        let rule = &entry.rule;
        if !entry.armed.load(Ordering::Acquire) {
            return Err(Why::Disarmed);
        }
        entry.matched.fetch_add(1, Ordering::Relaxed);
        let repeat = self.repeats.count(position, identity, |tally| tally.seen);
        if let Some(recorded) = &self.recorded {
            return self.repeated(recorded, entry, subject, now, repeat);
        }
        entry.asked_at(now);
        self.gates(position, entry, now)?;
        let per = rule.schedule.per();
        let scope = if per == Per::Object { identity } else { scope::hash(subject, per) };
        let dice = Dice::new(self.seed, &rule.id, scope, identity, repeat);
        let (occurrence, firing, state) = self.occurrences.count(position, scope, |tally| {
            let occurrence = tally.seen;
            pick(rule, tally, now, &dice)?;
            if let Some(by) = settled_by {
                // What an earlier rule settled does not use up this one.
                entry.shadowed.fetch_add(1, Ordering::Relaxed);
                return Err(Why::Shadowed(by.to_owned()));
            }
            let state = self.scenes.fire(position, now)?;
            tally.fired += 1;
            tally.last_fired = Some(now);
            Ok((occurrence, tally.fired, state))
        })?;
        let actions = rule.actions.iter().map(|action| action.resolve(&dice, firing)).collect();
        Ok(self.fire(entry, subject, now, (occurrence, repeat), (actions, state)))
    }

    /// Whether the rule is triggered, its window open, and its scenario in a state that names it.
    fn gates(&self, position: usize, entry: &Entry, now: Duration) -> Result<(), Why> {
        let marked = |name: &str| self.marks.read().unwrap_or_else(PoisonError::into_inner).get(name).copied();
        let triggered = match &entry.rule.schedule.trigger {
            None => true,
            Some(Trigger::Rule(_)) => {
                let after = entry.after.and_then(|position| self.rules.get(position));
                after.is_some_and(|after| after.fired.load(Ordering::Acquire) > 0)
            }
            Some(Trigger::Mark(name)) => marked(name).is_some_and(|at| at <= now),
            Some(Trigger::Event(_) | Trigger::Idle(_)) => entry.triggered.load(Ordering::Acquire),
        };
        if !triggered {
            return Err(Why::NotTriggered);
        }
        match &entry.rule.schedule.window {
            Some(window) if !window.is_open(now, marked) => Err(Why::OutsideWindow),
            _ => self.scenes.admit(position, now),
        }
    }

    fn repeated(
        &self,
        recorded: &Recorded,
        entry: &Entry,
        subject: &Subject<'_>,
        now: Duration,
        repeat: u64,
    ) -> Result<Firing, Why> {
        let key = (entry.rule.id.clone(), scope::text(subject, Per::Object), repeat);
        let recorded = recorded.get(&key).ok_or(Why::NotRecorded)?.clone();
        Ok(self.fire(entry, subject, now, (repeat, repeat), recorded))
    }

    fn fire(
        &self,
        entry: &Entry,
        subject: &Subject<'_>,
        now: Duration,
        (occurrence, repeat): (u64, u64),
        (actions, state): (Vec<Action>, Option<String>),
    ) -> Firing {
        entry.fired.fetch_add(1, Ordering::Release);
        let mut lanes = entry.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        *lanes.entry(subject.facts.lane.to_owned()).or_default() += 1;
        drop(lanes);
        for action in &actions {
            if let Action::Mark { name } = action {
                self.mark(name, now);
            }
        }
        Firing {
            rule: entry.rule.id.clone(),
            scope: scope::text(subject, entry.rule.schedule.per()),
            occurrence,
            request: scope::text(subject, Per::Object),
            repeat,
            state,
            at: now,
            stage: entry.rule.stage,
            actions,
        }
    }
}

/// Whether this occurrence fires, by number, by chance, and by what is left.
fn pick(rule: &Prepared, tally: &crate::counters::Tally, now: Duration, dice: &Dice) -> Result<(), Why> {
    if !rule.schedule.picks(tally.seen) {
        return Err(Why::Occurrence(tally.seen));
    }
    if rule.count.is_some_and(|count| tally.fired >= count) {
        return Err(Why::Spent);
    }
    let cooled = rule.cooldown.zip(tally.last_fired).is_none_or(|(wait, last)| now >= last.saturating_add(wait));
    if !cooled {
        return Err(Why::CoolingDown);
    }
    match rule.schedule.probability {
        Some(p) if p < 1.0 && dice.unit("p") >= p => Err(Why::Dice(dice.unit("p"))),
        _ => Ok(()),
    }
}

/// Which rules can be about a request, by verb and resource: most requests are about none of them.
#[derive(Debug, Default)]
struct Index {
    verbs: Vec<ByResource>,
    connections: Vec<usize>,
    frames: ByResource,
}

/// Rules in order; those of any resource are in every list.
#[derive(Debug, Default, Clone)]
struct ByResource {
    named: HashMap<String, Vec<usize>>,
    any: Vec<usize>,
}

impl ByResource {
    fn new(rules: &[(usize, &Prepared)]) -> Self {
        let names: BTreeSet<&String> =
            rules.iter().flat_map(|(_, rule)| rule.matcher.resources.iter().map(|(name, _)| name)).collect();
        let about = |rule: &Prepared, name: &str| {
            rule.matcher.resources.is_empty() || rule.matcher.resources.iter().any(|(resource, _)| resource == name)
        };
        let list =
            |name: &str| rules.iter().filter(|(_, rule)| about(rule, name)).map(|(position, _)| *position).collect();
        Self { named: names.into_iter().map(|name| (name.clone(), list(name))).collect(), any: list("") }
    }

    fn get(&self, resource: &str) -> &[usize] {
        self.named.get(resource).unwrap_or(&self.any)
    }
}

impl Index {
    fn new(prepared: &[Prepared]) -> Self {
        let of = |moment| prepared.iter().enumerate().filter(move |(_, rule)| rule.moment() == moment);
        let by_verb = |verb: usize| {
            ByResource::new(
                &of(Moment::Request).filter(|(_, r)| r.matcher.verbs & (1 << verb) != 0).collect::<Vec<_>>(),
            )
        };
        Self {
            verbs: (0..16).map(by_verb).collect(),
            connections: of(Moment::Connection).map(|(position, _)| position).collect(),
            frames: ByResource::new(&of(Moment::Frame).collect::<Vec<_>>()),
        }
    }

    fn candidates(&self, subject: &Subject<'_>) -> &[usize] {
        match subject.moment {
            Moment::Connection => &self.connections,
            Moment::Frame => self.frames.get(subject.facts.resource),
            Moment::Request => self.verbs.get(subject.verb()).map_or(&[], |rules| rules.get(subject.facts.resource)),
        }
    }
}

#[cfg(test)]
mod tests;
