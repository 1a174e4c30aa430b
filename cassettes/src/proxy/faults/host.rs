//! [`ProxyHost`]: what the fault layer asks of the proxy.

use super::facts::{LaneFacts, protocol, with_body};
use crate::record::Chained;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::Request;
use hyper::body::Incoming;
use rehearsal_apimachinery::Catalog;
use rehearsal_apimachinery::codec::frames;
use rehearsal_fault_wire::{Facts, Host, Line, StoreView};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The body of a request that the proxy has read.
pub(in crate::proxy) struct Asked {
    /// All of it; none where it was too large to be held.
    pub(in crate::proxy) whole: Option<Bytes>,
    /// The same, to be passed on.
    pub(in crate::proxy) body: Chained<Incoming>,
}

/// In the extensions of a request: its lane.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct LaneName(pub(in crate::proxy) Arc<str>);

/// The proxy, as its fault layer sees it.
#[derive(Clone, Debug, Default)]
pub(in crate::proxy) struct ProxyHost {
    /// What rules know lanes by, where that is not their names.
    lanes: Option<Arc<BTreeMap<String, String>>>,
}

impl ProxyHost {
    pub(in crate::proxy) fn new(lanes: Option<BTreeMap<String, String>>) -> Self {
        Self { lanes: lanes.map(Arc::new) }
    }

    /// How a lane is told to rules.
    pub(in crate::proxy) fn lane(&self, name: &str) -> LaneFacts {
        match &self.lanes {
            None => LaneFacts { name: name.to_owned(), credential: Some(format!("lane:{name}")) },
            Some(lanes) => LaneFacts { name: lanes.get(name).cloned().unwrap_or_default(), credential: None },
        }
    }
}

impl Host for ProxyHost {
    type Body = Asked;

    fn describe(&self, request: Request<Asked>) -> BoxFuture<'static, (Facts, Request<Asked>)> {
        let lane = request.extensions().get::<LaneName>().map_or_else(Arc::default, |lane| lane.0.clone());
        let mut facts = super::describe(request.method(), request.uri(), request.headers(), &self.lane(&lane));
        facts.protocol = protocol(request.version());
        if let Some(line) = request.extensions().get::<Line>() {
            facts.connection = line.ordinal();
            facts.stream = line.next_request();
        }
        if let Some(whole) = &request.body().whole {
            with_body(&mut facts, whole);
        }
        Box::pin(std::future::ready((facts, request)))
    }

    /// Nothing is known of the store, so refusals quote what the request itself says.
    fn store(&self, facts: &Facts) -> StoreView {
        let asked: u64 = facts.resource_version.parse().unwrap_or_default();
        StoreView {
            current: asked,
            oldest: asked.saturating_add(1),
            fresh_continue: inconsistent(&facts.continue_token).unwrap_or_default(),
            unix_seconds: u64::try_from(jiff_now()).unwrap_or_default(),
            ..StoreView::default()
        }
    }

    fn decode_frame(&self, frame: &[u8]) -> Option<(String, Value)> {
        frames::decode_protobuf_event(frame, Catalog::builtin()).ok()
    }

    fn encode_frame(&self, event: &str, object: &Value) -> Option<Vec<u8>> {
        frames::protobuf_event(event, object, Catalog::builtin()).ok()
    }
}

/// A continue token for the rest of a list at whatever revision there is (apiserver `storage/continue.go`).
fn inconsistent(token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok()?;
    let mut token: Value = serde_json::from_slice(&bytes).ok()?;
    *token.get_mut("rv")? = Value::from(-1);
    Some(URL_SAFE_NO_PAD.encode(token.to_string()))
}

/// Seconds since 1970, for dates in `Retry-After`.
#[allow(clippy::disallowed_methods, reason = "clients hold such a date against the machine's clock")]
fn jiff_now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_continue_token_goes_on_at_whatever_revision_there_is() {
        let token = URL_SAFE_NO_PAD.encode(r#"{"v":"meta.k8s.io/v1","rv":12,"start":"a\u0000"}"#);
        let fresh = URL_SAFE_NO_PAD.decode(inconsistent(&token).unwrap()).unwrap();
        let fresh: Value = serde_json::from_slice(&fresh).unwrap();
        assert_eq!((fresh["rv"].as_i64(), fresh["start"].as_str()), (Some(-1), Some("a\0")));
        assert_eq!(inconsistent("nonsense"), None);
    }

    #[test]
    fn lanes_have_their_own_names_unless_a_recording_called_them_otherwise() {
        let own = ProxyHost::default().lane("a");
        assert_eq!((own.name.as_str(), own.credential.as_deref()), ("a", Some("lane:a")));
        let told = ProxyHost::new(Some(BTreeMap::from([("kubectl".to_owned(), "sut".to_owned())])));
        assert_eq!((told.lane("kubectl").name.as_str(), told.lane("other").name.as_str()), ("sut", ""));
    }
}
