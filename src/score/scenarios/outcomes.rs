//! Writes whose outcome the client cannot know.

use crate::score::expect::Expect;
use crate::score::scenario::{Class, Group, Scenario, Watched, config_map};
use serde_json::json;

fn scenario(id: &str, title: &str) -> Scenario {
    Scenario::new(id, Group::UnknownOutcomes, title)
}

/// What a server says whose storage cannot be reached, and which may have stored all the same.
const SERVER_TIMEOUT: &str = "{internal-error: {form: server-timeout, retryAfter: 1}}";

/// A create that is stored and told to come back. Whoever does makes a second object, and was told to: not unsafe, but
/// there is a better way.
fn told_back(id: &str, title: &str, fault: &str) -> Scenario {
    scenario(id, title)
        .fault_at("after-commit", "verb: create, first: 1", fault)
        .generate()
        .pass(300)
        .lives("settles", Expect::Settles)
        .polite("no-duplicate", Expect::AtMost("made-", 1))
        .tells()
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let lost = |id: &str, title: &str, fault: &str| {
        scenario(id, title)
            .fault("verb: create, first: 1", fault)
            .generate()
            .pass(300)
            .must("no-duplicate", Expect::AtMost("made-", 1))
            .lives("settles", Expect::Settles)
    };
    vec![
        lost("lost-answer-reset", "a create is stored, and answered with RST", "{response-lost: {form: reset}}")
            .tells(),
        lost("lost-answer-eof", "a create is stored, and answered with FIN", "{response-lost: {form: eof}}"),
        lost(
            "lost-answer-504",
            "a create is stored, and answered 504 by the timeout filter",
            "{response-lost: {form: timeout}}",
        )
        .says(&["timeout", "timed out", "time allotted", "504"]),
        lost("lost-request-reset", "a create gets RST before it is stored", "{request-lost: {form: reset}}"),
        lost("lost-request-504", "a create is answered 504 before it is stored", "{request-lost: {form: timeout}}")
            .long(),
        scenario("late-commit", "a create is answered 504, and stored a second later")
            .fault("verb: create, first: 1", "{late-commit: {after: 1s}}")
            .generate()
            .pass(1500)
            .must("no-duplicate", Expect::AtMost("made-", 1))
            .lives("settles", Expect::Settles),
        scenario("gateway-create", "a create is stored, and a load balancer answers 502")
            .fault_at("after-commit", "verb: create, first: 1", "{gateway-error: {status: 502}}")
            .generate()
            .must("no-duplicate", Expect::AtMost("made-", 1))
            .lives("settles", Expect::Settles),
        told_back(
            "told-back-create",
            "a create is stored, and answered 500 ServerTimeout with Retry-After: 1",
            SERVER_TIMEOUT,
        ),
        told_back(
            "told-back-503",
            "a create is stored, and answered 503 with Retry-After: 1 on its way",
            "{status: 503, retryAfter: 1}",
        )
        .long(),
        scenario(
            "told-back-named",
            "a create with a name is stored, and answered 500 ServerTimeout with Retry-After: 1",
        )
        .fault_at("after-commit", "verb: create, first: 1", SERVER_TIMEOUT)
        .watched(Watched::Method("POST"))
        .call("create", json!({"namespace": "default", "object": config_map("b", "mine")}))
        .must("no-lost-update", Expect::Stored("b", "mine".into()))
        .lives("settles", Expect::Settles)
        .check("does-not-blame-itself", Class::Diagnostics, Expect::SaysNot(&["already exists"])),
        scenario("lost-answer-update", "an update is stored, and answered with RST")
            .fault("verb: update, first: 1", "{response-lost: {form: reset}}")
            .watched(Watched::Method("PUT"))
            .call("update", json!({"namespace": "default", "object": config_map("a", "two")}))
            .must("no-lost-update", Expect::Stored("a", "two".into()))
            .lives("settles", Expect::Settles),
        scenario(
            "lost-answer-delete",
            "an object is deleted, others make it again, and the delete is answered with RST",
        )
        .fault_at("after-commit", "verb: delete, first: 1", "[{delay: 600ms}, reset]")
        .watched(Watched::Method("DELETE"))
        .meanwhile(300, "a", "again")
        .call("delete", json!({"namespace": "default", "name": "a"}))
        .must("spares-the-new-object", Expect::Stored("a", "again".into()))
        .lives("settles", Expect::Settles),
        scenario("hanging-create", "a create is stored, and never answered; its deadline is 2 s")
            .fault("verb: create, first: 1", "{response-lost: {form: half-open}}")
            .watched(Watched::Method("POST"))
            .call_within(
                "create",
                json!({"namespace": "default", "object": crate::score::scenario::generated("made-")}),
                std::time::Duration::from_secs(2),
            )
            .must("no-duplicate", Expect::AtMost("made-", 1))
            .lives("keeps-its-deadline", Expect::EndsWithin(std::time::Duration::from_secs(6)))
            .tells(),
    ]
}
