//! [`ServerHost`]: what the fault layer asks of this server.

use super::{View, facts};
use crate::clock::Clock;
use crate::endpoints::router::Peer;
use crate::handle::Core;
use axum::body::Body;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::HeaderValue;
use http::{Extensions, Request, Response};
use jiff::{SignedDuration, Timestamp};
use rehearsal_apimachinery::Catalog;
use rehearsal_apimachinery::codec::frames;
use rehearsal_fault_wire::{Facts, Fired, Host, StoreView, Time};
use rehearsal_faults::{Action, Case};
use serde_json::Value;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The cluster's clock, counted from the start of the server.
pub(crate) struct ClusterTime {
    clock: Clock,
    start: Timestamp,
}

impl ClusterTime {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { start: clock.now(), clock }
    }
}

impl Time for ClusterTime {
    fn now(&self) -> Duration {
        Duration::try_from(self.clock.now().duration_since(self.start)).unwrap_or_default()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let clock = self.clock.clone();
        let until = SignedDuration::try_from(wait).ok().and_then(|wait| clock.now().checked_add(wait).ok());
        let until = until.unwrap_or(Timestamp::MAX);
        async move { clock.reached(until).await }.boxed()
    }
}

/// The server, as its fault layer sees it. Holds it weakly: a watch that is followed must not keep its server alive.
#[derive(Clone)]
pub(crate) struct ServerHost(pub(crate) Weak<Core>);

impl Host for ServerHost {
    type Body = Body;

    fn is_exempt(&self, request: &Request<Body>) -> bool {
        request.uri().path().starts_with("/_rehearsal/")
    }

    fn describe(&self, request: Request<Body>) -> BoxFuture<'static, (Facts, Request<Body>)> {
        let core = self.0.upgrade();
        async move {
            let (parts, body) = request.into_parts();
            let user = core.as_ref().map(|core| user_of(core, &parts)).unwrap_or_default();
            let facts = facts::describe(&parts, &user);
            let (facts, mut request) = facts::with_body(facts, Request::from_parts(parts, body)).await;
            if let Some(view) = core.and_then(|core| view_of(&core, &facts)) {
                request.extensions_mut().insert(view);
            }
            (facts, request)
        }
        .boxed()
    }

    fn find_object(&self, facts: &Facts) -> Option<Value> {
        let core = self.0.upgrade()?;
        core.registry.peek_target(&target(&core, facts)?)
    }

    fn store(&self, facts: &Facts) -> StoreView {
        let Some(core) = self.0.upgrade() else { return StoreView::default() };
        let snapshot = core.registry.storage().snapshot();
        let token = crate::store::ContinueToken::decode(&facts.continue_token);
        let fresh_continue = token.map(|token| token.inconsistent().encode()).unwrap_or_default();
        let object = self.find_object(facts);
        let uid = |object: &Value| object.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
        StoreView {
            current: snapshot.revision(),
            oldest: snapshot
                .revision()
                .max(facts.resource_version.parse().map_or(0, |asked: u64| asked.saturating_add(1))),
            fresh_continue,
            uid: object.as_ref().and_then(uid).unwrap_or_default(),
            wanted_uid: facts.object.as_deref().and_then(uid).unwrap_or_default(),
            unix_seconds: u64::try_from(core.registry.clock().now().as_second()).unwrap_or_default(),
        }
    }

    fn commits(&self) -> bool {
        true
    }

    fn act<'a>(
        &'a self,
        action: &'a Action,
        fired: &'a Fired,
        facts: &'a Facts,
        request: Option<&'a mut Extensions>,
    ) -> BoxFuture<'a, bool> {
        async move {
            let Some(core) = self.0.upgrade() else { return false };
            super::act::act(&core, action, fired, facts, request).await
        }
        .boxed()
    }

    fn dress(&self, case: &Case, response: &mut Response<Bytes>) {
        // What the filters before priority and fairness say, and what no API server says, does not have them.
        let named = matches!(case, Case::ApfReject { flow_schema, .. } if !flow_schema.is_empty());
        let outside = named
            || matches!(
                case,
                Case::TooManyInflight
                    | Case::ShutdownRetry
                    | Case::ShuttingDown
                    | Case::PathsNotInstalled
                    | Case::RequestTimeout
                    | Case::Unauthorized
                    | Case::HeadersTooLarge
                    | Case::Gateway { .. }
                    | Case::Custom { .. }
            );
        let Some(core) = self.0.upgrade().filter(|_| !outside) else { return };
        for (name, uid) in [
            ("x-kubernetes-pf-flowschema-uid", &core.flow_schema_uid),
            ("x-kubernetes-pf-prioritylevel-uid", &core.priority_level_uid),
        ] {
            if let Ok(value) = HeaderValue::from_str(uid) {
                response.headers_mut().insert(name, value);
            }
        }
    }

    fn decode_frame(&self, frame: &[u8]) -> Option<(String, Value)> {
        frames::decode_protobuf_event(frame, Catalog::builtin()).ok()
    }

    fn encode_frame(&self, event: &str, object: &Value) -> Option<Vec<u8>> {
        frames::protobuf_event(event, object, Catalog::builtin()).ok()
    }
}

/// How the lane of a request sees the store. Every watch gets a view that can be held back later.
fn view_of(core: &Core, facts: &Facts) -> Option<View> {
    if !core.views.are_used() && !facts.is_watch() {
        return None;
    }
    let lanes: Vec<String> = core.faults.sets().iter().map(|set| set.lane_of(facts)).collect();
    let found = lanes.iter().find_map(|lane| core.views.of(lane));
    let ceiling = match found {
        Some(ceiling) => ceiling,
        None if facts.is_watch() => core.views.of_lane(lanes.first()?),
        None => return None,
    };
    Some(View { ceiling, catches_up: false })
}

fn user_of(core: &Arc<Core>, parts: &http::request::Parts) -> String {
    use rehearsal_apimachinery::request_info::{RequestInfo, parse_query};
    let query = parse_query(parts.uri.query().unwrap_or_default());
    let info = RequestInfo::parse(parts.method.as_str(), parts.uri.path(), &query).unwrap_or_default();
    let peer = parts.extensions.get::<Peer>().and_then(|peer| peer.certificate.clone());
    core.identify(&parts.headers, peer.as_deref(), &info, &query).map(|user| user.name).unwrap_or_default()
}

/// The object that the facts name.
pub(super) fn target(core: &Core, facts: &Facts) -> Option<crate::registry::Target> {
    let info = core.registry.table().lookup(&facts.group, &facts.version, &facts.resource)?;
    let namespace = if info.namespaced { facts.namespace.clone() } else { String::new() };
    Some(crate::registry::Target { info, namespace, name: facts.name.clone(), subresource: String::new() })
}
