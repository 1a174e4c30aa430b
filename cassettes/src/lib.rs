//! Record and replay in front of any Kubernetes API server. So far only the vocabulary is here: what a recorder may do
//! with a request. The tape format, the proxy and the replay are still to come.

mod mode;

pub use mode::{Action, Mode, UnknownMode};
