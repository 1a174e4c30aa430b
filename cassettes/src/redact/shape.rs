//! Placeholders that still parse: an unsigned JWT with the original times, a PEM block around a throw-away key, a
//! bootstrap token, the skeleton of a docker configuration. The shape follows from the secret alone, so one secret has
//! one placeholder wherever it turns up.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::pseudonym::{Pseudonyms, holds_flat, is_flat, is_hex, is_placeholder};

/// The head of every placeholder of a bootstrap token.
const BOOTSTRAP_ID: &str = "redact";
/// PKCS #8 around the 32 bytes of an Ed25519 seed.
const ED25519_PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Base64 of `redacted:`, which every `auth` of a skeleton begins with.
const REDACTED_USER: &str = "cmVkYWN0ZWQ6";

static PEM: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?s)^\s*-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END [A-Z0-9 ]+-----\s*$"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern of our own")
}

/// A shaped placeholder for the secrets that have a shape.
pub(super) fn of(secret: &str, names: &Pseudonyms) -> Option<String> {
    if secret.starts_with("ey") {
        return jwt(secret, names);
    }
    if is_bootstrap(secret) {
        return Some(format!("{BOOTSTRAP_ID}.{}", &names.digest(secret.as_bytes())[..16]));
    }
    match secret.trim_start().as_bytes().first() {
        Some(b'-') => pem(secret, names),
        Some(b'{') => docker(secret, names),
        _ => None,
    }
}

/// Whether a text is the output of [`of`].
pub(super) fn is_shaped(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix("redact.") {
        return rest.len() == 16 && rest.bytes().all(is_hex);
    }
    if text.starts_with("ey") {
        return text.ends_with('.')
            && claims(text).and_then(|c| Some(is_flat(c.get("jti")?.as_str()?))).unwrap_or(false);
    }
    if text.starts_with(REDACTED_USER) {
        return STANDARD.decode(text).is_ok_and(|pair| pair.starts_with(b"redacted:") && holds_flat(&pair));
    }
    if let Some(parts) = PEM.captures(text) {
        return STANDARD.decode(squeezed(&parts[2])).is_ok_and(|der| holds_flat(&der));
    }
    // Parsing every document only to learn that it is none would cost more than the redaction.
    text.starts_with('{')
        && (text.contains("redacted-") || text.contains(REDACTED_USER))
        && serde_json::from_str::<Value>(text).is_ok_and(|value| is_docker(&value) && all_placeholders(&value))
}

/// Whether a text is `[a-z0-9]{6}.[a-z0-9]{16}`, as kubeadm's tokens are.
pub(super) fn is_bootstrap(text: &str) -> bool {
    let small = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.split_once('.').is_some_and(|(id, rest)| id.len() == 6 && rest.len() == 16 && small(id) && small(rest))
}

// === JWT ===

fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    match serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()? {
        Value::Object(claims) => Some(claims),
        _ => None,
    }
}

fn jwt(token: &str, names: &Pseudonyms) -> Option<String> {
    let mut kept = claims(token)?;
    kept.retain(|name, value| matches!(name.as_str(), "exp" | "iat" | "nbf") && value.is_number());
    kept.insert("jti".to_owned(), names.flat(token.as_bytes()).into());
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    Some(format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(&Value::Object(kept))))
}

// === PEM ===

/// The base64 of a block, whether its lines are indented, wrapped elsewhere or joined by escaped newlines.
fn squeezed(body: &str) -> String {
    body.replace("\\n", "").replace("\\r", "").chars().filter(|c| !c.is_whitespace()).collect()
}

/// The first block's label and squeezed body, if there is a block.
pub(super) fn pem_parts(text: &str) -> Option<(String, String)> {
    let parts = PEM.captures(text)?;
    Some((parts[1].to_owned(), squeezed(&parts[2])))
}

fn pem(text: &str, names: &Pseudonyms) -> Option<String> {
    let (label, body) = pem_parts(text)?;
    let name = names.flat(body.as_bytes());
    let mut seed = [0; 32];
    seed.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    let key = [&ED25519_PKCS8[..], &seed].concat();
    let made = match label.as_str() {
        "CERTIFICATE" => certificate(&key, &name),
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => request(&key, &name),
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => {
            Some(block("PRIVATE KEY", &key))
        }
        _ => None,
    };
    Some(made.unwrap_or_else(|| block(&label, name.as_bytes())))
}

fn block(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn key_pair(pkcs8: &[u8]) -> Option<KeyPair> {
    KeyPair::try_from(pkcs8).ok()
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(1_u64));
    params
}

fn certificate(key: &[u8], name: &str) -> Option<String> {
    let made = params(name).self_signed(&key_pair(key)?).ok()?;
    Some(block("CERTIFICATE", made.der()))
}

fn request(key: &[u8], name: &str) -> Option<String> {
    let mut params = params(name);
    params.serial_number = None;
    let made = params.serialize_request(&key_pair(key)?).ok()?;
    Some(block("CERTIFICATE REQUEST", made.der()))
}

// === docker configuration ===

/// Whether a value is a `.dockerconfigjson` or an old `.dockercfg`.
pub(super) fn is_docker(value: &Value) -> bool {
    let entry = |v: &Value| {
        v.as_object().is_some_and(|m| !m.is_empty() && m.keys().all(|k| DOCKER_MEMBERS.contains(&k.as_str())))
    };
    match value {
        Value::Object(top) => match top.get("auths") {
            Some(Value::Object(auths)) => auths.values().all(Value::is_object),
            Some(_) => false,
            None => !top.is_empty() && top.values().all(entry),
        },
        _ => false,
    }
}

const DOCKER_MEMBERS: [&str; 6] = ["username", "password", "email", "auth", "identitytoken", "registrytoken"];

fn docker(text: &str, names: &Pseudonyms) -> Option<String> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    if !is_docker(&value) {
        return None;
    }
    // What is not known to be harmless goes: credential helpers and headers have their own secrets.
    if let Some(top) = value.as_object_mut()
        && top.contains_key("auths")
    {
        top.retain(|name, _| name == "auths");
    }
    fill(&mut value, names);
    Some(value.to_string())
}

fn fill(value: &mut Value, names: &Pseudonyms) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "auth" => {
                        let plain = STANDARD.decode(text.trim()).unwrap_or_else(|_| text.clone().into_bytes());
                        // Readers want `user:password` in here.
                        *text = STANDARD.encode(format!("redacted:{}", names.flat(&plain)));
                    }
                    Value::String(text) if !is_placeholder(text) => *text = names.flat(text.as_bytes()),
                    other => fill(other, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, names)),
        Value::Number(_) => *value = Value::Null,
        _ => {}
    }
}

fn all_placeholders(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().all(all_placeholders),
        Value::Array(items) => items.iter().all(all_placeholders),
        Value::String(text) => {
            let user = |plain: Vec<u8>| plain.strip_prefix(b"redacted:").is_some_and(holds_flat);
            is_flat(text) || STANDARD.decode(text).is_ok_and(user)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::pseudonym::Key;

    fn names() -> Pseudonyms {
        Pseudonyms::new(&Key::from_secret(b"0123456789abcdef").unwrap())
    }

    #[test]
    fn a_token_keeps_its_times_and_nothing_else() {
        let part = |v: Value| URL_SAFE_NO_PAD.encode(v.to_string());
        let token = format!(
            "{}.{}.c2lnbmF0dXJl",
            part(json!({"alg": "RS256", "kid": "canary"})),
            part(json!({"exp": 20, "iat": 10, "sub": "system:serviceaccount:a:b"}))
        );
        let placeholder = names().shaped(token.as_bytes());
        assert!(placeholder.ends_with('.') && is_placeholder(&placeholder));
        let kept = claims(&placeholder).unwrap();
        assert_eq!((kept["exp"].as_i64(), kept["iat"].as_i64(), kept.len()), (Some(20), Some(10), 3));
        assert!(!is_placeholder(&token));
    }

    #[test]
    fn blocks_parse_as_what_they_were() {
        let names = names();
        for label in ["RSA PRIVATE KEY", "CERTIFICATE", "CERTIFICATE REQUEST", "OPENSSH PRIVATE KEY"] {
            let text = format!("-----BEGIN {label}-----\nY2FuYXJ5\n-----END {label}-----\n");
            let placeholder = names.shaped(text.as_bytes());
            assert!(is_placeholder(&placeholder) && !is_placeholder(&text), "{placeholder}");
            assert_eq!(names.shaped(text.replace('\n', "\n    ").trim_end().as_bytes()), placeholder);
            assert_eq!(names.shaped(placeholder.as_bytes()).len(), placeholder.len());
            let (label, body) = pem_parts(&placeholder).unwrap();
            let der = STANDARD.decode(body).unwrap();
            match label.as_str() {
                "PRIVATE KEY" => assert!(key_pair(&der).is_some()),
                "CERTIFICATE" => assert!(der.starts_with(&[0x30]) && der.len() > 150),
                _ => assert!(holds_flat(&der)),
            }
        }
    }

    #[test]
    fn docker_configurations_keep_their_registries() {
        let text = json!({"auths": {"r.io": {"username": "u", "password": "p", "auth": STANDARD.encode("u:p")}}, "HttpHeaders": {"x": "canary"}});
        let placeholder = names().shaped(text.to_string().as_bytes());
        let value: Value = serde_json::from_str(&placeholder).unwrap();
        assert_eq!(value["auths"]["r.io"]["password"], names().flat(b"p"));
        assert!(!placeholder.contains("canary") && is_placeholder(&placeholder));
        assert!(!is_placeholder(&text.to_string()));
    }

    #[test]
    fn bootstrap_tokens_stay_bootstrap_tokens() {
        let placeholder = names().shaped(b"abcdef.0123456789abcdef");
        assert!(is_bootstrap(&placeholder) && is_placeholder(&placeholder));
        assert!(!is_placeholder("abcdef.0123456789abcdef"));
    }
}
