//! The dynamic client: any resource, as JSON values.
//!
//! Counterpart: client-go `dynamic`. Objects must carry `kind` and `apiVersion`; typed handles are elsewhere.

use crate::config::Config;
use crate::error::{DecodeError, Error};
use crate::rest::{MEDIA_JSON, PatchType, Request, RestClient, share_limiter};
use crate::watch::WatchStream;
use http::Method;
use rehearsal_apimachinery::{
    CreateOptions, DeleteOptions, GetOptions, GroupVersion, GroupVersionResource, ListOptions, ObjectMeta,
    PatchOptions, UpdateOptions,
};
use serde_json::Value;

/// A client for every resource of a server.
#[derive(Clone, Debug)]
pub struct DynamicClient {
    rest: RestClient,
}

impl DynamicClient {
    /// Makes a client with its own limiter.
    ///
    /// # Errors
    /// When the configuration does not make a client.
    pub fn for_config(config: &Config) -> Result<Self, Error> {
        Ok(Self::new(&RestClient::unversioned(&share_limiter(config)?)?))
    }

    /// Uses another client's connections, limiter and credentials.
    #[must_use]
    pub fn new(rest: &RestClient) -> Self {
        Self { rest: rest.content(MEDIA_JSON, MEDIA_JSON) }
    }

    /// A handle for a resource, in all namespaces until one is chosen.
    #[must_use]
    pub fn resource(&self, gvr: &GroupVersionResource) -> DynamicResource {
        DynamicResource {
            rest: self.rest.group_version(GroupVersion::new(&gvr.group, &gvr.version)),
            resource: gvr.resource.clone(),
            namespace: String::new(),
        }
    }
}

/// A handle for one resource. Methods end in trailing subresources, usually none.
#[derive(Clone, Debug)]
pub struct DynamicResource {
    rest: RestClient,
    resource: String,
    namespace: String,
}

fn need_name(name: &str) -> Result<(), Error> {
    if name.is_empty() { Err(Error::Request("name is required".into())) } else { Ok(()) }
}

/// An object without a kind cannot be told from any other.
fn with_kind(object: Value) -> Result<Value, Error> {
    if object.get("kind").and_then(Value::as_str).is_none_or(str::is_empty) {
        let message = "Object 'Kind' is missing".to_owned();
        return Err(Error::Decode(DecodeError::Malformed { media_type: MEDIA_JSON.into(), message }));
    }
    Ok(object)
}

impl DynamicResource {
    /// The same resource in a namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    fn begin(&self, method: Method) -> Request {
        self.rest.verb(method).namespace_if_any(&self.namespace).resource(&self.resource)
    }

    fn of(&self, method: Method, name: &str, subresources: &[&str]) -> Result<Request, Error> {
        need_name(name)?;
        Ok(self.begin(method).name(name).suffix(subresources))
    }

    async fn object(request: Request) -> Result<Value, Error> {
        with_kind(request.send().await?.object()?)
    }

    /// Creates. With subresources the name is taken from the object.
    ///
    /// # Errors
    /// The server's refusal, or what kept its answer from arriving.
    pub async fn create(&self, object: &Value, options: &CreateOptions, subresources: &[&str]) -> Result<Value, Error> {
        let request = if subresources.is_empty() {
            self.begin(Method::POST)
        } else {
            self.of(Method::POST, object.name(), subresources)?
        };
        Self::object(request.params(options).object(object)).await
    }

    /// Replaces.
    ///
    /// # Errors
    /// As [`DynamicResource::create`]; an object without a name.
    pub async fn update(&self, object: &Value, options: &UpdateOptions, subresources: &[&str]) -> Result<Value, Error> {
        Self::object(self.of(Method::PUT, object.name(), subresources)?.params(options).object(object)).await
    }

    /// Replaces the status.
    ///
    /// # Errors
    /// As [`DynamicResource::update`].
    pub async fn update_status(&self, object: &Value, options: &UpdateOptions) -> Result<Value, Error> {
        self.update(object, options, &["status"]).await
    }

    /// Deletes. The answer is the object while finalizers hold it, a `Status` when it is gone.
    ///
    /// # Errors
    /// As [`DynamicResource::create`].
    pub async fn delete(&self, name: &str, options: &DeleteOptions, subresources: &[&str]) -> Result<Value, Error> {
        self.of(Method::DELETE, name, subresources)?.delete_options(options).send().await?.object()
    }

    /// Deletes what a list would show.
    ///
    /// # Errors
    /// As [`DynamicResource::create`].
    pub async fn delete_collection(&self, options: &DeleteOptions, list: &ListOptions) -> Result<Value, Error> {
        self.begin(Method::DELETE).params(list).delete_options(options).send().await?.object()
    }

    /// Reads one.
    ///
    /// # Errors
    /// As [`DynamicResource::create`].
    pub async fn get(&self, name: &str, options: &GetOptions, subresources: &[&str]) -> Result<Value, Error> {
        Self::object(self.of(Method::GET, name, subresources)?.params(options)).await
    }

    /// Reads many: the whole list object.
    ///
    /// # Errors
    /// As [`DynamicResource::create`].
    pub async fn list(&self, options: &ListOptions) -> Result<Value, Error> {
        Self::object(self.begin(Method::GET).params(options)).await
    }

    /// Watches.
    ///
    /// # Errors
    /// As [`Request::watch`].
    pub async fn watch(&self, options: &ListOptions) -> Result<WatchStream, Error> {
        let options = ListOptions { watch: true, ..options.clone() };
        self.begin(Method::GET).params(&options).watch().await
    }

    /// Patches with a body of the given type.
    ///
    /// # Errors
    /// As [`DynamicResource::create`].
    pub async fn patch(
        &self,
        name: &str,
        kind: PatchType,
        body: impl Into<bytes::Bytes> + Send,
        options: &PatchOptions,
        subresources: &[&str],
    ) -> Result<Value, Error> {
        let request = self.of(Method::PATCH, name, subresources)?.header("content-type", kind.media_type());
        Self::object(request.params(options).body(body)).await
    }

    /// Applies. `options` needs a field manager; `force` is always sent.
    ///
    /// # Errors
    /// As [`DynamicResource::create`]; an object that carries managed fields, or another name.
    pub async fn apply(
        &self,
        name: &str,
        object: &Value,
        options: &PatchOptions,
        subresources: &[&str],
    ) -> Result<Value, Error> {
        need_name(name)?;
        if object.meta().is_some_and(|m| m.get("managedFields").is_some_and(|f| !f.is_null())) {
            return Err(Error::Request("cannot apply an object with managed fields already set".into()));
        }
        if !object.name().is_empty() && object.name() != name {
            return Err(Error::Request(format!("the object is named {:?}, not {name:?}", object.name())));
        }
        let options = PatchOptions { force: Some(options.force.unwrap_or(false)), ..options.clone() };
        let body = serde_json::to_vec(object).map_err(|e| Error::Request(format!("encode body: {e}")))?;
        self.patch(name, PatchType::Apply, body, &options, subresources).await
    }

    /// Applies to the status.
    ///
    /// # Errors
    /// As [`DynamicResource::apply`].
    pub async fn apply_status(&self, name: &str, object: &Value, options: &PatchOptions) -> Result<Value, Error> {
        self.apply(name, object, options, &["status"]).await
    }
}
