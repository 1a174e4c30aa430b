//! The fault catalogue: every fault a plan can ask for, as data.
//!
//! A row says what happens on the wire, to which requests, where, with which knobs, whether a correct cluster could do
//! it, and what a correct client makes of it. A family of rows is a file; nothing here applies a fault.

mod clients;
mod connection;
mod garbage;
mod http;
mod http2;
mod overload;
mod state;
mod watch;
mod write;

use crate::action::{Action, Stage};
use crate::knob::{Knob, KnobKind, Knobs, Unsaid};
use crate::words::{nearest, words};

words! {
    /// What a fault acts on.
    pub enum Site {
        /// TCP, TLS or HTTP/2 beneath the request.
        Connection = "connection",
        /// A request before it is answered.
        Request = "request",
        /// The head or body of an answer.
        Response = "response",
        /// The frames of a watch.
        Watch = "watch",
        /// The state behind the server, or a client's view of it.
        Store = "store",
        /// The server's clock.
        Clock = "clock",
        /// Who the client is and what it may do.
        Credentials = "credentials",
        /// The client's process or the test run.
        Run = "run",
    }
}

words! {
    /// Which HTTP versions a fault exists on.
    pub enum Protocols {
        /// Both.
        Any = "http/1.1, h2",
        /// HTTP/1.1 only.
        Http1 = "http/1.1",
        /// HTTP/2 only.
        Http2 = "h2",
    }
}

/// Whether a correct cluster could do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Legality {
    /// It could: a client must cope.
    Legal,
    /// It never would: robustness only, and a plan must allow it.
    Byzantine,
    /// It could, except with these values of the named knob.
    Except(&'static str, &'static [&'static str]),
}

/// Which requests a fault makes sense for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// get, list and whatever else only looks.
    pub reads: bool,
    /// create, update, patch, delete, deletecollection.
    pub writes: bool,
    /// watch, and get of `pods/log`.
    pub streams: bool,
}

impl std::fmt::Display for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = [(self.reads, "reads"), (self.writes, "writes"), (self.streams, "streams")];
        let kinds: Vec<_> = kinds.iter().filter(|(has, _)| *has).map(|(_, kind)| *kind).collect();
        f.write_str(if kinds.len() == 3 { "all".to_owned() } else { kinds.join(", ") }.as_str())
    }
}

/// One fault.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Row {
    /// Short id, such as `T4`: family letter and number.
    pub id: &'static str,
    /// Name in plans.
    pub name: &'static str,
    /// What happens on the wire.
    pub wire: &'static str,
    /// What a correct client or controller does about it.
    pub client: &'static str,
    /// Whether a correct cluster could do it.
    pub legality: Legality,
    /// Which requests it makes sense for.
    pub on: Traffic,
    /// What it acts on.
    pub site: Site,
    /// Which HTTP versions it exists on.
    pub protocols: Protocols,
    /// When it can take place; the first is the default.
    pub stages: &'static [Stage],
    /// Its knobs; the first is the one that a bare value sets.
    pub knobs: &'static [Knob],
    build: fn(&Knobs) -> Vec<Action>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.id, self.name)
    }
}

impl Row {
    /// The knob of that name.
    #[must_use]
    pub fn knob(&self, name: &str) -> Option<&'static Knob> {
        self.knobs.iter().find(|knob| knob.name == name)
    }

    pub(crate) fn build(&self, knobs: &Knobs) -> Vec<Action> {
        (self.build)(knobs)
    }
}

const FAMILIES: [&[Row]; 9] = [
    connection::ROWS,
    http2::ROWS,
    http::ROWS,
    overload::ROWS,
    write::ROWS,
    watch::ROWS,
    state::ROWS,
    garbage::ROWS,
    clients::ROWS,
];

/// Every row, family by family.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    FAMILIES.into_iter().flatten()
}

/// The row with that name or id.
#[must_use]
pub fn find(name: &str) -> Option<&'static Row> {
    rows().find(|row| row.name == name || row.id.eq_ignore_ascii_case(name))
}

/// The name that a misspelt one most likely meant.
pub(crate) fn suggest(name: &str) -> Option<&'static str> {
    nearest(name, rows().map(|row| row.name))
}

const ALL: Traffic = Traffic { reads: true, writes: true, streams: true };
const READS: Traffic = Traffic { reads: true, writes: false, streams: false };
const WRITES: Traffic = Traffic { reads: false, writes: true, streams: false };
const STREAMS: Traffic = Traffic { reads: false, writes: false, streams: true };
const READS_AND_STREAMS: Traffic = Traffic { reads: true, writes: false, streams: true };
const READS_AND_WRITES: Traffic = Traffic { reads: true, writes: true, streams: false };

/// A day: nothing in a test lasts longer.
const DAY: u64 = 86_400;
const FRAMES: KnobKind = KnobKind::Count("frames", 0, 1_000_000);

const fn knob(name: &'static str, kind: KnobKind, default: &'static str, about: &'static str) -> Knob {
    Knob { name, kind, unsaid: Unsaid::Default(default), about }
}

const fn optional(name: &'static str, kind: KnobKind, about: &'static str) -> Knob {
    Knob { name, kind, unsaid: Unsaid::Nothing, about }
}

const fn required(name: &'static str, kind: KnobKind, about: &'static str) -> Knob {
    Knob { name, kind, unsaid: Unsaid::Refused, about }
}

const AFTER_BYTES: Knob =
    optional("afterBytes", KnobKind::Count("bytes", 0, 1 << 40), "how many bytes of the body come through first");
const AFTER_FRAMES: Knob = optional("afterFrames", FRAMES, "how many watch frames come through first");
const AFTER: Knob = optional("after", KnobKind::Duration(DAY), "how much time passes first");

/// The point that `afterBytes`, `afterFrames` or `after` name; the plan check lets only one of them be given.
fn point(knobs: &Knobs) -> crate::action::Point {
    use crate::action::Point;
    if knobs.has("afterFrames") {
        Point::AfterFrames(knobs.count("afterFrames"))
    } else if knobs.has("afterBytes") {
        Point::AfterBytes(knobs.count("afterBytes"))
    } else if knobs.has("after") {
        Point::After(knobs.duration("after"))
    } else {
        Point::Here
    }
}

#[cfg(test)]
mod tests;
