//! [`Faults`]: the rules that are armed now, live control over them, and what they did.
//!
//! Plans are armed as sets, asked in the order in which they were armed; a rule that settles the answer ends the asking
//! in its own set and in all after it.

use crate::facts::Facts;
use crate::guard::Guard;
use crate::host::Time;
use crate::ruleset::{Fired, Reproduction, RuleSet};
use parking_lot::{Mutex, RwLock};
use rehearsal_faults::{
    Action, ClientOrder, ConnectionFacts, EventType, Firing, FrameFacts, Load, Plan, PlanError, Rule, RuleReport,
    ServerFacts, Verdict,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, broadcast};

/// Firings that are remembered, the newest.
const REMEMBERED: usize = 10_000;

/// What a supervised client's process is to undergo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSignal {
    /// What.
    pub order: ClientOrder,
    /// For how long it is down or stands still.
    pub lasts: Duration,
}

/// Says what is wrong with a plan for a server that cannot do everything.
type Limits = dyn Fn(&Plan) -> Result<(), PlanError> + Send + Sync;

/// The armed rules of one server. Cheap to clone.
#[derive(Clone)]
pub struct Faults(Arc<Inner>);

struct Inner {
    /// Whether any set is armed: all that a request costs when none is.
    armed: AtomicBool,
    /// Whether any of them looks at watch frames.
    frames: AtomicBool,
    sets: RwLock<Vec<Arc<RuleSet>>>,
    next: AtomicU64,
    time: Arc<dyn Time>,
    /// What the server has that plans may need.
    server: RwLock<ServerFacts>,
    limits: Box<Limits>,
    log: Mutex<VecDeque<Firing>>,
    failures: Mutex<Vec<String>>,
    /// Sets or firings have changed.
    changed: Notify,
    signals: broadcast::Sender<ClientSignal>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("sets", &*self.0.sets.read()).finish_non_exhaustive()
    }
}

/// There is no such rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no armed rule {0:?}")]
pub struct UnknownRule(pub String);

/// Everything that is armed and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct State {
    /// The sets, in the order in which they are asked.
    pub sets: Vec<SetState>,
    /// What rules have failed the run with.
    pub failures: Vec<String>,
}

/// One armed plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetState {
    /// Number of the set.
    pub id: u64,
    /// What names the plan: the beginning of its SHA-256.
    pub plan: String,
    /// The plan's seed.
    pub seed: u64,
    /// Its rules.
    pub rules: Vec<RuleState>,
}

/// One rule of an armed plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleState {
    /// Whether it is switched on.
    pub armed: bool,
    /// Its tally.
    #[serde(flatten)]
    pub tally: RuleReport,
    /// Seats and queues of an `overload`, once a request has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
}

impl Faults {
    /// No rules yet; windows, delays and dates go by `time`.
    #[must_use]
    pub fn new(time: impl Time) -> Self {
        Self::limited(time, |_| Ok(()))
    }

    /// As [`new`](Self::new), for a server that cannot do everything: `limits` says what is wrong with a plan for it, and
    /// such a plan is refused when it is armed (see [`Plan::refuse_where`]).
    #[must_use]
    pub fn limited(time: impl Time, limits: impl Fn(&Plan) -> Result<(), PlanError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            armed: AtomicBool::new(false),
            frames: AtomicBool::new(false),
            sets: RwLock::default(),
            next: AtomicU64::new(1),
            time: Arc::new(time),
            server: RwLock::default(),
            limits: Box::new(limits),
            log: Mutex::default(),
            failures: Mutex::default(),
            changed: Notify::new(),
            signals: broadcast::channel(64).0,
        }))
    }

    /// Says what the server has that plans may need: what is armed from now on is checked against it. Unless this is
    /// called, TLS and HTTP/2 count as served, and no lane has a listener of its own.
    pub fn serve_as(&self, server: ServerFacts) {
        *self.0.server.write() = server;
    }

    /// Says that a lane has a listener of its own from now on.
    pub fn add_lane(&self, lane: &str) {
        self.0.server.write().lanes.insert(lane.to_owned());
    }

    /// Whether any plan is armed.
    #[inline]
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.0.armed.load(Ordering::Acquire)
    }

    /// Whether any rule looks at watch frames.
    #[inline]
    #[must_use]
    pub fn looks_at_frames(&self) -> bool {
        self.0.frames.load(Ordering::Acquire)
    }

    /// Since the start of the clock that rules go by.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.0.time.now()
    }

    /// Arms a plan beside those that are armed, until its guard is dropped.
    ///
    /// # Errors
    /// Everything that is wrong with the plan, or that it needs and the server has not.
    pub fn arm(&self, plan: &Plan) -> Result<Guard, PlanError> {
        Ok(Guard::new(self.clone(), self.add(plan)?))
    }

    /// Arms one rule, with seed 0, until its guard is dropped.
    ///
    /// # Errors
    /// As for [`arm`](Self::arm).
    pub fn inject(&self, rule: Rule) -> Result<Guard, PlanError> {
        self.arm(&Plan::seed(0).rule(rule))
    }

    /// Arms a plan beside those that are armed, until it is cleared.
    ///
    /// # Errors
    /// As for [`arm`](Self::arm).
    pub fn add(&self, plan: &Plan) -> Result<Arc<RuleSet>, PlanError> {
        let set = self.compile(plan)?;
        self.0.sets.write().push(set.clone());
        self.refresh();
        Ok(set)
    }

    fn compile(&self, plan: &Plan) -> Result<Arc<RuleSet>, PlanError> {
        (self.0.limits)(plan)?;
        plan.fits(&self.0.server.read())?;
        Ok(Arc::new(RuleSet::compile(self.0.next.fetch_add(1, Ordering::Relaxed), plan)?))
    }

    /// Arms a plan in place of all that are armed.
    ///
    /// # Errors
    /// As for [`arm`](Self::arm); what is armed stays then.
    pub fn replace(&self, plan: &Plan) -> Result<Arc<RuleSet>, PlanError> {
        let set = self.compile(plan)?;
        let old = std::mem::replace(&mut *self.0.sets.write(), vec![set.clone()]);
        self.refresh();
        old.iter().for_each(|set| set.remove());
        Ok(set)
    }

    /// Arms a plan that repeats recorded firings, until it is cleared.
    ///
    /// # Errors
    /// As for [`arm`](Self::arm).
    pub fn repeat(&self, plan: &Plan, firings: &[Firing]) -> Result<Arc<RuleSet>, PlanError> {
        (self.0.limits)(plan)?;
        plan.fits(&self.0.server.read())?;
        let engine = rehearsal_faults::Engine::from_firings(plan, firings)?;
        let set = Arc::new(RuleSet::new(self.0.next.fetch_add(1, Ordering::Relaxed), plan, engine));
        self.0.sets.write().push(set.clone());
        self.refresh();
        Ok(set)
    }

    /// Disarms a set for good. Says whether it was there.
    pub fn remove(&self, id: u64) -> bool {
        let set = {
            let mut sets = self.0.sets.write();
            sets.iter().position(|set| set.id == id).map(|position| sets.remove(position))
        };
        self.refresh();
        set.inspect(|set| set.remove()).is_some()
    }

    /// Disarms everything for good.
    pub fn disarm_all(&self) {
        let old = std::mem::take(&mut *self.0.sets.write());
        self.refresh();
        old.iter().for_each(|set| set.remove());
    }

    /// Disarms everything for good, and forgets what was remembered.
    pub fn clear(&self) {
        self.disarm_all();
        self.0.log.lock().clear();
        self.0.failures.lock().clear();
    }

    fn refresh(&self) {
        let sets = self.0.sets.read();
        self.0.frames.store(sets.iter().any(|set| set.frames), Ordering::Release);
        self.0.armed.store(!sets.is_empty(), Ordering::Release);
        drop(sets);
        self.0.changed.notify_waiters();
    }

    /// The sets that are armed, in the order in which they are asked.
    #[must_use]
    pub fn sets(&self) -> Vec<Arc<RuleSet>> {
        self.0.sets.read().clone()
    }

    /// Sets a mark in every armed plan.
    pub fn mark(&self, name: &str) {
        let now = self.now();
        self.sets().iter().for_each(|set| set.engine.mark(name, now));
        self.0.changed.notify_waiters();
    }

    /// Switches a rule on or off; off, it neither fires nor counts.
    ///
    /// # Errors
    /// There is no such rule.
    pub fn switch(&self, rule: &str, on: bool) -> Result<(), UnknownRule> {
        let switched = self.sets().iter().any(|set| if on { set.engine.arm(rule) } else { set.engine.disarm(rule) });
        self.0.changed.notify_waiters();
        if switched { Ok(()) } else { Err(UnknownRule(rule.to_owned())) }
    }

    /// Everything that is armed, with tallies.
    #[must_use]
    pub fn state(&self) -> State {
        let sets = self.sets().iter().map(|set| set_state(set)).collect();
        State { sets, failures: self.failures() }
    }

    /// What has fired, oldest first; the newest 10,000.
    #[must_use]
    pub fn firings(&self) -> Vec<Firing> {
        self.0.log.lock().iter().cloned().collect()
    }

    /// What `fail-test` rules have said.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        self.0.failures.lock().clone()
    }

    /// How often an armed rule has fired.
    ///
    /// # Errors
    /// There is no such rule.
    pub fn count(&self, rule: &str) -> Result<u64, UnknownRule> {
        let of = |set: &Arc<RuleSet>| {
            let report = set.engine.report();
            report.rules.into_iter().find(|row| row.rule == rule).map(|row| row.fired)
        };
        self.sets().iter().find_map(of).ok_or_else(|| UnknownRule(rule.to_owned()))
    }

    /// How often it has fired for the requests of one lane.
    ///
    /// # Errors
    /// There is no such rule.
    pub fn count_in(&self, rule: &str, lane: &str) -> Result<u64, UnknownRule> {
        let of = |set: &Arc<RuleSet>| set.engine.fired_in(rule, lane);
        self.sets().iter().find_map(of).ok_or_else(|| UnknownRule(rule.to_owned()))
    }

    /// Seats and queues of an armed `overload`; nothing is in use before the first request.
    ///
    /// # Errors
    /// There is no such rule.
    pub fn load(&self, rule: &str) -> Result<Load, UnknownRule> {
        let sets = self.sets();
        let set = sets.iter().find(|set| set.engine.has_rule(rule)).ok_or_else(|| UnknownRule(rule.to_owned()))?;
        Ok(set.levels.load(rule).unwrap_or(Load { retry_after: 1, ..Load::default() }))
    }

    /// Waits until the load of an armed `overload` is as wanted. Cancel-safe.
    ///
    /// # Errors
    /// There is no such rule, or not any more.
    pub async fn loaded(&self, rule: &str, wanted: impl Fn(Load) -> bool) -> Result<Load, UnknownRule> {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            let load = self.load(rule)?;
            if wanted(load) {
                return Ok(load);
            }
            changed.await;
        }
    }

    /// Seats or queues have changed.
    pub(crate) fn nudge(&self) {
        self.0.changed.notify_waiters();
    }

    /// Waits until an armed rule has fired so often. Cancel-safe.
    ///
    /// # Errors
    /// There is no such rule, or not any more.
    pub async fn fired(&self, rule: &str, times: u64) -> Result<(), UnknownRule> {
        self.reached(|| Ok(self.count(rule)? >= times)).await
    }

    /// Waits until an armed rule has fired so often for the requests of one lane. Cancel-safe.
    ///
    /// # Errors
    /// As for [`fired`](Self::fired).
    pub async fn fired_in(&self, rule: &str, lane: &str, times: u64) -> Result<(), UnknownRule> {
        self.reached(|| Ok(self.count_in(rule, lane)? >= times)).await
    }

    async fn reached(&self, reached: impl Fn() -> Result<bool, UnknownRule>) -> Result<(), UnknownRule> {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if reached()? {
                return Ok(());
            }
            changed.await;
        }
    }

    /// Orders to the client's process, for whoever supervises it.
    #[must_use]
    pub fn signals(&self) -> broadcast::Receiver<ClientSignal> {
        self.0.signals.subscribe()
    }

    /// Waits on the clock that rules go by, or until the set is disarmed. Counts from the call, not from the first poll.
    /// Cancel-safe.
    pub fn sleep(&self, wait: Duration, set: &RuleSet) -> impl Future<Output = ()> + Send + use<> {
        let (passed, gone) = (self.0.time.sleep(wait), set.gone().clone());
        async move {
            tokio::select! {
                () = passed => {}
                () = gone.cancelled() => {}
            }
        }
    }

    /// Ends when sets, switches, marks or firings have changed since this future was first polled. Cancel-safe.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    // === asking ===

    /// Whether the next connection is to find the port closed; see `Engine::closes_port`.
    #[must_use]
    pub fn closes_port<'a>(&self, connection: impl Into<ConnectionFacts<'a>>) -> bool {
        let facts = connection.into();
        self.is_armed() && self.sets().iter().any(|set| set.engine.closes_port(&facts, self.now()))
    }

    /// Waits until the next connection is to find the port closed; see [`closes_port`](Self::closes_port). Cancel-safe.
    pub async fn port_closes<'a>(&self, connection: impl Into<ConnectionFacts<'a>>) {
        /// How often windows are looked at: nothing tells when they open.
        const LOOK: Duration = Duration::from_millis(20);
        let facts = connection.into();
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if self.closes_port(facts) {
                return;
            }
            if self.sets().iter().any(|set| set.engine.may_close_port()) {
                let _ = tokio::time::timeout(LOOK, changed).await;
            } else {
                changed.await;
            }
        }
    }

    /// What happens to a connection.
    #[must_use]
    pub fn decide_connection<'a>(&self, connection: impl Into<ConnectionFacts<'a>>) -> Vec<Fired> {
        if !self.is_armed() {
            return Vec::new();
        }
        let facts = connection.into();
        self.ask(|set| (set.engine.decide_connection(&facts, self.now()), facts.lane.to_owned()))
    }

    /// What happens to a request.
    #[must_use]
    pub fn decide(&self, facts: &Facts) -> Vec<Fired> {
        self.ask(|set| {
            let lane = set.lane_of(facts);
            (facts.with(&lane, |request| set.engine.decide(request, self.now())), lane)
        })
    }

    /// What happens to a watch frame.
    #[must_use]
    pub fn decide_frame(&self, facts: &Facts, event: EventType, object: Option<&Value>) -> Vec<Fired> {
        let meta = |key: &str| {
            let found = object.and_then(|object| object.pointer(&format!("/metadata/{key}")));
            found.and_then(Value::as_str).unwrap_or_default()
        };
        let (namespace, name) = (meta("namespace"), meta("name"));
        self.ask(|set| {
            let lane = set.lane_of(facts);
            let verdict = facts.with(&lane, |request| {
                let frame = FrameFacts { request: *request, event, namespace, name, object };
                set.engine.decide_frame(&frame, self.now())
            });
            (verdict, lane)
        })
    }

    fn ask(&self, decide: impl Fn(&RuleSet) -> (Verdict, String)) -> Vec<Fired> {
        let mut fired = Vec::new();
        for set in self.sets() {
            let (verdict, lane) = decide(&set);
            let Verdict::Act(firings) = verdict else { continue };
            let settled = firings.iter().flat_map(|firing| &firing.actions).any(Action::is_terminal);
            fired.extend(firings.into_iter().map(|firing| Fired { firing, set: set.clone(), lane: lane.clone() }));
            if settled {
                break;
            }
        }
        if !fired.is_empty() {
            self.note(&fired);
        }
        fired
    }

    fn note(&self, fired: &[Fired]) {
        for Fired { firing, set, .. } in fired {
            for action in &firing.actions {
                match action {
                    Action::FailTest { message } => {
                        let text = format!("{message} ({})", set.reproduction(&firing.rule));
                        tracing::error!(target: "rehearsal::faults", "{text}");
                        self.0.failures.lock().push(text);
                    }
                    Action::Client { order, lasts } => {
                        // Nobody may be listening: then there is no client to undergo it.
                        let _ = self.0.signals.send(ClientSignal { order: *order, lasts: *lasts });
                    }
                    _ => {}
                }
            }
            let mut log = self.0.log.lock();
            if log.len() == REMEMBERED {
                log.pop_front();
            }
            log.push_back(firing.clone());
        }
        self.0.changed.notify_waiters();
    }

    /// What names a rule in messages.
    #[must_use]
    pub fn reproduction(&self, rule: &str) -> Option<Reproduction> {
        self.sets().iter().find(|set| set.engine.has_rule(rule)).map(|set| set.reproduction(rule))
    }

    /// Whether any armed rule has conditions on objects.
    #[must_use]
    pub fn looks_at_objects(&self) -> bool {
        self.sets().iter().any(|set| set.engine.looks_at_objects())
    }
}

fn set_state(set: &RuleSet) -> SetState {
    let report = set.engine.report();
    let rule = |tally: RuleReport| RuleState {
        armed: set.engine.is_armed(&tally.rule).unwrap_or(false),
        load: set.levels.load(&tally.rule),
        tally,
    };
    SetState {
        id: set.id,
        plan: set.hash().to_owned(),
        seed: report.seed,
        rules: report.rules.into_iter().map(rule).collect(),
    }
}
