//! The scale client: the `/scale` subresource of anything that has one, as `autoscaling/v1`.
//!
//! Counterpart: client-go `scale`. Which group-version a resource is served under comes from a RESTMapper.

use crate::discovery::RestMapper;
use crate::error::{DecodeError, Error};
use crate::rest::{MEDIA_JSON, PatchType, Request, RestClient};
use http::Method;
use rehearsal_apimachinery::{
    GetOptions, GroupResource, GroupVersion, GroupVersionResource, ObjectMeta, PatchOptions, UpdateOptions,
};
use serde_json::{Map, Value, json};

/// The kinds a server may answer with.
const ACCEPTED: [&str; 4] = ["extensions/v1beta1", "apps/v1beta1", "apps/v1beta2", "autoscaling/v1"];

/// Reads and writes scales.
#[derive(Clone, Debug)]
pub struct ScaleClient {
    rest: RestClient,
    mapper: RestMapper,
}

impl ScaleClient {
    /// Uses a client's connections and a mapper's knowledge.
    #[must_use]
    pub fn new(rest: &RestClient, mapper: RestMapper) -> Self {
        Self { rest: rest.content(MEDIA_JSON, MEDIA_JSON), mapper }
    }

    fn begin(&self, method: Method, resource: &GroupResource, namespace: &str, name: &str) -> Result<Request, Error> {
        let partial = GroupVersionResource::new(&resource.group, "", &resource.resource);
        let gvr = self.mapper.resource_for(&partial)?;
        Ok(self.at(method, &gvr, namespace, name))
    }

    fn at(&self, method: Method, gvr: &GroupVersionResource, namespace: &str, name: &str) -> Request {
        let rest = self.rest.group_version(GroupVersion::new(&gvr.group, &gvr.version));
        rest.verb(method).namespace_if_any(namespace).resource(&gvr.resource).name(name).subresource(&["scale"])
    }

    /// Reads a scale.
    ///
    /// # Errors
    /// An unknown resource; the server's refusal; an answer that is no scale.
    pub async fn get(
        &self,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        options: &GetOptions,
    ) -> Result<Value, Error> {
        let request = self.begin(Method::GET, resource, namespace, name)?;
        to_v1(request.params(options).send().await?.object()?)
    }

    /// Writes a scale. It is sent as `autoscaling/v1`, which every server since 1.9 accepts.
    ///
    /// # Errors
    /// As [`ScaleClient::get`].
    pub async fn update(
        &self,
        resource: &GroupResource,
        namespace: &str,
        scale: &Value,
        options: &UpdateOptions,
    ) -> Result<Value, Error> {
        let request = self.begin(Method::PUT, resource, namespace, scale.name())?;
        to_v1(request.params(options).object(&to_v1(scale.clone())?).send().await?.object()?)
    }

    /// Patches a scale.
    ///
    /// # Errors
    /// As [`ScaleClient::get`].
    pub async fn patch(
        &self,
        gvr: &GroupVersionResource,
        namespace: &str,
        name: &str,
        kind: PatchType,
        body: impl Into<bytes::Bytes> + Send,
        options: &PatchOptions,
    ) -> Result<Value, Error> {
        let request = self.at(Method::PATCH, gvr, namespace, name).header("content-type", kind.media_type());
        to_v1(request.params(options).body(body).send().await?.object()?)
    }
}

/// The same scale as `autoscaling/v1`, whose status selector is text.
fn to_v1(mut scale: Value) -> Result<Value, Error> {
    let text = |key: &str| scale.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if kind != "Scale" || !ACCEPTED.contains(&version.as_str()) {
        let received = format!("{version}, Kind={kind}");
        return Err(Error::Decode(DecodeError::KindMismatch {
            expected: "autoscaling/v1, Kind=Scale".into(),
            received,
        }));
    }
    scale["apiVersion"] = json!("autoscaling/v1");
    if version != "autoscaling/v1"
        && let Some(status) = scale.get_mut("status").and_then(Value::as_object_mut)
    {
        let target = status.remove("targetSelector").and_then(|t| t.as_str().map(str::to_owned));
        let pairs = status.remove("selector");
        let selector = target.filter(|t| !t.is_empty()).or_else(|| pairs.as_ref().and_then(Value::as_object).map(join));
        if let Some(selector) = selector.filter(|s| !s.is_empty()) {
            status.insert("selector".into(), selector.into());
        }
    }
    Ok(scale)
}

fn join(pairs: &Map<String, Value>) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_scales_become_autoscaling_v1() {
        let old = json!({"apiVersion": "extensions/v1beta1", "kind": "Scale", "status": {"replicas": 1, "selector": {"a": "b", "c": "d"}}});
        let new = to_v1(old).unwrap();
        assert_eq!(new["status"], json!({"replicas": 1, "selector": "a=b,c=d"}));
        assert_eq!(new["apiVersion"], "autoscaling/v1");
        let text = json!({"apiVersion": "apps/v1beta1", "kind": "Scale", "status": {"selector": {"a": "b"}, "targetSelector": "a in (b)"}});
        assert_eq!(to_v1(text).unwrap()["status"]["selector"], "a in (b)");
    }

    #[test]
    fn other_kinds_are_refused() {
        assert!(to_v1(json!({"apiVersion": "v1", "kind": "Pod"})).is_err());
    }
}
