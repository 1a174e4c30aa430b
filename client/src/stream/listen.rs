//! Local ports that lead into a pod, each connection over a forwarding of its own.
//!
//! Counterpart: the listening half of client-go `portforward.PortForwarder`.

use super::{PodPortForwardOptions, PortForward, port_forward};
use crate::error::{Error, TransportError, TransportKind};
use crate::rest::RestClient;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// A local port and the pod's port it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSpec {
    /// Port on this side; 0 means any free one.
    pub local: u16,
    /// Port of the pod.
    pub remote: u16,
}

impl FromStr for PortSpec {
    type Err = Error;

    /// `5000`, `8888:5000` or `:5000`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::Request(format!("{text:?} is no port, nor a local and a remote one"));
        let (local, remote) = match text.split_once(':') {
            None => (text, text),
            Some(("", remote)) => ("0", remote),
            Some(pair) => pair,
        };
        let (local, remote) = (local.parse().map_err(|_| bad())?, remote.parse().map_err(|_| bad())?);
        if remote == 0 {
            return Err(Error::Request("the remote port must be greater than 0".into()));
        }
        Ok(Self { local, remote })
    }
}

/// A local port that leads into a pod for as long as this lives.
#[derive(Debug)]
pub struct ForwardedPort {
    address: SocketAddr,
    failures: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl ForwardedPort {
    /// Listens on loopback. Each connection is joined with the pod's port over a WebSocket of its own.
    ///
    /// # Errors
    /// When the local port cannot be listened on. Whether the pod can be reached shows at the first connection.
    pub async fn listen(client: &RestClient, namespace: &str, pod: &str, spec: PortSpec) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, spec.local)).await;
        let failed = |error: std::io::Error| {
            let source = TransportError::with_source(TransportKind::Other, error);
            Error::Transport { action: format!("listen on port {}", spec.local), source }
        };
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let failures = Arc::new(AtomicUsize::new(0));
        let target = Target { client: client.clone(), namespace: namespace.into(), pod: pod.into(), port: spec.remote };
        let task = AbortOnDropHandle::new(tokio::spawn(accept(listener, target, failures.clone())));
        Ok(Self { address, failures, _task: task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that could not be joined, or ended with an error.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.failures.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Target {
    client: RestClient,
    namespace: String,
    pod: String,
    port: u16,
}

async fn accept(listener: TcpListener, target: Target, failures: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((local, _)) = accepted else { continue };
                let (target, failures) = (target.clone(), failures.clone());
                connections.spawn(async move {
                    if let Err(error) = join(local, &target).await {
                        failures.fetch_add(1, Ordering::Relaxed);
                        tracing::warn!(target: "client::stream", port = target.port, %error, "forwarded connection failed");
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn join(mut local: TcpStream, target: &Target) -> Result<(), Error> {
    let options = PodPortForwardOptions::new([target.port]);
    let mut forward: PortForward = port_forward(&target.client, &target.namespace, &target.pod, &options).await?;
    let Some(remote) = forward.take(target.port) else { return Ok(()) };
    let (mut from_pod, mut to_pod) = tokio::io::split(remote);
    let (mut from_local, mut to_local) = local.split();
    // The pod cannot be told that the local side is done writing; it is done when the pod's side ends.
    let upload = async {
        let _ = tokio::io::copy(&mut from_local, &mut to_pod).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        copied = tokio::io::copy(&mut from_pod, &mut to_local) => drop(copied),
        () = upload => {}
    }
    drop((from_pod, to_pod));
    forward.wait().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_written_alone_in_pairs_or_with_any_local_one() {
        let read = |text: &str| text.parse::<PortSpec>().map(|p| (p.local, p.remote));
        assert_eq!(read("5000").unwrap(), (5000, 5000));
        assert_eq!(read("8888:5000").unwrap(), (8888, 5000));
        assert_eq!(read(":5000").unwrap(), (0, 5000));
        for bad in ["", "x", "1:", "1:2:3", "70000", "5:0", "0"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
