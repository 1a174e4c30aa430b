//! Sending a request: throttle, attempt, decide, wait, and again.
//!
//! Counterpart: `request`, `Do`, `DoRaw`, `Stream` and `Watch` of client-go `rest.Request`. The order of an attempt is
//! client-go's: limiter, backoff, send, backoff update, decision.

use super::request::{Request, RequestBody};
use super::response::{Asked, RestResponse, generic};
use super::retry::{Decision, Entry, Outcome, Retries, RetryReason};
use super::warnings;
use crate::clock;
use crate::error::{Error, ThrottleError, TransportError, TransportKind};
use crate::transport::Body;
use crate::watch::WatchStream;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode, Uri};
use parking_lot::Mutex;
use rand::Rng as _;
use rehearsal_apimachinery::GroupResource;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Waits longer than this are told at debug level.
const NOTABLE_WAIT: Duration = Duration::from_millis(50);
/// Waits longer than this are told at info level, at most once a second for the whole process.
const LONG_WAIT: Duration = Duration::from_secs(1);
/// An old response no longer than this is read to its end, so that its connection can be used again.
const MAX_DRAIN: u64 = 2048;

/// A body handed out as it comes.
#[derive(Debug)]
pub struct ByteStream {
    body: Body,
    action: String,
    content_type: String,
}

impl ByteStream {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// What broke the body off.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        let chunk = self.body.chunk().await?;
        Some(chunk.map_err(|source| Error::Body { action: self.action.clone(), source }))
    }

    /// `Content-Type` of the response.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The body itself.
    #[must_use]
    pub fn into_body(self) -> Body {
        self.body
    }

    /// Cuts it into lines.
    #[must_use]
    pub fn lines(self) -> super::Lines {
        super::Lines::new(self)
    }

    /// Reads it to its end.
    ///
    /// # Errors
    /// What broke the body off.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        let action = self.action;
        self.body.bytes().await.map_err(|source| Error::Body { action, source })
    }
}

/// An answer whose body has not been read.
struct Answer {
    response: Response<Body>,
    retries: Retries,
    deadline: Option<Instant>,
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}

impl Request {
    /// Sends, and reads the whole answer. An answer that refuses is still an answer: [`RestResponse::into`] and its
    /// siblings turn it into an error. Counterpart: `Do`.
    ///
    /// # Errors
    /// When the request cannot be built, is not let through, or no whole answer arrives. Cancelling aborts the exchange.
    pub async fn send(&self) -> Result<RestResponse, Error> {
        self.preflight()?;
        let begun = clock::now();
        let answered = self.answer().await;
        if let Some(metrics) = &self.client.shared.metrics {
            metrics.latency(self.method.as_str(), &self.url_template(), clock::now() - begun);
        }
        answered
    }

    async fn answer(&self) -> Result<RestResponse, Error> {
        let mut answer = self.exchange(Entry::Do).await?;
        loop {
            let (parts, body) = answer.response.into_parts();
            let failure = match self.read(body, answer.deadline).await {
                Ok(body) => {
                    self.measure(body.len());
                    let mut response = self.response(parts.status, &parts.headers, body);
                    let outcome = Outcome::Answered { status: parts.status, retry_after: None, flow_schema: None };
                    response.unknown = answer.retries.is_outcome_unknown(outcome);
                    response.warnings.iter().for_each(|w| self.warnings.handle(w));
                    self.learn(response.status);
                    return Ok(response);
                }
                Err(failure) => failure,
            };
            let decision = match &failure {
                Error::Body { source, .. } => answer.retries.decide_truncated(source, clock::wall(), self.chance()),
                _ => Decision::Done,
            };
            let Decision::Again { after, reason } = decision else { return Err(failure) };
            let uri = self.uri()?;
            answer = self.attempts(&uri, answer.retries, answer.deadline, Some((after, reason))).await?;
        }
    }

    /// Tells the sizes of a request with a body and of its answer.
    fn measure(&self, received: usize) {
        let Some(metrics) = &self.client.shared.metrics else { return };
        let host = &self.client.shared.authority;
        if let RequestBody::Bytes(sent) = &self.body {
            metrics.request_size(self.method.as_str(), host, sent.len());
        }
        metrics.response_size(self.method.as_str(), host, received);
    }

    /// A server that refuses CBOR is sent JSON from now on; this request has failed all the same.
    fn learn(&self, status: StatusCode) {
        let cbor = || text(&self.headers, &CONTENT_TYPE).is_some_and(|t| t.ends_with("/cbor") || t.ends_with("+cbor"));
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE && cbor() {
            self.client.shared.cbor_refused.store(true, Ordering::Relaxed);
        }
    }

    /// Sends, and gives the body as received. Counterpart: `DoRaw`.
    ///
    /// # Errors
    /// As [`Request::send`]; a status outside of 200 to 206 is the error made from its code alone.
    pub async fn do_raw(&self) -> Result<Bytes, Error> {
        self.send().await?.raw()
    }

    /// Sends, and reads the answer as a type of a known kind.
    ///
    /// # Errors
    /// As [`Request::send`] and [`RestResponse::into`].
    pub async fn into<T: super::ObjectKind>(self) -> Result<T, Error> {
        self.send().await?.into()
    }

    /// Sends, and hands the body out as it comes; any 2xx is success. Counterpart: `Stream`.
    ///
    /// # Errors
    /// When no answer arrives, or it refuses.
    pub async fn stream(&self) -> Result<ByteStream, Error> {
        let answer = self.exchange(Entry::Stream).await?;
        let (parts, body) = answer.response.into_parts();
        warnings::parse(&parts.headers).iter().for_each(|w| self.warnings.handle(w));
        if parts.status.is_success() {
            let content_type = text(&parts.headers, &CONTENT_TYPE).unwrap_or_default().to_owned();
            return Ok(ByteStream { body, action: self.action(), content_type });
        }
        let body = self.read(body, answer.deadline).await?;
        let response = self.response(parts.status, &parts.headers, body);
        Err(response.error().unwrap_or_else(|| self.unexpected(parts.status)))
    }

    /// Sends, and decodes the body as watch events; only 200 is success. Counterpart: `Watch`.
    ///
    /// # Errors
    /// When no answer arrives, or it refuses, or its type is none that can be streamed. A lost connection that outlasts
    /// all retries is an empty watch and no error, as in client-go, unless `same_rules_for_watch` is set.
    pub async fn watch(&self) -> Result<WatchStream, Error> {
        let answer = match self.exchange(Entry::Watch).await {
            Ok(answer) => answer,
            Err(Failure { error, hidden: true }) => {
                tracing::debug!(target: "client::watch", %error, "connection lost too often, the watch is empty");
                return Ok(WatchStream::closed());
            }
            Err(failure) => return Err(failure.error),
        };
        let (parts, body) = answer.response.into_parts();
        let warned = warnings::parse(&parts.headers);
        let content_type = text(&parts.headers, &CONTENT_TYPE).unwrap_or_default();
        if parts.status == StatusCode::OK {
            warned.iter().for_each(|w| self.warnings.handle(w));
            let shared = &self.client.shared;
            let content_type = if content_type.is_empty() { shared.content_type() } else { content_type };
            let stream = WatchStream::new(body, content_type, shared.codecs.clone())?;
            return Ok(stream.silent_when_lost(shared.retry.same_rules_for_watch));
        }
        let body = self.read(body, answer.deadline).await?;
        let response = self.response(parts.status, &parts.headers, body);
        Err(response.error().unwrap_or_else(|| self.unexpected(parts.status)))
    }

    /// One attempt, neither throttled nor retried, up to the head of its answer.
    pub(crate) async fn send_once(&self) -> Result<Response<Body>, Error> {
        let request = self.http_request(&self.uri()?).map_err(|source| self.transport_error(source))?;
        let exchange = self.client.shared.transport.send(request);
        let deadline = self.within.and_then(|time| clock::now().checked_add(time));
        let answered = match deadline {
            Some(at) => {
                tokio::time::timeout_at(at, exchange).await.map_err(|_| Error::DeadlineExceeded(self.action()))?
            }
            None => exchange.await,
        };
        answered.map_err(|source| self.transport_error(source))
    }

    /// The error of an answer that is none of the expected.
    pub(crate) async fn refusal(&self, response: Response<Body>) -> Error {
        let (parts, body) = response.into_parts();
        match self.read(body, None).await {
            Ok(body) => {
                let response = self.response(parts.status, &parts.headers, body);
                response.error().unwrap_or_else(|| self.unexpected(parts.status))
            }
            Err(error) => error,
        }
    }

    fn unexpected(&self, status: StatusCode) -> Error {
        Error::Request(format!("{} answered with the unexpected status {}", self.action(), status.as_u16()))
    }

    /// Everything up to the head of the final answer.
    async fn exchange(&self, entry: Entry) -> Result<Answer, Failure> {
        let uri = self.uri()?;
        let mut deadline = self.within.and_then(|time| clock::now().checked_add(time));
        self.check(deadline)?;
        // A first watch never waits for the limiter; its retries do.
        if entry != Entry::Watch {
            self.throttle_for(deadline, None).await?;
        }
        if entry == Entry::Do {
            deadline = earlier(deadline, self.timeout.and_then(|time| clock::now().checked_add(time)));
        }
        let mut options = self.client.shared.retry.clone();
        options.max_retries = self.max_retries.unwrap_or(options.max_retries);
        let replayable = !matches!(self.body, RequestBody::Opaque(_));
        let retries = Retries::new(options, entry, self.method.clone(), replayable);
        self.attempts(&uri, retries, deadline, None).await
    }

    async fn attempts(
        &self,
        uri: &Uri,
        mut retries: Retries,
        deadline: Option<Instant>,
        mut again: Option<(Duration, RetryReason)>,
    ) -> Result<Answer, Failure> {
        let host = uri.authority().map_or("", |a| a.as_str());
        loop {
            if let Err(error) = self.before(host, deadline, again.take()).await {
                return Err(self.finish(error, None, &mut retries));
            }
            let result = self.attempt(uri, &retries, deadline).await;
            let status = result.as_ref().ok().map(Response::status);
            self.tell(host, status, retries.made());
            self.backoff.update(host, status);
            let decision = match &result {
                Ok(response) => {
                    let headers = response.headers();
                    let outcome = Outcome::Answered {
                        status: response.status(),
                        retry_after: text(headers, &RETRY_AFTER),
                        flow_schema: headers.get("x-kubernetes-pf-flowschema-uid").and_then(|v| v.to_str().ok()),
                    };
                    retries.decide(outcome, clock::wall(), self.chance())
                }
                Err(error) => retries.decide(Outcome::Failed(error), clock::wall(), self.chance()),
            };
            match (decision, result) {
                (Decision::Again { after, reason }, result) => {
                    tracing::debug!(target: "client::retry", action = %self.action(), %reason, "sending again");
                    if let Ok(response) = result {
                        drain(response).await;
                    }
                    again = Some((after, reason));
                }
                (Decision::Done, Ok(response)) => return Ok(Answer { response, retries, deadline }),
                (Decision::Done, Err(source)) => {
                    let hidden = retries.hides_exhaustion() && retries.is_retryable(&source);
                    let own = source.to_string();
                    let unknown = retries.is_outcome_unknown(Outcome::Failed(&source));
                    let error = self.transport_error(source);
                    let error = if unknown { Error::UnknownOutcome { cause: Box::new(error) } } else { error };
                    let failure = self.finish(error, Some(&own), &mut retries);
                    return Err(Failure { hidden, ..failure });
                }
            }
        }
    }

    /// Every attempt counts, all but the first as retries too.
    fn tell(&self, host: &str, status: Option<StatusCode>, retries: u32) {
        let Some(metrics) = &self.client.shared.metrics else { return };
        let code = status.map_or_else(|| "<error>".to_owned(), |s| s.as_u16().to_string());
        metrics.result(&code, self.method.as_str(), host);
        if retries > 0 {
            metrics.retry(&code, self.method.as_str(), host);
        }
    }

    /// Deadline, backoff and, for a retry, the limiter.
    async fn before(
        &self,
        host: &str,
        deadline: Option<Instant>,
        again: Option<(Duration, RetryReason)>,
    ) -> Result<(), Error> {
        self.check(deadline)?;
        let wait = self.backoff.delay(host).max(again.as_ref().map_or(Duration::ZERO, |(after, _)| *after));
        let sleep = self.backoff.sleep(wait);
        match deadline {
            // A wait that the deadline cuts short surfaces in the limiter, or else in the sending.
            Some(deadline) => drop(tokio::time::timeout_at(deadline, sleep).await),
            None => sleep.await,
        }
        match again {
            Some((_, reason)) => self.throttle_for(deadline, Some(&reason)).await,
            None => Ok(()),
        }
    }

    fn check(&self, deadline: Option<Instant>) -> Result<(), Error> {
        if deadline.is_some_and(|d| d <= clock::now()) {
            return Err(Error::DeadlineExceeded(self.action()));
        }
        Ok(())
    }

    async fn throttle_for(&self, deadline: Option<Instant>, reason: Option<&RetryReason>) -> Result<(), Error> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        let waited = limiter.wait(deadline).await.map_err(Error::Throttled)?;
        if let Some(metrics) = &self.client.shared.metrics {
            metrics.throttled(self.method.as_str(), &self.url_template(), waited);
        }
        if waited > NOTABLE_WAIT {
            let why =
                reason.map_or_else(|| "client-side throttling, not priority and fairness".into(), ToString::to_string);
            tracing::debug!(target: "client::throttle", action = %self.action(), ?waited, %why, "waited before sending");
            if waited > LONG_WAIT && may_tell() {
                tracing::info!(target: "client::throttle", action = %self.action(), ?waited, %why, "waited long before sending");
            }
        }
        Ok(())
    }

    /// One attempt, up to the head of its answer.
    async fn attempt(
        &self,
        uri: &Uri,
        retries: &Retries,
        deadline: Option<Instant>,
    ) -> Result<Response<Body>, TransportError> {
        let shared = &self.client.shared;
        let expired = |kind, text: &str| TransportError::new(kind, text);
        if deadline.is_some_and(|d| d <= clock::now()) {
            return Err(expired(TransportKind::Deadline, "deadline exceeded"));
        }
        // The HTTP client's own limit is for each attempt, its body included.
        let spared = shared.timeout_spares_streams && !retries.is_for_single_answer();
        let limit = shared.timeout.filter(|_| !spared).and_then(|t| clock::now().checked_add(t));
        let head = shared.response_head_timeout.and_then(|t| clock::now().checked_add(t));
        let exchange = shared.transport.send(self.http_request(uri)?);
        let at = earlier(deadline, limit);
        let response = match earlier(at, head) {
            None => Ok(exchange.await),
            Some(at) => tokio::time::timeout_at(at, exchange).await,
        };
        let kind_of =
            |at: Option<Instant>| if at == deadline { TransportKind::Deadline } else { TransportKind::Timeout };
        match response {
            Ok(Ok(response)) => Ok(response.map(|body| {
                let body = match at {
                    Some(at) => body.with_deadline(at, kind_of(Some(at))),
                    None => body,
                };
                match shared.body_idle_timeout {
                    Some(longest) => body.with_idle_limit(longest),
                    None => body,
                }
            })),
            Ok(Err(error)) => Err(error),
            Err(_) if deadline.is_some_and(|d| d <= clock::now()) => {
                Err(expired(TransportKind::Deadline, "deadline exceeded"))
            }
            Err(_) => Err(expired(TransportKind::Timeout, "timeout exceeded while awaiting headers")),
        }
    }

    /// The jitter's share of chance.
    fn chance(&self) -> f64 {
        self.client.shared.chance.lock().random()
    }

    fn http_request(&self, uri: &Uri) -> Result<http::Request<Body>, TransportError> {
        let mut request = http::Request::new(Body::empty());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.headers.clone();
        match &self.body {
            RequestBody::None => {}
            RequestBody::Bytes(bytes) => *request.body_mut() = Body::from(bytes.clone()),
            RequestBody::Opaque(body) => match body.lock().take() {
                Some(body) => *request.body_mut() = body,
                None => return Err(TransportError::new(TransportKind::Other, "the body stream was sent already")),
            },
        }
        Ok(request)
    }

    fn transport_error(&self, source: TransportError) -> Error {
        match source.kind() {
            TransportKind::Deadline => Error::DeadlineExceeded(self.action()),
            _ => Error::Transport { action: self.action(), source },
        }
    }

    /// Attaches what an earlier attempt said, if that was something else. `own` is the text under which the decision
    /// table knows this error already.
    fn finish(&self, error: Error, own: Option<&str>, retries: &mut Retries) -> Failure {
        let text = error.to_string();
        if own.is_none() {
            retries.remember(Some(text.clone()));
        }
        let error = match retries.previous(own.unwrap_or(&text)) {
            Some(previous) => Error::AfterRetries { previous: previous.to_owned(), current: Box::new(error) },
            None => error,
        };
        Failure { error, hidden: false }
    }

    async fn read(&self, mut body: Body, deadline: Option<Instant>) -> Result<Bytes, Error> {
        let most = self.client.shared.max_response_bytes;
        let read = async {
            let Some(most) = most else { return body.bytes().await };
            let mut all = BytesMut::new();
            while let Some(chunk) = body.chunk().await {
                all.extend_from_slice(&chunk?);
                if all.len() > most {
                    return Err(TransportError::new(
                        TransportKind::Other,
                        format!("the body is longer than {most} bytes"),
                    ));
                }
            }
            Ok(all.freeze())
        };
        let result = match deadline {
            Some(at) => tokio::time::timeout_at(at, read).await.map_err(|_| Error::DeadlineExceeded(self.action()))?,
            None => read.await,
        };
        result.map_err(|source| match source.kind() {
            TransportKind::Deadline => Error::DeadlineExceeded(self.action()),
            _ => Error::Body { action: self.action(), source },
        })
    }

    fn response(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> RestResponse {
        let shared = &self.client.shared;
        let received = text(headers, &CONTENT_TYPE);
        let refused = !(200..=206).contains(&status.as_u16());
        let generic = refused.then(|| {
            let group = shared.content.group_version.as_ref().map(|gv| gv.group.clone()).unwrap_or_default();
            let resource = GroupResource::new(group, &self.resource);
            let asked = Asked { method: &self.method, resource, name: &self.name };
            generic(&asked, status, received, &body, text(headers, &RETRY_AFTER))
        });
        RestResponse {
            status,
            content_type: received.filter(|c| !c.is_empty()).unwrap_or(shared.content_type()).to_owned(),
            body,
            warnings: warnings::parse(headers),
            codecs: shared.codecs.clone(),
            generic,
            unknown: false,
        }
    }
}

/// An error, and whether a watch hides it.
struct Failure {
    error: Error,
    hidden: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, hidden: false }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// Reads a short rest of an old response, so that its connection is free again.
async fn drain(response: Response<Body>) {
    let length = text(response.headers(), &CONTENT_LENGTH).and_then(|l| l.parse::<u64>().ok());
    if length.is_some_and(|l| l > MAX_DRAIN) {
        return;
    }
    let mut body = response.into_body();
    let mut seen = 0;
    while let Some(Ok(chunk)) = body.chunk().await {
        seen += chunk.len() as u64;
        if seen > MAX_DRAIN {
            return;
        }
    }
}

/// At most one notice of a long wait each second.
fn may_tell() -> bool {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let now = clock::now();
    let mut last = LAST.lock();
    if last.is_some_and(|at| now.saturating_duration_since(at) < LONG_WAIT) {
        return false;
    }
    *last = Some(now);
    true
}

/// The text a limiter's refusal carries; told apart from the server's refusals by its type.
impl From<ThrottleError> for Error {
    fn from(error: ThrottleError) -> Self {
        Self::Throttled(error)
    }
}
