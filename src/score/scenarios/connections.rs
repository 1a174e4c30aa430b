//! Broken, silent and slow connections.

use crate::score::expect::Expect;
use crate::score::scenario::{Class, Group, Scenario, Watched, config_map};
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
            .says(&["reset", "econnreset"])
            .check("says-where", Class::Diagnostics, Expect::Says(&["configmaps/a"])),
        scenario("reset-in-body", "the body of a list breaks off with RST, for ever")
            .many(40)
            .fault("verb: list", "{reset-mid-body: {afterBytes: 2000}}")
            .list()
            .patience(18)
            .must("no-part-for-the-whole", Expect::FailsOrLists(41))
            .lives("settles", Expect::Settles),
        scenario("eof-in-body", "the body of a list ends too early, for ever")
            .many(40)
            .fault("verb: list", "{eof: {afterBytes: 2000}}")
            .list()
            .patience(18)
            .must("no-part-for-the-whole", Expect::FailsOrLists(41))
            .lives("settles", Expect::Settles),
        scenario("silent-server", "a read with a deadline of 2 s is never answered")
            .fault("verb: get", "half-open")
            .call_within("get", get(), Duration::from_secs(2))
            .lives("keeps-its-deadline", Expect::EndsWithin(Duration::from_secs(6)))
            .says(&["deadline", "timeout", "timed out", "abort"]),
        scenario("half-open-once", "a connection falls silent under a read with a deadline of 2 s; then there is another read")
            .fault("verb: get, first: 1", "half-open")
            .call_within("get", get(), Duration::from_secs(2))
            .call_within("get", get(), Duration::from_secs(4))
            .lives("recovers", Expect::Succeeds)
            .lives("keeps-its-deadline", Expect::EndsWithin(Duration::from_secs(8))),
        scenario("half-open-http2", "HTTP/2: a connection falls silent under a read without a deadline")
            .long()
            .tls()
            .fault("verb: get, nth: 2, protocol: h2", "half-open")
            .get()
            .get()
            .patience(75)
            .lives("recovers", Expect::Succeeds)
            .lives("finds-out", Expect::EndsWithin(Duration::from_secs(60))),
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
        scenario("goaway-lower", "HTTP/2: of ten reads at once the server answers some, and GOAWAY leaves out the newest three")
            .tls()
            .many(10)
            .faults(
                // The others are not answered before.
                "  - {id: fault, when: {resource: configmaps, verb: get, protocol: h2, nth: 1, per: rule}, do: {goaway: {streamsBack: 3}}}\n  \
                   - {id: slow, when: {resource: configmaps, verb: get, protocol: h2, after: 1, per: rule}, do: {delay: 500ms}}",
            )
            .call("burst", json!({"namespace": "default", "names": (0..10).map(|n| format!("a-{n:03}")).collect::<Vec<_>>()}))
            .lives("recovers", Expect::Succeeds)
            .polite("no-storm", Expect::RequestsPerOperation(2.5)),
        scenario("goaway-error", "HTTP/2: a read gets GOAWAY ENHANCE_YOUR_CALM and the end of the connection, and there are two more")
            .tls()
            .fault("verb: get, first: 1, protocol: h2", "goaway-error")
            .get()
            .get()
            .get()
            .lives("goes-on", Expect::Succeeds)
            .lives("settles", Expect::Settles)
            .polite("no-hot-loop", Expect::PerSecond(10)),
        scenario("goaway-watch", "HTTP/2: GOAWAY while a watch begins, which goes on over the old connection")
            .long()
            .tls()
            .many(5)
            .fault("verb: watch, first: 1, per: lane, protocol: h2", "goaway")
            .sync()
            .mirror(20)
            .put("a", "two")
            .put("b", "new")
            .pass(1500)
            .put("a", "three")
            .mirror(20)
            .must("mirrors", Expect::Mirrors)
            .polite("few-lists", Expect::Lists(2)),
        scenario("cancelled-body", "HTTP/2: the body of a list breaks off with RST_STREAM CANCEL, for ever")
            .tls()
            .many(40)
            .fault("verb: list, protocol: h2", "{rst-stream: {code: CANCEL, afterBytes: 2000}}")
            .watched(Watched::Lists)
            .call_within("list", json!({"namespace": "default"}), Duration::from_secs(4))
            .must("no-part-for-the-whole", Expect::FailsOrLists(41))
            .lives("settles", Expect::EndsWithin(Duration::from_secs(8))),
        scenario("refused-stream-create", "HTTP/2: a create gets RST_STREAM REFUSED_STREAM, once")
            .tls()
            .fault("verb: create, first: 1, protocol: h2", "refused-stream")
            .generate()
            .must("no-duplicate", Expect::AtMost("made-", 1))
            .lives("recovers", Expect::Succeeds)
            .lives("settles", Expect::Settles),
        scenario("reset-stream-create", "HTTP/2: a create is stored, and gets RST_STREAM INTERNAL_ERROR")
            .tls()
            .fault_at("after-commit", "verb: create, first: 1, protocol: h2", "rst-stream")
            .generate()
            .must("no-duplicate", Expect::AtMost("made-", 1))
            .lives("settles", Expect::Settles),
    ]
}
