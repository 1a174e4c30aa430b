//! What a decision may look at: a request, a connection or a watch frame, as the layer that asks already knows them.
//!
//! Borrowed on purpose: asking costs no allocation. Counterpart: `k8s.io/apiserver/pkg/endpoints/request.RequestInfo`.

use serde_json::Value;

use crate::words::words;

words! {
    /// The HTTP version of a connection.
    pub enum Protocol {
        /// HTTP/1.1 and its WebSocket upgrades.
        Http1 = "http/1.1",
        /// HTTP/2.
        Http2 = "h2",
    }
}

words! {
    /// The type of a watch frame.
    pub enum EventType {
        /// The object came into view.
        Added = "ADDED",
        /// The object changed.
        Modified = "MODIFIED",
        /// The object left the view.
        Deleted = "DELETED",
        /// A resourceVersion and nothing else.
        Bookmark = "BOOKMARK",
        /// A Status that ends the watch.
        Error = "ERROR",
    }
}

/// A request as the server's request info resolves it. Unknown or inapplicable parts are empty.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// Kubernetes verb (`get`, `list`, `watch`, `deletecollection` …), for non-resource paths the method in lower case.
    pub verb: &'a str,
    /// API group; empty for the core group and for non-resource requests.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Resource: the lower-case plural. Empty for non-resource requests.
    pub resource: &'a str,
    /// Subresource, such as `status`.
    pub subresource: &'a str,
    /// Namespace.
    pub namespace: &'a str,
    /// Object name; for creates the name in the body, for lists and watches the one in `fieldSelector=metadata.name=…`.
    pub name: &'a str,
    /// The logical client, as the layer resolved it (see [`Plan::lane_of`](crate::Plan::lane_of)).
    pub lane: &'a str,
    /// Authenticated user, for the text of refusals.
    pub user: &'a str,
    /// The User-Agent header.
    pub user_agent: &'a str,
    /// HTTP method in upper case.
    pub method: &'a str,
    /// URL path without the query.
    pub path: &'a str,
    /// The `resourceVersion` query parameter.
    pub resource_version: &'a str,
    /// HTTP version of the connection.
    pub protocol: Protocol,
    /// Whether `dryRun=All` was asked for.
    pub dry_run: bool,
    /// Ordinal of the connection, from 1; 0 when unknown.
    pub connection: u64,
    /// Ordinal of the request on its connection, from 1; 0 when unknown.
    pub stream: u64,
    /// Headers with lower-case names.
    pub headers: &'a [(&'a str, &'a str)],
    /// The object that the request carries, or that the server found for it.
    pub object: Option<&'a Value>,
}

impl Default for RequestFacts<'_> {
    fn default() -> Self {
        Self {
            verb: "",
            group: "",
            version: "",
            resource: "",
            subresource: "",
            namespace: "",
            name: "",
            lane: "",
            user: "",
            user_agent: "",
            method: "",
            path: "",
            resource_version: "",
            protocol: Protocol::Http1,
            dry_run: false,
            connection: 0,
            stream: 0,
            headers: &[],
            object: None,
        }
    }
}

/// A connection that was just accepted: nothing has been read from it.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionFacts<'a> {
    /// The logical client, when it can be known that early (by listener or peer address); else empty.
    pub lane: &'a str,
    /// Ordinal of the connection among those of its listener, from 1.
    pub connection: u64,
}

/// A connection of nobody in particular, by its ordinal.
impl From<u64> for ConnectionFacts<'_> {
    fn from(connection: u64) -> Self {
        Self { lane: "", connection }
    }
}

/// One frame of a watch, about to be sent.
#[derive(Clone, Copy, Debug)]
pub struct FrameFacts<'a> {
    /// The watch request that the frame answers.
    pub request: RequestFacts<'a>,
    /// Type of the event.
    pub event: EventType,
    /// Namespace of the object in the frame.
    pub namespace: &'a str,
    /// Name of the object in the frame; empty for bookmarks and errors.
    pub name: &'a str,
    /// The object in the frame.
    pub object: Option<&'a Value>,
}

impl<'a> FrameFacts<'a> {
    /// The frame seen as a request: of its watch, about its own object.
    pub(crate) fn as_request(&self) -> RequestFacts<'a> {
        RequestFacts { verb: "watch", namespace: self.namespace, name: self.name, object: self.object, ..self.request }
    }
}

/// How a resource is written in refusals and in plans: `pods`, `deployments.apps`.
pub(crate) fn qualified(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}
