//! What must hold of the server whatever is asked of it, in any order: properties over the seam without sockets.
//!
//! Each case has a server of its own. Requests are made with [`rehearsal::FakeServer::call`], so what is tested is all
//! of the server but its connections.

mod api;
mod forks;
mod model;
mod paging;
mod selecting;
mod watching;
