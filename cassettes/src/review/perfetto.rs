//! The time line for Perfetto and `chrome://tracing`: JSON of the Trace Event Format.
//!
//! A lane is a process, and as many threads as it had requests at once; a call is a slice, a watch event an instant on
//! the slice of its watch, a cause an arrow. Objects are a process of their own, with the life of each as slices.

use super::timeline::Timeline;
use crate::format::model::{Entry, Micros, Tape};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Process of the objects; lanes count from 1.
const OBJECTS: usize = 0;

/// A trace of a tape and of the time line made of it.
#[must_use]
pub fn perfetto(tape: &Tape, timeline: &Timeline) -> String {
    let mut trace = Trace { events: Vec::new(), at: times(tape) };
    trace.calls(timeline);
    trace.frames(timeline);
    trace.objects(timeline);
    for mark in &timeline.marks {
        trace.events.push(json!({
            "ph": "i", "s": "g", "cat": "mark", "name": mark.text, "pid": OBJECTS, "tid": 0, "ts": micros(mark.t),
        }));
    }
    let other = json!({"tape": timeline.name, "start": timeline.start});
    json!({"displayTimeUnit": "ms", "otherData": other, "traceEvents": trace.events}).to_string()
}

/// Times of all events by their order.
fn times(tape: &Tape) -> HashMap<u64, Micros> {
    let mut times = HashMap::new();
    for entry in &tape.entries {
        let (seq, t) = match entry {
            Entry::Call(call) => {
                times.extend(call.frames.iter().map(|frame| (frame.seq, frame.t)));
                (call.seq, call.t)
            }
            Entry::Upgrade(upgrade) => (upgrade.seq, upgrade.t),
            Entry::Mark(mark) => {
                times.insert(mark.seq, mark.t);
                continue;
            }
        };
        times.insert(seq.req, t.req);
        times.extend(seq.head.zip(t.head));
        times.insert(seq.end, t.end);
    }
    times
}

fn micros(millis: f64) -> u64 {
    (millis * 1000.0).round().max(0.0) as u64
}

struct Trace {
    events: Vec<Value>,
    at: HashMap<u64, Micros>,
}

impl Trace {
    fn named(&mut self, what: &str, pid: usize, tid: usize, name: &str) {
        self.events.push(json!({"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}}));
    }

    fn calls(&mut self, timeline: &Timeline) {
        for (n, lane) in timeline.lanes.iter().enumerate() {
            self.named("process_name", n + 1, 0, &format!("lane {} ({})", lane.id, lane.role));
        }
        for (call, tid) in timeline.calls.iter().zip(threads(timeline)) {
            let kind = match call.verb.as_str() {
                "watch" => "watch",
                _ if call.write => "write",
                _ => "read",
            };
            let from = micros(call.from);
            self.events.push(json!({
                "ph": "X", "cat": kind, "name": call.route, "pid": call.lane + 1, "tid": tid, "ts": from,
                // What takes no time is not drawn.
                "dur": micros(call.to).saturating_sub(from).max(1),
                "args": {"id": call.id, "status": call.status, "url": call.url, "end": call.end, "faults": call.faults},
            }));
        }
    }

    fn frames(&mut self, timeline: &Timeline) {
        let threads = threads(timeline);
        let at = |index: i64| usize::try_from(index).ok();
        for (n, (call, seq, t, kind, object, revision, cause)) in timeline.frames.iter().enumerate() {
            let Some((call, tid)) = at(*call).and_then(|at| Some((timeline.calls.get(at)?, threads.get(at)?))) else {
                continue;
            };
            let kind = at(*kind).and_then(|at| timeline.types.get(at)).map_or("frame", String::as_str);
            let object = at(*object).and_then(|at| timeline.objects.get(at)).map_or("", String::as_str);
            let (pid, ts) = (call.lane + 1, micros(*t));
            self.events.push(json!({
                "ph": "i", "s": "t", "cat": "event", "name": format!("{kind} {object}").trim(), "pid": pid, "tid": tid,
                "ts": ts, "args": {"seq": seq, "resourceVersion": revision},
            }));
            let Some((cause, from)) = at(*cause).and_then(|at| Some((timeline.calls.get(at)?, threads.get(at)?)))
            else {
                continue;
            };
            // An arrow begins within the slice of the write, whose answer may come later than its event.
            let start = ts.clamp(micros(cause.from), micros(cause.to).max(micros(cause.from)));
            let arrow = |ph: &str, pid: usize, tid: usize, ts: u64| json!({"ph": ph, "bp": "e", "cat": "cause", "name": "cause", "id": n + 1, "pid": pid, "tid": tid, "ts": ts});
            self.events.push(arrow("s", cause.lane + 1, *from, start));
            self.events.push(arrow("f", pid, *tid, ts));
        }
    }

    /// The states of each object, each until the next.
    fn objects(&mut self, timeline: &Timeline) {
        self.named("process_name", OBJECTS, 0, "objects");
        let last = self.at.values().copied().max().unwrap_or(0);
        for (n, name) in timeline.objects.iter().enumerate() {
            self.named("thread_name", OBJECTS, n + 1, name);
        }
        for (n, (object, revision, seq, by, body)) in timeline.versions.iter().enumerate() {
            let Ok(tid) = usize::try_from(*object + 1) else { continue };
            if *body < 0 {
                continue;
            }
            let from = self.at.get(seq).copied().unwrap_or(0);
            let next = timeline.versions.get(n + 1).filter(|next| next.0 == *object);
            let until = next.and_then(|next| self.at.get(&next.2)).copied().unwrap_or(last);
            let by = usize::try_from(*by).ok().and_then(|at| timeline.calls.get(at)).map(|call| call.id);
            self.events.push(json!({
                "ph": "X", "cat": "object", "name": format!("resourceVersion {revision}"), "pid": OBJECTS, "tid": tid,
                "ts": from, "dur": until.saturating_sub(from).max(1), "args": {"seq": seq, "by": by},
            }));
        }
    }
}

/// A thread for each call, so that no two of one thread overlap: slices of one thread must nest.
fn threads(timeline: &Timeline) -> Vec<usize> {
    let mut busy: Vec<Vec<u64>> = vec![Vec::new(); timeline.lanes.len()];
    let mut threads = Vec::with_capacity(timeline.calls.len());
    for call in &timeline.calls {
        let (from, to) = (micros(call.from), micros(call.to).max(micros(call.from) + 1));
        let Some(lane) = busy.get_mut(call.lane) else {
            threads.push(1);
            continue;
        };
        let free = lane.iter().position(|until| *until <= from);
        let at = free.unwrap_or_else(|| {
            lane.push(0);
            lane.len() - 1
        });
        if let Some(until) = lane.get_mut(at) {
            *until = to;
        }
        threads.push(at + 1);
    }
    threads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::model::{Body, Call, Frame, Marks, Request, Response};

    fn json_body(text: &str) -> Body {
        Body::from_json(text.as_bytes())
    }

    #[test]
    fn calls_are_slices_events_instants_and_causes_arrows() {
        let pod = r#"{"kind":"Pod","metadata":{"name":"a","namespace":"d","resourceVersion":"5"}}"#;
        let request = |method: &str, query: Vec<(String, String)>| Request {
            method: method.into(),
            path: "/api/v1/namespaces/d/pods".into(),
            query,
            ..Request::default()
        };
        let watch = Call {
            id: 1,
            lane: "sut".into(),
            seq: Marks { req: 1, head: Some(2), end: 7 },
            t: Marks { req: 0, head: Some(10), end: 1000 },
            request: request("GET", vec![("watch".into(), "1".into())]),
            response: Some(Response { status: 200, ..Response::default() }),
            frames: vec![Frame {
                seq: 4,
                t: 500,
                content: json_body(&format!(r#"{{"type":"ADDED","object":{pod}}}"#)),
                cause: vec![2],
                ..Frame::default()
            }],
            ..Call::default()
        };
        let write = Call {
            id: 2,
            lane: "sut".into(),
            seq: Marks { req: 3, head: Some(5), end: 6 },
            t: Marks { req: 400, head: Some(600), end: 601 },
            request: request("POST", Vec::new()),
            response: Some(Response { status: 201, body: Some(json_body(pod)), ..Response::default() }),
            ..Call::default()
        };
        let tape = Tape { entries: vec![Entry::Call(watch), Entry::Call(write)], ..Tape::default() };
        let trace: Value = serde_json::from_str(&perfetto(&tape, &Timeline::of(&tape))).unwrap();
        let of = |ph: &str, cat: &str| {
            let events = trace["traceEvents"].as_array().unwrap().iter();
            events.filter(|event| event["ph"] == ph && event["cat"] == cat).cloned().collect::<Vec<_>>()
        };
        let (watches, writes) = (of("X", "watch"), of("X", "write"));
        assert_eq!((&watches[0]["ts"], &watches[0]["dur"], &watches[0]["tid"]), (&json!(0), &json!(1000), &json!(1)));
        assert_eq!((&writes[0]["ts"], &writes[0]["tid"]), (&json!(400), &json!(2)), "they overlap");
        assert_eq!(of("i", "event")[0]["name"], "ADDED pods d/a");
        assert_eq!((&of("s", "cause")[0]["tid"], &of("f", "cause")[0]["tid"]), (&json!(2), &json!(1)));
        let life = of("X", "object");
        assert_eq!((&life[0]["ts"], &life[0]["dur"]), (&json!(500), &json!(500)));
    }
}
