//! Refusals that stay refusals, however often one asks.

use crate::score::expect::Expect;
use crate::score::scenario::{Group, Scenario, Watched, config_map};
use serde_json::json;

fn scenario(id: &str, title: &str) -> Scenario {
    Scenario::new(id, Group::Refusals, title)
}

/// A write that is refused once: whoever repeats it has it done.
fn refused(id: &str, title: &str, fault: &str, words: &'static [&'static str]) -> Scenario {
    scenario(id, title)
        .fault("verb: update", fault)
        .watched(Watched::Method("PUT"))
        .call("update", json!({"namespace": "default", "object": config_map("a", "two")}))
        .must("asks-once", Expect::Requests(1, 1))
        .must("is-an-error", Expect::Fails)
        .says(words)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        refused("conflict", "an update is answered 409 Conflict", "conflict", &["modified", "conflict"]),
        refused("invalid", "an update is answered 422", "{rejected: {status: 422}}", &["rejected our request"]),
        refused("forbidden", "an update is answered 403", "forbidden", &["forbidden"]),
        refused("bad-request", "an update is answered 400", "{rejected: {status: 400}}", &["rejected our request"])
            .long(),
        refused("too-large", "an update is answered 413", "{rejected: {status: 413}}", &["413", "large"]).long(),
        refused(
            "unsupported-type",
            "an update is answered 415",
            "{rejected: {status: 415}}",
            &["415", "unsupported", "unknown format"],
        )
        .long(),
        refused("gone", "an update is answered 404", "not-found", &["not found"]).long(),
        scenario("missing", "a read of an object that is not there")
            .call("get", json!({"namespace": "default", "name": "nothing"}))
            .must("asks-once", Expect::Requests(1, 1))
            .must("is-an-error", Expect::Fails)
            .says(&["not found"]),
        scenario("unauthorized", "every read is answered 401")
            .fault("verb: get", "unauthorized")
            .get()
            .must("is-an-error", Expect::Fails)
            .polite("at-most-one-renewal", Expect::Requests(1, 2))
            .says(&["unauthorized", "401"]),
        scenario("conflict-storm", "read, change and write, and the first three writes are answered 409")
            .fault("verb: update, first: 3", "conflict")
            .watched(Watched::Method("PUT"))
            .call("modify", json!({"namespace": "default", "name": "a", "value": "two"}))
            .lives("recovers", Expect::Succeeds)
            .polite("capped", Expect::Requests(1, 6)),
    ]
}
