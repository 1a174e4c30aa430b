//! Connections to a Pod's node: `exec`, `attach`, `portforward` and `proxy`.
//!
//! Nothing listens behind these objects, so only the answers that come before a connection can be given.
//! Counterparts: `registry/core/pod/strategy.go` (`streamLocation`, `ResourceLocation`), `registry/core/service`
//! (`ResourceLocation`) and the kubelet client's connection info.

use super::log;
use crate::endpoints::context::RequestContext;
use crate::registry::Target;
use crate::strategies::Peek as _;
use axum::body::Body;
use http::Response;
use rehearsal_apimachinery::status::{Status, StatusReason};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;

/// The order in which a node's addresses are tried.
const PREFERRED: [&str; 5] = ["Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"];

pub(super) async fn upgrade(cx: &RequestContext) -> Result<Response<Body>, Status> {
    let target = Target { subresource: String::new(), ..cx.target() };
    let pod = cx.core.registry.get(&target, "").await?.value(&cx.info);
    if cx.request.subresource != "portforward" {
        log::container(cx, &pod)?;
    }
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", target.name)));
    }
    let address = node_address(cx, node)?;
    if !cx.headers.contains_key(http::header::UPGRADE) {
        return Err(Status::bad_request("Upgrade request required"));
    }
    Err(Status::bare500(format!("error dialing backend: dial tcp: lookup {address}: no such host")))
}

/// Where the kubelet of a node would be.
///
/// # Errors
/// 404 in the name of the request's own resource, as that is where the node store takes it from; 500 for a node
/// without addresses.
pub(super) fn node_address(cx: &RequestContext, node: &str) -> Result<String, Status> {
    let Some(object) = cx.core.registry.peek().get("nodes", "", node) else {
        return Err(Status::not_found(&cx.target().group_resource(), node));
    };
    let known = object.pointer("/status/addresses").and_then(Value::as_array);
    let of_kind = |kind: &&str| known.into_iter().flatten().find(|a| a["type"] == **kind);
    match PREFERRED.iter().find_map(of_kind).and_then(|a| a["address"].as_str()) {
        Some(address) => Ok(address.to_owned()),
        None => Err(Status::bare500("no preferred addresses found; known addresses: []")),
    }
}

/// No backend of a service, pod or node is ever reachable: there is no network behind the objects.
pub(super) fn proxy(cx: &RequestContext) -> Result<Response<Body>, Status> {
    let resource = cx.info.resource.clone();
    let id = &cx.request.name;
    let Some((name, port)) = split_id(id) else {
        let what = resource.trim_end_matches('s');
        return Err(Status::bad_request(format!("invalid {what} request {id:?}")));
    };
    let target = Target { name: name.to_owned(), subresource: String::new(), ..cx.target() };
    let peek = cx.core.registry.peek();
    let found = peek.get(target.info.collection().as_str(), &target.namespace, name);
    let object = found.ok_or_else(|| target.not_found())?;
    match resource.as_str() {
        "services" => {
            let endpoints = peek.get("endpoints", &target.namespace, name);
            Err(service_refusal(&target, &object, port, endpoints))
        }
        "pods" if !has_address(&object) => Err(Status::bad_request("address not allowed")),
        "nodes" => node_address(cx, name).and_then(|address| Err(unreachable_backend(&address))),
        _ => Err(unreachable_backend(name)),
    }
}

/// Name and port of `[scheme:]name[:port]`.
fn split_id(id: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = id.split(':').collect();
    let (scheme, name, port) = match parts.as_slice() {
        [name] => ("", *name, ""),
        [name, port] => ("", *name, *port),
        [scheme, name, port] => (*scheme, *name, *port),
        _ => return None,
    };
    (!name.is_empty() && matches!(scheme, "" | "http" | "https")).then_some((name, port))
}

fn service_refusal(target: &Target, service: &Value, port: &str, endpoints: Option<Arc<Value>>) -> Status {
    let name = &target.name;
    let mut ports = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    if let Ok(number) = port.parse::<i64>()
        && !ports.any(|p| p["port"] == number)
    {
        return unavailable(format!("no service port {number} found for service {name:?}"));
    }
    let Some(endpoints) = endpoints else { return target.not_found() };
    match endpoints.pointer("/subsets/0/addresses/0/ip").and_then(Value::as_str) {
        Some(address) => unreachable_backend(address),
        None => unavailable(format!("no endpoints available for service {name:?}")),
    }
}

fn has_address(pod: &Value) -> bool {
    let address = pod.pointer("/status/podIP").and_then(Value::as_str).and_then(|ip| ip.parse::<IpAddr>().ok());
    address.is_some_and(|ip| match ip {
        IpAddr::V4(v4) => !(v4.is_broadcast() || v4.is_link_local() || ip.is_unspecified()),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 != 0xfe80 && !ip.is_unspecified(),
    } && !ip.is_loopback() && !ip.is_multicast())
}

fn unreachable_backend(host: &str) -> Status {
    unavailable(format!("error trying to reach service: dial tcp: lookup {host}: no such host"))
}

fn unavailable(text: String) -> Status {
    Status::failure(503, StatusReason::ServiceUnavailable, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn proxied_names_carry_scheme_and_port() {
        assert_eq!(split_id("a"), Some(("a", "")));
        assert_eq!(split_id("a:80"), Some(("a", "80")));
        assert_eq!(split_id("https:a:web"), Some(("a", "web")));
        assert_eq!(split_id("ftp:a:1"), None);
        assert_eq!(split_id(":80"), None);
        assert_eq!(split_id("a:b:c:d"), None);
    }

    #[test]
    fn only_global_unicast_addresses_of_pods_are_proxied_to() {
        let pod = |ip: &str| json!({"status": {"podIP": ip}});
        assert!(has_address(&pod("10.1.2.3")));
        for ip in ["", "127.0.0.1", "169.254.1.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1"] {
            assert!(!has_address(&pod(ip)), "{ip}");
        }
    }
}
