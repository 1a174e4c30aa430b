//! A server with less room than its clients want: priority and fairness, or the filter that counts requests in flight.

use super::http::row;
use super::{ALL, DAY, Legality, Protocols, Row, Site, knob};
use crate::action::{Action, Stage};
use crate::knob::{KnobKind, Knobs};
use crate::overload::{FlowDistinguisher, LimitResponse, Limits};

fn overload(k: &Knobs) -> Vec<Action> {
    let response = k.word("limitResponse", LimitResponse::Queue);
    let queues = if response == LimitResponse::Queue { k.count("queues") } else { 0 };
    vec![Action::Overload {
        response,
        limits: Limits {
            seats: k.count("seats"),
            queues,
            hand_size: k.count("handSize"),
            queue_length: k.count("queueLengthLimit"),
        },
        wait_limit: k.duration("waitLimit"),
        flows: k.word("flows", FlowDistinguisher::User),
    }]
}

pub(super) const ROWS: &[Row] = &[row!(
    "S18",
    "overload",
    ALL,
    Request,
    &[Stage::Arrive],
    Legality::Legal,
    "requests beyond the seats wait in fair queues; without room there, or after the wait limit, 429 text/plain with both X-Kubernetes-Pf uids and a Retry-After of 1 to 32 that doubles while many are turned away",
    "as for S1, and follows the growth; asks for less at a time",
    &[
        knob(
            "seats",
            KnobKind::Count("requests", 0, 10_000),
            "10",
            "how many execute at a time; with 0 still one does"
        ),
        knob(
            "limitResponse",
            KnobKind::Choice(&["queue", "reject", "inflight"]),
            "queue",
            "without a seat: wait, be turned away, or be turned away without flow headers and with Retry-After 1 (max-in-flight)"
        ),
        knob("queues", KnobKind::Count("queues", 1, 128), "128", "how many queues there are"),
        knob("handSize", KnobKind::Count("queues", 1, 8), "6", "how many of them a flow may use"),
        knob("queueLengthLimit", KnobKind::Count("requests", 1, 1000), "50", "how many wait in a queue"),
        knob(
            "waitLimit",
            KnobKind::Duration(DAY),
            "15s",
            "how long a request waits; the real one waits for a quarter of its deadline of 60s, and never over 1m"
        ),
        knob("flows", KnobKind::Choice(&["user", "namespace", "lane"]), "user", "what tells flows apart"),
    ],
    overload
)];
