//! Record and replay in front of any Kubernetes API server.
//!
//! `format` is the tape, `proxy` and `record` write it, `filter` says what of the traffic it is about, `firings` are what a
//! fault plan did to it, `redact` keeps secrets off it, `replay` answers from it, `verify` asks another server the same,
//! `history` knows the objects on it, `reduce` makes it smaller, `review` shows it and `convert` takes it elsewhere.

pub mod convert;
mod filter;
pub mod firings;
pub mod format;
pub mod history;
mod mode;
pub mod proxy;
pub mod record;
pub mod redact;
pub mod reduce;
pub mod replay;
pub mod review;
pub mod verify;

pub use filter::{Filter, FilterError};
pub use mode::{Action, Mode, UnknownMode};
