//! How a server is configured before it starts.

use crate::clock::Clock;
use crate::controllers::Controllers;
use crate::front::{Front, Handler};
use crate::serve::{FakeServer, StartError};
use axum::body::Body;
use http::{Request, Response};
use serde_json::Value;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tower::{Layer, Service};

/// Who may do what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// Everyone is an administrator.
    #[default]
    Off,
    /// Credentials are checked and RBAC decides.
    Rbac,
}

/// Seed of uids, names and dice unless another is given.
pub const DEFAULT_SEED: u64 = 1;

/// Configuration of a [`FakeServer`]. Defaults: loopback, a free port, plain HTTP, everyone is admin, real clock,
/// seed 1, no controllers.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct FakeServerBuilder {
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    pub(crate) auth: AuthMode,
    pub(crate) token_file: Option<String>,
    pub(crate) tls: bool,
    pub(crate) bind: IpAddr,
    pub(crate) port: u16,
    pub(crate) http2: bool,
    pub(crate) admin_listen: SocketAddr,
    pub(crate) lanes: Vec<String>,
    pub(crate) controllers: Controllers,
    pub(crate) admin_token: Option<String>,
    pub(crate) access_log: bool,
    pub(crate) journal_capacity: usize,
    pub(crate) objects: Vec<Value>,
    pub(crate) faults: Vec<rehearsal_faults::Plan>,
    pub(crate) front: Front,
}

impl Default for FakeServerBuilder {
    fn default() -> Self {
        Self {
            seed: DEFAULT_SEED,
            clock: Clock::real(),
            auth: AuthMode::Off,
            token_file: None,
            tls: false,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            http2: true,
            admin_listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            lanes: Vec::new(),
            controllers: Controllers::none(),
            admin_token: None,
            access_log: false,
            journal_capacity: crate::access::DEFAULT_CAPACITY,
            objects: Vec::new(),
            faults: Vec::new(),
            front: Front::default(),
        }
    }
}

impl FakeServerBuilder {
    /// Seed of uids, generated names and allocation dice.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The seed that is set.
    #[must_use]
    pub fn current_seed(&self) -> u64 {
        self.seed
    }

    /// The fault plans that are set.
    #[must_use]
    pub fn current_faults(&self) -> &[rehearsal_faults::Plan] {
        &self.faults
    }

    /// The clock that is set.
    #[must_use]
    pub fn current_clock(&self) -> &Clock {
        &self.clock
    }

    /// Source of time.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Who may do what.
    pub fn auth(mut self, mode: AuthMode) -> Self {
        self.auth = mode;
        self
    }

    /// Static bearer tokens in kube's CSV form: `token,user,uid,"group1,group2"`.
    pub fn token_file(mut self, csv: impl Into<String>) -> Self {
        self.token_file = Some(csv.into());
        self
    }

    /// TLS with a CA made at the start.
    pub fn tls(mut self, on: bool) -> Self {
        self.tls = on;
        self
    }

    /// Address to listen on.
    pub fn bind(mut self, address: IpAddr) -> Self {
        self.bind = address;
        self
    }

    /// Port to listen on; 0 picks a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// HTTP/2, with TLS and in clear text (apiserver `--disable-http2-serving`). Default on.
    pub fn http2(mut self, on: bool) -> Self {
        self.http2 = on;
        self
    }

    /// Where the admin API listens beside the main port, undisturbed by fault rules. Default: a free port of loopback.
    pub fn admin_listen(mut self, address: SocketAddr) -> Self {
        self.admin_listen = address;
        self
    }

    /// A lane with a listener of its own; see [`FakeServer::lane`].
    pub fn lane(mut self, name: impl Into<String>) -> Self {
        self.lanes.push(name.into());
        self
    }

    /// Controllers that run beside the server.
    pub fn controllers(mut self, controllers: Controllers) -> Self {
        self.controllers = controllers;
        self
    }

    /// Token of the admin API; random by default.
    pub fn admin_token(mut self, token: impl Into<String>) -> Self {
        self.admin_token = Some(token.into());
        self
    }

    /// One log line a request, at target `fakeserver::access`.
    pub fn access_log(mut self, on: bool) -> Self {
        self.access_log = on;
        self
    }

    /// How many requests the journal remembers (default 10,000).
    pub fn journal_capacity(mut self, entries: usize) -> Self {
        self.journal_capacity = entries;
        self
    }

    /// Objects to create before the server answers, CRDs and namespaces first.
    pub fn objects(mut self, objects: impl IntoIterator<Item = Value>) -> Self {
        self.objects.extend(objects);
        self
    }

    /// A fault plan that is armed from the first connection on, beside those that were given before.
    pub fn faults(mut self, plan: rehearsal_faults::Plan) -> Self {
        self.faults.push(plan);
        self
    }

    /// Lays something around the whole server; what is laid later is outside of it. Every request passes, in-process ones
    /// and those of the admin API included. Forks do not inherit it.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Handler> + Send + Sync + 'static,
        L::Service:
            Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
    {
        self.front.push(layer);
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// [`StartError`] when the address cannot be bound, a token file or an initial object is refused.
    pub async fn start(self) -> Result<FakeServer, StartError> {
        FakeServer::launch(self).await
    }
}
