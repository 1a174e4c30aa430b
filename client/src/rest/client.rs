//! RESTClient: one server, one group and version, and what all its requests share.
//!
//! Counterpart: client-go `rest.RESTClient` and `RESTClientFor`.

use super::codec::media_type;
use super::{
    BackoffManager, Codecs, LogWarnings, MEDIA_CBOR, MEDIA_JSON, NoBackoff, PatchType, Request, RequestMetrics,
    RetryOptions, UrlBackoff, WarningHandler, url,
};
use crate::config::{Config, ContentConfig};
use crate::error::Error;
use crate::flowcontrol::{Burst, DEFAULT_BURST, DEFAULT_QPS, Qps, RateLimiter, Throttle};
use crate::{ConfigError, Transport};
use http::Method;
use parking_lot::Mutex;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use rehearsal_apimachinery::GroupVersion;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A client for one group and version of one server. Cloning is cheap and shares everything.
#[derive(Clone)]
pub struct RestClient {
    pub(crate) shared: Arc<Shared>,
}

/// What the requests of a client have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) transport: Transport,
    pub(crate) scheme: String,
    pub(crate) authority: String,
    /// Path prefix of the server, ends in `/`.
    pub(crate) base_path: String,
    /// `/api/v1` or `/apis/<group>/<version>`.
    pub(crate) versioned_path: String,
    pub(crate) content: ContentConfig,
    pub(crate) codecs: Codecs,
    pub(crate) limiter: Option<Arc<dyn RateLimiter>>,
    pub(crate) backoff: Arc<dyn BackoffManager>,
    pub(crate) warnings: Arc<dyn WarningHandler>,
    /// `None` where nobody listens; labels cost more than some requests.
    pub(crate) metrics: Option<Arc<dyn RequestMetrics>>,
    pub(crate) retry: RetryOptions,
    pub(crate) timeout: Option<Duration>,
    pub(crate) timeout_spares_streams: bool,
    pub(crate) response_head_timeout: Option<Duration>,
    pub(crate) body_idle_timeout: Option<Duration>,
    pub(crate) max_response_bytes: Option<usize>,
    /// Whether the server refused a body for being CBOR; bodies are JSON ever after.
    pub(crate) cbor_refused: Arc<AtomicBool>,
    /// Jitter of waits, when the retry options ask for it.
    pub(crate) chance: Arc<Mutex<SmallRng>>,
}

impl std::fmt::Debug for RestClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RestClient")
            .field(
                "server",
                &format_args!("{}://{}{}", self.shared.scheme, self.shared.authority, self.shared.base_path),
            )
            .field("path", &self.shared.versioned_path)
            .finish_non_exhaustive()
    }
}

const _: () = {
    const fn assert_send_sync<T: Send + Sync>() {}
    assert_send_sync::<RestClient>();
};

/// The limiter a configuration asks for; `None` when it asks for none.
pub(crate) fn limiter_for(config: &Config) -> Option<Arc<dyn RateLimiter>> {
    if let Some(limiter) = &config.rate_limiter {
        return Some(limiter.clone());
    }
    let qps = if config.qps == Qps(0.0) { DEFAULT_QPS } else { config.qps };
    let burst = if config.burst == Burst(0) { DEFAULT_BURST } else { config.burst };
    (qps.0 > 0.0).then(|| Arc::new(Throttle::new(qps, burst)) as Arc<dyn RateLimiter>)
}

/// One limiter for several clients made from a configuration. Counterpart: `kubernetes.NewForConfigAndClient`, but the
/// limiter is shared whatever QPS says.
///
/// # Errors
/// A positive QPS that was set together with a burst of zero.
pub(crate) fn share_limiter(config: &Config) -> Result<Config, ConfigError> {
    if config.rate_limiter.is_none() && config.qps.0 > 0.0 && config.burst.0 == 0 {
        return Err(ConfigError::Invalid(
            "burst is required to be greater than 0 when RateLimiter is not set and QPS is set to greater than 0"
                .into(),
        ));
    }
    let unlimited = || Arc::new(crate::flowcontrol::Unlimited) as Arc<dyn RateLimiter>;
    let limiter = limiter_for(config).unwrap_or_else(unlimited);
    Ok(Config { rate_limiter: Some(limiter), ..config.clone() })
}

impl RestClient {
    /// A client for the configuration's group and version.
    ///
    /// # Errors
    /// When no group-version is set, or the configuration does not make a transport.
    pub fn for_config(config: &Config) -> Result<Self, Error> {
        if config.content.group_version.is_none() {
            return Err(ConfigError::Invalid("a group version is required to make a RESTClient".into()).into());
        }
        Self::unversioned(config)
    }

    /// A client for absolute paths, such as discovery. Counterpart: `UnversionedRESTClientFor`.
    ///
    /// # Errors
    /// When the configuration does not make a transport.
    pub fn unversioned(config: &Config) -> Result<Self, Error> {
        let (scheme, authority, base_path) = config.base_url()?;
        let transport = Transport::for_config(config)?;
        let shared = Shared {
            transport,
            scheme,
            authority,
            versioned_path: versioned_path(config),
            base_path,
            content: config.content.clone(),
            codecs: config.codecs.clone(),
            limiter: limiter_for(config),
            backoff: config.backoff.clone().unwrap_or_else(backoff_from_env),
            warnings: config.warning_handler.clone().unwrap_or_else(|| Arc::new(LogWarnings)),
            metrics: config.metrics.clone(),
            retry: config.retry.clone(),
            timeout: config.timeout.filter(|t| !t.is_zero()),
            timeout_spares_streams: config.timeout_spares_streams,
            response_head_timeout: config.response_head_timeout,
            body_idle_timeout: config.body_idle_timeout,
            max_response_bytes: config.max_response_bytes,
            cbor_refused: Arc::default(),
            chance: Arc::new(Mutex::new(SmallRng::from_os_rng())),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The same client for another group and version; connections, limiter and credentials are shared.
    #[must_use]
    pub fn group_version(&self, gv: GroupVersion) -> Self {
        let mut shared = self.shared.as_ref().clone();
        let prefix = if gv.group.is_empty() { "/api" } else { "/apis" };
        shared.versioned_path = url::join([prefix, &gv.to_string()]);
        shared.content.group_version = Some(gv);
        Self { shared: Arc::new(shared) }
    }

    /// The same client with other media types.
    #[must_use]
    pub fn content(&self, content_type: &str, accept: &str) -> Self {
        let mut shared = self.shared.as_ref().clone();
        shared.content.content_type = content_type.to_owned();
        shared.content.accept = accept.to_owned();
        Self { shared: Arc::new(shared) }
    }

    /// The same client with more codecs.
    #[must_use]
    pub fn codecs(&self, codecs: Codecs) -> Self {
        let mut shared = self.shared.as_ref().clone();
        shared.codecs = codecs;
        Self { shared: Arc::new(shared) }
    }

    /// The group and version of its paths.
    #[must_use]
    pub fn api_version(&self) -> Option<&GroupVersion> {
        self.shared.content.group_version.as_ref()
    }

    /// Its limiter.
    #[must_use]
    pub fn rate_limiter(&self) -> Option<&Arc<dyn RateLimiter>> {
        self.shared.limiter.as_ref()
    }

    /// Begins a request.
    pub fn verb(&self, method: Method) -> Request {
        Request::new(self.clone(), method)
    }

    /// Begins a GET.
    pub fn get(&self) -> Request {
        self.verb(Method::GET)
    }

    /// Begins a POST.
    pub fn post(&self) -> Request {
        self.verb(Method::POST)
    }

    /// Begins a PUT.
    pub fn put(&self) -> Request {
        self.verb(Method::PUT)
    }

    /// Begins a PATCH of a type.
    pub fn patch(&self, kind: PatchType) -> Request {
        self.verb(Method::PATCH).header("content-type", kind.media_type())
    }

    /// Begins a DELETE.
    pub fn delete(&self) -> Request {
        self.verb(Method::DELETE)
    }
}

impl Shared {
    /// Media type of request bodies.
    pub(crate) fn content_type(&self) -> &str {
        if self.content.content_type.is_empty() { MEDIA_JSON } else { &self.content.content_type }
    }

    /// Media type of request bodies, given what the server has refused so far.
    pub(crate) fn body_type(&self) -> &str {
        let refused = self.cbor_refused.load(Ordering::Relaxed);
        if refused && media_type(self.content_type()).as_deref() == Some(MEDIA_CBOR) {
            return MEDIA_JSON;
        }
        self.content_type()
    }

    /// The `Accept` header.
    pub(crate) fn accept(&self) -> String {
        if self.content.accept.is_empty() {
            format!("{}, */*", self.content_type())
        } else {
            self.content.accept.clone()
        }
    }
}

fn backoff_from_env() -> Arc<dyn BackoffManager> {
    match UrlBackoff::from_vars(|name| std::env::var(name).ok()) {
        Some(backoff) => Arc::new(backoff),
        None => Arc::new(NoBackoff),
    }
}

fn versioned_path(config: &Config) -> String {
    let Some(gv) = &config.content.group_version else { return "/".into() };
    let api_path = match config.api_path.as_str() {
        "" if gv.group.is_empty() => "/api",
        "" => "/apis",
        path => path,
    };
    url::join([api_path, &gv.to_string()])
}
