//! [`Route`]: what a request is about, without what may differ from run to run.
//!
//! Two requests of one route compete for the same recorded answers. Timeouts, limits, resourceVersions, User-Agents,
//! hosts and header order are not part of it: clients draw the first at random and the rest says nothing about intent.

use crate::format::model::Request;
use rehearsal_apimachinery::request_info::RequestInfo;
use rehearsal_apimachinery::selector::{FieldSelector, LabelSelector};

/// The representation a client asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AcceptClass {
    /// Anything, or nothing said.
    #[default]
    Any,
    /// JSON objects.
    Json,
    /// Protobuf objects.
    Proto,
    /// A Table for people.
    Table,
    /// Metadata alone.
    Metadata,
    /// Aggregated discovery.
    Discovery,
    /// YAML.
    Yaml,
    /// CBOR.
    Cbor,
}

impl AcceptClass {
    /// The class of the first media type a client would like.
    #[must_use]
    pub fn of(accept: &str) -> Self {
        let first = accept.split(',').next().unwrap_or_default().to_ascii_lowercase();
        if first.contains("as=table") {
            Self::Table
        } else if first.contains("as=partialobjectmetadata") {
            Self::Metadata
        } else if first.contains("as=apigroupdiscoverylist") {
            Self::Discovery
        } else if first.contains("protobuf") {
            Self::Proto
        } else if first.contains("cbor") {
            Self::Cbor
        } else if first.contains("yaml") {
            Self::Yaml
        } else if first.contains("json") {
            Self::Json
        } else {
            Self::Any
        }
    }

    /// Whether an answer for one class serves the other.
    #[must_use]
    pub fn serves(self, wanted: Self) -> bool {
        self == wanted || matches!((self, wanted), (Self::Any, Self::Json) | (Self::Json, Self::Any))
    }
}

/// What a request is about. Unset parts are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route {
    /// Kubernetes verb, or the method in lower case for other paths.
    pub verb: String,
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource; empty for other paths.
    pub resource: String,
    /// Namespace.
    pub namespace: String,
    /// Object name. For creates that of the body, when it has one.
    pub name: String,
    /// Subresource.
    pub subresource: String,
    /// Path of a request that is about no resource, or the part behind the subresource.
    pub path: String,
    /// The query of a subresource whose answer it decides: which container's log, which command. In sorted order.
    pub options: String,
    /// Label and field selector, in canonical order.
    pub selectors: (String, String),
    /// `dryRun=All`.
    pub dry_run: bool,
    /// Representation.
    pub accept: AcceptClass,
}

fn query<'a>(request: &'a Request, key: &str) -> &'a str {
    request.query.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v.as_str())
}

/// Subresources that something behind the objects answers; their query says what is wanted.
const OF_NODES: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

/// The query without what is a moment's.
fn options(request: &Request) -> String {
    let mut pairs: Vec<_> = request.query.iter().filter(|(key, _)| key != "sinceTime" && key != "timeout").collect();
    // The values of one key keep their order: they are the words of a command.
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

/// Terms in sorted order; text that does not parse stays as it is, for the server to have refused.
fn canonical<T: ToString>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> String {
    let printed = parse(text).map_or_else(|_| text.to_owned(), |selector| selector.to_string());
    if printed.contains('(') {
        return printed;
    }
    let mut terms: Vec<&str> = printed.split(',').collect();
    terms.sort_unstable();
    terms.join(",")
}

impl Route {
    /// The route of a request.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let info = RequestInfo::parse(&request.method, &request.path, &request.query).unwrap_or_default();
        let accept = request.headers.iter().find(|(name, _)| name == "accept").map_or("", |(_, value)| value.as_str());
        let selectors = (
            canonical(query(request, "labelSelector"), LabelSelector::parse),
            canonical(query(request, "fieldSelector"), FieldSelector::parse),
        );
        if !info.is_resource {
            let verb = request.method.to_lowercase();
            return Self { verb, path: request.path.clone(), accept: AcceptClass::of(accept), ..Self::default() };
        }
        let options = if OF_NODES.contains(&info.subresource.as_str()) { options(request) } else { String::new() };
        Self {
            verb: info.verb,
            group: info.group,
            version: info.version,
            resource: info.resource,
            namespace: info.namespace,
            name: info.name,
            subresource: info.subresource,
            path: info.rest.join("/"),
            options,
            selectors,
            dry_run: !query(request, "dryRun").is_empty(),
            accept: AcceptClass::of(accept),
        }
    }

    /// Whether the request changes something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection" | "post" | "put")
            && !self.is_ambient()
            && !self.dry_run
    }

    /// Whether the answer is a stream of frames.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        self.verb == "watch"
    }

    /// Whether something behind the objects answers, such as a container: logs, commands, proxied requests.
    #[must_use]
    pub fn is_of_nodes(&self) -> bool {
        OF_NODES.contains(&self.subresource.as_str())
    }

    /// Whether a collection is read: what informers do.
    #[must_use]
    pub fn is_collection_read(&self) -> bool {
        matches!(self.verb.as_str(), "list" | "watch")
    }

    /// Traffic that goes on beside any scenario: leases, events, reviews, health and metrics. Never an expectation.
    #[must_use]
    pub fn is_ambient(&self) -> bool {
        match (self.group.as_str(), self.resource.as_str()) {
            ("coordination.k8s.io", "leases") | ("" | "events.k8s.io", "events") => true,
            ("authorization.k8s.io" | "authentication.k8s.io", resource) => resource.ends_with("reviews"),
            ("", "") => matches!(self.path.as_str(), "/healthz" | "/livez" | "/readyz" | "/metrics"),
            _ => false,
        }
    }

    /// Discovery and documents: the same answer however often it is asked for.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.resource.is_empty() && self.verb == "get"
    }

    /// `pods`, `deployments.apps`; the path for anything else.
    #[must_use]
    pub fn collection(&self) -> String {
        match (self.resource.as_str(), self.group.as_str()) {
            ("", _) => self.path.clone(),
            (resource, "") => resource.to_owned(),
            (resource, group) => format!("{resource}.{group}"),
        }
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.collection())?;
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        match (self.namespace.as_str(), self.name.as_str()) {
            ("", "") => Ok(()),
            ("", name) => write!(f, " {name}"),
            (namespace, "") => write!(f, " in {namespace}"),
            (namespace, name) => write!(f, " {namespace}/{name}"),
        }?;
        for selector in [&self.selectors.0, &self.selectors.1].into_iter().filter(|s| !s.is_empty()) {
            write!(f, " [{selector}]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, query: &[(&str, &str)]) -> Route {
        let query = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Route::of(&Request { method: "GET".into(), path: path.into(), query, ..Request::default() })
    }

    #[test]
    fn what_differs_from_run_to_run_is_no_part_of_a_route() {
        let one = get("/api/v1/pods", &[("watch", "true"), ("resourceVersion", "5"), ("timeoutSeconds", "311")]);
        let two = get("/api/v1/pods", &[("watch", "1"), ("resourceVersion", "9"), ("allowWatchBookmarks", "true")]);
        assert_eq!(one, two);
        assert_eq!(one.to_string(), "watch pods");
    }

    #[test]
    fn selectors_count_but_not_the_order_of_their_terms() {
        let one = get("/api/v1/pods", &[("labelSelector", "b=2,a=1")]);
        assert_eq!(one, get("/api/v1/pods", &[("labelSelector", "a=1, b=2")]));
        assert_ne!(one, get("/api/v1/pods", &[]));
    }

    #[test]
    fn the_logs_of_two_containers_are_two_routes() {
        let log = |container: &str| get("/api/v1/namespaces/d/pods/a/log", &[("container", container)]);
        assert_eq!(log("a"), log("a"));
        assert_ne!(log("a"), log("b"));
        let run = |words: &[&str]| {
            let query: Vec<_> = words.iter().map(|word| ("command", *word)).collect();
            get("/api/v1/namespaces/d/pods/a/exec", &query)
        };
        assert_ne!(run(&["echo", "ls"]), run(&["ls", "echo"]));
        // Of other requests the query says how to answer, not what.
        assert_eq!(get("/api/v1/namespaces/d/pods/a", &[("pretty", "true")]), get("/api/v1/namespaces/d/pods/a", &[]));
    }

    #[test]
    fn leases_are_ambient_and_discovery_is_static() {
        assert!(get("/apis/coordination.k8s.io/v1/namespaces/a/leases/b", &[]).is_ambient());
        assert!(get("/apis", &[]).is_static());
        assert!(!get("/api/v1/pods", &[]).is_static());
    }
}
