//! What rules do to a connection before anything is read from it, and to the port that it came to.

use crate::control::Faults;
use crate::door::Door;
use crate::handshake::fail_handshake;
use crate::line::Line;
use crate::ruleset::Fired;
use crate::socket::Socket;
use rehearsal_faults::{Action, Cut, HandshakeFailure};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// With what a connection is greeted. `A` is what shakes hands.
#[derive(Debug)]
pub struct Greeting<A> {
    /// `None` for plain HTTP.
    pub acceptor: Option<A>,
    /// Streams of an HTTP/2 connection, where a rule says so.
    pub streams: Option<u32>,
    /// Initial window of an HTTP/2 stream in bytes, where a rule says so.
    pub window: Option<u32>,
}

impl<A> Greeting<A> {
    /// The greeting of a connection that no rule is about.
    #[must_use]
    pub fn usual(acceptor: Option<A>) -> Self {
        Self { acceptor, streams: None, window: None }
    }
}

/// What of a greeting is the host's.
pub trait Greets<A>: Sync {
    /// What shakes hands with a certificate that fails in this way; `None` where no certificate can.
    fn failing(&self, failure: HandshakeFailure) -> Option<A>;

    /// Does what is not the connection's: clocks, marks, clients.
    fn beside(&self, action: &Action, fired: &Fired);
}

/// Does to a connection what has fired for it. `None`: it has come to its end.
pub async fn greet<A>(
    stream: TcpStream,
    line: &Line,
    faults: &Faults,
    fired: &[Fired],
    host: &impl Greets<A>,
    mut greeting: Greeting<A>,
) -> Option<(TcpStream, Greeting<A>)> {
    for one in fired {
        let held = one.set.gone();
        for action in &one.firing.actions {
            match action {
                Action::Delay { wait } => faults.sleep(wait.duration(), &one.set).await,
                Action::Handshake { failure } => match host.failing(*failure) {
                    Some(acceptor) => greeting.acceptor = Some(acceptor),
                    None => {
                        fail_handshake(stream, *failure, held).await;
                        return None;
                    }
                },
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
                other => host.beside(other, one),
            }
        }
    }
    if line.severed().is_some() {
        drop(Socket::new(stream, line.clone()));
        return None;
    }
    Some((stream, greeting))
}

/// Closes the port, or fills its backlog, for as long as the rules say that have fired, or until the host stops.
pub async fn shut(door: &mut Door, faults: &Faults, fired: &[Fired], stop: &CancellationToken) {
    for one in fired {
        for action in &one.firing.actions {
            let (shut, lasts) = match action {
                Action::Refuse { lasts } => (door.close(), *lasts),
                Action::Blackhole { lasts } => (door.fill().await, *lasts),
                _ => continue,
            };
            if let Err(error) = shut {
                tracing::error!(target: "faults::wire", %error, "close the port");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = faults.sleep(lasts, &one.set) => {}
            }
            if let Err(error) = door.open() {
                tracing::error!(target: "faults::wire", %error, "open the port again");
            }
        }
    }
}
