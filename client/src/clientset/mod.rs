//! The clientset: typed handles for every group and version, over one connection pool and one limiter.
//!
//! Counterpart: client-go `kubernetes.Clientset` and `gentype`. `handle.rs` has the one generic handle, `generated/` a
//! thin file for each group and version, the files beside them what single resources have more.

mod certificates_ext;
mod core_ext;
mod events_ext;
pub(crate) mod generated;
mod handle;
mod pods_ext;
mod policy_ext;
mod proxy;
mod scale;
mod streams_ext;
mod watch;

pub use generated::*;
pub use handle::{ALL_NAMESPACES, TypedResource};
pub use pods_ext::PodLogOptions;
pub use policy_ext::Evictions;
pub use watch::TypedWatch;

use crate::config::{Config, ContentConfig};
use crate::discovery::DiscoveryClient;
use crate::dynamic::DynamicClient;
use crate::error::Error;
use crate::rest::{RestClient, share_limiter};
use crate::scheme::Resource;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use std::sync::Arc;

/// Typed clients for every group and version. Cloning is cheap and shares everything.
///
/// ```no_run
/// # async fn run() -> Result<(), rehearsal_client::Error> {
/// use rehearsal_client::{Clientset, Config, ListOptions};
///
/// let clientset = Clientset::for_config(&Config::infer()?)?;
/// for pod in clientset.core_v1().pods("default").list(&ListOptions::default()).await? {
///     println!("{}", pod.metadata.name.unwrap_or_default());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Clientset {
    rest: RestClient,
    groups: Arc<generated::Groups>,
}

const _: () = {
    const fn assert_send_sync<T: Send + Sync>() {}
    assert_send_sync::<Clientset>();
};

impl Clientset {
    /// Makes a clientset with one limiter for all its groups.
    ///
    /// Objects travel as JSON unless the configuration says otherwise, see [`Config::protobuf`]; client-go speaks
    /// protobuf unless told otherwise. JSON loses nothing of what a server newer than our tables sends.
    ///
    /// # Errors
    /// When the configuration does not make a client, for example a positive QPS with a burst of zero.
    pub fn for_config(config: &Config) -> Result<Self, Error> {
        let content = ContentConfig { group_version: None, ..config.content.clone() };
        let config = Config { content, api_path: String::new(), ..share_limiter(config)? };
        Ok(Self::new(&RestClient::unversioned(&config)?))
    }

    /// Uses another client's connections, limiter, credentials and media types.
    #[must_use]
    pub fn new(rest: &RestClient) -> Self {
        Self { groups: Arc::new(generated::Groups::new(rest)), rest: rest.clone() }
    }

    /// The client below, for absolute paths.
    #[must_use]
    pub fn rest_client(&self) -> &RestClient {
        &self.rest
    }

    /// Discovery over the same connections.
    #[must_use]
    pub fn discovery(&self) -> DiscoveryClient {
        DiscoveryClient::new(&self.rest)
    }

    /// The dynamic client over the same connections.
    #[must_use]
    pub fn dynamic(&self) -> DynamicClient {
        DynamicClient::new(&self.rest)
    }

    /// A handle for any namespaced type, such as a custom resource; [`ALL_NAMESPACES`] for all of them.
    #[must_use]
    pub fn namespaced<K: Resource<Scope = NamespaceResourceScope>>(&self, namespace: &str) -> TypedResource<K> {
        TypedResource::namespaced(&self.rest, namespace)
    }

    /// A handle for any cluster-scoped type, such as a custom resource.
    #[must_use]
    pub fn cluster<K: Resource<Scope = ClusterResourceScope>>(&self) -> TypedResource<K> {
        TypedResource::cluster(&self.rest)
    }

    pub(crate) fn groups(&self) -> &generated::Groups {
        &self.groups
    }
}
