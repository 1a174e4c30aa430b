//! Who is asking: bearer tokens and their files, basic auth, exec plugins, impersonation, as headers.
//!
//! Counterpart: client-go `transport/round_trippers.go` and `transport/token_source.go`. A header that the request has
//! already is left alone.

use crate::config::{Config, ConfigError, ExecAuthenticator, Impersonation, Oidc};
use crate::error::{TransportError, TransportKind};
use crate::{Secret, clock};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Whether a header names or proves an identity; such ones do not follow a redirect to another origin.
pub(crate) fn is_identity(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "authorization" || name == "cookie" || name.starts_with("impersonate-")
}

/// A token file is read again this long after the last reading: cached one minute, renewed ten seconds early.
const TOKEN_FILE_FRESH: Duration = Duration::from_secs(50);

/// A bearer token, from memory or from a file that is read again as time passes.
#[derive(Debug)]
pub(crate) struct TokenSource {
    file: Option<PathBuf>,
    state: Mutex<(Secret, Option<Instant>)>,
}

impl TokenSource {
    /// `None` where there is neither token nor file.
    ///
    /// # Errors
    /// An unreadable file when there is no token to begin with.
    pub(crate) fn new(token: &Secret, file: Option<&Path>) -> Result<Option<Self>, ConfigError> {
        let Some(file) = file else {
            return Ok((!token.is_empty()).then(|| Self { file: None, state: Mutex::new((token.clone(), None)) }));
        };
        let mut token = token.clone();
        if token.is_empty() {
            let text = std::fs::read_to_string(file).map_err(|e| ConfigError::file(file, &e))?;
            token = text.trim().into();
        }
        Ok(Some(Self { file: Some(file.to_owned()), state: Mutex::new((token, None)) }))
    }

    /// The token at this time. A file that cannot be read, or is empty, keeps the last good token.
    pub(crate) fn token(&self, now: Instant) -> Secret {
        let mut state = self.state.lock();
        if let Some(file) = &self.file
            && state.1.is_none_or(|read| now.saturating_duration_since(read) >= TOKEN_FILE_FRESH)
        {
            match std::fs::read_to_string(file) {
                Ok(text) if !text.trim().is_empty() => *state = (text.trim().into(), Some(now)),
                Ok(_) => {
                    tracing::warn!(target: "client::auth", file = %file.display(), "token file is empty, keeping the last token");
                }
                Err(error) => {
                    tracing::warn!(target: "client::auth", file = %file.display(), %error, "token file unreadable, keeping the last token");
                }
            }
        }
        state.0.clone()
    }

    /// Reads the file at the next use, however fresh the token is.
    pub(crate) fn forget(&self) {
        self.state.lock().1 = None;
    }
}

/// What proves the caller's identity.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    Anonymous,
    Basic(HeaderValue),
    Token(Arc<TokenSource>),
    Exec(Arc<ExecAuthenticator>),
    Oidc(Arc<Oidc>),
}

impl Credentials {
    /// Chooses by client-go's order: basic or bearer; a plugin only where neither these nor a certificate is set.
    pub(crate) fn for_config(config: &Config) -> Result<Self, ConfigError> {
        if !config.username.is_empty() {
            let pair = STANDARD.encode(format!("{}:{}", config.username, config.password.expose()));
            let mut value = HeaderValue::try_from(format!("Basic {pair}"))
                .map_err(|_| ConfigError::Invalid("user name or password does not fit a header".into()))?;
            value.set_sensitive(true);
            return Ok(Self::Basic(value));
        }
        if let Some(source) = TokenSource::new(&config.bearer_token, config.bearer_token_file.as_deref())? {
            return Ok(Self::Token(Arc::new(source)));
        }
        if let Some(exec) = &config.exec
            && !config.tls.has_client_cert()
        {
            return Ok(Self::Exec(config.pools.exec(exec)));
        }
        if let Some(provider) = &config.auth_provider {
            return Ok(Self::Oidc(config.pools.oidc(provider, &config.proxy)?));
        }
        Ok(Self::Anonymous)
    }

    /// Adds the `Authorization` header.
    ///
    /// # Errors
    /// When a plugin gives nothing.
    pub(crate) async fn authorize(&self, headers: &mut HeaderMap) -> Result<(), TransportError> {
        if headers.contains_key(AUTHORIZATION) {
            return Ok(());
        }
        let token = match self {
            Self::Anonymous => return Ok(()),
            Self::Basic(value) => {
                headers.insert(AUTHORIZATION, value.clone());
                return Ok(());
            }
            Self::Token(source) => source.token(clock::now()),
            Self::Exec(exec) => exec
                .credential()
                .await
                .map_err(|e| TransportError::with_source(TransportKind::Credentials, e))?
                .token
                .clone(),
            Self::Oidc(oidc) => {
                oidc.token().await.map_err(|e| TransportError::with_source(TransportKind::Credentials, e))?
            }
        };
        if token.is_empty() {
            return Ok(());
        }
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .map_err(|_| TransportError::new(TransportKind::Credentials, "the token does not fit a header"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// After a 401: a plugin runs again before the next request.
    pub(crate) fn refused(&self) {
        if let Self::Exec(exec) = self {
            exec.expire();
        }
    }

    /// After a 401, in the better mode: whether asking again makes sense, with fresh credentials.
    pub(crate) fn renew(&self) -> bool {
        match self {
            Self::Exec(exec) => {
                exec.expire();
                true
            }
            Self::Oidc(oidc) => oidc.renew(),
            Self::Token(source) if source.file.is_some() => {
                source.forget();
                true
            }
            _ => false,
        }
    }
}

/// What Go's `headerKeyEscape` leaves alone: the token characters of RFC 7230 without `%`.
const EXTRA_KEY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The impersonation headers, in order.
pub(crate) fn impersonation_headers(who: &Impersonation) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    if who.is_empty() {
        return Ok(Vec::new());
    }
    let mut pairs = vec![("impersonate-user".to_owned(), who.user_name.clone())];
    if !who.uid.is_empty() {
        pairs.push(("impersonate-uid".into(), who.uid.clone()));
    }
    pairs.extend(who.groups.iter().map(|g| ("impersonate-group".into(), g.clone())));
    for (key, values) in &who.extra {
        let name = format!("impersonate-extra-{}", utf8_percent_encode(&key.to_lowercase(), EXTRA_KEY));
        pairs.extend(values.iter().map(|v| (name.clone(), v.clone())));
    }
    let bad = |_| ConfigError::Invalid("impersonation does not fit into headers".into());
    pairs
        .into_iter()
        .map(|(name, value)| {
            let name = HeaderName::try_from(name.to_lowercase()).map_err(|e| bad(e.to_string()))?;
            Ok((name, HeaderValue::try_from(value).map_err(|e| bad(e.to_string()))?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_is_read_again_after_fifty_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, " one\n").unwrap();
        let source = TokenSource::new(&Secret::default(), Some(&file)).unwrap().unwrap();
        let start = Instant::now();
        assert_eq!(source.token(start).expose(), "one");
        std::fs::write(&file, "two").unwrap();
        assert_eq!(source.token(start + Duration::from_secs(49)).expose(), "one");
        assert_eq!(source.token(start + Duration::from_secs(50)).expose(), "two");
        std::fs::write(&file, "").unwrap();
        assert_eq!(
            source.token(start + Duration::from_secs(200)).expose(),
            "two",
            "an empty file keeps the last good one"
        );
        std::fs::remove_file(&file).unwrap();
        assert_eq!(source.token(start + Duration::from_secs(300)).expose(), "two");
    }

    #[test]
    fn a_token_file_beats_the_token_once_it_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let source = TokenSource::new(&"given".into(), Some(&file)).unwrap().unwrap();
        assert_eq!(source.token(Instant::now()).expose(), "given");
        std::fs::write(&file, "file").unwrap();
        assert_eq!(source.token(Instant::now()).expose(), "file");
        assert!(TokenSource::new(&Secret::default(), Some(Path::new("/nonexistent/token"))).is_err());
    }

    #[test]
    fn extra_keys_are_lowered_and_escaped() {
        let who = Impersonation {
            user_name: "ann".into(),
            uid: "7".into(),
            groups: vec!["a".into(), "b".into()],
            extra: [("Example.com/Scopes".to_owned(), vec!["x".to_owned(), "y".to_owned()])].into(),
        };
        let headers: Vec<_> = impersonation_headers(&who)
            .unwrap()
            .into_iter()
            .map(|(n, v)| format!("{n}={}", v.to_str().unwrap()))
            .collect();
        assert_eq!(
            headers,
            [
                "impersonate-user=ann",
                "impersonate-uid=7",
                "impersonate-group=a",
                "impersonate-group=b",
                "impersonate-extra-example.com%2fscopes=x",
                "impersonate-extra-example.com%2fscopes=y"
            ]
        );
    }
}
