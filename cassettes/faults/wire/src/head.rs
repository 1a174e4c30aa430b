//! What rules do to whole answers: headers, garbage, sizes, oddities, groups that are hidden from discovery.

use crate::body::{BoxError, Inner};
use crate::facts::Facts;
use crate::line::{Line, Moment, Order};
use crate::ruleset::Fired;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, LOCATION, WARNING};
use http::{Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, Full, StreamBody};
use rehearsal_faults::{Action, Cut, Garbage, HttpOddity, Oddity, Oversize, Point, Protocol};
use serde_json::{Value, json};

/// Changes the request so that its answer can be rewritten.
pub(crate) fn prepare<B>(fired: &[Fired], request: &mut Request<B>) {
    let hides = actions(fired).any(|action| matches!(action, Action::HideGroup { .. }));
    let odd = actions(fired).any(|action| matches!(action, Action::Odd { .. } | Action::Oversize { .. }));
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // Only JSON can be rewritten; whoever reads nothing else keeps what he gets.
    if (hides || odd)
        && let Some(accept) = accept
    {
        let json: Vec<&str> = accept.split(',').filter(|media| !media.contains("protobuf")).collect();
        if let Ok(value) = HeaderValue::from_str(&json.join(","))
            && !json.is_empty()
        {
            request.headers_mut().insert(ACCEPT, value);
        }
    }
}

fn actions(fired: &[Fired]) -> impl Iterator<Item = &Action> {
    fired.iter().flat_map(|fired| &fired.firing.actions)
}

/// Orders what goes out beside an answer and what no HTTP library writes.
pub(crate) fn order(fired: &Fired, answer: &Response<Inner>, line: Option<&Line>, protocol: Protocol) {
    let Some(line) = line else { return };
    for action in &fired.firing.actions {
        match action {
            Action::GoAway { code, streams_back, abrupt: false } => {
                // A stream without an end gives no better moment than its head.
                let ends = answer.body().size_hint().exact().is_some();
                let after = if ends { Moment::End } else { Moment::Head };
                line.order(Order::GoAway { code: *code, streams_back: *streams_back, abrupt: false, after });
            }
            Action::HttpOddity { form: HttpOddity::Informational, .. } => line.order(Order::Interim),
            Action::HttpOddity { form: HttpOddity::DuplicateLength, .. } if protocol == Protocol::Http1 => {
                line.order(Order::HeadLine(b"content-length: 1\r\n".to_vec()));
            }
            _ => {}
        }
    }
}

/// Fixes the length that the head announces, where less than that will come.
pub(crate) fn pin_length(answer: &mut Response<Inner>, fired: &[Fired]) {
    let cuts = actions(fired).any(|action| match action {
        Action::Cut { how, .. } => *how != Cut::Clean,
        Action::RstStream { at, .. } => *at != Point::Here,
        _ => false,
    });
    if cuts && let Some(length) = answer.body().size_hint().exact() {
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// Rewrites an answer as the rules at its head say.
pub(crate) async fn rewrite(
    mut answer: Response<Inner>,
    fired: &[Fired],
    facts: &Facts,
    watch: bool,
) -> Response<Inner> {
    for action in actions(fired) {
        answer = match action {
            Action::Warn { text, times } => warned(answer, text, *times),
            Action::Garble { form } => garbled(answer, *form, watch).await,
            Action::Oversize { what, size } => oversized(answer, *what, *size, watch).await,
            Action::HttpOddity { form, location } => odd_http(answer, *form, location, facts.protocol),
            Action::Odd { form, frame } if !watch => odd_list(answer, *form, *frame).await,
            Action::HideGroup { group } => {
                let group = if group.is_empty() { &facts.group } else { group };
                without_group(answer, group, &facts.path).await
            }
            _ => answer,
        };
    }
    answer
}

fn warned(mut answer: Response<Inner>, text: &str, times: u64) -> Response<Inner> {
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
    for _ in 0..times {
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            answer.headers_mut().append(WARNING, value);
        }
    }
    answer
}

/// The whole body, where there is an end to it.
async fn collected(body: Inner) -> Bytes {
    body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}

fn full(bytes: impl Into<Bytes>) -> Inner {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Replaces the body; a length that was announced no longer holds.
fn with_body(answer: Response<Inner>, body: Inner) -> Response<Inner> {
    let mut answer = answer.map(|_| body);
    answer.headers_mut().remove(CONTENT_LENGTH);
    answer
}

/// Puts bytes before the body.
fn preceded(answer: Response<Inner>, first: impl Into<Bytes>) -> Response<Inner> {
    let (parts, body) = answer.into_parts();
    let first = futures::stream::once(std::future::ready(Ok::<_, BoxError>(Frame::data(first.into()))));
    let all = futures::StreamExt::chain(first, http_body_util::BodyStream::new(body));
    let mut answer = Response::from_parts(parts, StreamBody::new(all).boxed_unsync());
    answer.headers_mut().remove(CONTENT_LENGTH);
    answer
}

async fn garbled(answer: Response<Inner>, form: Garbage, watch: bool) -> Response<Inner> {
    let broken: &[u8] = match form {
        Garbage::Json => b"{\"kind\":\"Status\",\"apiVersion\":}\n",
        Garbage::Protobuf => b"k8s\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        Garbage::NotANumber => {
            b"{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[{\"spec\":{\"replicas\":NaN}}]}\n"
        }
        Garbage::Empty => b"",
        Garbage::ContentType => {
            let mut answer = answer;
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            return answer;
        }
        Garbage::ByteOrderMark => return preceded(answer, &b"\xef\xbb\xbf"[..]),
        Garbage::GzipCut => {
            // The head of a gzip stream and the beginning of a stored block of which nothing comes.
            let mut answer = answer;
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            return with_body(
                answer,
                full(&b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x00\x10\x00\xef\xff{\"kind\":"[..]),
            );
        }
    };
    let mut answer = answer;
    if form == Garbage::Protobuf {
        let stream = if watch { ";stream=watch" } else { "" };
        if let Ok(value) = HeaderValue::from_str(&format!("application/vnd.kubernetes.protobuf{stream}")) {
            answer.headers_mut().insert(CONTENT_TYPE, value);
        }
    }
    with_body(answer, full(broken))
}

async fn oversized(mut answer: Response<Inner>, what: Oversize, size: u64, watch: bool) -> Response<Inner> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    match what {
        Oversize::Header => {
            if let Ok(value) = HeaderValue::from_bytes(&vec![b'x'; size]) {
                answer.headers_mut().insert("x-rehearsal-oversized", value);
            }
            answer
        }
        Oversize::Line if watch => preceded(answer, padded_frame(size)),
        Oversize::Line => {
            with_list(answer, |list| {
                list["metadata"]["rehearsalPadding"] = Value::from("x".repeat(size));
            })
            .await
        }
        Oversize::List => {
            with_list(answer, |list| {
                let first = list["items"].get(0).cloned().unwrap_or_else(|| json!({"metadata": {"name": "filler"}}));
                list["items"] = Value::Array(vec![first; size]);
            })
            .await
        }
        Oversize::Nesting => {
            let mut deep = Vec::with_capacity(size.saturating_mul(6) + 64);
            let opening: &[u8] = if watch { b"{\"type\":\"ADDED\",\"object\":" } else { b"" };
            deep.extend(opening);
            (0..size).for_each(|_| deep.extend(b"{\"a\":"));
            deep.extend(b"0");
            deep.extend(vec![b'}'; size]);
            deep.extend(if watch { &b"}\n"[..] } else { &b"\n"[..] });
            if watch { preceded(answer, deep) } else { with_body(answer, full(deep)) }
        }
    }
}

fn padded_frame(size: usize) -> Vec<u8> {
    let mut line =
        b"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Padding\",\"metadata\":{\"annotations\":{\"padding\":\""
            .to_vec();
    line.resize(line.len() + size, b'x');
    line.extend(b"\"}}}}\n");
    line
}

/// Changes a JSON body; others stay as they are.
async fn with_list(answer: Response<Inner>, change: impl FnOnce(&mut Value)) -> Response<Inner> {
    let (parts, body) = answer.into_parts();
    let bytes = collected(body).await;
    let changed = serde_json::from_slice::<Value>(&bytes).ok().filter(Value::is_object).map(|mut value| {
        change(&mut value);
        value.to_string() + "\n"
    });
    let body = changed.map_or(bytes, Bytes::from);
    with_body(Response::from_parts(parts, full(Bytes::new())), full(body))
}

async fn odd_list(answer: Response<Inner>, form: Oddity, which: u64) -> Response<Inner> {
    with_list(answer, |list| {
        if form == Oddity::NullItems {
            list["items"] = Value::Null;
            return;
        }
        let index = usize::try_from(which).unwrap_or(1).saturating_sub(1);
        let is_list = list.get("items").is_some();
        let object = if is_list { list["items"].get_mut(index) } else { Some(list) };
        if let Some(object) = object {
            crate::body::make_odd(object, form);
        }
    })
    .await
}

fn odd_http(mut answer: Response<Inner>, form: HttpOddity, location: &str, protocol: Protocol) -> Response<Inner> {
    match form {
        HttpOddity::Redirect => {
            let mut redirect = Response::new(full(Bytes::new()));
            *redirect.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            if let Ok(value) = HeaderValue::from_str(location) {
                redirect.headers_mut().insert(LOCATION, value);
            }
            redirect
        }
        // On HTTP/1.1 the surface writes the second.
        HttpOddity::DuplicateLength if protocol == Protocol::Http2 => {
            let length = answer.body().size_hint().exact().unwrap_or(2);
            answer.headers_mut().append(CONTENT_LENGTH, HeaderValue::from(length));
            answer.headers_mut().append(CONTENT_LENGTH, HeaderValue::from_static("1"));
            answer
        }
        HttpOddity::DuplicateLength | HttpOddity::Informational => answer,
        HttpOddity::Trailers => {
            let mut trailers = http::HeaderMap::new();
            trailers.insert("x-rehearsal-trailer", HeaderValue::from_static("unannounced"));
            answer.headers_mut().remove(CONTENT_LENGTH);
            // HTTP/1.1 sends only those that the head has named.
            answer.headers_mut().insert("trailer", HeaderValue::from_static("x-rehearsal-trailer"));
            let (parts, body) = answer.into_parts();
            let last = futures::stream::once(std::future::ready(Ok::<_, BoxError>(Frame::trailers(trailers))));
            let all = futures::StreamExt::chain(http_body_util::BodyStream::new(body), last);
            Response::from_parts(parts, StreamBody::new(all).boxed_unsync())
        }
    }
}

/// Takes a group out of a discovery document; its own paths are unavailable.
async fn without_group(answer: Response<Inner>, group: &str, path: &str) -> Response<Inner> {
    let own = format!("/apis/{group}");
    if path == own || path.starts_with(&format!("{own}/")) {
        let reply = rehearsal_faults::Reply::new(rehearsal_faults::Case::AggregatedUnavailable);
        let facts = rehearsal_faults::RequestFacts::default();
        let answer = crate::answer::response(reply.render(&facts, &rehearsal_faults::StoreFacts::default()));
        return answer.map(full);
    }
    if !matches!(path.trim_end_matches('/'), "/apis") {
        return answer;
    }
    let mut answer = with_list(answer, |document| {
        for (list, name) in [("groups", "/name"), ("items", "/metadata/name")] {
            if let Some(items) = document.get_mut(list).and_then(Value::as_array_mut) {
                items.retain(|item| item.pointer(name).and_then(Value::as_str) != Some(group));
            }
        }
    })
    .await;
    answer.headers_mut().remove(ETAG);
    answer
}
