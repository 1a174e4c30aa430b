//! `GET …/pods/x/log` as far as an API server without kubelets answers it.

use crate::endpoints::context::RequestContext;
use crate::endpoints::respond;
use crate::registry::Target;
use axum::body::Body;
use http::Response;
use rehearsal_apimachinery::GroupKind;
use rehearsal_apimachinery::field::FieldError;
use rehearsal_apimachinery::request_info::param;
use rehearsal_apimachinery::status::Status;
use serde_json::Value;

pub(super) async fn get(cx: &RequestContext) -> Result<Response<Body>, Status> {
    let target = Target { subresource: String::new(), ..cx.target() };
    check_options(cx)?;
    let pod = cx.core.registry.get(&target, "").await?.value(&cx.info);
    let container = container(cx, &pod)?;
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if node.is_empty() {
        let mut response = respond::raw(204, "text/plain", Body::empty());
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
        return Ok(response);
    }
    let address = super::connect::node_address(cx, node)?;
    let url = format!("https://{address}:10250/containerLogs/{}/{}/{container}", target.namespace, target.name);
    Err(Status::bare500(format!("Get {url:?}: dial tcp: lookup {address}: no such host")))
}

fn check_options(cx: &RequestContext) -> Result<(), Status> {
    let mut errors = Vec::new();
    let mut number = |key: &str, least: i64| -> Result<(), Status> {
        let Some(text) = param(&cx.query, key) else { return Ok(()) };
        let n: i64 = text
            .parse()
            .map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))?;
        if n < least {
            let bound = if least == 0 { "must be greater than or equal to 0" } else { "must be greater than 0" };
            errors.push(FieldError::invalid(key, n, bound));
        }
        Ok(())
    };
    number("tailLines", 0)?;
    number("limitBytes", 1)?;
    let since = param(&cx.query, "sinceTime").filter(|text| !matches!(*text, "" | "null"));
    if let Some(text) = since {
        rehearsal_apimachinery::time::parse_time(text).map_err(Status::bad_request)?;
    }
    if since.is_some() && param(&cx.query, "sinceSeconds").is_some() {
        errors.push(FieldError::forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
    } else {
        number("sinceSeconds", 1)?;
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&GroupKind::new("", "PodLogOptions"), &cx.request.name, &errors))
}

/// The container that a request means.
pub(super) fn container(cx: &RequestContext, pod: &Value) -> Result<String, Status> {
    let names = |list: &str| -> Vec<String> {
        let items = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(|c| c.get("name")?.as_str().map(str::to_owned)).collect()
    };
    let (main, init, debug) = (names("containers"), names("initContainers"), names("ephemeralContainers"));
    let pod_name = &cx.request.name;
    match param(&cx.query, "container").filter(|c| !c.is_empty()) {
        Some(asked) if main.iter().chain(&init).chain(&debug).any(|c| c == asked) => Ok(asked.to_owned()),
        Some(asked) => Err(Status::bad_request(format!("container {asked} is not valid for pod {pod_name}"))),
        None => match main.as_slice() {
            [only] if init.is_empty() && debug.is_empty() || main.len() == 1 => Ok(only.clone()),
            _ => {
                let mut text = format!(
                    "a container name must be specified for pod {pod_name}, choose one of: [{}]",
                    main.join(" ")
                );
                if !init.is_empty() {
                    text.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
                }
                Err(Status::bad_request(text))
            }
        },
    }
}
