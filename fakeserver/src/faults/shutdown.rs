//! The graceful shutdown of a real server, as its clients see it at their port, and its coming back.
//!
//! Counterpart: the sequence of `genericapiserver.go` `RunWithContext` with `--shutdown-send-retry-after`.

use crate::handle::Core;
use http::Request;
use http::header::USER_AGENT;
use rehearsal_fault_wire::Fired;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a shutdown that a rule has ordered has come to at one port.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    running: AtomicBool,
    failing: AtomicBool,
    refusing: AtomicBool,
}

impl Shutdown {
    /// Begins one, unless one is under way.
    fn begin(&self) -> bool {
        let begins = !self.running.swap(true, Ordering::AcqRel);
        self.failing.fetch_or(begins, Ordering::AcqRel);
        begins
    }

    /// Whether `/readyz` fails.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Whether a request is to be refused; probes, metrics and other API servers are not.
    pub(crate) fn refuses<B>(&self, request: &Request<B>) -> bool {
        if !self.refusing.load(Ordering::Acquire) {
            return false;
        }
        let path = request.uri().path();
        let exempt = ["/readyz", "/livez", "/healthz", "/metrics", "/_rehearsal/"].iter().any(|p| path.starts_with(p));
        let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        !exempt && !agent.starts_with("kube-apiserver/")
    }
}

/// Begins a shutdown at the ports of the lanes that the rule names, or at all; those where one is under way are left
/// alone. It ends early when its plan is disarmed.
pub(super) fn begin(core: &Arc<Core>, fired: &Fired, delay: Duration, drain: Duration, down: Duration) {
    let mut ports = core.ports.of(fired.lanes());
    ports.retain(|port| port.shutdown.begin());
    if ports.is_empty() {
        return;
    }
    let (core, set) = (core.clone(), fired.set.clone());
    // Each stage counts from where it can be seen at the latest, so that nobody moves a clock past it unnoticed.
    let delayed = core.faults.sleep(delay, &set);
    tokio::spawn(async move {
        delayed.await;
        if !set.gone().is_cancelled() {
            let drained = core.faults.sleep(drain, &set);
            for port in &ports {
                port.shutdown.refusing.store(true, Ordering::Release);
                port.end_watches();
            }
            drained.await;
        }
        if !set.gone().is_cancelled() {
            let up_again = core.faults.sleep(down, &set);
            for port in &ports {
                port.closed.send_replace(true);
                port.hang_up();
            }
            if down.is_zero() {
                set.gone().cancelled().await;
            } else {
                up_again.await;
            }
        }
        for port in &ports {
            // Whoever finds the port open again finds it serving.
            port.shutdown.refusing.store(false, Ordering::Release);
            port.shutdown.failing.store(false, Ordering::Release);
            port.closed.send_replace(false);
            port.shutdown.running.store(false, Ordering::Release);
        }
    });
}
