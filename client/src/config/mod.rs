//! Where settings come from, and what they are: [`Config`], the counterpart of client-go's `rest.Config`.
//!
//! `kubeconfig.rs` and `merge.rs` read files, `client_config.rs` chooses among them, `in_cluster.rs` reads a pod's
//! surroundings, `exec.rs` asks plugins.

mod client_config;
mod error;
mod exec;
mod in_cluster;
mod kubeconfig;
mod merge;
mod oidc;
mod tls;
mod validate;
mod write;

pub use client_config::{ClientConfig, Overrides};
pub use error::ConfigError;
pub use exec::{ExecAuthenticator, ExecConfig, ExecCredential, InteractiveMode, PluginPolicy};
pub use in_cluster::InCluster;
pub use kubeconfig::{AuthInfo, AuthProviderEntry, Cluster, ExecEntry, KubeContext, Kubeconfig, NameValue};
pub use merge::{Loaded, LoadingRules};
pub use oidc::AuthProvider;
pub(crate) use oidc::Oidc;
pub use tls::TlsConfig;

use crate::flowcontrol::{Burst, Qps, RateLimiter};
use crate::rest::{BackoffManager, Codecs, MEDIA_JSON, MEDIA_PROTOBUF, RequestMetrics, RetryOptions, WarningHandler};
use crate::transport::{ConnectionPools, Proxy};
use crate::{Error, Secret, Transport};
use rehearsal_apimachinery::GroupVersion;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Who to act as. Without a user name nothing is sent, unless groups or extras are set by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impersonation {
    /// `Impersonate-User`
    pub user_name: String,
    /// `Impersonate-Uid`
    pub uid: String,
    /// `Impersonate-Group`, repeated.
    pub groups: Vec<String>,
    /// `Impersonate-Extra-<key>`, repeated.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Impersonation {
    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// How bodies are written and which are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentConfig {
    /// Media type of request bodies. Empty means `application/json`.
    pub content_type: String,
    /// The `Accept` header, verbatim. Empty means `<content type>, */*`.
    pub accept: String,
    /// The group and version a RESTClient is for.
    pub group_version: Option<GroupVersion>,
}

type Wrap = dyn Fn(Transport) -> Transport + Send + Sync;

/// Everything a client needs to know. Clones share one connection pool as long as TLS and proxy settings agree.
#[derive(Clone, Default)]
pub struct Config {
    /// Host, host:port or URL, with an optional path prefix. Empty means `localhost`.
    pub host: String,
    /// `/api` for the core group, `/apis` otherwise; set by the group clients.
    pub api_path: String,
    /// Media types and group-version.
    pub content: ContentConfig,
    /// Basic authentication; excludes a bearer token.
    pub username: String,
    /// Basic authentication.
    pub password: Secret,
    /// Bearer token.
    pub bearer_token: Secret,
    /// File that holds the bearer token; read again at most every 50 seconds, beats `bearer_token` once readable.
    pub bearer_token_file: Option<PathBuf>,
    /// Who to act as.
    pub impersonate: Impersonation,
    /// Credential plugin; excludes `auth_provider`, and is not asked when other credentials are set.
    pub exec: Option<ExecConfig>,
    /// Legacy auth provider; only `oidc` is left. Its token is used unless another goes into the same header.
    pub auth_provider: Option<AuthProvider>,
    /// TLS settings.
    pub tls: TlsConfig,
    /// `User-Agent`. Empty means [`default_user_agent`].
    pub user_agent: String,
    /// No `Accept-Encoding: gzip`.
    pub disable_compression: bool,
    /// Replaces connections altogether; excludes TLS options.
    pub transport: Option<Transport>,
    /// Laid around the connections, inside of credentials.
    pub wrap_transport: Option<Arc<Wrap>>,
    /// Requests a second: 0 means 5, negative means no limit.
    pub qps: Qps,
    /// Requests at once: 0 means 10.
    pub burst: Burst,
    /// Replaces QPS and burst.
    pub rate_limiter: Option<Arc<dyn RateLimiter>>,
    /// Hears of `Warning` headers. `None` logs them.
    pub warning_handler: Option<Arc<dyn WarningHandler>>,
    /// Hears of latencies, results and retries. `None` tells nobody.
    pub metrics: Option<Arc<dyn RequestMetrics>>,
    /// Limit of a whole exchange, body included, and the default `timeout` parameter. `None` means none.
    pub timeout: Option<Duration>,
    /// Proxy. Default: from the environment.
    pub proxy: Proxy,
    /// When failed requests are sent again. Default: exactly as client-go.
    pub retry: RetryOptions,
    /// Delays by server after failures. `None` means what `KUBE_CLIENT_BACKOFF_BASE` and `_DURATION` say.
    pub backoff: Option<Arc<dyn BackoffManager>>,
    /// After a 401, renew credentials and send a replayable request once more. Off in client-go, off by default.
    pub renew_credentials_on_401: bool,
    /// Do not let `timeout` cut watches and streams. Off in client-go, off by default.
    pub timeout_spares_streams: bool,
    /// Longest wait for the head of an answer, each attempt by itself. `None` (client-go) means any.
    pub response_head_timeout: Option<Duration>,
    /// Longest silence within a body, watches and followed logs included; bookmarks and every other byte end it. A watch
    /// that falls silent ends without an error event. `None` (client-go) means any.
    pub body_idle_timeout: Option<Duration>,
    /// Largest response body that is read into memory, in bytes. `None` (client-go) means any.
    pub max_response_bytes: Option<usize>,
    /// Media types that can be read and written. Default: JSON, YAML and protobuf.
    pub codecs: Codecs,
    /// The connection pools that this configuration and its clones share.
    pub pools: ConnectionPools,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("host", &self.host)
            .field("api_path", &self.api_path)
            .field("content", &self.content)
            .field("username", &self.username)
            .field("password", &self.password)
            .field("bearer_token", &self.bearer_token)
            .field("bearer_token_file", &self.bearer_token_file)
            .field("impersonate", &self.impersonate)
            .field("exec", &self.exec)
            .field("auth_provider", &self.auth_provider)
            .field("tls", &self.tls)
            .field("user_agent", &self.user_agent)
            .field("qps", &self.qps)
            .field("burst", &self.burst)
            .field("timeout", &self.timeout)
            .field("proxy", &self.proxy)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// A configuration for a server, with every default.
    #[must_use]
    pub fn new(host: impl Into<String>) -> Self {
        Self { host: host.into(), ..Self::default() }
    }

    /// The same with the media types of client-go's typed clients: bodies in protobuf, answers in it where the server has
    /// it and in JSON where not. Kinds that are not built in, and bodies with members that Kubernetes 1.36 does not have,
    /// stay with JSON; of answers in protobuf such members are passed over.
    #[must_use]
    pub fn protobuf(mut self) -> Self {
        MEDIA_PROTOBUF.clone_into(&mut self.content.content_type);
        self.content.accept = format!("{MEDIA_PROTOBUF},{MEDIA_JSON}");
        self
    }

    /// In-cluster if the surroundings say so, else the kubeconfig that kubectl would use.
    ///
    /// # Errors
    /// When neither gives a usable configuration.
    pub fn infer() -> Result<Self, Error> {
        if InCluster::possible() {
            return Self::in_cluster();
        }
        let (client, error) = ClientConfig::load(&LoadingRules::from_env());
        match error {
            Some(error) => Err(error.into()),
            None => Ok(client.client_config()?),
        }
    }

    /// What a pod is given by its service account.
    ///
    /// # Errors
    /// [`ConfigError::NotInCluster`] outside of a pod.
    pub fn in_cluster() -> Result<Self, Error> {
        Ok(InCluster::from_env().config()?)
    }

    /// Counterpart: `clientcmd.BuildConfigFromFlags`. With neither argument this is the in-cluster configuration, and
    /// never the kubeconfig of the home directory.
    ///
    /// # Errors
    /// When no configuration results.
    pub fn from_flags(master: &str, kubeconfig: &str) -> Result<Self, Error> {
        if master.is_empty() && kubeconfig.is_empty() && InCluster::possible() {
            return Self::in_cluster();
        }
        let rules = if kubeconfig.is_empty() { LoadingRules::default() } else { LoadingRules::explicit(kubeconfig) };
        let (client, error) = ClientConfig::load(&rules);
        if let Some(error) = error {
            return Err(error.into());
        }
        let overrides = Overrides { server: master.to_owned(), ..Overrides::default() };
        Ok(client.overrides(overrides).client_config()?)
    }

    /// The same server without any credentials. Counterpart: `rest.AnonymousClientConfig`.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self {
            username: String::new(),
            password: Secret::default(),
            bearer_token: Secret::default(),
            bearer_token_file: None,
            impersonate: Impersonation::default(),
            exec: None,
            auth_provider: None,
            tls: self.tls.anonymous(),
            transport: None,
            wrap_transport: None,
            ..self.clone()
        }
    }

    /// Appends `/suffix` to the User-Agent.
    #[must_use]
    pub fn add_user_agent(mut self, suffix: &str) -> Self {
        self.user_agent = format!("{}/{suffix}", self.user_agent_or_default());
        self
    }

    pub(crate) fn user_agent_or_default(&self) -> String {
        if self.user_agent.is_empty() { default_user_agent() } else { self.user_agent.clone() }
    }

    /// Whether a token, a password or a certificate makes a plugin unnecessary.
    pub(crate) fn has_other_credentials(&self) -> bool {
        !self.username.is_empty()
            || !self.bearer_token.is_empty()
            || self.bearer_token_file.is_some()
            || self.tls.has_client_cert()
    }

    /// Refuses settings that contradict one another.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |text: &str| Err(ConfigError::Invalid(text.into()));
        let token = !self.bearer_token.is_empty() || self.bearer_token_file.is_some();
        if !self.username.is_empty() && token {
            return refuse("username/password or bearer token may be set, but not both");
        }
        if self.exec.is_some() && self.auth_provider.is_some() {
            return refuse("an exec plugin and an auth provider cannot be used together");
        }
        if let Some(provider) = &self.auth_provider {
            provider.validate()?;
        }
        if self.transport.is_some() && self.tls != TlsConfig::default() {
            return refuse("a custom transport excludes TLS options and the insecure flag");
        }
        self.tls.validate()
    }

    /// The parsed `host`: scheme, authority, and a path prefix that ends in `/`. Query and fragment are dropped.
    pub(crate) fn base_url(&self) -> Result<(String, String, String), ConfigError> {
        let host = if self.host.is_empty() { "localhost" } else { self.host.as_str() };
        let bad = || ConfigError::Invalid(format!("host must be a URL or a host:port pair: {host:?}"));
        let (scheme, rest, had_scheme) = match host.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest, true),
            None => ((if self.tls.is_default_tls() { "https" } else { "http" }).to_owned(), host, false),
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p));
        let parsed: http::uri::Authority = authority.parse().map_err(|_| bad())?;
        if parsed.host().is_empty() || !matches!(scheme.as_str(), "http" | "https") || (!had_scheme && !path.is_empty())
        {
            return Err(bad());
        }
        let path = path.trim_end_matches('/');
        let prefix = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
        Ok((scheme, authority.to_owned(), prefix))
    }
}

/// `<program>/<version> (<os>/<arch>) kubernetes/<commit>`, in Go's words for systems.
#[must_use]
pub fn default_user_agent() -> String {
    let argv0 = std::env::args_os().next().unwrap_or_default();
    let program = std::path::Path::new(&argv0).file_name().map(|n| n.to_string_lossy().into_owned());
    let program = program.filter(|p| !p.is_empty()).unwrap_or_else(|| "unknown".into());
    let version = env!("CARGO_PKG_VERSION").split('-').next().unwrap_or_default();
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    format!("{program}/v{version} ({os}/{arch}) kubernetes/unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(host: &str) -> Result<String, ConfigError> {
        Config::new(host).base_url().map(|(s, a, p)| format!("{s}://{a}{p}"))
    }

    #[test]
    fn hosts_become_base_urls() {
        assert_eq!(base("").unwrap(), "http://localhost/");
        assert_eq!(base("a:8080").unwrap(), "http://a:8080/");
        assert_eq!(base("https://a/prefix?x=1#y").unwrap(), "https://a/prefix/");
        assert_eq!(base("https://[::1]:6443").unwrap(), "https://[::1]:6443/");
        assert!(base("a/prefix").is_err() && base("ftp://a").is_err());
    }

    #[test]
    fn tls_settings_make_https_the_default_scheme() {
        let config = Config { tls: TlsConfig { insecure: true, ..TlsConfig::default() }, ..Config::new("a") };
        assert_eq!(config.base_url().unwrap().0, "https");
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |config: Config| config.validate().is_err();
        assert!(refused(Config { username: "u".into(), bearer_token: "t".into(), ..Config::default() }));
        assert!(refused(Config { auth_provider: Some(AuthProvider::default()), ..Config::default() }));
        let tls = TlsConfig { insecure: true, ca_data: b"x".to_vec(), ..TlsConfig::default() };
        assert!(refused(Config { tls, ..Config::default() }));
        assert!(!refused(Config::default()));
    }

    #[test]
    fn debug_shows_no_secret() {
        let config = Config { bearer_token: "hunter2".into(), password: "hunter3".into(), ..Config::default() };
        assert!(!format!("{config:?}").contains("hunter"));
    }

    #[test]
    fn the_user_agent_names_program_and_system() {
        let agent = Config::default().add_user_agent("leader-election").user_agent;
        assert!(agent.contains(" (") && agent.ends_with("kubernetes/unknown/leader-election"), "{agent}");
    }

    #[test]
    fn an_anonymous_copy_keeps_the_server_and_drops_the_rest() {
        let config = Config {
            bearer_token: "t".into(),
            tls: TlsConfig { server_name: "n".into(), cert_data: b"c".to_vec(), ..TlsConfig::default() },
            ..Config::new("a")
        };
        let anonymous = config.anonymous();
        assert!(anonymous.bearer_token.is_empty() && anonymous.tls.cert_data.is_empty());
        assert_eq!((anonymous.host.as_str(), anonymous.tls.server_name.as_str()), ("a", "n"));
    }
}
