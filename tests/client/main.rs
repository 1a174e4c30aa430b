//! The client against an in-process cluster: what its own tests cannot show, because they know no server.

mod place;
mod rest;
mod typed;
