//! From a kubeconfig and overrides to a [`Config`]: choosing the context, its server and its user.
//!
//! Counterpart: client-go `clientcmd.DirectClientConfig` and `DeferredLoadingClientConfig`.

use super::{
    AuthInfo, AuthProvider, Cluster, Config, ConfigError, ExecConfig, Impersonation, InCluster, InteractiveMode,
    KubeContext, Kubeconfig, LoadingRules, PluginPolicy, TlsConfig, validate,
};
use crate::Secret;
use crate::transport::{Proxy, ProxyTarget};
use base64::Engine as _;
use rehearsal_apimachinery::time::parse_duration;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::time::Duration;

/// What flags say against the file; empty fields say nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Context to use.
    pub current_context: String,
    /// Namespace.
    pub namespace: String,
    /// Name of the cluster to use.
    pub cluster: String,
    /// Name of the user to use.
    pub user: String,
    /// Server URL; discards the file's tls-server-name.
    pub server: String,
    /// Name to verify.
    pub tls_server_name: String,
    /// Accept any certificate; clears the file's authorities.
    pub insecure: bool,
    /// Authorities; clears the file's data and its insecure flag.
    pub certificate_authority: String,
    /// Proxy.
    pub proxy_url: String,
    /// No gzip.
    pub disable_compression: bool,
    /// Bearer token.
    pub token: Secret,
    /// File of the bearer token.
    pub token_file: String,
    /// Basic authentication.
    pub username: String,
    /// Basic authentication.
    pub password: Secret,
    /// Client certificate; replaces file and data.
    pub client_certificate: String,
    /// Client key; replaces file and data.
    pub client_key: String,
    /// Who to act as.
    pub impersonate: Impersonation,
    /// Seconds, or a Go duration.
    pub timeout: String,
}

impl Overrides {
    /// The few that count for a pod's own configuration: server, token or its file, and the file of authorities.
    fn in_cluster(&self, mut config: Config) -> Config {
        let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        if !self.server.is_empty() {
            config.host.clone_from(&self.server);
        }
        if !self.token.is_empty() || !self.token_file.is_empty() {
            config.bearer_token = self.token.clone();
            config.bearer_token_file = path(&self.token_file);
        }
        if let Some(file) = path(&self.certificate_authority) {
            config.tls.ca_file = Some(file);
        }
        config
    }
}

/// A loaded kubeconfig on its way to a [`Config`].
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    raw: Kubeconfig,
    overrides: Overrides,
    policy: PluginPolicy,
}

impl ClientConfig {
    /// Wraps a kubeconfig whose paths are resolved.
    #[must_use]
    pub fn new(raw: Kubeconfig) -> Self {
        Self { raw, ..Self::default() }
    }

    /// Loads by rules. The second part is what went wrong beside what could be loaded.
    #[must_use]
    pub fn load(rules: &LoadingRules) -> (Self, Option<ConfigError>) {
        let loaded = rules.load();
        let error = loaded.error();
        (Self::new(loaded.config), error)
    }

    /// Applies overrides.
    #[must_use]
    pub fn overrides(mut self, overrides: Overrides) -> Self {
        self.overrides = overrides;
        self
    }

    /// Uses this context.
    #[must_use]
    pub fn context(mut self, name: impl Into<String>) -> Self {
        self.overrides.current_context = name.into();
        self
    }

    /// Says which credential plugins may run.
    #[must_use]
    pub fn plugin_policy(mut self, policy: PluginPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The merged kubeconfig.
    #[must_use]
    pub fn raw(&self) -> &Kubeconfig {
        &self.raw
    }

    /// The namespace to work in, and whether an override set it.
    #[must_use]
    pub fn namespace(&self) -> (String, bool) {
        if !self.overrides.namespace.is_empty() {
            return (self.overrides.namespace.clone(), true);
        }
        let context = self.chosen_context().map(|c| c.namespace).unwrap_or_default();
        (if context.is_empty() { "default".into() } else { context }, false)
    }

    fn chosen_context(&self) -> Result<KubeContext, ConfigError> {
        let name = match self.overrides.current_context.as_str() {
            "" => self.raw.current_context.as_str(),
            name => name,
        };
        let mut context = match self.raw.contexts.get(name) {
            Some(context) => context.clone(),
            None if name.is_empty() => KubeContext::default(),
            None => return Err(ConfigError::NoSuchContext(name.into())),
        };
        for (field, wanted) in
            [(&mut context.cluster, &self.overrides.cluster), (&mut context.user, &self.overrides.user)]
        {
            if !wanted.is_empty() {
                field.clone_from(wanted);
            }
        }
        Ok(context)
    }

    /// The configuration.
    ///
    /// # Errors
    /// [`ConfigError::Empty`] when nothing is configured; a missing context, cluster or user; what validation finds.
    pub fn client_config(&self) -> Result<Config, ConfigError> {
        if self.raw.is_empty() && self.overrides == Overrides::default() {
            return Err(ConfigError::Empty);
        }
        let context = self.chosen_context()?;
        let cluster = self.chosen_cluster(&context.cluster)?;
        let user = self.chosen_user(&context.user)?;
        if cluster == Cluster::default() {
            return Err(ConfigError::Empty);
        }
        let mut errors = validate::user(&context.user, &user);
        errors.extend(validate::cluster(&context.cluster, &cluster));
        if let Some(error) = ConfigError::gather(errors) {
            return Err(error);
        }
        let mut config = Config {
            host: cluster.server.clone(),
            timeout: timeout(&self.overrides.timeout)?,
            disable_compression: cluster.disable_compression,
            impersonate: Impersonation {
                user_name: user.impersonate.clone(),
                uid: user.impersonate_uid.clone(),
                groups: user.impersonate_groups.clone(),
                extra: user.impersonate_extra.clone(),
            },
            ..Config::default()
        };
        if !cluster.proxy_url.is_empty() {
            config.proxy = Proxy::Fixed(ProxyTarget::parse(&cluster.proxy_url)?);
        }
        if cluster.server.starts_with("https://") {
            self.prove(&mut config, &cluster, &context.user, &user);
        } else if user != AuthInfo::default() {
            tracing::warn!(target: "client::config", "the server is not https: no credentials will be sent to it");
        }
        Ok(config)
    }

    /// Like [`ClientConfig::client_config`], but what the pod knows when nothing is configured.
    /// Counterpart: `DeferredLoadingClientConfig`.
    ///
    /// # Errors
    /// As [`ClientConfig::client_config`].
    pub fn client_config_or_in_cluster(&self) -> Result<Config, ConfigError> {
        match self.client_config() {
            Err(error) if error.is_empty_config() && InCluster::possible() => {
                InCluster::from_env().config().map(|config| self.overrides.in_cluster(config))
            }
            result => result,
        }
    }

    fn chosen_cluster(&self, name: &str) -> Result<Cluster, ConfigError> {
        let mut cluster = match self.raw.clusters.get(name) {
            Some(cluster) => cluster.clone(),
            None if name.is_empty() => Cluster::default(),
            None => return Err(ConfigError::Invalid(format!("cluster {name:?} does not exist"))),
        };
        let o = &self.overrides;
        if !o.server.is_empty() {
            cluster.server.clone_from(&o.server);
            cluster.tls_server_name.clear();
        }
        if !o.tls_server_name.is_empty() {
            cluster.tls_server_name.clone_from(&o.tls_server_name);
        }
        if !o.proxy_url.is_empty() {
            cluster.proxy_url.clone_from(&o.proxy_url);
        }
        cluster.disable_compression |= o.disable_compression;
        if o.insecure || !o.certificate_authority.is_empty() {
            cluster.certificate_authority.clone_from(&o.certificate_authority);
            cluster.certificate_authority_data.clear();
            cluster.insecure_skip_tls_verify = o.insecure;
        }
        Ok(cluster)
    }

    fn chosen_user(&self, name: &str) -> Result<AuthInfo, ConfigError> {
        let mut user = match self.raw.users.get(name) {
            Some(user) => user.clone(),
            None if name.is_empty() => AuthInfo::default(),
            None => return Err(ConfigError::Invalid(format!("auth info {name:?} does not exist"))),
        };
        let o = &self.overrides;
        if !o.token.is_empty() || !o.token_file.is_empty() {
            user.token = o.token.clone();
            user.token_file.clone_from(&o.token_file);
        }
        for (field, wanted) in [(&mut user.username, &o.username), (&mut user.impersonate, &o.impersonate.user_name)] {
            if !wanted.is_empty() {
                field.clone_from(wanted);
            }
        }
        if !o.password.is_empty() {
            user.password = o.password.clone();
        }
        if !o.impersonate.uid.is_empty() {
            user.impersonate_uid.clone_from(&o.impersonate.uid);
        }
        if !o.impersonate.groups.is_empty() {
            user.impersonate_groups.clone_from(&o.impersonate.groups);
        }
        if !o.impersonate.extra.is_empty() {
            user.impersonate_extra.clone_from(&o.impersonate.extra);
        }
        if !o.client_certificate.is_empty() {
            user.client_certificate.clone_from(&o.client_certificate);
            user.client_certificate_data.clear();
        }
        if !o.client_key.is_empty() {
            user.client_key.clone_from(&o.client_key);
            user.client_key_data = Secret::default();
        }
        Ok(user)
    }

    /// What only goes to an https server: authorities and every proof of identity.
    fn prove(&self, config: &mut Config, cluster: &Cluster, name: &str, user: &AuthInfo) {
        let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        config.tls = TlsConfig {
            insecure: cluster.insecure_skip_tls_verify,
            server_name: cluster.tls_server_name.clone(),
            ca_file: path(&cluster.certificate_authority),
            ca_data: cluster.certificate_authority_data.clone(),
            cert_file: path(&user.client_certificate),
            cert_data: user.client_certificate_data.clone(),
            key_file: path(&user.client_key),
            key_data: user.client_key_data.expose().as_bytes().to_vec(),
            next_protos: Vec::new(),
        };
        config.bearer_token = user.token.clone();
        config.bearer_token_file = path(&user.token_file);
        config.username.clone_from(&user.username);
        config.password = user.password.clone();
        config.auth_provider = user
            .auth_provider
            .clone()
            .map(|entry| AuthProvider { entry, persist: user.origin.file.clone().map(|file| (file, name.to_owned())) });
        config.exec = user.exec.as_ref().map(|exec| ExecConfig {
            command: exec.command.clone(),
            args: exec.args.clone(),
            env: exec.env.iter().map(|v| (v.name.clone(), v.value.expose().to_owned())).collect(),
            api_version: exec.api_version.clone(),
            install_hint: exec.install_hint.clone(),
            provide_cluster_info: exec.provide_cluster_info,
            interactive_mode: match exec.interactive_mode.as_str() {
                "Never" => InteractiveMode::Never,
                "Always" => InteractiveMode::Always,
                _ => InteractiveMode::IfAvailable,
            },
            cluster: Some(exec_cluster(cluster)),
            policy: self.policy.clone(),
        });
    }
}

/// `spec.cluster` of an `ExecCredential`.
fn exec_cluster(cluster: &Cluster) -> Value {
    let mut info = Map::new();
    let mut text = |key: &str, value: &str| {
        if !value.is_empty() {
            info.insert(key.to_owned(), value.into());
        }
    };
    text("server", &cluster.server);
    text("tls-server-name", &cluster.tls_server_name);
    text("proxy-url", &cluster.proxy_url);
    let ca = if cluster.certificate_authority_data.is_empty() && !cluster.certificate_authority.is_empty() {
        std::fs::read(&cluster.certificate_authority).unwrap_or_default()
    } else {
        cluster.certificate_authority_data.clone()
    };
    text("certificate-authority-data", &base64::engine::general_purpose::STANDARD.encode(ca));
    if cluster.insecure_skip_tls_verify {
        info.insert("insecure-skip-tls-verify".into(), true.into());
    }
    if cluster.disable_compression {
        info.insert("disable-compression".into(), true.into());
    }
    let named = |e: &&Value| e.get("name").and_then(Value::as_str) == Some("client.authentication.k8s.io/exec");
    let config = cluster.extensions.iter().find(named).and_then(|e| e.get("extension"));
    info.insert("config".into(), config.cloned().unwrap_or(Value::Null));
    Value::Object(info)
}

/// A bare integer is seconds.
fn timeout(text: &str) -> Result<Option<Duration>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let nanos = match text.parse::<i64>() {
        Ok(seconds) => seconds.saturating_mul(1_000_000_000),
        Err(_) => parse_duration(text).map_err(|_| {
            ConfigError::Invalid(format!("invalid timeout value {text:?}: an integer of seconds, or a duration"))
        })?,
    };
    Ok(u64::try_from(nanos).ok().filter(|n| *n > 0).map(Duration::from_nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
current-context: dev
clusters:
- name: tls
  cluster: {server: 'https://a:6443', tls-server-name: sni, certificate-authority-data: Q0E=, proxy-url: 'socks5://p'}
- name: plain
  cluster: {server: 'http://b'}
users:
- name: u
  user: {token: t, as: root, as-groups: [g]}
- name: both
  user: {token: t, username: nick}
- name: plugin
  user: {exec: {command: p, apiVersion: client.authentication.k8s.io/v1}}
contexts:
- {name: dev, context: {cluster: tls, user: u, namespace: ns}}
- {name: plain, context: {cluster: plain, user: u}}
- {name: both, context: {cluster: tls, user: both}}
- {name: plugin, context: {cluster: tls, user: plugin}}
- {name: dangling, context: {cluster: nowhere, user: u}}
";

    fn loaded() -> ClientConfig {
        ClientConfig::new(Kubeconfig::parse(TEXT.as_bytes()).unwrap())
    }

    #[test]
    fn the_current_context_is_used_unless_another_is_named() {
        let config = loaded().client_config().unwrap();
        assert_eq!((config.host.as_str(), config.tls.server_name.as_str()), ("https://a:6443", "sni"));
        assert_eq!(config.bearer_token.expose(), "t");
        assert_eq!(loaded().namespace(), ("ns".into(), false));
        assert_eq!(loaded().context("plain").client_config().unwrap().host, "http://b");
        let missing = loaded().context("none").client_config().unwrap_err();
        assert_eq!(missing, ConfigError::NoSuchContext("none".into()));
        assert!(loaded().context("dangling").client_config().is_err());
    }

    #[test]
    fn few_overrides_count_for_what_a_pod_knows() {
        let pod =
            || Config { bearer_token: "pod".into(), bearer_token_file: Some("f".into()), ..Config::new("https://k") };
        let unchanged = Overrides { namespace: "ns".into(), username: "u".into(), ..Overrides::default() };
        let config = unchanged.in_cluster(pod());
        assert_eq!(
            (config.host.as_str(), config.bearer_token.expose(), config.username.as_str()),
            ("https://k", "pod", "")
        );
        let overrides = Overrides {
            server: "https://other".into(),
            token: "mine".into(),
            certificate_authority: "/ca".into(),
            ..Overrides::default()
        };
        let config = overrides.in_cluster(pod());
        assert_eq!((config.host.as_str(), config.bearer_token.expose()), ("https://other", "mine"));
        assert_eq!((config.bearer_token_file, config.tls.ca_file), (None, Some("/ca".into())));
    }

    #[test]
    fn an_http_server_gets_impersonation_and_no_credentials() {
        let config = loaded().context("plain").client_config().unwrap();
        assert!(config.bearer_token.is_empty() && config.tls == TlsConfig::default());
        assert_eq!((config.impersonate.user_name.as_str(), config.impersonate.groups.len()), ("root", 1));
    }

    #[test]
    fn overrides_of_the_server_discard_its_tls_name() {
        let overrides = Overrides { server: "https://other".into(), timeout: "90".into(), ..Overrides::default() };
        let config = loaded().overrides(overrides).client_config().unwrap();
        assert_eq!((config.host.as_str(), config.tls.server_name.as_str()), ("https://other", ""));
        assert_eq!(config.timeout, Some(Duration::from_secs(90)));
        assert_eq!(timeout("1m30s").unwrap(), Some(Duration::from_secs(90)));
        assert!(timeout("soon").is_err());
    }

    #[test]
    fn insecure_and_authority_overrides_clear_one_another() {
        let insecure = Overrides { insecure: true, ..Overrides::default() };
        let config = loaded().overrides(insecure).client_config().unwrap();
        assert!(config.tls.insecure && !config.tls.has_ca());
    }

    #[test]
    fn findings_are_gathered() {
        assert!(loaded().context("both").client_config().unwrap_err().to_string().contains("token basicAuth"));
        assert!(loaded().context("plugin").client_config().unwrap_err().to_string().contains("interactiveMode"));
    }

    #[test]
    fn nothing_at_all_is_its_own_error() {
        assert!(ClientConfig::default().client_config().unwrap_err().is_empty_config());
        let server = Overrides { server: "http://x".into(), ..Overrides::default() };
        assert_eq!(ClientConfig::default().overrides(server).client_config().unwrap().host, "http://x");
    }
}
