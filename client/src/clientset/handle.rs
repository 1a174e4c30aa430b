//! [`TypedResource`]: the one handle behind every typed resource.
//!
//! Counterpart: client-go `gentype.Client`. A method exists only where the type's resource serves the verb.

use super::TypedWatch;
use crate::BoxFuture;
use crate::error::{DecodeError, Error};
use crate::pager::ListPages;
use crate::rest::{MEDIA_JSON, MEDIA_PROTOBUF, PatchType, ProtobufCodec, Request, RestClient};
use crate::rest::{RestResponse, codec::json, codec::media_type};
use crate::scheme::{List, Resource, Scope, verbs};
use crate::watch::{StartWatch, WatchStream};
use http::Method;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use rehearsal_apimachinery::codec::protobuf::deserialize_object;
use rehearsal_apimachinery::{
    Catalog, CreateOptions, DeleteOptions, GetOptions, ListOptions, ObjectMeta as _, ObjectMetaMut as _, PatchOptions,
    UpdateOptions,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The namespace that stands for all of them. Lists and watches only; what concerns one object refuses it.
pub const ALL_NAMESPACES: &str = "";

/// A handle for one type, in one namespace, in all of them, or in the cluster. Cloning is cheap.
pub struct TypedResource<K> {
    rest: RestClient,
    namespace: String,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for TypedResource<K> {
    fn clone(&self) -> Self {
        Self { rest: self.rest.clone(), namespace: self.namespace.clone(), kind: PhantomData }
    }
}

impl<K: Resource> fmt::Debug for TypedResource<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedResource").field("kind", &K::gvk()).field("namespace", &self.namespace).finish()
    }
}

impl<K: Resource<Scope = NamespaceResourceScope>> TypedResource<K> {
    /// A handle in a namespace, or [`ALL_NAMESPACES`].
    #[must_use]
    pub fn namespaced(rest: &RestClient, namespace: &str) -> Self {
        Self::new(rest, namespace)
    }
}

impl<K: Resource<Scope = ClusterResourceScope>> TypedResource<K> {
    /// A handle for objects of the cluster.
    #[must_use]
    pub fn cluster(rest: &RestClient) -> Self {
        Self::new(rest, "")
    }
}

impl<K: Resource> TypedResource<K> {
    fn new(rest: &RestClient, namespace: &str) -> Self {
        let rest = if rest.api_version() == Some(&K::group_version()) {
            rest.clone()
        } else {
            rest.group_version(K::group_version())
        };
        Self { rest: spoken(rest, K::API_VERSION, K::KIND), namespace: namespace.to_owned(), kind: PhantomData }
    }

    /// The client below.
    #[must_use]
    pub fn rest_client(&self) -> &RestClient {
        &self.rest
    }

    /// Its namespace; empty for all of them and for the cluster.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A request to the collection, unsent: what lists and watches begin with.
    pub fn collection(&self, method: Method) -> Request {
        self.rest.verb(method).namespace_if_any(&self.namespace).resource(K::PLURAL)
    }

    /// A request to the collection of one namespace, unsent; sending it is refused if there is none.
    pub(super) fn one_collection(&self, method: Method) -> Result<Request, Error> {
        if K::Scope::NAMESPACED && self.namespace.is_empty() {
            let fault = format!("an empty namespace may not be set: {method} of {} needs one", K::PLURAL);
            return Err(Error::Request(fault));
        }
        Ok(self.collection(method))
    }

    /// A request to an object or a subresource of it, unsent.
    ///
    /// # Errors
    /// A namespaced type without a namespace. (client-go would ask the path of a cluster-scoped object)
    pub fn object(&self, method: Method, name: &str, subresources: &[&str]) -> Result<Request, Error> {
        let request = self.one_collection(method)?.name(name);
        Ok(if subresources.is_empty() { request } else { request.subresource(subresources) })
    }
}

impl<K: verbs::Create> TypedResource<K> {
    /// Creates, and gives the object as stored.
    ///
    /// # Errors
    /// The server's refusal, or what kept its answer from arriving.
    pub async fn create(&self, object: &K, options: &CreateOptions) -> Result<K, Error> {
        ask(&self.one_collection(Method::POST)?.params(options).object(object)).await
    }
}

impl<K: verbs::Get> TypedResource<K> {
    /// Reads one.
    ///
    /// # Errors
    /// As [`TypedResource::create`].
    pub async fn get(&self, name: &str, options: &GetOptions) -> Result<K, Error> {
        ask(&self.object(Method::GET, name, &[])?.params(options)).await
    }
}

impl<K: verbs::List> TypedResource<K> {
    /// Reads many.
    ///
    /// # Errors
    /// As [`TypedResource::create`].
    pub async fn list(&self, options: &ListOptions) -> Result<List<K>, Error> {
        ask(&self.listing(options)).await
    }

    fn listing(&self, options: &ListOptions) -> Request {
        self.collection(Method::GET).params(options).timeout(timeout_of(options))
    }
}

impl<K: verbs::Watch> TypedResource<K> {
    /// Watches.
    ///
    /// # Errors
    /// As [`Request::watch`].
    pub async fn watch(&self, options: &ListOptions) -> Result<TypedWatch<K>, Error> {
        Ok(TypedWatch::new(self.watch_values(options).await?))
    }

    async fn watch_values(&self, options: &ListOptions) -> Result<WatchStream, Error> {
        let options = ListOptions { watch: true, ..options.clone() };
        self.collection(Method::GET).params(&options).timeout(timeout_of(&options)).watch().await
    }
}

impl<K: verbs::Update> TypedResource<K> {
    /// Replaces.
    ///
    /// # Errors
    /// As [`TypedResource::create`]; an object without a name.
    pub async fn update(&self, object: &K, options: &UpdateOptions) -> Result<K, Error> {
        self.put(object.name(), object, options, &[]).await
    }
}

impl<K: Resource> TypedResource<K> {
    /// Replaces a subresource that takes and gives the object itself.
    pub(super) async fn put(
        &self,
        name: &str,
        object: &K,
        options: &UpdateOptions,
        subresources: &[&str],
    ) -> Result<K, Error> {
        ask(&self.object(Method::PUT, name, subresources)?.params(options).object(object)).await
    }

    /// Applies a configuration to a path of the object it names.
    async fn put_together<R: DeserializeOwned>(
        &self,
        name: Option<&str>,
        configuration: &impl Serialize,
        options: &PatchOptions,
        subresources: &[&str],
        type_meta: (&str, &str),
    ) -> Result<R, Error> {
        let mut configuration = configuration_of(configuration, type_meta)?;
        // Of a scale the caller says the name; the server wants it in the body all the same.
        if let Some(name) = name.filter(|_| configuration.name().is_empty()) {
            configuration.set_meta("name", name);
        }
        let name = name.unwrap_or_else(|| configuration.name());
        if name.is_empty() {
            return Err(Error::Request("name is required in the configuration to apply".into()));
        }
        let options = PatchOptions { force: Some(options.force.unwrap_or(false)), ..options.clone() };
        let request = self.object(Method::PATCH, name, subresources)?.params(&options);
        ask(&request.header("content-type", PatchType::Apply.media_type()).object(&configuration)).await
    }
}

impl<K: verbs::HasStatus + verbs::Update> TypedResource<K> {
    /// Replaces the status.
    ///
    /// # Errors
    /// As [`TypedResource::update`].
    pub async fn update_status(&self, object: &K, options: &UpdateOptions) -> Result<K, Error> {
        self.put(object.name(), object, options, &["status"]).await
    }
}

impl<K: verbs::Patch> TypedResource<K> {
    /// Patches with a body of the given type.
    ///
    /// # Errors
    /// As [`TypedResource::create`].
    pub async fn patch(
        &self,
        name: &str,
        kind: PatchType,
        body: impl Into<bytes::Bytes> + Send,
        options: &PatchOptions,
        subresources: &[&str],
    ) -> Result<K, Error> {
        let request = self.object(Method::PATCH, name, subresources)?.header("content-type", kind.media_type());
        ask(&request.params(options).body(body)).await
    }

    /// Applies a configuration: a JSON value, the type itself, or anything else that says only what it means to own.
    /// `options` needs a field manager; `force` is always sent.
    ///
    /// # Errors
    /// As [`TypedResource::create`]; a configuration without a name, with managed fields, or of another kind.
    pub async fn apply(&self, configuration: &impl Serialize, options: &PatchOptions) -> Result<K, Error> {
        self.put_together(None, configuration, options, &[], (K::API_VERSION, K::KIND)).await
    }
}

impl<K: verbs::HasStatus + verbs::Patch> TypedResource<K> {
    /// Applies to the status.
    ///
    /// # Errors
    /// As [`TypedResource::apply`].
    pub async fn apply_status(&self, configuration: &impl Serialize, options: &PatchOptions) -> Result<K, Error> {
        self.put_together(None, configuration, options, &["status"], (K::API_VERSION, K::KIND)).await
    }
}

impl<K: verbs::HasScale> TypedResource<K> {
    /// Applies to a scale, for `scale.rs`.
    pub(super) async fn apply_to_scale<R: DeserializeOwned>(
        &self,
        name: &str,
        configuration: &impl Serialize,
        options: &PatchOptions,
    ) -> Result<R, Error> {
        self.put_together(Some(name), configuration, options, &["scale"], ("autoscaling/v1", "Scale")).await
    }
}

impl<K: verbs::Delete> TypedResource<K> {
    /// Deletes. It is gone at once unless finalizers or a grace period hold it.
    ///
    /// # Errors
    /// The server's refusal, or what kept its answer from arriving.
    pub async fn delete(&self, name: &str, options: &DeleteOptions) -> Result<(), Error> {
        settled(&deleting::<K>(self.object(Method::DELETE, name, &[])?, options)).await
    }
}

impl<K: verbs::DeleteCollection> TypedResource<K> {
    /// Deletes what a list would show.
    ///
    /// # Errors
    /// As [`TypedResource::delete`].
    pub async fn delete_collection(&self, options: &DeleteOptions, list: &ListOptions) -> Result<(), Error> {
        let request = self.one_collection(Method::DELETE)?.params(list).timeout(timeout_of(list));
        settled(&deleting::<K>(request, options)).await
    }
}

impl<K: verbs::List> ListPages for TypedResource<K> {
    fn page<'a>(&'a self, options: &'a ListOptions) -> BoxFuture<'a, Result<Value, Error>> {
        Box::pin(async move { self.listing(options).send().await?.object() })
    }
}

impl<K: verbs::Watch> StartWatch for TypedResource<K> {
    fn start<'a>(&'a self, options: &'a ListOptions) -> BoxFuture<'a, Result<WatchStream, Error>> {
        Box::pin(self.watch_values(options))
    }
}

/// A client that says protobuf where a kind has no such form is made to speak JSON. Bodies of deletes and lists of
/// custom resources would be refused otherwise.
fn spoken(rest: RestClient, api_version: &str, kind: &str) -> RestClient {
    let content = &rest.shared.content;
    let protobuf = content.content_type.contains(MEDIA_PROTOBUF) || content.accept.contains(MEDIA_PROTOBUF);
    if !protobuf || ProtobufCodec.knows(api_version, kind) {
        return rest;
    }
    rest.content(MEDIA_JSON, MEDIA_JSON)
}

/// The options of a delete carry the group's own version, as a typed encoder of client-go writes it.
fn deleting<K: Resource>(request: Request, options: &DeleteOptions) -> Request {
    let mut body = options.to_json();
    body["apiVersion"] = json!(K::API_VERSION);
    request.object(&body)
}

/// The timeout of a request that may wait for as long as the server does.
fn timeout_of(list: &ListOptions) -> Duration {
    Duration::from_secs(list.timeout_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or_default())
}

/// Sends, and reads the answer as a type that refuses other kinds.
pub(super) async fn ask<T: DeserializeOwned>(request: &Request) -> Result<T, Error> {
    read(&request.send().await?)
}

/// Sends, and wants to know nothing but whether it was done.
pub(super) async fn settled(request: &Request) -> Result<(), Error> {
    request.send().await?.error().map_or(Ok(()), Err)
}

/// Carries an object as JSON whatever the client speaks, as the hand-written methods of client-go do.
pub(super) fn in_json(request: Request, object: &impl Serialize) -> Request {
    let request = request.header("accept", "application/json, */*").header("content-type", MEDIA_JSON);
    match serde_json::to_vec(object) {
        Ok(bytes) => request.body(bytes),
        Err(error) => request.fail(format!("encode body: {error}")),
    }
}

fn read<T: DeserializeOwned>(response: &RestResponse) -> Result<T, Error> {
    let media = media_type(response.content_type()).unwrap_or_default();
    // Straight from the bytes: no tree in between, and no second pass to find out the kind.
    if response.generic.is_none()
        && let Some(object) = straight(&media, &response.body)
    {
        return Ok(object);
    }
    // Refusals, failures under a success code, other media types, and everything that is no such object.
    let value = response.object()?;
    let received = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let read = serde_json::to_vec(&value).and_then(|bytes| serde_json::from_slice(&bytes));
    read.map_err(|error| {
        let message = format!("{}, Kind={}: {error}", received("apiVersion"), received("kind"));
        Error::Decode(DecodeError::Malformed { media_type: media, message })
    })
}

fn straight<T: DeserializeOwned>(media: &str, body: &[u8]) -> Option<T> {
    match media {
        MEDIA_JSON => json(body).ok(),
        MEDIA_PROTOBUF => deserialize_object(body, Catalog::builtin()).ok(),
        _ => None,
    }
}

/// The configuration as JSON, with its kind.
fn configuration_of(configuration: &impl Serialize, (version, kind): (&str, &str)) -> Result<Value, Error> {
    let mut value = serde_json::to_value(configuration).map_err(|e| Error::Request(format!("encode body: {e}")))?;
    let Some(members) = value.as_object_mut() else {
        return Err(Error::Request("the configuration to apply is no object".into()));
    };
    for (key, wanted) in [("apiVersion", version), ("kind", kind)] {
        let found = members.entry(key).or_insert_with(|| json!(wanted));
        if found != wanted {
            return Err(Error::Request(format!("the configuration to apply has {key} {found}, not {wanted:?}")));
        }
    }
    if value.meta().is_some_and(|m| m.get("managedFields").is_some_and(|f| !f.is_null())) {
        return Err(Error::Request("cannot apply an object with managed fields already set".into()));
    }
    Ok(value)
}
