//! What the throttle and retry benchmarks are made of: loads, a driver, a simulation, the ideal bucket, plots.
//!
//! `load` says when requests are meant to start, `simulate` runs them in virtual time and `drive` against a server,
//! `ideal` and `conformance` judge what was let through, `storm` plays an outage against the client's retry rules,
//! `report` and `svg` tell. Used by `benches/throttle.rs` and by `rehearsal bench throttle`.

mod checks;
mod conformance;
mod drive;
mod histogram;
mod ideal;
mod load;
mod report;
mod sample;
mod simulate;
mod storm;
mod svg;

pub use checks::{Checks, omission};
pub use conformance::{Conformance, jain};
pub use drive::{Target, closed_loop, open_loop, received};
pub use histogram::Latency;
pub use ideal::IdealBucket;
pub use load::Load;
pub use report::{Setup, ThrottleReport};
pub use sample::{Run, Sample};
pub use simulate::{Server, simulate};
pub use storm::{Storm, StormOutcome};
pub use svg::{Plot, Scale, Series, page};
