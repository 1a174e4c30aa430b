//! 5xx of the server and of what stands before it.

use crate::score::expect::Expect;
use crate::score::scenario::{Group, Scenario};
use serde_json::json;
use std::time::Duration;

fn scenario(id: &str, title: &str) -> Scenario {
    Scenario::new(id, Group::ServerErrors, title)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let get = || json!({"namespace": "default", "name": "a"});
    vec![
        scenario("unavailable", "a read is answered 503 with Retry-After: 1, twice")
            .fault("verb: get, first: 2", "{retry-after: {status: 503, retryAfter: 1}}")
            .get()
            .lives("recovers", Expect::Succeeds)
            .polite("waits", Expect::Waits(vec![Duration::from_secs(1); 2])),
        scenario("internal-error", "a read is answered 500 without Retry-After, for ever")
            .fault("verb: get", "internal-error")
            .call_within("get", get(), Duration::from_secs(4))
            .lives("settles", Expect::EndsWithin(Duration::from_secs(8)))
            .polite("no-hot-loop", Expect::PerSecond(10))
            .polite("capped", Expect::Requests(0, 20))
            .says(&["etcdserver"]),
        scenario("request-timeout", "a read is answered 504 as the timeout filter does, for ever")
            .fault("verb: get", "request-timeout")
            .call_within("get", get(), Duration::from_secs(4))
            .lives("settles", Expect::EndsWithin(Duration::from_secs(8)))
            .polite("no-hot-loop", Expect::PerSecond(10))
            .polite("capped", Expect::Requests(0, 20))
            .says(&["timeout", "timed out", "time allotted", "504"]),
        scenario("gateway-page", "a list is answered 502 with the page of a load balancer")
            .many(3)
            .fault("verb: list", "{gateway-error: {status: 502}}")
            .watched(crate::score::scenario::Watched::Lists)
            .call_within("list", json!({"namespace": "default"}), Duration::from_secs(4))
            .must("does-not-take-the-page-for-a-list", Expect::Fails)
            .lives("settles", Expect::EndsWithin(Duration::from_secs(8)))
            .polite("no-hot-loop", Expect::PerSecond(10))
            .says(&["502", "bad gateway"]),
        scenario("gateway-nothing", "a read is answered 503 without body by a load balancer")
            .long()
            .fault("verb: get", "{gateway-error: {status: 503, body: empty}}")
            .call_within("get", get(), Duration::from_secs(4))
            .must("is-an-error", Expect::Fails)
            .lives("settles", Expect::EndsWithin(Duration::from_secs(8)))
            .polite("no-hot-loop", Expect::PerSecond(10))
            .says(&["503", "unavailable", "unable to handle"]),
    ]
}
