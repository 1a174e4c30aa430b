//! The fake server records itself: the recorder as a layer around it.

use super::tape::{Recording, RecordingOptions, start_at};
use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use jiff::Timestamp;
use rehearsal_cassettes::format::model;
use rehearsal_cassettes::record::{Chained, Names, RecordLayer, RecordService, TapeClock};
use rehearsal_fakeserver::clock::Clock;
use rehearsal_fakeserver::{FakeServerBuilder, Handler};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tower::util::MapRequest;
use tower::{Layer, Service, ServiceExt as _};

/// Requests below this are about the server and not to it.
const ADMIN: &str = "/_rehearsal/";

/// A recording of a server of ours.
pub type ServerRecorder = Recording;

/// Records everything a server answers, its admin API apart, on its own clock. Lanes are the programs that User-Agents
/// name. An existing tape is replaced when the recording is sealed.
///
/// # Errors
/// A tape that cannot be made.
pub fn record_server(builder: FakeServerBuilder, path: &Path) -> anyhow::Result<(FakeServerBuilder, ServerRecorder)> {
    let options = RecordingOptions {
        path: path.to_owned(),
        mode: rehearsal_cassettes::Mode::All,
        placement: "server".into(),
        seed: builder.current_seed(),
        ..RecordingOptions::default()
    };
    let clock = Arc::new(ClusterClock::new(builder.current_clock().clone()));
    let recording = start_at(options, clock)?;
    let layer = RecordLayer::new(recording.recorder().clone(), Names::by_user_agent());
    Ok((builder.layer(ServerLayer(layer)), recording))
}

/// The clock of a cluster, as a tape's.
pub(crate) struct ClusterClock {
    clock: Clock,
    start: Timestamp,
    /// Wall clocks are set back now and then; a tape's never is.
    last: AtomicU64,
}

impl ClusterClock {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { start: clock.now(), clock, last: AtomicU64::new(0) }
    }
}

impl TapeClock for ClusterClock {
    fn micros(&self) -> model::Micros {
        let now = u64::try_from(self.clock.now().duration_since(self.start).as_micros()).unwrap_or(0);
        self.last.fetch_max(now, Ordering::Relaxed).max(now)
    }

    fn facts(&self) -> model::Clock {
        let source = if self.clock.is_manual() { "manual" } else { "monotonic" };
        model::Clock { start: self.start.to_string(), source: source.into(), resolution: 1, ..model::Clock::default() }
    }
}

/// Puts the recorder around a server, with bodies mapped back to the server's.
pub(crate) struct ServerLayer(pub(crate) RecordLayer);

impl Layer<Handler> for ServerLayer {
    type Service = Recorded;

    fn layer(&self, inner: Handler) -> Recorded {
        let mapped: Mapped = inner.clone().map_request(body_of);
        Recorded { plain: inner, recorded: self.0.layer(mapped) }
    }
}

type Mapped = MapRequest<Handler, fn(Request<Chained<Body>>) -> Request<Body>>;

fn body_of(request: Request<Chained<Body>>) -> Request<Body> {
    request.map(Body::new)
}

/// A server that is recorded, its admin API apart.
#[derive(Clone)]
pub(crate) struct Recorded {
    plain: Handler,
    recorded: RecordService<Mapped>,
}

impl Service<Request<Body>> for Recorded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.plain.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path().starts_with(ADMIN) {
            return Box::pin(self.plain.clone().oneshot(request));
        }
        let recorded = self.recorded.clone();
        Box::pin(async move {
            Ok(match recorded.oneshot(request).await {
                Ok(response) => response.map(Body::new),
                // The server itself never fails; the tape did.
                Err(error) => refused(&error),
            })
        })
    }
}

fn refused(error: &dyn std::fmt::Display) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("rehearsal: {error}\n")));
    *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    response
}
