//! Tapes out of Kubernetes audit logs (`audit.k8s.io/v1` events, a JSON line each).
//!
//! An audit log knows who asked what, when, and with level RequestResponse the bodies; it knows no headers and no watch
//! events. The content type of patches is inferred from their form and marked so; watches come out without frames, and
//! hydrate makes the events anew from what the writes did.

use crate::format::Tree;
use crate::format::model::{
    Body, Call, Clock, End, Entry, Header, Lane, Marks, Recorded, Render, Request, Response, Role, Tape,
};
use jiff::Timestamp;
use rehearsal_apimachinery::request_info::parse_query;
use std::collections::BTreeMap;

/// An audit log that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct AuditError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

struct Event {
    at: Timestamp,
    done: Timestamp,
    call: Call,
}

/// Makes a tape of an audit log. A lane is a user with a user agent. Events of stages other than `ResponseComplete` and
/// `Panic` are left out.
///
/// # Errors
/// A line that is no audit event, with its number.
pub fn from_audit_log(text: &str) -> Result<Tape, AuditError> {
    let mut events = Vec::new();
    let mut lanes: BTreeMap<(String, String), String> = BTreeMap::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |why: &str| AuditError { line: n + 1, why: why.to_owned() };
        let event = Tree::from_json(line.as_bytes()).map_err(|error| wrong(&error.to_string()))?;
        if event.text_at(&["kind"]) != "Event" || !event.text_at(&["apiVersion"]).starts_with("audit.k8s.io/") {
            return Err(wrong("not an audit event: its kind is not Event of audit.k8s.io"));
        }
        if !matches!(event.text_at(&["stage"]), "ResponseComplete" | "Panic") {
            continue;
        }
        let time = |key: &str| event.text_at(&[key]).parse::<Timestamp>();
        let at = time("requestReceivedTimestamp").map_err(|_| wrong("no requestReceivedTimestamp"))?;
        let done = time("stageTimestamp").unwrap_or(at);
        let user = event.text_at(&["user", "username"]).to_owned();
        let agent = event.text_at(&["userAgent"]).to_owned();
        let count = lanes.len() + 1;
        let lane = lanes.entry((user, agent)).or_insert_with(|| format!("user{count}")).clone();
        events.push(Event { at, done, call: call(&event, lane) });
    }
    Ok(assemble(events, lanes))
}

fn call(event: &Tree, lane: String) -> Call {
    let (path, query) = event.text_at(&["requestURI"]).split_once('?').unwrap_or((event.text_at(&["requestURI"]), ""));
    let verb = event.text_at(&["verb"]);
    let method = match verb {
        "create" | "post" => "POST",
        "update" | "put" => "PUT",
        "patch" => "PATCH",
        "delete" | "deletecollection" => "DELETE",
        "head" => "HEAD",
        "options" => "OPTIONS",
        _ => "GET",
    };
    let body = event.get("requestObject").filter(|body| **body != Tree::Null).cloned();
    let mut headers = Vec::new();
    if let (Some(body), "patch") = (&body, verb) {
        headers.push(("content-type".to_owned(), patch_type(body, query).to_owned()));
    }
    let mut query = parse_query(query);
    query.sort();
    let status = event.at(&["responseStatus", "code"]).and_then(|code| match code {
        Tree::Int(code) => u16::try_from(*code).ok(),
        _ => None,
    });
    let answer = event.get("responseObject").filter(|body| **body != Tree::Null).cloned();
    let json = |tree: Tree| Body::Json { tree, render: Render { html: true, newline: true, ..Render::default() } };
    let id = event.text_at(&["auditID"]);
    let mut call = Call {
        lane,
        request: Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query,
            headers,
            body: body.map(json),
            ..Request::default()
        },
        response: status.map(|status| Response {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: answer.map(json),
            ..Response::default()
        }),
        end: End::Complete,
        audit_id: (!id.is_empty()).then(|| id.to_owned()),
        ..Call::default()
    };
    if verb == "patch" {
        call.extra.push(("x-inferred".to_owned(), "patch content type".into()));
    }
    call
}

/// A list is a JSON patch; an object with a kind and a field manager was applied; anything else merges.
fn patch_type(body: &Tree, query: &str) -> &'static str {
    match body {
        Tree::List(_) => "application/json-patch+json",
        _ if body.get("apiVersion").is_some() && query.contains("fieldManager=") => "application/apply-patch+yaml",
        _ => "application/merge-patch+json",
    }
}

fn assemble(mut events: Vec<Event>, lanes: BTreeMap<(String, String), String>) -> Tape {
    events.sort_by_key(|event| event.at);
    let start = events.first().map_or(Timestamp::UNIX_EPOCH, |event| event.at);
    let micros = |at: Timestamp| u64::try_from(at.duration_since(start).as_micros()).unwrap_or(0);
    // One order for beginnings and ends; of equal times beginnings come first.
    let mut moments: Vec<(Timestamp, bool, usize)> =
        events.iter().enumerate().flat_map(|(n, event)| [(event.at, false, n), (event.done, true, n)]).collect();
    moments.sort();
    for (seq, (at, end, n)) in moments.into_iter().enumerate() {
        let (seq, t) = (seq as u64 + 1, micros(at));
        let Some(Event { call, .. }) = events.get_mut(n) else { continue };
        if end {
            call.seq = Marks { head: call.response.is_some().then_some(seq), end: seq, ..call.seq };
            call.t = Marks { head: call.response.is_some().then_some(t), end: t, ..call.t };
        } else {
            (call.seq.req, call.t.req) = (seq, t);
        }
    }
    let entries = events.into_iter().enumerate().map(|(n, event)| Entry::Call(Call { id: n as u64 + 1, ..event.call }));
    let lanes = lanes
        .into_iter()
        .map(|((user, user_agent), id)| (id, Lane { user_agent, auth: user, role: Role::Sut, ..Lane::default() }));
    Tape {
        header: Header {
            name: "audit log".into(),
            recorded: Recorded {
                at: start.to_string(),
                placement: "import".into(),
                origin: "audit log".into(),
                ..Recorded::default()
            },
            lanes: lanes.collect(),
            clock: Clock { start: start.to_string(), source: "audit".into(), resolution: 1, ..Clock::default() },
            ..Header::default()
        },
        entries: entries.collect(),
        sealed: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = concat!(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a","stage":"RequestReceived","requestURI":"/x","verb":"get","user":{"username":"u"},"requestReceivedTimestamp":"2026-01-02T03:04:05.000001Z","stageTimestamp":"2026-01-02T03:04:05.000001Z"}"#,
        "\n",
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"b","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/d/configmaps?fieldManager=x","verb":"create","user":{"username":"u"},"userAgent":"kubectl/v1","responseStatus":{"code":201},"requestObject":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c"}},"responseObject":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c","namespace":"d","resourceVersion":"7"}},"requestReceivedTimestamp":"2026-01-02T03:04:05.000100Z","stageTimestamp":"2026-01-02T03:04:05.002100Z"}"#,
        "\n"
    );

    #[test]
    fn an_audit_log_is_a_tape() {
        let tape = from_audit_log(LOG).unwrap();
        let call = tape.calls().next().unwrap();
        assert_eq!((call.request.method.as_str(), call.t.req, call.t.end), ("POST", 0, 2000));
        assert_eq!(call.response.as_ref().unwrap().status, 201);
        assert_eq!(tape.entries.len(), 1, "other stages are left out");
        let history = crate::history::History::of(&tape, &|body| Some(body.clone()));
        let text = crate::convert::to_manifests(&history, u64::MAX, crate::convert::Manifests::Appliable);
        assert_eq!(text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n  namespace: d\n");
    }

    #[test]
    fn what_is_no_audit_event_is_refused_with_its_line() {
        let error = from_audit_log(&format!("{LOG}{{}}\n")).unwrap_err();
        assert_eq!(error.to_string(), "line 3: not an audit event: its kind is not Event of audit.k8s.io");
    }

    #[test]
    fn a_har_has_an_entry_for_each_call() {
        let har = crate::convert::to_har(&from_audit_log(LOG).unwrap());
        let entry = &har["log"]["entries"][0];
        assert_eq!(entry["startedDateTime"], "2026-01-02T03:04:05.0001Z");
        assert_eq!((&entry["timings"]["wait"], &entry["response"]["status"]), (&2.0.into(), &201.into()));
    }
}
