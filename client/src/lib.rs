//! A Kubernetes client whose designs follow client-go's: configuration, throttling, retries, discovery, watches.
//!
//! Tour: [`Config`] says where the server is and who asks; `Clientset` has typed handles for every group and version,
//! [`DynamicClient`] does without types; both are made of [`RestClient`], which builds [`Request`]s for one group and
//! version; every failure is an [`Error`] with predicates. This crate works against any API server and knows none in
//! particular.
//!
//! The feature `clientset`, on by default, has everything typed: `Clientset`, `Scheme`, `derive(CustomResource)` and the
//! types of `k8s-openapi`.
//!
//! ```no_run
//! # async fn run() -> Result<(), rehearsal_client::Error> {
//! use rehearsal_client::{Config, GroupVersion, ListOptions, RestClient};
//!
//! let config = Config::infer()?;
//! let client = RestClient::unversioned(&config)?.group_version(GroupVersion::new("", "v1"));
//! let options = ListOptions::default().labels("app=web").limit(500);
//! let pods = client.get().namespace("default").resource("pods").params(&options).send().await?.object()?;
//! println!("{}", pods["items"]);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "clientset")]
mod clientset;
mod clock;
mod config;
mod discovery;
mod dynamic;
mod error;
mod flowcontrol;
mod metadata;
mod pager;
mod read_back;
mod rest;
mod retry;
mod scale;
#[cfg(feature = "clientset")]
mod scheme;
mod secret;
pub mod stream;
mod transport;
mod watch;

#[cfg(feature = "clientset")]
pub use clientset::*;
pub use config::{
    AuthInfo, AuthProvider, AuthProviderEntry, ClientConfig, Cluster, Config, ConfigError, ContentConfig,
    ExecAuthenticator, ExecConfig, ExecCredential, ExecEntry, Impersonation, InCluster, InteractiveMode, KubeContext,
    Kubeconfig, Loaded, LoadingRules, NameValue, Overrides, PluginPolicy, TlsConfig, default_user_agent,
};
pub use discovery::{
    ApiGroup, ApiResource, ApiResourceList, DeferredRestMapper, Discovered, Discovery, DiscoveryClient, DiskCache,
    GroupDiscoveryFailed, MappingError, MemoryCache, RestMapper, RestMapping,
};
pub use dynamic::{DynamicClient, DynamicResource};
pub use error::{
    CAUSE_CLIENT_WATCH_DECODING, CAUSE_RESOURCE_VERSION_TOO_LARGE, CAUSE_UNEXPECTED_SERVER_RESPONSE, DecodeError,
    Error, StatusError, ThrottleError, TransportError, TransportKind,
};
pub use flowcontrol::{
    Burst, DEFAULT_BURST, DEFAULT_QPS, Qps, RateLimiter, Reservation, Throttle, TokenBucket, Unlimited,
};
pub use metadata::{MetadataClient, MetadataResource};
pub use pager::{ListPages, Pager};
pub use rest::{
    BackoffManager, ByteStream, Codecs, Decision, Entry, JsonCodec, Lines, LogWarnings, MEDIA_CBOR, MEDIA_JSON,
    MEDIA_PROTOBUF, MEDIA_YAML, NoBackoff, NoMetrics, NoWarnings, ObjectCodec, ObjectKind, Outcome, PatchType,
    ProtobufCodec, QueryParams, Request, RequestBody, RequestMetrics, RestClient, RestResponse, Retries, RetryOptions,
    RetryReason, UrlBackoff, Warning, WarningHandler, WriteWarnings, YamlCodec,
};
pub use retry::{Backoff, DEFAULT_BACKOFF, DEFAULT_RETRY, retry_on_conflict, retry_on_error};
pub use scale::ScaleClient;
#[cfg(feature = "clientset")]
pub use scheme::{
    CustomObject, CustomObjectRef, FromQuery, List, Object, ParameterCodec, PartialObjectMetadata, Registered,
    Resource, Scheme, SchemeError, Scope, TypedEvent, Unstructured, structural_schema, verbs,
};
pub use secret::Secret;
pub use transport::{Body, ConnectionPools, HttpCache, Proxy, ProxyEnv, ProxyTarget, Transport};
pub use watch::{RetryWatcher, StartWatch, WATCH_BACKOFF, WatchEvent, WatchEventType, WatchStream};

/// The built-in types.
#[cfg(feature = "clientset")]
pub use k8s_openapi;
#[cfg(feature = "clientset")]
pub use rehearsal_derive::CustomResource;

pub use rehearsal_apimachinery::{
    CreateOptions, DeleteOptions, FieldSelector, GetOptions, GroupKind, GroupResource, GroupVersion, GroupVersionKind,
    GroupVersionResource, LabelSelector, ListOptions, PatchOptions, Preconditions, Status, StatusCause, StatusDetails,
    StatusReason, UpdateOptions,
};

/// A future on the heap, for traits that are used as objects.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the code of `derive(CustomResource)` names.
#[cfg(feature = "clientset")]
#[doc(hidden)]
pub mod __private {
    pub use serde;
    pub use serde_json;
}
