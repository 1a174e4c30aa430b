//! A running server: its start, its handles, its end.
//!
//! Counterpart: apiserver `genericapiserver.go`. Every connection is a task of one tracker; stopping turns `/readyz` off,
//! ends watches and waits for what is running.

mod accept;
mod assemble;
mod connection;
mod port;
mod tls;

pub(crate) use self::accept::{Listening, Ports, lanes, open_lane};
pub use self::port::LanePort;
pub(crate) use self::port::Port;

use self::accept::{accept_on, bind};
use self::assemble::{make_authority, make_core};
use self::port::{check_lane, kubeconfig};
use crate::access::Journal;
use crate::auth;
use crate::builder::FakeServerBuilder;
use crate::clock::Clock;
use crate::controllers::{self, Parts, Progress};
use crate::front::{self, Front};
use crate::handle::Core;
use crate::registry::Registry;
use crate::store::{MemoryStorage, Snapshot};
use axum::body::Body;
use http::{Request, Response};
use rehearsal_apimachinery::status::Status;
use rehearsal_fault_wire::Faults;
use rehearsal_faults::ServerFacts;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a stop waits for requests that are still running.
const DRAIN: Duration = Duration::from_secs(10);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address could not be bound.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The token file does not parse.
    #[error("token file")]
    TokenFile(#[from] auth::TokenFileError),
    /// A lane's name is none.
    #[error("{0:?} is no name for a lane: letters, digits, `-`, `_` and `.`, 63 at most")]
    Lane(String),
    /// As many lanes as a server has listeners for are there.
    #[error("there are {0} lanes with listeners")]
    TooManyLanes(usize),
    /// Keys or certificates could not be made.
    #[error("certificates: {0}")]
    Certificates(String),
    /// What was to be recorded cannot be.
    #[error("record {}: {reason}", path.display())]
    Tape {
        /// The tape.
        path: std::path::PathBuf,
        /// Why.
        reason: String,
    },
    /// The fault plan is refused.
    #[error("fault plan: {0}")]
    Faults(#[from] rehearsal_faults::PlanError),
    /// An initial object was refused.
    #[error("create {what}")]
    Object {
        /// Kind and name.
        what: String,
        /// The refusal.
        source: Box<Status>,
    },
}

/// A running server. Dropping it stops it without waiting; [`shutdown`](Self::shutdown) waits.
#[must_use = "dropping the server stops it"]
pub struct FakeServer {
    core: Arc<Core>,
    storage: Arc<MemoryStorage>,
    config: FakeServerBuilder,
    stop: CancellationToken,
    tasks: TaskTracker,
    progress: Progress,
}

const _: fn() = || {
    fn shareable<T: Send + Sync>() {}
    shareable::<FakeServer>();
};

impl std::fmt::Debug for FakeServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeServer").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl FakeServer {
    /// A configuration with all defaults.
    pub fn builder() -> FakeServerBuilder {
        FakeServerBuilder::default()
    }

    pub(crate) async fn launch(config: FakeServerBuilder) -> Result<Self, StartError> {
        Self::launch_over(config, MemoryStorage::new(), true).await
    }

    async fn launch_over(config: FakeServerBuilder, storage: MemoryStorage, fresh: bool) -> Result<Self, StartError> {
        // The clock may be shared; a skew is this server's own.
        let config = FakeServerBuilder { clock: config.clock.apart(), ..config };
        config.lanes.iter().try_for_each(|lane| check_lane(lane))?;
        let (listener, local) = bind(SocketAddr::new(config.bind, config.port)).await?;
        let (admin_listener, admin) = bind(config.admin_listen).await?;
        let storage = Arc::new(storage);
        let authority = if config.tls { Some(Arc::new(make_authority(&config.clock)?)) } else { None };
        let core = Arc::new(make_core(&config, storage.clone(), authority, Ports::new(local, admin))?);
        if fresh {
            let made = core.registry.bootstrap(local).await;
            made.map_err(|source| StartError::Object { what: "bootstrap objects".into(), source: Box::new(source) })?;
        }
        core.registry.settle_custom().await;
        let lanes = config.lanes.iter().cloned().collect();
        core.faults.serve_as(ServerFacts { tls: config.tls, http2: config.http2, lanes });
        for plan in &config.faults {
            core.faults.add(plan)?;
        }
        let (stop, tasks) = (core.listening.stop.clone(), core.listening.tasks.clone());
        let ca_pem = core.authority.as_ref().map(|authority| authority.pem()).unwrap_or_default();
        let parts = Parts { registry: core.registry.clone(), ca_pem, tokens: core.tokens.clone() };
        let server = Self {
            progress: controllers::start(&config.controllers, &parts, &tasks, &stop),
            stop,
            tasks,
            storage,
            core,
            config,
        };
        for object in server.config.objects.clone() {
            // Pods need the service account that a controller makes.
            server.settle().await;
            server.create_initial(object).await?;
        }
        accept_on(&server.core, listener, server.core.ports.main.clone())?;
        accept_on(&server.core, admin_listener, server.core.ports.admin.clone())?;
        for lane in server.config.lanes.clone() {
            open_lane(&server.core, &lane).await?;
        }
        Ok(server)
    }

    /// Waits until the controllers have done what the writes so far, and the time, ask for; what failed and is tried again
    /// later does not count. Returns at once when none are running. Cancel-safe.
    pub async fn settle(&self) {
        self.progress.settled().await;
    }

    async fn create_initial(&self, object: Value) -> Result<(), StartError> {
        use rehearsal_apimachinery::ObjectMeta as _;
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or("object");
        let what = format!("{kind} {:?}", object.name());
        self.apply(object).await.map_err(|source| StartError::Object { what, source: Box::new(source) })
    }

    /// Creates an object, or replaces it where it exists, as an administrator.
    ///
    /// # Errors
    /// The refusal of the server.
    pub async fn apply(&self, object: Value) -> Result<(), Status> {
        self.core.registry.load(object).await
    }

    /// `http://127.0.0.1:PORT` or `https://…`.
    #[must_use]
    pub fn url(&self) -> String {
        self.core.url()
    }

    /// The address listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.core.ports.main.address
    }

    /// Where the admin API is whatever fault rules do to the other listeners.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.core.url_of(self.core.ports.admin.address)
    }

    /// Opens a listener for a lane, or returns the one that is open: what connects to it is of that lane before anything
    /// is read. Rules at `conn` that name the lane act on this listener alone. It closes with the server.
    ///
    /// # Errors
    /// [`StartError`] when the name is none for a lane, or no port can be bound.
    pub async fn lane(&self, name: &str) -> Result<LanePort, StartError> {
        open_lane(&self.core, name).await
    }

    /// The lanes that have a listener, by name.
    ///
    /// # Errors
    /// When a client certificate cannot be made.
    pub fn lanes(&self) -> Result<Vec<LanePort>, StartError> {
        lanes(&self.core)
    }

    /// A kubeconfig for this server as its administrator.
    ///
    /// # Errors
    /// When a client certificate cannot be made.
    pub fn kubeconfig(&self) -> Result<String, StartError> {
        kubeconfig(&self.core, &self.core.url())
    }

    /// Bearer token of the admin API.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        self.core.admin_token.expose()
    }

    /// Every request seen.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.core.access.journal.clone()
    }

    /// The fault rules of this server: arming, marks, what has fired.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.core.faults
    }

    /// The cluster's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.core.registry.clock()
    }

    /// The registry: reads and writes without HTTP.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.core.registry
    }

    /// The present state; a pointer copy.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        use crate::store::Storage as _;
        self.storage.snapshot()
    }

    /// Lets the next write take a resourceVersion greater than this one; smaller ones change nothing. For replays, where
    /// a write is to come out where it did in the recording.
    pub fn advance(&self, to: crate::store::Revision) {
        self.storage.advance(to);
    }

    /// Returns to a state. Watches end; the revision moves forward.
    ///
    /// # Errors
    /// When the custom resources of the state cannot be served.
    pub fn restore(&self, snapshot: &Snapshot) -> Result<(), Status> {
        self.core.restore(snapshot)
    }

    /// A second server that begins with this one's state and shares nothing with it from then on.
    ///
    /// # Errors
    /// [`StartError`] when it cannot listen.
    pub async fn fork(&self) -> Result<Self, StartError> {
        Self::launch_over(of_fork(&self.config), self.storage.fork(), false).await
    }

    /// Answers a request without a socket.
    ///
    /// Cancel safety: dropping the future abandons the request; a write may or may not have happened.
    pub async fn call(&self, request: Request<Body>) -> Response<Body> {
        front::enter(self.core.clone(), request).await
    }

    /// Stops: `/readyz` fails, watches end, no new connections; running requests have ten seconds.
    pub async fn shutdown(self) {
        self.begin_stop();
        self.tasks.close();
        let _ = tokio::time::timeout(DRAIN, self.tasks.wait()).await;
    }

    fn begin_stop(&self) {
        self.core.stopping.store(true, Ordering::SeqCst);
        self.core.ports.end();
        self.core.faults.disarm_all();
        self.stop.cancel();
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.begin_stop();
    }
}

impl Core {
    /// Puts a snapshot's state in place of the present one.
    pub(crate) fn restore(&self, snapshot: &Snapshot) -> Result<(), Status> {
        self.memory.restore(snapshot);
        self.registry.refresh_custom();
        Ok(())
    }
}

/// How a fork is configured.
fn of_fork(config: &FakeServerBuilder) -> FakeServerBuilder {
    FakeServerBuilder {
        port: 0,
        admin_listen: SocketAddr::new(config.admin_listen.ip(), 0),
        objects: Vec::new(),
        faults: Vec::new(),
        front: Front::default(),
        ..config.clone()
    }
}

/// Starts a fork for the admin API; it lives as long as its parent.
pub(crate) async fn fork(core: &Arc<Core>) -> Result<Value, Status> {
    let failed = |e: StartError| Status::internal_error(e.to_string());
    let launched = Box::pin(FakeServer::launch_over(of_fork(&core.config), core.memory.fork(), false)).await;
    let server = launched.map_err(failed)?;
    let answer = json!({
        "url": server.url(),
        "kubeconfig": server.kubeconfig().map_err(failed)?,
        "adminToken": server.admin_token(),
        "adminUrl": server.admin_url(),
        "lanes": server.lanes().map_err(failed)?,
    });
    core.forks.lock().push(server);
    Ok(answer)
}
