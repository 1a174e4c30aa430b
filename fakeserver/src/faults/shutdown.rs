//! The graceful shutdown of a real server, as its clients see it, and its coming back.
//!
//! Counterpart: the sequence of `genericapiserver.go` `RunWithContext` with `--shutdown-send-retry-after`.

use crate::handle::Core;
use http::Request;
use http::header::USER_AGENT;
use rehearsal_fault_wire::RuleSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a shutdown that a rule has ordered has come to.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    running: AtomicBool,
    refusing: AtomicBool,
}

impl Shutdown {
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

/// Begins a shutdown, unless one is under way. It ends early when its plan is disarmed.
pub(super) fn begin(core: &Arc<Core>, set: &Arc<RuleSet>, delay: Duration, drain: Duration, down: Duration) {
    if core.shutdown.running.swap(true, Ordering::AcqRel) {
        return;
    }
    core.stopping.store(true, Ordering::SeqCst);
    let (core, set) = (core.clone(), set.clone());
    tokio::spawn(async move {
        core.faults.sleep(delay, &set).await;
        if !set.gone().is_cancelled() {
            core.shutdown.refusing.store(true, Ordering::Release);
            core.end_watches();
            core.faults.sleep(drain, &set).await;
        }
        if !set.gone().is_cancelled() {
            core.port_closed.send_replace(true);
            core.hang_up();
            if down.is_zero() {
                set.gone().cancelled().await;
            } else {
                core.faults.sleep(down, &set).await;
            }
        }
        core.shutdown.refusing.store(false, Ordering::Release);
        core.stopping.store(false, Ordering::SeqCst);
        core.port_closed.send_replace(false);
        core.shutdown.running.store(false, Ordering::Release);
    });
}
