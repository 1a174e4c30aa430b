//! Replay: which recorded answer a live request gets, and when a recorded watch frame may go out.
//!
//! The [`Player`] is a plain state machine: it is asked, it answers, it never waits and owns no socket. `service` puts
//! it behind HTTP. Rebuilding an object store from a tape (hydrate) needs a server and lives in the root package.

mod order;
mod player;
mod report;
mod score;
mod service;
mod slot;
mod talk;
mod turns;

pub mod normal;
pub mod route;

pub use order::Pace;
pub use player::{Answer, FrameGate, Manner, Options, Player};
pub use report::{Candidate, EndReport, NoMatch, Verdict};
pub use route::{AcceptClass, Route};
pub use service::{DEFAULT_PATIENCE, ReplayService};
pub use slot::{body_meaning, named};
