//! What rules do to a connection before anything is read from it, and to the port.

use super::super::serve::Shared;
use crate::firings::{FAULT_MARK, note};
use rehearsal_fault_wire::{Door, Fired, Line, Socket, fail_handshake};
use rehearsal_faults::{Action, Cut};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// With what a connection is greeted.
pub(in crate::proxy) struct Greeting {
    /// None for plain HTTP.
    pub(in crate::proxy) acceptor: Option<TlsAcceptor>,
    /// Streams of an HTTP/2 connection, and its window, where a rule says so.
    pub(in crate::proxy) streams: Option<u32>,
    pub(in crate::proxy) window: Option<u32>,
}

/// Asks the rules about a connection. `None`: it has come to its end.
pub(in crate::proxy) async fn greet(stream: TcpStream, shared: &Shared, line: &Line) -> Option<(TcpStream, Greeting)> {
    let mut greeting = Greeting { acceptor: shared.tls.clone(), streams: None, window: None };
    let decided = shared.faults.decide_connection(line.ordinal());
    keep(shared, &decided).await;
    for one in decided {
        let held = one.set.gone();
        for action in &one.firing.actions {
            match action {
                Action::Delay { wait } => shared.faults.sleep(wait.duration(), &one.set).await,
                Action::Handshake { failure } => {
                    match shared.authority.as_ref().and_then(|authority| authority.failing(*failure)) {
                        Some(tls) => greeting.acceptor = Some(TlsAcceptor::from(tls)),
                        None => {
                            fail_handshake(stream, *failure, held).await;
                            return None;
                        }
                    }
                }
                Action::Http2Limits { streams, window, churn, answers_ping } => {
                    greeting.streams = u32::try_from(*streams).ok();
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
                _ => {}
            }
        }
    }
    if line.severed().is_some() {
        drop(Socket::new(stream, line.clone()));
        return None;
    }
    Some((stream, greeting))
}

/// Closes the port, or fills its backlog, for as long as the rules say that fire for this connection.
pub(in crate::proxy) async fn shut(door: &mut Door, shared: &Shared, connection: u64) {
    let decided = shared.faults.decide_connection(connection);
    keep(shared, &decided).await;
    for one in &decided {
        for action in &one.firing.actions {
            let (shut, lasts) = match action {
                Action::Refuse { lasts } => (door.close(), *lasts),
                Action::Blackhole { lasts } => (door.fill().await, *lasts),
                _ => continue,
            };
            if let Err(error) = shut {
                tracing::error!(target: "cassettes::proxy", %error, "close the port");
            }
            tokio::select! {
                () = shared.stop.cancelled() => return,
                () = shared.faults.sleep(lasts, &one.set) => {}
            }
            if let Err(error) = door.open() {
                tracing::error!(target: "cassettes::proxy", %error, "open the port again");
            }
        }
    }
}

/// Puts what fired for a connection on the tape: it belongs to no call.
async fn keep(shared: &Shared, fired: &[Fired]) {
    let Some(recorder) = &shared.recorder else { return };
    for one in fired {
        let text = serde_json::to_string(&note(&one.firing, false)).unwrap_or_default();
        // A tape that cannot be written any more says so at the next request.
        let _ = recorder.mark(FAULT_MARK, &text).await;
    }
}
