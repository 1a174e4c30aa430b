//! Where fault plans meet the proxy: the clock and the facts that rules go by, and what a proxy cannot do for them.
//!
//! The deciding is in `rehearsal-faults`, the bytes and sockets are in `rehearsal-fault-wire`. A proxy has no store, so
//! what changes one, or a view of one, is refused when a plan is armed. Before a commit is before the request is
//! forwarded, after a commit is once the whole answer of the upstream is here.

mod facts;
mod greet;
mod host;
mod limits;
mod notes;

pub(super) use facts::describe;
pub(super) use greet::{greet, shut};
pub(super) use host::{Asked, LaneName, ProxyHost};
pub use limits::Abilities;
pub(super) use notes::Unasked;

use futures::future::BoxFuture;
use rehearsal_fault_wire::{Faults, Time};
use std::time::Duration;

/// The machine's clock, counted from the making of the rules.
struct MachineTime(tokio::time::Instant);

impl Time for MachineTime {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(wait))
    }
}

/// No rules yet, for a proxy: they go by the machine's clock, and plans that a proxy cannot carry out are refused when
/// they are armed, each rule with its place.
#[must_use]
pub fn proxy_faults(abilities: Abilities) -> Faults {
    let time = MachineTime(tokio::time::Instant::now());
    Faults::limited(time, move |plan| plan.refuse_where(|action| limits::beyond(action, abilities)))
}
