//! The fake server records itself: the recorder as a layer around it.

use super::tape::{Recording, RecordingOptions, start_at};
use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use jiff::Timestamp;
use parking_lot::Mutex;
use rehearsal_cassettes::firings::{end_of, is_late, note, witness};
use rehearsal_cassettes::format::model;
use rehearsal_cassettes::record::{
    Exchange, MAX_REQUEST, Names, Outcome, RecordError, Recorder, RequestHead, Session, Streaming, TapeClock, Tee,
    Trail, audit, read_whole,
};
use rehearsal_fakeserver::clock::Clock;
use rehearsal_fakeserver::{Beneath, FakeServerBuilder, Handler};
use rehearsal_fault_wire::{Record, Severed};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
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
        plans: builder.current_faults().to_vec(),
        ..RecordingOptions::default()
    };
    let clock = Arc::new(ClusterClock::new(builder.current_clock().clone()));
    let recording = start_at(options, clock)?;
    let recorder = recording.recorder().clone();
    Ok((builder.layer(ServerLayer { recorder, names: Names::by_user_agent() }), recording))
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

/// Puts the recorder around a server.
pub(crate) struct ServerLayer {
    pub(crate) recorder: Recorder,
    pub(crate) names: Names,
}

impl Layer<Handler> for ServerLayer {
    type Service = Recorded;

    fn layer(&self, inner: Handler) -> Recorded {
        Recorded { plain: inner, recorder: self.recorder.clone(), names: self.names.clone() }
    }
}

/// A server that is recorded, its admin API apart.
#[derive(Clone)]
pub(crate) struct Recorded {
    plain: Handler,
    recorder: Recorder,
    names: Names,
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
        let recorded = self.clone();
        // The server itself never fails; the tape did.
        Box::pin(async move { Ok(recorded.answer(request).await.unwrap_or_else(|error| refused(&error))) })
    }
}

/// The session of a request, for whoever gets its answer first: the layer around the server or, while fault rules are
/// armed, the hook beneath them.
type Slot = Arc<Mutex<Option<Session>>>;

impl Recorded {
    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, RecordError> {
        let (mut parts, body) = request.into_parts();
        let (whole, body) = read_whole(body, MAX_REQUEST).await;
        let (id, head, lane) = (self.recorder.next_id(), RequestHead::of(&parts), self.names.of(&parts));
        let audit_id = Some(audit(&self.recorder, id, &mut parts));
        let streaming = Streaming::of(&head) != Streaming::No;
        let exchange = Exchange { id, lane, conn: 0, head, body: whole, audit_id, trail: Trail::default() };
        let slot: Slot = Arc::new(Mutex::new(Some(self.recorder.begin(exchange).await?)));
        let record = Record::new();
        parts.extensions.insert(record.clone());
        parts.extensions.insert(beneath(slot.clone(), record.clone(), streaming));
        let Ok(response) = self.plain.oneshot(Request::from_parts(parts, Body::new(body))).await;
        let firings = record.firings();
        if is_late(&firings) {
            return Ok(response);
        }
        let Some(mut session) = slot.lock().take() else { return Ok(response) };
        if firings.is_empty() {
            if let Some(record) = response.extensions().get::<Record>() {
                session.witness(witness(record.clone()));
            }
            return told(response, session).await;
        }
        firings.iter().for_each(|firing| session.fault(note(firing, false)));
        match response.extensions().get::<Severed>() {
            Some(severed) => {
                session.end(end_of(severed));
                Ok(response)
            }
            None => told(response, session).await,
        }
    }
}

/// Takes the server's answer down before rules that have fired make anything of it.
fn beneath(slot: Slot, record: Record, streaming: bool) -> Beneath {
    Beneath::new(move |response| {
        let (slot, record) = (slot.clone(), record.clone());
        Box::pin(async move {
            let session = if record.is_empty() && !streaming { None } else { slot.lock().take() };
            let Some(mut session) = session else { return response };
            session.witness(witness(record));
            let answer = match told(response, session).await {
                Ok(answer) => answer,
                Err(error) => return refused(&error),
            };
            if streaming {
                return answer;
            }
            // Whatever the rules leave of it: the tape has the whole.
            let (parts, body) = answer.into_parts();
            match axum::body::to_bytes(body, usize::MAX).await {
                Ok(bytes) => Response::from_parts(parts, Body::from(bytes)),
                Err(error) => refused(&error),
            }
        })
    })
}

/// An answer on its way to the client, and to the tape.
async fn told(response: Response<Body>, mut session: Session) -> Result<Response<Body>, RecordError> {
    let (parts, body) = response.into_parts();
    session.settled().await?;
    session.head(parts.status.as_u16(), &parts.headers);
    Ok(Response::from_parts(parts, Body::new(Tee::new(body, session, Outcome::default()))))
}

fn refused(error: &dyn std::fmt::Display) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("rehearsal: {error}\n")));
    *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    response
}
