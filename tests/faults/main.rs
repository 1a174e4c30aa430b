//! Every fault of the catalogue on the wire, as a raw socket sees it.
//!
//! A test is named after its row, and runs over each version of HTTP that the row exists on; [`coverage`] checks that none is
//! missing, [`proof`] that each has met its fault.

mod connections;
mod control;
mod coverage;
mod garbage;
mod lanes;
mod overload;
mod peer;
mod proof;
mod refusals;
mod repeatable;
mod shuffled;
mod sieve;
mod state;
mod streams;
mod watches;
mod writes;
