//! A running server: sockets, TLS, connections, shutdown.
//!
//! Counterpart: apiserver `server/secure_serving.go` and `genericapiserver.go`. Every connection is a task of one
//! tracker; stopping turns `/readyz` off, ends watches and waits for what is running.

use crate::access::{Access, Journal};
use crate::auth::{
    self, AuthenticationMode, Authenticator, Authorizer, CertificateAuthority, ClientCas, Credentials, Impersonator,
    Token, TokenIssuer, TokenTable,
};
use crate::builder::{AuthMode, FakeServerBuilder};
use crate::clock::Clock;
use crate::controllers::{self, Parts, Progress};
use crate::endpoints::router::PeerCertificate;
use crate::faults::{ClusterTime, FaultedStorage, Shutdown, Views};
use crate::front::{self, Front};
use crate::handle::Core;
use crate::ids::Ids;
use crate::registry::Registry;
use crate::store::{MemoryStorage, Snapshot};
use crate::write_timeout::WriteTimeout;
use axum::body::Body;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rehearsal_apimachinery::status::Status;
use rehearsal_fault_wire::{BoxError, Door, Faults, Fired, Line, Severed, Socket, Surface};
use rehearsal_faults::{Action, Cut, HandshakeFailure};
use rustls::DigitallySignedStruct;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time for a client to send its request head (apiserver `ReadHeaderTimeout`).
const HEADER_TIMEOUT: Duration = Duration::from_secs(32);
/// Time for a client to take in something of what is written to it; then the connection is cut.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Concurrent streams of an HTTP/2 connection (apiserver `--http2-max-streams-per-connection`).
const MAX_STREAMS: u32 = 100;
/// Largest request head, in bytes (Go `http.DefaultMaxHeaderBytes`).
const MAX_HEAD: usize = 1024 * 1024;
/// Largest HTTP/2 header list, in bytes.
const MAX_HEADER_LIST: u32 = 1024 * 1024;
/// Connections at a time; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 20_000;
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
    authority: Option<Arc<CertificateAuthority>>,
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
        let address = SocketAddr::new(config.bind, config.port);
        let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        let local = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
        let storage = Arc::new(storage);
        let authority = if config.tls { Some(Arc::new(make_authority(&config.clock)?)) } else { None };
        let core = Arc::new(make_core(&config, storage.clone(), authority.as_deref(), local)?);
        if fresh {
            let made = core.registry.bootstrap(local).await;
            made.map_err(|source| StartError::Object { what: "bootstrap objects".into(), source: Box::new(source) })?;
        }
        core.registry.settle_custom().await;
        if let Some(plan) = &config.faults {
            core.faults.add(plan)?;
        }
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let ca_pem = authority.as_ref().map(|authority| authority.pem()).unwrap_or_default();
        let parts = Parts { registry: core.registry.clone(), ca_pem, tokens: core.tokens.clone() };
        let server = Self {
            progress: controllers::start(&config.controllers, &parts, &tasks, &stop),
            stop,
            tasks,
            authority,
            storage,
            core,
            config,
        };
        for object in server.config.objects.clone() {
            // Pods need the service account that a controller makes.
            server.settle().await;
            server.create_initial(object).await?;
        }
        server.accept_on(listener)?;
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

    fn accept_on(&self, listener: TcpListener) -> Result<(), StartError> {
        let tls = match &self.authority {
            Some(authority) => Some(Tls::new(authority.clone(), self.config.bind)?),
            None => None,
        };
        let door = Door::new(listener).map_err(|source| StartError::Listen { address: self.core.local, source })?;
        let (core, stop, tasks) = (self.core.clone(), self.stop.clone(), self.tasks.clone());
        self.tasks.spawn(accept_loop(door, core, tls, stop, tasks));
        Ok(())
    }

    /// `http://127.0.0.1:PORT` or `https://…`.
    #[must_use]
    pub fn url(&self) -> String {
        self.core.url()
    }

    /// The address listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.core.local
    }

    /// A kubeconfig for this server as its administrator.
    ///
    /// # Errors
    /// When a client certificate cannot be made.
    pub fn kubeconfig(&self) -> Result<String, StartError> {
        kubeconfig(&self.core, self.authority.as_deref())
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
        let config = FakeServerBuilder {
            port: 0,
            objects: Vec::new(),
            faults: None,
            front: Front::default(),
            ..self.config.clone()
        };
        Self::launch_over(config, self.storage.fork(), false).await
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
        self.core.watches.lock().cancel();
        self.core.connections.lock().cancel();
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

/// Starts a fork for the admin API; it lives as long as its parent.
pub(crate) async fn fork(core: &Arc<Core>) -> Result<Value, Status> {
    let config = FakeServerBuilder {
        port: 0,
        objects: Vec::new(),
        faults: None,
        front: Front::default(),
        ..core.config.clone()
    };
    let server = Box::pin(FakeServer::launch_over(config, core.memory.fork(), false))
        .await
        .map_err(|e| Status::internal_error(e.to_string()))?;
    let kubeconfig = server.kubeconfig().map_err(|e| Status::internal_error(e.to_string()))?;
    let answer = json!({"url": server.url(), "kubeconfig": kubeconfig, "adminToken": server.admin_token()});
    core.forks.lock().push(server);
    Ok(answer)
}

fn make_authority(clock: &Clock) -> Result<CertificateAuthority, StartError> {
    CertificateAuthority::generate(clock.now()).map_err(|e| StartError::Certificates(e.to_string()))
}

fn make_core(
    config: &FakeServerBuilder,
    memory: Arc<MemoryStorage>,
    authority: Option<&CertificateAuthority>,
    local: SocketAddr,
) -> Result<Core, StartError> {
    let ids = Ids::seeded(config.seed);
    let plugins = crate::admission::Plugins::for_controllers(&config.controllers);
    let faults = Faults::new(ClusterTime::new(config.clock.apart()));
    let views = Arc::new(Views::default());
    let storage = FaultedStorage { memory: memory.clone(), faults: faults.clone(), views: views.clone() };
    let registry = Registry::new(Arc::new(storage), config.clock.clone(), ids.clone(), plugins);
    let mut table = match &config.token_file {
        Some(csv) => TokenTable::parse(csv)?,
        None => TokenTable::default(),
    };
    let bearer = Token::new(random_token());
    table.insert(&bearer, auth::administrator());
    let tokens = Arc::new(TokenIssuer::new("https://kubernetes.default.svc"));
    let mut cas = ClientCas::default();
    if let Some(authority) = authority {
        cas.trust(authority.der());
    }
    let (mode, authorizer) = match config.auth {
        AuthMode::Off => (AuthenticationMode::Off, Authorizer::Off),
        AuthMode::Rbac => (AuthenticationMode::Tokens, Authorizer::rbac()),
    };
    let authenticator = Authenticator::new(mode, tokens.clone()).tokens(table).client_cas(cas);
    let admin_token = config.admin_token.clone().unwrap_or_else(random_token);
    Ok(Core {
        flow_schema_uid: ids.uid(),
        priority_level_uid: ids.uid(),
        registry,
        authenticator,
        authorizer,
        impersonator: Impersonator::default(),
        tokens,
        access: Access::new(config.clock.clone(), config.journal_capacity, config.access_log),
        version: crate::version::info(),
        started: config.clock.now(),
        admin_token: Token::new(admin_token),
        bearer,
        watches: parking_lot::Mutex::default(),
        stopping: AtomicBool::new(false),
        faults,
        views,
        shutdown: Shutdown::default(),
        port_closed: tokio::sync::watch::Sender::new(false),
        connections: parking_lot::Mutex::default(),
        tls: config.tls,
        local,
        openapi_cache: parking_lot::Mutex::new(None),
        snapshots: crate::endpoints::admin::Snapshots::default(),
        memory,
        config: config.clone(),
        forks: parking_lot::Mutex::new(Vec::new()),
    })
}

/// A token nobody can guess: from the operating system, not from the cluster's seed.
fn random_token() -> String {
    use rand::TryRngCore as _;
    let mut bytes = [0u8; 24];
    // A machine without randomness cannot run TLS either; there the admin API stays closed.
    if rand::rngs::OsRng.try_fill_bytes(&mut bytes).is_err() {
        return String::new();
    }
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn kubeconfig(core: &Core, authority: Option<&CertificateAuthority>) -> Result<String, StartError> {
    let failed = |e: auth::CertificateError| StartError::Certificates(e.to_string());
    match authority {
        Some(authority) => {
            let identity = authority.client_cert("kubernetes-admin", &["system:masters"]).map_err(failed)?;
            Ok(auth::kubeconfig(&core.url(), Some(&authority.pem()), &Credentials::from(&identity)))
        }
        None => Ok(auth::kubeconfig(&core.url(), None, &Credentials::Token(core.bearer.clone()))),
    }
}

/// What handshakes need: the proper configuration, and what improper ones are made of.
#[derive(Clone)]
struct Tls {
    acceptor: TlsAcceptor,
    authority: Arc<CertificateAuthority>,
    bind: std::net::IpAddr,
}

impl Tls {
    fn new(authority: Arc<CertificateAuthority>, bind: std::net::IpAddr) -> Result<Self, StartError> {
        let identity = authority.server_cert(&names(&bind.to_string())).map_err(certificates)?;
        Ok(Self { acceptor: tls_acceptor(&identity, &[b"h2", b"http/1.1"])?, authority, bind })
    }

    /// A configuration with which handshakes fail, or agree on less. `None` for what fails without one.
    fn failing(&self, failure: HandshakeFailure, clock: &Clock) -> Option<TlsAcceptor> {
        let bind = self.bind.to_string();
        let names = names(&bind);
        let both: &[&[u8]] = &[b"h2", b"http/1.1"];
        let (identity, protocols) = match failure {
            HandshakeFailure::ExpiredCertificate => (self.authority.expired_server_cert(&names), both),
            HandshakeFailure::WrongName => (self.authority.server_cert(&["elsewhere.example"]), both),
            HandshakeFailure::UnknownAuthority => (make_authority(clock).ok()?.server_cert(&names), both),
            HandshakeFailure::NoHttp2 => (self.authority.server_cert(&names), &both[1..]),
            HandshakeFailure::Plaintext | HandshakeFailure::Alert | HandshakeFailure::Stall => return None,
        };
        tls_acceptor(&identity.ok()?, protocols).ok()
    }
}

/// The names that the server goes by.
fn names(bind: &str) -> [&str; 8] {
    ["localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.0.0.1", bind]
}

fn certificates(error: impl std::fmt::Display) -> StartError {
    StartError::Certificates(error.to_string())
}

fn tls_acceptor(identity: &auth::Identity, protocols: &[&[u8]]) -> Result<TlsAcceptor, StartError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(AnyClientCertificate(provider.clone()));
    let key = PrivateKeyDer::try_from(identity.key_der.clone()).map_err(certificates)?;
    let chain = vec![CertificateDer::from(identity.der.clone())];
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(certificates)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(certificates)?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Takes any client certificate at the handshake: whether it is good is the authenticator's question, and its answer is
/// a 401, not a broken handshake (Go `tls.RequestClientCert`).
#[derive(Debug)]
struct AnyClientCertificate(Arc<rustls::crypto::CryptoProvider>);

impl ClientCertVerifier for AnyClientCertificate {
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

async fn accept_loop(mut door: Door, core: Arc<Core>, tls: Option<Tls>, stop: CancellationToken, tasks: TaskTracker) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut ordinal = 0;
    let mut closed = core.port_closed.subscribe();
    loop {
        let permit = tokio::select! {
            () = stop.cancelled() => return,
            permit = slots.clone().acquire_owned() => permit,
        };
        let Ok(permit) = permit else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            () = core.faults.port_closes(ordinal + 1) => {
                ordinal += 1;
                shut(&mut door, &core, core.faults.decide_connection(ordinal), &stop).await;
                continue;
            }
            is_closed = async { closed.wait_for(|closed| *closed).await.is_ok() } => {
                if is_closed {
                    keep_shut(&mut door, &mut closed, &stop).await;
                }
                continue;
            }
            accepted = door.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                ordinal += 1;
                let (core, tls, line) = (core.clone(), tls.clone(), Line::new(ordinal));
                let stop = core.connections.lock().clone();
                tasks.spawn(async move {
                    connection(stream, core, tls, stop, line).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of file descriptors: wait a little for some to come back instead of spinning.
                tracing::warn!(target: "fakeserver::serve", %error, "accept");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Closes the port, or fills its backlog, for as long as the rules say that have fired.
async fn shut(door: &mut Door, core: &Core, fired: Vec<Fired>, stop: &CancellationToken) {
    for one in &fired {
        for action in &one.firing.actions {
            let (shut, lasts) = match action {
                Action::Refuse { lasts } => (door.close(), *lasts),
                Action::Blackhole { lasts } => (door.fill().await, *lasts),
                _ => continue,
            };
            if let Err(error) = shut {
                tracing::error!(target: "fakeserver::faults", %error, "close the port");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = core.faults.sleep(lasts, &one.set) => {}
            }
            reopen(door);
        }
    }
}

/// Keeps the port closed until a shutdown is over.
async fn keep_shut(door: &mut Door, closed: &mut tokio::sync::watch::Receiver<bool>, stop: &CancellationToken) {
    if let Err(error) = door.close() {
        tracing::error!(target: "fakeserver::faults", %error, "close the port");
    }
    tokio::select! {
        () = stop.cancelled() => return,
        _ = closed.wait_for(|closed| !*closed) => {}
    }
    reopen(door);
}

fn reopen(door: &mut Door) {
    if let Err(error) = door.open() {
        tracing::error!(target: "fakeserver::faults", %error, "open the port again");
    }
}

/// What rules do to a connection before anything is read from it. `None`: it has come to its end.
async fn greet(stream: TcpStream, core: &Arc<Core>, tls: Option<&Tls>, line: &Line) -> Option<(TcpStream, Greeting)> {
    let mut greeting = Greeting { acceptor: tls.map(|tls| tls.acceptor.clone()), streams: MAX_STREAMS, window: None };
    for one in core.faults.decide_connection(line.ordinal()) {
        let held = one.set.gone();
        for action in &one.firing.actions {
            match action {
                Action::Delay { wait } => core.faults.sleep(wait.duration(), &one.set).await,
                Action::Handshake { failure } => match tls.and_then(|tls| tls.failing(*failure, core.registry.clock()))
                {
                    Some(acceptor) => greeting.acceptor = Some(acceptor),
                    None => {
                        rehearsal_fault_wire::fail_handshake(stream, *failure, held).await;
                        return None;
                    }
                },
                Action::Http2Limits { streams, window, churn, answers_ping } => {
                    greeting.streams = u32::try_from(*streams).unwrap_or(MAX_STREAMS);
                    greeting.window = u32::try_from(*window).ok();
                    if !answers_ping {
                        line.ignore_pings(held);
                    }
                    if !churn.is_zero() {
                        line.churn_every(*churn, held);
                    }
                }
                // Came too late to close the port before the connection.
                Action::Refuse { .. } => line.cut(Cut::Reset, held),
                Action::Blackhole { .. } => {
                    held.cancelled().await;
                    return None;
                }
                other => crate::faults::act_on_connection(core, other, &one),
            }
        }
    }
    if line.severed().is_some() {
        drop(Socket::new(stream, line.clone()));
        return None;
    }
    Some((stream, greeting))
}

/// With what a connection is greeted.
struct Greeting {
    acceptor: Option<TlsAcceptor>,
    streams: u32,
    window: Option<u32>,
}

async fn connection(stream: TcpStream, core: Arc<Core>, tls: Option<Tls>, stop: CancellationToken, line: Line) {
    let _ = stream.set_nodelay(true);
    // Boxed, and dropped before the wait: the room of a handshake is not kept for as long as the connection lives.
    let opened = Box::pin(open(stream, core, tls, stop, line)).await;
    if let Some(serving) = opened {
        serving.await;
    }
}

/// Shakes hands and finds out which version of HTTP the client speaks. `None`: nobody is there any more.
async fn open(
    stream: TcpStream,
    core: Arc<Core>,
    tls: Option<Tls>,
    stop: CancellationToken,
    line: Line,
) -> Option<BoxFuture<'static, ()>> {
    let (stream, greeting) = tokio::select! {
        () = stop.cancelled() => return None,
        greeted = greet(stream, &core, tls.as_ref(), &line) => greeted?,
    };
    let Greeting { acceptor, streams, window } = greeting;
    let mut serving = Serving { core, peer: PeerCertificate(None, Some(line.clone())), stop, line, streams, window };
    let Some(acceptor) = acceptor else {
        let version = tokio::select! {
            () = serving.stop.cancelled() => return None,
            version = tokio::time::timeout(HEADER_TIMEOUT, speaks_http2(&stream)) => version,
        };
        let stream = WriteTimeout::new(Socket::new(stream, serving.line.clone()), WRITE_TIMEOUT);
        let http2 = match version {
            Ok(Ok(http2)) => http2,
            Ok(Err(error)) => {
                tracing::debug!(target: "fakeserver::serve", %error, "connection");
                return None;
            }
            Err(_) => return None,
        };
        return Some(serving.serve(stream, http2));
    };
    let stream = WriteTimeout::new(Socket::new(stream, serving.line.clone()), WRITE_TIMEOUT);
    match tokio::time::timeout(HEADER_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let session = stream.get_ref().1;
            serving.peer.0 = session.peer_certificates().and_then(|c| c.first()).map(|c| c.to_vec());
            let http2 = session.alpn_protocol() == Some(b"h2");
            return Some(serving.serve(stream, http2));
        }
        Ok(Err(error)) => tracing::debug!(target: "fakeserver::serve", %error, "TLS handshake"),
        Err(_) => tracing::debug!(target: "fakeserver::serve", "TLS handshake timed out"),
    }
    None
}

/// A connection whose client is known.
struct Serving {
    core: Arc<Core>,
    peer: PeerCertificate,
    stop: CancellationToken,
    line: Line,
    streams: u32,
    window: Option<u32>,
}

impl Serving {
    fn serve<S>(self, stream: S, http2: bool) -> BoxFuture<'static, ()>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(Surface::new(stream, self.line.clone(), http2));
        if http2 { http2_connection(io, self).boxed() } else { http1_connection(io, self).boxed() }
    }
}

/// Whether a client begins with the preface of HTTP/2. Looks without reading: what is read in two pieces makes hyper
/// double its buffer, for as long as the connection lives.
async fn speaks_http2(stream: &TcpStream) -> std::io::Result<bool> {
    // No method of HTTP/1.1 begins so.
    const PREFACE: &[u8] = b"PRI *";
    let mut begin = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut begin).await?;
        if seen == 0 || !PREFACE.starts_with(&begin[..seen]) {
            return Ok(false);
        }
        if seen == PREFACE.len() {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn http1_connection<I>(io: I, serving: Serving) -> impl Future<Output = ()> + Send
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let Serving { core, peer, stop, line, .. } = serving;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .half_close(false)
        .serve_connection(io, service(core, peer, line.clone()))
        .with_upgrades();
    drive(Box::pin(connection), http1::UpgradeableConnection::graceful_shutdown, stop, line)
}

fn http2_connection<I>(io: I, serving: Serving) -> impl Future<Output = ()> + Send
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let Serving { core, peer, stop, line, streams, window } = serving;
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .initial_stream_window_size(window)
        .max_header_list_size(MAX_HEADER_LIST)
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .serve_connection(io, service(core, peer, line.clone()));
    drive(Box::pin(connection), http2::Connection::graceful_shutdown, stop, line)
}

/// Answers requests. The handler is boxed: hyper keeps room for one for as long as the connection lives.
fn service(
    core: Arc<Core>,
    peer: PeerCertificate,
    line: Line,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = BoxError,
    Future = impl Future<Output = Result<Response<Body>, BoxError>> + Send + 'static,
> + Send
+ 'static {
    service_fn(move |mut request: Request<Incoming>| {
        let core = core.clone();
        request.extensions_mut().insert(peer.clone());
        let line = line.clone();
        Box::pin(async move {
            let mut response = contained(core, request.map(Body::new)).await;
            match response.extensions_mut().remove::<Severed>() {
                None => Ok(response),
                Some(severed) => severed.apply(&line).await.map_err(BoxError::from),
            }
        })
    })
}

async fn drive<C>(mut connection: Pin<Box<C>>, finish: fn(Pin<&mut C>), stop: CancellationToken, line: Line)
where
    C: Future<Output = hyper::Result<()>>,
{
    tokio::select! {
        outcome = connection.as_mut() => {
            if let Err(error) = outcome {
                tracing::debug!(target: "fakeserver::serve", %error, "connection");
            }
        }
        // Dropped, it closes as the fault wants it.
        () = line.doomed() => {}
        () = stop.cancelled() => {
            finish(connection.as_mut());
            let _ = tokio::time::timeout(DRAIN, connection).await;
        }
    }
}

/// A panic of a handler ends its request with 500 and nothing else.
async fn contained(core: Arc<Core>, request: Request<Body>) -> Response<Body> {
    match std::panic::AssertUnwindSafe(front::enter(core, request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(target: "fakeserver::serve", "a handler panicked");
            crate::endpoints::respond::text(
                500,
                "This request caused apiserver to panic. Look in the logs for details.\n",
            )
        }
    }
}
