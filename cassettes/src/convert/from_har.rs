//! Tapes out of HAR 1.2, as browsers and mitmproxy write it, or as `to_har` did.
//!
//! HAR knows requests, answers and times; it knows no watch events and no causes. A tape made of it says
//! `fidelity: http`. The answer of a watch that was kept as text is cut into its events, all at the time of its end; what
//! our own export notes beside (`_tape`, `_frames`) is taken back.

use crate::format::Tree;
use crate::format::model::{
    Body, Call, Clock, End, Entry, Frame, Header, Lane, Marks, Micros, Recorded, Request, Response, Tape,
};
use crate::record::{body_of, request_headers, response_headers, target};
use crate::replay::Route;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A HAR that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HarError {
    /// Not JSON.
    #[error("line {line}, column {column}: {why}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser says.
        why: String,
    },
    /// A member that is missing or wrong.
    #[error("{at}: {why}")]
    Member {
        /// Where: `log.entries[3].request.url`.
        at: String,
        /// What is wrong.
        why: String,
    },
    /// Requests to several servers, of which a tape can hold one.
    #[error("it has requests to several servers; say which one is meant: {}", servers.join(", "))]
    Servers {
        /// Scheme and authority of each.
        servers: Vec<String>,
    },
}

fn wrong(at: &str, why: impl Into<String>) -> HarError {
    HarError::Member { at: at.to_owned(), why: why.into() }
}

/// What came of a HAR.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FromHar {
    /// The tape. Nothing is redacted yet.
    pub tape: Tape,
    /// Entries that are not on it, by reason.
    pub left: BTreeMap<&'static str, u64>,
}

struct Moment {
    at: Timestamp,
    head: Option<f64>,
    end: f64,
    call: Call,
}

/// Makes a tape of a HAR. `server` is the beginning of the URLs that are meant, such as `https://10.0.0.1:6443` or
/// `https://proxy/clusters/c`; without it all URLs must be of one server.
///
/// # Errors
/// Text that is no HAR, with its place; requests to several servers.
pub fn from_har(text: &str, server: Option<&str>) -> Result<FromHar, HarError> {
    let har: Value = serde_json::from_str(text).map_err(|error| HarError::Syntax {
        line: error.line(),
        column: error.column(),
        why: error.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
    })?;
    let log = har.get("log").ok_or_else(|| wrong("log", "is missing; this is no HAR"))?;
    let entries = log.get("entries").and_then(Value::as_array).ok_or_else(|| wrong("log.entries", "is no list"))?;
    let prefix = match server {
        Some(server) => server.trim_end_matches('/').to_owned(),
        None => only_server(entries)?,
    };
    let mut made = FromHar::default();
    let mut moments = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        let at = format!("log.entries[{n}]");
        match moment(entry, &at, &prefix)? {
            Ok(moment) => moments.push(moment),
            Err(reason) => *made.left.entry(reason).or_default() += 1,
        }
    }
    made.tape = assemble(moments, log);
    Ok(made)
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Scheme and authority.
fn server_of(url: &str) -> &str {
    let rest = url.find("://").map_or(0, |at| at + 3);
    let end = url[rest..].find(['/', '?', '#']).map_or(url.len(), |at| rest + at);
    &url[..end]
}

fn only_server(entries: &[Value]) -> Result<String, HarError> {
    let servers: BTreeSet<&str> = entries.iter().map(|entry| server_of(text(entry, "/request/url"))).collect();
    let servers: Vec<String> = servers.into_iter().filter(|server| !server.is_empty()).map(str::to_owned).collect();
    match servers.as_slice() {
        [] => Ok(String::new()),
        [one] => Ok(one.clone()),
        _ => Err(HarError::Servers { servers }),
    }
}

fn moment(entry: &Value, at: &str, prefix: &str) -> Result<Result<Moment, &'static str>, HarError> {
    let member = |name: &str, why: &str| wrong(&format!("{at}.{name}"), why);
    let url = text(entry, "/request/url");
    if url.is_empty() {
        return Err(member("request.url", "is missing"));
    }
    let Some(rest) = url.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?'])) else {
        return Ok(Err("to another server"));
    };
    let status = entry.pointer("/response/status").and_then(Value::as_u64).unwrap_or(0);
    if status == 101 {
        return Ok(Err("an upgraded connection"));
    }
    let began: Timestamp =
        text(entry, "/startedDateTime").parse().map_err(|_| member("startedDateTime", "is no time of RFC 3339"))?;
    let path = rest.split('#').next().unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    let uri: Uri = format!("{slash}{path}").parse().map_err(|_| member("request.url", "is no URL"))?;
    let method = text(entry, "/request/method").to_ascii_uppercase();
    if method.is_empty() {
        return Err(member("request.method", "is missing"));
    }
    let (path, query) = target(&uri);
    let asked = headers(entry.pointer("/request/headers"));
    let sent = entry.pointer("/request/postData");
    let body = match sent {
        Some(data) => {
            let encoding = text(data, "/_encoding");
            let bytes =
                bytes(text(data, "/text"), encoding).ok_or_else(|| member("request.postData", "is no base64"))?;
            body_of(media(&asked, text(data, "/mimeType")).as_str(), &bytes)
        }
        None => None,
    };
    let request = Request { method, path, query, headers: request_headers(&asked), body, ..Request::default() };
    let millis = |pointer: &str| entry.pointer(pointer).and_then(Value::as_f64).filter(|ms| *ms >= 0.0);
    let before = ["blocked", "dns", "connect", "send", "wait"].map(|name| millis(&format!("/timings/{name}")));
    let wait: f64 = before.iter().flatten().sum();
    let receive = millis("/timings/receive").unwrap_or(0.0);
    let end = millis("/time").unwrap_or(wait + receive).max(wait);
    let mut call = Call {
        id: entry.pointer("/_tape/id").and_then(Value::as_u64).unwrap_or(0),
        lane: text(entry, "/_tape/lane").to_owned(),
        conn: text(entry, "/connection").parse().unwrap_or(0),
        end: ending(text(entry, "/_tape/end"), status),
        request,
        ..Call::default()
    };
    if status > 0 {
        answer(&mut call, entry, at, status)?;
    }
    Ok(Ok(Moment { at: began, head: call.response.is_some().then_some(wait), end, call }))
}

/// Status, headers and body of an answer; the events of a watch.
fn answer(call: &mut Call, entry: &Value, at: &str, status: u64) -> Result<(), HarError> {
    let member = |name: &str, why: &str| wrong(&format!("{at}.response.{name}"), why);
    let status = u16::try_from(status).map_err(|_| member("status", "is no HTTP status"))?;
    let answered = headers(entry.pointer("/response/headers"));
    let mut response = Response { status, headers: response_headers(&answered), ..Response::default() };
    let given = entry.pointer("/response/content/text").and_then(Value::as_str);
    let media = media(&answered, text(entry, "/response/content/mimeType"));
    if let Some(frames) = entry.pointer("/_frames").and_then(Value::as_array) {
        for (n, frame) in frames.iter().enumerate() {
            let bytes = bytes(text(frame, "/data"), text(frame, "/encoding"))
                .ok_or_else(|| wrong(&format!("{at}._frames[{n}].data"), "is no base64"))?;
            let cause = frame.pointer("/cause").and_then(Value::as_array).into_iter().flatten();
            call.frames.push(Frame {
                t: micros(frame.pointer("/time").and_then(Value::as_f64).unwrap_or(0.0)),
                content: body_of(&media, &bytes).unwrap_or_default(),
                cause: cause.filter_map(Value::as_u64).collect(),
                ..Frame::default()
            });
        }
    } else if let Some(given) = given {
        let encoding = text(entry, "/response/content/encoding");
        let bytes = bytes(given, encoding).ok_or_else(|| member("content.text", "is no base64"))?;
        match events(&call.request, status, &bytes) {
            Some(events) => call.frames = events,
            None => response.body = body_of(&media, &bytes),
        }
    } else if entry.pointer("/response/content/size").and_then(Value::as_i64).is_some_and(|size| size > 0) {
        // The browser did not keep it.
        response.extra.push(("x-body-omitted".to_owned(), Tree::Bool(true)));
    }
    call.response = Some(response);
    Ok(())
}

/// The events in the text of a watch; none where it is not one.
fn events(request: &Request, status: u16, bytes: &[u8]) -> Option<Vec<Frame>> {
    if status != 200 || !Route::of(request).is_watch() {
        return None;
    }
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let frames: Vec<Frame> = lines.map(|line| Frame { content: Body::from_json(line), ..Frame::default() }).collect();
    let is_event = |frame: &Frame| frame.content.json().is_some_and(|tree| tree.get("object").is_some());
    frames.iter().all(is_event).then_some(frames)
}

fn headers(list: Option<&Value>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for header in list.and_then(Value::as_array).into_iter().flatten() {
        // Those of HTTP/2 begin with a colon and are no headers.
        let name = HeaderName::try_from(text(header, "/name"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(text(header, "/value"))) {
            headers.append(name, value);
        }
    }
    headers
}

fn media(headers: &HeaderMap, otherwise: &str) -> String {
    let named = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    named.unwrap_or(otherwise).to_owned()
}

fn bytes(text: &str, encoding: &str) -> Option<Vec<u8>> {
    if encoding == "base64" { STANDARD.decode(text).ok() } else { Some(text.as_bytes().to_vec()) }
}

/// How an exchange ended: as our own export says, or by there being an answer.
fn ending(noted: &str, status: u64) -> End {
    match noted.split([' ', '{']).next().unwrap_or_default() {
        "" if status == 0 => End::ClientCancel,
        "ClientCancel" => End::ClientCancel,
        "ServerGoaway" => End::ServerGoaway,
        "Reset" => End::Reset { code: None },
        "EofNoNotify" => End::EofNoNotify,
        "Timeout" => End::Timeout,
        "RecorderStop" => End::RecorderStop,
        "RecorderCrash" => End::RecorderCrash,
        _ => End::Complete,
    }
}

fn micros(millis: f64) -> Micros {
    // 35 years, which is what a tape holds.
    if millis.is_finite() { (millis.clamp(0.0, 1e12) * 1000.0).round() as Micros } else { 0 }
}

fn assemble(mut moments: Vec<Moment>, log: &Value) -> Tape {
    moments.sort_by_key(|moment| moment.at);
    let first = moments.first().map_or(Timestamp::UNIX_EPOCH, |moment| moment.at);
    let start = text(log, "/_tape/start").parse().ok().filter(|start| *start <= first).unwrap_or(first);
    let foreign = text(log, "/_tape/start").is_empty();
    let ids: BTreeSet<u64> = moments.iter().map(|moment| moment.call.id).collect();
    let keep = ids.len() == moments.len() && !ids.contains(&0);
    let mut lanes: BTreeMap<String, Lane> = BTreeMap::new();
    let mut agents: BTreeMap<String, String> = BTreeMap::new();
    for (n, moment) in moments.iter_mut().enumerate() {
        let call = &mut moment.call;
        if !keep {
            call.id = n as u64 + 1;
        }
        let agent = call.request.headers.iter().find(|(name, _)| name == "user-agent").map(|(_, value)| value.clone());
        let agent = agent.unwrap_or_default();
        if call.lane.is_empty() {
            let count = agents.len() + 1;
            call.lane = agents.entry(agent.clone()).or_insert_with(|| format!("client{count}")).clone();
        }
        let lane = lanes.entry(call.lane.clone()).or_default();
        if lane.user_agent.is_empty() {
            lane.user_agent = agent;
        }
        let began = u64::try_from(moment.at.duration_since(start).as_micros()).unwrap_or(0);
        let end = began + micros(moment.end);
        call.t = Marks { req: began, head: moment.head.map(|head| began + micros(head)), end };
        let earliest = call.t.head.unwrap_or(began);
        // Only our own export says when events came.
        call.frames.iter_mut().for_each(|frame| frame.t = if foreign { end } else { frame.t.clamp(earliest, end) });
    }
    let calls = ordered(moments.into_iter().map(|moment| moment.call).collect());
    let creator = log.get("creator").map(|creator| [text(creator, "/name"), text(creator, "/version")].join(" "));
    let recorded = Recorded {
        at: start.to_string(),
        placement: "import".into(),
        origin: format!("HAR of {}", creator.unwrap_or_default().trim()).trim_end_matches(" of ").to_owned(),
        extra: vec![("fidelity".to_owned(), "http".into())],
        ..Recorded::default()
    };
    Tape {
        header: Header {
            name: text(log, "/comment").to_owned(),
            recorded,
            lanes,
            clock: Clock { start: start.to_string(), source: "har".into(), resolution: 1000, ..Clock::default() },
            ..Header::default()
        },
        entries: calls.into_iter().map(Entry::Call).collect(),
        sealed: None,
    }
}

/// Gives all moments one order: by time, and of one time in the order in which one call has them.
fn ordered(mut calls: Vec<Call>) -> Vec<Call> {
    let mut moments: Vec<(Micros, u8, usize, usize)> = Vec::new();
    for (n, call) in calls.iter().enumerate() {
        moments.push((call.t.req, 0, n, 0));
        moments.extend(call.t.head.map(|head| (head, 1, n, 0)));
        moments.extend(call.frames.iter().enumerate().map(|(at, frame)| (frame.t, 2, n, at)));
        moments.push((call.t.end, 3, n, 0));
    }
    moments.sort_unstable();
    for (seq, (_, kind, n, at)) in moments.into_iter().enumerate() {
        let seq = seq as u64 + 1;
        let Some(call) = calls.get_mut(n) else { continue };
        match kind {
            0 => call.seq.req = seq,
            1 => call.seq.head = Some(seq),
            2 => call.frames.iter_mut().skip(at).take(1).for_each(|frame| frame.seq = seq),
            _ => call.seq.end = seq,
        }
    }
    calls.sort_by_key(|call| call.seq.req);
    calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::to_har;

    fn browser(entries: &str) -> String {
        format!(
            r#"{{"log":{{"version":"1.2","creator":{{"name":"WebInspector","version":"537"}},"entries":[{entries}]}}}}"#
        )
    }

    const LIST: &str = r#"{"startedDateTime":"2026-01-02T03:04:05.100Z","time":7.5,
        "timings":{"blocked":-1,"send":0.5,"wait":5,"receive":2},
        "request":{"method":"GET","url":"https://c:6443/api/v1/pods?limit=500&labelSelector=a%3Db","headers":[
            {"name":":authority","value":"c"},{"name":"User-Agent","value":"Mozilla"},{"name":"Cookie","value":"s=1"}]},
        "response":{"status":200,"headers":[{"name":"Content-Type","value":"application/json"}],
            "content":{"mimeType":"application/json","text":"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[]}\n"}}}"#;

    #[test]
    fn what_a_browser_saved_becomes_calls_with_times() {
        let made = from_har(&browser(LIST), None).unwrap();
        let call = made.tape.calls().next().unwrap();
        assert_eq!((call.request.path.as_str(), call.lane.as_str()), ("/api/v1/pods", "client1"));
        assert_eq!(call.request.query, [("labelSelector".into(), "a=b".into()), ("limit".into(), "500".into())]);
        assert_eq!(call.request.headers, [("user-agent".to_owned(), "Mozilla".to_owned())]);
        assert_eq!((call.t.req, call.t.head, call.t.end), (0, Some(5500), 7500));
        assert!(matches!(call.response.as_ref().unwrap().body, Some(Body::Json { .. })));
        let header = &made.tape.header;
        assert_eq!(header.recorded.origin, "HAR of WebInspector 537");
        assert_eq!(header.recorded.extra, [("fidelity".to_owned(), "http".into())]);
    }

    #[test]
    fn a_watch_that_was_kept_as_text_is_cut_into_its_events() {
        let watch = LIST.replace("limit=500", "watch=1").replace(
            r#"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[]}\n"#,
            r#"{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\"}}\n{\"type\":\"DELETED\",\"object\":{\"kind\":\"Pod\"}}\n"#,
        );
        let made = from_har(&browser(&watch), None).unwrap();
        let call = made.tape.calls().next().unwrap();
        assert_eq!((call.frames.len(), call.frames[1].t), (2, 7500));
        assert!(call.response.as_ref().unwrap().body.is_none());
        assert!(call.seq.head.unwrap() < call.frames[0].seq && call.frames[1].seq < call.seq.end);
    }

    #[test]
    fn what_is_no_har_is_told_with_its_place() {
        let why = |text: &str| from_har(text, None).unwrap_err().to_string();
        assert!(why("{\n  \"log\": [").starts_with("line 2, column "), "{}", why("{\n  \"log\": ["));
        assert_eq!(why("{}"), "log: is missing; this is no HAR");
        assert_eq!(why(r#"{"log":{"entries":{}}}"#), "log.entries: is no list");
        assert_eq!(why(&browser("{}")), "log.entries[0].request.url: is missing");
        let late = LIST.replace("2026-01-02T03", "yesterday");
        assert_eq!(why(&browser(&format!("{LIST},{late}"))), "log.entries[1].startedDateTime: is no time of RFC 3339");
        let other = LIST.replace("c:6443", "d");
        assert!(why(&browser(&format!("{LIST},{other}"))).ends_with("https://c:6443, https://d"));
        let made = from_har(&browser(&format!("{LIST},{other}")), Some("https://d/")).unwrap();
        assert_eq!((made.tape.entries.len(), made.left["to another server"]), (1, 1));
    }

    #[test]
    fn our_own_export_comes_back() {
        let frame = |seq: u64, cause: u64| Frame {
            seq,
            t: seq * 1000,
            content: Body::from_json(b"{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\"}}\n"),
            cause: vec![cause],
            ..Frame::default()
        };
        let watch = Call {
            id: 7,
            lane: "sut".into(),
            conn: 2,
            seq: Marks { req: 1, head: Some(2), end: 6 },
            t: Marks { req: 1000, head: Some(2000), end: 6000 },
            request: Request {
                method: "GET".into(),
                path: "/api/v1/pods".into(),
                query: vec![("watch".into(), "1".into())],
                ..Request::default()
            },
            response: Some(Response {
                status: 200,
                headers: vec![("content-type".into(), "application/json".into())],
                ..Response::default()
            }),
            frames: vec![frame(3, 9), frame(5, 9)],
            end: End::ClientCancel,
            ..Call::default()
        };
        let mut tape = Tape { entries: vec![Entry::Call(watch.clone())], ..Tape::default() };
        tape.header.clock.start = "2026-01-02T03:04:05Z".into();
        let made = from_har(&to_har(&tape).to_string(), None).unwrap();
        let mut back = made.tape.calls().next().unwrap().clone();
        back.seq = watch.seq;
        back.frames.iter_mut().zip(&watch.frames).for_each(|(a, b)| a.seq = b.seq);
        assert_eq!(back, watch);
    }
}
