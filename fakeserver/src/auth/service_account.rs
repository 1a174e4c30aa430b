//! Service accounts as users: their names, and whether a token and what it is bound to still hold.
//!
//! Counterpart: `pkg/serviceaccount/claims.go` and `legacy.go`. Tokens are issued in `token_request.rs` and signed in
//! `jwt.rs`.

use super::jwt::{Signer, openid_configuration, peek_claims};
use super::names::{is_dns_label, is_dns_subdomain};
use super::policy::{quoted_list, strings, text};
use super::secret::Token;
use crate::strategies::{Peek, UserInfo};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rehearsal_apimachinery::field::go_quote;
use rehearsal_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

/// Issuer of tokens kept in secrets (`pkg/serviceaccount.LegacyIssuer`).
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";
/// Prefix of a service account's user name.
const USER_PREFIX: &str = "system:serviceaccount:";
/// How far clocks may differ (go-jose `DefaultLeeway`), in seconds.
pub(super) const LEEWAY: i64 = 60;

/// Issues and checks the tokens of service accounts.
#[derive(Debug)]
pub struct TokenIssuer {
    pub(super) signer: Signer,
    pub(super) issuer: String,
    audiences: Vec<String>,
}

impl TokenIssuer {
    /// An issuer for one server. `issuer` is its URL; tokens are for that URL unless a request names other audiences.
    #[must_use]
    pub fn new(issuer: impl Into<String>) -> Self {
        let issuer = issuer.into();
        Self { signer: Signer::new(), audiences: vec![issuer.clone()], issuer }
    }

    /// The audiences that the API server answers to.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// The body of `/openid/v1/jwks`.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.signer.jwks()
    }

    /// The body of `/.well-known/openid-configuration`; `server` is the URL under which the server is reached.
    #[must_use]
    pub fn openid_configuration(&self, server: &str) -> String {
        openid_configuration(&self.issuer, &format!("{}/openid/v1/jwks", server.trim_end_matches('/')))
    }

    /// A token for a secret of type `kubernetes.io/service-account-token`: never expires, lives as long as the secret.
    /// `None` when the machine gives no randomness.
    #[must_use]
    pub fn legacy_token(&self, account: &Value, secret_name: &str) -> Option<Token> {
        let claims = json!({
            "iss": LEGACY_ISSUER,
            "kubernetes.io/serviceaccount/namespace": account.namespace(),
            "kubernetes.io/serviceaccount/secret.name": secret_name,
            "kubernetes.io/serviceaccount/service-account.name": account.name(),
            "kubernetes.io/serviceaccount/service-account.uid": account.uid(),
            "sub": username(account.namespace(), account.name()),
        });
        self.signer.sign(&claims)
    }

    /// The user of a token and the audiences it is good for among `wanted`. `None` when the token is none of ours.
    ///
    /// # Errors
    /// The server's text for a token of ours that does not hold (any more).
    pub(super) fn authenticate(
        &self,
        token: &Token,
        wanted: &[String],
        peek: &dyn Peek,
        now: Timestamp,
    ) -> Result<Option<(UserInfo, Vec<String>)>, String> {
        let issuer = peek_claims(token.expose()).map(|claims| text(&claims, "iss")).unwrap_or_default();
        let legacy = issuer == LEGACY_ISSUER;
        if !legacy && issuer != self.issuer {
            return Ok(None);
        }
        let claims = self.signer.verify(token).ok_or("invalid signature")?;
        // A token from a secret names no audience: it is for the API server.
        let named = strings(claims.get("aud"));
        let of_token = if named.is_empty() { self.audiences.clone() } else { named };
        let audiences: Vec<String> = of_token.iter().filter(|a| wanted.contains(a)).cloned().collect();
        if audiences.is_empty() {
            let (has, wanted) = (quoted_list(&of_token), quoted_list(wanted));
            return Err(format!("token audiences {has} is invalid for the target audiences {wanted}"));
        }
        let user = if legacy { legacy_user(&claims, token, peek)? } else { bound_user(&claims, peek, now)? };
        Ok(Some((user, audiences)))
    }
}

/// The user of a bound token, if the account and what the token is bound to still are what they were.
fn bound_user(claims: &Value, peek: &dyn Peek, now: Timestamp) -> Result<UserInfo, String> {
    let at = |claim: &str| claims.get(claim).and_then(Value::as_i64);
    if at("nbf").is_some_and(|t| now.as_second() + LEEWAY < t) {
        return Err("service account token is not valid yet".into());
    }
    if at("exp").is_some_and(|t| now.as_second() - LEEWAY > t) {
        return Err("service account token has expired".into());
    }
    let private = claims.get("kubernetes.io").unwrap_or(&Value::Null);
    let (namespace, account) = (text(private, "namespace"), private.get("serviceaccount").unwrap_or(&Value::Null));
    let (name, uid) = (text(account, "name"), text(account, "uid"));
    check_account(peek, &namespace, &name, &uid, now)?;
    for (claim, resource, scope) in
        [("secret", "secrets", namespace.as_str()), ("pod", "pods", &namespace), ("node", "nodes", "")]
    {
        // A node beside a pod only says where the pod runs.
        let beside_pod = claim == "node" && private.get("pod").is_some();
        if let Some(bound) = private.get(claim).filter(|_| !beside_pod) {
            check_bound(peek, resource, scope, bound, now)?;
        }
    }
    let mut user = account_user(&namespace, &name, &uid);
    let mut add = |key: &str, value: String| {
        if !value.is_empty() {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
        }
    };
    let jti = text(claims, "jti");
    add("credential-id", if jti.is_empty() { jti } else { format!("JTI={jti}") });
    for claim in ["pod", "node"] {
        let bound = private.get(claim).unwrap_or(&Value::Null);
        add(&format!("{claim}-name"), text(bound, "name"));
        add(&format!("{claim}-uid"), text(bound, "uid"));
    }
    Ok(user)
}

/// Deleted for longer than the leeway.
fn is_gone(object: &Value, now: Timestamp) -> bool {
    let deleted: Option<Timestamp> = object.meta_str("deletionTimestamp").parse().ok();
    deleted.is_some_and(|t| t.as_second() < now.as_second() - LEEWAY)
}

fn check_account(peek: &dyn Peek, namespace: &str, name: &str, uid: &str, now: Timestamp) -> Result<(), String> {
    let account = peek
        .get("serviceaccounts", namespace, name)
        .ok_or_else(|| format!("serviceaccounts {} not found", go_quote(name)))?;
    if is_gone(&account, now) {
        return Err(format!("service account {namespace}/{name} has been deleted"));
    }
    if account.uid() != uid {
        return Err(format!("service account UID ({}) does not match claim ({uid})", account.uid()));
    }
    Ok(())
}

fn check_bound(peek: &dyn Peek, resource: &str, namespace: &str, bound: &Value, now: Timestamp) -> Result<(), String> {
    let found = peek.get(resource, namespace, &text(bound, "name")).filter(|object| !is_gone(object, now));
    let object = found.ok_or("service account token has been invalidated")?;
    let uid = text(bound, "uid");
    if object.uid() == uid {
        return Ok(());
    }
    let kind = resource.trim_end_matches('s');
    Err(format!("{kind} UID ({}) does not match service account {kind} ref claim ({uid})", object.uid()))
}

/// The user of a token from a secret, while the secret still holds it.
fn legacy_user(claims: &Value, token: &Token, peek: &dyn Peek) -> Result<UserInfo, String> {
    let claim = |name: &str| text(claims, &format!("kubernetes.io/serviceaccount/{name}"));
    let (namespace, secret_name) = (claim("namespace"), claim("secret.name"));
    let (name, uid) = (claim("service-account.name"), claim("service-account.uid"));
    let secret = peek.get("secrets", &namespace, &secret_name).filter(|s| !s.is_deleting());
    let secret = secret.ok_or("service account token has been invalidated")?;
    let stored = secret.pointer("/data/token").and_then(Value::as_str).unwrap_or_default();
    if Token::new(stored).digest() != Token::new(base64_of(token)).digest() {
        return Err("service account token does not match server's copy".into());
    }
    let account = peek
        .get("serviceaccounts", &namespace, &name)
        .ok_or_else(|| format!("serviceaccounts {} not found", go_quote(&name)))?;
    if account.is_deleting() {
        return Err(format!("ServiceAccount {namespace}/{name} has been deleted"));
    }
    if account.uid() != uid {
        return Err(format!("service account UID ({}) does not match claim ({uid})", account.uid()));
    }
    Ok(account_user(&namespace, &name, &uid))
}

/// As a secret's data holds it.
pub(super) fn base64_of(token: &Token) -> String {
    STANDARD.encode(token.expose())
}

fn account_user(namespace: &str, name: &str, uid: &str) -> UserInfo {
    UserInfo {
        name: username(namespace, name),
        uid: uid.to_owned(),
        groups: group_names(namespace),
        ..UserInfo::default()
    }
}

/// The user name of a service account.
#[must_use]
pub fn username(namespace: &str, name: &str) -> String {
    format!("{USER_PREFIX}{namespace}:{name}")
}

/// Namespace and name of a service account from its user name.
#[must_use]
pub fn split_username(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(USER_PREFIX)?.split_once(':')?;
    (is_dns_label(namespace) && is_dns_subdomain(name)).then_some((namespace, name))
}

/// The groups of every service account of a namespace.
#[must_use]
pub fn group_names(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_splits_into_what_it_was_made_of() {
        assert_eq!(split_username(&username("ns", "robot")), Some(("ns", "robot")));
        for other in ["dev", "system:serviceaccount:ns", "system:serviceaccount:ns:a:b", "system:serviceaccount:N:a"] {
            assert_eq!(split_username(other), None, "{other}");
        }
    }
}
