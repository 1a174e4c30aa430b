//! Applies fault plans to HTTP servers: what [`rehearsal_faults`] decides becomes bytes and socket events here.
//!
//! - [`Faults`]: the rules that are armed now, live control over them, and what has fired; [`Guard`] holds one plan armed.
//! - [`FaultLayer`]: a `tower` layer that asks them about every request and applies what they say.
//! - [`Line`], [`Socket`], [`Surface`]: a connection that can be reset, cut, frozen or made to send HTTP/2 frames.
//! - [`Door`]: a listening socket that can be closed, and whose backlog can be filled; [`greet`] and [`shut`] apply rules
//!   to a connection and to the port before anything is read.
//! - [`Host`]: what the layer asks of the server it sits in: whose request this is, and everything that needs the store.
//!
//! The fake server and the recording proxy share this; it knows neither of them, nor Kubernetes objects beyond JSON.

mod admin;
mod answer;
mod body;
mod control;
mod door;
mod facts;
mod greeting;
mod guard;
mod h2frames;
mod handshake;
mod head;
mod host;
mod layer;
mod line;
mod overload;
mod ruleset;
mod socket;
mod surface;
mod write;

pub use admin::{Order, Refusal};
pub use answer::{Foreign, Severed, response};
pub use body::{BoxError, FaultBody};
pub use control::{ClientSignal, Faults, RuleState, SetState, State, UnknownRule};
pub use door::Door;
pub use facts::Facts;
pub use greeting::{Greeting, Greets, greet, shut};
pub use guard::{Guard, NeverFired};
pub use host::{Host, StoreView, Time};
pub use layer::{Describe, FaultLayer, FaultService, Record};
pub use line::Line;
pub use ruleset::{Fired, Reproduction, RuleSet};
pub use socket::Socket;
pub use surface::Surface;
pub use write::WriteFaults;
