//! Mirrors of a collection, by whatever the client has for that.

use crate::score::expect::Expect;
use crate::score::scenario::{Group, Scenario, Watched};
use serde_json::json;

fn scenario(id: &str, title: &str) -> Scenario {
    Scenario::new(id, Group::Watches, title).many(5)
}

/// Synchronises, lets others write so that a watch has something to say, and compares.
fn mirrored(id: &str, title: &str) -> Scenario {
    scenario(id, title).sync().mirror(20).put("a", "two").put("b", "new").pass(200).put("a", "three").mirror(20)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        mirrored("watch", "a mirror without any fault")
            .must("mirrors", Expect::Mirrors)
            .polite("no-relist", Expect::Lists(1))
            .polite("few-watches", Expect::Watches(2)),
        mirrored("watch-expired", "the first watch ends in 410 Expired after two events")
            .fault("verb: watch, first: 1, per: lane", "{watch-expired: {afterFrames: 2}}")
            .must("mirrors", Expect::Mirrors)
            .polite("few-lists", Expect::Lists(3)),
        mirrored("watch-expired-http", "the second watch is answered 410")
            .long()
            .faults(
                "  - {id: close, when: {resource: configmaps, verb: watch, first: 1, per: lane}, do: {close-watch: {after: 300ms}}}\n  \
                   - {id: fault, when: {resource: configmaps, verb: watch, nth: 2, per: lane}, do: {watch-expired: {form: http}}}",
            )
            .must("mirrors", Expect::Mirrors)
            .polite("few-lists", Expect::Lists(3)),
        mirrored("watch-gap", "the first watch ends, and what it missed is forgotten by the server")
            .fault("verb: watch, first: 1, per: lane", "{gap: {afterFrames: 7}}")
            .must("mirrors", Expect::Mirrors)
            .polite("few-lists", Expect::Lists(3)),
        mirrored("watch-half-a-line", "the first watch ends inside an event")
            .fault("verb: watch, first: 1, per: lane", "{truncated-frame: {afterFrames: 1}}")
            .must("mirrors", Expect::Mirrors)
            .polite("few-lists", Expect::Lists(2)),
        mirrored("watch-reset", "the first watch ends in RST after an event")
            .fault("verb: watch, first: 1, per: lane", "{reset-mid-watch: {afterFrames: 1}}")
            .must("mirrors", Expect::Mirrors)
            .polite("few-lists", Expect::Lists(2)),
        scenario("watch-closed-at-once", "for three seconds every watch ends at once, without an event")
            .fault("verb: watch, between: {untilMark: calm}", "close-watch")
            .sync()
            .pass(3000)
            .mark("calm")
            .put("a", "two")
            .mirror(30)
            .lives("recovers", Expect::Mirrors)
            .polite("no-hot-loop", Expect::Watches(30))
            .polite("few-lists", Expect::Lists(10)),
        scenario("watch-throttled", "the first three watches are answered 429 with Retry-After: 1")
            .fault("verb: watch, first: 3, per: lane", "{too-many-inflight: {retryAfter: 1}}")
            .sync()
            .mirror(30)
            .put("a", "two")
            .mirror(30)
            .lives("recovers", Expect::Mirrors)
            .polite("waits", Expect::Waits(vec![std::time::Duration::from_secs(1); 3])),
        mirrored("watch-error", "the first watch ends in an ERROR event of 500")
            .fault("verb: watch, first: 1, per: lane", "{watch-error: {afterFrames: 1}}")
            .lives("recovers", Expect::Mirrors)
            .polite("few-lists", Expect::Lists(3)),
        mirrored("watch-without-bookmarks", "no bookmark is ever sent")
            .long()
            .fault("verb: watch", "{bookmarks: {mode: missing}}")
            .lives("recovers", Expect::Mirrors),
        mirrored("watch-shuffled", "the initial events come in no order")
            .long()
            .fault("verb: watch", "shuffle-initial")
            .must("mirrors", Expect::Mirrors),
        mirrored("watch-merged", "events come in pieces of seven bytes")
            .long()
            .fault("verb: watch", "{segments: {bytes: 7}}")
            .must("mirrors", Expect::Mirrors),
        scenario("pages-expired", "the token of the second page is expired, once")
            .many(0)
            .fault("verb: list, nth: 2, per: lane", "{continue-expired: {form: continue}}")
            .watched(Watched::Lists)
            .call("list", json!({"namespace": "default", "limit": 3}))
            .must("no-part-for-the-whole", Expect::FailsOrLists(6))
            .lives("recovers", Expect::Succeeds),
        scenario("watch-silent", "the first watch is silent, and the client may be told what silence is too long: 3 s")
            .fault("verb: watch, first: 1, per: lane", "silence")
            .sync_within(std::time::Duration::from_secs(3))
            .mirror(20)
            .pass(300)
            .put("a", "two")
            .put("b", "new")
            .mirror(20)
            .lives("recovers", Expect::Mirrors)
            .polite("few-lists", Expect::Lists(2)),
        scenario("watch-unavailable", "for fifteen seconds every watch is answered 500")
            .long()
            .fault("verb: watch, between: {untilMark: calm}", "internal-error")
            .sync()
            .pass(15_000)
            .mark("calm")
            .put("a", "two")
            .mirror(40)
            .lives("recovers", Expect::Mirrors)
            .polite("waits-grow", Expect::Grows(1.3))
            .polite("no-hot-loop", Expect::PerSecond(10))
            .polite("few-lists", Expect::Lists(15)),
        mirrored("shutdown", "the server shuts down gracefully and is back after a second")
            .fault("verb: watch, first: 1, per: rule", "{shutdown: {delay: 500ms, down: 1s}}")
            .lives("recovers", Expect::Mirrors)
            .polite("few-lists", Expect::Lists(2)),
    ]
}
