//! Parks requests that find no seat in an overloaded server, until one is free, their wait is over, or the plan is gone.
//!
//! Who waits and who comes next is for [`PriorityLevel`] to say; one of them exists for each rule with this fault.

use crate::control::Faults;
use crate::facts::Facts;
use crate::ruleset::{Fired, RuleSet};
use http::{Extensions, HeaderValue};
use parking_lot::Mutex;
use rehearsal_faults::{
    Arrival, Case, FlowDistinguisher, LimitResponse, Limits, Load, PriorityLevel, Reply, RetryAfter, Ticket,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The headers of every request that was classified, and uids for servers that have none of their own.
const FLOW_HEADERS: [(&str, &str); 2] = [
    ("x-kubernetes-pf-flowschema-uid", "fa7a2a63-5f4c-4b5a-8b0c-7c2f3f0d0001"),
    ("x-kubernetes-pf-prioritylevel-uid", "fa7a2a63-5f4c-4b5a-8b0c-7c2f3f0d0002"),
];

/// The priority levels of a set, by rule.
#[derive(Debug, Default)]
pub(crate) struct Levels(Mutex<BTreeMap<String, Level>>);

impl Levels {
    fn of(&self, rule: &str, limits: Limits, now: Duration) -> Level {
        let mut levels = self.0.lock();
        levels.entry(rule.to_owned()).or_insert_with(|| Level::new(PriorityLevel::new(limits, now))).clone()
    }

    /// How a rule's level is doing; none before its first request.
    pub(crate) fn load(&self, rule: &str) -> Option<Load> {
        self.0.lock().get(rule).map(|level| level.0.lock().level.load())
    }
}

/// A priority level, and those who wait in it.
#[derive(Clone)]
struct Level(Arc<Mutex<State>>);

struct State {
    level: PriorityLevel,
    waiters: BTreeMap<Ticket, oneshot::Sender<()>>,
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.lock().level.load())
    }
}

/// A place in a priority level: in a queue first, perhaps, then a seat. Given back when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Seat {
    _held: Arc<Held>,
}

struct Held {
    level: Level,
    ticket: Ticket,
    faults: Faults,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.level.leave(self.ticket, self.faults.now());
        self.faults.nudge();
    }
}

impl Level {
    fn new(level: PriorityLevel) -> Self {
        Self(Arc::new(Mutex::new(State { level, waiters: BTreeMap::new() })))
    }

    fn leave(&self, ticket: Ticket, now: Duration) {
        let mut state = self.0.lock();
        state.waiters.remove(&ticket);
        for seated in state.level.leave(ticket, now) {
            if let Some(waiter) = state.waiters.remove(&seated) {
                // Whoever has just gone away gives the seat back when his place is dropped.
                let _ = waiter.send(());
            }
        }
    }

    /// A seat; or, for who is turned away, the Retry-After in seconds.
    async fn enter(&self, flow: &str, wait: Duration, faults: &Faults, set: &RuleSet) -> Result<Seat, u64> {
        let (ticket, waiter) = {
            let mut state = self.0.lock();
            match state.level.arrive(flow, faults.now()) {
                Arrival::Rejected => return Err(state.level.drop_one(faults.now())),
                Arrival::Seated(ticket) => (ticket, None),
                Arrival::Queued(ticket) => {
                    let (sender, receiver) = oneshot::channel();
                    state.waiters.insert(ticket, sender);
                    (ticket, Some(receiver))
                }
            }
        };
        let seat = Seat { _held: Arc::new(Held { level: self.clone(), ticket, faults: faults.clone() }) };
        faults.nudge();
        if let Some(waiter) = waiter {
            let gave_up = tokio::select! {
                biased;
                _ = waiter => false,
                () = faults.sleep(wait, set) => !set.gone().is_cancelled(),
            };
            let mut state = self.0.lock();
            if gave_up && state.level.give_up(ticket, faults.now()) {
                state.waiters.remove(&ticket);
                return Err(state.level.drop_one(faults.now()));
            }
        }
        Ok(seat)
    }
}

/// What `Action::Overload` asks for.
#[derive(Clone, Copy)]
pub(crate) struct Overload {
    pub(crate) response: LimitResponse,
    pub(crate) limits: Limits,
    pub(crate) wait_limit: Duration,
    pub(crate) flows: FlowDistinguisher,
}

impl Overload {
    /// Waits for a seat. The error is the refusal.
    pub(crate) async fn enter(self, faults: &Faults, fired: &Fired, facts: &Facts) -> Result<Seat, Reply> {
        let flow = match self.flows {
            FlowDistinguisher::User => &facts.user,
            FlowDistinguisher::Namespace => &facts.namespace,
            FlowDistinguisher::Lane => &fired.lane,
        };
        let level = fired.set.levels.of(&fired.firing.rule, self.limits, faults.now());
        let entered = level.enter(flow, self.wait_limit, faults, &fired.set).await;
        entered.map_err(|seconds| {
            faults.nudge();
            if self.response == LimitResponse::Inflight {
                return Reply::new(Case::TooManyInflight);
            }
            // Its uids are the server's own.
            let case = Case::ApfReject { flow_schema: String::new(), priority_level: String::new() };
            Reply::new(case).retry_after(RetryAfter::Seconds(i64::try_from(seconds).unwrap_or(1)))
        })
    }
}

/// The seats that a request holds, in its extensions until it is handled.
#[derive(Clone, Default)]
pub(crate) struct Seats(Vec<Seat>);

/// Keeps a seat for as long as the request executes.
pub(crate) fn hold(seat: Seat, request: &mut Extensions) {
    request.get_or_insert_default::<Seats>().0.push(seat);
}

/// Flow headers on a refusal that has none, for a server without uids of its own.
pub(crate) fn classify(refusal: &mut http::HeaderMap) {
    for (name, uid) in FLOW_HEADERS {
        if !refusal.contains_key(name) {
            refusal.insert(name, HeaderValue::from_static(uid));
        }
    }
}
