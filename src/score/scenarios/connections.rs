//! Broken, silent and slow connections.

use crate::score::scenario::{Expect, Group, Scenario, Watched, config_map};
use serde_json::json;
use std::time::Duration;

/// A character of several bytes, often, so that some are cut in two.
const SONG: &str = "žluťoučký kůň 🐎 ";

fn scenario(id: &str, title: &str) -> Scenario {
    Scenario::new(id, Group::Connections, title)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let get = || json!({"namespace": "default", "name": "a"});
    vec![
        scenario("reset-read", "a read is answered with RST, twice")
            .fault("verb: get, first: 2", "reset")
            .get()
            .lives("recovers", Expect::Succeeds)
            .polite("capped", Expect::Requests(1, 3)),
        scenario("eof-read", "a read is answered with FIN, twice")
            .fault_at("arrive", "verb: get, first: 2", "eof")
            .get()
            .lives("recovers", Expect::Succeeds)
            .polite("capped", Expect::Requests(1, 3)),
        scenario("reset-for-ever", "a read is answered with RST, for ever")
            .fault("verb: get", "reset")
            .call_within("get", get(), Duration::from_secs(4))
            .lives("settles", Expect::EndsWithin(Duration::from_secs(8)))
            .polite("no-hot-loop", Expect::PerSecond(10))
            .says(&["reset", "econnreset"]),
        scenario("reset-in-body", "the body of a list breaks off with RST, for ever")
            .many(40)
            .fault("verb: list", "{reset-mid-body: {afterBytes: 2000}}")
            .list()
            .patience(16)
            .must("no-part-for-the-whole", Expect::FailsOrLists(41))
            .lives("settles", Expect::Settles),
        scenario("eof-in-body", "the body of a list ends too early, for ever")
            .many(40)
            .fault("verb: list", "{eof: {afterBytes: 2000}}")
            .list()
            .patience(16)
            .must("no-part-for-the-whole", Expect::FailsOrLists(41))
            .lives("settles", Expect::Settles),
        scenario("silent-server", "a read with a deadline of 2 s is never answered")
            .fault("verb: get", "half-open")
            .call_within("get", get(), Duration::from_secs(2))
            .lives("keeps-its-deadline", Expect::EndsWithin(Duration::from_secs(6)))
            .says(&["deadline", "timeout", "timed out", "abort"]),
        scenario("slow-head", "the answer to a read takes two seconds")
            .fault("verb: get, first: 1", "{delay: 2s}")
            .get()
            .lives("waits", Expect::Succeeds)
            .polite("does-not-ask-again", Expect::Requests(1, 1)),
        scenario("slow-body", "the body of a list trickles for three seconds")
            .many(40)
            .fault("verb: list, first: 1", "{throttle: {chunks: 10, over: 3s}}")
            .list()
            .must("no-part-for-the-whole", Expect::FailsOrLists(41))
            .lives("waits", Expect::Succeeds)
            .polite("does-not-ask-again", Expect::Requests(1, 1)),
        scenario("cut-characters", "the answer comes in pieces that end inside a character")
            .object(config_map("song", &SONG.repeat(40)))
            .fault("verb: get", "{segments: {how: inside-utf8}}")
            .call("get", json!({"namespace": "default", "name": "song"}))
            .must("reads-what-was-sent", Expect::FailsOrReads(SONG.repeat(40)))
            .lives("reads", Expect::Succeeds),
        scenario(
            "lost-connection-create",
            "the second request of a connection is a create, and gets FIN instead of an answer",
        )
        .fault("verb: create, first: 1", "{response-lost: {form: eof}}")
        .get()
        .generate()
        .must("no-duplicate", Expect::AtMost("made-", 1))
        .lives("settles", Expect::Settles),
        scenario("refused", "the port is closed for a second, and then open")
            .long()
            .faults("  - {id: fault, at: conn, when: {connection: 1}, do: {refuse: {lasts: 1s}}}")
            .call_within("get", get(), Duration::from_secs(6))
            .watched(Watched::Gets)
            .lives("settles", Expect::EndsWithin(Duration::from_secs(9)))
            .polite("no-hot-loop", Expect::PerSecond(10)),
        scenario("goaway", "HTTP/2: GOAWAY after the answer to a read, and two more reads")
            .tls()
            .fault("verb: get, first: 1, protocol: h2", "goaway")
            .get()
            .get()
            .get()
            .lives("goes-on", Expect::Succeeds)
            .lives("settles", Expect::Settles),
        scenario("refused-stream-create", "HTTP/2: a create gets RST_STREAM REFUSED_STREAM, once")
            .tls()
            .fault("verb: create, first: 1, protocol: h2", "refused-stream")
            .generate()
            .must("no-duplicate", Expect::AtMost("made-", 1))
            .lives("settles", Expect::Settles),
        scenario("reset-stream-create", "HTTP/2: a create is stored, and gets RST_STREAM INTERNAL_ERROR")
            .tls()
            .fault_at("after-commit", "verb: create, first: 1, protocol: h2", "rst-stream")
            .generate()
            .must("no-duplicate", Expect::AtMost("made-", 1))
            .lives("settles", Expect::Settles),
    ]
}
