//! Connection pools, shared by all configurations cloned from one another whose TLS and proxy settings agree.
//!
//! Counterpart: client-go `transport/cache.go`. The pool belongs to the clients that use it and ends with the last of
//! them; it is keyed by values, not by pointers. hyper itself repeats a request on a fresh connection only when a pooled
//! one turned out dead before the request was written to it: such a repetition cannot reach a server twice.

use super::connector::{Connector, proxy_authorization};
use super::proxy::{Proxy, ProxyEnv};
use super::tls::Tls;
use super::whole::whole;
use super::{Body, Transport, classify};
use crate::config::{AuthProvider, Config, ConfigError, ExecAuthenticator, ExecConfig, Oidc, TlsConfig};
use crate::error::TransportError;
use http::header::{PROXY_AUTHORIZATION, UPGRADE};
use http::{HeaderValue, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// client-go `idleConnsPerHost`.
const IDLE_PER_HOST: usize = 25;
/// Go `http.DefaultTransport.IdleConnTimeout`.
const IDLE: Duration = Duration::from_secs(90);

#[derive(Clone, PartialEq)]
struct Key {
    tls: TlsConfig,
    proxy: Proxy,
    exec: Option<ExecConfig>,
}

#[derive(Default)]
struct Known {
    pools: Vec<(Key, Weak<Pool>)>,
    execs: Vec<(ExecConfig, Weak<ExecAuthenticator>)>,
    /// Kept as long as any configuration is: a refresh token may be good only once.
    oidcs: Vec<(AuthProvider, Arc<Oidc>)>,
}

/// What a family of configurations shares.
#[derive(Clone, Default)]
pub struct ConnectionPools(Arc<Mutex<Known>>);

impl ConnectionPools {
    /// The authenticator of a plugin: one for equal configurations, so that it runs once.
    pub(crate) fn exec(&self, config: &ExecConfig) -> Arc<ExecAuthenticator> {
        let mut known = self.0.lock();
        if let Some(found) = known.execs.iter().find(|(c, _)| c == config).and_then(|(_, weak)| weak.upgrade()) {
            return found;
        }
        let made = Arc::new(ExecAuthenticator::new(config.clone()));
        known.execs.retain(|(_, weak)| weak.strong_count() > 0);
        known.execs.push((config.clone(), Arc::downgrade(&made)));
        made
    }

    /// The keeper of a provider's tokens: one for equal configurations, so that a refresh token is used once.
    pub(crate) fn oidc(&self, provider: &AuthProvider, proxy: &Proxy) -> Result<Arc<Oidc>, ConfigError> {
        let mut known = self.0.lock();
        if let Some(found) = known.oidcs.iter().find(|(p, _)| p == provider) {
            return Ok(found.1.clone());
        }
        let made = Arc::new(Oidc::new(provider.clone(), proxy.clone())?);
        known.oidcs.push((provider.clone(), made.clone()));
        Ok(made)
    }

    /// The pool for a configuration, without any wrapper.
    pub(crate) fn transport(&self, config: &Config) -> Result<Transport, ConfigError> {
        let uses_exec = config.exec.is_some() && !config.has_other_credentials();
        let key = Key {
            tls: config.tls.clone(),
            proxy: config.proxy.clone(),
            exec: config.exec.clone().filter(|_| uses_exec),
        };
        let exec = key.exec.as_ref().map(|e| self.exec(e));
        let mut known = self.0.lock();
        if let Some(found) = known.pools.iter().find(|(k, _)| *k == key).and_then(|(_, weak)| weak.upgrade()) {
            return Ok(found.transport());
        }
        let made = Arc::new(Pool::new(config, exec)?);
        known.pools.retain(|(_, weak)| weak.strong_count() > 0);
        known.pools.push((key, Arc::downgrade(&made)));
        Ok(made.transport())
    }
}

/// The connections of configurations that agree.
pub(crate) struct Pool {
    client: Client<Connector, Body>,
    /// For requests that ask to switch protocols, which HTTP/2 connections cannot do.
    upgrades: Client<Connector, Body>,
    connector: Connector,
    tls: Arc<Tls>,
}

impl Pool {
    fn new(config: &Config, exec: Option<Arc<ExecAuthenticator>>) -> Result<Self, ConfigError> {
        let env = |name: &str| std::env::var(name).ok();
        let http2 = env("DISABLE_HTTP2").is_none_or(|v| v.is_empty());
        let tls = Arc::new(Tls::new(&config.tls, http2, exec)?);
        let connector = Connector::new(tls.clone(), config.proxy.clone(), ProxyEnv::read(env));
        let seconds = |name: &str, default: u64| env(name).and_then(|v| v.parse().ok()).unwrap_or(default);
        let ping = seconds("HTTP2_READ_IDLE_TIMEOUT_SECONDS", 30);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http2_keep_alive_interval((ping > 0).then(|| Duration::from_secs(ping)))
            .http2_keep_alive_timeout(Duration::from_secs(seconds("HTTP2_PING_TIMEOUT_SECONDS", 15)))
            // A LIST of thousands comes in one stream; hyper's windows are made for small answers.
            .http2_adaptive_window(true)
            .build(connector.clone());
        let upgrades = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector.for_upgrades());
        Ok(Self { client, upgrades, connector, tls })
    }

    fn transport(self: Arc<Self>) -> Transport {
        Transport::over(self)
    }

    pub(crate) async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, TransportError> {
        self.tls.look();
        let upgrade = request.headers().contains_key(UPGRADE);
        // A tunnel through the proxy is authorised when it is made.
        if !upgrade
            && request.uri().scheme_str() == Some("http")
            && let Some(proxy) = self.connector.proxy_for(request.uri())
            && let Some(value) = proxy_authorization(&proxy)
            && let Ok(value) = HeaderValue::try_from(value)
        {
            request.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
        let client = if upgrade { &self.upgrades } else { &self.client };
        match client.request(request).await {
            Ok(response) => Ok(whole(response)),
            Err(error) => Err(classify(Box::new(error))),
        }
    }
}
