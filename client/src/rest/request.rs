//! Building a request: path, query, headers and body, with errors that stick until it is sent.
//!
//! Counterpart: the building half of client-go `rest.Request`. Sending is in `send.rs`.

use super::client::RestClient;
use super::{MEDIA_JSON, WarningHandler, url};
use crate::error::Error;
use crate::flowcontrol::RateLimiter;
use crate::rest::BackoffManager;
use crate::transport::Body;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use parking_lot::Mutex;
use rehearsal_apimachinery::options::{
    CreateOptions, DeleteOptions, GetOptions, ListOptions, PatchOptions, UpdateOptions,
};
use rehearsal_apimachinery::time::format_duration;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Types of PATCH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Strategic merge; built-in types only.
    Strategic,
    /// Server-side apply; the body is JSON all the same.
    Apply,
}

impl PatchType {
    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// What a request carries.
#[derive(Clone, Debug, Default)]
pub enum RequestBody {
    /// Nothing.
    #[default]
    None,
    /// Bytes; each attempt sends them afresh.
    Bytes(Bytes),
    /// A stream that can be read once; such requests are never retried.
    Opaque(Arc<Mutex<Option<Body>>>),
}

/// Options that become query parameters.
pub trait QueryParams {
    /// The parameters, in any order.
    fn query(&self) -> Vec<(String, String)>;
}

macro_rules! query_params {
    ($($type:ident),*) => {
        $(impl QueryParams for $type {
            fn query(&self) -> Vec<(String, String)> {
                self.to_query()
            }
        })*
    };
}

query_params!(GetOptions, ListOptions, CreateOptions, UpdateOptions, PatchOptions);

/// A request being built. It can be sent more than once unless its body is a stream.
#[derive(Clone)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    pub(crate) client: RestClient,
    pub(crate) method: Method,
    prefix: String,
    namespace: Option<String>,
    pub(crate) resource: String,
    pub(crate) name: String,
    subresource: String,
    suffix: String,
    params: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: RequestBody,
    pub(crate) timeout: Option<Duration>,
    pub(crate) within: Option<Duration>,
    pub(crate) max_retries: Option<u32>,
    pub(crate) limiter: Option<Arc<dyn RateLimiter>>,
    pub(crate) backoff: Arc<dyn BackoffManager>,
    pub(crate) warnings: Arc<dyn WarningHandler>,
    fault: Option<String>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("action", &self.action()).finish_non_exhaustive()
    }
}

impl Request {
    pub(crate) fn new(client: RestClient, method: Method) -> Self {
        let shared = &client.shared;
        let mut headers = HeaderMap::new();
        if let Ok(accept) = HeaderValue::try_from(shared.accept()) {
            headers.insert(ACCEPT, accept);
        }
        Self {
            method,
            prefix: url::join([&shared.base_path, &shared.versioned_path]),
            namespace: None,
            resource: String::new(),
            name: String::new(),
            subresource: String::new(),
            suffix: String::new(),
            params: Vec::new(),
            headers,
            body: RequestBody::None,
            timeout: shared.timeout,
            within: None,
            max_retries: None,
            limiter: shared.limiter.clone(),
            backoff: shared.backoff.clone(),
            warnings: shared.warnings.clone(),
            fault: None,
            client,
        }
    }

    /// Notes the first fault; all later ones are its consequences.
    pub(crate) fn fail(mut self, fault: impl Into<String>) -> Self {
        self.fault.get_or_insert_with(|| fault.into());
        self
    }

    fn set_once(mut self, what: &str, value: &str, field: fn(&mut Self) -> &mut String) -> Self {
        let current = field(&mut self);
        if !current.is_empty() {
            let fault = format!("{what} already set to {current:?}, cannot change to {value:?}");
            return self.fail(fault);
        }
        if let Some(fault) = url::segment_fault(value) {
            return self.fail(format!("invalid {what} {value:?}: {fault}"));
        }
        value.clone_into(field(&mut self));
        self
    }

    /// Sets the namespace; `""` says that it was left out on purpose, which some verbs refuse.
    pub fn namespace(mut self, namespace: &str) -> Self {
        if let Some(old) = &self.namespace {
            let fault = format!("namespace already set to {old:?}, cannot change to {namespace:?}");
            return self.fail(fault);
        }
        if let Some(fault) = url::segment_fault(namespace) {
            return self.fail(format!("invalid namespace {namespace:?}: {fault}"));
        }
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Sets the namespace unless it is empty. Counterpart: `NamespaceIfScoped` with a non-empty namespace.
    pub fn namespace_if_any(self, namespace: &str) -> Self {
        if namespace.is_empty() { self } else { self.namespace(namespace) }
    }

    /// Sets the resource.
    pub fn resource(self, resource: &str) -> Self {
        self.set_once("resource", resource, |r| &mut r.resource)
    }

    /// Sets the name; an empty one is refused before anything is sent.
    pub fn name(self, name: &str) -> Self {
        if name.is_empty() {
            return self.fail("resource name may not be empty");
        }
        self.set_once("resource name", name, |r| &mut r.name)
    }

    /// Sets the subresource, of one or more segments.
    pub fn subresource(mut self, segments: &[&str]) -> Self {
        let joined = segments.join("/");
        if !self.subresource.is_empty() {
            let fault = format!("subresource already set to {:?}, cannot change to {joined:?}", self.subresource);
            return self.fail(fault);
        }
        if let Some(fault) = segments.iter().find_map(|s| url::segment_fault(s)) {
            return self.fail(format!("invalid subresource {joined:?}: {fault}"));
        }
        self.subresource = joined;
        self
    }

    /// Adds segments at the end of the path.
    pub fn suffix(mut self, segments: &[&str]) -> Self {
        let joined = segments.join("/");
        self.suffix = if self.suffix.is_empty() { joined } else { format!("{}/{joined}", self.suffix) };
        self
    }

    /// Adds segments before the namespace.
    pub fn prefix(mut self, segments: &[&str]) -> Self {
        self.prefix = url::join(std::iter::once(self.prefix.as_str()).chain(segments.iter().copied()));
        self
    }

    /// Replaces the path of group and version. A single segment keeps its trailing slash.
    pub fn abs_path(mut self, segments: &[&str]) -> Self {
        let base = self.client.shared.base_path.clone();
        let mut path = url::join(std::iter::once(base.as_str()).chain(segments.iter().copied()));
        if let [only] = segments
            && only.ends_with('/')
            && (base.len() > 1 || only.len() > 1)
            && !path.ends_with('/')
        {
            path.push('/');
        }
        self.prefix = path;
        self
    }

    /// Replaces path and query.
    pub fn request_uri(mut self, uri: &str) -> Self {
        let uri: Uri = match uri.parse() {
            Ok(uri) => uri,
            Err(error) => return self.fail(format!("parse {uri:?}: {error}")),
        };
        self.prefix = percent_encoding::percent_decode_str(uri.path()).decode_utf8_lossy().into_owned();
        self.params.clear();
        for pair in uri.query().unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plain =
                |t: &str| percent_encoding::percent_decode_str(&t.replace('+', " ")).decode_utf8_lossy().into_owned();
            self.params.push((plain(key), plain(value)));
        }
        self
    }

    /// Adds a query parameter; repeated keys are all sent.
    pub fn param(mut self, key: &str, value: &(impl ToString + ?Sized)) -> Self {
        self.params.push((key.to_owned(), value.to_string()));
        self
    }

    /// Adds the query parameters of options.
    pub fn params(mut self, options: &impl QueryParams) -> Self {
        self.params.extend(options.query());
        self
    }

    /// Sets a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.insert(name, value);
                self
            }
            _ => self.fail(format!("invalid header {name:?}")),
        }
    }

    /// Carries bytes; no content type is added.
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = RequestBody::Bytes(bytes.into());
        self
    }

    /// Carries a file's bytes; no content type is added.
    pub fn body_file(self, path: &Path) -> Self {
        match std::fs::read(path) {
            Ok(bytes) => self.body(bytes),
            Err(error) => self.fail(format!("read body from {}: {error}", path.display())),
        }
    }

    /// Carries a stream; the request can be sent once and is never retried.
    pub fn body_stream(mut self, body: Body) -> Self {
        self.body = RequestBody::Opaque(Arc::new(Mutex::new(Some(body.once()))));
        self
    }

    /// Carries an object in the client's content type, or as JSON when that type cannot hold it; a PATCH keeps
    /// its own type and is written as JSON.
    pub fn object<T: Serialize + ?Sized>(mut self, object: &T) -> Self {
        let shared = self.client.shared.clone();
        let media = if self.method == Method::PATCH { MEDIA_JSON } else { shared.body_type() };
        match encode(object, media, &shared.codecs) {
            Ok((bytes, media)) => {
                if !self.headers.contains_key(CONTENT_TYPE)
                    && let Ok(value) = HeaderValue::try_from(media)
                {
                    self.headers.insert(CONTENT_TYPE, value);
                }
                self.body(bytes)
            }
            Err(error) => self.fail(format!("encode body: {error}")),
        }
    }

    /// Carries the options of a delete; they never travel as query.
    pub fn delete_options(self, options: &DeleteOptions) -> Self {
        self.object(&options.to_json())
    }

    /// Sets the `timeout` parameter, and for single answers a deadline around all attempts after the first throttle
    /// wait. Zero removes it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout).filter(|t| !t.is_zero());
        self
    }

    /// A deadline for everything, counted from the moment of sending. Counterpart: a context with a timeout.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// Retries after the first attempt; a negative number is none.
    pub fn max_retries(mut self, retries: i32) -> Self {
        self.max_retries = Some(u32::try_from(retries).unwrap_or(0));
        self
    }

    /// Another limiter; `None` for none.
    pub fn throttle(mut self, limiter: Option<Arc<dyn RateLimiter>>) -> Self {
        self.limiter = limiter;
        self
    }

    /// Another backoff manager.
    pub fn backoff(mut self, manager: Arc<dyn BackoffManager>) -> Self {
        self.backoff = manager;
        self
    }

    /// Another hearer of warnings.
    pub fn warning_handler(mut self, handler: Arc<dyn WarningHandler>) -> Self {
        self.warnings = handler;
        self
    }

    /// The path, unescaped.
    fn path(&self) -> String {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        let namespaces = if namespace.is_empty() { "" } else { "namespaces" };
        let resource = self.resource.to_lowercase();
        let rest = [namespaces, namespace, &resource, &self.name, &self.subresource, &self.suffix];
        // A prefix with nothing behind it keeps its trailing slash.
        if rest.iter().all(|segment| segment.is_empty()) {
            return self.prefix.clone();
        }
        url::join([self.prefix.as_str()].iter().chain(&rest).copied())
    }

    /// Path and query as sent.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        let mut params = self.params.clone();
        if let Some(timeout) = self.timeout {
            params.retain(|(key, _)| key != "timeout");
            let nanos = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
            params.push(("timeout".into(), format_duration(nanos)));
        }
        let path = url::escape_path(&self.path());
        if params.is_empty() { path } else { format!("{path}?{}", url::encode_query(&params)) }
    }

    /// Method and path, for messages; no query, which may hold selectors of any length.
    pub(crate) fn action(&self) -> String {
        format!("{} {}", self.method, self.path())
    }

    /// The URL with names, namespaces and values replaced by placeholders, for metrics.
    pub(crate) fn url_template(&self) -> String {
        let shared = &self.client.shared;
        let own = url::join([&shared.base_path, &shared.versioned_path]);
        let mut path = if self.prefix == own { own } else { "/{prefix}".to_owned() };
        if self.namespace.as_deref().is_some_and(|n| !n.is_empty()) {
            path = url::join([path.as_str(), "namespaces", "{namespace}"]);
        }
        let name = if self.name.is_empty() { "" } else { "{name}" };
        path = url::join([path.as_str(), &self.resource.to_lowercase(), name, &self.subresource]);
        let mut keys: Vec<_> = self.params.iter().map(|(key, _)| key.as_str()).collect();
        keys.extend(self.timeout.map(|_| "timeout"));
        keys.sort_unstable();
        keys.dedup();
        let values: Vec<_> = keys.iter().map(|key| format!("{key}={{value}}")).collect();
        if values.is_empty() { path } else { format!("{path}?{}", values.join("&")) }
    }

    /// The URL, or the first fault of building.
    pub(crate) fn uri(&self) -> Result<Uri, Error> {
        if let Some(fault) = &self.fault {
            return Err(Error::Request(fault.clone()));
        }
        let shared = &self.client.shared;
        Uri::builder()
            .scheme(shared.scheme.as_str())
            .authority(shared.authority.as_str())
            .path_and_query(self.path_and_query())
            .build()
            .map_err(|e| Error::Request(e.to_string()))
    }

    /// What single answers refuse beforehand: an empty namespace where one is needed.
    pub(crate) fn preflight(&self) -> Result<(), Error> {
        if self.fault.is_some() || self.namespace.as_deref() != Some("") {
            return Ok(());
        }
        let named = [Method::GET, Method::PUT, Method::DELETE].contains(&self.method) && !self.name.is_empty();
        match (&self.method, named) {
            (&Method::POST, _) => Err(Error::Request("an empty namespace may not be set during creation".into())),
            (_, true) => {
                Err(Error::Request("an empty namespace may not be set when a resource name is provided".into()))
            }
            _ => Ok(()),
        }
    }
}

/// The bytes, and the media type they are in.
fn encode<'m, T: Serialize + ?Sized>(
    object: &T,
    media: &'m str,
    codecs: &super::Codecs,
) -> Result<(Vec<u8>, &'m str), String> {
    let json = |e: serde_json::Error| e.to_string();
    if media == MEDIA_JSON {
        return Ok((serde_json::to_vec(object).map_err(json)?, media));
    }
    let value = serde_json::to_value(object).map_err(json)?;
    let codec = codecs.find(media).map_err(|e| e.to_string())?;
    if codec.holds(&value) {
        return Ok((codec.encode(&value)?, media));
    }
    Ok((serde_json::to_vec(&value).map_err(json)?, MEDIA_JSON))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use rehearsal_apimachinery::GroupVersion;

    fn client(host: &str) -> RestClient {
        RestClient::unversioned(&Config::new(host)).unwrap().group_version(GroupVersion::new("", "v1"))
    }

    #[tokio::test]
    async fn paths_name_namespace_resource_name_and_subresource() {
        let c = client("http://a/prefix");
        let path = c.get().namespace("ns").resource("Pods").name("web").subresource(&["proxy"]).suffix(&["a", "b"]);
        assert_eq!(path.path_and_query(), "/prefix/api/v1/namespaces/ns/pods/web/proxy/a/b");
        assert_eq!(c.get().resource("nodes").path_and_query(), "/prefix/api/v1/nodes");
        assert_eq!(c.get().abs_path(&["/healthz/"]).path_and_query(), "/prefix/healthz/");
        assert_eq!(c.get().abs_path(&["/a/", "b/"]).path_and_query(), "/prefix/a/b");
        assert_eq!(c.get().request_uri("/x?b=2&a=1+2").path_and_query(), "/x?a=1+2&b=2");
        let apps = c.group_version(GroupVersion::new("apps", "v1"));
        assert_eq!(
            apps.get().namespace("").resource("deployments").path_and_query(),
            "/prefix/apis/apps/v1/deployments"
        );
    }

    #[tokio::test]
    async fn queries_follow_the_options() {
        let options = ListOptions::default().labels("a=b,c in (d,e)").limit(500).timeout_seconds(7);
        let request = client("http://a").get().resource("pods").params(&options).timeout(Duration::from_secs(7));
        assert_eq!(
            request.path_and_query(),
            "/api/v1/pods?labelSelector=a%3Db%2Cc+in+%28d%2Ce%29&limit=500&timeout=7s&timeoutSeconds=7"
        );
        assert_eq!(
            client("http://a").get().timeout(Duration::from_secs(90)).timeout(Duration::ZERO).path_and_query(),
            "/api/v1"
        );
    }

    #[tokio::test]
    async fn metrics_see_placeholders() {
        let request =
            client("http://a/x").get().namespace("ns").resource("pods").name("web").param("b", "1").param("a", &2);
        assert_eq!(request.url_template(), "/x/api/v1/namespaces/{namespace}/pods/{name}?a={value}&b={value}");
        assert_eq!(client("http://a").get().abs_path(&["/secret"]).url_template(), "/{prefix}");
    }

    #[tokio::test]
    async fn faults_stick_and_the_first_one_counts() {
        let c = client("http://a");
        let fault = |r: Request| r.uri().unwrap_err().to_string();
        assert!(fault(c.get().namespace("a/b").name("")).contains("a/b"));
        assert!(fault(c.get().name("")).contains("may not be empty"));
        assert!(fault(c.get().resource("a").resource("b")).contains("already set"));
        assert!(fault(c.get().namespace("a").namespace("a")).contains("already set"));
        assert!(fault(c.get().name("..")).contains("may not be"));
    }

    #[tokio::test]
    async fn an_empty_namespace_is_refused_where_one_is_needed() {
        let c = client("http://a");
        assert!(c.post().namespace("").resource("pods").preflight().is_err());
        assert!(c.get().namespace("").resource("pods").name("x").preflight().is_err());
        assert!(c.get().namespace("").resource("pods").preflight().is_ok());
        assert!(c.get().resource("pods").name("x").preflight().is_ok());
    }
}
