//! Where fault plans meet this server: the clock and facts that rules go by, and what only the store can do for them.
//!
//! The deciding is in `rehearsal-faults`, the bytes and sockets are in `rehearsal-fault-wire`; here are the parts with a
//! store behind them.

mod act;
mod commit;
mod facts;
mod host;
mod shutdown;
mod views;

pub(crate) use act::act_on_connection;
pub(crate) use commit::{FaultedStorage, scoped};
pub(crate) use facts::watch_facts;
pub(crate) use host::{ClusterTime, ServerHost};
pub(crate) use shutdown::Shutdown;
pub(crate) use views::{View, ViewedStorage, Views};

pub use rehearsal_fault_wire::{Faults, Guard, NeverFired, Reproduction, UnknownRule};
