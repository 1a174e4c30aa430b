//! [`Facts`]: what is known of a request, owned, so that a watch can be asked about long after its request is gone.

use rehearsal_faults::{Protocol, RequestFacts};
use serde_json::Value;
use std::sync::Arc;

/// A request as its host resolves it. The fields are those of [`RequestFacts`]; unknown ones are empty.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "named and explained in RequestFacts")]
pub struct Facts {
    pub verb: String,
    pub group: String,
    pub version: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub user: String,
    pub user_agent: String,
    pub method: String,
    pub path: String,
    pub resource_version: String,
    /// The `continue` query parameter.
    pub continue_token: String,
    pub protocol: Protocol,
    pub dry_run: bool,
    pub connection: u64,
    pub stream: u64,
    pub headers: Vec<(String, String)>,
    pub object: Option<Arc<Value>>,
    /// What lanes are told by beside the User-Agent: the bearer token, the user, in this order.
    pub credentials: Vec<String>,
    /// A lane that the request names itself, in `X-Rehearsal-Lane`.
    pub lane: String,
    /// The lane whose listener the connection came to: it outweighs everything else. Empty for a listener of all.
    pub listener: String,
    /// The answer is a protobuf stream rather than JSON lines.
    pub protobuf: bool,
}

impl Default for Facts {
    fn default() -> Self {
        let text = String::new;
        Self {
            verb: text(),
            group: text(),
            version: text(),
            resource: text(),
            subresource: text(),
            namespace: text(),
            name: text(),
            user: text(),
            user_agent: text(),
            method: text(),
            path: text(),
            resource_version: text(),
            continue_token: text(),
            protocol: Protocol::Http1,
            dry_run: false,
            connection: 0,
            stream: 0,
            headers: Vec::new(),
            object: None,
            credentials: Vec::new(),
            lane: text(),
            listener: text(),
            protobuf: false,
        }
    }
}

impl Facts {
    /// The facts as rules are asked about them, for the given lane.
    pub fn with<R>(&self, lane: &str, ask: impl FnOnce(&RequestFacts<'_>) -> R) -> R {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        ask(&RequestFacts {
            verb: &self.verb,
            group: &self.group,
            version: &self.version,
            resource: &self.resource,
            subresource: &self.subresource,
            namespace: &self.namespace,
            name: &self.name,
            lane,
            user: &self.user,
            user_agent: &self.user_agent,
            method: &self.method,
            path: &self.path,
            resource_version: &self.resource_version,
            protocol: self.protocol,
            dry_run: self.dry_run,
            connection: self.connection,
            stream: self.stream,
            headers: &headers,
            object: self.object.as_deref(),
        })
    }

    /// Whether the request changes the store.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }

    /// Whether the answer is a stream of watch frames.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        self.verb == "watch"
    }
}
