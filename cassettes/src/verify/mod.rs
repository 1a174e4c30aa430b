//! Verify: the requests of a tape sent to any server, and whether its answers mean the same.
//!
//! Everything here is pure: [`Plan`] says what is asked in which order, [`Bindings`] carry what the server chose (uids,
//! resourceVersions, generated names) from its answers into the next requests, [`check`] compares one answer. Who sends
//! the requests lives in the root package.

mod bindings;
mod check;
mod frames;
mod managers;
mod names;
mod plan;
mod report;
mod scope;
mod symbols;

pub use bindings::{Bindings, Clash};
pub use check::{Live, check};
pub use frames::{before, check_frames, counts};
pub use plan::{Plan, PlanOptions, Step, target};
pub use report::{CallDifference, PlaceDifference, VerifyReport};
pub use scope::{Scope, Until};
pub use symbols::PLACEHOLDERS;
