//! What is laid around the connection pool, in one readable place: redirects, credentials, names, compression.
//!
//! Counterpart: client-go `transport.HTTPWrappersForConfig` and the redirect rules of Go's `http.Client`. Two
//! differences are meant: credentials do not follow a redirect to another origin, and a 401 can renew them at once when
//! the configuration says so. Each hop is told at debug level (`client::http`), without query, headers and bodies.

use super::auth::{impersonation_headers, is_identity};
use super::{Base, Body, Credentials, Transport};
use crate::clock;
use crate::config::Config;
use crate::error::{TransportError, TransportKind};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, LOCATION, RANGE, UPGRADE, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use std::sync::Arc;
use tokio::time::Instant;

/// Go's `http.Client` gives up after ten requests.
const MAX_REQUESTS: usize = 10;

/// The wrappers of one client.
#[derive(Clone)]
pub(crate) struct Stack {
    base: Base,
    inner: Arc<Wrappers>,
}

struct Wrappers {
    credentials: Credentials,
    user_agent: HeaderValue,
    impersonation: Vec<(HeaderName, HeaderValue)>,
    compression: bool,
    renew_on_401: bool,
}

impl Stack {
    pub(crate) fn new(config: &Config, base: Transport) -> Result<Self, crate::Error> {
        let user_agent = config.user_agent_or_default();
        let inner = Wrappers {
            credentials: Credentials::for_config(config)?,
            user_agent: HeaderValue::try_from(user_agent).unwrap_or(HeaderValue::from_static("rehearsal")),
            impersonation: impersonation_headers(&config.impersonate)?,
            compression: !config.disable_compression,
            renew_on_401: config.renew_credentials_on_401,
        };
        Ok(Self { base: base.into_base(), inner: Arc::new(inner) })
    }

    /// Sends, and follows redirects as Go does.
    pub(crate) async fn follow(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (mut parts, mut body) = request.into_parts();
        let replay = body.replay();
        let origin = parts.uri.clone();
        let mut credentials = true;
        for _ in 0..MAX_REQUESTS {
            let mut request = Request::from_parts(parts.clone(), body);
            if !credentials {
                let headers = request.headers_mut();
                let named: Vec<_> = headers.keys().filter(|n| is_identity(n)).cloned().collect();
                for name in named {
                    headers.remove(name);
                }
            }
            let mut response = self.round_trip(request, credentials).await?;
            if response.status() == StatusCode::UNAUTHORIZED && credentials {
                self.inner.credentials.refused();
                if self.inner.renew_on_401 && replay.is_some() && self.inner.credentials.renew() {
                    let again = Request::from_parts(parts.clone(), body_of(replay.as_ref()));
                    response = self.round_trip(again, true).await?;
                }
            }
            let Some(keeps_method) = redirect_of(response.status()) else { return Ok(response) };
            let Some(target) = response.headers().get(LOCATION) else {
                let text = format!("{} response missing Location header", response.status().as_u16());
                return Err(TransportError::new(TransportKind::Redirect, text));
            };
            if keeps_method && replay.is_none() {
                return Ok(response);
            }
            parts.uri = resolve(&parts.uri, target)?;
            credentials = same_origin(&origin, &parts.uri);
            if !keeps_method && parts.method != Method::GET && parts.method != Method::HEAD {
                parts.method = Method::GET;
            }
            body = if keeps_method { body_of(replay.as_ref()) } else { Body::empty() };
        }
        Err(TransportError::new(TransportKind::Redirect, format!("stopped after {MAX_REQUESTS} redirects")))
    }

    /// One hop. Outermost first: impersonation, User-Agent, Authorization, gzip.
    async fn round_trip(
        &self,
        mut request: Request<Body>,
        credentials: bool,
    ) -> Result<Response<Body>, TransportError> {
        let headers = request.headers_mut();
        if credentials && !headers.contains_key("impersonate-user") {
            for (name, value) in &self.inner.impersonation {
                headers.append(name, value.clone());
            }
        }
        if !headers.contains_key(USER_AGENT) {
            headers.insert(USER_AGENT, self.inner.user_agent.clone());
        }
        if credentials {
            self.inner.credentials.authorize(headers).await?;
        }
        let gzip = self.inner.compression
            && !headers.contains_key(ACCEPT_ENCODING)
            && !headers.contains_key(RANGE)
            && !headers.contains_key(UPGRADE)
            && request.method() != Method::HEAD;
        if gzip {
            request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let hop = Hop::begin(&request);
        let response = self.base.send(request).await;
        hop.end(&response);
        let response = response?;
        Ok(if gzip { unpack(response) } else { response })
    }
}

/// What the log tells of a hop; nothing is gathered where nobody listens.
struct Hop(Option<(Method, String, Instant)>);

impl Hop {
    fn begin(request: &Request<Body>) -> Self {
        // The query may hold a command with a password in it.
        let told = || (request.method().clone(), request.uri().path().to_owned(), clock::now());
        Self(tracing::enabled!(target: "client::http", tracing::Level::DEBUG).then(told))
    }

    fn end(self, result: &Result<Response<Body>, TransportError>) {
        let Some((method, path, begun)) = self.0 else { return };
        let took = clock::now() - begun;
        match result {
            Ok(response) => {
                let status = response.status().as_u16();
                tracing::debug!(target: "client::http", %method, path, status, ?took, "answered");
            }
            Err(error) => tracing::debug!(target: "client::http", %method, path, %error, ?took, "not answered"),
        }
    }
}

fn body_of(replay: Option<&Body>) -> Body {
    replay.and_then(Body::replay).unwrap_or_else(Body::empty)
}

fn unpack(response: Response<Body>) -> Response<Body> {
    if response.headers().get(CONTENT_ENCODING).is_none_or(|v| !v.as_bytes().eq_ignore_ascii_case(b"gzip")) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONTENT_ENCODING);
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, body.gunzip())
}

/// `Some(true)` where method and body are kept.
fn redirect_of(status: StatusCode) -> Option<bool> {
    match status.as_u16() {
        301..=303 => Some(false),
        307 | 308 => Some(true),
        _ => None,
    }
}

fn same_origin(a: &Uri, b: &Uri) -> bool {
    a.scheme_str() == b.scheme_str() && a.authority() == b.authority()
}

fn resolve(from: &Uri, target: &HeaderValue) -> Result<Uri, TransportError> {
    let bad = || TransportError::new(TransportKind::Redirect, "the Location header is no URL");
    let target: Uri = target.to_str().map_err(|_| bad())?.parse().map_err(|_| bad())?;
    if target.scheme().is_some() {
        return Ok(target);
    }
    let mut parts = from.clone().into_parts();
    if target.authority().is_some() {
        parts.authority = target.authority().cloned();
    }
    parts.path_and_query = target.path_and_query().cloned();
    Uri::from_parts(parts).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_resolve_against_the_request() {
        let from: Uri = "http://a:1/x?y=1".parse().unwrap();
        let to = |text: &str| resolve(&from, &HeaderValue::from_str(text).unwrap()).unwrap().to_string();
        assert_eq!(to("/z?q=2"), "http://a:1/z?q=2");
        assert_eq!(to("https://b/z"), "https://b/z");
        assert!(!same_origin(&from, &"http://a:2/x".parse().unwrap()));
    }
}
