//! A cache of whole answers on disk, asked about again by their tags: for discovery and OpenAPI documents.
//!
//! Counterpart: the `httpcache` that client-go's `discovery/cached/disk` lays around its transport. Only GETs whose answer
//! carries an `ETag` or a `Last-Modified` are kept, each under the SHA-256 of its URL and of what it accepts; a file begins
//! with the SHA-256 of the rest, so that a damaged one is no answer. What is kept says nothing about who asked.

use super::{Body, Transport};
use crate::clock;
use crate::config::Config;
use crate::discovery::write_bytes;
use crate::error::TransportError;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RANGE,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longer answers are passed on and not kept.
const MAX_BODY: usize = 64 << 20;
/// Bytes of a SHA-256.
const SUM: usize = 32;

/// A directory of answers.
#[derive(Clone, Debug)]
pub struct HttpCache {
    dir: Arc<Path>,
}

/// What precedes the body in a file.
#[derive(Serialize, Deserialize)]
struct Head {
    /// When it was stored or last confirmed, in seconds since 1970.
    at: i64,
    headers: Vec<(String, String)>,
}

struct Kept {
    at: i64,
    headers: HeaderMap,
    body: Bytes,
}

impl HttpCache {
    /// Keeps answers in `dir`, which is made at the first of them.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into().into() }
    }

    /// The same configuration with this cache inside of all else that is laid around its connections.
    #[must_use]
    pub fn around(&self, config: &Config) -> Config {
        let cache = self.clone();
        let outer = config.wrap_transport.clone();
        let wrap = move |inner: Transport| {
            let cached = cache.wrap(inner);
            outer.as_ref().map_or_else(|| cached.clone(), |outer| outer(cached.clone()))
        };
        Config { wrap_transport: Some(Arc::new(wrap)), ..config.clone() }
    }

    fn wrap(&self, inner: Transport) -> Transport {
        let cache = self.clone();
        Transport::new(tower::service_fn(move |request: Request<Body>| {
            let (cache, inner) = (cache.clone(), inner.clone());
            async move { cache.send(&inner, request).await }
        }))
    }

    async fn send(&self, inner: &Transport, mut request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let conditional = [RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE].iter().any(|h| request.headers().contains_key(h));
        if request.method() != Method::GET || conditional {
            return inner.send(request).await;
        }
        let file = self.dir.join(key(&request));
        let kept = read(&file);
        if let Some(kept) = &kept {
            if kept.is_fresh(clock::wall().as_second()) {
                return Ok(kept.response());
            }
            for (tag, condition) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
                if let Some(value) = kept.headers.get(tag) {
                    request.headers_mut().insert(condition, value.clone());
                }
            }
        }
        let response = inner.send(request).await?;
        match kept {
            Some(mut kept) if response.status() == StatusCode::NOT_MODIFIED => {
                for (name, value) in response.headers() {
                    kept.headers.insert(name, value.clone());
                }
                kept.at = clock::wall().as_second();
                kept.store(&file);
                Ok(kept.response())
            }
            _ if response.status() == StatusCode::OK && may_be_kept(response.headers()) => keep(response, &file).await,
            kept => {
                if kept.is_some() {
                    // What the server does not confirm is wrong by now.
                    let _ = std::fs::remove_file(&file);
                }
                Ok(response)
            }
        }
    }
}

fn key(request: &Request<Body>) -> String {
    let said = |name: HeaderName| request.headers().get(name).map_or(&[][..], HeaderValue::as_bytes).to_vec();
    let parts = [request.uri().to_string().into_bytes(), said(ACCEPT), said(ACCEPT_ENCODING)];
    let sum = Sha256::digest(parts.join(&b'\n'));
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn directive<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let lists = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|v| v.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).find_map(|item| {
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        name.eq_ignore_ascii_case(wanted).then_some(value)
    })
}

fn may_be_kept(headers: &HeaderMap) -> bool {
    (headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED)) && directive(headers, "no-store").is_none()
}

impl Kept {
    /// Whether it can be given out without asking.
    fn is_fresh(&self, now: i64) -> bool {
        if directive(&self.headers, "no-cache").is_some() {
            return false;
        }
        if let Some(age) = directive(&self.headers, "max-age") {
            return age.parse::<i64>().is_ok_and(|age| now.saturating_sub(self.at) < age);
        }
        let expires = self.headers.get(EXPIRES).and_then(|v| v.to_str().ok());
        let parse = |text| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
        expires.and_then(parse).is_some_and(|at| now < at.as_second())
    }

    fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.headers_mut() = self.headers.clone();
        response
    }

    fn store(&self, file: &Path) {
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
        let headers =
            self.headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?))).collect();
        let Ok(mut payload) = serde_json::to_vec(&Head { at: self.at, headers }) else { return };
        payload.push(b'\n');
        payload.extend_from_slice(&self.body);
        let whole = [Sha256::digest(&payload).as_slice(), &payload].concat();
        if let Err(error) = write_bytes(file, &whole) {
            tracing::debug!(target: "client::cache", file = %file.display(), %error, "answer not cached");
        }
    }
}

fn read(file: &Path) -> Option<Kept> {
    let whole = Bytes::from(std::fs::read(file).ok()?);
    if whole.len() < SUM || Sha256::digest(&whole[SUM..]).as_slice() != &whole[..SUM] {
        return None;
    }
    let payload = whole.slice(SUM..);
    let end = payload.iter().position(|b| *b == b'\n')?;
    let head: Head = serde_json::from_slice(&payload[..end]).ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in head.headers {
        headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    Some(Kept { at: head.at, headers, body: payload.slice(end + 1..) })
}

/// Reads the body and keeps it; what breaks off or is too long is passed on as it came.
async fn keep(response: Response<Body>, file: &Path) -> Result<Response<Body>, TransportError> {
    let (parts, mut body) = response.into_parts();
    let mut read = BytesMut::new();
    while let Some(chunk) = body.chunk().await {
        match chunk {
            Ok(chunk) => read.extend_from_slice(&chunk),
            Err(error) => return Ok(Response::from_parts(parts, rest_of(read.freeze(), Some(Err(error)), body))),
        }
        if read.len() > MAX_BODY {
            return Ok(Response::from_parts(parts, rest_of(read.freeze(), None, body)));
        }
    }
    let mut headers = parts.headers.clone();
    headers.remove(TRANSFER_ENCODING);
    let kept = Kept { at: clock::wall().as_second(), headers, body: read.freeze() };
    kept.store(file);
    Ok(Response::from_parts(parts, Body::from(kept.body)))
}

fn rest_of(read: Bytes, then: Option<Result<Bytes, TransportError>>, rest: Body) -> Body {
    let rest = futures::stream::unfold(rest, |mut rest| async move { Some((rest.chunk().await?, rest)) });
    let all = futures::stream::iter(std::iter::once(Ok(read)).chain(then)).chain(rest);
    // The stream is polled by one reader only.
    Body::wrap(StreamBody::new(Box::pin(all.map(|chunk| chunk.map(Frame::data)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    type Asked = Arc<Mutex<Vec<Option<String>>>>;

    /// Answers with a body that counts, or 304 to its tag; notes the conditions it was asked with.
    fn server(control: &'static str, status: u16) -> (Transport, Asked) {
        let asked = Asked::default();
        let noted = asked.clone();
        let transport = Transport::new(tower::service_fn(move |request: Request<Body>| {
            let mut noted = noted.lock();
            let tag = request.headers().get(IF_NONE_MATCH).map(|v| v.to_str().unwrap().to_owned());
            let response = if tag.is_some() && status == 200 {
                Response::builder().status(304).body(Body::empty())
            } else {
                let status = if noted.is_empty() { 200 } else { status };
                let body = Body::from(Bytes::from(format!("body {}", noted.len())));
                Response::builder().status(status).header(ETAG, "\"t\"").header(CACHE_CONTROL, control).body(body)
            };
            noted.push(tag);
            std::future::ready(Ok(response.unwrap()))
        }));
        (transport, asked)
    }

    async fn get(transport: &Transport, accept: &'static str) -> String {
        let request = Request::get("http://a/openapi").header(ACCEPT, accept).body(Body::empty()).unwrap();
        let response = transport.send(request).await.unwrap();
        String::from_utf8(response.into_body().bytes().await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_asked_about_by_its_tag_and_not_sent_again() {
        let dir = tempfile::tempdir().unwrap();
        let (inner, asked) = server("no-cache, private", 200);
        let cached = HttpCache::new(dir.path().join("deep/down")).wrap(inner);
        assert_eq!(get(&cached, "json").await, "body 0");
        assert_eq!(get(&cached, "json").await, "body 0");
        assert_eq!(get(&cached, "protobuf").await, "body 2", "what is accepted is part of the key");
        assert_eq!(*asked.lock(), [None, Some("\"t\"".to_owned()), None]);
    }

    #[tokio::test]
    async fn a_fresh_answer_is_not_asked_about() {
        let dir = tempfile::tempdir().unwrap();
        let (inner, asked) = server("public, max-age=3600", 200);
        let cached = HttpCache::new(dir.path()).wrap(inner);
        assert_eq!((get(&cached, "").await, get(&cached, "").await), ("body 0".into(), "body 0".into()));
        assert_eq!(asked.lock().len(), 1);
    }

    #[tokio::test]
    async fn a_damaged_file_is_no_answer() {
        let dir = tempfile::tempdir().unwrap();
        let (inner, asked) = server("max-age=3600", 200);
        let cached = HttpCache::new(dir.path()).wrap(inner);
        get(&cached, "").await;
        let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(get(&cached, "").await, "body 1");
        assert_eq!(*asked.lock(), [None, None]);
    }

    #[tokio::test]
    async fn a_refusal_is_passed_on_and_ends_what_was_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (inner, asked) = server("no-cache", 404);
        let cached = HttpCache::new(dir.path()).wrap(inner);
        get(&cached, "").await;
        assert_eq!(get(&cached, "").await, "body 1");
        get(&cached, "").await;
        assert_eq!(*asked.lock(), [None, Some("\"t\"".to_owned()), None]);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let inner = Transport::new(tower::service_fn(|_: Request<Body>| {
            let chunks = [Ok(Frame::data(Bytes::from_static(b"half"))), Err(std::io::Error::other("cut"))];
            let body = Body::wrap(StreamBody::new(futures::stream::iter(chunks)));
            std::future::ready(Ok(Response::builder().header(ETAG, "\"t\"").body(body).unwrap()))
        }));
        let cached = HttpCache::new(dir.path()).wrap(inner);
        let request = || Request::get("http://a/").body(Body::empty()).unwrap();
        let mut body = cached.send(request()).await.unwrap().into_body();
        assert_eq!(body.chunk().await.unwrap().unwrap(), "half");
        assert!(body.chunk().await.unwrap().is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn expiry_dates_count_where_no_age_does() {
        let kept = |name: HeaderName, value: &'static str| {
            let headers = [(name, HeaderValue::from_static(value))].into_iter().collect();
            Kept { at: 1000, headers, body: Bytes::new() }
        };
        let dated = kept(EXPIRES, "Sun, 09 Sep 2001 01:46:40 GMT");
        assert!(dated.is_fresh(999_999_999) && !dated.is_fresh(1_000_000_000));
        assert!(!kept(EXPIRES, "0").is_fresh(0) && !kept(ETAG, "x").is_fresh(1000));
        let aged = kept(CACHE_CONTROL, "public, Max-Age=10");
        assert!(aged.is_fresh(1009) && !aged.is_fresh(1010));
    }
}
