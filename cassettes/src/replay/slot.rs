//! [`Slot`]: a recorded call as the player sees it: its route, its meaning, whether it was used, what its frames wait for.

use super::normal;
use super::route::Route;
use crate::format::Tree;
use crate::format::model::{Body, Call, Entry, Frame, Request, Tape, Upgrade};
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
    /// For each frame the slots of the writes that made it.
    pub(super) causes: Vec<Vec<usize>>,
    /// For each frame the slot of the last write of its lane that had been answered before it.
    pub(super) follows: Vec<Option<usize>>,
    /// The conversation, where the connection changed protocol.
    pub(super) upgrade: Option<Arc<Upgrade>>,
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
        Entry::Call(call) => Some((Arc::new(call.clone()), None)),
        Entry::Upgrade(upgrade) => Some((Arc::new(handshake(upgrade)), Some(Arc::new(upgrade.clone())))),
        Entry::Mark(_) => None,
    });
    let mut calls: Vec<(Arc<Call>, Option<Arc<Upgrade>>)> = calls.collect();
    calls.sort_by_key(|(call, _)| call.seq.req);
    let at: HashMap<u64, usize> = calls.iter().enumerate().map(|(at, (call, _))| (call.id, at)).collect();
    let writes = writes_by_lane(&calls, live);
    let tables = Tables::of(&calls);
    let causes = |call: &Call, frame: &Frame| -> Vec<usize> {
        let mut causes: Vec<_> = frame.cause.iter().filter_map(|id| at.get(id).copied()).collect();
        causes.extend(tables.cause(call, frame).filter(|_| causes.is_empty()));
        causes.retain(|at| calls.get(*at).is_some_and(|(call, _)| live(&call.lane)));
        causes
    };
    // What somebody else did after a write of the lane was answered comes after it again.
    let follows = |lane: &str, frame: &Frame| {
        let own = writes.get(lane).map(Vec::as_slice).unwrap_or_default();
        own.partition_point(|(head, _)| *head < frame.seq).checked_sub(1).map(|last| own[last].1)
    };
    let bodies: HashMap<u64, &Body> =
        calls.iter().filter_map(|(call, _)| Some((call.id, call.request.body.as_ref()?))).collect();
    let slots = calls.iter().map(|(call, upgrade)| {
        let body = call.request.body.as_ref().and_then(|body| meaning(body, &bodies));
        Slot {
            route: route_of(call, body.as_ref()),
            body,
            used: 0,
            causes: call.frames.iter().map(|frame| causes(call, frame)).collect(),
            follows: call.frames.iter().map(|frame| follows(&call.lane, frame)).collect(),
            upgrade: upgrade.clone(),
            call: call.clone(),
        }
    });
    slots.collect()
}

/// The handshake of an upgraded connection as a call.
fn handshake(upgrade: &Upgrade) -> Call {
    Call {
        id: upgrade.id,
        lane: upgrade.lane.clone(),
        conn: upgrade.conn,
        seq: upgrade.seq,
        t: upgrade.t,
        request: upgrade.request.clone(),
        response: upgrade.response.clone(),
        end: upgrade.end.clone(),
        ..Call::default()
    }
}

/// What a request wants its connection to become, in lower case; empty for nothing.
pub(super) fn wanted_protocol(request: &Request) -> String {
    let upgrade = request.headers.iter().find(|(name, _)| name == "upgrade");
    upgrade.map(|(_, value)| value.to_ascii_lowercase()).unwrap_or_default()
}

/// Which write a table tells of. The format knows the causes of frames that carry an object; a table carries rows, and
/// the resourceVersion of the change for its own.
struct Tables {
    by_version: HashMap<(String, String), usize>,
    deletions: HashMap<String, usize>,
}

impl Tables {
    fn of(calls: &[(Arc<Call>, Option<Arc<Upgrade>>)]) -> Self {
        let mut tables = Self { by_version: HashMap::new(), deletions: HashMap::new() };
        for (at, (call, _)) in calls.iter().enumerate() {
            let body = call.response.as_ref().filter(|r| (200..300).contains(&r.status)).and_then(|r| r.body.as_ref());
            let Some(body) = body.filter(|_| Route::of(&call.request).is_write()) else { continue };
            let version = body.fact("resourceVersion");
            if !version.is_empty() {
                let key = (Route::of(&call.request).collection(), version.to_owned());
                tables.by_version.entry(key).or_insert(at);
            }
            if call.request.method == "DELETE" {
                let details = body.json().map(|tree| tree.text_at(&["details", "uid"])).unwrap_or_default();
                for uid in [body.fact("uid"), details].into_iter().filter(|uid| !uid.is_empty()) {
                    tables.deletions.insert(uid.to_owned(), at);
                }
            }
        }
        tables
    }

    fn cause(&self, call: &Call, frame: &Frame) -> Option<usize> {
        let table = frame.content.json()?.get("object").filter(|object| object.text_at(&["kind"]) == "Table")?;
        if frame.content.fact("type") == "DELETED" {
            let row = table.get("rows").and_then(|rows| rows.items().first())?;
            return self.deletions.get(row.text_at(&["object", "metadata", "uid"])).copied();
        }
        let version = table.text_at(&["metadata", "resourceVersion"]).to_owned();
        self.by_version.get(&(Route::of(&call.request).collection(), version)).copied()
    }
}

/// The writes of each live lane, by when they were answered.
fn writes_by_lane<'t>(
    calls: &'t [(Arc<Call>, Option<Arc<Upgrade>>)],
    live: &dyn Fn(&str) -> bool,
) -> HashMap<&'t str, Vec<(u64, usize)>> {
    let mut writes: HashMap<&str, Vec<(u64, usize)>> = HashMap::new();
    for (at, (call, _)) in calls.iter().enumerate().filter(|(_, (call, _))| live(&call.lane)) {
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
            // What cannot be read is at least this and nothing else.
            let decoded = protobuf::decode_object(bytes, Catalog::builtin());
            Some(decoded.map_or_else(|_| opaque(bytes), |decoded| normal::normalise(&Tree::from(&decoded))))
        }
        Body::Text(text) if text.is_empty() => None,
        Body::Text(text) => Some(Value::from(text.as_str())),
        Body::Bytes(bytes) => Some(opaque(bytes)),
        Body::Ref { hash, .. } => Some(Value::from(hash.as_str())),
        Body::Same { of } => match others.get(of) {
            Some(Body::Same { .. }) | None => None,
            Some(other) => meaning(other, others),
        },
    }
}

/// Bytes that nobody here can read, as something that can be compared and told.
fn opaque(bytes: &[u8]) -> Value {
    use sha2::Digest as _;
    let hash: String = sha2::Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Value::from(format!("{} bytes ({hash})", bytes.len()))
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
