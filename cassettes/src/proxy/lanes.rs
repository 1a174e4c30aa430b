//! Lanes: one synthetic bearer token a logical client, so that nobody has to guess who a request is from, and no real
//! credential reaches a client.

use super::serve::ProxyError;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue};
use rand::TryRngCore as _;
use std::sync::Arc;

/// The lane that is there unless others are named.
pub(crate) const DEFAULT: &str = "sut";

/// Names and tokens, in the order they were named.
#[derive(Clone)]
pub struct Lanes(Vec<(Arc<str>, String)>);

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Lanes {
    /// A token for each name; one lane called `sut` for no names. Doubled names count once.
    ///
    /// # Errors
    /// For a name that is empty, longer than 63 bytes, or has other characters than letters, digits, `-`, `_` and `.`;
    /// when the machine gives no randomness.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, ProxyError> {
        let mut lanes: Vec<(Arc<str>, String)> = Vec::new();
        for name in names {
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if name.is_empty() || name.len() > 63 || !name.chars().all(good) {
                return Err(ProxyError::Lane(name.to_owned()));
            }
            if !lanes.iter().any(|(known, _)| known.as_ref() == name) {
                lanes.push((name.into(), token(name)?));
            }
        }
        if lanes.is_empty() {
            lanes.push((DEFAULT.into(), token(DEFAULT)?));
        }
        Ok(Self(lanes))
    }

    /// Names and tokens.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, token)| (name.as_ref(), token.as_str()))
    }

    /// The token of a lane.
    #[must_use]
    pub fn token(&self, lane: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == lane).map(|(_, token)| token)
    }

    /// The lane that a request's credentials belong to.
    #[must_use]
    pub fn of(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let bearer = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        let token = bearer.or_else(|| offers(headers).find_map(|offer| bearer_of(&offer)))?;
        self.0.iter().find(|(_, known)| same(known.as_bytes(), token.as_bytes())).map(|(name, _)| name.clone())
    }

    /// Takes the credentials of a lane off a request.
    pub(crate) fn strip(headers: &mut HeaderMap) {
        headers.remove(AUTHORIZATION);
        if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
            return;
        }
        let left: Vec<_> = offers(headers).filter(|offer| bearer_of(offer).is_none()).collect();
        headers.remove(SEC_WEBSOCKET_PROTOCOL);
        if let Ok(value) = HeaderValue::from_str(&left.join(", "))
            && !left.is_empty()
        {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
        }
    }
}

/// The WebSocket protocols a client offers.
fn offers(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|offer| offer.trim().to_owned()).filter(|offer| !offer.is_empty())
}

/// The token within an offer that is one.
fn bearer_of(offer: &str) -> Option<String> {
    use base64::Engine as _;
    let encoded = offer.strip_prefix(crate::record::BEARER_PROTOCOL)?;
    let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
    String::from_utf8(decoded).ok()
}

/// Compares without telling by its time where two tokens part.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// A token nobody can guess.
fn token(name: &str) -> Result<String, ProxyError> {
    let mut bytes = [0_u8; 24];
    let failed = |_| ProxyError::Certificates("the machine gives no randomness".into());
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(failed)?;
    let random: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("rehearsal-lane-{name}-{random}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    #[test]
    fn a_token_names_its_lane_and_no_other_token_does() {
        let lanes = Lanes::new(["a", "b", "a"]).unwrap();
        assert_eq!(lanes.iter().count(), 2);
        let with = |value: String| [(AUTHORIZATION, HeaderValue::from_str(&value).unwrap())].into_iter().collect();
        let b = lanes.token("b").unwrap();
        assert_eq!(lanes.of(&with(format!("Bearer {b}"))).as_deref(), Some("b"));
        assert_eq!(lanes.of(&with(format!("bearer {b}"))).as_deref(), Some("b"));
        assert_eq!(lanes.of(&with(format!("Bearer {b}x"))), None);
        assert_eq!(lanes.of(&with("Basic eDp5".into())), None);
        assert_eq!(lanes.of(&HeaderMap::new()), None);
        assert!(Lanes::new(["a b"]).is_err() && Lanes::new([""]).is_err());
    }

    #[test]
    fn a_token_among_websocket_protocols_is_found_and_taken_off() {
        let lanes = Lanes::new([]).unwrap();
        let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(lanes.token(DEFAULT).unwrap());
        let value = format!("{}{encoded}, v5.channel.k8s.io", crate::record::BEARER_PROTOCOL);
        let mut headers: HeaderMap = [(SEC_WEBSOCKET_PROTOCOL, value.parse().unwrap())].into_iter().collect();
        assert_eq!(lanes.of(&headers).as_deref(), Some(DEFAULT));
        Lanes::strip(&mut headers);
        assert_eq!(headers[SEC_WEBSOCKET_PROTOCOL], "v5.channel.k8s.io");
    }
}
