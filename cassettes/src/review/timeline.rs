//! [`Timeline`]: a tape as the page and other viewers want it: lanes, calls, frames, causes, and the versions of objects.
//!
//! Frames and versions are rows of numbers that point into tables, because a tape may have a hundred thousand of them.

use crate::format::Tree;
use crate::format::model::{Call, End, Entry, Frame, Role, Tape};
use crate::history;
use crate::replay::Route;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// A tape, ready to be drawn. Times are milliseconds since the start of the clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// Version of this form.
    pub version: u32,
    /// Name of the tape.
    pub name: String,
    /// RFC 3339 time of zero.
    pub start: String,
    /// Logical clients, in order of id.
    pub lanes: Vec<TimelineLane>,
    /// Calls and upgrades in the order of their requests.
    pub calls: Vec<TimelineCall>,
    /// Rows `[call, seq, t, type, object, resourceVersion, cause]`: indices into `calls`, `types` and `objects`;
    /// `-1` where there is none. In order of time.
    pub frames: Vec<(i64, u64, f64, i64, i64, u64, i64)>,
    /// Event types that `frames` point to.
    pub types: Vec<String>,
    /// Objects as `pods default/web-0`.
    pub objects: Vec<String>,
    /// Rows `[object, resourceVersion, seq, call, body]`, by object and resourceVersion: each state of each object, with
    /// the write that made it where one is known; body `-1` for a deletion.
    pub versions: Vec<(i64, u64, u64, i64, i64)>,
    /// Bodies that `versions` point to.
    pub bodies: Vec<Tree>,
    /// Notes.
    pub marks: Vec<TimelineMark>,
}

/// A logical client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineLane {
    /// Its id.
    pub id: String,
    /// Its User-Agent.
    pub user_agent: String,
    /// `sut`, `driver` or `ambient`.
    pub role: &'static str,
}

/// A call.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineCall {
    /// Id on the tape.
    pub id: u64,
    /// Index of its lane.
    pub lane: usize,
    /// Order of its request.
    pub seq: u64,
    /// When the request was sent.
    pub from: f64,
    /// When the head of the answer came; none without an answer.
    pub head: Option<f64>,
    /// When it ended.
    pub to: f64,
    /// Kubernetes verb.
    pub verb: String,
    /// What it is about.
    pub route: String,
    /// Path with query.
    pub url: String,
    /// HTTP status; 0 without an answer.
    pub status: u16,
    /// Whether it changes something.
    pub write: bool,
    /// How it ended, unless as it should.
    pub end: String,
    /// Ids of the fault rules that fired.
    pub faults: Vec<String>,
}

/// A note.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TimelineMark {
    /// Order on the tape.
    pub seq: u64,
    /// When.
    pub t: f64,
    /// Kind and text.
    pub text: String,
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

fn ending(end: &End) -> String {
    match end {
        End::Complete => String::new(),
        End::ClientCancel => "the client left".into(),
        End::ServerGoaway => "GOAWAY".into(),
        End::Reset { code: None } => "reset".into(),
        End::Reset { code: Some(code) } => format!("stream reset, code {code}"),
        End::EofNoNotify => "end without goodbye".into(),
        End::Timeout => "timeout".into(),
        End::RecorderStop => "the recorder stopped".into(),
        End::RecorderCrash => "the recorder died".into(),
        End::Upstream { message } => format!("upstream: {message}"),
    }
}

/// Numbers for texts, in order of appearance.
#[derive(Default)]
struct Table {
    index: HashMap<String, i64>,
    list: Vec<String>,
}

impl Table {
    fn number(&mut self, text: String) -> i64 {
        if let Some(at) = self.index.get(&text) {
            return *at;
        }
        let at = i64::try_from(self.list.len()).unwrap_or(-1);
        self.list.push(text.clone());
        self.index.insert(text, at);
        at
    }
}

#[derive(Default)]
struct Builder {
    timeline: Timeline,
    lanes: BTreeMap<String, usize>,
    types: Table,
    objects: Table,
    /// Call index by id.
    calls: HashMap<u64, i64>,
    /// State by object and revision; the first sighting with a body wins.
    versions: BTreeMap<(i64, u64), (u64, i64, i64)>,
}

impl Timeline {
    /// The time line of a tape. Bodies in side files are not opened.
    #[must_use]
    pub fn of(tape: &Tape) -> Self {
        let mut builder = Builder::default();
        builder.lanes(tape);
        let mut calls: Vec<Cow<'_, Call>> = Vec::new();
        for entry in &tape.entries {
            match entry {
                Entry::Call(call) => calls.push(Cow::Borrowed(call)),
                Entry::Mark(mark) => builder.timeline.marks.push(TimelineMark {
                    seq: mark.seq,
                    t: millis(mark.t),
                    text: format!("{} {}", mark.what, mark.text).trim().to_owned(),
                }),
                Entry::Upgrade(upgrade) => {
                    calls.push(Cow::Owned(Call {
                        id: upgrade.id,
                        lane: upgrade.lane.clone(),
                        seq: upgrade.seq,
                        t: upgrade.t,
                        request: upgrade.request.clone(),
                        response: upgrade.response.clone(),
                        end: upgrade.end.clone(),
                        ..Call::default()
                    }));
                }
            }
        }
        calls.sort_by_key(|call| call.seq.req);
        calls.iter().for_each(|call| builder.call(call));
        calls.iter().for_each(|call| builder.contents(call));
        builder.finish(tape)
    }

    /// As JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }
}

impl Builder {
    fn lanes(&mut self, tape: &Tape) {
        for (id, lane) in &tape.header.lanes {
            let role = match lane.role {
                Role::Sut => "sut",
                Role::Driver => "driver",
                Role::Ambient => "ambient",
            };
            self.lanes.insert(id.clone(), self.timeline.lanes.len());
            self.timeline.lanes.push(TimelineLane { id: id.clone(), user_agent: lane.user_agent.clone(), role });
        }
    }

    fn lane(&mut self, id: &str) -> usize {
        if let Some(at) = self.lanes.get(id) {
            return *at;
        }
        let at = self.timeline.lanes.len();
        self.lanes.insert(id.to_owned(), at);
        self.timeline.lanes.push(TimelineLane { id: id.to_owned(), user_agent: String::new(), role: "sut" });
        at
    }

    fn call(&mut self, call: &Call) {
        let route = Route::of(&call.request);
        let query: Vec<String> = call.request.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let lane = self.lane(&call.lane);
        self.calls.insert(call.id, i64::try_from(self.timeline.calls.len()).unwrap_or(-1));
        self.timeline.calls.push(TimelineCall {
            id: call.id,
            lane,
            seq: call.seq.req,
            from: millis(call.t.req),
            head: call.t.head.map(millis),
            to: millis(call.t.end.max(call.t.req)),
            write: route.is_write(),
            route: route.to_string(),
            verb: route.verb,
            url: format!("{}{mark}{}", call.request.path, query.join("&")),
            status: call.response.as_ref().map_or(0, |response| response.status),
            end: ending(&call.end),
            faults: call.faults.iter().map(|fault| fault.text_at(&["rule"]).to_owned()).collect(),
        });
    }

    /// Frames, and the states of objects that answers and frames show.
    fn contents(&mut self, call: &Call) {
        let index = self.calls.get(&call.id).copied().unwrap_or(-1);
        let route = Route::of(&call.request);
        let collection = route.collection();
        for frame in &call.frames {
            self.frame(index, &collection, frame);
        }
        let ok = call.response.as_ref().filter(|response| (200..300).contains(&response.status));
        let Some(tree) = ok.and_then(|response| history::object(response.body.as_ref()?)) else { return };
        let by = if route.is_write() { index } else { -1 };
        let seq = call.seq.head.unwrap_or(call.seq.req);
        match tree.get("items") {
            Some(items) => items.items().iter().for_each(|item| {
                self.state(&collection, item, seq, -1, false);
            }),
            None => {
                self.state(&collection, &tree, seq, by, false);
            }
        }
    }

    fn frame(&mut self, index: i64, collection: &str, frame: &Frame) {
        let Some(tree) = history::object(&frame.content) else { return };
        let cause = frame.cause.first().and_then(|id| self.calls.get(id)).copied().unwrap_or(-1);
        let kind = tree.text_at(&["type"]).to_owned();
        let (object, revision) = match tree.get("object") {
            Some(object) if !matches!(kind.as_str(), "BOOKMARK" | "ERROR") => {
                self.state(collection, object, frame.seq, cause, kind == "DELETED")
            }
            Some(object) => (-1, object.text_at(&["metadata", "resourceVersion"]).parse().unwrap_or(0)),
            None => (-1, 0),
        };
        let kind = self.types.number(kind);
        self.timeline.frames.push((index, frame.seq, millis(frame.t), kind, object, revision, cause));
    }

    /// Notes a state of an object; gives its number and resourceVersion.
    fn state(&mut self, collection: &str, object: &Tree, seq: u64, by: i64, deleted: bool) -> (i64, u64) {
        let name = object.text_at(&["metadata", "name"]);
        let revision = object.text_at(&["metadata", "resourceVersion"]).parse::<u64>();
        let (false, Ok(revision)) = (name.is_empty(), revision) else { return (-1, 0) };
        let namespace = object.text_at(&["metadata", "namespace"]);
        let slash = if namespace.is_empty() { "" } else { "/" };
        let number = self.objects.number(format!("{collection} {namespace}{slash}{name}"));
        let body = match (self.versions.get(&(number, revision)), deleted) {
            (_, true) => -1,
            (Some((_, _, body)), false) => *body,
            (None, false) => {
                self.timeline.bodies.push(object.clone());
                i64::try_from(self.timeline.bodies.len()).unwrap_or(0) - 1
            }
        };
        let entry = self.versions.entry((number, revision)).or_insert((seq, by, body));
        entry.0 = entry.0.min(seq);
        entry.1 = entry.1.max(by);
        entry.2 = body;
        (number, revision)
    }

    fn finish(mut self, tape: &Tape) -> Timeline {
        let mut timeline = std::mem::take(&mut self.timeline);
        timeline.version = 1;
        timeline.name.clone_from(&tape.header.name);
        timeline.start.clone_from(&tape.header.clock.start);
        timeline.types = self.types.list;
        timeline.objects = self.objects.list;
        timeline.frames.sort_by(|a, b| a.2.total_cmp(&b.2).then(a.1.cmp(&b.1)));
        timeline.marks.sort_by_key(|mark| mark.seq);
        let row = |((object, revision), (seq, by, body))| (object, revision, seq, by, body);
        timeline.versions = self.versions.into_iter().map(row).collect();
        timeline
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::model::{Body, Marks, Request, Response};

    fn json(text: &str) -> Body {
        Body::Json { tree: Tree::from_json(text.as_bytes()).unwrap(), render: crate::format::model::Render::default() }
    }

    fn pod(revision: u32) -> String {
        format!(r#"{{"kind":"Pod","metadata":{{"name":"a","namespace":"d","resourceVersion":"{revision}"}}}}"#)
    }

    #[test]
    fn a_write_is_the_cause_of_the_frame_and_of_the_version() {
        let write = Call {
            id: 7,
            lane: "driver".into(),
            seq: Marks { req: 3, head: Some(5), end: 6 },
            request: Request { method: "POST".into(), path: "/api/v1/namespaces/d/pods".into(), ..Request::default() },
            response: Some(Response { status: 201, body: Some(json(&pod(8))), ..Response::default() }),
            ..Call::default()
        };
        let frame = |seq, kind: &str, revision, cause: &[u64]| Frame {
            seq,
            t: seq * 1000,
            content: json(&format!(r#"{{"type":"{kind}","object":{}}}"#, pod(revision))),
            cause: cause.to_vec(),
            ..Frame::default()
        };
        let watch = Call {
            id: 5,
            lane: "sut".into(),
            seq: Marks { req: 1, head: Some(2), end: 9 },
            request: Request {
                method: "GET".into(),
                path: "/api/v1/pods".into(),
                query: vec![("watch".into(), "1".into())],
                ..Request::default()
            },
            frames: vec![frame(4, "ADDED", 8, &[7]), frame(8, "DELETED", 9, &[])],
            ..Call::default()
        };
        let tape = Tape { entries: vec![Entry::Call(write), Entry::Call(watch)], ..Tape::default() };
        let timeline = Timeline::of(&tape);
        assert_eq!(timeline.calls.iter().map(|c| c.id).collect::<Vec<_>>(), [5, 7], "by their requests");
        assert_eq!(timeline.objects, ["pods d/a"]);
        assert_eq!(timeline.frames, [(0, 4, 4.0, 0, 0, 8, 1), (0, 8, 8.0, 1, 0, 9, -1)]);
        assert_eq!(timeline.versions, [(0, 8, 4, 1, 0), (0, 9, 8, -1, -1)]);
    }
}
