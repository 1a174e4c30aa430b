//! [`Script`]: what happened in the recording as a list of steps, and how far the replay has come.
//!
//! A step is a write that the client under test is expected to make, or a change that somebody else made. Changes happen
//! by themselves once everything before them has happened; writes are waited for. A plain state machine: it does not
//! know the server, and is told when nothing has happened for a while.

use super::STRIDE;
use super::report::Divergence;
use super::symbols::Symbols;
use rehearsal_cassettes::format::Tree;
use rehearsal_cassettes::format::model::{Call, Tape};
use rehearsal_cassettes::history::{self, History, Key};
use rehearsal_cassettes::replay::{AcceptClass, Route, normal};
use rehearsal_cassettes::review::Mask;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What to do with the recorded future when the client takes another way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fork {
    /// What others did later goes on, as changes to whatever is there. The default.
    #[default]
    Rebase,
    /// Objects that the client treated otherwise are left to it.
    DropFuture,
    /// Nothing more happens by itself.
    Stop,
}

/// A write as it can be compared.
#[derive(Clone, Debug)]
struct Write {
    call: u64,
    route: Route,
    body: Option<Value>,
    answer: Option<Tree>,
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a step is the size of a write")]
enum Doing {
    Expect(Box<Write>),
    Change { before: Option<Tree>, after: Option<Tree> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Done,
    Missed,
    Skipped,
}

#[derive(Clone, Debug)]
struct Step {
    revision: u64,
    /// When it happened, in microseconds since the client's first request.
    t: u64,
    key: Key,
    doing: Doing,
    /// In the recording the client had read this collection by then.
    after_read: bool,
    /// In the recording the client had been shown these steps by then.
    after_seen: Vec<usize>,
    state: State,
    /// The resourceVersion that it has now.
    live: u64,
}

/// A change by somebody else, due now.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) step: usize,
    /// When it happened, in microseconds since the client's first request.
    pub(super) t: u64,
    pub(super) revision: u64,
    pub(super) key: Key,
    /// It followed something that the client had been shown.
    pub(super) follows: bool,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

/// What a live write is to the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The expected write of this step, to come out at this recorded resourceVersion.
    Expected { step: usize, revision: u64 },
    /// It was made in the recording, by this call, and changed nothing.
    Known { call: u64 },
    /// It is new.
    New,
}

/// The steps of a recording.
#[derive(Debug)]
pub(super) struct Script {
    steps: Vec<Step>,
    /// All steps before this one are past.
    next: usize,
    /// Recorded writes that changed nothing: refused ones and those that found their work done.
    idle: Vec<Write>,
    symbols: Symbols,
    read: BTreeSet<String>,
    /// The newest resourceVersion of each collection that the client's watches have shown it.
    seen: BTreeMap<String, u64>,
    /// Objects that the client treated otherwise than in the recording.
    strayed: BTreeSet<Key>,
    fork: Fork,
    /// Changes wait for the reads they followed.
    gated: bool,
    pub(super) diverged: Vec<Divergence>,
    pub(super) skipped: Vec<String>,
    /// What came of each recorded write this time, by its call.
    told: BTreeMap<u64, String>,
}

fn bare(route: &Route) -> Route {
    Route { accept: AcceptClass::Any, ..route.clone() }
}

fn meaning(call: &Call) -> Option<Value> {
    rehearsal_cassettes::replay::body_meaning(call.request.body.as_ref()?)
}

/// Sets what the client had been shown before each change. `asked`: the `seq` by which each step had begun.
fn shown(tape: &Tape, live: &dyn Fn(&str) -> bool, steps: &mut [Step], asked: &[u64]) {
    let by_version: BTreeMap<(&Key, u64), usize> =
        steps.iter().enumerate().map(|(at, step)| ((&step.key, step.revision), at)).collect();
    // The steps that each collection's frames showed, in the order of the frames.
    let mut frames: BTreeMap<String, Vec<(u64, usize)>> = BTreeMap::new();
    for call in tape.calls().filter(|call| live(&call.lane)) {
        let route = Route::of(&call.request);
        for frame in &call.frames {
            let version = history::framed(&route, frame).and_then(|(key, at)| by_version.get(&(&key, at)).copied());
            if let Some(step) = version {
                frames.entry(route.collection()).or_default().push((frame.seq, step));
            }
        }
    }
    frames.values_mut().for_each(|frames| frames.sort_unstable());
    for (at, (step, asked)) in steps.iter_mut().zip(asked).enumerate() {
        if matches!(step.doing, Doing::Expect(_)) {
            continue;
        }
        let last = |frames: &Vec<(u64, usize)>| {
            let before = frames.partition_point(|(seq, _)| seq < asked);
            frames.iter().take(before).rev().map(|(_, shown)| *shown).find(|shown| *shown < at)
        };
        step.after_seen = frames.values().filter_map(last).collect();
    }
}

impl Script {
    /// The script of a tape: writes of `live` lanes are expected, all other changes happen by themselves.
    pub(super) fn of(tape: &Tape, history: &History, live: &dyn Fn(&str) -> bool, fork: Fork, gated: bool) -> Self {
        let calls: HashMap<u64, &Call> = tape.calls().map(|call| (call.id, call)).collect();
        let mut reads: BTreeMap<String, u64> = BTreeMap::new();
        let mut idle: BTreeMap<u64, Write> = BTreeMap::new();
        for call in tape.calls().filter(|call| live(&call.lane)) {
            let body = meaning(call);
            let route = bare(&rehearsal_cassettes::replay::named(Route::of(&call.request), body.as_ref()));
            match route.verb.as_str() {
                "list" | "watch" => {
                    let first = reads.entry(route.collection()).or_insert(call.seq.req);
                    *first = call.seq.req.min(*first);
                }
                _ if route.is_write() => {
                    let answer = call.response.as_ref().and_then(|r| r.body.as_ref()).and_then(history::object);
                    idle.insert(call.id, Write { call: call.id, route, body, answer });
                }
                _ => {}
            }
        }
        let began = tape.calls().filter(|call| live(&call.lane)).map(|call| call.t.req).min().unwrap_or(0);
        let (mut steps, mut asked) = (Vec::new(), Vec::new());
        for (key, before, version) in history.changes() {
            let by = version.cause.and_then(|id| calls.get(&id)).filter(|call| live(&call.lane));
            let collection = key.collection.to_string();
            let ambient = Route {
                group: key.collection.group.clone(),
                resource: key.collection.resource.clone(),
                ..Route::default()
            };
            let doing = match by {
                // Leases and events of the client are its own affair.
                Some(_) if ambient.is_ambient() => continue,
                Some(call) => match idle.remove(&call.id) {
                    Some(write) => Doing::Expect(Box::new(write)),
                    None => continue,
                },
                None => Doing::Change {
                    before: before.and_then(|version| version.object.clone()),
                    after: version.object.clone(),
                },
            };
            let after_read = reads.get(&collection).is_some_and(|read| *read < version.seq);
            let t = version.t.saturating_sub(began);
            steps.push(Step {
                revision: version.revision,
                t,
                key: key.clone(),
                doing,
                after_read,
                after_seen: Vec::new(),
                state: State::Pending,
                live: version.revision.saturating_mul(STRIDE),
            });
            // Others had asked for it before it was seen.
            asked.push(version.cause.and_then(|id| calls.get(&id)).map_or(version.seq, |call| call.seq.req));
        }
        shown(tape, live, &mut steps, &asked);
        Self {
            steps,
            next: 0,
            idle: idle.into_values().collect(),
            symbols: Symbols::default(),
            read: BTreeSet::new(),
            seen: BTreeMap::new(),
            strayed: BTreeSet::new(),
            fork,
            gated,
            diverged: Vec::new(),
            skipped: Vec::new(),
            told: BTreeMap::new(),
        }
    }

    /// Notes that the client reads a collection.
    pub(super) fn reads(&mut self, route: &Route) {
        self.read.insert(route.collection());
    }

    /// Notes how far the client's watches have come.
    pub(super) fn seen(&mut self, newest: BTreeMap<String, u64>) {
        for (collection, revision) in newest {
            let known = self.seen.entry(collection).or_default();
            *known = revision.max(*known);
        }
    }

    /// Whether the client has been shown a step, or never will be: what was not done again cannot be seen.
    fn is_seen(&self, step: usize) -> bool {
        let Some(step) = self.steps.get(step).filter(|step| step.state == State::Done) else { return true };
        self.seen.get(&step.key.collection.to_string()).is_some_and(|seen| *seen >= step.live)
    }

    /// What a live write is.
    pub(super) fn meaning(&self, route: &Route, body: Option<&Value>) -> Meaning {
        let route = bare(route);
        for (at, step) in self.steps.iter().enumerate() {
            if let (Doing::Expect(write), State::Pending | State::Missed) = (&step.doing, step.state)
                && self.same(write, &route, body)
            {
                return Meaning::Expected { step: at, revision: step.revision };
            }
        }
        let known = self.idle.iter().find(|write| self.same(write, &route, body));
        known.map_or(Meaning::New, |write| Meaning::Known { call: write.call })
    }

    /// Compares writes without the fields that a mask hides.
    pub(super) fn masked(mut self, mask: &Mask) -> Self {
        let expected = self.steps.iter_mut().filter_map(|step| match &mut step.doing {
            Doing::Expect(write) => Some(&mut **write),
            Doing::Change { .. } => None,
        });
        for write in expected.chain(&mut self.idle) {
            if let Some(body) = &mut write.body {
                mask.apply(&write.route.collection(), body);
            }
        }
        self
    }

    fn same(&self, write: &Write, route: &Route, body: Option<&Value>) -> bool {
        let name = self.symbols.name(&write.route.name);
        let alike = write.route.verb == route.verb
            && write.route.resource == route.resource
            && write.route.group == route.group
            && write.route.namespace == route.namespace
            && write.route.subresource == route.subresource
            && (name == route.name || write.route.verb == "create" && self.generated(write));
        alike && {
            let mut recorded = write.body.clone();
            if let Some(recorded) = &mut recorded {
                self.symbols.value(recorded);
            }
            normal::same(recorded.as_ref(), body)
        }
    }

    fn generated(&self, write: &Write) -> bool {
        let name = |body: &Value| body.pointer("/metadata/name").is_some();
        write.body.as_ref().is_some_and(|body| !name(body))
    }

    /// The call that made an expected write.
    pub(super) fn call_of(&self, step: usize) -> Option<u64> {
        self.steps.get(step).and_then(|step| match &step.doing {
            Doing::Expect(write) => Some(write.call),
            Doing::Change { .. } => None,
        })
    }

    /// An expected write was made and answered.
    pub(super) fn made(&mut self, step: usize, answer: &Value) {
        if let Some(Step { doing: Doing::Expect(write), state, live, .. }) = self.steps.get_mut(step) {
            *state = State::Done;
            let at = answer.pointer("/metadata/resourceVersion").and_then(Value::as_str);
            *live = at.and_then(|at| at.parse().ok()).unwrap_or(*live);
            if let Some(recorded) = &write.answer {
                self.symbols.learn(recorded, answer);
            }
        }
    }

    /// A write that the recording does not have, or that was refused where it had not been.
    pub(super) fn strayed(&mut self, route: &Route, body: Option<&Value>, status: u16) {
        let like = |step: &&Step| match &step.doing {
            Doing::Expect(write) => step.state != State::Done && write.route.collection() == route.collection(),
            Doing::Change { .. } => false,
        };
        let score = |step: &&Step| {
            let Doing::Expect(write) = &step.doing else { return 0 };
            let name = self.symbols.name(&write.route.name);
            4 * i32::from(write.route.verb == route.verb)
                + 2 * i32::from(name == route.name)
                + i32::from(write.route.subresource == route.subresource)
        };
        // Of equals the earliest.
        let nearest = self.steps.iter().filter(like).rev().max_by_key(score);
        let (mut text, mut differences) = (String::new(), Vec::new());
        if let Some(Step { doing: Doing::Expect(write), .. }) = nearest {
            text = format!("#{} {}", write.call, write.route);
            if let (Some(recorded), Some(live)) = (&write.body, body) {
                differences = normal::differences(recorded, live, 10).iter().map(ToString::to_string).collect();
            }
        }
        self.diverged.push(Divergence { write: route.to_string(), status, nearest: text, differences });
        let key = self.steps.iter().map(|step| &step.key).find(|key| {
            key.collection.to_string() == route.collection()
                && key.namespace == route.namespace
                && self.symbols.name(&key.name) == route.name
        });
        self.strayed.extend(key.cloned());
    }

    /// The next change that is due; none while a write is waited for, or when all is done.
    pub(super) fn due(&mut self) -> Option<Due> {
        if self.fork == Fork::Stop && !self.diverged.is_empty() {
            return None;
        }
        while let Some(step) = self.steps.get(self.next) {
            if step.state != State::Pending {
                self.next += 1;
                continue;
            }
            let Doing::Change { before, after } = &step.doing else { return None };
            if step.after_read && self.gated && !self.read.contains(&step.key.collection.to_string()) {
                return None;
            }
            if self.gated && !step.after_seen.iter().all(|seen| self.is_seen(*seen)) {
                return None;
            }
            if self.fork == Fork::DropFuture && self.strayed.contains(&step.key) {
                let text = format!("{} at {}: the client took another way", step.key, step.revision);
                self.skip(self.next, text);
                continue;
            }
            let now = |tree: &Option<Tree>| {
                tree.as_ref().map(|tree| {
                    let mut value = Value::from(tree);
                    self.symbols.value(&mut value);
                    value
                })
            };
            let mut key = step.key.clone();
            self.symbols.name(&step.key.name).clone_into(&mut key.name);
            return Some(Due {
                step: self.next,
                t: step.t,
                revision: step.revision,
                key,
                follows: self.gated && !step.after_seen.is_empty(),
                before: now(before),
                after: now(after),
            });
        }
        None
    }

    /// A change was made.
    pub(super) fn changed(&mut self, step: usize) {
        if let Some(step) = self.steps.get_mut(step) {
            step.state = State::Done;
        }
    }

    /// A change could not be made.
    pub(super) fn skip(&mut self, step: usize, why: String) {
        if let Some(step) = self.steps.get_mut(step) {
            step.state = State::Skipped;
            self.skipped.push(why);
        }
    }

    /// Nothing has happened for a while: whatever is waited for will not come. Says whether anything was.
    pub(super) fn give_up(&mut self) -> bool {
        if self.fork == Fork::Stop {
            return false;
        }
        let Some(step) = self.steps.get_mut(self.next) else { return false };
        let unseen = match step.doing {
            Doing::Expect(_) => {
                step.state = State::Missed;
                return true;
            }
            Doing::Change { .. } => {
                // Who does not read it now is not waited for at its next change again.
                self.read.insert(step.key.collection.to_string());
                std::mem::take(&mut step.after_seen)
            }
        };
        let unseen: Vec<usize> = unseen.into_iter().filter(|at| !self.is_seen(*at)).collect();
        for at in unseen {
            if let Some(step) = self.steps.get(at) {
                // Who has never been shown anything of it is not watching.
                let shown = self.seen.entry(step.key.collection.to_string()).or_insert(u64::MAX);
                *shown = step.live.max(*shown);
            }
        }
        true
    }

    /// What the client has been told of a recorded write, for the transcript. Of several times the first.
    pub(super) fn told(&mut self, call: u64, answer: String) {
        self.told.entry(call).or_insert(answer);
    }

    /// What two replays by the same programs have in common: the recorded writes that were made again with what came of
    /// them, in the order of the recording, what others changed, and then what is new.
    pub(super) fn transcript(&self) -> String {
        let mut lines: BTreeMap<u64, String> = BTreeMap::new();
        let writes = self.idle.iter().map(|write| (write.call, &write.route));
        let expected = self.steps.iter().filter_map(|step| match &step.doing {
            Doing::Expect(write) => Some((write.call, &write.route)),
            Doing::Change { .. } => None,
        });
        for (call, route) in writes.chain(expected) {
            if let Some(answer) = self.told.get(&call) {
                lines.insert(call, format!("#{call} {route} {answer}\n"));
            }
        }
        let changed = |step: &&Step| matches!(step.doing, Doing::Change { .. }) && step.state == State::Done;
        let changes = self.steps.iter().filter(changed).map(|step| format!("{} at {}\n", step.key, step.revision));
        let new = self.diverged.iter().map(|new| format!("new: {} {}\n", new.write, new.status));
        lines.into_values().chain(changes).chain(new).collect()
    }

    /// Writes made; writes not made; changes made; changes not reached.
    pub(super) fn tally(&self) -> (usize, Vec<String>, usize, usize) {
        let (mut matched, mut missed, mut changes, mut unreached) = (0, Vec::new(), 0, 0);
        for step in &self.steps {
            match (&step.doing, step.state) {
                (Doing::Expect(_), State::Done) => matched += 1,
                (Doing::Expect(write), _) => missed.push(format!("#{} {}", write.call, write.route)),
                (Doing::Change { .. }, State::Done) => changes += 1,
                (Doing::Change { .. }, State::Pending) => unreached += 1,
                (Doing::Change { .. }, _) => {}
            }
        }
        (matched, missed, changes, unreached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On the tape `cart` is patched (203) after the controller was shown the claim that it made (201).
    #[test]
    fn a_change_waits_for_what_the_client_had_been_shown_before_it() {
        let mut script = incident();
        for collection in ["configmaps", "persistentvolumeclaims"] {
            script.reads(&Route { resource: collection.into(), ..Route::default() });
        }
        let seen = |collection: &str, revision: u64| BTreeMap::from([(collection.to_owned(), revision * STRIDE)]);
        let at = script.steps.iter().position(|step| step.revision == 201).unwrap();
        while let Some(due) = script.due() {
            script.changed(due.step);
            script.seen(seen(&due.key.collection.to_string(), due.revision));
        }
        assert_eq!(script.next, at, "the claim is waited for");
        script.made(at, &Value::Null);
        assert!(script.due().is_none(), "the client has not been shown it");
        script.seen(seen("persistentvolumeclaims", 201));
        let due = script.due().unwrap();
        assert_eq!((due.revision, due.follows), (202, true));
    }

    #[test]
    fn who_does_not_watch_is_waited_for_once() {
        let mut script = incident();
        let mut quiet = 0;
        loop {
            while let Some(due) = script.due() {
                script.changed(due.step);
            }
            if !script.give_up() {
                break;
            }
            quiet += 1;
        }
        let (matched, missed, changes, unreached) = script.tally();
        assert_eq!((matched, missed.len(), changes, unreached), (0, 5, 18, 0));
        assert!(quiet <= 8, "{quiet} times");
    }

    fn incident() -> Script {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/incident/incident.tape.yaml");
        let mut tape = rehearsal_cassettes::format::load(std::path::Path::new(path)).unwrap().tape;
        rehearsal_cassettes::format::literal(&mut tape);
        tape.unshare();
        let history = History::of(&tape, &|body| Some(body.clone()));
        Script::of(&tape, &history, &|lane| lane == "controller", Fork::Rebase, true)
    }
}
