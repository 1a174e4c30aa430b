//! Who is asking: bearer tokens, client certificates, anonymous.
//!
//! Counterpart: apiserver `authentication/request/{bearertoken,websocket,x509,anonymous}` and their union. Token
//! tables are in `token_file.rs`, service accounts in `service_account.rs`, certificates in `client_cert.rs`.

use super::client_cert::ClientCas;
use super::names::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED};
use super::rbac::MASTERS;
use super::secret::Token;
use super::service_account::TokenIssuer;
use super::token_file::TokenTable;
use crate::strategies::{Peek, UserInfo};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use jiff::Timestamp;
use rehearsal_apimachinery::status::Status;
use std::sync::Arc;

/// WebSocket subprotocol that carries a bearer token.
const BEARER_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";
const INVALID_TOKEN: &str = "invalid bearer token";

/// What a request without credentials, or with credentials nobody knows, is taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthenticationMode {
    /// Requests are `system:admin` of `system:masters` unless a known token or certificate says otherwise. Unknown
    /// opaque tokens are accepted; service account tokens that do not hold are still refused.
    #[default]
    Off,
    /// As the real server: no credentials is `system:anonymous`, unknown ones are refused.
    Tokens,
}

/// Tells who a request comes from.
#[derive(Clone, Debug)]
pub struct Authenticator {
    mode: AuthenticationMode,
    tokens: TokenTable,
    issuer: Arc<TokenIssuer>,
    client_cas: ClientCas,
}

/// What a TokenReview is told about a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenVerdict {
    /// The user, if the token is good.
    pub user: Option<UserInfo>,
    /// The audiences, out of those asked about, that the token is good for.
    pub audiences: Vec<String>,
    /// Why the token is not good.
    pub error: String,
}

impl Authenticator {
    /// An authenticator that knows service account tokens only.
    #[must_use]
    pub fn new(mode: AuthenticationMode, issuer: Arc<TokenIssuer>) -> Self {
        Self { mode, tokens: TokenTable::default(), issuer, client_cas: ClientCas::default() }
    }

    /// Also knows these static tokens.
    #[must_use]
    pub fn tokens(mut self, tokens: TokenTable) -> Self {
        self.tokens = tokens;
        self
    }

    /// Also knows the client certificates of these CAs.
    #[must_use]
    pub fn client_cas(mut self, cas: ClientCas) -> Self {
        self.client_cas = cas;
        self
    }

    /// The issuer of service account tokens.
    #[must_use]
    pub fn issuer(&self) -> &TokenIssuer {
        &self.issuer
    }

    /// The user behind a request. `peer_certificate` is the client's certificate (DER) as the TLS layer received it.
    ///
    /// # Errors
    /// 401 for credentials that are not good, whatever the path.
    pub fn authenticate(
        &self,
        headers: &HeaderMap,
        peer_certificate: Option<&[u8]>,
        peek: &dyn Peek,
        now: Timestamp,
    ) -> Result<UserInfo, Status> {
        if let Some(user) = peer_certificate.and_then(|der| self.client_cas.user(der, now)) {
            return Ok(authenticated(user));
        }
        let token = match bearer_token(headers) {
            Some(token) => Some(token),
            None => websocket_token(headers).map_err(|_| Status::unauthorized())?,
        };
        match token {
            Some(token) => self.by_token(&token, peek, now),
            None if self.mode == AuthenticationMode::Off => Ok(administrator()),
            None if peer_certificate.is_some() => Err(Status::unauthorized()),
            None => Ok(anonymous()),
        }
    }

    fn by_token(&self, token: &Token, peek: &dyn Peek, now: Timestamp) -> Result<UserInfo, Status> {
        match self.user_of(token, self.issuer.audiences(), peek, now) {
            Ok(Some((user, _))) => Ok(authenticated(user)),
            Ok(None) if self.mode == AuthenticationMode::Off => Ok(administrator()),
            Ok(None) | Err(_) => Err(Status::unauthorized()),
        }
    }

    /// The user of a token with the audiences it is good for; `None` for a token nobody knows.
    fn user_of(
        &self,
        token: &Token,
        audiences: &[String],
        peek: &dyn Peek,
        now: Timestamp,
    ) -> Result<Option<(UserInfo, Vec<String>)>, String> {
        if let Some(user) = self.tokens.user(token) {
            // A static token is for the API server and for nobody else.
            let own: Vec<String> = self.issuer.audiences().iter().filter(|a| audiences.contains(a)).cloned().collect();
            return Ok(if own.is_empty() { None } else { Some((user.clone(), own)) });
        }
        self.issuer.authenticate(token, audiences, peek, now)
    }

    /// Judges a token for a TokenReview; no `audiences` are those of the API server.
    #[must_use]
    pub fn review_token(&self, token: &Token, audiences: &[String], peek: &dyn Peek, now: Timestamp) -> TokenVerdict {
        let audiences = if audiences.is_empty() { self.issuer.audiences() } else { audiences };
        match self.user_of(token, audiences, peek, now) {
            Ok(Some((user, audiences))) => {
                TokenVerdict { user: Some(authenticated(user)), audiences, error: String::new() }
            }
            Ok(None) => TokenVerdict { error: INVALID_TOKEN.into(), ..TokenVerdict::default() },
            Err(error) => TokenVerdict { error, ..TokenVerdict::default() },
        }
    }
}

/// The user of a request without credentials.
#[must_use]
pub fn anonymous() -> UserInfo {
    UserInfo { name: ANONYMOUS.into(), groups: vec![UNAUTHENTICATED.into()], ..UserInfo::default() }
}

/// The user of every request while authentication is off.
#[must_use]
pub fn administrator() -> UserInfo {
    authenticated(UserInfo { name: "system:admin".into(), groups: vec![MASTERS.into()], ..UserInfo::default() })
}

fn authenticated(mut user: UserInfo) -> UserInfo {
    if !user.groups.iter().any(|g| g == AUTHENTICATED || g == UNAUTHENTICATED) {
        user.groups.push(AUTHENTICATED.into());
    }
    user
}

/// The token of an `Authorization: Bearer` header; other schemes and an empty token are no credentials.
fn bearer_token(headers: &HeaderMap) -> Option<Token> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let mut parts = value.splitn(3, ' ');
    let scheme = parts.next().filter(|s| s.eq_ignore_ascii_case("bearer"));
    scheme.and(parts.next()).filter(|token| !token.is_empty()).map(Token::new)
}

/// The token among the offered subprotocols of a WebSocket handshake.
fn websocket_token(headers: &HeaderMap) -> Result<Option<Token>, &'static str> {
    if !is_websocket(headers) {
        return Ok(None);
    }
    let (tokens, others): (Vec<&str>, Vec<&str>) = protocols(headers).partition(|p| p.starts_with(BEARER_PROTOCOL));
    let encoded = match tokens.as_slice() {
        [] => return Ok(None),
        [token] => &token[BEARER_PROTOCOL.len()..],
        _ => return Err("multiple base64.bearer.authorization tokens specified"),
    };
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| "invalid base64.bearer.authorization token encoding")?;
    let token = String::from_utf8(bytes).map_err(|_| "invalid base64.bearer.authorization token")?;
    // One more protocol is needed: the token's own must not be echoed.
    if others.is_empty() {
        return Err("missing additional subprotocol");
    }
    Ok(Some(token).filter(|t| !t.is_empty()).map(Token::new))
}

/// The subprotocols a WebSocket handshake offers, in order, the one with the token left out: what may be echoed.
pub fn websocket_protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    protocols(headers).filter(|p| !p.starts_with(BEARER_PROTOCOL))
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|v| v.to_str().ok());
    offered.flat_map(|v| v.split(',')).map(str::trim).filter(|p| !p.is_empty())
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let lists = |name: header::HeaderName, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>().join(",");
        values.split(',').any(|v| v.trim().eq_ignore_ascii_case(word))
    };
    lists(header::CONNECTION, "upgrade") && lists(header::UPGRADE, "websocket")
}

#[cfg(test)]
mod tests {
    use super::super::certificates::Authority;
    use super::super::testing::Shelves;
    use super::*;
    use http::HeaderValue;

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn authenticator(mode: AuthenticationMode) -> Authenticator {
        let tokens = TokenTable::parse("admin-token,admin,1,system:masters\ndev-token,dev,2,devs\n").unwrap();
        Authenticator::new(mode, Arc::new(TokenIssuer::new("https://api"))).tokens(tokens)
    }

    fn ask(mode: AuthenticationMode, pairs: &[(&'static str, &str)]) -> Result<UserInfo, Status> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        authenticator(mode).authenticate(&headers, None, &Shelves::default(), now())
    }

    #[test]
    fn credentials_are_read_as_the_server_reads_them() {
        for (authorization, name) in [
            ("Bearer dev-token", Ok("dev")),
            ("bEARER dev-token", Ok("dev")),
            ("  Bearer dev-token trailing", Ok("dev")),
            ("Bearer no-such-token", Err(401)),
            ("Bearer ", Ok(ANONYMOUS)),
            ("Bearer", Ok(ANONYMOUS)),
            ("Basic YTpi", Ok(ANONYMOUS)),
        ] {
            let got = ask(AuthenticationMode::Tokens, &[("authorization", authorization)]);
            assert_eq!(got.as_ref().map(|u| u.name.as_str()).map_err(|s| s.code), name, "{authorization}");
        }
        assert_eq!(ask(AuthenticationMode::Tokens, &[]).unwrap(), anonymous());
    }

    #[test]
    fn whoever_is_known_is_also_authenticated() {
        let dev = ask(AuthenticationMode::Tokens, &[("authorization", "Bearer dev-token")]).unwrap();
        assert_eq!(dev.groups, ["devs", AUTHENTICATED]);
        assert_eq!(anonymous().groups, [UNAUTHENTICATED]);
    }

    #[test]
    fn while_off_everybody_else_is_an_administrator() {
        assert_eq!(ask(AuthenticationMode::Off, &[]).unwrap(), administrator());
        assert_eq!(ask(AuthenticationMode::Off, &[("authorization", "Bearer x")]).unwrap(), administrator());
        assert_eq!(ask(AuthenticationMode::Off, &[("authorization", "Bearer dev-token")]).unwrap().name, "dev");
    }

    #[test]
    fn a_websocket_may_carry_its_token_as_a_subprotocol() {
        let protocol = format!("{BEARER_PROTOCOL}{}", URL_SAFE_NO_PAD.encode("dev-token"));
        let with = |protocols: &str| {
            let pairs = [
                ("connection", "keep-alive, Upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-protocol", protocols),
            ];
            ask(AuthenticationMode::Tokens, &pairs).map(|u| u.name).map_err(|s| s.code)
        };
        assert_eq!(with(&format!("base64.binary.k8s.io, {protocol}")), Ok("dev".to_owned()));
        assert_eq!(with(&protocol), Err(401));
        assert_eq!(with(&format!("a,{protocol},{protocol}")), Err(401));
        assert_eq!(with("base64.binary.k8s.io"), Ok(ANONYMOUS.to_owned()));
    }

    #[test]
    fn a_certificate_counts_unless_it_is_no_good_and_no_token_helps() {
        let (ours, theirs) = (Authority::generate(now()).unwrap(), Authority::generate(now()).unwrap());
        let mut cas = ClientCas::default();
        cas.trust(ours.der());
        let authenticator = authenticator(AuthenticationMode::Tokens).client_cas(cas);
        let (good, bad) = (ours.client_cert("jane", &["devs"]).unwrap(), theirs.client_cert("jane", &[]).unwrap());
        let ask = |der: &[u8], headers: &HeaderMap| {
            authenticator
                .authenticate(headers, Some(der), &Shelves::default(), now())
                .map(|u| u.name)
                .map_err(|s| s.code)
        };
        let mut token = HeaderMap::new();
        token.insert("authorization", HeaderValue::from_static("Bearer dev-token"));
        assert_eq!(ask(&good.der, &HeaderMap::new()), Ok("jane".to_owned()));
        assert_eq!(ask(&bad.der, &HeaderMap::new()), Err(401));
        assert_eq!(ask(&bad.der, &token), Ok("dev".to_owned()));
    }

    #[test]
    fn a_review_tells_the_user_or_what_is_wrong() {
        let authenticator = authenticator(AuthenticationMode::Tokens);
        let review = |token: &str, audiences: &[String]| {
            authenticator.review_token(&Token::new(token), audiences, &Shelves::default(), now())
        };
        assert_eq!(review("dev-token", &[]).audiences, ["https://api"]);
        assert_eq!(review("wrong", &[]).error, INVALID_TOKEN);
        assert_eq!(review("dev-token", &["vault".into()]).error, INVALID_TOKEN);
    }
}
