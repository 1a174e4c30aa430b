//! Requests through the API server to a pod, a service or a node.
//!
//! Counterpart: the `ProxyGet` methods of client-go's core expansions; nodes have none there, though their subresource
//! is the same.

use super::TypedResource;
use crate::error::Error;
use crate::rest::Request;
use crate::scheme::Resource;
use http::Method;
use k8s_openapi::api::core::v1::{Node, Pod, Service};

impl TypedResource<Pod> {
    /// A GET to a port of a pod, unsent. `scheme` and `port` may be empty.
    ///
    /// # Errors
    /// A handle without a namespace.
    pub fn proxy_get(
        &self,
        scheme: &str,
        name: &str,
        port: &str,
        path: &str,
        params: &[(&str, &str)],
    ) -> Result<Request, Error> {
        through(self, scheme, name, port, path, params)
    }
}

impl TypedResource<Service> {
    /// A GET to a port of a service, unsent. `scheme` and `port` may be empty.
    ///
    /// # Errors
    /// A handle without a namespace.
    pub fn proxy_get(
        &self,
        scheme: &str,
        name: &str,
        port: &str,
        path: &str,
        params: &[(&str, &str)],
    ) -> Result<Request, Error> {
        through(self, scheme, name, port, path, params)
    }
}

impl TypedResource<Node> {
    /// A GET to a port of a node, unsent; its kubelet where `port` is empty.
    ///
    /// # Errors
    /// An empty name, when it is sent.
    pub fn proxy_get(
        &self,
        scheme: &str,
        name: &str,
        port: &str,
        path: &str,
        params: &[(&str, &str)],
    ) -> Result<Request, Error> {
        through(self, scheme, name, port, path, params)
    }
}

fn through<K: Resource>(
    handle: &TypedResource<K>,
    scheme: &str,
    name: &str,
    port: &str,
    path: &str,
    params: &[(&str, &str)],
) -> Result<Request, Error> {
    let request = handle.object(Method::GET, &joined(scheme, name, port), &["proxy"])?;
    let request = request.suffix(&[path]).header("accept", "application/json, */*");
    Ok(params.iter().fold(request, |request, (key, value)| request.param(key, value)))
}

/// `scheme:name:port`, as short as it may be. Counterpart: apimachinery `net.JoinSchemeNamePort`.
fn joined(scheme: &str, name: &str, port: &str) -> String {
    match (scheme, port) {
        ("", "") => name.to_owned(),
        ("", port) => format!("{name}:{port}"),
        (scheme, port) => format!("{scheme}:{name}:{port}"),
    }
}
