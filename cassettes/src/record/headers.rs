//! What of a request line and of headers goes on a tape: names that matter to a replay, and never a credential.

use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, Uri};
use percent_encoding::percent_decode_str;

/// Request headers that are kept.
const REQUEST: &[&str] = &[
    "accept",
    "accept-encoding",
    "content-encoding",
    "content-type",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "kubectl-command",
    "range",
    "sec-websocket-version",
    "upgrade",
    "user-agent",
    "x-stream-protocol-version",
];

/// Answer headers that are kept.
const RESPONSE: &[&str] = &[
    "accept-ranges",
    "allow",
    "cache-control",
    "content-encoding",
    "content-range",
    "content-type",
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "sec-websocket-protocol",
    "upgrade",
    "vary",
    "warning",
    "www-authenticate",
    "x-content-type-options",
    "x-kubernetes-pf-flowschema-uid",
    "x-kubernetes-pf-prioritylevel-uid",
    "x-stream-protocol-version",
    "x-varied-accept",
];

/// A bearer token in the clothes of a WebSocket protocol begins so.
pub(crate) const BEARER_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// The headers of a request that go on the tape, sorted. Of `Authorization` the scheme is kept and nothing else; a
/// token offered as a WebSocket protocol loses its value.
#[must_use]
pub fn request_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut kept = chosen(headers, |name| REQUEST.contains(&name) || name.starts_with("impersonate-"));
    if let Some(value) = headers.get(AUTHORIZATION) {
        let text = value.to_str().unwrap_or_default();
        let scheme = text.split_once(' ').map_or("", |(scheme, _)| scheme);
        kept.push((AUTHORIZATION.as_str().to_owned(), scheme.to_owned()));
    }
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        let offers = value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|offer| !offer.is_empty());
        let offers: Vec<_> = offers.map(|o| if o.starts_with(BEARER_PROTOCOL) { BEARER_PROTOCOL } else { o }).collect();
        kept.push((SEC_WEBSOCKET_PROTOCOL.as_str().to_owned(), offers.join(", ")));
    }
    kept.sort_by(|a, b| a.0.cmp(&b.0));
    kept
}

/// The headers of an answer that go on the tape, sorted. `Connection: close` is kept, for clients act on it.
#[must_use]
pub fn response_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut kept = chosen(headers, |name| RESPONSE.contains(&name));
    if closes(headers) {
        kept.push(("connection".into(), "close".into()));
    }
    kept.sort_by(|a, b| a.0.cmp(&b.0));
    kept
}

/// Whether `Connection: close` is among the headers.
pub(crate) fn closes(headers: &HeaderMap) -> bool {
    headers.get_all(http::header::CONNECTION).iter().any(|value| {
        value.to_str().unwrap_or_default().split(',').any(|word| word.trim().eq_ignore_ascii_case("close"))
    })
}

fn chosen(headers: &HeaderMap, keep: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let text = |(name, value): (&HeaderName, &http::HeaderValue)| {
        keep(name.as_str()).then(|| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
    };
    headers.iter().filter_map(text).collect()
}

/// Path and query of a request: decoded; the query sorted by key, values of one key in their order.
#[must_use]
pub fn target(uri: &Uri) -> (String, Vec<(String, String)>) {
    let path = percent_decode_str(uri.path()).decode_utf8_lossy().into_owned();
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut query: Vec<_> = pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect();
    query.sort_by(|a, b| a.0.cmp(&b.0));
    (path, query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_lose_their_value_and_keep_their_scheme() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer s3cret".parse().unwrap());
        headers.insert("cookie", "a=s3cret".parse().unwrap());
        headers.insert("x-remote-user", "root".parse().unwrap());
        headers.insert("accept", "application/json".parse().unwrap());
        let offer = format!("v5.channel.k8s.io, {BEARER_PROTOCOL}czNjcmV0");
        headers.insert("sec-websocket-protocol", offer.parse().unwrap());
        let kept = request_headers(&headers);
        let names: Vec<_> = kept.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["accept", "authorization", "sec-websocket-protocol"]);
        assert_eq!(kept[1].1, "Bearer");
        assert!(!format!("{kept:?}").contains("czNjcmV0") && !format!("{kept:?}").contains("s3cret"));
    }

    #[test]
    fn a_scheme_without_a_space_is_no_scheme_but_a_secret() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "s3cret".parse().unwrap());
        assert_eq!(request_headers(&headers), [("authorization".to_owned(), String::new())]);
    }

    #[test]
    fn queries_are_decoded_and_sorted_and_keep_doubled_keys_in_order() {
        let uri: Uri = "/api/v1/a%20b?watch=1&command=z&labelSelector=a%3Db%2Cc+d&command=a".parse().unwrap();
        let (path, query) = target(&uri);
        assert_eq!(path, "/api/v1/a b");
        let shown: Vec<_> = query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(shown, ["command=z", "command=a", "labelSelector=a=b,c d", "watch=1"]);
    }
}
