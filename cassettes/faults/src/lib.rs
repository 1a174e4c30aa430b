//! Fault plans: what goes wrong between a Kubernetes client and its server, when, and for whom. No I/O.
//!
//! - [`catalog`]: every fault there is, as data.
//! - [`Plan`], [`Rule`], [`Fault`]: which of them happen to which requests; from YAML or built in code.
//! - [`Engine`]: a compiled plan that is asked about each request and answers with a [`Verdict`].
//! - [`Action`] and [`Reply`]: what a verdict asks for, down to the bytes of a refusal.
//! - [`explain()`], [`Report`], [`Firing`]: what would happen, what did happen, and doing it again.
//!
//! Nothing here applies a fault: that is for the middleware of the server and for the recording proxy, which share this
//! vocabulary. The language is described in `docs/FAULTS.md`.

pub mod catalog;

mod action;
mod builder;
mod check;
mod counters;
mod engine;
mod error;
mod event;
mod explain;
mod facts;
mod glob;
mod jsonpath;
mod kinds;
mod knob;
mod limits;
mod matcher;
mod object;
mod overload;
mod parse;
mod plan;
mod print;
mod reply;
mod report;
mod rng;
mod scenario;
mod scenes;
mod schedule;
mod scope;
mod selector;
mod server;
mod units;
mod verdict;
mod words;
mod yaml;

pub use action::{
    Action, Bookmarks, ClientOrder, Cut, Garbage, H2Code, HandshakeFailure, HttpOddity, Lag, Oddity, Oversize, Point,
    Segmentation, Stage, Tampering,
};
pub use builder::KnobText;
pub use engine::Engine;
pub use error::{Place, PlanError, Problem, ProblemKind};
pub use event::EventPattern;
pub use explain::{Explained, Explanation, Why, explain};
pub use facts::{ConnectionFacts, EventType, FrameFacts, Protocol, RequestFacts};
pub use knob::{Knob, KnobKind, Unsaid};
pub use overload::{Arrival, DroppedRequests, FlowDistinguisher, LimitResponse, Limits, Load, PriorityLevel, Ticket};
pub use plan::{Byzantine, Fault, Lane, Plan, Rule, Then};
pub use reply::{Answer, Case, Reply, RetryAfter, StoreFacts};
pub use report::{Report, RuleReport};
pub use scenario::{Scenario, State};
pub use schedule::Per;
pub use server::ServerFacts;
pub use units::{Offset, Wait};
pub use verdict::{Firing, Verdict};
pub use words::Word;
