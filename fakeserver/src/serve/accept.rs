//! Listening: the loop that takes connections in, and what fault rules do to the port that it stands at.

use super::StartError;
use super::connection::connection;
use super::port::{LanePort, Port, Role, check_lane};
use super::tls::Tls;
use crate::handle::Core;
use parking_lot::RwLock;
use rehearsal_fault_wire::{Door, shut};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections to a port at a time; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 20_000;
/// Most lanes with a listener of their own.
const MAX_LANES: usize = 100;

/// What all listeners of a server have in common.
pub(crate) struct Listening {
    pub(super) tls: Option<Tls>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// Where a server listens.
pub(crate) struct Ports {
    pub(crate) main: Arc<Port>,
    pub(crate) admin: Arc<Port>,
    lanes: RwLock<BTreeMap<Arc<str>, Arc<Port>>>,
}

impl Ports {
    pub(super) fn new(main: SocketAddr, admin: SocketAddr) -> Self {
        let port = |role, address| Arc::new(Port::new(role, address));
        Self { main: port(Role::Main, main), admin: port(Role::Admin, admin), lanes: RwLock::default() }
    }

    /// The ports of these lanes; without any, all that rules may do something to.
    pub(crate) fn of(&self, lanes: &[String]) -> Vec<Arc<Port>> {
        let own = self.lanes.read();
        if lanes.is_empty() {
            return std::iter::once(&self.main).chain(own.values()).cloned().collect();
        }
        lanes.iter().filter_map(|lane| own.get(lane.as_str()).cloned()).collect()
    }

    fn lane(&self, name: &str) -> Option<Arc<Port>> {
        self.lanes.read().get(name).cloned()
    }

    /// Ends everything at every port for good.
    pub(super) fn end(&self) {
        self.of(&[]).iter().chain([&self.admin]).for_each(|port| port.end());
    }
}

/// Binds an address, and tells which it has become.
pub(super) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

/// Takes in what connects to a port from now on.
pub(super) fn accept_on(core: &Arc<Core>, listener: TcpListener, port: Arc<Port>) -> Result<(), StartError> {
    let address = port.address;
    let door = Door::new(listener).map_err(|source| StartError::Listen { address, source })?;
    core.listening.tasks.spawn(accept_loop(door, port, core.clone()));
    Ok(())
}

/// Opens a listener for a lane; the one that there is, where there is one.
pub(crate) async fn open_lane(core: &Arc<Core>, name: &str) -> Result<LanePort, StartError> {
    check_lane(name)?;
    if let Some(port) = core.ports.lane(name) {
        return LanePort::of(core, name, &port);
    }
    let (listener, local) = bind(SocketAddr::new(core.config.bind, 0)).await?;
    let lane: Arc<str> = name.into();
    let port = Arc::new(Port::new(Role::Lane(lane.clone()), local));
    {
        let mut lanes = core.ports.lanes.write();
        if let Some(first) = lanes.get(name) {
            return LanePort::of(core, name, first);
        }
        if lanes.len() >= MAX_LANES {
            return Err(StartError::TooManyLanes(MAX_LANES));
        }
        lanes.insert(lane, port.clone());
    }
    core.faults.add_lane(name);
    accept_on(core, listener, port.clone())?;
    LanePort::of(core, name, &port)
}

/// The lanes that have a listener, by name.
pub(crate) fn lanes(core: &Core) -> Result<Vec<LanePort>, StartError> {
    let own = core.ports.lanes.read().clone();
    own.iter().map(|(name, port)| LanePort::of(core, name, port)).collect()
}

async fn accept_loop(mut door: Door, port: Arc<Port>, core: Arc<Core>) {
    let stop = core.listening.stop.clone();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut ordinal = 0;
    let mut closed = port.closed.subscribe();
    loop {
        let permit = tokio::select! {
            () = stop.cancelled() => return,
            permit = slots.clone().acquire_owned() => permit,
        };
        let Ok(permit) = permit else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            () = core.faults.port_closes(port.connection(ordinal + 1)), if port.may_fail() => {
                ordinal += 1;
                let fired = core.faults.decide_connection(port.connection(ordinal));
                shut(&mut door, &core.faults, &fired, &stop).await;
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
                let (core, port, line) = (core.clone(), port.clone(), port.line(ordinal));
                core.clone().listening.tasks.spawn(async move {
                    connection(stream, core, port, line).await;
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
