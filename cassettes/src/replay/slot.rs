//! [`Slot`]: a recorded call as the player sees it: its route, its meaning, whether it was used, what its frames wait for.

use super::normal;
use super::route::Route;
use crate::format::Tree;
use crate::format::model::{Body, Call, Entry, Frame, Tape};
use rehearsal_apimachinery::catalog::Catalog;
use rehearsal_apimachinery::codec::{protobuf, yaml};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// A recorded call.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) call: Arc<Call>,
    pub(super) route: Route,
    /// What its request body means.
    pub(super) body: Option<Value>,
    /// How often it has answered.
    pub(super) used: u64,
    /// For each frame the slots that must have been used before it may go out.
    pub(super) gates: Vec<Vec<usize>>,
}

impl Slot {
    /// Whether the end report misses the call when nobody asks for it.
    pub(super) fn expected(&self) -> bool {
        !self.route.is_ambient() && !self.route.is_static()
    }
}

/// The slots of a tape, in the order of their requests. Frames wait for calls of `live` lanes only.
pub(super) fn of_tape(tape: &Tape, live: &dyn Fn(&str) -> bool) -> Vec<Slot> {
    let calls = tape.entries.iter().filter_map(|entry| match entry {
        Entry::Call(call) => Some(call),
        _ => None,
    });
    let mut calls: Vec<&Call> = calls.collect();
    calls.sort_by_key(|call| call.seq.req);
    let at: HashMap<u64, usize> = calls.iter().enumerate().map(|(at, call)| (call.id, at)).collect();
    let writes = writes_by_lane(&calls, live);
    let gate = |lane: &str, frame: &Frame| -> Vec<usize> {
        let causes = frame.cause.iter().filter_map(|id| at.get(id).copied());
        let mut gates: Vec<_> = causes.filter(|at| calls.get(*at).is_some_and(|call| live(&call.lane))).collect();
        // What somebody else did after a write of the lane was answered comes after it again.
        let own = writes.get(lane).map(Vec::as_slice).unwrap_or_default();
        gates.extend(own.partition_point(|(head, _)| *head < frame.seq).checked_sub(1).map(|last| own[last].1));
        gates
    };
    let bodies: HashMap<u64, &Body> =
        calls.iter().filter_map(|call| Some((call.id, call.request.body.as_ref()?))).collect();
    let slots = calls.iter().map(|call| {
        let body = call.request.body.as_ref().and_then(|body| meaning(body, &bodies));
        Slot {
            route: route_of(call, body.as_ref()),
            body,
            used: 0,
            gates: call.frames.iter().map(|frame| gate(&call.lane, frame)).collect(),
            call: Arc::new((*call).clone()),
        }
    });
    slots.collect()
}

/// The writes of each live lane, by when they were answered.
fn writes_by_lane<'t>(calls: &[&'t Call], live: &dyn Fn(&str) -> bool) -> HashMap<&'t str, Vec<(u64, usize)>> {
    let mut writes: HashMap<&str, Vec<(u64, usize)>> = HashMap::new();
    for (at, call) in calls.iter().enumerate().filter(|(_, call)| live(&call.lane)) {
        if let Some(head) = call.seq.head.filter(|_| Route::of(&call.request).is_write()) {
            writes.entry(&call.lane).or_default().push((head, at));
        }
    }
    writes.values_mut().for_each(|writes| writes.sort_unstable());
    writes
}

fn route_of(call: &Call, body: Option<&Value>) -> Route {
    named(Route::of(&call.request), body)
}

/// A create is about the object that it names.
#[must_use]
pub fn named(mut route: Route, body: Option<&Value>) -> Route {
    if route.verb == "create" && route.name.is_empty() {
        let name = body.and_then(|body| body.pointer("/metadata/name")).and_then(Value::as_str);
        name.unwrap_or_default().clone_into(&mut route.name);
    }
    route
}

/// What a body means: its normal form, or its text where it is no object. None for an empty one.
#[must_use]
pub fn body_meaning(body: &Body) -> Option<Value> {
    meaning(body, &HashMap::new())
}

/// As [`body_meaning`], following bodies that are equal to another's.
pub(super) fn meaning(body: &Body, others: &HashMap<u64, &Body>) -> Option<Value> {
    match body {
        Body::Json { tree, .. } => Some(normal::normalise(tree)),
        Body::Yaml(text) => {
            let parsed = yaml::parse(text.as_bytes()).map(|(value, _)| value);
            Some(parsed.map_or_else(|_| Value::from(text.as_str()), |value| normal::normalise(&Tree::from(&value))))
        }
        Body::Proto { bytes, .. } => {
            let decoded = protobuf::decode_object(bytes, Catalog::builtin()).ok()?;
            Some(normal::normalise(&Tree::from(&decoded)))
        }
        Body::Text(text) if text.is_empty() => None,
        Body::Text(text) => Some(Value::from(text.as_str())),
        Body::Bytes(bytes) => Some(Value::from(format!("{} bytes", bytes.len()))),
        Body::Ref { hash, .. } => Some(Value::from(hash.as_str())),
        Body::Same { of } => match others.get(of) {
            Some(Body::Same { .. }) | None => None,
            Some(other) => meaning(other, others),
        },
    }
}

/// The resourceVersion that a frame carries; none for errors and for anything that is no event.
pub(super) fn revision(frame: &Frame) -> Option<u64> {
    match &frame.content {
        Body::Json { tree, .. } => tree.text_at(&["object", "metadata", "resourceVersion"]).parse().ok(),
        Body::Proto { summary, .. } => {
            summary.iter().find(|(key, _)| key == "resourceVersion").and_then(|(_, value)| value.parse().ok())
        }
        _ => None,
    }
}
