//! 429 and 503 with every shape of Retry-After.

use crate::score::expect::Expect;
use crate::score::scenario::{Class, Group, Scenario, Watched};
use serde_json::{Value, json};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
fn scenario(id: &str, title: &str) -> Scenario {
    Scenario::new(id, Group::Throttling, title)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let names: Vec<Value> = (0..60).map(|n| json!(format!("a-{n:03}"))).collect();
    vec![
        scenario("throttled-read", "a read is answered 429 with Retry-After: 1, twice")
            .fault("verb: get, first: 2", "{too-many-inflight: {retryAfter: 1}}")
            .get()
            .lives("recovers", Expect::Succeeds)
            .polite("waits", Expect::Waits(vec![SECOND; 2])),
        scenario("throttled-create", "a create is answered 429 with Retry-After: 1, twice")
            .fault("verb: create, first: 2", "{too-many-inflight: {retryAfter: 1}}")
            .generate()
            .must("no-duplicate", Expect::AtMost("made-", 1))
            .lives("recovers", Expect::Succeeds)
            .polite("waits", Expect::Waits(vec![SECOND; 2])),
        scenario("throttled-delete", "a delete is answered 503 with Retry-After: 1, once")
            .fault("verb: delete, first: 1", "{retry-after: {status: 503, retryAfter: 1}}")
            .watched(Watched::Method("DELETE"))
            .call("delete", json!({"namespace": "default", "name": "a"}))
            .lives("recovers", Expect::SucceedsOrTells)
            .polite("waits", Expect::Waits(vec![SECOND])),
        scenario("throttled-ramp", "priority and fairness rejects with Retry-After 1, 2 and 4")
            .long()
            .fault("verb: get, first: 3", "{apf-reject: {retryAfter: \"ramp(1,4)\"}}")
            .get()
            .patience(20)
            .lives("recovers", Expect::Succeeds)
            .polite("follows-the-growth", Expect::Waits(vec![SECOND, 2 * SECOND, 4 * SECOND])),
        scenario("throttled-fleet", "sixty reads at once are all answered 429 with Retry-After: 1")
            .many(60)
            .fault("verb: get, first: 1", "{too-many-inflight: {retryAfter: 1}}")
            .call("burst", json!({"namespace": "default", "names": names.clone()}))
            .patience(15)
            .lives("recovers", Expect::Succeeds)
            .polite("scatters", Expect::Jitter(0.1))
            .polite("no-storm", Expect::RequestsPerOperation(2.5)),
        scenario("overloaded", "sixty reads at once at a server with fifteen seats and no queue")
            .long()
            .many(60)
            .faults("  - {id: fault, when: {resource: configmaps, verb: get}, do: [{overload: {seats: 15, limitResponse: reject}}, {delay: 20ms}]}")
            .call("burst", json!({"namespace": "default", "names": names}))
            .patience(60)
            .lives("recovers", Expect::Succeeds)
            .polite("no-storm", Expect::RequestsPerOperation(4.0)),
        scenario("no-retry-after", "a read is answered 429 without Retry-After, for ever")
            .fault("verb: get", "{too-many-inflight: {retryAfter: absent}}")
            .call_within("get", json!({"namespace": "default", "name": "a"}), 4 * SECOND)
            .lives("settles", Expect::EndsWithin(Duration::from_secs(8)))
            .polite("no-hot-loop", Expect::PerSecond(10))
            .polite("capped", Expect::Requests(0, 20))
            .says(&["too many requests", "429"]),
        scenario("retry-after-zero", "a read is answered 429 with Retry-After: 0, for ever")
            .fault("verb: get", "{too-many-inflight: {retryAfter: 0}}")
            .call_within("get", json!({"namespace": "default", "name": "a"}), 4 * SECOND)
            .lives("settles", Expect::EndsWithin(Duration::from_secs(8)))
            .polite("no-hot-loop", Expect::PerSecond(10))
            .polite("capped", Expect::Requests(0, 20)),
        scenario("retry-after-date", "a read is answered 503 with a date three seconds ahead in Retry-After, once")
            .fault("verb: get, first: 1", "{retry-after: {status: 503, retryAfter: \"date(3s)\"}}")
            .get()
            .lives("settles", Expect::Settles)
            // Dates have whole seconds only.
            .polite("honours-the-date", Expect::Waits(vec![Duration::from_millis(1900)])),
        scenario("retry-after-text", "a read is answered 429 with Retry-After: soon, once")
            .long()
            .garbage("  - {id: fault, when: {resource: configmaps, verb: get, first: 1}, do: {retry-after: {retryAfter: \"text(soon)\"}}}")
            .get()
            .lives("settles", Expect::Settles)
            .polite("no-hot-loop", Expect::PerSecond(10)),
        scenario("retry-after-long", "a read with a deadline of 2 s is answered 429 with Retry-After: 60")
            .fault("verb: get", "{too-many-inflight: {retryAfter: 60}}")
            .call_within("get", json!({"namespace": "default", "name": "a"}), 2 * SECOND)
            .lives("keeps-its-deadline", Expect::EndsWithin(Duration::from_secs(6)))
            .polite("waits", Expect::Waits(vec![60 * SECOND])),
        scenario("throttled-for-ever", "a read is answered 429 with Retry-After: 1, for ever")
            .long()
            .fault("verb: get", "{too-many-inflight: {retryAfter: 1}}")
            .get()
            .patience(30)
            .polite("waits", Expect::Waits(vec![SECOND; 30]))
            .polite("capped", Expect::Requests(1, 20))
            .says(&["too many requests", "429"])
            .check("says-where", Class::Diagnostics, Expect::Says(&["configmaps/a", "get configmaps a"]))
            .check("says-how-often", Class::Diagnostics, Expect::Says(&["attempt", "retries", "retried", "tries"])),
    ]
}
