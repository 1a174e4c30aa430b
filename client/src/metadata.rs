//! The metadata client: any resource, of which only the metadata is transferred.
//!
//! Counterpart: client-go `metadata`. Answers are `PartialObjectMetadata`; anything else is an error.

use crate::config::Config;
use crate::error::{DecodeError, Error};
use crate::rest::{MEDIA_JSON, MEDIA_PROTOBUF, PatchType, Request, RestClient, share_limiter};
use crate::watch::WatchStream;
use http::Method;
use rehearsal_apimachinery::{
    DeleteOptions, GetOptions, GroupVersion, GroupVersionResource, ListOptions, PatchOptions,
};
use serde_json::Value;

/// A client for the metadata of every resource.
#[derive(Clone, Debug)]
pub struct MetadataClient {
    rest: RestClient,
    protobuf: bool,
}

impl MetadataClient {
    /// Makes a client with its own limiter.
    ///
    /// # Errors
    /// When the configuration does not make a client.
    pub fn for_config(config: &Config) -> Result<Self, Error> {
        Ok(Self::new(&RestClient::unversioned(&share_limiter(config)?)?))
    }

    /// Uses another client's connections, limiter and credentials. Protobuf is asked for where that client has a codec.
    #[must_use]
    pub fn new(rest: &RestClient) -> Self {
        let protobuf = rest.shared.codecs.find(MEDIA_PROTOBUF).is_ok();
        Self { rest: rest.content(MEDIA_JSON, ""), protobuf }
    }

    /// A handle for a resource.
    #[must_use]
    pub fn resource(&self, gvr: &GroupVersionResource) -> MetadataResource {
        MetadataResource {
            rest: self.rest.group_version(GroupVersion::new(&gvr.group, &gvr.version)),
            protobuf: self.protobuf,
            resource: gvr.resource.clone(),
            namespace: String::new(),
        }
    }
}

/// A handle for the metadata of one resource.
#[derive(Clone, Debug)]
pub struct MetadataResource {
    rest: RestClient,
    protobuf: bool,
    resource: String,
    namespace: String,
}

impl MetadataResource {
    /// The same resource in a namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    fn accept(&self, kind: &str) -> String {
        let of = |media: &str| format!("{media};as={kind};g=meta.k8s.io;v=v1");
        let json = format!("{},{MEDIA_JSON}", of(MEDIA_JSON));
        if self.protobuf { format!("{},{json}", of(MEDIA_PROTOBUF)) } else { json }
    }

    fn begin(&self, method: Method, kind: &str) -> Request {
        let request = self.rest.verb(method).header("accept", &self.accept(kind));
        request.namespace_if_any(&self.namespace).resource(&self.resource)
    }

    /// Reads one.
    ///
    /// # Errors
    /// The server's refusal; an answer that is more than metadata.
    pub async fn get(&self, name: &str, options: &GetOptions, subresources: &[&str]) -> Result<Value, Error> {
        let request = self.begin(Method::GET, SINGLE).name(name).suffix(subresources).params(options);
        only(request.send().await?.object()?, SINGLE)
    }

    /// Reads many.
    ///
    /// # Errors
    /// As [`MetadataResource::get`].
    pub async fn list(&self, options: &ListOptions) -> Result<Value, Error> {
        only(self.begin(Method::GET, LIST).params(options).send().await?.object()?, LIST)
    }

    /// Watches.
    ///
    /// # Errors
    /// As [`Request::watch`].
    pub async fn watch(&self, options: &ListOptions) -> Result<WatchStream, Error> {
        let options = ListOptions { watch: true, ..options.clone() };
        self.begin(Method::GET, SINGLE).params(&options).watch().await
    }

    /// Patches.
    ///
    /// # Errors
    /// As [`MetadataResource::get`].
    pub async fn patch(
        &self,
        name: &str,
        kind: PatchType,
        body: impl Into<bytes::Bytes> + Send,
        options: &PatchOptions,
        subresources: &[&str],
    ) -> Result<Value, Error> {
        let request = self.begin(Method::PATCH, SINGLE).header("content-type", kind.media_type());
        let request = request.name(name).suffix(subresources).params(options).body(body);
        only(request.send().await?.object()?, SINGLE)
    }

    /// Deletes. The options travel as JSON, which every endpoint reads.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn delete(&self, name: &str, options: &DeleteOptions, subresources: &[&str]) -> Result<(), Error> {
        let request = self.begin(Method::DELETE, SINGLE).name(name).suffix(subresources);
        answered(&request.delete_options(options)).await
    }

    /// Deletes what a list would show.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn delete_collection(&self, options: &DeleteOptions, list: &ListOptions) -> Result<(), Error> {
        answered(&self.begin(Method::DELETE, SINGLE).params(list).delete_options(options)).await
    }
}

const SINGLE: &str = "PartialObjectMetadata";
const LIST: &str = "PartialObjectMetadataList";

async fn answered(request: &Request) -> Result<(), Error> {
    request.send().await?.error().map_or(Ok(()), Err)
}

fn only(object: Value, kind: &str) -> Result<Value, Error> {
    let received = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    if received == kind {
        return Ok(object);
    }
    Err(Error::Decode(DecodeError::KindMismatch { expected: kind.into(), received: received.into() }))
}
