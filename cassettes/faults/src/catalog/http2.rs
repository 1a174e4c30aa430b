//! Family H: faults that only HTTP/2 has.

use super::connection::BEFORE_ANSWER;
use super::{AFTER_BYTES, ALL, DAY, Legality, Protocols, Row, Site, knob, point};
use crate::action::{Action, H2Code, Point, Stage};
use crate::knob::KnobKind;

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "H1",
        name: "goaway",
        wire: "GOAWAY NO_ERROR after the answer; running streams live on, new ones are never answered",
        client: "sends later requests on a new connection; its watch goes on over the old one",
        legality: Legality::Legal,
        on: ALL,
        site: Site::Connection,
        protocols: Protocols::Http2,
        stages: &[Stage::Head],
        knobs: &[knob(
            "streamsBack",
            KnobKind::Count("streams", 0, 100),
            "0",
            "how many of the newest streams are left out of last-stream-id",
        )],
        build: |k| vec![Action::GoAway { code: H2Code::NoError, streams_back: k.count("streamsBack"), abrupt: false }],
    },
    Row {
        id: "H2",
        name: "goaway-error",
        wire: "GOAWAY with an error code, and the connection is gone",
        client: "connects again, with backoff",
        legality: Legality::Legal,
        on: ALL,
        site: Site::Connection,
        protocols: Protocols::Http2,
        stages: &[Stage::Arrive, Stage::BeforeCommit, Stage::AfterCommit, Stage::Head],
        knobs: &[knob(
            "code",
            KnobKind::Choice(&["ENHANCE_YOUR_CALM", "INTERNAL_ERROR", "PROTOCOL_ERROR"]),
            "ENHANCE_YOUR_CALM",
            "the error code",
        )],
        build: |k| {
            vec![Action::GoAway { code: k.word("code", H2Code::EnhanceYourCalm), streams_back: 0, abrupt: true }]
        },
    },
    Row {
        id: "H3",
        name: "refused-stream",
        wire: "RST_STREAM REFUSED_STREAM before anything is processed",
        client: "may repeat even writes",
        legality: Legality::Legal,
        on: ALL,
        site: Site::Request,
        protocols: Protocols::Http2,
        stages: &[Stage::Arrive],
        knobs: &[],
        build: |_| vec![Action::RstStream { code: H2Code::RefusedStream, at: Point::Here }],
    },
    Row {
        id: "H4",
        name: "rst-stream",
        wire: "RST_STREAM before the head or in the body; the connection stays usable",
        client: "as after a reset, and keeps the connection",
        legality: Legality::Legal,
        on: ALL,
        site: Site::Response,
        protocols: Protocols::Http2,
        stages: BEFORE_ANSWER,
        knobs: &[
            knob(
                "code",
                KnobKind::Choice(&["INTERNAL_ERROR", "CANCEL", "STREAM_CLOSED"]),
                "INTERNAL_ERROR",
                "the error code",
            ),
            AFTER_BYTES,
            super::AFTER_FRAMES,
        ],
        build: |k| vec![Action::RstStream { code: k.word("code", H2Code::InternalError), at: point(k) }],
    },
    Row {
        id: "H5",
        name: "h2-limits",
        wire: "few streams, a small window, SETTINGS that keep changing, PING without an answer",
        client: "queues instead of failing; watches and calls do not lock each other up",
        legality: Legality::Legal,
        on: ALL,
        site: Site::Connection,
        protocols: Protocols::Http2,
        stages: &[Stage::Connection],
        knobs: &[
            knob("streams", KnobKind::Count("streams", 1, 100), "1", "SETTINGS_MAX_CONCURRENT_STREAMS"),
            knob("window", KnobKind::Count("bytes", 0, 262_144), "262144", "initial window"),
            knob("churn", KnobKind::Duration(DAY), "0s", "new SETTINGS this often; 0s for never"),
            knob("ping", KnobKind::Choice(&["answered", "ignored"]), "answered", "what becomes of PING"),
        ],
        build: |k| {
            vec![Action::Http2Limits {
                streams: k.count("streams"),
                window: k.count("window"),
                churn: k.duration("churn"),
                answers_ping: k.text("ping") != "ignored",
            }]
        },
    },
];
