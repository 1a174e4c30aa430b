//! [`TapeDiff`]: where two recordings of the same scenario differ, after what differs from run to run is taken out.
//!
//! Calls are paired by lane, route and occurrence; watch events by their place in the life of the object they are
//! about; objects by name in the state that each tape ends with. Leases, events and reviews are not looked at.

use super::mask::Mask;
use crate::format::model::{Body, Call, Tape};
use crate::history::{self, History};
use crate::replay::{Route, body_meaning, named, normal};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Places of one body that are told.
const PLACES: usize = 10;
/// Places of one body that are looked at.
const MOST: usize = 1000;

/// Writes of a lane by their `seq`.
type Order = Vec<(u64, String)>;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// What it is about, such as `#12 / #14 create pods d/a`.
    pub what: String,
    /// Where it differs, a line each.
    pub places: Vec<String>,
}

/// The differences of two tapes, the first being what was and the second what is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TapeDiff {
    #[serde(skip)]
    mask: Mask,
    /// Resource and path of every field that differs.
    #[serde(skip)]
    places: BTreeSet<(String, String)>,
    /// Calls of the first that the second does not have.
    pub missing: Vec<String>,
    /// Calls of the second that the first does not have.
    pub extra: Vec<String>,
    /// Writes of one lane in another order: the first that differs.
    pub reordered: Vec<String>,
    /// Requests of a pair that say something else.
    pub requests: Vec<Drift>,
    /// Answers of a pair that say something else.
    pub answers: Vec<Drift>,
    /// Watch events that one has and the other has not, or that say something else.
    pub events: Vec<Drift>,
    /// Objects that end otherwise.
    pub state: Vec<Drift>,
}

impl TapeDiff {
    /// Compares two tapes, both with their bodies in them.
    #[must_use]
    pub fn of(was: &Tape, is: &Tape) -> Self {
        Self::masked(was, is, &Mask::default())
    }

    /// Compares two tapes but for the fields that a mask hides.
    #[must_use]
    pub fn masked(was: &Tape, is: &Tape, mask: &Mask) -> Self {
        let mut diff = Self { mask: mask.clone(), ..Self::default() };
        diff.calls(was, is);
        diff.events(was, is);
        diff.state(was, is);
        diff
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let lists = [&self.missing, &self.extra, &self.reordered].iter().all(|list| list.is_empty());
        lists && [&self.requests, &self.answers, &self.events, &self.state].iter().all(|list| list.is_empty())
    }

    /// Resource and path of every field of which the two say something else.
    pub fn places(&self) -> impl Iterator<Item = (&str, &str)> {
        self.places.iter().map(|(resource, path)| (resource.as_str(), path.as_str()))
    }

    /// Compares two bodies of a resource.
    fn drift(&mut self, resource: &str, what: &str, a: &Value, b: &Value) -> Option<Drift> {
        let found = normal::differences(a, b, MOST);
        let found: Vec<_> = found.iter().filter(|place| !self.mask.hides(resource, &place.path)).collect();
        self.places.extend(found.iter().map(|place| (resource.to_owned(), place.path.clone())));
        let places: Vec<_> = found.iter().take(PLACES).map(ToString::to_string).collect();
        (!places.is_empty()).then(|| Drift { what: what.to_owned(), places })
    }

    fn calls(&mut self, was: &Tape, is: &Tape) {
        let (was, is) = (by_route(was), by_route(is));
        let none = Vec::new();
        let mut orders: BTreeMap<&str, (Order, Order)> = BTreeMap::new();
        let keys: BTreeSet<_> = was.keys().chain(is.keys()).collect();
        for key in keys {
            let (lane, route) = key;
            let (a, b) = (was.get(key).unwrap_or(&none), is.get(key).unwrap_or(&none));
            for (a, b) in a.iter().zip(b) {
                self.pair(route, a, b);
                if route.is_write() {
                    let order = orders.entry(lane).or_default();
                    order.0.push((a.seq.req, route.to_string()));
                    order.1.push((b.seq.req, route.to_string()));
                }
            }
            // Reads come as often as a client likes.
            if route.is_write() || a.is_empty() || b.is_empty() {
                let line = |call: &&Call| format!("#{} {route} (lane {lane})", call.id);
                self.missing.extend(a.iter().skip(b.len()).map(line));
                self.extra.extend(b.iter().skip(a.len()).map(line));
            }
        }
        for (lane, (mut a, mut b)) in orders {
            a.sort();
            b.sort();
            if let Some((a, b)) = a.iter().zip(&b).find(|(a, b)| a.1 != b.1) {
                self.reordered.push(format!("lane {lane}: {} was first, now {}", a.1, b.1));
            }
        }
    }

    fn pair(&mut self, route: &Route, a: &Call, b: &Call) {
        let what = format!("#{} / #{} {route}", a.id, b.id);
        let body = |call: &Call| call.request.body.as_ref().and_then(body_meaning).unwrap_or(Value::Null);
        let resource = route.collection();
        let drift = self.drift(&resource, &what, &body(a), &body(b));
        self.requests.extend(drift);
        let (Some(a), Some(b)) = (&a.response, &b.response) else { return };
        if a.status != b.status {
            self.answers.push(Drift { what, places: vec![format!("status: {} then, {} now", a.status, b.status)] });
            return;
        }
        let body = |body: &Option<Body>| body.as_ref().and_then(body_meaning).unwrap_or(Value::Null);
        let drift = self.drift(&resource, &what, &body(&a.body), &body(&b.body));
        self.answers.extend(drift);
    }

    fn events(&mut self, was: &Tape, is: &Tape) {
        let (was, is) = (lives(was), lives(is));
        let keys: BTreeSet<_> = was.keys().chain(is.keys()).collect();
        for key in keys {
            let none = Vec::new();
            let (a, b) = (was.get(key).unwrap_or(&none), is.get(key).unwrap_or(&none));
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                let resource = key.split(' ').next().unwrap_or_default();
                let drift = self.drift(resource, &format!("event {} of {key}", n + 1), a, b);
                self.events.extend(drift);
            }
            if a.len() != b.len() {
                let places = vec![format!("{} events then, {} now", a.len(), b.len())];
                self.events.push(Drift { what: key.clone(), places });
            }
        }
    }

    fn state(&mut self, was: &Tape, is: &Tape) {
        let last = |tape: &Tape| {
            let history = History::of(tape, &|body| Some(body.clone()));
            let mut objects = BTreeMap::new();
            for (key, version) in history.at(u64::MAX) {
                let route = Route {
                    group: key.collection.group.clone(),
                    resource: key.collection.resource.clone(),
                    ..Route::default()
                };
                if !route.is_ambient() {
                    objects.insert(key.to_string(), version.object.as_ref().map(normal::normalise));
                }
            }
            objects
        };
        let (was, is) = (last(was), last(is));
        for key in was.keys().chain(is.keys().filter(|key| !was.contains_key(*key))) {
            match (was.get(key), is.get(key)) {
                (Some(Some(a)), Some(Some(b))) => {
                    let drift = self.drift(key.split(' ').next().unwrap_or_default(), key, a, b);
                    self.state.extend(drift);
                }
                (a, b) => {
                    let there = |side: Option<_>| if side.is_some() { "there" } else { "not there" };
                    let places = vec![format!("{} then, {} now", there(a), there(b))];
                    self.state.push(Drift { what: key.clone(), places });
                }
            }
        }
    }
}

/// Calls by lane and route, in order. Watches are compared by their events.
fn by_route(tape: &Tape) -> BTreeMap<(String, Route), Vec<&Call>> {
    let mut calls: Vec<&Call> = tape.calls().collect();
    calls.sort_by_key(|call| call.seq.req);
    let mut map: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for call in calls {
        let body = call.request.body.as_ref().and_then(body_meaning);
        let route = named(Route::of(&call.request), body.as_ref());
        if !route.is_ambient() && !route.is_watch() && !route.is_static() {
            map.entry((call.lane.clone(), route)).or_default().push(call);
        }
    }
    map
}

/// What watches told of each object, by lane, in order.
fn lives(tape: &Tape) -> BTreeMap<String, Vec<Value>> {
    let mut frames: Vec<_> = tape.calls().flat_map(|call| call.frames.iter().map(move |frame| (call, frame))).collect();
    frames.sort_by_key(|(_, frame)| frame.seq);
    let mut map: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (call, frame) in frames {
        let route = Route::of(&call.request);
        let Some(event) = history::object(&frame.content).filter(|_| !route.is_ambient()) else { continue };
        let object = ["object", "metadata", "name"];
        if event.text_at(&["type"]) == "BOOKMARK" || event.text_at(&object).is_empty() {
            continue;
        }
        let namespace = event.text_at(&["object", "metadata", "namespace"]);
        let key = format!("{} {namespace}/{} (lane {})", route.collection(), event.text_at(&object), call.lane);
        map.entry(key).or_default().push(normal::normalise(&event));
    }
    map
}

impl fmt::Display for TapeDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (heading, lines) in [("missing", &self.missing), ("extra", &self.extra), ("reordered", &self.reordered)] {
            lines.iter().try_for_each(|line| writeln!(f, "{heading}: {line}"))?;
        }
        let drifts = [
            ("request", &self.requests),
            ("answer", &self.answers),
            ("event", &self.events),
            ("final state", &self.state),
        ];
        for (heading, drifts) in drifts {
            for drift in drifts {
                writeln!(f, "{heading}: {}", drift.what)?;
                drift.places.iter().try_for_each(|place| writeln!(f, "    {place}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Tree;
    use crate::format::model::{Entry, Marks, Render, Request, Response};

    fn put(seq: u64, image: &str, status: u16) -> Call {
        let text = format!(
            r#"{{"kind":"Pod","metadata":{{"name":"a","resourceVersion":"{seq}"}},"spec":{{"image":"{image}"}}}}"#
        );
        let body = Body::Json { tree: Tree::from_json(text.as_bytes()).unwrap(), render: Render::default() };
        Call {
            id: seq,
            lane: "sut".into(),
            seq: Marks { req: seq, head: Some(seq), end: seq },
            request: Request {
                method: "PUT".into(),
                path: "/api/v1/namespaces/d/pods/a".into(),
                body: Some(body.clone()),
                ..Request::default()
            },
            response: Some(Response { status, body: Some(body), ..Response::default() }),
            ..Call::default()
        }
    }

    fn tape(calls: &[Call]) -> Tape {
        Tape { entries: calls.iter().cloned().map(Entry::Call).collect(), ..Tape::default() }
    }

    #[test]
    fn two_runs_of_one_scenario_have_no_difference() {
        assert!(TapeDiff::of(&tape(&[put(1, "x", 200)]), &tape(&[put(9, "x", 200)])).is_empty());
    }

    #[test]
    fn another_body_shows_in_request_answer_and_state() {
        let diff = TapeDiff::of(&tape(&[put(1, "x", 200)]), &tape(&[put(1, "y", 200), put(2, "y", 409)]));
        assert_eq!(diff.requests[0].places, [r#"spec.image: "x" on the tape, "y" now"#]);
        assert_eq!((diff.answers.len(), diff.state.len()), (1, 1));
        assert_eq!(diff.extra, ["#2 update pods d/a (lane sut)"]);
    }

    #[test]
    fn fields_that_differ_between_two_recordings_are_learnt_and_hidden() {
        let (one, two) = (tape(&[put(1, "x", 200)]), tape(&[put(1, "y", 200)]));
        let mask = Mask::learn(&one, &two);
        assert!(mask.hides("pods", "spec.image") && mask.len() == 1, "{}", mask.to_yaml());
        assert!(TapeDiff::masked(&one, &tape(&[put(5, "z", 200)]), &mask).is_empty());
        assert!(!TapeDiff::masked(&one, &tape(&[put(5, "z", 409)]), &mask).is_empty());
    }
}
