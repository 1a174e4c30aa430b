//! What rows have in common: requests, a transport without sockets, counters, and errors in the words of the table.

use crate::support::{Act, Recorded, json};
use bytes::Bytes;
use http::{Method, Request as HttpRequest, Response};
use parking_lot::Mutex;
use rehearsal_client::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) const POD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}"#;

pub(crate) fn pods(client: &RestClient, method: &Method) -> Request {
    client.verb(method.clone()).namespace("default").resource("pods")
}

pub(crate) fn get(client: &RestClient) -> Request {
    pods(client, &Method::GET).name("a")
}

pub(crate) fn post(client: &RestClient) -> Request {
    pods(client, &Method::POST).body("{}")
}

pub(crate) fn ok() -> Act {
    json(200, POD)
}

pub(crate) fn core(config: &Config) -> RestClient {
    RestClient::unversioned(config).unwrap().group_version(GroupVersion::new("", "v1"))
}

/// Sends, and reads the object.
pub(crate) async fn outcome(request: &Request) -> Result<serde_json::Value, Error> {
    request.send().await?.object()
}

pub(crate) async fn elapsed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = tokio::time::Instant::now();
    let result = future.await;
    (result, start.elapsed())
}

// === the words of the table ===

/// `ok`, or the error.
pub(crate) fn say<T>(result: &Result<T, Error>) -> String {
    result.as_ref().map_or_else(say_error, |_| "ok".into())
}

pub(crate) fn say_error(error: &Error) -> String {
    match error {
        Error::AfterRetries { current, previous } => format!("{}; previous attempt: {previous}", say_error(current)),
        Error::Status(refusal) => match &refusal.status.reason {
            Some(reason) => reason.as_str().to_owned(),
            None => format!("status {} without a reason", refusal.status.code),
        },
        Error::Transport { source, .. } => format!("transport error: {:?}", source.kind()),
        Error::Body { source, .. } => format!("body-read error: {:?}", source.kind()),
        Error::DeadlineExceeded(_) => "deadline error of the HTTP layer".into(),
        Error::Throttled(_) => "deadline error of the limiter".into(),
        Error::Decode(DecodeError::Empty { .. }) => "zero-length error".into(),
        Error::Decode(DecodeError::NoSerializer { content_type }) => format!("no serializer for {content_type}"),
        Error::Decode(error @ DecodeError::KindMismatch { .. }) => error.to_string(),
        Error::Request(_) => "builder error".into(),
        Error::Config(_) => "construction error".into(),
        other => panic!("no words for {other:?}"),
    }
}

/// Events of a watch to its end, or the error that there is none.
pub(crate) async fn say_watch(watch: Result<WatchStream, Error>) -> String {
    let mut watch = match watch {
        Ok(watch) => watch,
        Err(error) => return say_error(&error),
    };
    let mut said = Vec::new();
    while let Some(event) = watch.next().await {
        said.push(match event.status() {
            Some(status) => {
                let error = Error::from(status);
                let causes = [CAUSE_UNEXPECTED_SERVER_RESPONSE, CAUSE_CLIENT_WATCH_DECODING];
                let causes: Vec<_> = causes.into_iter().filter(|c| error.cause(c).is_some()).collect();
                format!("ERROR event {} ({})", say_error(&error), causes.join(", "))
            }
            None => format!("{:?} event", event.kind),
        });
    }
    if said.is_empty() {
        return "no error, empty closed watch".into();
    }
    format!("{}, closed", said.join(", "))
}

// === a transport without sockets, for errors that are hard to provoke and for the paused clock ===

#[derive(Clone)]
pub(crate) enum Scripted {
    Fail(TransportKind, &'static str),
    Status(u16, Option<&'static str>),
}

pub(crate) const EOF: Scripted = Scripted::Fail(TransportKind::Eof, "EOF");
pub(crate) const LOST: Scripted = Scripted::Fail(TransportKind::ConnectionLost, "http2: client connection lost");

/// The times of the calls of a transport, since the first.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<Vec<tokio::time::Instant>>>);

impl Calls {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }

    pub(crate) fn gaps(&self) -> Vec<Duration> {
        // The clock's timer counts milliseconds.
        let millis = |gap: Duration| Duration::from_millis(u64::try_from(gap.as_millis()).unwrap());
        self.0.lock().windows(2).map(|pair| millis(pair[1] - pair[0])).collect()
    }
}

/// Plays the script, repeating its end; notes the virtual time of each call.
pub(crate) fn scripted(script: impl IntoIterator<Item = Scripted>) -> (Config, Calls) {
    let script: Arc<Mutex<VecDeque<Scripted>>> = Arc::new(Mutex::new(script.into_iter().collect()));
    let calls = Calls::default();
    let noted = calls.clone();
    let transport = Transport::new(tower::service_fn(move |_: HttpRequest<Body>| {
        noted.0.lock().push(tokio::time::Instant::now());
        let next = {
            let mut script = script.lock();
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
        };
        std::future::ready(match next.unwrap() {
            Scripted::Fail(kind, text) => Err(TransportError::new(kind, text)),
            Scripted::Status(code, retry_after) => {
                let mut builder = Response::builder().status(code);
                if let Some(text) = retry_after {
                    builder = builder.header("retry-after", text);
                }
                let body = if code == 200 { Body::from(Bytes::from_static(POD.as_bytes())) } else { Body::empty() };
                Ok(builder.body(body).unwrap())
            }
        })
    }));
    let config = Config { transport: Some(transport), qps: Qps(-1.0), ..Config::new("http://scripted") };
    (config, calls)
}

// === counters ===

/// Counts what is sent, answered or not.
pub(crate) fn counted(config: Config) -> (Config, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let wrap = move |inner: Transport| {
        let counter = counter.clone();
        Transport::new(tower::service_fn(move |request: HttpRequest<Body>| {
            counter.fetch_add(1, Ordering::Relaxed);
            let inner = inner.clone();
            async move { inner.send(request).await }
        }))
    };
    (Config { wrap_transport: Some(Arc::new(wrap)), ..config }, sent)
}

/// A client whose waits are recorded.
pub(crate) fn recorded(config: Config) -> (RestClient, Arc<Recorded>) {
    let recorded = Arc::new(Recorded::default());
    (core(&Config { backoff: Some(recorded.clone()), ..config }), recorded)
}
