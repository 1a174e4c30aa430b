//! [`Port`]: an address that a server listens on, whose it is, and what fault rules have brought it to.

use super::StartError;
use crate::auth::{self, Credentials};
use crate::faults::Shutdown;
use crate::handle::Core;
use parking_lot::Mutex;
use rehearsal_fault_wire::Line;
use rehearsal_faults::ConnectionFacts;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Longest name of a lane, in bytes.
const MAX_LANE: usize = 63;

/// Who connects to a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everybody.
    Main,
    /// One lane.
    Lane(Arc<str>),
    /// Whoever steers the server. No fault rule is ever asked about it.
    Admin,
}

/// An address that a server listens on.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) role: Role,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    /// Whether a rule keeps the port closed.
    pub(crate) closed: watch::Sender<bool>,
    /// Ends the watches of its connections; replaced by a fresh one when it has.
    watches: Mutex<CancellationToken>,
    /// Ends its connections; replaced likewise.
    connections: Mutex<CancellationToken>,
}

impl Port {
    pub(crate) fn new(role: Role, address: SocketAddr) -> Self {
        Self {
            role,
            address,
            shutdown: Shutdown::default(),
            closed: watch::Sender::new(false),
            watches: Mutex::default(),
            connections: Mutex::default(),
        }
    }

    /// Whether fault rules may do something to it.
    pub(crate) fn may_fail(&self) -> bool {
        self.role != Role::Admin
    }

    /// One of its connections, before anything is read from it.
    pub(super) fn connection(&self, connection: u64) -> ConnectionFacts<'_> {
        let lane = match &self.role {
            Role::Lane(lane) => lane,
            Role::Main | Role::Admin => "",
        };
        ConnectionFacts { lane, connection }
    }

    /// The handle of one of its connections. Those of the admin API are not counted.
    pub(super) fn line(&self, ordinal: u64) -> Line {
        match &self.role {
            Role::Main => Line::new(ordinal),
            Role::Lane(lane) => Line::of_lane(ordinal, Some(lane.clone())),
            Role::Admin => Line::new(0),
        }
    }

    /// Ends when all watches are to end.
    pub(crate) fn watches(&self) -> CancellationToken {
        self.watches.lock().clone()
    }

    /// Ends when all connections are to end.
    pub(super) fn connections(&self) -> CancellationToken {
        self.connections.lock().clone()
    }

    /// Ends all watches; those that begin later live on.
    pub(crate) fn end_watches(&self) {
        std::mem::take(&mut *self.watches.lock()).cancel();
    }

    /// Ends all connections politely; those that begin later live on.
    pub(crate) fn hang_up(&self) {
        std::mem::take(&mut *self.connections.lock()).cancel();
    }

    /// Ends everything for good.
    pub(super) fn end(&self) {
        self.watches.lock().cancel();
        self.connections.lock().cancel();
    }
}

/// A listener of one lane: what connects to it is of that lane before anything is read, whatever it says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LanePort {
    name: String,
    url: String,
    kubeconfig: String,
    #[serde(skip)]
    address: SocketAddr,
}

impl LanePort {
    pub(super) fn of(core: &Core, name: &str, port: &Port) -> Result<Self, StartError> {
        let url = core.url_of(port.address);
        Ok(Self { name: name.to_owned(), kubeconfig: kubeconfig(core, &url)?, url, address: port.address })
    }

    /// The lane.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `http://127.0.0.1:PORT`, or `https://…` with TLS.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The text of a kubeconfig for the cluster's administrator, through this listener.
    #[must_use]
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }
}

/// A lane is named in plans, files and variables.
pub(super) fn check_lane(name: &str) -> Result<(), StartError> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let begins = name.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if begins && name.len() <= MAX_LANE && name.bytes().all(fits) {
        return Ok(());
    }
    Err(StartError::Lane(name.chars().take(MAX_LANE).collect()))
}

/// A kubeconfig of the administrator through an address of the server.
pub(super) fn kubeconfig(core: &Core, url: &str) -> Result<String, StartError> {
    let Some(authority) = &core.authority else {
        return Ok(auth::kubeconfig(url, None, &Credentials::Token(core.bearer.clone())));
    };
    let identity = authority.client_cert("kubernetes-admin", &["system:masters"]);
    let identity = identity.map_err(|e| StartError::Certificates(e.to_string()))?;
    Ok(auth::kubeconfig(url, Some(&authority.pem()), &Credentials::from(&identity)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_have_names_that_files_and_plans_can_bear() {
        for good in ["sut", "a", "controller-2", "B.c_d"] {
            assert!(check_lane(good).is_ok(), "{good}");
        }
        let long = "x".repeat(MAX_LANE + 1);
        for bad in ["", ".", "-a", "../etc", "a/b", "a b", "grün", "a\n", &long] {
            assert!(matches!(check_lane(bad), Err(StartError::Lane(_))), "{bad:?}");
        }
    }
}
