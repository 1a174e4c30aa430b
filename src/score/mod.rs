//! The score card: how a client behaves when things go wrong, measured at the server.
//!
//! An adapter, a small program around a client, does what it is told over standard input; a fake API server with a fault
//! plan, one for each scenario, sees what the client makes of it. `scenarios` says what happens and what is expected, as
//! data; `driver` speaks to adapters, `run` plays scenarios beside one another, `measure` and `verdict` judge, `report`
//! and `baseline` tell. `docs/SCORECARD.md` is for those who write adapters.

mod badge;
mod baseline;
mod card;
mod driver;
mod elsewhere;
mod expect;
mod login;
mod measure;
mod protocol;
mod report;
mod run;
mod scenario;
mod scenarios;
mod table;
mod verdict;

pub use badge::badge;
pub use baseline::{Baseline, Drift};
pub use card::{Card, Points, SCHEMA, ScenarioResult};
pub use driver::{Adapter, Exit, Lease, Outcome, Pool};
pub use expect::{Check, Expect};
pub use measure::{Measured, Seen};
pub use protocol::{Answer, Client, ErrorClass, PROTOCOL, Request};
pub use report::{drift, junit, markdown, terminal};
pub use run::{Suite, play};
pub use scenario::{Class, Group, Login, Scenario, Step, Watched};
pub use scenarios::{Profile, select};
pub use table::markdown as table;
pub use verdict::{Evidence, Judged, Verdict};
