//! HAR 1.2 (<http://www.softwareishard.com/blog/har-12-spec/>), for the viewers that read it.
//!
//! One entry a call. Watch frames go into `_frames`, how an exchange ended into `_end`, lanes and causes beside them:
//! HAR has no words for them, and asks that additions begin with an underscore.

use crate::format::model::{Body, Call, Tape};
use crate::verify::target;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// A tape as HAR. Bodies in side files are left out.
#[must_use]
pub fn to_har(tape: &Tape) -> Value {
    let start: Timestamp = tape.header.clock.start.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let mut calls: Vec<&Call> = tape.calls().collect();
    calls.sort_by_key(|call| call.seq.req);
    let entries: Vec<Value> = calls.into_iter().map(|call| entry(call, start)).collect();
    json!({"log": {
        "version": "1.2",
        "creator": {"name": "rehearsal", "version": env!("CARGO_PKG_VERSION")},
        "comment": tape.header.name,
        "_tape": {"start": tape.header.clock.start},
        "entries": entries,
    }})
}

fn pairs(list: &[(String, String)]) -> Value {
    list.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

fn media(headers: &[(String, String)]) -> &str {
    headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value)
}

/// Text, or base64 and its name.
fn content(body: &Body) -> (String, Option<&'static str>, usize) {
    let bytes = body.bytes().unwrap_or_default();
    let size = bytes.len();
    match String::from_utf8(bytes) {
        Ok(text) => (text, None, size),
        Err(error) => (STANDARD.encode(error.into_bytes()), Some("base64"), size),
    }
}

fn entry(call: &Call, start: Timestamp) -> Value {
    let offset = SignedDuration::from_micros(i64::try_from(call.t.req).unwrap_or(i64::MAX));
    let began = start.checked_add(offset).unwrap_or(start);
    let head = call.t.head.unwrap_or(call.t.end);
    let (wait, receive) = (head.saturating_sub(call.t.req), call.t.end.saturating_sub(head));
    let mut request = json!({
        "method": call.request.method,
        "url": format!("https://kubernetes{}", target(&call.request.path, &call.request.query)),
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": pairs(&call.request.headers),
        "queryString": pairs(&call.request.query),
        "headersSize": -1,
        "bodySize": 0,
    });
    if let (Some(body), Value::Object(map)) = (&call.request.body, &mut request) {
        let (text, encoding, size) = content(body);
        map.insert("bodySize".into(), size.into());
        let mut data = json!({"mimeType": media(&call.request.headers), "text": text});
        if let (Some(encoding), Value::Object(data)) = (encoding, &mut data) {
            data.insert("_encoding".into(), encoding.into());
        }
        map.insert("postData".into(), data);
    }
    let mut entry = json!({
        "startedDateTime": began.to_string(),
        "time": millis(wait + receive),
        "request": request,
        "response": response(call),
        "cache": {},
        "timings": {"send": 0, "wait": millis(wait), "receive": millis(receive)},
        "connection": call.conn.to_string(),
        "_tape": {"id": call.id, "lane": call.lane, "end": format!("{:?}", call.end)},
    });
    if let (false, Value::Object(map)) = (call.frames.is_empty(), &mut entry) {
        let frames = call.frames.iter().map(|frame| {
            let (text, encoding, _) = content(&frame.content);
            json!({"time": millis(frame.t), "data": text, "encoding": encoding, "cause": frame.cause})
        });
        map.insert("_frames".into(), frames.collect());
    }
    entry
}

fn response(call: &Call) -> Value {
    let Some(response) = &call.response else {
        // HAR wants one; status 0 is what browsers write for a request that failed.
        return json!({"status": 0, "statusText": "", "httpVersion": "", "cookies": [], "headers": [],
            "content": {"size": 0, "mimeType": ""}, "redirectURL": "", "headersSize": -1, "bodySize": -1});
    };
    let mut body = json!({"size": 0, "mimeType": media(&response.headers)});
    if let (Some(recorded), Value::Object(map)) = (&response.body, &mut body) {
        let (text, encoding, size) = content(recorded);
        map.insert("size".into(), size.into());
        map.insert("text".into(), text.into());
        if let Some(encoding) = encoding {
            map.insert("encoding".into(), encoding.into());
        }
    }
    let reason = http::StatusCode::from_u16(response.status).ok().and_then(|code| code.canonical_reason());
    json!({
        "status": response.status,
        "statusText": reason.unwrap_or_default(),
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": pairs(&response.headers),
        "content": body,
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": -1,
    })
}
