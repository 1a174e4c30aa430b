//! Credential plugins: programs that print an `ExecCredential`.
//!
//! Counterpart: client-go `plugin/pkg/client/auth/exec`. A credential is kept until it expires or a server answers 401;
//! the request that met the 401 is not repeated here.

use super::ConfigError;
use crate::transport::Identity;
use crate::{Secret, clock};
use serde_json::{Value, json};
use std::fmt;
use std::io::IsTerminal;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::process::Command;
use tokio::sync::Mutex;

/// Whether a plugin may talk to the user on standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InteractiveMode {
    /// Never.
    Never,
    /// If standard input is a terminal. The default of v1beta1.
    #[default]
    IfAvailable,
    /// It must; without a terminal the plugin is not run.
    Always,
}

/// Which plugins may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PluginPolicy {
    /// Any.
    #[default]
    AllowAll,
    /// None.
    DenyAll,
    /// Those with this path, or this file name.
    Allowlist(Vec<String>),
}

/// A plugin and how to call it.
#[derive(Clone, Default, PartialEq)]
pub struct ExecConfig {
    /// Program; looked up in PATH unless it contains a separator.
    pub command: String,
    /// Arguments.
    pub args: Vec<String>,
    /// Variables added to the environment.
    pub env: Vec<(String, String)>,
    /// `client.authentication.k8s.io/v1` or `/v1beta1`.
    pub api_version: String,
    /// Told to the user when the program is missing.
    pub install_hint: String,
    /// Tell the plugin about the cluster.
    pub provide_cluster_info: bool,
    /// Use of standard input.
    pub interactive_mode: InteractiveMode,
    /// `spec.cluster` of the plugin's input; used when `provide_cluster_info` is set.
    pub cluster: Option<Value>,
    /// Which plugins may run.
    pub policy: PluginPolicy,
}

impl fmt::Debug for ExecConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments and variables often hold secrets, and cluster configuration may.
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("ExecConfig")
            .field("command", &self.command)
            .field("args", &format_args!("[{} redacted]", self.args.len()))
            .field("env", &names)
            .field("api_version", &self.api_version)
            .field("interactive_mode", &self.interactive_mode)
            .field("provide_cluster_info", &self.provide_cluster_info)
            .finish_non_exhaustive()
    }
}

/// What a plugin gave.
#[derive(Clone, Default)]
pub struct ExecCredential {
    /// Bearer token; may be empty when there is a certificate.
    pub token: Secret,
    pub(crate) identity: Option<Identity>,
    expires: Option<jiff::Timestamp>,
}

impl fmt::Debug for ExecCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecCredential")
            .field("token", &self.token)
            .field("certificate", &self.identity.is_some())
            .field("expires", &self.expires)
            .finish()
    }
}

/// Runs one plugin and keeps what it gave.
pub struct ExecAuthenticator {
    config: ExecConfig,
    kept: Mutex<Option<Arc<ExecCredential>>>,
    refused: AtomicBool,
    runs: AtomicU64,
}

impl fmt::Debug for ExecAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecAuthenticator").field("config", &self.config).finish_non_exhaustive()
    }
}

const V1: &str = "client.authentication.k8s.io/v1";
const V1BETA1: &str = "client.authentication.k8s.io/v1beta1";

impl ExecAuthenticator {
    /// Nothing is run yet.
    #[must_use]
    pub fn new(config: ExecConfig) -> Self {
        Self { config, kept: Mutex::new(None), refused: AtomicBool::new(false), runs: AtomicU64::new(0) }
    }

    /// The credential; runs the plugin when there is none, it has expired, or a server refused it. Callers that come
    /// meanwhile wait for the same run.
    ///
    /// # Errors
    /// When the plugin may not run, fails, or prints something else.
    pub async fn credential(&self) -> Result<Arc<ExecCredential>, ConfigError> {
        let mut kept = self.kept.lock().await;
        let refused = self.refused.swap(false, Ordering::AcqRel);
        if let Some(credential) = kept.as_ref()
            && !refused
            && credential.expires.is_none_or(|at| clock::wall() < at)
        {
            return Ok(credential.clone());
        }
        let credential = Arc::new(self.run().await?);
        *kept = Some(credential.clone());
        Ok(credential)
    }

    /// Asks the plugin again at the next use.
    pub fn expire(&self) {
        self.refused.store(true, Ordering::Release);
    }

    /// How often the plugin was run.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    fn allowed(&self) -> bool {
        match &self.config.policy {
            PluginPolicy::AllowAll => true,
            PluginPolicy::DenyAll => false,
            PluginPolicy::Allowlist(names) => {
                let base = Path::new(&self.config.command).file_name().map(|n| n.to_string_lossy().into_owned());
                names.iter().any(|n| *n == self.config.command || Some(n) == base.as_ref())
            }
        }
    }

    fn interactive(&self, terminal: bool) -> Result<bool, ConfigError> {
        match self.config.interactive_mode {
            InteractiveMode::Never => Ok(false),
            InteractiveMode::IfAvailable => Ok(terminal),
            InteractiveMode::Always if terminal => Ok(true),
            InteractiveMode::Always => {
                Err(self.fails("the plugin requires standard input to be a terminal, which it is not"))
            }
        }
    }

    fn fails(&self, why: impl fmt::Display) -> ConfigError {
        ConfigError::Invalid(format!("exec plugin {}: {why}", self.config.command))
    }

    /// `KUBERNETES_EXEC_INFO`.
    fn input(&self, interactive: bool) -> String {
        let mut spec = json!({"interactive": interactive});
        if self.config.provide_cluster_info
            && let Some(cluster) = &self.config.cluster
        {
            spec["cluster"] = cluster.clone();
        }
        json!({"kind": "ExecCredential", "apiVersion": self.config.api_version, "spec": spec}).to_string()
    }

    async fn run(&self) -> Result<ExecCredential, ConfigError> {
        if !self.allowed() {
            return Err(self.fails("not allowed by the plugin policy"));
        }
        if self.config.api_version != V1 && self.config.api_version != V1BETA1 {
            return Err(self.fails(format_args!("invalid apiVersion {:?}", self.config.api_version)));
        }
        let interactive = self.interactive(std::io::stdin().is_terminal())?;
        self.runs.fetch_add(1, Ordering::Relaxed);
        let output = Command::new(&self.config.command)
            .args(&self.config.args)
            .envs(self.config.env.iter().map(|(k, v)| (k, v)))
            .env("KUBERNETES_EXEC_INFO", self.input(interactive))
            .stdin(if interactive { Stdio::inherit() } else { Stdio::null() })
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|e| self.not_started(&e))?;
        if !output.status.success() {
            return Err(self.fails(format_args!("failed with {}", output.status)));
        }
        self.read(&output.stdout)
    }

    fn not_started(&self, error: &std::io::Error) -> ConfigError {
        if error.kind() != std::io::ErrorKind::NotFound {
            return self.fails(error);
        }
        let hint = self.config.install_hint.trim();
        if hint.is_empty() {
            self.fails("executable not found")
        } else {
            self.fails(format_args!("executable not found\n\n{hint}"))
        }
    }

    fn read(&self, stdout: &[u8]) -> Result<ExecCredential, ConfigError> {
        // What was printed may be half a secret: it never gets into a message.
        let value: Value = serde_json::from_slice(stdout).map_err(|_| self.fails("printed no JSON object"))?;
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if text("/kind") != "ExecCredential" || text("/apiVersion") != self.config.api_version {
            return Err(self.fails(format_args!(
                "configured for {}, printed {} {}",
                self.config.api_version,
                text("/apiVersion"),
                text("/kind")
            )));
        }
        if !value.get("status").is_some_and(Value::is_object) {
            return Err(self.fails("printed no status"));
        }
        let (cert, key) = (text("/status/clientCertificateData"), text("/status/clientKeyData"));
        if cert.is_empty() != key.is_empty() {
            return Err(self.fails("printed only a client certificate, or only its key"));
        }
        let token = text("/status/token");
        if token.is_empty() && cert.is_empty() {
            return Err(self.fails("printed neither a token nor a client certificate"));
        }
        let expires = match text("/status/expirationTimestamp") {
            "" => None,
            stamp => Some(stamp.parse().map_err(|_| self.fails("printed an expirationTimestamp that is no time"))?),
        };
        let identity = (!cert.is_empty()).then(|| Identity { cert: cert.into(), key: key.into() });
        Ok(ExecCredential { token: token.into(), identity, expires })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(script: &str, version: &str) -> ExecAuthenticator {
        ExecAuthenticator::new(ExecConfig {
            command: "sh".into(),
            args: vec!["-c".into(), script.into()],
            api_version: version.into(),
            interactive_mode: InteractiveMode::Never,
            ..ExecConfig::default()
        })
    }

    fn printing(status: &str) -> ExecAuthenticator {
        plugin(&format!(r#"echo '{{"kind":"ExecCredential","apiVersion":"{V1}","status":{status}}}'"#), V1)
    }

    #[tokio::test]
    async fn a_token_without_expiry_is_kept_until_refused() {
        let exec = printing(r#"{"token":"t"}"#);
        assert_eq!(exec.credential().await.unwrap().token.expose(), "t");
        exec.credential().await.unwrap();
        assert_eq!(exec.runs(), 1);
        exec.expire();
        exec.credential().await.unwrap();
        assert_eq!(exec.runs(), 2);
    }

    #[tokio::test]
    async fn an_expired_token_is_asked_for_again() {
        let exec = printing(r#"{"token":"t","expirationTimestamp":"2001-01-01T00:00:00Z"}"#);
        exec.credential().await.unwrap();
        exec.credential().await.unwrap();
        assert_eq!(exec.runs(), 2);
    }

    #[tokio::test]
    async fn the_plugin_is_told_version_interactivity_and_cluster() {
        let script = r#"printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","status":{"token":"%s"}}' "$(printf %s "$KUBERNETES_EXEC_INFO" | base64 -w0)""#;
        let mut exec = plugin(script, V1BETA1);
        exec.config.provide_cluster_info = true;
        exec.config.cluster = Some(json!({"server": "https://a"}));
        let token = exec.credential().await.unwrap().token.expose().to_owned();
        let seen = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, token).unwrap();
        let seen: Value = serde_json::from_slice(&seen).unwrap();
        assert_eq!(
            seen,
            json!({"kind": "ExecCredential", "apiVersion": V1BETA1, "spec": {"interactive": false, "cluster": {"server": "https://a"}}})
        );
    }

    #[tokio::test]
    async fn bad_output_is_refused_without_repeating_it() {
        for status in
            ["{}", r#"{"clientKeyData":"hunter2"}"#, "null", r#"{"token":"hunter2","expirationTimestamp":"soon"}"#]
        {
            let error = printing(status).credential().await.unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(plugin("echo hunter2", V1).credential().await.is_err());
        assert!(plugin("exit 3", V1).credential().await.unwrap_err().to_string().contains("exit status: 3"));
        let other = plugin(
            &format!(r#"echo '{{"kind":"ExecCredential","apiVersion":"{V1}","status":{{"token":"t"}}}}'"#),
            V1BETA1,
        );
        assert!(other.credential().await.is_err(), "the version must be the configured one");
    }

    #[tokio::test]
    async fn a_missing_program_shows_the_hint() {
        let mut exec = printing("{}");
        exec.config.command = "/nonexistent/plugin".into();
        exec.config.install_hint = "install it".into();
        assert!(exec.credential().await.unwrap_err().to_string().ends_with("install it"));
    }

    #[tokio::test]
    async fn policies_are_obeyed() {
        let mut exec = printing(r#"{"token":"t"}"#);
        exec.config.policy = PluginPolicy::DenyAll;
        assert!(exec.credential().await.is_err());
        exec.config.policy = PluginPolicy::Allowlist(vec!["sh".into()]);
        assert!(exec.credential().await.is_ok());
    }

    #[test]
    fn always_needs_a_terminal() {
        let mut exec = printing("{}");
        exec.config.interactive_mode = InteractiveMode::Always;
        assert!(exec.interactive(false).is_err() && exec.interactive(true).unwrap());
        exec.config.interactive_mode = InteractiveMode::IfAvailable;
        assert!(!exec.interactive(false).unwrap());
    }
}
