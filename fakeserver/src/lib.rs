//! An in-memory kube-apiserver: MVCC store, watches, verbs, defaults, validation, discovery, authentication and RBAC.
//!
//! A request's way: [`serve`] (sockets) → `endpoints::router` (identify, authorize, route) → a verb in `endpoints` →
//! [`registry`] (defaults, admission, validation, compare-and-swap) → [`store`] → [`watch`] (cursors in the log).
//! A kind is a row of [`catalog`] and, where data cannot say it, a strategy in [`strategies`].

pub mod access;
pub mod admission;
pub mod auth;
pub mod builder;
pub mod catalog;
pub mod clock;
pub mod controllers;
pub mod endpoints;
pub mod faults;
mod front;
mod handle;
pub mod ids;
pub mod patch;
pub mod registry;
pub mod schema;
pub mod serve;
pub mod store;
pub mod strategies;
mod version;
pub mod watch;
mod write_timeout;

pub use builder::FakeServerBuilder;
pub use front::{Beneath, Handler};
pub use serve::{FakeServer, LanePort, StartError};
