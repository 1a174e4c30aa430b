//! The loop that takes connections in, and what fault rules do to the port that it stands at.

use super::connection::connection;
use super::tls::Tls;
use crate::handle::Core;
use rehearsal_fault_wire::{Door, Fired, Line};
use rehearsal_faults::Action;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at a time; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 20_000;

pub(super) async fn accept_loop(
    mut door: Door,
    core: Arc<Core>,
    tls: Option<Tls>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
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
