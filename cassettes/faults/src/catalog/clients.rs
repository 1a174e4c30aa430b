//! Family A: answers written out in the plan, and orders to whoever runs the client.

use super::http::row;
use super::{ALL, DAY, Legality, Protocols, Row, Site, knob, optional, required};
use crate::action::{Action, ClientOrder, Stage};
use crate::knob::{KnobKind, Knobs};
use crate::reply::{Case, Reply};

const ANY: &[Stage] =
    &[Stage::Arrive, Stage::BeforeCommit, Stage::AfterCommit, Stage::Head, Stage::Frame, Stage::Connection];
const ORDERS: &[Stage] = &[Stage::AfterCommit, Stage::Arrive, Stage::BeforeCommit, Stage::Head, Stage::Frame];
const L: Legality = Legality::Legal;

fn respond(k: &Knobs) -> Vec<Action> {
    let status = u16::try_from(k.count("status")).unwrap_or(500);
    let headers = k.text("headers").lines().filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
    let body = k.has("body").then(|| k.text("body").to_owned());
    let content_type = k.text("contentType").to_owned();
    let reply = Reply::new(Case::Custom { status, content_type, headers, body });
    let reply = match k.retry_after("retryAfter") {
        Some(header) => reply.retry_after(header),
        None => reply,
    };
    vec![Action::Respond { reply }]
}

fn order(order: ClientOrder, k: &Knobs) -> Vec<Action> {
    vec![Action::Client { order, lasts: k.duration("lasts") }]
}

pub(super) const ROWS: &[Row] = &[
    row!(
        "A1",
        "respond",
        ALL,
        Response,
        &[Stage::Arrive, Stage::BeforeCommit, Stage::AfterCommit],
        L,
        "the answer that the plan writes out; without a body, a Status that fits the code",
        "depends",
        &[
            required("status", KnobKind::Count("HTTP status", 200, 599), "HTTP status code"),
            optional("body", KnobKind::Text, "the body, as sent"),
            knob("contentType", KnobKind::Text, "", "Content-Type; application/json when empty and no body is given"),
            knob("headers", KnobKind::Text, "", "further headers, a `Name: value` a line"),
            knob("retryAfter", KnobKind::RetryAfter, "absent", "the Retry-After header"),
        ],
        respond
    ),
    row!(
        "A2",
        "mark",
        ALL,
        Run,
        ANY,
        L,
        "nothing on the wire; a mark opens and closes windows and shows in the journal",
        "notices nothing",
        &[required("name", KnobKind::Text, "name of the mark")],
        |k| vec![Action::Mark { name: k.text("name").to_owned() }]
    ),
    row!(
        "A3",
        "fail-test",
        ALL,
        Run,
        ANY,
        L,
        "nothing on the wire; the run fails with a message",
        "should never have sent this",
        &[required("message", KnobKind::Text, "why it fails")],
        |k| vec![Action::FailTest { message: k.text("message").to_owned() }]
    ),
    row!(
        "A4",
        "kill-client",
        ALL,
        Run,
        ORDERS,
        L,
        "SIGKILL to the supervised client",
        "starts from what the server knows",
        &[],
        |k| order(ClientOrder::Kill, k)
    ),
    row!(
        "A5",
        "restart-client",
        ALL,
        Run,
        ORDERS,
        L,
        "SIGKILL to the supervised client, and a new start",
        "goes on from what the server knows",
        &[knob("lasts", KnobKind::Duration(DAY), "0s", "how long it is down")],
        |k| order(ClientOrder::Restart, k)
    ),
    row!(
        "A6",
        "pause-client",
        ALL,
        Run,
        ORDERS,
        L,
        "SIGSTOP, later SIGCONT, to the supervised client",
        "does not trust a lease that it held before",
        &[knob("lasts", KnobKind::Duration(DAY), "30s", "how long it stands still")],
        |k| order(ClientOrder::Pause, k)
    ),
];
