//! Family W: faults of a watch stream. Frames are counted from the decision on.

use super::http::row;
use super::{DAY, FRAMES, Legality, Protocols, READS_AND_STREAMS, Row, STREAMS, Site, knob, optional, point};
use crate::action::{Action, Bookmarks, Cut, Oddity, Stage, Tampering};
use crate::knob::{Knob, KnobKind, Knobs};
use crate::reply::{Case, Reply};
use crate::words::Word;

const HEAD: &[Stage] = &[Stage::Head, Stage::Frame];
const L: Legality = Legality::Legal;
const FIRST: Knob = knob("afterFrames", FRAMES, "0", "how many frames come through first");
const WHICH: KnobKind = KnobKind::Count("frames", 1, 1_000_000);

fn error(k: &Knobs) -> Vec<Action> {
    let text = k.text("text").to_owned();
    let case = match k.text("form") {
        "cache-not-ready" => Case::CacheNotReady,
        "unknown" => Case::Storage(text),
        _ => Case::Internal(text),
    };
    vec![Action::ErrorFrame { reply: Reply::new(case), after_frames: k.count("afterFrames") }]
}

fn expired(k: &Knobs) -> Vec<Action> {
    let reply = Reply::new(Case::WatchExpired);
    match k.text("form") {
        "http" => vec![Action::Respond { reply }],
        _ => vec![Action::ErrorFrame { reply, after_frames: k.count("afterFrames") }],
    }
}

pub(super) const ROWS: &[Row] = &[
    row!(
        "W1",
        "watch-expired",
        STREAMS,
        Watch,
        HEAD,
        L,
        "200 and one ERROR frame Expired 410, then a clean end; or HTTP 410",
        "lists again and replaces its store, with deletions for what vanished",
        &[FIRST, knob("form", KnobKind::Choice(&["frame", "http"]), "frame", "which of the two forms")],
        expired
    ),
    row!(
        "W2",
        "watch-error",
        STREAMS,
        Watch,
        HEAD,
        L,
        "an ERROR frame other than 410",
        "backs off and keeps its store",
        &[
            FIRST,
            knob("form", KnobKind::Choice(&["internal", "cache-not-ready", "unknown"]), "internal", "which Status"),
            knob("text", KnobKind::Text, "etcdserver: leader changed", "the cause that is quoted"),
        ],
        error
    ),
    row!(
        "W3",
        "close-watch",
        STREAMS,
        Watch,
        HEAD,
        L,
        "a clean end, perhaps after no event at all",
        "backs off after an empty watch and resumes",
        &[
            knob("afterFrames", FRAMES, "0", "how many frames come through first"),
            optional("after", KnobKind::Duration(DAY), "how much time passes first, instead")
        ],
        |k| match k.has("after") {
            true => vec![Action::Cut { how: Cut::Clean, at: crate::action::Point::After(k.duration("after")) }],
            false => vec![Action::Cut { how: Cut::Clean, at: point(k) }],
        }
    ),
    row!(
        "W4",
        "silence",
        STREAMS,
        Watch,
        HEAD,
        L,
        "the stream stays open without events or bookmarks",
        "has an idle timeout and connects again",
        &[knob("lasts", KnobKind::Duration(DAY), "0s", "for how long; 0s for as long as the client stays"), FIRST],
        |k| vec![Action::Silence { lasts: k.duration("lasts"), after_frames: k.count("afterFrames") }]
    ),
    row!(
        "W5",
        "bookmarks",
        STREAMS,
        Watch,
        &[Stage::Head],
        L,
        "bookmarks are missing, rare, or late at the end of the initial events",
        "is right without them; a watch-list falls back to list and watch",
        &[
            knob("mode", KnobKind::Choice(Bookmarks::WORDS), "missing", "which are held back"),
            knob("every", KnobKind::Count("bookmarks", 1, 1_000), "10", "one of how many is sent, when rare"),
            knob("delay", KnobKind::Duration(DAY), "10s", "how late, when the initial one is late"),
        ],
        |k| {
            let mode = k.word("mode", Bookmarks::Missing);
            vec![Action::Bookmarks { mode, every: k.count("every"), delay: k.duration("delay") }]
        }
    ),
    row!(
        "W6",
        "hold-frames",
        STREAMS,
        Watch,
        HEAD,
        L,
        "frames are held until some have gathered or some time has passed",
        "reacts to levels, not to edges",
        &[
            knob("frames", FRAMES, "0", "how many are gathered; 0 for no such limit"),
            knob("lasts", KnobKind::Duration(DAY), "1s", "the longest they are held; 0s for no such limit"),
            knob("coalesce", KnobKind::Choice(&["false", "true"]), "false", "whether changes of one object become one"),
        ],
        |k| {
            let coalesce = k.text("coalesce") == "true";
            vec![Action::HoldFrames { frames: k.count("frames"), lasts: k.duration("lasts"), coalesce }]
        }
    ),
    row!(
        "W7",
        "gap",
        STREAMS,
        Watch,
        HEAD,
        L,
        "the watch closes and the store compacts past it, so that resuming ends in 410",
        "ends in the state of a run without faults",
        &[FIRST],
        |k| vec![Action::Gap { after_frames: k.count("afterFrames") }]
    ),
    row!(
        "W8",
        "shuffle-initial",
        STREAMS,
        Watch,
        &[Stage::Head],
        L,
        "the initial ADDED events come in no order",
        "trusts no order of resourceVersions before the end of the initial events",
        &[],
        |_| vec![Action::ShuffleInitial { seed: 0 }]
    ),
    row!(
        "W9",
        "tamper-frame",
        STREAMS,
        Watch,
        HEAD,
        Legality::Byzantine,
        "a frame is dropped, sent twice, or swapped with the next",
        "does not crash, and applies no older version over a newer",
        &[
            knob("how", KnobKind::Choice(Tampering::WORDS), "drop", "what is done to it"),
            knob("frame", WHICH, "1", "which frame"),
        ],
        |k| vec![Action::Tamper { how: k.word("how", Tampering::Drop), frame: k.count("frame") }]
    ),
    row!(
        "W10",
        "odd-frame",
        READS_AND_STREAMS,
        Watch,
        HEAD,
        Legality::Except("form", &["wrong-type", "unknown-delete", "partial-metadata"]),
        "MODIFIED first, DELETED of nothing, metadata missing, a member nobody knows, `items: null`",
        "bears it",
        &[
            knob("form", KnobKind::Choice(Oddity::WORDS), "unknown-field", "what is odd"),
            knob("frame", WHICH, "1", "which frame"),
        ],
        |k| vec![Action::Odd { form: k.word("form", Oddity::UnknownField), frame: k.count("frame") }]
    ),
    row!(
        "W11",
        "truncated-frame",
        STREAMS,
        Watch,
        HEAD,
        L,
        "half a line, then the end",
        "throws the line away and resumes from the resourceVersion before it",
        &[FIRST, knob("bytes", KnobKind::Count("bytes", 0, 1 << 30), "0", "how much of the line is sent; 0 for half")],
        |k| vec![Action::TruncateFrame { after_frames: k.count("afterFrames"), bytes: k.count("bytes") }]
    ),
];
