//! `/_rehearsal/ui`: the page of a running server, and the time line that it asks for.
//!
//! The server records itself into a ring in memory, without secrets, as it would onto a tape; the newest documents are
//! kept. The page itself holds nothing and needs no token; `/_rehearsal/v1/timeline` wants the admin API's.

use crate::recording::{ClusterClock, Recorded, ServerLayer};
use axum::body::Body;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use rehearsal_cassettes::format::fold;
use rehearsal_cassettes::format::model::{Document, Header, Sealed};
use rehearsal_cassettes::record::{Clean, Names, RecordError, Recorder, RecorderOptions, Redaction, Sink, TapeClock};
use rehearsal_cassettes::redact::{Key, Policy, Redactor};
use rehearsal_cassettes::review::{Timeline, live_page};
use rehearsal_fakeserver::{FakeServerBuilder, Handler};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service, ServiceExt as _};

/// Documents kept; a call without a stream is three of them.
const KEPT: usize = 20_000;

/// Where the page is.
const PAGE: &str = "/_rehearsal/ui";
/// Where its data is.
const TIMELINE: &str = "/_rehearsal/v1/timeline";
/// Asked with the caller's credentials, to find out whether they are the admin API's.
const ANY_ADMIN: &str = "/_rehearsal/v1/clock";

/// The page asks its own server and nobody else, and loads nothing.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'";

/// Gives a server a page at `/_rehearsal/ui`. Every request is then recorded, which costs about what `--record` does.
///
/// # Errors
/// When the machine gives no randomness for the key of pseudonyms, or no thread for the recorder.
pub fn with_page(builder: FakeServerBuilder) -> anyhow::Result<FakeServerBuilder> {
    let clock: Arc<dyn TapeClock> = Arc::new(ClusterClock::new(builder.current_clock().clone()));
    let header = Header { name: "a running server".into(), clock: clock.facts(), ..Header::default() };
    let ring = Ring::default();
    let clean = Redaction::new(Redactor::new(Policy::default(), &Key::random()?));
    let sink = RingSink { ring: ring.clone(), clean };
    let recorder = Recorder::start(RecorderOptions::new(header.clone(), clock, "ui"), Box::new(sink))?;
    let record = ServerLayer { recorder, names: Names::by_user_agent() };
    Ok(builder.layer(PageLayer { record, ring, header: Arc::new(header) }))
}

/// The newest documents; clones share them.
#[derive(Clone, Default)]
struct Ring(Arc<Mutex<VecDeque<Document>>>);

struct RingSink {
    ring: Ring,
    clean: Redaction,
}

impl Sink for RingSink {
    fn write(&mut self, mut document: Document) -> Result<(), RecordError> {
        self.clean.document(&mut document);
        let mut ring = self.ring.0.lock();
        if ring.len() >= KEPT {
            ring.pop_front();
        }
        ring.push_back(document);
        Ok(())
    }

    fn seal(self: Box<Self>, _: Sealed) -> Result<(), RecordError> {
        Ok(())
    }
}

struct PageLayer {
    record: ServerLayer,
    ring: Ring,
    header: Arc<Header>,
}

impl Layer<Handler> for PageLayer {
    type Service = Paged;

    fn layer(&self, inner: Handler) -> Paged {
        let recorded = self.record.layer(inner.clone());
        Paged { plain: inner, recorded, ring: self.ring.clone(), header: self.header.clone() }
    }
}

#[derive(Clone)]
struct Paged {
    plain: Handler,
    recorded: Recorded,
    ring: Ring,
    header: Arc<Header>,
}

impl Paged {
    async fn timeline(self, request: Request<Body>) -> Response<Body> {
        let mut question = Request::new(Body::empty());
        *question.uri_mut() = http::Uri::from_static(ANY_ADMIN);
        if let Some(token) = request.headers().get(AUTHORIZATION) {
            question.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        let Ok(answer) = self.plain.oneshot(question).await;
        if answer.status() != StatusCode::OK {
            return answer;
        }
        let documents: Vec<Document> = self.ring.0.lock().iter().cloned().collect();
        let mut tape = fold(documents);
        tape.unshare();
        tape.header = Header::clone(&self.header);
        content(Timeline::of(&tape).to_json(), "application/json")
    }
}

impl Service<Request<Body>> for Paged {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.plain.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            Ok(match (request.method(), request.uri().path()) {
                (&Method::GET, PAGE) => page(),
                (&Method::GET, TIMELINE) => this.timeline(request).await,
                _ => return this.recorded.oneshot(request).await,
            })
        })
    }
}

fn page() -> Response<Body> {
    let mut response = content(live_page().to_owned(), "text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn content(text: String, media: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
