//! [`Player`]: asked for an answer, it names the recorded call that gives it, or says what is missing.
//!
//! Strict: the calls of a lane in the order in which they followed one another in the recording, each once. Lenient:
//! the calls of a route in their order, reads as often as liked. In both, concurrent calls of a recording may come in
//! any order, discovery may be read again, leases and events go their own way, and a watch that the recording no
//! longer covers stays open and silent until its own timeout, as on a server where nothing happens. What streams say is
//! in the order of the recording, within a stream and among the streams of a lane.

use super::order::{Order, Pace};
use super::report::{EndReport, NoMatch};
use super::route::Route;
use super::score;
use super::slot::{self, Slot};
use super::talk;
use super::turns::Turns;
use crate::filter::Filter;
use crate::format::model::{Body, Call, End, Micros, Request, Tape, Upgrade};
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
    /// Change protocol, and say again what was said.
    Talk(Arc<Upgrade>),
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
    /// The calls that they are of.
    pub sources: BTreeSet<u64>,
    /// Stays open behind the last frame until the client's own timeout; otherwise ends as the recording did.
    pub open: bool,
}

/// Whether a frame may go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameGate {
    /// Now.
    Open,
    /// Now, if the client's other streams have told nothing for a moment.
    AfterAMoment,
    /// So long after the head of its stream.
    After(Micros),
    /// Behind a call that has not been made.
    Behind(u64),
    /// Another stream of its lane, of this call, comes first; may be given up.
    NotItsTurn(u64),
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
    turns: Turns,
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

/// Server-side apply: the same once and twice.
fn is_apply(request: &Request) -> bool {
    let media = request.headers.iter().find(|(name, _)| name == "content-type");
    media.is_some_and(|(_, media)| media.starts_with("application/apply-patch"))
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
            turns: Turns::of(&slots),
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
        let protocol = slot::wanted_protocol(request);
        let page = query(request, "continue");
        let mut mine: Vec<usize> = all
            .iter()
            .copied()
            .filter(|at| {
                let slot = &self.slots[*at];
                of_lane(slot)
                    && slot.route.accept.serves(route.accept)
                    && slot::wanted_protocol(&slot.call.request) == protocol
                    && slot.upgrade.as_ref().is_none_or(|upgrade| talk::can_be_said_to(upgrade, request).is_ok())
                    && query(&slot.call.request, "continue").is_empty() == page.is_empty()
                    && (route.is_ambient() || super::normal::same(slot.body.as_ref(), body))
            })
            .collect();
        // A token is of the answer before, so it says which page is meant.
        let same_page = |at: &usize| query(&self.slots[*at].call.request, "continue") == page;
        if mine.iter().any(same_page) {
            mine.retain(same_page);
        }
        let fresh = mine.iter().copied().find(|at| self.slots[*at].used == 0);
        let last = mine.iter().rev().copied().find(|at| self.slots[*at].used > 0);
        if route.is_watch() && protocol.is_empty() {
            return self.watch(lane, &mine, fresh, request);
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
                // To apply the same again is to make sure of it, and who makes sure does so as often as it likes.
                Some(at) if !strict && (!route.is_write() || !protocol.is_empty() || is_apply(request)) => {
                    self.use_up(at)
                }
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
        match &slot.upgrade {
            Some(upgrade) => Answer::Talk(upgrade.clone()),
            None => Answer::Call { call, repeated },
        }
    }

    fn watch(&mut self, lane: &str, mine: &[usize], fresh: Option<usize>, request: &Request) -> Answer {
        let from = match query(request, "sendInitialEvents") {
            "true" | "1" => 0,
            _ => query(request, "resourceVersion").parse().unwrap_or(0),
        };
        let after = |slot: &Slot, frame: usize| {
            from == 0 || slot.call.frames.get(frame).and_then(slot::revision).is_none_or(|revision| revision > from)
        };
        let Some(head) = fresh.or_else(|| mine.last().copied()) else {
            let route = Route::of(request);
            return self.refuse(lane, &route, request, None);
        };
        let sources: Vec<usize> = if fresh.is_some() { vec![head] } else { mine.to_vec() };
        let mut frames = Vec::new();
        for at in sources {
            let slot = &self.slots[at];
            // Past the recording nothing but what the client has not seen is left to say.
            let wanted = |frame: &usize| {
                let unseen = || slot::revision(&slot.call.frames[*frame]).is_some_and(|revision| revision > from);
                after(slot, *frame) && (fresh.is_some() || unseen())
            };
            let (wanted, known): (Vec<_>, Vec<_>) = (0..slot.call.frames.len()).partition(wanted);
            self.sent.extend(known.into_iter().map(|frame| (slot.call.id, frame)));
            frames.extend(wanted.into_iter().map(|frame| (slot.call.clone(), frame)));
            self.turns.opened(at);
        }
        let another = mine.iter().any(|at| *at != head && self.slots[*at].used == 0);
        let Answer::Call { call, .. } = self.use_up(head) else { return Answer::Wait };
        let cut = matches!(call.end, End::ClientCancel | End::RecorderStop | End::RecorderCrash);
        let sources = if fresh.is_some() {
            BTreeSet::from([call.id])
        } else {
            mine.iter().map(|at| self.slots[*at].call.id).collect()
        };
        Answer::Watch(Stream {
            sources,
            open: fresh.is_none() || cut || !another && call.end == End::Complete,
            call,
            frames,
        })
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
            candidates: score::nearest(&self.slots, (lane, route, request), body, behind),
        }))
    }

    /// Whether a frame may go out. Frames of one stream go out in order, so only the next one is ever asked for.
    #[must_use]
    pub fn gate(&mut self, call: u64, frame: usize) -> FrameGate {
        let Some(&at) = self.by_id.get(&call) else { return FrameGate::Open };
        if let Some(behind) = self.held(at, frame) {
            return FrameGate::Behind(self.slots[behind].call.id);
        }
        if let Some(before) = self.turns.before((at, frame), &self.slots, &self.sent) {
            return FrameGate::NotItsTurn(self.slots[before].call.id);
        }
        match self.options.pace {
            Pace::Asap => FrameGate::Open,
            Pace::Recorded(factor) => {
                let slot = &self.slots[at];
                let head = slot.call.t.head.unwrap_or(slot.call.t.req);
                let after = slot.call.frames.get(frame).map_or(0, |frame| frame.t.saturating_sub(head));
                FrameGate::After((after as f64 * factor.max(0.0)) as Micros)
            }
            Pace::Gated if self.is_of_others(at, frame) => FrameGate::AfterAMoment,
            Pace::Gated => FrameGate::Open,
        }
    }

    /// Whether somebody else than the client of the stream made what a frame tells.
    fn is_of_others(&self, at: usize, frame: usize) -> bool {
        let Some(slot) = self.slots.get(at) else { return false };
        let own = |cause: &usize| self.slots[*cause].call.lane == slot.call.lane;
        !slot.causes.get(frame).into_iter().flatten().any(own)
    }

    /// The write that must have been made before a frame may go out, and has not been.
    fn held(&self, at: usize, frame: usize) -> Option<usize> {
        let slot = self.slots.get(at)?;
        let causes = slot.causes.get(frame).into_iter().flatten();
        let follows = slot.follows.get(frame).into_iter().flatten();
        causes.chain(follows).copied().find(|at| self.slots[*at].used == 0)
    }

    /// A frame whose turn did not come has waited long enough.
    pub fn give_up(&mut self, call: u64, frame: usize) {
        if let Some(at) = self.by_id.get(&call) {
            self.turns.give_up((*at, frame), &self.slots);
        }
    }

    /// Notes that a stream has ended.
    pub fn closed(&mut self, stream: &BTreeSet<u64>) {
        for at in stream.iter().filter_map(|call| self.by_id.get(call)) {
            self.turns.closed(*at);
        }
    }

    /// Notes what the client of an upgraded connection said otherwise than in the recording.
    pub fn heard(&mut self, upgrade: &Upgrade, otherwise: Vec<String>) {
        self.report.otherwise.extend(otherwise.into_iter().map(|text| format!("#{} {text}", upgrade.id)));
    }

    /// When frames go out.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.options.pace
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

    /// The calls that were used, a line each in the order of the tape: id, lane, route and status. How often discovery
    /// was asked for and a lease renewed is a matter of speed, and so is how often a client looked again; it is left
    /// out, so that two replays by the same programs give the same lines.
    #[must_use]
    pub fn transcript(&self) -> String {
        let mut lines = String::new();
        for slot in self.slots.iter().filter(|slot| slot.used > 0 && slot.expected()) {
            let Call { id, lane, response, .. } = slot.call.as_ref();
            let status = response.as_ref().map_or(0, |response| response.status);
            lines.push_str(&format!("#{id} {lane}: {} {status}\n", slot.route));
        }
        lines
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
            let Some(&at) = self.by_id.get(&slot.call.id) else { continue };
            for frame in (0..slot.call.frames.len()).filter(|frame| !self.sent.contains(&(slot.call.id, *frame))) {
                if let Some(behind) = self.held(at, frame) {
                    let (call, behind) = (slot.call.id, self.slots[behind].call.id);
                    report.unreleased.push(format!("frame {frame} of #{call}, which waits for #{behind}"));
                }
            }
        }
        report
    }
}

#[cfg(test)]
mod tests;
