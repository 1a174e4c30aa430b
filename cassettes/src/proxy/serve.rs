//! [`Proxy`]: the listener, what all connections share, and the end.

use super::authority::Authority;
use super::connection;
use super::faults::{Abilities, ProxyHost, proxy_faults, shut};
use super::kubeconfig::kubeconfig;
use super::lanes::Lanes;
use super::policy::Policy;
use super::upstream::Upstream;
use crate::record::Recorder;
use jiff::Timestamp;
use rehearsal_fault_wire::{Door, Faults};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a shutdown waits for connections.
const DRAIN: Duration = Duration::from_secs(5);

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address could not be bound.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Keys or certificates could not be made.
    #[error("certificates: {0}")]
    Certificates(String),
    /// A lane's name is no name.
    #[error("lane {0:?}: a name is letters, digits, '-', '_' and '.', at most 63 of them")]
    Lane(String),
}

/// Configuration of a [`Proxy`].
#[must_use = "a builder does nothing until it is started"]
pub struct ProxyBuilder {
    upstream: Arc<dyn Upstream>,
    recorder: Option<Recorder>,
    policy: Policy,
    lanes: Lanes,
    bind: IpAddr,
    port: u16,
    tls: bool,
    namespace: String,
    faults: Option<Faults>,
    admin_token: String,
    fault_lanes: Option<BTreeMap<String, String>>,
}

/// A running proxy. Dropping it stops it without waiting.
#[must_use = "dropping the proxy stops it"]
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    namespace: String,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) upstream: Arc<dyn Upstream>,
    pub(super) recorder: Option<Recorder>,
    pub(super) policy: Policy,
    pub(super) lanes: Lanes,
    pub(super) authority: Option<Authority>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) faults: Faults,
    pub(super) host: ProxyHost,
    pub(super) admin_token: String,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl ProxyBuilder {
    /// Where to record. Without a recorder nothing is, and requests that the policy wants recorded are refused.
    pub fn recorder(self, recorder: Recorder) -> Self {
        Self { recorder: Some(recorder), ..self }
    }

    /// What is done with requests. Default: all are forwarded and recorded.
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Address to listen on. Default: IPv4 loopback.
    pub fn bind(self, bind: IpAddr) -> Self {
        Self { bind, ..self }
    }

    /// Port to listen on. Default 0: a free one.
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Plain HTTP/1.1, for measurements and tests: kubectl sends no token over it. Default: TLS.
    pub fn tls(self, tls: bool) -> Self {
        Self { tls, ..self }
    }

    /// Namespace of the contexts handed out. Default: none.
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), ..self }
    }

    /// Fault rules, made with [`proxy_faults`](super::proxy_faults). Default: none, and any that is armed later.
    pub fn faults(self, faults: Faults) -> Self {
        Self { faults: Some(faults), ..self }
    }

    /// Bearer token of the admin API, below `/_rehearsal/v1/faults`. Default: none, and nobody gets in.
    pub fn admin_token(self, token: impl Into<String>) -> Self {
        Self { admin_token: token.into(), ..self }
    }

    /// What fault rules know lanes by, where that is not their names; lanes that are not named here are unknown to rules.
    /// For firings of a recording that told lanes in another way.
    pub fn fault_lanes(self, lanes: BTreeMap<String, String>) -> Self {
        Self { fault_lanes: Some(lanes), ..self }
    }

    /// Starts listening. `now` dates the certificates.
    ///
    /// # Errors
    /// When the address cannot be bound, or no certificate be made.
    pub async fn start(self, now: Timestamp) -> Result<Proxy, ProxyError> {
        let address = SocketAddr::new(self.bind, self.port);
        let failed = |source| ProxyError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let authority = if self.tls { Some(Authority::generate(now, &[address.ip().to_string()])?) } else { None };
        let door = Door::new(listener).map_err(failed)?;
        let none = || proxy_faults(Abilities { tls: self.tls, supervises: false });
        let shared = Arc::new(Shared {
            upstream: self.upstream,
            recorder: self.recorder,
            policy: self.policy,
            lanes: self.lanes,
            tls: authority.as_ref().map(|authority| TlsAcceptor::from(authority.tls())),
            authority,
            faults: self.faults.unwrap_or_else(none),
            host: ProxyHost::new(self.fault_lanes),
            admin_token: self.admin_token,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        shared.tasks.spawn(accept(door, shared.clone()));
        Ok(Proxy { shared, address, namespace: self.namespace })
    }
}

impl Proxy {
    /// A configuration to start from.
    pub fn builder(upstream: Arc<dyn Upstream>, lanes: Lanes) -> ProxyBuilder {
        ProxyBuilder {
            upstream,
            recorder: None,
            policy: Policy::record(),
            lanes,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            tls: true,
            namespace: String::new(),
            faults: None,
            admin_token: String::new(),
            fault_lanes: None,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.shared.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate of its authority, PEM; none without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.shared.authority.as_ref().map(Authority::pem)
    }

    /// The fault rules in front of it: arming, marks, what has fired.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Its lanes.
    #[must_use]
    pub fn lanes(&self) -> &Lanes {
        &self.shared.lanes
    }

    /// The text of a kubeconfig with a context for each lane, the named one in force; the first lane for an unknown
    /// name.
    #[must_use]
    pub fn kubeconfig(&self, lane: &str) -> String {
        let lanes = &self.shared.lanes;
        let first = lanes.iter().next().map(|(name, _)| name).unwrap_or_default();
        let lane = if lanes.token(lane).is_some() { lane } else { first };
        kubeconfig(&self.url(), self.ca_pem(), lanes, lane, &self.namespace)
    }

    /// Stops: no new connections; exchanges and tunnels that are going on are given a moment and then cut. What was open
    /// ends on the tape when the recorder is sealed. Cancelling leaves the rest to go on by itself.
    pub async fn shutdown(self) {
        self.shared.faults.disarm_all();
        self.shared.stop.cancel();
        self.shared.tasks.close();
        let _ = tokio::time::timeout(DRAIN, self.shared.tasks.wait()).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn accept(mut door: Door, shared: Arc<Shared>) {
    let mut conn = 0;
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            () = shared.faults.port_closes(conn + 1) => {
                conn += 1;
                shut(&mut door, &shared, conn).await;
                continue;
            }
            accepted = door.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                conn += 1;
                shared.tasks.spawn(connection::serve(stream, shared.clone(), conn));
            }
            Err(error) => {
                // Out of file descriptors: wait a little for some to come back instead of spinning.
                tracing::warn!(target: "cassettes::proxy", %error, "accept");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}
