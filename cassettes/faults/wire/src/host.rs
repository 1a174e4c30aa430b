//! [`Host`]: what the layer asks of the server that it sits in.

use crate::facts::Facts;
use crate::ruleset::Fired;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use rehearsal_faults::{Action, Case, StoreFacts};
use serde_json::Value;
use std::time::Duration;

/// The clock that windows, delays and dates go by.
pub trait Time: Send + Sync + 'static {
    /// Since the clock's start; never runs backwards.
    fn now(&self) -> Duration;

    /// Ends when so much time has passed on this clock. Cancel-safe.
    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()>;
}

/// What refusals quote of the store and the clock; owned form of [`StoreFacts`].
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "named and explained in StoreFacts")]
pub struct StoreView {
    pub current: u64,
    pub oldest: u64,
    pub fresh_continue: String,
    pub uid: String,
    pub wanted_uid: String,
    pub unix_seconds: u64,
}

impl StoreView {
    /// The borrowed form.
    #[must_use]
    pub fn facts(&self) -> StoreFacts<'_> {
        StoreFacts {
            current: self.current,
            oldest: self.oldest,
            fresh_continue: &self.fresh_continue,
            uid: &self.uid,
            wanted_uid: &self.wanted_uid,
            unix_seconds: self.unix_seconds,
        }
    }
}

/// The server around the layer. Only [`describe`](Self::describe) must be written; the rest is for servers that have a
/// store, a clock and a port of their own.
pub trait Host: Clone + Send + Sync + 'static {
    /// The body of requests.
    type Body: Send + 'static;

    /// Whether the request is none that clients send: the admin API. Such a request is never asked about.
    fn is_exempt(&self, request: &Request<Self::Body>) -> bool {
        let _ = request;
        false
    }

    /// What is known of a request. May read its body to name the object of a create; the request must be as good as
    /// before.
    fn describe(&self, request: Request<Self::Body>) -> BoxFuture<'static, (Facts, Request<Self::Body>)>;

    /// The object that the request is about, for rules with conditions on it. Only asked when there are such rules.
    fn find_object(&self, facts: &Facts) -> Option<Value> {
        let _ = facts;
        None
    }

    /// What refusals quote.
    fn store(&self, facts: &Facts) -> StoreView {
        let _ = facts;
        StoreView::default()
    }

    /// Whether the server itself runs the [`WriteFaults`](crate::WriteFaults) of a request at its commit. Otherwise the
    /// layer runs them before it passes the request on.
    fn commits(&self) -> bool {
        false
    }

    /// Does what only the server can: the store, its views, the clock, the port. `true` when it was done.
    fn act<'a>(
        &'a self,
        action: &'a Action,
        fired: &'a Fired,
        facts: &'a Facts,
        request: Option<&'a mut http::Extensions>,
    ) -> BoxFuture<'a, bool> {
        let _ = (action, fired, facts, request);
        Box::pin(async { false })
    }

    /// Puts the headers on a refusal that the server's own handlers would have put there.
    fn dress(&self, case: &Case, response: &mut Response<Bytes>) {
        let _ = (case, response);
    }

    /// The object in a protobuf watch frame, without its length.
    fn decode_frame(&self, frame: &[u8]) -> Option<(String, Value)> {
        let _ = frame;
        None
    }

    /// A protobuf watch frame with its length.
    fn encode_frame(&self, event: &str, object: &Value) -> Option<Vec<u8>> {
        let _ = (event, object);
        None
    }
}
