//! What a pod knows about its cluster: two variables and the files of its service account.
//!
//! Counterpart: client-go `rest.InClusterConfig` and the in-cluster half of `clientcmd`.

use super::{Config, ConfigError, TlsConfig};
use std::path::{Path, PathBuf};

/// Where the files of the service account are mounted.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A pod's surroundings; gathered by [`InCluster::from_env`], or by hand in tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InCluster {
    /// `KUBERNETES_SERVICE_HOST`
    pub host: String,
    /// `KUBERNETES_SERVICE_PORT`
    pub port: String,
    /// `POD_NAMESPACE`
    pub pod_namespace: String,
    /// Directory of `token`, `ca.crt` and `namespace`.
    pub mount: PathBuf,
}

impl InCluster {
    /// Reads the variables.
    #[must_use]
    pub fn from_env() -> Self {
        let get = |name| std::env::var(name).unwrap_or_default();
        Self {
            host: get("KUBERNETES_SERVICE_HOST"),
            port: get("KUBERNETES_SERVICE_PORT"),
            pod_namespace: get("POD_NAMESPACE"),
            mount: MOUNT.into(),
        }
    }

    /// Whether this process seems to run in a pod.
    #[must_use]
    pub fn possible() -> bool {
        Self::from_env().is_possible()
    }

    /// Both variables are set, and the token is a file.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let token = self.mount.join("token");
        !self.host.is_empty() && !self.port.is_empty() && token.exists() && !token.is_dir()
    }

    /// The configuration.
    ///
    /// # Errors
    /// [`ConfigError::NotInCluster`] without the variables; an unreadable token. An unusable `ca.crt` is only logged:
    /// the system's authorities are used then.
    pub fn config(&self) -> Result<Config, ConfigError> {
        if self.host.is_empty() || self.port.is_empty() {
            return Err(ConfigError::NotInCluster);
        }
        let file = self.mount.join("token");
        let token = std::fs::read_to_string(&file).map_err(|e| ConfigError::file(&file, &e))?;
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        Ok(Config {
            host: format!("https://{host}:{}", self.port),
            tls: TlsConfig { ca_file: self.ca(), ..TlsConfig::default() },
            bearer_token: token.into(),
            bearer_token_file: Some(file),
            ..Config::default()
        })
    }

    fn ca(&self) -> Option<PathBuf> {
        let file = self.mount.join("ca.crt");
        match std::fs::read(&file) {
            Ok(pem) if String::from_utf8_lossy(&pem).contains("BEGIN CERTIFICATE") => Some(file),
            _ => {
                tracing::error!(target: "client::config", file = %file.display(), "root CA cannot be loaded, using the system's");
                None
            }
        }
    }

    /// The pod's namespace: `POD_NAMESPACE`, else the mounted file, else `default`.
    #[must_use]
    pub fn namespace(&self) -> String {
        if !self.pod_namespace.is_empty() {
            return self.pod_namespace.clone();
        }
        namespace_file(&self.mount).unwrap_or_else(|| "default".into())
    }
}

fn namespace_file(mount: &Path) -> Option<String> {
    let text = std::fs::read_to_string(mount.join("namespace")).ok()?;
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(host: &str) -> (tempfile::TempDir, InCluster) {
        let dir = tempfile::tempdir().unwrap();
        let pod = InCluster { host: host.into(), port: "443".into(), mount: dir.path().into(), ..InCluster::default() };
        (dir, pod)
    }

    #[test]
    fn the_token_is_kept_with_its_file() {
        let (dir, pod) = pod("fd00::1");
        assert!(!pod.is_possible() && matches!(pod.config(), Err(ConfigError::File { .. })));
        std::fs::write(dir.path().join("token"), "t\n").unwrap();
        let config = pod.config().unwrap();
        assert!(pod.is_possible());
        assert_eq!(config.host, "https://[fd00::1]:443");
        assert_eq!(config.bearer_token.expose(), "t\n");
        assert_eq!(config.bearer_token_file, Some(dir.path().join("token")));
        assert_eq!(config.tls.ca_file, None, "an unusable CA is left out");
    }

    #[test]
    fn outside_of_a_pod_there_is_a_distinct_error() {
        let (_dir, pod) = pod("");
        assert_eq!(pod.config().unwrap_err(), ConfigError::NotInCluster);
    }

    #[test]
    fn the_namespace_comes_from_the_variable_then_the_file() {
        let (dir, mut pod) = pod("h");
        assert_eq!(pod.namespace(), "default");
        std::fs::write(dir.path().join("namespace"), " ns\n").unwrap();
        assert_eq!(pod.namespace(), "ns");
        pod.pod_namespace = "var".into();
        assert_eq!(pod.namespace(), "var");
    }
}
