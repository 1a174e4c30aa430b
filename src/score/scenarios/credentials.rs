//! Who is sent a credential; and bodies that no correct server sends.

use crate::score::scenario::{Expect, Group, Scenario, Watched};
use serde_json::json;

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
        garbage("garbage-json", "a list is JSON that does not parse", "{garbage-body: {form: json}}"),
        garbage("garbage-nothing", "a list is 200 and nothing", "{garbage-body: {form: empty}}"),
        garbage("garbage-gzip", "a list is a gzip stream cut in two", "{garbage-body: {form: gzip-cut}}").long(),
    ]
}
