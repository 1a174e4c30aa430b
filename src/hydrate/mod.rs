//! Hydrate: a tape becomes a living cluster. The fake server starts with the objects that were there, what others did in
//! the recording happens again at its moment, and what the client under test does is served for real and held against
//! what it did then.
//!
//! List and watch, pages, bookmarks and conflicts come from the server's own store, so that a client of another make, or
//! a changed controller, gets sane answers to requests that nobody recorded.

mod report;
mod script;
mod sight;
mod symbols;
mod upstream;
mod world;

pub use report::{Divergence, HydrateReport};
pub use script::Fork;
pub use upstream::{Hydrate, HydrateOptions};
pub use world::load_state;

/// Live resourceVersions are the recorded ones times this, so that writes nobody recorded find room in between.
pub const STRIDE: u64 = 1024;
