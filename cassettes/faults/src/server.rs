//! [`ServerFacts`]: what a plan may need of the server that it is armed on, beside what all servers have.

use std::collections::BTreeSet;

/// What a server has to offer to plans; see [`Plan::fits`](crate::Plan::fits).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// Whether it serves TLS. Default true: nothing is refused for the lack of it.
    pub tls: bool,
    /// Whether it serves HTTP/2. Default true.
    pub http2: bool,
    /// Lanes that have a listener of their own: their connections are told before anything is read from them. Default
    /// none.
    pub lanes: BTreeSet<String>,
}

impl Default for ServerFacts {
    fn default() -> Self {
        Self { tls: true, http2: true, lanes: BTreeSet::new() }
    }
}
