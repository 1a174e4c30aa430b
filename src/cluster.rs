//! [`Cluster`]: the fake API server as a library user meets it.

use rehearsal_apimachinery::Status;
use rehearsal_fakeserver::access::Journal;
use rehearsal_fakeserver::builder::AuthMode;
use rehearsal_fakeserver::clock::Clock;
use rehearsal_fakeserver::controllers::Controllers;
use rehearsal_fakeserver::store::Snapshot;
use rehearsal_fakeserver::{FakeServer, FakeServerBuilder, StartError};
use serde_json::Value;

/// An isolated in-process cluster on a free loopback port. Many can live in one process; they share nothing.
///
/// Dropping it stops it without waiting; [`shutdown`](Self::shutdown) waits.
#[derive(Debug)]
#[must_use = "dropping the cluster stops it"]
pub struct Cluster(FakeServer);

impl Cluster {
    /// A cluster with all defaults: plain HTTP, everyone is admin, real clock, seed 1, and the controllers a test cannot
    /// do without (namespace deletion, garbage collection, default service accounts).
    ///
    /// # Errors
    /// [`StartError`] when no port can be bound.
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// A configuration to start from.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder(FakeServer::builder().controllers(Controllers::essential()))
    }

    /// `http://127.0.0.1:PORT`, or `https://…` with TLS.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// The text of a kubeconfig for the cluster's administrator.
    ///
    /// # Errors
    /// [`StartError::Certificates`] when a client certificate cannot be made.
    pub fn kubeconfig(&self) -> Result<String, StartError> {
        self.0.kubeconfig()
    }

    /// Bearer token of the admin API below `/_rehearsal/v1`.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        self.0.admin_token()
    }

    /// Creates an object, or replaces it where it exists.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn apply(&self, object: Value) -> Result<(), Status> {
        self.0.apply(object).await
    }

    /// The present state: a pointer copy, whatever its size.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    /// Returns to a state. Open watches end; the revision moves forward, never back.
    ///
    /// # Errors
    /// When the custom resources of the state cannot be served.
    pub fn restore(&self, snapshot: &Snapshot) -> Result<(), Status> {
        self.0.restore(snapshot)
    }

    /// A second cluster that begins with this one's state and shares nothing with it from then on.
    ///
    /// # Errors
    /// [`StartError`] when no port can be bound.
    pub async fn fork(&self) -> Result<Self, StartError> {
        self.0.fork().await.map(Self)
    }

    /// Every request seen: what a failing test prints.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.0.journal()
    }

    /// The cluster's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.0.clock()
    }

    /// The server below, for what this facade does not offer.
    pub fn server(&self) -> &FakeServer {
        &self.0
    }

    /// Stops the cluster and waits for running requests, ten seconds at most.
    pub async fn shutdown(self) {
        self.0.shutdown().await;
    }
}

/// Configuration of a [`Cluster`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct ClusterBuilder(FakeServerBuilder);

impl ClusterBuilder {
    /// Seed of uids, generated names and allocation dice. Default 1.
    pub fn seed(self, seed: u64) -> Self {
        Self(self.0.seed(seed))
    }

    /// Source of time. Default: the machine's.
    pub fn clock(self, clock: Clock) -> Self {
        Self(self.0.clock(clock))
    }

    /// Who may do what. Default: everyone is admin.
    pub fn auth(self, mode: AuthMode) -> Self {
        Self(self.0.auth(mode))
    }

    /// Static bearer tokens in kube's CSV form: `token,user,uid,"group1,group2"`.
    pub fn token_file(self, csv: impl Into<String>) -> Self {
        Self(self.0.token_file(csv))
    }

    /// TLS with a CA made at the start. Default off.
    pub fn tls(self, on: bool) -> Self {
        Self(self.0.tls(on))
    }

    /// Controllers beside the server. Default [`Controllers::essential`].
    pub fn controllers(self, controllers: Controllers) -> Self {
        Self(self.0.controllers(controllers))
    }

    /// Objects that exist before the first request.
    pub fn objects(self, objects: impl IntoIterator<Item = Value>) -> Self {
        Self(self.0.objects(objects))
    }

    /// Starts the cluster.
    ///
    /// # Errors
    /// [`StartError`] when no port can be bound, or an initial object is refused.
    pub async fn start(self) -> Result<Cluster, StartError> {
        self.0.start().await.map(Cluster)
    }
}
