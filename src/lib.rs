//! A stand-in for a Kubernetes API server, a tape recorder for a real one, and a stage manager that makes things go
//! wrong on cue.
//!
//! [`Cluster`] is an isolated in-process cluster in one line:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use rehearsal::Cluster;
//!
//! let cluster = Cluster::start().await?;
//! println!("KUBECONFIG for {}:\n{}", cluster.url(), cluster.kubeconfig()?);
//! cluster.shutdown().await;
//! # Ok(()) }
//! ```

pub mod bench;
pub mod cli;
mod cluster;
pub mod hydrate;
pub mod load;
mod logging;
mod process;
pub mod recording;
pub mod score;
pub mod ui;
pub mod verify;

pub use cluster::{Cluster, ClusterBuilder, ClusterLane};
pub use rehearsal_apimachinery as apimachinery;
pub use rehearsal_cassettes as cassettes;
pub use rehearsal_client as client;
pub use rehearsal_fakeserver as fakeserver;
pub use rehearsal_fakeserver::access::{Journal, JournalEntry};
pub use rehearsal_fakeserver::builder::AuthMode;
pub use rehearsal_fakeserver::clock::Clock;
pub use rehearsal_fakeserver::controllers::Controllers;
pub use rehearsal_fakeserver::store::Snapshot;
pub use rehearsal_fakeserver::{FakeServer, StartError};
pub use rehearsal_fault_wire as fault_wire;
pub use rehearsal_fault_wire::{Faults, Guard, NeverFired};
pub use rehearsal_faults as faults;
