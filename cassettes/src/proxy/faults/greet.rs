//! What rules do to a connection before anything is read from it, and to the port; and that the tape has it.

use super::super::serve::Shared;
use crate::firings::{FAULT_MARK, note};
use rehearsal_fault_wire::{Door, Fired, Greeting, Greets, Line};
use rehearsal_faults::{Action, HandshakeFailure};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

impl Greets<TlsAcceptor> for Shared {
    fn failing(&self, failure: HandshakeFailure) -> Option<TlsAcceptor> {
        self.authority.as_ref()?.failing(failure).map(TlsAcceptor::from)
    }

    // What is no connection's is refused when a plan is armed, or is the host's of the layer.
    fn beside(&self, _: &Action, _: &Fired) {}
}

/// Asks the rules about a connection. `None`: it has come to its end.
pub(in crate::proxy) async fn greet(
    stream: TcpStream,
    shared: &Shared,
    line: &Line,
) -> Option<(TcpStream, Greeting<TlsAcceptor>)> {
    let decided = shared.faults.decide_connection(line.ordinal());
    keep(shared, &decided).await;
    let usual = Greeting::usual(shared.tls.clone());
    rehearsal_fault_wire::greet(stream, line, &shared.faults, &decided, shared, usual).await
}

/// Closes the port, or fills its backlog, for as long as the rules say that fire for this connection.
pub(in crate::proxy) async fn shut(door: &mut Door, shared: &Shared, connection: u64) {
    let decided = shared.faults.decide_connection(connection);
    keep(shared, &decided).await;
    rehearsal_fault_wire::shut(door, &shared.faults, &decided, &shared.stop).await;
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
