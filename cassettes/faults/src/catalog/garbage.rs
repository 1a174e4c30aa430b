//! Family B: what no correct server sends.

use super::http::row;
use super::{ALL, Legality, Protocols, READS_AND_STREAMS, Row, Site, knob};
use crate::action::{Action, Garbage, HttpOddity, Oversize, Stage};
use crate::knob::KnobKind;
use crate::words::Word;

const HEAD: &[Stage] = &[Stage::Head];
const B: Legality = Legality::Byzantine;

pub(super) const ROWS: &[Row] = &[
    row!(
        "B1",
        "garbage-body",
        READS_AND_STREAMS,
        Response,
        HEAD,
        B,
        "a body that does not parse, or under a wrong type, or empty, or a cut gzip stream",
        "gives a typed error in bounded memory",
        &[knob("form", KnobKind::Choice(Garbage::WORDS), "json", "what is wrong with it")],
        |k| vec![Action::Garble { form: k.word("form", Garbage::Json) }]
    ),
    row!(
        "B2",
        "oversized",
        READS_AND_STREAMS,
        Response,
        HEAD,
        B,
        "a huge header, a huge line, a huge list, or deep nesting",
        "has limits and takes no quadratic time",
        &[
            knob("what", KnobKind::Choice(Oversize::WORDS), "line", "what is too big"),
            knob("size", KnobKind::Count("bytes, items or levels", 1, 1 << 30), "1048577", "how big"),
        ],
        |k| vec![Action::Oversize { what: k.word("what", Oversize::Line), size: k.count("size") }]
    ),
    row!(
        "B3",
        "http-oddity",
        ALL,
        Response,
        HEAD,
        B,
        "a redirect, an interim answer, two Content-Lengths, trailers",
        "leaks no credential to another host",
        &[
            knob("form", KnobKind::Choice(HttpOddity::WORDS), "redirect", "what is odd"),
            knob("location", KnobKind::Text, "https://elsewhere.example/", "where a redirect points to"),
        ],
        |k| {
            let form = k.word("form", HttpOddity::Redirect);
            vec![Action::HttpOddity { form, location: k.text("location").to_owned() }]
        }
    ),
    row!(
        "B4",
        "inject-frame",
        super::STREAMS,
        Watch,
        &[Stage::Head, Stage::Frame],
        B,
        "a frame that the plan wrote out",
        "bears it",
        &[super::required("line", KnobKind::Text, "the frame, without its newline")],
        |k| vec![Action::InjectFrame { line: k.text("line").to_owned() }]
    ),
];
