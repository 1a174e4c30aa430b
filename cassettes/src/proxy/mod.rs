//! The recording reverse proxy: a server of its own in front of an upstream that somebody else reaches.
//!
//! [`Proxy`] listens with a certificate authority of its own and hands out kubeconfigs, a synthetic bearer token for each
//! lane; the real credential stays with the [`Upstream`]. What passes is told to a [`Recorder`](crate::record::Recorder);
//! where a mode wants answers from a tape they come from a [`Replay`]. Fault plans act on what the client sees, in front of
//! all of it.

mod admin;
mod authority;
mod compare;
mod connection;
mod exchange;
mod faults;
mod kubeconfig;
mod lanes;
mod mark;
mod outward;
mod policy;
mod refusal;
mod serve;
mod upgrade;
mod upstream;

pub use authority::Authority;
pub use compare::TapeComparer;
pub use faults::{Abilities, proxy_faults};
pub use lanes::Lanes;
pub use policy::{CompareSink, Comparer, Policy, Replay, Switch, Talking, has_no_revision};
pub use serve::{Proxy, ProxyBuilder, ProxyError};
pub use upstream::{Channel, ProxyBody, Upstream, UpstreamError, UpstreamFailure};
