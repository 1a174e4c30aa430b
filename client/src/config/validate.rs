//! What makes a server entry or a user entry unusable.
//!
//! Counterpart: client-go `clientcmd/validation.go`. All findings are gathered.

use super::{AuthInfo, Cluster, ConfigError};
use std::path::Path;

fn readable(path: &str, what: &str, name: &str, errors: &mut Vec<ConfigError>) {
    if let Err(error) = std::fs::File::open(Path::new(path)) {
        errors.push(ConfigError::Invalid(format!("unable to read {what} {path} for {name:?}: {error}")));
    }
}

/// Findings about a server.
pub(crate) fn cluster(name: &str, cluster: &Cluster) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    if cluster.server.is_empty() {
        errors.push(ConfigError::Invalid(if name.is_empty() {
            "default cluster has no server defined".into()
        } else {
            format!("no server found for cluster {name:?}")
        }));
    }
    if !cluster.proxy_url.is_empty()
        && let Err(error) = crate::transport::ProxyTarget::parse(&cluster.proxy_url)
    {
        errors.push(ConfigError::Invalid(format!("invalid proxy-url for cluster {name:?}: {error}")));
    }
    if !cluster.certificate_authority.is_empty() {
        if !cluster.certificate_authority_data.is_empty() {
            errors.push(ConfigError::Invalid(format!(
                "certificate-authority-data and certificate-authority are both specified for {name:?}"
            )));
        }
        readable(&cluster.certificate_authority, "certificate-authority", name, &mut errors);
    }
    errors
}

/// Findings about a user.
pub(crate) fn user(name: &str, user: &AuthInfo) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut bad = |text: String| errors.push(ConfigError::Invalid(text));
    let methods = [!user.token.is_empty(), !user.username.is_empty() || !user.password.is_empty()];
    if methods.iter().filter(|m| **m).count() > 1 {
        bad(format!(
            "more than one authentication method found for {name:?}; found [token basicAuth], only one is allowed"
        ));
    }
    if let Some(exec) = &user.exec {
        if user.auth_provider.is_some() {
            bad(format!("authProvider cannot be provided in combination with an exec plugin for {name:?}"));
        }
        if exec.command.is_empty() {
            bad(format!("command must be specified for {name:?} to use exec authentication plugin"));
        }
        if exec.api_version.is_empty() {
            bad(format!("apiVersion must be specified for {name:?} to use exec authentication plugin"));
        }
        if exec.env.iter().any(|v| v.name.is_empty()) {
            bad(format!("env variable name must be specified for {name:?} to use exec authentication plugin"));
        }
        let v1beta1 = exec.api_version.ends_with("/v1beta1");
        match exec.interactive_mode.as_str() {
            "" if !v1beta1 => {
                bad(format!("interactiveMode must be specified for {name:?} to use exec authentication plugin"));
            }
            "" | "Never" | "IfAvailable" | "Always" => {}
            other => bad(format!("invalid interactiveMode for {name:?}: {other:?}")),
        }
    }
    let acts =
        !user.impersonate_uid.is_empty() || !user.impersonate_groups.is_empty() || !user.impersonate_extra.is_empty();
    if acts && user.impersonate.is_empty() {
        bad(format!("requesting uid, groups or user-extra for {name:?} without impersonating a user"));
    }
    certificate(name, user, &mut errors);
    errors
}

fn certificate(name: &str, user: &AuthInfo, errors: &mut Vec<ConfigError>) {
    let has_cert = !user.client_certificate.is_empty() || !user.client_certificate_data.is_empty();
    if !has_cert {
        return;
    }
    let mut bad = |text: String| errors.push(ConfigError::Invalid(text));
    if !user.client_certificate.is_empty() && !user.client_certificate_data.is_empty() {
        bad(format!("client-cert-data and client-cert are both specified for {name:?}"));
    }
    if !user.client_key.is_empty() && !user.client_key_data.is_empty() {
        bad(format!("client-key-data and client-key are both specified for {name:?}"));
    }
    if user.client_key.is_empty() && user.client_key_data.is_empty() {
        bad(format!(
            "client-key-data or client-key must be specified for {name:?} to use the clientCert authentication method"
        ));
    }
    if !user.client_certificate.is_empty() {
        readable(&user.client_certificate, "client-cert", name, errors);
    }
    if !user.client_key.is_empty() {
        readable(&user.client_key, "client-key", name, errors);
    }
}
