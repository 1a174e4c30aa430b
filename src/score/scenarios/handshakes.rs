//! Handshakes that fail, each time.

use crate::score::expect::Expect;
use crate::score::scenario::{Group, Scenario};
use serde_json::json;
use std::time::Duration;

/// A read with a deadline over connections that do not come about.
fn failing(id: &str, title: &str, failure: &str, words: &'static [&'static str]) -> Scenario {
    Scenario::new(id, Group::Connections, title)
        .tls()
        .faults(&format!("  - {{id: fault, at: conn, do: {{tls-handshake: {failure}}}}}"))
        .call_within("get", json!({"namespace": "default", "name": "a"}), Duration::from_secs(4))
        .must("is-an-error", Expect::Fails)
        .must("sends-nothing", Expect::Requests(0, 0))
        .lives("settles", Expect::EndsWithin(Duration::from_secs(8)))
        .polite("no-hot-loop", Expect::ConnectionsPerSecond(10))
        .says(words)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let certificate: &[&str] = &["certificate", "x509", "cert_", "self-signed", "unable to verify"];
    vec![
        failing("handshake-expired", "the server's certificate has expired", "expired-certificate", certificate),
        failing("handshake-name", "the server's certificate is for another name", "wrong-name", certificate).long(),
        failing(
            "handshake-authority",
            "the server's certificate is of another authority",
            "unknown-authority",
            certificate,
        ),
        failing(
            "handshake-alert",
            "the server refuses every handshake",
            "alert",
            &["handshake", "alert", "tls", "ssl"],
        )
        .long(),
        failing(
            "handshake-plaintext",
            "the server answers every handshake in clear text",
            "plaintext",
            &["tls", "ssl", "first record", "wrong version", "corrupt", "http response to https"],
        )
        .long(),
        failing(
            "handshake-stall",
            "the server is silent after the ClientHello",
            "stall",
            &["deadline", "timeout", "timed out", "abort"],
        )
        .long(),
    ]
}
