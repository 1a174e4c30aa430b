//! What the benchmarks share: a runner, statistics, the report, a client, the bare server they are measured against.
//!
//! No framework: a figure here is a ratio of two things measured in turns in one run, which is what survives a noisy
//! machine, and the verdict is part of the result.

// Every benchmark is a crate of its own and uses its part of this.
#![allow(dead_code)]

pub(crate) mod bare;
pub(crate) mod client;
pub(crate) mod objects;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod runner;
pub(crate) mod stats;

pub(crate) use report::{Report, Target};
pub(crate) use runner::{Options, runtime};

/// What a benchmark may fail with: it says so and stops.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
