//! [`JsonOnly`]: an upstream that is asked for JSON whatever the client would like, so that a tape can be read. Clients
//! that name protobuf first take JSON too; what they send stays as it is.

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use rehearsal_cassettes::proxy::{Channel, ProxyBody, Upstream, UpstreamError};
use std::sync::Arc;

/// An upstream whose answers are JSON.
#[derive(Clone, Debug)]
pub struct JsonOnly<U>(pub U);

impl<U: Upstream> Upstream for JsonOnly<U> {
    fn channel(&self, http2: bool) -> Result<Arc<dyn Channel>, UpstreamError> {
        Ok(Arc::new(Asking(self.0.channel(http2)?)))
    }
}

struct Asking(Arc<dyn Channel>);

impl Channel for Asking {
    fn send(&self, mut request: Request<ProxyBody>) -> BoxFuture<'static, Result<Response<ProxyBody>, UpstreamError>> {
        without_binary(request.headers_mut());
        self.0.send(request)
    }
}

/// Takes the media types off `Accept` that are not text.
fn without_binary(headers: &mut HeaderMap) {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let wanted: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let binary = |media: &&&str| media.contains("protobuf") || media.contains("cbor");
    if !wanted.iter().any(|media| binary(&media)) {
        return;
    }
    let left: Vec<&str> = wanted.iter().filter(|media| !binary(media)).copied().collect();
    let left = if left.is_empty() { "application/json".to_owned() } else { left.join(",") };
    if let Ok(value) = HeaderValue::from_str(&left) {
        headers.insert(header::ACCEPT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_forms_are_not_asked_for_and_the_rest_is_left_alone() {
        let after = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
            without_binary(&mut headers);
            headers.get(header::ACCEPT).unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(after("application/vnd.kubernetes.protobuf,application/json"), "application/json");
        assert_eq!(after("application/vnd.kubernetes.protobuf;stream=watch"), "application/json");
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        assert_eq!(after(table), table);
    }
}
