//! [`Cluster`]: the fake API server as a library user meets it.

use crate::recording::{Recording, record_server};
use rehearsal_apimachinery::Status;
use rehearsal_cassettes::record::Summary;
use rehearsal_client::{ClientConfig, Clientset, Config, ConfigError, DynamicClient, Kubeconfig, Qps};
use rehearsal_fakeserver::access::Journal;
use rehearsal_fakeserver::builder::AuthMode;
use rehearsal_fakeserver::clock::Clock;
use rehearsal_fakeserver::controllers::Controllers;
use rehearsal_fakeserver::store::Snapshot;
use rehearsal_fakeserver::{FakeServer, FakeServerBuilder, LanePort, StartError};
use rehearsal_fault_wire::Faults;
use rehearsal_faults::Plan;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;

/// An isolated in-process cluster on a free loopback port. Many can live in one process; they share nothing.
///
/// Dropping it stops it without waiting; [`shutdown`](Self::shutdown) waits.
#[derive(Debug)]
#[must_use = "dropping the cluster stops it"]
pub struct Cluster {
    server: FakeServer,
    recording: Option<Recording>,
}

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
        ClusterBuilder { server: FakeServer::builder().controllers(Controllers::essential()), tape: None }
    }

    /// `http://127.0.0.1:PORT`, or `https://…` with TLS.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The text of a kubeconfig for the cluster's administrator.
    ///
    /// # Errors
    /// [`StartError::Certificates`] when a client certificate cannot be made.
    pub fn kubeconfig(&self) -> Result<String, StartError> {
        self.server.kubeconfig()
    }

    /// The configuration of a client that is the cluster's administrator, without a rate limit: a test has nobody to be
    /// considerate of. Set `qps` to 0 for client-go's default.
    ///
    /// # Errors
    /// [`rehearsal_client::Error::Config`] when no kubeconfig can be made.
    pub fn client_config(&self) -> Result<Config, rehearsal_client::Error> {
        unlimited(&self.kubeconfig().map_err(|e| ConfigError::Invalid(e.to_string()))?)
    }

    /// Typed clients of the cluster's administrator.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use rehearsal::{Cluster, client::ListOptions};
    ///
    /// let cluster = Cluster::start().await?;
    /// let namespaces = cluster.clientset()?.core_v1().namespaces();
    /// assert!(!namespaces.list(&ListOptions::default()).await?.items.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Cluster::client_config`].
    pub fn clientset(&self) -> Result<Clientset, rehearsal_client::Error> {
        Clientset::for_config(&self.client_config()?)
    }

    /// A dynamic client of the cluster's administrator.
    ///
    /// # Errors
    /// As [`Cluster::client_config`].
    pub fn dynamic(&self) -> Result<DynamicClient, rehearsal_client::Error> {
        DynamicClient::for_config(&self.client_config()?)
    }

    /// Bearer token of the admin API below `/_rehearsal/v1`.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        self.server.admin_token()
    }

    /// `http://127.0.0.1:PORT`, or `https://…` with TLS: where the admin API is whatever fault rules do to the ports that
    /// clients use.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.server.admin_url()
    }

    /// Opens a port for a lane, or returns the one that is open. What connects to it is of that lane before a byte is
    /// read, whatever it says of itself, and rules at `conn` that name the lane act on this port alone. It closes with the
    /// cluster.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use rehearsal::{Cluster, client::ListOptions, faults::Rule};
    ///
    /// let cluster = Cluster::start().await?;
    /// let sut = cluster.lane("sut").await?;
    /// let _guard = cluster.faults().inject(Rule::new("down").lane("sut").fault("refuse"))?.lenient();
    /// // The controller under test gets `sut.client_config()`; nobody else notices.
    /// assert_ne!(sut.url(), cluster.url());
    /// cluster.clientset()?.core_v1().namespaces().list(&ListOptions::default()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`StartError::Lane`] for what is no name of a lane, [`StartError::Listen`] when no port can be bound.
    pub async fn lane(&self, name: &str) -> Result<ClusterLane, StartError> {
        self.server.lane(name).await.map(ClusterLane)
    }

    /// Creates an object, or replaces it where it exists.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn apply(&self, object: Value) -> Result<(), Status> {
        self.server.apply(object).await
    }

    /// The present state: a pointer copy, whatever its size.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.server.snapshot()
    }

    /// Returns to a state. Open watches end; the revision moves forward, never back.
    ///
    /// # Errors
    /// When the custom resources of the state cannot be served.
    pub fn restore(&self, snapshot: &Snapshot) -> Result<(), Status> {
        self.server.restore(snapshot)
    }

    /// A second cluster that begins with this one's state and shares nothing with it from then on.
    ///
    /// # Errors
    /// [`StartError`] when no port can be bound.
    pub async fn fork(&self) -> Result<Self, StartError> {
        self.server.fork().await.map(Self::bare)
    }

    /// Every request seen: what a failing test prints.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.server.journal()
    }

    /// The fault rules of this cluster: `cluster.faults().inject(rule)` arms one until its guard is dropped.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.server.faults()
    }

    /// The cluster's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.server.clock()
    }

    /// The server below, for what this facade does not offer.
    pub fn server(&self) -> &FakeServer {
        &self.server
    }

    /// Stops the cluster and waits for running requests, ten seconds at most; then seals its tape, where it has one. A
    /// tape that cannot be sealed is told in the log: see [`end`](Self::end).
    pub async fn shutdown(self) {
        if let Err(error) = self.end().await {
            tracing::error!(error = format!("{error:#}"), "the tape is not sealed");
        }
    }

    /// As [`shutdown`](Self::shutdown), and says what was recorded; `None` without a tape.
    ///
    /// # Errors
    /// A tape that cannot be sealed; what was recorded is in the journal beside it.
    pub async fn end(self) -> anyhow::Result<Option<Summary>> {
        self.server.shutdown().await;
        match self.recording {
            Some(recording) => Ok(Some(recording.seal().await?)),
            None => Ok(None),
        }
    }

    fn bare(server: FakeServer) -> Self {
        Self { server, recording: None }
    }
}

/// The configuration that a kubeconfig asks for, without a rate limit.
fn unlimited(kubeconfig: &str) -> Result<Config, rehearsal_client::Error> {
    let config = ClientConfig::new(Kubeconfig::parse(kubeconfig.as_bytes())?).client_config()?;
    Ok(Config { qps: Qps(-1.0), ..config })
}

/// A port of one lane; see [`Cluster::lane`]. Dropping this closes nothing.
#[derive(Clone, Debug)]
pub struct ClusterLane(LanePort);

impl ClusterLane {
    /// The lane.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// `http://127.0.0.1:PORT`, or `https://…` with TLS.
    #[must_use]
    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// The address listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// The text of a kubeconfig for the cluster's administrator, through this port.
    #[must_use]
    pub fn kubeconfig(&self) -> &str {
        self.0.kubeconfig()
    }

    /// As [`Cluster::client_config`], through this port.
    ///
    /// # Errors
    /// As there.
    pub fn client_config(&self) -> Result<Config, rehearsal_client::Error> {
        unlimited(self.kubeconfig())
    }

    /// As [`Cluster::clientset`], through this port.
    ///
    /// # Errors
    /// As there.
    pub fn clientset(&self) -> Result<Clientset, rehearsal_client::Error> {
        Clientset::for_config(&self.client_config()?)
    }

    /// As [`Cluster::dynamic`], through this port.
    ///
    /// # Errors
    /// As there.
    pub fn dynamic(&self) -> Result<DynamicClient, rehearsal_client::Error> {
        DynamicClient::for_config(&self.client_config()?)
    }
}

/// Configuration of a [`Cluster`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct ClusterBuilder {
    server: FakeServerBuilder,
    tape: Option<PathBuf>,
}

impl ClusterBuilder {
    /// Seed of uids, generated names and allocation dice. Default 1.
    pub fn seed(self, seed: u64) -> Self {
        Self { server: self.server.seed(seed), ..self }
    }

    /// Source of time. Default: the machine's.
    pub fn clock(self, clock: Clock) -> Self {
        Self { server: self.server.clock(clock), ..self }
    }

    /// Who may do what. Default: everyone is admin.
    pub fn auth(self, mode: AuthMode) -> Self {
        Self { server: self.server.auth(mode), ..self }
    }

    /// Static bearer tokens in kube's CSV form: `token,user,uid,"group1,group2"`.
    pub fn token_file(self, csv: impl Into<String>) -> Self {
        Self { server: self.server.token_file(csv), ..self }
    }

    /// TLS with a CA made at the start. Default off.
    pub fn tls(self, on: bool) -> Self {
        Self { server: self.server.tls(on), ..self }
    }

    /// HTTP/2, with TLS and in clear text. Default on.
    pub fn http2(self, on: bool) -> Self {
        Self { server: self.server.http2(on), ..self }
    }

    /// A lane with a port of its own from the start; see [`Cluster::lane`].
    pub fn lane(self, name: impl Into<String>) -> Self {
        Self { server: self.server.lane(name), ..self }
    }

    /// Where the admin API listens beside the main port. Default: a free loopback port.
    pub fn admin_listen(self, address: SocketAddr) -> Self {
        Self { server: self.server.admin_listen(address), ..self }
    }

    /// Controllers beside the server. Default [`Controllers::essential`].
    pub fn controllers(self, controllers: Controllers) -> Self {
        Self { server: self.server.controllers(controllers), ..self }
    }

    /// A fault plan that is armed from the first connection on, beside those that were given before.
    pub fn faults(self, plan: Plan) -> Self {
        Self { server: self.server.faults(plan), ..self }
    }

    /// Objects that exist before the first request.
    pub fn objects(self, objects: impl IntoIterator<Item = Value>) -> Self {
        Self { server: self.server.objects(objects), ..self }
    }

    /// Records everything the cluster is asked and answers. The tape is there once the cluster was shut down; a tape that
    /// is there already is replaced then.
    pub fn record(self, path: impl Into<PathBuf>) -> Self {
        Self { tape: Some(path.into()), ..self }
    }

    /// Starts the cluster.
    ///
    /// # Errors
    /// [`StartError`] when no port can be bound, or an initial object is refused.
    pub async fn start(self) -> Result<Cluster, StartError> {
        let (server, recording) = match &self.tape {
            Some(path) => {
                let (server, recording) = record_server(self.server, path)
                    .map_err(|error| StartError::Tape { path: path.clone(), reason: format!("{error:#}") })?;
                (server, Some(recording))
            }
            None => (self.server, None),
        };
        Ok(Cluster { server: server.start().await?, recording })
    }
}
