//! Bad input over raw sockets: what a broken or malicious client can send, and how the server takes it.
//!
//! The rule is one: a clear refusal or a clean cut, no panic anywhere, and everybody else is still served. What a
//! refusal says word for word is tested beside the code that says it.

#![allow(clippy::disallowed_methods, reason = "upper bounds on how long others are held up, far above what it takes")]

mod bodies;
mod heads;
mod idle;
mod patches;
mod selectors;
mod tls;
mod truncated;
mod watchers;
mod wire;
