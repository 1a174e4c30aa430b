//! Family U: writes whose outcome the client cannot know.

use super::http::row;
use super::{DAY, Legality, Protocols, Row, Site, WRITES, knob};
use crate::action::{Action, Cut, Point, Stage};
use crate::knob::{Knob, KnobKind, Knobs};
use crate::reply::{Case, Reply};

const FORM: Knob =
    knob("form", KnobKind::Choice(&["reset", "eof", "half-open", "timeout"]), "reset", "what the client sees");
const L: Legality = Legality::Legal;

fn lost(k: &Knobs) -> Vec<Action> {
    let cut = |how| vec![Action::Cut { how, at: Point::Here }];
    match k.text("form") {
        "eof" => cut(Cut::Eof),
        "half-open" => cut(Cut::HalfOpen),
        "timeout" => vec![Action::Respond { reply: Reply::new(Case::RequestTimeout) }],
        _ => cut(Cut::Reset),
    }
}

pub(super) const ROWS: &[Row] = &[
    row!(
        "U1",
        "response-lost",
        WRITES,
        Response,
        &[Stage::AfterCommit],
        L,
        "the write is stored, then the answer is lost",
        "looks whether its write is there; makes no duplicate",
        &[FORM],
        lost
    ),
    row!(
        "U2",
        "request-lost",
        WRITES,
        Request,
        &[Stage::BeforeCommit],
        L,
        "the same to look at, but nothing was stored",
        "must converge too: run it with U1 as a pair",
        &[FORM],
        lost
    ),
    row!(
        "U3",
        "late-commit",
        WRITES,
        Request,
        &[Stage::BeforeCommit],
        L,
        "504 now, the write is stored later",
        "as for U1, and bears the object turning up later",
        &[knob("after", KnobKind::Duration(DAY), "1s", "how much later it is stored")],
        |k| {
            let reply = Reply::new(Case::RequestTimeout);
            vec![Action::CommitLater { after: k.duration("after") }, Action::Respond { reply }]
        }
    ),
];
