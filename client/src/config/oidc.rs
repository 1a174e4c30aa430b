//! The `oidc` auth provider: an identity token, renewed at its issuer with a refresh token, and written back.
//!
//! Counterpart: client-go `plugin/pkg/client/auth/oidc`. The token's signature is the server's matter; here only its
//! expiry is read. `gcp` and `azure`, which client-go has removed, are errors in `mod.rs`.

use super::{AuthProviderEntry, Config, ConfigError, Kubeconfig, TlsConfig};
use crate::error::Error;
use crate::rest::url::encode_query;
use crate::transport::{Base, Body, Proxy, Transport};
use crate::{Secret, clock};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// client-go `expiryDelta`: a token is renewed this long before it expires.
const EARLY: Duration = Duration::from_secs(10);
/// An issuer's answer longer than this is none.
const MAX_ANSWER: usize = 1 << 20;

/// A legacy auth provider with its settings.
#[derive(Clone, Default, PartialEq)]
pub struct AuthProvider {
    /// Name and settings as the kubeconfig has them.
    pub entry: AuthProviderEntry,
    /// The kubeconfig file and the user in it to write renewed tokens to. `None` keeps them in memory.
    pub persist: Option<(PathBuf, String)>,
}

impl fmt::Debug for AuthProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthProvider").field("entry", &self.entry).field("persist", &self.persist).finish()
    }
}

impl AuthProvider {
    fn setting(&self, name: &str) -> &str {
        self.entry.config.get(name).map_or("", Secret::expose)
    }

    /// Refuses providers that do not exist and settings that are missing.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |text: String| Err(ConfigError::Invalid(text));
        match self.entry.name.as_str() {
            "oidc" => {}
            name @ ("gcp" | "azure") => {
                return refuse(format!(
                    "the {name} auth provider has been removed; use its exec credential plugin instead"
                ));
            }
            name => return refuse(format!("no auth provider found for name {name:?}")),
        }
        match ["idp-issuer-url", "client-id"].into_iter().find(|name| self.setting(name).is_empty()) {
            Some(missing) => refuse(format!("oidc: must provide {missing}")),
            None => Ok(()),
        }
    }
}

/// Keeps the tokens of one provider.
pub(crate) struct Oidc {
    provider: AuthProvider,
    /// Boxed, because a transport asks for tokens in turn.
    issuer: Base,
    kept: Mutex<Tokens>,
    forget: AtomicBool,
}

#[derive(Clone, Default)]
struct Tokens {
    id: Secret,
    refresh: Secret,
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc").field("provider", &self.provider).finish_non_exhaustive()
    }
}

fn fault(text: impl fmt::Display) -> ConfigError {
    ConfigError::Invalid(format!("oidc: {text}"))
}

impl Oidc {
    /// Nothing is asked yet.
    pub(crate) fn new(provider: AuthProvider, proxy: Proxy) -> Result<Self, ConfigError> {
        provider.validate()?;
        let ca = provider.setting("idp-certificate-authority-data");
        let ca_data = STANDARD.decode(ca).map_err(|_| fault("idp-certificate-authority-data is no base64"))?;
        let ca_file = Some(provider.setting("idp-certificate-authority")).filter(|f| !f.is_empty()).map(PathBuf::from);
        let config = Config {
            tls: TlsConfig { ca_data, ca_file, ..TlsConfig::default() },
            proxy,
            ..Config::new(provider.setting("idp-issuer-url"))
        };
        let issuer = Transport::for_config(&config).map_err(|e| match e {
            Error::Config(error) => error,
            other => fault(other),
        })?;
        let issuer = issuer.into_base();
        let secret = |name: &str| provider.entry.config.get(name).cloned().unwrap_or_default();
        let kept = Mutex::new(Tokens { id: secret("id-token"), refresh: secret("refresh-token") });
        Ok(Self { provider, issuer, kept, forget: AtomicBool::new(false) })
    }

    /// Asks the issuer at the next use, however fresh the token is; false where there is nothing to ask with.
    pub(crate) fn renew(&self) -> bool {
        let can = self.kept.try_lock().is_ok_and(|kept| !kept.refresh.is_empty());
        if can {
            self.forget.store(true, Ordering::Release);
        }
        can
    }

    /// A token that is good for ten seconds at least. Callers that come while it is renewed wait for the same renewal.
    pub(crate) async fn token(&self) -> Result<Secret, ConfigError> {
        let mut kept = self.kept.lock().await;
        let forget = self.forget.swap(false, Ordering::AcqRel);
        if !forget && !kept.id.is_empty() && is_usable(kept.id.expose(), clock::wall())? {
            return Ok(kept.id.clone());
        }
        if kept.refresh.is_empty() {
            return Err(fault("no valid id-token, and cannot refresh without refresh-token"));
        }
        let renewed = self.refreshed(&kept.refresh).await?;
        self.persist(&renewed)?;
        *kept = renewed;
        Ok(kept.id.clone())
    }

    async fn refreshed(&self, refresh: &Secret) -> Result<Tokens, ConfigError> {
        let endpoint = self.token_endpoint().await?;
        let (id, secret) = (self.provider.setting("client-id"), self.provider.setting("client-secret"));
        let mut form = vec![
            ("grant_type".to_owned(), "refresh_token".to_owned()),
            ("refresh_token".to_owned(), refresh.expose().to_owned()),
        ];
        // Issuers differ in where they want the client's name: the header first, the form after a refusal.
        let encoded = |text: &str| encode_query(&[(text.to_owned(), String::new())]).trim_end_matches('=').to_owned();
        let basic = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
        let answer = match self.ask_for_tokens(&endpoint, &form, Some(&basic)).await {
            Ok(answer) => answer,
            Err(_) => {
                form.push(("client_id".into(), id.into()));
                if !secret.is_empty() {
                    form.push(("client_secret".into(), secret.into()));
                }
                self.ask_for_tokens(&endpoint, &form, None).await?
            }
        };
        let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
        let id = text("id_token").ok_or_else(|| {
            fault(
                "the token response did not contain an id_token; \"openid\" was not asked for, or it is not supported",
            )
        })?;
        let refresh = text("refresh_token").map_or_else(|| refresh.clone(), Secret::from);
        Ok(Tokens { id: id.into(), refresh })
    }

    async fn token_endpoint(&self) -> Result<String, ConfigError> {
        let issuer = self.provider.setting("idp-issuer-url").trim_end_matches('/');
        let mut request = Request::new(Body::empty());
        *request.uri_mut() =
            format!("{issuer}/.well-known/openid-configuration").parse().map_err(|_| fault("the issuer is no URL"))?;
        let document = self.ask(request, "discovery").await?;
        let endpoint = document.get("token_endpoint").and_then(Value::as_str).filter(|e| !e.is_empty());
        endpoint.map(ToOwned::to_owned).ok_or_else(|| fault("the discovery object has no token_endpoint"))
    }

    async fn ask_for_tokens(
        &self,
        endpoint: &str,
        form: &[(String, String)],
        basic: Option<&str>,
    ) -> Result<Value, ConfigError> {
        let mut request = Request::new(Body::from(Bytes::from(encode_query(form))));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.parse().map_err(|_| fault("the token endpoint is no URL"))?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some(basic) = basic {
            let mut value =
                HeaderValue::try_from(format!("Basic {basic}")).map_err(|_| fault("the client id fits no header"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        self.ask(request, "token refresh").await
    }

    /// What an answer says is never repeated: it may be half a secret.
    async fn ask(&self, mut request: Request<Body>, what: &str) -> Result<Value, ConfigError> {
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let response = self.issuer.send(request).await.map_err(|e| fault(format_args!("{what}: {e}")))?;
        let (status, mut body) = (response.status(), response.into_body());
        let mut bytes = Vec::new();
        while let Some(chunk) = body.chunk().await {
            bytes.extend_from_slice(&chunk.map_err(|e| fault(format_args!("{what}: {e}")))?);
            if bytes.len() > MAX_ANSWER {
                return Err(fault(format_args!("{what}: the answer is too long")));
            }
        }
        if status != StatusCode::OK {
            return Err(fault(format_args!("{what}: the issuer answered {}", status.as_u16())));
        }
        serde_json::from_slice(&bytes).map_err(|_| fault(format_args!("{what}: the answer is no JSON")))
    }

    fn persist(&self, tokens: &Tokens) -> Result<(), ConfigError> {
        let Some((file, user)) = &self.provider.persist else { return Ok(()) };
        let written = Kubeconfig::modify(file, |config| {
            if let Some(entry) = config.users.get_mut(user).and_then(|u| u.auth_provider.as_mut()) {
                entry.config.insert("id-token".into(), tokens.id.clone());
                entry.config.insert("refresh-token".into(), tokens.refresh.clone());
            }
        });
        written.map_err(|e| fault(format_args!("could not persist new tokens: {e}")))
    }
}

/// Whether a JWT is good for a while yet.
fn is_usable(token: &str, now: jiff::Timestamp) -> Result<bool, ConfigError> {
    let bad = || fault("the id-token is no JWT with an expiry");
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(bad());
    };
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).map_err(|_| bad())?;
    let claims: Value = serde_json::from_slice(&payload).map_err(|_| bad())?;
    let expires = claims.get("exp").and_then(Value::as_f64).ok_or_else(bad)?;
    Ok(now.as_second() as f64 + EARLY.as_secs_f64() < expires)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_is_used_until_ten_seconds_before_it_expires() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let token = jwt(r#"{"exp":1000}"#);
        assert!(is_usable(&token, at(989)).unwrap());
        assert!(!is_usable(&token, at(990)).unwrap());
        for bad in ["", "a.b", "a.b.c.d", "a.!.c", &jwt("{}"), &jwt("[]"), &jwt(r#"{"exp":"soon"}"#)] {
            let error = is_usable(bad, at(0)).unwrap_err().to_string();
            assert_eq!(error, "oidc: the id-token is no JWT with an expiry");
        }
    }

    #[test]
    fn providers_need_their_settings_and_print_none() {
        let provider = |name: &str, config: &[(&str, &str)]| AuthProvider {
            entry: AuthProviderEntry {
                name: name.into(),
                config: config.iter().map(|(k, v)| ((*k).to_owned(), Secret::from(*v))).collect(),
                ..AuthProviderEntry::default()
            },
            persist: None,
        };
        assert!(provider("gcp", &[]).validate().unwrap_err().to_string().contains("removed"));
        assert!(provider("x", &[]).validate().unwrap_err().to_string().contains("no auth provider"));
        assert!(provider("oidc", &[("client-id", "c")]).validate().unwrap_err().to_string().contains("idp-issuer-url"));
        let whole = provider("oidc", &[("client-id", "c"), ("idp-issuer-url", "https://i"), ("id-token", "hunter2")]);
        whole.validate().unwrap();
        assert!(!format!("{whole:?}").contains("hunter2"));
    }
}
