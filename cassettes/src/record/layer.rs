//! [`RecordLayer`]: records what passes through any tower service, without sockets.
//!
//! Both bodies change their type on the way, for both are listened to: [`Chained`] goes in, [`Tee`] comes out. A client
//! or server that has a body type of its own maps them back (`Body::wrap`, `Body::new`).

use super::event::RequestHead;
use super::recorder::Recorder;
use super::session::{Exchange, Trail};
use super::sink::RecordError;
use super::tee::{Outcome, Tee, Trouble};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::collections::VecDeque;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// A request body beyond this is forwarded as it comes and not kept; a Kubernetes server takes 3 MiB.
pub const MAX_REQUEST: usize = 16 << 20;

/// The header that joins a tape and an audit log.
pub(crate) const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

type Name = dyn Fn(&http::request::Parts) -> Arc<str> + Send + Sync;

/// Tells the lane of a request.
#[derive(Clone)]
pub struct Names(Arc<Name>);

impl Names {
    /// One name for all.
    #[must_use]
    pub fn fixed(name: &str) -> Self {
        let name: Arc<str> = name.into();
        Self(Arc::new(move |_| name.clone()))
    }

    /// The program that the User-Agent names, up to its version: `kubectl/v1.36.0 (linux/amd64)` is `kubectl`.
    #[must_use]
    pub fn by_user_agent() -> Self {
        Self(Arc::new(|parts| {
            let agent = parts.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
            let program = agent.split(['/', ' ']).next().unwrap_or_default();
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let program: String = program.chars().filter(|c| good(*c)).take(63).collect();
            if program.is_empty() { "unknown".into() } else { program.into() }
        }))
    }

    /// The lane of a request.
    #[must_use]
    pub fn of(&self, parts: &http::request::Parts) -> Arc<str> {
        (self.0)(parts)
    }

    /// Any function.
    pub fn new(name: impl Fn(&http::request::Parts) -> Arc<str> + Send + Sync + 'static) -> Self {
        Self(Arc::new(name))
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

/// Puts a recorder around a service.
#[derive(Clone, Debug)]
pub struct RecordLayer {
    recorder: Recorder,
    names: Names,
    outcome: Outcome,
}

impl RecordLayer {
    /// Records into this recorder; errors are told apart by what hyper and the operating system say.
    #[must_use]
    pub fn new(recorder: Recorder, names: Names) -> Self {
        Self { recorder, names, outcome: Outcome::default() }
    }

    /// Tells errors apart in another way.
    #[must_use]
    pub fn outcome(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }
}

impl<S> Layer<S> for RecordLayer {
    type Service = RecordService<S>;

    fn layer(&self, inner: S) -> RecordService<S> {
        RecordService { inner, layer: self.clone() }
    }
}

/// A service whose exchanges are recorded.
#[derive(Clone, Debug)]
pub struct RecordService<S> {
    inner: S,
    layer: RecordLayer,
}

impl<S, B, R> Service<Request<B>> for RecordService<S>
where
    S: Service<Request<Chained<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Error + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Error + Send + Sync + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Tee<R>>;
    type Error = Trouble<S::Error>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Trouble::Body)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let layer = self.layer.clone();
        // The one that is ready is used, its clone is left behind.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let (whole, body) = read_whole(body, MAX_REQUEST).await;
            let id = layer.recorder.next_id();
            let head = RequestHead::of(&parts);
            let audit_id = audit(&layer.recorder, id, &mut parts);
            let lane = (layer.names.0)(&parts);
            let exchange =
                Exchange { id, lane, conn: 0, head, body: whole, audit_id: Some(audit_id), trail: Trail::default() };
            let mut session = layer.recorder.begin(exchange).await?;
            match inner.call(Request::from_parts(parts, body)).await {
                Ok(response) => {
                    let (parts, body) = response.into_parts();
                    session.settled().await?;
                    session.head(parts.status.as_u16(), &parts.headers);
                    Ok(Response::from_parts(parts, Tee::new(body, session, layer.outcome)))
                }
                Err(error) => {
                    session.end(layer.outcome.of(&error));
                    Err(Trouble::Body(error))
                }
            }
        })
    }
}

/// The Audit-ID of a request: the client's own, or one that is put in here.
#[must_use]
pub fn audit(recorder: &Recorder, id: u64, parts: &mut http::request::Parts) -> String {
    let given = parts.headers.get(AUDIT_ID).and_then(|v| v.to_str().ok()).map(str::to_owned);
    given.unwrap_or_else(|| {
        let made = recorder.audit_id(id);
        if let Ok(value) = HeaderValue::from_str(&made) {
            parts.headers.insert(AUDIT_ID, value);
        }
        made
    })
}

/// Reads a body up to `limit` bytes: the whole, if that was all of it and nothing broke, and a body that gives the same
/// again.
pub async fn read_whole<B>(mut body: B, limit: usize) -> (Option<Bytes>, Chained<B>)
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return (Some(Bytes::new()), Chained::empty());
    }
    let mut pieces: VecDeque<Bytes> = VecDeque::new();
    let mut length = 0;
    while length <= limit {
        match body.frame().await {
            None => {
                let whole = joined(pieces);
                return (Some(whole.clone()), Chained::whole(whole));
            }
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    length += data.len();
                    pieces.push_back(data);
                }
            }
            Some(Err(error)) => return (None, Chained { pieces, failed: Some(error), rest: None }),
        }
    }
    (None, Chained { pieces, failed: None, rest: Some(body) })
}

fn joined(mut pieces: VecDeque<Bytes>) -> Bytes {
    match pieces.len() {
        0 | 1 => pieces.pop_front().unwrap_or_default(),
        _ => pieces
            .iter()
            .fold(BytesMut::new(), |mut all, piece| {
                all.extend_from_slice(piece);
                all
            })
            .freeze(),
    }
}

/// A request body that has been read, as far as it was, and gives the same again.
#[derive(Debug)]
pub struct Chained<B: Body> {
    pieces: VecDeque<Bytes>,
    failed: Option<B::Error>,
    rest: Option<B>,
}

impl<B: Body> Chained<B> {
    fn empty() -> Self {
        Self { pieces: VecDeque::new(), failed: None, rest: None }
    }

    fn whole(bytes: Bytes) -> Self {
        Self { pieces: VecDeque::from_iter((!bytes.is_empty()).then_some(bytes)), ..Self::empty() }
    }
}

impl<B> Body for Chained<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.failed.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.pieces.iter().map(|piece| piece.len() as u64).sum();
        match (&self.rest, &self.failed) {
            (None, None) => SizeHint::with_exact(held),
            _ => {
                let mut hint = SizeHint::new();
                hint.set_lower(held);
                hint
            }
        }
    }
}

impl From<RecordError> for std::io::Error {
    fn from(error: RecordError) -> Self {
        Self::other(error)
    }
}
