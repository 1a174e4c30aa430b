//! [`Player`]: asked for an answer, it names the recorded call that gives it, or says what is missing.
//!
//! Strict: the calls of a lane in the order in which they followed one another in the recording, each once. Lenient:
//! the calls of a route in their order, reads as often as liked. In both, concurrent calls of a recording may come in
//! any order, discovery may be read again, leases and events go their own way, and a watch that the recording no
//! longer covers stays open and silent until its own timeout, as on a server where nothing happens.

use super::order::{Order, Pace};
use super::report::{EndReport, NoMatch};
use super::route::Route;
use super::score;
use super::slot::{self, Slot};
use crate::filter::Filter;
use crate::format::model::{Body, Call, End, Micros, Request, Tape};
use crate::review::Mask;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// How exactly a replay must repeat the recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// What followed in the recording must follow, each call once; what is left over is a failure.
    Strict,
    /// Any order between routes, reads as often as liked. The default.
    #[default]
    Lenient,
}

/// Settings of a [`Player`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How exactly the recording must be repeated.
    pub manner: Manner,
    /// When watch frames go out.
    pub pace: Pace,
    /// Lanes whose clients are there; the writes of others count as done. Default: all that the tape says are under test.
    pub lanes: Option<BTreeSet<String>>,
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Answer as this call was answered.
    Call {
        /// The recorded call.
        call: Arc<Call>,
        /// It had answered before.
        repeated: bool,
    },
    /// Answer with the head of this call, and then frame after frame.
    Watch(Stream),
    /// Something must happen first; ask again when the player has changed, or without patience.
    Wait,
    /// Traffic beside the scenario that the tape has no answer for: give back what was sent, with this status.
    Echo(u16),
    /// The tape has no answer.
    Refuse(Box<NoMatch>),
}

/// The frames of a replayed watch.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The call whose head opens the stream.
    pub call: Arc<Call>,
    /// Call and frame, in the order they go out.
    pub frames: Vec<(Arc<Call>, usize)>,
    /// Stays open behind the last frame until the client's own timeout; otherwise ends as the recording did.
    pub open: bool,
}

/// Whether a frame may go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameGate {
    /// Now.
    Open,
    /// So long after the head of its stream.
    After(Micros),
    /// Behind a call that has not been made.
    Behind(u64),
}

/// Plays one tape. Cheap to ask; holds the tape in memory.
#[derive(Clone, Debug)]
pub struct Player {
    slots: Vec<Slot>,
    by_id: HashMap<u64, usize>,
    /// Slots of one route, in order; the representation is looked at when choosing.
    routes: HashMap<Route, Vec<usize>>,
    lanes: HashSet<String>,
    order: Order,
    options: Options,
    sent: HashSet<(u64, usize)>,
    report: EndReport,
    /// What the recording was about.
    filter: Filter,
    /// Fields of bodies that say nothing.
    mask: Mask,
}

fn without_accept(route: &Route) -> Route {
    Route { accept: super::AcceptClass::Any, ..route.clone() }
}

fn query<'a>(request: &'a Request, key: &str) -> &'a str {
    request.query.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v.as_str())
}

impl Player {
    /// A player at the start of a tape.
    #[must_use]
    pub fn new(tape: &Tape, options: Options) -> Self {
        use crate::format::model::Role;
        let named = options.lanes.clone();
        let live = |lane: &str| match &named {
            Some(lanes) => lanes.contains(lane),
            None => tape.header.lanes.get(lane).is_none_or(|facts| facts.role == Role::Sut),
        };
        let slots = slot::of_tape(tape, &live);
        let mut order = Order::of(&slots);
        let mut routes: HashMap<Route, Vec<usize>> = HashMap::new();
        for (at, slot) in slots.iter().enumerate() {
            routes.entry(without_accept(&slot.route)).or_default().push(at);
            if !live(&slot.call.lane) {
                order.used(at, slot);
            }
        }
        Self {
            by_id: slots.iter().enumerate().map(|(at, slot)| (slot.call.id, at)).collect(),
            lanes: slots.iter().map(|slot| slot.call.lane.clone()).collect(),
            routes,
            order,
            slots,
            options,
            sent: HashSet::new(),
            report: EndReport::default(),
            filter: Filter::of(&tape.header),
            mask: Mask::default(),
        }
    }

    /// Compares requests without the fields that a mask hides.
    #[must_use]
    pub fn masked(mut self, mask: &Mask) -> Self {
        for slot in &mut self.slots {
            if let Some(body) = &mut slot.body {
                mask.apply(&slot.route.collection(), body);
            }
        }
        self.mask = mask.clone();
        self
    }

    /// The answer to a request. `patient`: the caller can wait for something else to happen first.
    pub fn answer(&mut self, lane: &str, request: &Request, patient: bool) -> Answer {
        let mut body = request.body.as_ref().and_then(|body| slot::meaning(body, &HashMap::new()));
        let route = slot::named(Route::of(request), body.as_ref());
        if let Some(body) = &mut body {
            self.mask.apply(&route.collection(), body);
        }
        let answer = self.choose(lane, &route, request, body.as_ref(), patient);
        match &answer {
            Answer::Wait => {}
            Answer::Refuse(no_match) => self.report.unmatched.push((**no_match).clone()),
            _ => self.report.answered += 1,
        }
        answer
    }

    fn choose(&mut self, lane: &str, route: &Route, request: &Request, body: Option<&Value>, patient: bool) -> Answer {
        let known = self.lanes.contains(lane);
        let of_lane = |slot: &Slot| !known || slot.call.lane == lane || slot.route.is_static();
        let all = self.routes.get(&without_accept(route)).map_or(&[][..], Vec::as_slice);
        let mine: Vec<usize> = all
            .iter()
            .copied()
            .filter(|at| {
                let slot = &self.slots[*at];
                of_lane(slot)
                    && slot.route.accept.serves(route.accept)
                    && (route.is_ambient() || super::normal::same(slot.body.as_ref(), body))
            })
            .collect();
        let fresh = mine.iter().copied().find(|at| self.slots[*at].used == 0);
        let last = mine.iter().rev().copied().find(|at| self.slots[*at].used > 0);
        if route.is_watch() {
            return self.watch(&mine, fresh, request);
        }
        if route.is_static() || route.is_ambient() {
            return match (fresh.or(last), route.verb.as_str()) {
                (Some(at), _) => self.use_up(at),
                (None, "create") => Answer::Echo(201),
                (None, "update" | "patch") if route.is_ambient() => Answer::Echo(200),
                _ => self.refuse(lane, route, request, body),
            };
        }
        let strict = self.options.manner == Manner::Strict;
        let Some(at) = fresh else {
            return match last {
                Some(at) if !strict && !route.is_write() => self.use_up(at),
                _ => self.refuse(lane, route, request, body),
            };
        };
        let slot = &self.slots[at];
        let missing = if strict { self.order.missing(at, slot) } else { self.order.missing_write(at, slot) };
        match (missing, last) {
            (None, _) => self.use_up(at),
            // A poll that came before the write it was waiting for sees what it saw last.
            (Some(_), Some(last)) if !strict && !route.is_write() => self.use_up(last),
            (Some(_), _) if patient => Answer::Wait,
            (Some(_), _) if strict => self.refuse(lane, route, request, body),
            (Some(_), _) => {
                self.report.early += 1;
                self.use_up(at)
            }
        }
    }

    /// Marks a call as happened and answers with it.
    fn use_up(&mut self, at: usize) -> Answer {
        let slot = &mut self.slots[at];
        slot.used += 1;
        let repeated = slot.used > 1;
        self.report.repeated += u64::from(repeated && slot.expected());
        let call = slot.call.clone();
        let slot = &self.slots[at];
        self.order.used(at, slot);
        Answer::Call { call, repeated }
    }

    fn watch(&mut self, mine: &[usize], fresh: Option<usize>, request: &Request) -> Answer {
        let from = match query(request, "sendInitialEvents") {
            "true" | "1" => 0,
            _ => query(request, "resourceVersion").parse().unwrap_or(0),
        };
        let after = |slot: &Slot, frame: usize| {
            from == 0 || slot.call.frames.get(frame).and_then(slot::revision).is_none_or(|revision| revision > from)
        };
        let Some(head) = fresh.or_else(|| mine.last().copied()) else {
            let route = Route::of(request);
            return self.refuse("", &route, request, None);
        };
        let sources: Vec<usize> = if fresh.is_some() { vec![head] } else { mine.to_vec() };
        let mut frames = Vec::new();
        for at in sources {
            let slot = &self.slots[at];
            let wanted = (0..slot.call.frames.len()).filter(|frame| after(slot, *frame));
            // Past the recording nothing but what the client has not seen is left to say.
            let wanted = wanted.filter(|frame| {
                fresh.is_some() || slot::revision(&slot.call.frames[*frame]).is_some_and(|revision| revision > from)
            });
            frames.extend(wanted.map(|frame| (slot.call.clone(), frame)));
        }
        let another = mine.iter().any(|at| *at != head && self.slots[*at].used == 0);
        let Answer::Call { call, .. } = self.use_up(head) else { return Answer::Wait };
        let cut = matches!(call.end, End::ClientCancel | End::RecorderStop | End::RecorderCrash);
        Answer::Watch(Stream { open: fresh.is_none() || cut || !another && call.end == End::Complete, call, frames })
    }

    fn refuse(&self, lane: &str, route: &Route, request: &Request, body: Option<&Value>) -> Answer {
        let behind = |at: usize| {
            let missing = self.order.missing(at, &self.slots[at])?;
            Some(self.slots[missing].call.id)
        };
        let query: Vec<String> = request.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        Answer::Refuse(Box::new(NoMatch {
            lane: lane.to_owned(),
            request: format!("{} {}{mark}{}", request.method, request.path, query.join("&")),
            left_out: self.filter.reason_to_leave(lane, request).unwrap_or_default(),
            candidates: score::nearest(&self.slots, lane, route, body, behind),
        }))
    }

    /// Whether a frame may go out. Frames of one stream go out in order, so only the next one is ever asked for.
    #[must_use]
    pub fn gate(&self, call: u64, frame: usize) -> FrameGate {
        let Some(slot) = self.by_id.get(&call).and_then(|at| self.slots.get(*at)) else { return FrameGate::Open };
        match self.options.pace {
            Pace::Asap => FrameGate::Open,
            Pace::Recorded(factor) => {
                let head = slot.call.t.head.unwrap_or(slot.call.t.req);
                let after = slot.call.frames.get(frame).map_or(0, |frame| frame.t.saturating_sub(head));
                FrameGate::After((after as f64 * factor.max(0.0)) as Micros)
            }
            Pace::Gated => {
                let closed = slot.gates.get(frame).and_then(|gates| gates.iter().find(|at| self.slots[**at].used == 0));
                closed.map_or(FrameGate::Open, |at| FrameGate::Behind(self.slots[*at].call.id))
            }
        }
    }

    /// Notes that a frame has gone out.
    pub fn sent(&mut self, call: u64, frame: usize) {
        self.sent.insert((call, frame));
    }

    /// How exactly the recording must be repeated.
    #[must_use]
    pub fn manner(&self) -> Manner {
        self.options.manner
    }

    /// The request body of a recorded call, following [`Body::Same`].
    #[must_use]
    pub fn call(&self, id: u64) -> Option<&Arc<Call>> {
        self.by_id.get(&id).and_then(|at| self.slots.get(*at)).map(|slot| &slot.call)
    }

    /// The response body that a recorded call answers with, following [`Body::Same`].
    #[must_use]
    pub fn response_body<'a>(&'a self, call: &'a Call) -> Option<&'a Body> {
        match call.response.as_ref()?.body.as_ref()? {
            Body::Same { of } => self.call(*of)?.response.as_ref()?.body.as_ref(),
            body => Some(body),
        }
    }

    /// Ids of the calls that were used, in the order of the tape, with how often.
    #[must_use]
    pub fn used(&self) -> Vec<(u64, u64)> {
        self.slots.iter().filter(|slot| slot.used > 0).map(|slot| (slot.call.id, slot.used)).collect()
    }

    /// What the replay came to so far.
    #[must_use]
    pub fn report(&self) -> EndReport {
        let mut report = self.report.clone();
        let live = |slot: &&Slot| self.options.lanes.as_ref().is_none_or(|lanes| lanes.contains(&slot.call.lane));
        for slot in self.slots.iter().filter(live).filter(|slot| slot.expected()) {
            if slot.used == 0 {
                report.unused.push(format!("#{} {}", slot.call.id, slot.route));
                continue;
            }
            for frame in (0..slot.call.frames.len()).filter(|frame| !self.sent.contains(&(slot.call.id, *frame))) {
                if let FrameGate::Behind(id) = self.gate(slot.call.id, frame) {
                    report.unreleased.push(format!("frame {frame} of #{}, which waits for #{id}", slot.call.id));
                }
            }
        }
        report
    }
}

#[cfg(test)]
mod tests;
