//! The journal: every request the server saw, with who, what and the outcome; and the counters made from it.
//!
//! Bounded: the newest entries are kept. A failing test prints it, the admin API serves it, `/metrics` counts it.

use crate::clock::{Clock, rfc3339_micro};
use crate::endpoints::router::Peer;
use crate::handle::Core;
use axum::body::Body;
use http::{Request, Response};
use jiff::Timestamp;
use parking_lot::Mutex;
use rehearsal_fault_wire::{Line, Record, Severed};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many requests are remembered unless the builder says otherwise.
pub const DEFAULT_CAPACITY: usize = 10_000;

/// What is remembered of a URI or user agent, in bytes.
const REMEMBERED: usize = 4 * 1024;

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalEntry {
    /// Rising number, from 1.
    pub sequence: u64,
    /// When the request arrived, RFC 3339 with microseconds, by the cluster's clock.
    pub time: String,
    /// HTTP method.
    pub method: String,
    /// Path with query; a token in the query is never logged because none is accepted there.
    pub uri: String,
    /// `User-Agent`.
    pub user_agent: String,
    /// HTTP status of the answer; 0 when a fault left the client without one.
    pub code: u16,
    /// Microseconds until the head of the answer, by the cluster's clock.
    pub latency_micros: i64,
    /// Ordinal of the connection it came over, among those of its listener, from 1; 0 for a request without a socket, and
    /// over the admin API's listener.
    pub connection: u64,
    /// The lane whose listener it came to; empty for the others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lane: String,
    /// What fault rules did to the request; grows while a watch goes on.
    #[serde(skip_serializing_if = "Record::is_empty")]
    pub faults: Record,
}

/// A shared view of a server's journal.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    list: VecDeque<JournalEntry>,
    next: u64,
    counts: BTreeMap<(&'static str, u16), u64>,
}

impl Journal {
    /// The remembered requests, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.0.lock().list.iter().cloned().collect()
    }

    /// The remembered requests after a sequence number, at most `limit`.
    #[must_use]
    pub fn after(&self, sequence: u64, limit: usize) -> Vec<JournalEntry> {
        self.0.lock().list.iter().filter(|e| e.sequence > sequence).take(limit).cloned().collect()
    }

    /// Forgets all requests; sequence numbers go on.
    pub fn clear(&self) {
        self.0.lock().list.clear();
    }
}

/// Keeps the journal and writes access lines.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) journal: Journal,
    clock: Clock,
    capacity: usize,
    log: AtomicBool,
}

/// Text without its end where it is too long, so that a client cannot fill the memory with what it sends.
fn beginning(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default().to_owned()
}

/// The label of a method in the metrics; clients' inventions are `OTHER`, as in the real server's.
fn counted(method: &str) -> &'static str {
    const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    METHODS.into_iter().find(|known| *known == method).unwrap_or("OTHER")
}

/// A request whose answer is not there yet.
pub(crate) struct Started {
    at: Timestamp,
    method: String,
    uri: String,
    user_agent: String,
    connection: u64,
    lane: String,
}

impl Access {
    pub(crate) fn new(clock: Clock, capacity: usize, log: bool) -> Self {
        Self { journal: Journal::default(), clock, capacity, log: AtomicBool::new(log) }
    }

    pub(crate) fn start(&self, request: &Request<Body>) -> Started {
        let line = request.extensions().get::<Peer>().map(|peer| &peer.line);
        let agent = request.headers().get(http::header::USER_AGENT).and_then(|v| v.to_str().ok());
        Started {
            at: self.clock.now(),
            method: beginning(request.method().as_str(), 16),
            uri: beginning(request.uri().path_and_query().map_or(request.uri().path(), |p| p.as_str()), REMEMBERED),
            user_agent: beginning(agent.unwrap_or_default(), REMEMBERED),
            connection: line.map_or(0, Line::ordinal),
            lane: line.map(Line::lane).unwrap_or_default().to_owned(),
        }
    }

    pub(crate) fn finish(&self, started: Started, response: &Response<Body>) {
        let latency = self.clock.now().duration_since(started.at);
        let latency_micros = i64::try_from(latency.as_micros()).unwrap_or(i64::MAX);
        let severed = response.extensions().get::<Severed>().is_some();
        let code = if severed { 0 } else { response.status().as_u16() };
        let faults = response.extensions().get::<Record>().cloned().unwrap_or_default();
        if self.log.load(Ordering::Relaxed) {
            tracing::info!(target: "fakeserver::access", method = %started.method, uri = %started.uri, code, latency_micros);
        }
        let mut entries = self.journal.0.lock();
        entries.next += 1;
        let sequence = entries.next;
        *entries.counts.entry((counted(&started.method), code)).or_default() += 1;
        if self.capacity == 0 {
            return;
        }
        if entries.list.len() == self.capacity {
            entries.list.pop_front();
        }
        entries.list.push_back(JournalEntry {
            sequence,
            time: rfc3339_micro(started.at),
            method: started.method,
            uri: started.uri,
            user_agent: started.user_agent,
            code,
            latency_micros,
            connection: started.connection,
            lane: started.lane,
            faults,
        });
    }

    /// Prometheus text.
    pub(crate) fn metrics(&self, core: &Core) -> String {
        let mut out = String::from(
            "# HELP apiserver_request_total Counter of apiserver requests broken out for each method and code.\n\
             # TYPE apiserver_request_total counter\n",
        );
        for ((method, code), count) in &self.journal.0.lock().counts {
            let _ = writeln!(out, "apiserver_request_total{{code=\"{code}\",method=\"{method}\"}} {count}");
        }
        out.push_str("# HELP apiserver_storage_objects Number of stored objects at the time of last check split by kind.\n# TYPE apiserver_storage_objects gauge\n");
        let snapshot = core.registry.storage().snapshot();
        for collection in snapshot.collections() {
            let count = snapshot.count(collection.as_str(), "");
            let _ = writeln!(out, "apiserver_storage_objects{{resource=\"{}\"}} {count}", collection.as_str());
        }
        let _ = writeln!(
            out,
            "# HELP rehearsal_store_revision Current revision of the store.\n# TYPE rehearsal_store_revision gauge\nrehearsal_store_revision {}",
            snapshot.revision()
        );
        out
    }
}
