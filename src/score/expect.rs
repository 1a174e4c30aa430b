//! Expectations: what a client is held to in a scenario, and in which words.

use super::scenario::Class;
use std::fmt;
use std::time::Duration;

/// What is expected of a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    /// The last operation succeeds.
    Succeeds,
    /// The operation of that number, from 0, succeeds.
    SucceedsAt(usize),
    /// The last operation succeeds, or the client says that it cannot know.
    SucceedsOrTells,
    /// The last operation fails, and the client says that it may have happened.
    Tells,
    /// The last operation is refused with an error.
    Fails,
    /// The client comes to a conclusion about every operation.
    Settles,
    /// The last operation ends within this time.
    EndsWithin(Duration),
    /// The last operation fails, or lists this many objects.
    FailsOrLists(usize),
    /// The last operation fails, or returns an object whose `data.v` is this.
    FailsOrReads(String),
    /// As many requests are measured.
    Requests(usize, usize),
    /// No more than this many requests in any second. Not judged when nothing is repeated.
    PerSecond(usize),
    /// The n-th repetition comes no sooner than the n-th of these after the request before it.
    Waits(Vec<Duration>),
    /// Waits grow: the later half of them is longer than the first by this factor. Not judged with fewer than four.
    Grows(f64),
    /// No more than this many connections are tried in any second. Not judged when there is only one.
    ConnectionsPerSecond(usize),
    /// The plugin is run no more often than this.
    PluginRuns(usize),
    /// The waits before the first repetition scatter at least so much (σ/µ).
    Jitter(f64),
    /// No more than this many requests for each thing that the client wants.
    RequestsPerOperation(f64),
    /// No more than this many objects have a name with that beginning.
    AtMost(&'static str, usize),
    /// The object of that name has that `data.v`; the empty value stands for any.
    Stored(&'static str, String),
    /// The mirror is like the server in the end.
    Mirrors,
    /// No more than this many lists.
    Lists(usize),
    /// No more than this many watches.
    Watches(usize),
    /// The message of the last operation has one of these words in it, in any case.
    Says(&'static [&'static str]),
    /// The message of the last operation has none of these words in it, in any case.
    SaysNot(&'static [&'static str]),
    /// No other host is sent a credential.
    NoCredentialElsewhere,
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeds => f.write_str("the operation succeeds"),
            Self::SucceedsAt(n) => write!(f, "operation {} succeeds", n + 1),
            Self::SucceedsOrTells => f.write_str("the operation succeeds, or is said to have an unknown outcome"),
            Self::Tells => f.write_str("the outcome is said to be unknown"),
            Self::Fails => f.write_str("the operation is an error"),
            Self::Settles => f.write_str("the client comes to a conclusion"),
            Self::EndsWithin(time) => write!(f, "the operation ends within {time:?}"),
            Self::FailsOrLists(count) => write!(f, "an error, or all {count} objects"),
            Self::FailsOrReads(value) => write!(f, "an error, or the object with its {} bytes", value.len()),
            Self::Requests(1, 1) => f.write_str("it is sent once"),
            Self::Requests(low, high) if low == high => write!(f, "it is sent {low} times"),
            Self::Requests(0, high) => write!(f, "it is sent at most {high} times"),
            Self::Requests(low, high) => write!(f, "it is sent {low} to {high} times"),
            Self::PerSecond(most) => write!(f, "at most {most} requests in any second"),
            Self::Waits(waits) => write!(f, "repetitions wait at least {waits:?}"),
            Self::Grows(factor) => write!(f, "later waits are longer, {factor}-fold at least"),
            Self::ConnectionsPerSecond(most) => write!(f, "at most {most} connections are tried in any second"),
            Self::PluginRuns(most) => write!(f, "the plugin is run at most {most} times"),
            Self::Jitter(least) => write!(f, "waits scatter by more than {least}"),
            Self::RequestsPerOperation(most) => write!(f, "at most {most} requests an operation"),
            Self::AtMost(prefix, count) => write!(f, "at most {count} objects {prefix}*"),
            Self::Stored(name, value) if value.is_empty() => write!(f, "{name} is there"),
            Self::Stored(name, value) => write!(f, "{name} has the value {value:?}"),
            Self::Mirrors => f.write_str("the mirror is like the server"),
            Self::Lists(most) => write!(f, "at most {most} lists"),
            Self::Watches(most) => write!(f, "at most {most} watches"),
            Self::Says(words) => write!(f, "the message says {}", words.join(" or ")),
            Self::SaysNot(words) => write!(f, "the message does not say {}", words.join(" or ")),
            Self::NoCredentialElsewhere => f.write_str("no credential goes to another host"),
        }
    }
}

/// One expectation and how it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Short name, unique in its scenario.
    pub id: &'static str,
    /// How it counts.
    pub class: Class,
    /// What is expected.
    pub expect: Expect,
}
