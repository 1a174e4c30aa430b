//! Every fault of the catalogue on the wire, as a raw socket sees it.
//!
//! A test is named after its row; [`coverage`] checks that every row has one.

mod connections;
mod control;
mod coverage;
mod garbage;
mod lanes;
mod peer;
mod refusals;
mod repeatable;
mod shuffled;
mod sieve;
mod state;
mod streams;
mod watches;
mod writes;
