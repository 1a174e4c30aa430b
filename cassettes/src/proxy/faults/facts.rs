//! What rules may look at in a request that a proxy passes on: its line, its headers, and the object that it carries.

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, Method, Uri, Version};
use rehearsal_apimachinery::Catalog;
use rehearsal_apimachinery::codec::protobuf;
use rehearsal_apimachinery::request_info::{RequestInfo, param, parse_query};
use rehearsal_fault_wire::Facts;
use rehearsal_faults::Protocol;
use serde_json::Value;
use std::sync::Arc;

/// The facts of a request of a lane, without those of its connection and its body.
pub(in crate::proxy) fn describe(method: &Method, uri: &Uri, headers: &HeaderMap, lane: &LaneFacts) -> Facts {
    let query = parse_query(uri.query().unwrap_or_default());
    let info = RequestInfo::parse(method.as_str(), uri.path(), &query).unwrap_or_default();
    let text = |key| param(&query, key).unwrap_or_default().to_owned();
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Facts {
        verb: info.verb,
        group: info.group,
        version: info.version,
        resource: info.resource,
        subresource: info.subresource,
        namespace: info.namespace,
        name: info.name,
        user_agent: agent.to_owned(),
        method: method.as_str().to_owned(),
        path: uri.path().to_owned(),
        resource_version: text("resourceVersion"),
        continue_token: text("continue"),
        dry_run: query.iter().any(|(key, value)| key == "dryRun" && value == "All"),
        headers: headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect(),
        credentials: lane.credential.iter().cloned().collect(),
        lane: lane.name.clone(),
        ..Facts::default()
    }
}

/// How a lane of the proxy is told to rules.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct LaneFacts {
    /// Its name.
    pub(super) name: String,
    /// `lane:NAME`, by which a plan can call it otherwise.
    pub(super) credential: Option<String>,
}

pub(super) fn protocol(version: Version) -> Protocol {
    if version == Version::HTTP_2 { Protocol::Http2 } else { Protocol::Http1 }
}

/// Adds what the body of a write tells: the object, and its name where the path has none.
pub(super) fn with_body(facts: &mut Facts, body: &Bytes) {
    if !matches!(facts.verb.as_str(), "create" | "update") {
        return;
    }
    let Some(object) = object(body) else { return };
    if facts.name.is_empty() {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        name.clone_into(&mut facts.name);
    }
    facts.object = Some(Arc::new(object));
}

fn object(bytes: &Bytes) -> Option<Value> {
    if bytes.starts_with(b"k8s\0") {
        return protobuf::decode_object(bytes, Catalog::builtin()).ok();
    }
    serde_json::from_slice(bytes).ok().filter(Value::is_object)
}
