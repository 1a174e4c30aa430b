//! What can be taken out of a tape as one piece: a client, a resource, a namespace, an object, a call, an event, a field,
//! the firing of a fault.

use super::fields;
use crate::format::Tree;
use crate::format::model::{Body, Call, Entry, Frame, Tape};
use crate::history;
use crate::replay::{Route, body_meaning, named};
use std::collections::BTreeSet;

/// How coarse the pieces are, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A logical client with all it did.
    Lane,
    /// A resource with all that was done to it.
    Collection,
    /// A namespace with all in it.
    Namespace,
    /// An object with its calls, its watch events and its place in lists.
    Object,
    /// One call, upgrade or mark.
    Entry,
    /// One watch event.
    Frame,
    /// One field of all objects of a resource, as answers and events show it.
    Field,
    /// One firing of a fault plan.
    Fault,
}

impl Level {
    /// All levels but that of fields, coarse first.
    pub const ALL: [Self; 7] =
        [Self::Lane, Self::Collection, Self::Namespace, Self::Object, Self::Entry, Self::Frame, Self::Fault];

    /// All levels: fields make a tape shorter to read, at the price of many more runs.
    pub const WITH_FIELDS: [Self; 8] = [
        Self::Lane,
        Self::Collection,
        Self::Namespace,
        Self::Object,
        Self::Entry,
        Self::Frame,
        Self::Field,
        Self::Fault,
    ];
}

/// A piece.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// A lane by its name.
    Lane(String),
    /// A resource: `pods`, `deployments.apps`; the path of calls that are about none.
    Collection(String),
    /// A namespace by its name.
    Namespace(String),
    /// Resource, namespace and name.
    Object(String, String, String),
    /// An entry by the `seq` of its first event.
    Entry(u64),
    /// A frame by its `seq`.
    Frame(u64),
    /// Resource, and a path of at most two steps.
    Field(String, String),
    /// Id of a call, and the firing as JSON.
    Fault(u64, String),
}

/// A firing as its own name.
fn firing(call: &Call, fault: &Tree) -> Unit {
    Unit::Fault(call.id, serde_json::to_string(fault).unwrap_or_default())
}

fn route(call: &Call) -> Route {
    let body = call.request.body.as_ref().and_then(body_meaning);
    named(Route::of(&call.request), body.as_ref())
}

fn object_of(route: &Route) -> Option<Unit> {
    let whole = !route.resource.is_empty() && !route.name.is_empty();
    whole.then(|| Unit::Object(route.collection(), route.namespace.clone(), route.name.clone()))
}

/// The object that a watch event or a list item is about.
fn object_in(route: &Route, object: &Tree) -> Option<Unit> {
    let name = object.text_at(&["metadata", "name"]);
    let namespace = object.text_at(&["metadata", "namespace"]);
    (!name.is_empty()).then(|| Unit::Object(route.collection(), namespace.to_owned(), name.to_owned()))
}

fn framed(route: &Route, frame: &Frame) -> Option<Unit> {
    object_in(route, history::object(&frame.content)?.get("object")?)
}

/// The pieces of a tape at a level, in order.
#[must_use]
pub fn units(tape: &Tape, level: Level) -> Vec<Unit> {
    let mut found = BTreeSet::new();
    for entry in &tape.entries {
        let Entry::Call(call) = entry else {
            if level == Level::Entry {
                found.insert(Unit::Entry(entry.seq()));
            }
            continue;
        };
        let route = route(call);
        match level {
            Level::Lane => {
                found.insert(Unit::Lane(call.lane.clone()));
            }
            Level::Collection => {
                found.insert(Unit::Collection(route.collection()));
            }
            Level::Namespace => {
                let frames = call.frames.iter().filter_map(|frame| framed(&route, frame));
                for unit in frames.chain(object_of(&route)) {
                    if let Unit::Object(_, namespace, _) = unit
                        && !namespace.is_empty()
                    {
                        found.insert(Unit::Namespace(namespace));
                    }
                }
            }
            Level::Object => {
                found.extend(object_of(&route).filter(|_| !route.is_watch()));
                found.extend(call.frames.iter().filter_map(|frame| framed(&route, frame)));
                found.extend(items(call).iter().filter_map(|item| object_in(&route, item)));
            }
            Level::Entry => {
                found.insert(Unit::Entry(call.seq.req));
            }
            Level::Frame => found.extend(call.frames.iter().map(|frame| Unit::Frame(frame.seq))),
            Level::Field => found.extend(fields::of(call, &route.collection())),
            Level::Fault => found.extend(call.faults.iter().map(|fault| firing(call, fault))),
        }
    }
    found.into_iter().collect()
}

fn items(call: &Call) -> Vec<Tree> {
    let body = call.response.as_ref().and_then(|response| response.body.as_ref());
    match body {
        Some(Body::Json { tree, .. }) => tree.get("items").map(|items| items.items().to_vec()).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// A tape without some pieces. Causes that are gone are forgotten: what they caused is then somebody else's doing.
#[must_use]
pub fn without(tape: &Tape, gone: &BTreeSet<Unit>) -> Tape {
    let mut left = tape.clone();
    left.sealed = None;
    left.entries.retain_mut(|entry| {
        if gone.contains(&Unit::Entry(entry.seq())) {
            return false;
        }
        let Entry::Call(call) = entry else { return true };
        let route = route(call);
        let named = object_of(&route).filter(|_| !route.is_watch());
        let whole = gone.contains(&Unit::Lane(call.lane.clone()))
            || gone.contains(&Unit::Collection(route.collection()))
            || gone.contains(&Unit::Namespace(route.namespace.clone()))
            || named.is_some_and(|unit| gone.contains(&unit));
        if whole {
            return false;
        }
        call.frames.retain(|frame| !gone.contains(&Unit::Frame(frame.seq)) && !is_gone(framed(&route, frame), gone));
        drop_items(call, &route, gone);
        fields::drop_from(call, &route, gone);
        let mut faults = std::mem::take(&mut call.faults);
        faults.retain(|fault| !gone.contains(&firing(call, fault)));
        call.faults = faults;
        true
    });
    let ids: BTreeSet<u64> = left.calls().map(|call| call.id).collect();
    for call in left.calls_mut() {
        call.frames.iter_mut().for_each(|frame| frame.cause.retain(|id| ids.contains(id)));
    }
    let lanes: BTreeSet<String> = left.calls().map(|call| call.lane.clone()).collect();
    if !lanes.is_empty() {
        left.header.lanes.retain(|lane, _| lanes.contains(lane));
    }
    left
}

fn is_gone(unit: Option<Unit>, gone: &BTreeSet<Unit>) -> bool {
    unit.is_some_and(|unit| {
        let namespace = match &unit {
            Unit::Object(_, namespace, _) => gone.contains(&Unit::Namespace(namespace.clone())),
            _ => false,
        };
        namespace || gone.contains(&unit)
    })
}

fn drop_items(call: &mut Call, route: &Route, gone: &BTreeSet<Unit>) {
    let body = call.response.as_mut().and_then(|response| response.body.as_mut());
    if let Some(Body::Json { tree, .. }) = body
        && let Some(Tree::List(items)) = tree.get_mut("items")
    {
        items.retain(|item| !is_gone(object_in(route, item), gone));
    }
}

/// Interactions and events of a tape.
#[must_use]
pub fn size(tape: &Tape) -> (usize, usize) {
    (tape.entries.len(), tape.calls().map(|call| call.frames.len()).sum())
}
