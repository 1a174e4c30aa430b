//! [`ConfigUpstream`]: the client's transport as the upstream of a recording proxy, with every kind of credential that a
//! configuration knows.
//!
//! The client's stack adds what a client adds; a proxy must add nothing but proof of identity. What is added beside
//! that is taken off again right above the connections, where redirects are hidden from those who follow them too.

use super::outcome::upstream_error;
use anyhow::{Context as _, bail};
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use parking_lot::Mutex;
use rehearsal_cassettes::proxy::{Channel, ProxyBody, Upstream, UpstreamError, UpstreamFailure};
use rehearsal_client::{Body, Config, ConnectionPools, Secret, TlsConfig, Transport, TransportError};
use std::collections::HashMap;
use std::sync::Arc;

/// Reaches the server that a configuration names.
#[derive(Clone)]
pub struct ConfigUpstream {
    config: Config,
    base: Base,
    pooled: bool,
    /// Means for the next connection: making them reads certificates, and no client should wait for that.
    spare: Arc<Mutex<HashMap<bool, Transport>>>,
}

/// The URL that request paths are appended to.
#[derive(Clone, Debug)]
struct Base {
    scheme: String,
    authority: String,
    /// Without a slash at its end.
    prefix: String,
}

impl Base {
    fn parse(host: &str, tls: bool) -> anyhow::Result<Self> {
        let (scheme, rest) = host.split_once("://").unwrap_or((if tls { "https" } else { "http" }, host));
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() || !matches!(scheme, "http" | "https") {
            bail!("{host:?} is no URL of a server");
        }
        let path = path.trim_end_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { scheme: scheme.to_owned(), authority: authority.to_owned(), prefix })
    }

    fn uri(&self, uri: &Uri) -> Result<Uri, http::Error> {
        let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Uri::builder()
            .scheme(self.scheme.as_str())
            .authority(self.authority.as_str())
            .path_and_query(format!("{}{target}", self.prefix))
            .build()
    }
}

impl ConfigUpstream {
    /// The server of a configuration. Connections of clients and of the upstream correspond one to one, except where a
    /// credential plugin is in use, which would run once a connection.
    ///
    /// # Errors
    /// A host that is no URL; credentials that cannot be used.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let tls = &config.tls;
        let secured = tls.insecure || tls.ca_file.is_some() || !tls.ca_data.is_empty() || !tls.cert_data.is_empty();
        let base = Base::parse(&config.host, secured || tls.cert_file.is_some())?;
        let mut config = config.clone();
        // Bodies pass as they are, and a proxy has no patience of its own.
        config.disable_compression = true;
        config.timeout = None;
        let pooled = config.exec.is_some();
        let upstream = Self { config, base, pooled, spare: Arc::default() };
        // Unreadable files and contradictions are told now, not with the first request.
        upstream.transport(&["http/1.1"]).context("credentials of the upstream")?;
        Ok(upstream)
    }

    /// Shares the connections to the server among all clients.
    #[must_use]
    pub fn pooled(self) -> Self {
        Self { pooled: true, ..self }
    }

    /// What proves identity to the server and is known now: nothing of it may be on a tape.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let Config { bearer_token, password, bearer_token_file, .. } = &self.config;
        let file = bearer_token_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        let from_file = file.map(|text| Secret::from(text.trim())).unwrap_or_default();
        vec![bearer_token.clone(), password.clone(), from_file]
    }

    /// `https://host:port` of the server.
    #[must_use]
    pub fn url(&self) -> String {
        let Base { scheme, authority, prefix } = &self.base;
        format!("{scheme}://{authority}{prefix}")
    }

    /// Connections in the manner of a client that speaks HTTP/2, or does not.
    fn fresh(&self, http2: bool) -> Result<Transport, rehearsal_client::Error> {
        self.transport(if http2 { &["h2", "http/1.1"] } else { &["http/1.1"] })
    }

    fn transport(&self, protocols: &[&str]) -> Result<Transport, rehearsal_client::Error> {
        let mut config = self.config.clone();
        if !self.pooled {
            config.pools = ConnectionPools::default();
        }
        if self.base.scheme == "https" {
            config.tls.next_protos = protocols.iter().map(|protocol| (*protocol).to_owned()).collect();
        } else {
            // No certificate is ever looked at, so none need be read.
            config.tls = TlsConfig { insecure: true, ..TlsConfig::default() };
        }
        config.wrap_transport = Some(Arc::new(bare));
        Transport::for_config(&config)
    }
}

impl Upstream for ConfigUpstream {
    fn channel(&self, http2: bool) -> Result<Arc<dyn Channel>, UpstreamError> {
        let failed =
            |error: rehearsal_client::Error| UpstreamError::new(UpstreamFailure::Unreachable, error.to_string());
        let spare = self.spare.lock().remove(&http2);
        let plain = match spare {
            Some(spare) => spare,
            None => self.fresh(http2).map_err(failed)?,
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let upstream = self.clone();
            runtime.spawn_blocking(move || {
                if let Ok(next) = upstream.fresh(http2) {
                    upstream.spare.lock().insert(http2, next);
                }
            });
        }
        Ok(Arc::new(ConfigChannel { upstream: self.clone(), http2, plain }))
    }
}

/// The connections for one connection of a client.
struct ConfigChannel {
    upstream: ConfigUpstream,
    http2: bool,
    plain: Transport,
}

impl ConfigChannel {
    /// A connection that changes protocol must begin as HTTP/1.1.
    fn transport(&self, upgrade: bool) -> Result<Transport, rehearsal_client::Error> {
        if upgrade && self.http2 { self.upstream.fresh(false) } else { Ok(self.plain.clone()) }
    }
}

impl Channel for ConfigChannel {
    fn send(&self, request: Request<ProxyBody>) -> BoxFuture<'static, Result<Response<ProxyBody>, UpstreamError>> {
        let upgrade = request.headers().contains_key(header::UPGRADE);
        let transport = self.transport(upgrade);
        let uri = self.upstream.base.uri(request.uri());
        Box::pin(async move {
            let transport =
                transport.map_err(|error| UpstreamError::new(UpstreamFailure::Unreachable, error.to_string()))?;
            let uri = uri.map_err(|error| UpstreamError::new(UpstreamFailure::Other, error.to_string()))?;
            let (mut parts, body) = request.into_parts();
            parts.uri = uri;
            parts.extensions.insert(Own::of(&parts.headers));
            let mut response =
                transport.send(Request::from_parts(parts, Body::wrap(body))).await.map_err(upstream_error)?;
            if let Some(Redirect(status)) = response.extensions_mut().remove::<Redirect>() {
                *response.status_mut() = status;
            }
            Ok(response.map(|body| ProxyBody::new(http_body_util::BodyExt::map_err(body, upstream_error))))
        })
    }
}

/// Headers that are the client's own or are not there.
#[derive(Clone, Copy, Debug)]
struct Own {
    user_agent: bool,
}

impl Own {
    fn of(headers: &HeaderMap) -> Self {
        Self { user_agent: headers.contains_key(header::USER_AGENT) }
    }
}

/// The status of a redirect that is for the client to follow.
#[derive(Clone, Copy, Debug)]
struct Redirect(StatusCode);

/// Between the client's stack and its connections: takes off what the stack added, hides what it would act on.
fn bare(connections: Transport) -> Transport {
    Transport::new(tower::service_fn(move |mut request: Request<Body>| {
        let connections = connections.clone();
        async move {
            if request.extensions().get::<Own>().is_some_and(|own| !own.user_agent) {
                request.headers_mut().remove(header::USER_AGENT);
            }
            let mut response = connections.send(request).await?;
            let status = response.status();
            if status.is_redirection() {
                response.extensions_mut().insert(Redirect(status));
                *response.status_mut() = StatusCode::OK;
            }
            Ok::<_, TransportError>(response)
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_appended_to_the_prefix_of_the_server() {
        let uri = |host: &str, target: &str| {
            Base::parse(host, true).unwrap().uri(&target.parse().unwrap()).unwrap().to_string()
        };
        assert_eq!(uri("https://h:1", "/api/v1?watch=1"), "https://h:1/api/v1?watch=1");
        assert_eq!(uri("https://h/clusters/c/", "/api"), "https://h/clusters/c/api");
        assert_eq!(uri("[::1]:6443", "/api"), "https://[::1]:6443/api");
        assert!(Base::parse("ftp://x", true).is_err() && Base::parse("", true).is_err());
    }
}
