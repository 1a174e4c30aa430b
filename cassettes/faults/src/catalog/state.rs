//! Families C and K: views of the store that lag, expire or move, and a clock that is off.

use super::http::row;
use super::{ALL, DAY, Legality, Protocols, READS, READS_AND_STREAMS, Row, Site, knob, optional, required};
use crate::action::{Action, Lag, Stage};
use crate::knob::{Knob, KnobKind, Knobs};
use crate::reply::{Case, Reply};
use crate::units::Wait;

const ARRIVE: &[Stage] = &[Stage::Arrive];
/// What can also happen in answer to a watch event.
const ANY_TIME: &[Stage] = &[Stage::Arrive, Stage::AfterCommit, Stage::Head, Stage::Frame];
const L: Legality = Legality::Legal;
const REVISIONS: Knob = knob("revisions", KnobKind::Count("revisions", 0, 1 << 40), "10", "how many revisions it lags");
const AGE: Knob = optional("age", KnobKind::Duration(DAY), "how much time it lags, instead");
const REPLICA: Knob = required("replica", KnobKind::Text, "name of the replica");

fn lag(k: &Knobs) -> Lag {
    if k.has("age") { Lag::Age(k.duration("age")) } else { Lag::Revisions(k.count("revisions")) }
}

pub(super) const ROWS: &[Row] = &[
    row!(
        "C1",
        "stale-read",
        READS_AND_STREAMS,
        Store,
        ARRIVE,
        L,
        "a read that allows it (resourceVersion=0, a watch from 0) is answered from the past",
        "never takes absence in a cached read for a reason to destroy",
        &[REVISIONS, AGE],
        |k| vec![Action::StaleRead { lag: lag(k) }]
    ),
    row!(
        "C2",
        "time-travel",
        READS_AND_STREAMS,
        Store,
        &[Stage::Arrive, Stage::Head],
        L,
        "the lane is moved to another server that is frozen at an older revision",
        "guards with uid and resourceVersion preconditions; notices versions that run backwards",
        &[knob("replica", KnobKind::Text, "b", "name of the other server"), REVISIONS, AGE],
        |k| vec![Action::SwitchReplica { replica: k.text("replica").to_owned(), lag: lag(k) }]
    ),
    row!(
        "C3",
        "future-revision",
        READS,
        Store,
        ARRIVE,
        L,
        "504 ResourceVersionTooLarge, Retry-After 1, after a wait",
        "repeats, then asks without a resourceVersion",
        &[knob("delay", KnobKind::Duration(DAY), "3s", "how long the server waits for the revision")],
        |k| {
            let reply = Reply::new(Case::FutureRevision);
            vec![Action::Delay { wait: Wait::Fixed(k.duration("delay")) }, Action::Respond { reply }]
        }
    ),
    row!(
        "C4",
        "continue-expired",
        READS,
        Store,
        ARRIVE,
        L,
        "410 Expired, with a token for the rest (continue) or of a compacted list (list)",
        "starts the list again, or takes the inconsistent rest knowingly",
        &[knob("form", KnobKind::Choice(&["continue", "list"]), "continue", "which 410")],
        |k| {
            let case = if k.text("form") == "list" { Case::ListExpired } else { Case::ContinueExpired };
            vec![Action::Respond { reply: Reply::new(case) }]
        }
    ),
    row!(
        "C5",
        "page-mutation",
        READS,
        Store,
        &[Stage::Head],
        L,
        "objects of a collection change between two of its pages",
        "takes pages of one revision only",
        &[knob("changes", KnobKind::Count("objects", 1, 10_000), "1", "how many change")],
        |k| vec![Action::MutateBetweenPages { changes: k.count("changes") }]
    ),
    row!(
        "C6",
        "late-visibility",
        ALL,
        Store,
        &[Stage::AfterCommit, Stage::Arrive],
        L,
        "the lane's own write is not yet in its reads and watches",
        "keeps expectations; its cache does not go back when the answer comes late",
        &[knob("lasts", KnobKind::Duration(DAY), "1s", "how long")],
        |k| vec![Action::LateVisibility { lasts: k.duration("lasts") }]
    ),
    row!(
        "C7",
        "recreate",
        ALL,
        Store,
        ANY_TIME,
        L,
        "the object is deleted and made again under its name, with a new uid",
        "knows objects by uid; deletes with a uid precondition",
        &[knob("gap", KnobKind::Duration(DAY), "0s", "how long it is away")],
        |k| vec![Action::Recreate { gap: k.duration("gap") }]
    ),
    row!(
        "C8",
        "compact",
        ALL,
        Store,
        ANY_TIME,
        L,
        "the store forgets its past: older watches and lists are Expired from now on",
        "lists again",
        &[knob("keep", KnobKind::Count("revisions", 0, 1 << 40), "0", "how many revisions are kept")],
        |k| vec![Action::Compact { keep: k.count("keep") }]
    ),
    row!(
        "C9",
        "freeze-replica",
        ALL,
        Store,
        ANY_TIME,
        L,
        "a replica stops following the store",
        "bears a view that stands still",
        &[REPLICA],
        |k| vec![Action::FreezeReplica { replica: k.text("replica").to_owned() }]
    ),
    row!(
        "C10",
        "thaw-replica",
        ALL,
        Store,
        ANY_TIME,
        L,
        "a frozen replica catches up",
        "catches up too",
        &[REPLICA],
        |k| vec![Action::ThawReplica { replica: k.text("replica").to_owned() }]
    ),
    row!(
        "K1",
        "skew-clock",
        ALL,
        Clock,
        &[Stage::Arrive, Stage::AfterCommit, Stage::Head, Stage::Frame, Stage::Connection],
        L,
        "Date, creationTimestamp and token expiry follow a clock that is off",
        "measures leases by its own clock; leaves slack at token expiry",
        &[
            required("offset", KnobKind::Offset, "how far ahead the server's clock is; negative for behind"),
            knob("over", KnobKind::Duration(DAY), "0s", "over how long it drifts there; 0s for a jump"),
        ],
        |k| vec![Action::SkewClock { offset: k.offset("offset"), over: k.duration("over") }]
    ),
];
