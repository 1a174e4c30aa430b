//! Signed JSON web tokens: one ES256 key, made on first use.
//!
//! Counterpart: `pkg/serviceaccount/jwt.go` and `openidmetadata.go`. DIFFERENCE: the real server signs with RS256 and
//! a key from a file; a P-256 key is made in well under a millisecond, so none has to be kept.

use super::secret::{Token, TokenDigest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// `SubjectPublicKeyInfo` of a P-256 key up to the point itself.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Signs and verifies tokens.
#[derive(Default)]
pub struct Signer {
    key: OnceLock<Option<Key>>,
    /// Claims of tokens whose signature has been verified: a signature that was good stays good.
    verified: Mutex<HashMap<TokenDigest, Arc<Value>>>,
}

/// Tokens remembered as verified.
const REMEMBERED: usize = 1024;

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer([redacted])")
    }
}

struct Key {
    pair: EcdsaKeyPair,
    id: String,
}

impl Key {
    fn generate() -> Option<Self> {
        let rng = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &rng).ok()?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &rng).ok()?;
        let digest = Sha256::new_with_prefix(SPKI_PREFIX).chain_update(pair.public_key().as_ref()).finalize();
        Some(Self { pair, id: URL_SAFE_NO_PAD.encode(digest) })
    }
}

/// One key of a key set, in wire order (go-jose).
#[derive(Serialize)]
struct JsonWebKey<'a> {
    #[serde(rename = "use")]
    usage: &'static str,
    kty: &'static str,
    kid: &'a str,
    crv: &'static str,
    alg: &'static str,
    x: String,
    y: String,
}

#[derive(Serialize)]
struct JsonWebKeySet<'a> {
    keys: Vec<JsonWebKey<'a>>,
}

impl Signer {
    /// A signer whose key is made when it is first needed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `None` only when the machine gives no randomness.
    fn key(&self) -> Option<&Key> {
        self.key.get_or_init(Key::generate).as_ref()
    }

    /// The compact form of signed claims; `None` when the machine gives no randomness.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> Option<Token> {
        let key = self.key()?;
        let header = json!({"alg": "ES256", "kid": key.id});
        let text = format!("{}.{}", encode(&header), encode(claims));
        let signature = key.pair.sign(&SystemRandom::new(), text.as_bytes()).ok()?;
        Some(Token::new(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))))
    }

    /// The claims of a token that carries this signer's signature.
    #[must_use]
    pub fn verify(&self, token: &Token) -> Option<Arc<Value>> {
        let digest = token.digest();
        if let Some(claims) = self.verified.lock().get(&digest) {
            return Some(Arc::clone(claims));
        }
        let claims = Arc::new(self.verify_signature(token.expose())?);
        let mut verified = self.verified.lock();
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.insert(digest, Arc::clone(&claims));
        Some(claims)
    }

    fn verify_signature(&self, token: &str) -> Option<Value> {
        let (text, signature) = token.rsplit_once('.')?;
        let (header, claims) = text.split_once('.')?;
        if decode(header)?.get("alg")? != "ES256" {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key()?.pair.public_key());
        public.verify(text.as_bytes(), &signature).ok()?;
        decode(claims)
    }

    /// The public key as a JSON web key set: the body of `/openid/v1/jwks`.
    #[must_use]
    pub fn jwks(&self) -> String {
        let keys = self.key().map(|key| {
            let point = key.pair.public_key().as_ref();
            let half = |from: usize| URL_SAFE_NO_PAD.encode(point.get(from..from + 32).unwrap_or_default());
            JsonWebKey { usage: "sig", kty: "EC", kid: &key.id, crv: "P-256", alg: "ES256", x: half(1), y: half(33) }
        });
        serde_json::to_string(&JsonWebKeySet { keys: keys.into_iter().collect() }).unwrap_or_default()
    }
}

/// The issuer's metadata, in wire order.
#[derive(Serialize)]
struct OpenIdMetadata<'a> {
    issuer: &'a str,
    jwks_uri: &'a str,
    response_types_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 1],
}

/// The body of `/.well-known/openid-configuration`. `jwks_uri` is where [`Signer::jwks`] can be read.
#[must_use]
pub fn openid_configuration(issuer: &str, jwks_uri: &str) -> String {
    let metadata = OpenIdMetadata {
        issuer,
        jwks_uri,
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["ES256"],
    };
    serde_json::to_string(&metadata).unwrap_or_default()
}

/// The claims of a token without a look at its signature; `None` for what is no JWT.
pub(super) fn peek_claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() { None } else { decode(claims) }
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decode(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_verifies_with_its_own_signer_only() {
        let signer = Signer::new();
        let token = signer.sign(&json!({"sub": "x"})).unwrap();
        for _ in 0..2 {
            assert_eq!(*signer.verify(&token).unwrap(), json!({"sub": "x"}));
        }
        assert_eq!(peek_claims(token.expose()), Some(json!({"sub": "x"})));
        assert_eq!(Signer::new().verify(&token), None);
        let (head, tail) = token.expose().split_at(token.expose().len() / 2);
        assert_eq!(signer.verify(&Token::new(format!("{head}A{tail}"))), None);
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        let token = format!("{}.{}.", encode(&json!({"alg": "none"})), encode(&json!({"sub": "x"})));
        assert_eq!(Signer::new().verify(&Token::new(token)), None);
    }

    #[test]
    fn the_key_set_names_the_key_of_the_tokens() {
        let signer = Signer::new();
        let set: Value = serde_json::from_str(&signer.jwks()).unwrap();
        let token = signer.sign(&json!({})).unwrap();
        let header = decode(token.expose().split('.').next().unwrap()).unwrap();
        assert_eq!(set["keys"][0]["kid"], header["kid"]);
        assert!(signer.jwks().starts_with("{\"keys\":[{\"use\":\"sig\",\"kty\":\"EC\",\"kid\":"));
    }

    #[test]
    fn the_discovery_document_is_in_wire_order() {
        assert_eq!(
            openid_configuration("https://a", "https://a/openid/v1/jwks"),
            "{\"issuer\":\"https://a\",\"jwks_uri\":\"https://a/openid/v1/jwks\",\"response_types_supported\":[\"id_token\"],\"subject_types_supported\":[\"public\"],\"id_token_signing_alg_values_supported\":[\"ES256\"]}"
        );
    }
}
