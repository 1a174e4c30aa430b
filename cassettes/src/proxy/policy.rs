//! What a mode makes of requests, and the seams to those who replay and compare.

use super::upstream::ProxyBody;
use crate::format::model::{Call, Document, End, Marks, Sealed};
use crate::mode::{Action, Mode};
use crate::record::{RecordError, RequestHead, Sink};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Response};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Answers from a tape.
pub trait Replay: Send + Sync + 'static {
    /// The tape's answer to a request; none when it has none.
    fn answer<'a>(
        &'a self,
        lane: &'a str,
        request: &'a RequestHead,
        body: &'a Bytes,
    ) -> BoxFuture<'a, Option<Response<ProxyBody>>>;

    /// The tape's answer to a request that wants another protocol; none when it has none.
    fn upgrade<'a>(&'a self, lane: &'a str, request: &'a RequestHead) -> BoxFuture<'a, Option<Switch>> {
        let _ = (lane, request);
        Box::pin(std::future::ready(None))
    }

    /// Why a request that got no answer got none, with the nearest miss; for the client's and the user's eyes.
    fn explain(&self, lane: &str, request: &RequestHead, body: &Bytes) -> String {
        let _ = body;
        format!("the tape has no answer for {} {} of lane {lane}", request.method, request.uri)
    }
}

/// What is done with the client's end of a connection that has changed protocol.
pub type Talking = Box<dyn FnOnce(TokioIo<Upgraded>) -> BoxFuture<'static, ()> + Send>;

/// An answer to a request that wants another protocol.
pub struct Switch {
    /// 101, or a refusal.
    pub response: Response<ProxyBody>,
    /// What follows a 101.
    pub talk: Option<Talking>,
}

/// Holds live exchanges against a tape.
pub trait Comparer: Send + 'static {
    /// What differs after normalisation, a sentence each; one sentence for a request that the tape does not know.
    fn compare(&mut self, call: &Call) -> Vec<String>;
}

/// What is done with requests.
#[derive(Clone)]
pub struct Policy {
    /// The mode in force.
    pub mode: Mode,
    /// Whether the tape is made by this run.
    pub fresh: bool,
    /// Who answers from the tape, where the mode wants that.
    pub replay: Option<Arc<dyn Replay>>,
}

impl Policy {
    /// Forwards and records everything.
    #[must_use]
    pub fn record() -> Self {
        Self { mode: Mode::All, fresh: true, replay: None }
    }

    /// Whether answers may come from the tape.
    pub(crate) fn replays(&self) -> bool {
        [true, false].iter().any(|known| self.mode.action(self.fresh, *known) == Action::Replay)
    }

    /// What to do with a request that the tape knows, or does not. Comparing is done by whoever takes the recording, so
    /// it is recording here.
    pub(crate) fn action(&self, known: bool, request: &RequestHead) -> Action {
        match self.mode.action(self.fresh, known) {
            _ if self.mode == Mode::Compare => Action::Record,
            // Recorded and live resourceVersions must not mix.
            Action::Record if self.mode == Mode::NewEpisodes && !self.fresh && !has_no_revision(request) => {
                Action::Refuse
            }
            action => action,
        }
    }
}

/// Whether the answer to a request has nothing to do with resourceVersions: discovery, schemas, version, health and
/// reviews.
#[must_use]
pub fn has_no_revision(request: &RequestHead) -> bool {
    let path = request.uri.path().trim_end_matches('/');
    let parts: Vec<_> = path.split('/').skip(1).collect();
    let review = parts.last().is_some_and(|last| last.ends_with("reviews"));
    match (&request.method, &parts[..]) {
        (&Method::POST, ["apis", "authentication.k8s.io" | "authorization.k8s.io", ..]) => review,
        (&Method::GET | &Method::HEAD, ["api" | "apis"] | ["api", _] | ["apis", _] | ["apis", _, _]) => true,
        (&Method::GET | &Method::HEAD, ["openapi", ..] | ["version" | "healthz" | "livez" | "readyz", ..]) => true,
        _ => false,
    }
}

/// Puts calls together from what is recorded and hands each to a [`Comparer`] when it ends. Writes no tape.
pub struct CompareSink<C> {
    comparer: C,
    open: HashMap<u64, Call>,
    differences: Arc<Mutex<Vec<String>>>,
}

impl<C: Comparer> CompareSink<C> {
    /// The sink, and where its differences will be.
    pub fn new(comparer: C) -> (Self, Arc<Mutex<Vec<String>>>) {
        let differences = Arc::<Mutex<Vec<String>>>::default();
        (Self { comparer, open: HashMap::new(), differences: differences.clone() }, differences)
    }
}

impl<C: Comparer> Sink for CompareSink<C> {
    fn write(&mut self, document: Document) -> Result<(), RecordError> {
        match document {
            Document::Req(req) => {
                let call = Call {
                    id: req.of,
                    lane: req.lane,
                    conn: req.conn,
                    seq: Marks { req: req.seq, ..Marks::default() },
                    t: Marks { req: req.t, ..Marks::default() },
                    request: req.request,
                    audit_id: req.audit_id,
                    ..Call::default()
                };
                self.open.insert(req.of, call);
            }
            Document::Head(head) => {
                if let Some(call) = self.open.get_mut(&head.of) {
                    (call.seq.head, call.t.head) = (Some(head.seq), Some(head.t));
                    call.response = Some(head.response);
                }
            }
            Document::Frame(frame) => {
                if let Some(call) = self.open.get_mut(&frame.of) {
                    call.frames.push(frame.frame);
                }
            }
            Document::End(end) => {
                if let Some(mut call) = self.open.remove(&end.of) {
                    (call.seq.end, call.t.end, call.end) = (end.seq, end.t, end.end);
                    // What the client or the recorder broke off says nothing about the server.
                    if call.response.is_some() || !matches!(call.end, End::ClientCancel | End::RecorderStop) {
                        self.differences.lock().extend(self.comparer.compare(&call));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn seal(self: Box<Self>, _: Sealed) -> Result<(), RecordError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn head(method: Method, uri: &str) -> RequestHead {
        RequestHead { method, uri: uri.parse().unwrap(), headers: HeaderMap::new() }
    }

    #[test]
    fn only_routes_without_revisions_may_be_added_to_a_tape() {
        let policy = Policy { mode: Mode::NewEpisodes, fresh: false, replay: None };
        let action = |method, uri| policy.action(false, &head(method, uri));
        assert_eq!(action(Method::GET, "/apis/apps/v1"), Action::Record);
        assert_eq!(action(Method::GET, "/openapi/v3/apis/apps/v1?hash=1"), Action::Record);
        assert_eq!(action(Method::GET, "/version"), Action::Record);
        assert_eq!(action(Method::POST, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"), Action::Record);
        assert_eq!(action(Method::GET, "/api/v1/pods"), Action::Refuse);
        assert_eq!(action(Method::POST, "/api/v1/namespaces/d/pods"), Action::Refuse);
        assert_eq!(policy.action(true, &head(Method::GET, "/api/v1/pods")), Action::Replay);
    }

    #[test]
    fn a_comparison_hears_of_every_request() {
        let policy = Policy { mode: Mode::Compare, fresh: false, replay: None };
        assert_eq!(policy.action(false, &head(Method::GET, "/api/v1/pods")), Action::Record);
        assert!(!policy.replays());
    }
}
