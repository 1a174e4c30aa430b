//! [`Plan`]: which requests of a tape are sent, in which order.
//!
//! Order is that of the recorder. What does not belong to the scenario (discovery, leases, events, health) stays away
//! unless it is asked for, as does what has no answer to compare with.

use crate::format::model::{Call, Entry, Tape};
use crate::replay::Route;
use crate::verify::PLACEHOLDERS;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::{BTreeMap, BTreeSet};

/// What is sent.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// Only what these lanes sent. Default: all.
    pub lanes: Option<BTreeSet<String>>,
    /// Discovery and documents too.
    pub include_static: bool,
    /// Leases, events, reviews and health too.
    pub include_ambient: bool,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Step<'t> {
    /// Request and recorded answer.
    pub call: &'t Call,
    /// The answer is a stream of frames.
    pub watch: bool,
}

/// The requests of a tape in order.
#[derive(Clone, Debug, Default)]
pub struct Plan<'t> {
    /// What is sent.
    pub steps: Vec<Step<'t>>,
    /// What is not, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// The answers hold placeholders of a transcript.
    pub symbolic: bool,
}

impl<'t> Plan<'t> {
    /// The plan for a whole tape: symbols put back, repeated bodies repeated, side files opened.
    #[must_use]
    pub fn of(tape: &'t Tape, options: &PlanOptions) -> Self {
        let symbolic = tape.header.pins.get(PLACEHOLDERS.0).is_some_and(|value| value == PLACEHOLDERS.1);
        let mut plan = Self { symbolic, ..Self::default() };
        for entry in &tape.entries {
            let call = match entry {
                Entry::Call(call) => call,
                Entry::Upgrade(_) => {
                    plan.skip("upgraded connection");
                    continue;
                }
                Entry::Mark(_) => continue,
            };
            match reason_to_skip(call, options) {
                Some(reason) => plan.skip(reason),
                None => plan.steps.push(Step { call, watch: is_watch(call) }),
            }
        }
        plan.steps.sort_by_key(|step| step.call.seq.req);
        plan
    }

    fn skip(&mut self, reason: &str) {
        *self.skipped.entry(reason.to_owned()).or_default() += 1;
    }
}

fn is_watch(call: &Call) -> bool {
    let accepted = call.response.as_ref().is_some_and(|response| response.status == 200);
    !call.frames.is_empty() || accepted && Route::of(&call.request).is_watch()
}

fn reason_to_skip(call: &Call, options: &PlanOptions) -> Option<&'static str> {
    let route = Route::of(&call.request);
    let other_lane = options.lanes.as_ref().is_some_and(|lanes| !lanes.contains(&call.lane));
    let ambient = route.is_ambient();
    match () {
        () if other_lane => Some("another lane"),
        () if call.response.is_none() => Some("no recorded answer"),
        () if ambient && !options.include_ambient => Some("ambient"),
        () if !ambient && route.is_static() && !options.include_static => Some("discovery and documents"),
        () => None,
    }
}

/// What a client does not encode in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'=')
    .remove(b'@');

/// A decoded path and query as they go on the wire.
#[must_use]
pub fn target(path: &str, query: &[(String, String)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<_> = query.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    let mark = if pairs.is_empty() { "" } else { "?" };
    format!("{}{mark}{}", utf8_percent_encode(path, PATH), pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::model::{Marks, Request, Response};

    fn call(id: u64, seq: u64, path: &str, lane: &str) -> Entry {
        Entry::Call(Call {
            id,
            lane: lane.into(),
            seq: Marks { req: seq, head: None, end: seq },
            request: Request { method: "GET".into(), path: path.into(), ..Request::default() },
            response: Some(Response { status: 200, ..Response::default() }),
            ..Call::default()
        })
    }

    #[test]
    fn a_plan_has_the_scenario_in_its_order_and_counts_the_rest() {
        let entries = vec![
            call(1, 4, "/api/v1/pods", "a"),
            call(2, 1, "/api/v1/nodes", "a"),
            call(3, 2, "/apis", "a"),
            call(4, 3, "/api/v1/events", "a"),
            call(5, 5, "/api/v1/pods", "b"),
        ];
        let tape = Tape { entries, ..Tape::default() };
        let lanes = Some(BTreeSet::from(["a".to_owned()]));
        let plan = Plan::of(&tape, &PlanOptions { lanes, ..PlanOptions::default() });
        assert_eq!(plan.steps.iter().map(|step| step.call.id).collect::<Vec<_>>(), [2, 1]);
        let skipped: Vec<_> = plan.skipped.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
        assert_eq!(skipped, [("ambient", 1), ("another lane", 1), ("discovery and documents", 1)]);
    }
}
