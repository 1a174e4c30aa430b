//! Who is sent a credential; and bodies that no correct server sends.

use crate::score::expect::Expect;
use crate::score::scenario::{Group, Login, Scenario, Watched};
use serde_json::json;

/// What tells the first token of a plugin or a file.
const OLD: &str = "header: {authorization: \"Bearer token-1\"}";

fn garbage(id: &str, title: &str, fault: &str) -> Scenario {
    let rule = format!("  - {{id: fault, when: {{resource: configmaps, verb: list}}, do: {fault}}}");
    Scenario::new(id, Group::Garbage, title)
        .many(5)
        .garbage(&rule)
        .watched(Watched::Lists)
        .call_within("list", json!({"namespace": "default"}), std::time::Duration::from_secs(4))
        .must("is-an-error", Expect::Fails)
        .lives("settles", Expect::EndsWithin(std::time::Duration::from_secs(8)))
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("redirect", Group::Credentials, "a read is sent on to another host")
            .tls()
            .garbage("  - {id: fault, when: {resource: configmaps, verb: get}, do: {http-oddity: {form: redirect, location: \"${elsewhere}\"}}}")
            .get()
            .must("keeps-its-credential", Expect::NoCredentialElsewhere)
            .lives("settles", Expect::Settles),
        Scenario::new("plugin-renewal", Group::Credentials, "a plugin's first token is answered 401, and its second is good")
            .login(Login::Plugin)
            .faults(&format!("  - {{id: fault, when: {{resource: configmaps, {OLD}}}, do: unauthorized}}"))
            .get()
            .get()
            .lives("recovers", Expect::Succeeds)
            .polite("repeats-itself", Expect::SucceedsAt(0))
            .polite("renews-once", Expect::PluginRuns(2))
            .polite("no-loop", Expect::Requests(2, 4)),
        Scenario::new("plugin-refused", Group::Credentials, "every token of a plugin is answered 401")
            .login(Login::Plugin)
            .fault("verb: get", "unauthorized")
            .get()
            .must("is-an-error", Expect::Fails)
            .lives("settles", Expect::Settles)
            .polite("renews-once", Expect::PluginRuns(2))
            .polite("no-loop", Expect::Requests(1, 2))
            .says(&["unauthorized", "401"]),
        Scenario::new("token-file", Group::Credentials, "the token in a file is replaced, and the old one is answered 401")
            .login(Login::File)
            .faults(&format!("  - {{id: fault, when: {{resource: configmaps, {OLD}, after: {{mark: rotated}}}}, do: unauthorized}}"))
            .get()
            .rotate()
            .mark("rotated")
            .get()
            .get()
            .lives("recovers", Expect::Succeeds)
            .polite("repeats-itself", Expect::SucceedsAt(1))
            .polite("no-loop", Expect::Requests(3, 5)),
        garbage("garbage-json", "a list is JSON that does not parse", "{garbage-body: {form: json}}"),
        garbage("garbage-nothing", "a list is 200 and nothing", "{garbage-body: {form: empty}}"),
        garbage("garbage-gzip", "a list is a gzip stream cut in two", "{garbage-body: {form: gzip-cut}}").long(),
    ]
}
