//! The table itself: complete, consistent, and every row does what it says.

use std::collections::BTreeSet;

use super::*;
use crate::action::{Cut, H2Code, Lag, Point};
use crate::check;
use crate::plan::{Byzantine, Fault, Plan, Rule};
use crate::reply::{Case, Reply, RetryAfter, StoreFacts};
use crate::units::Wait;
use crate::{Engine, FrameFacts, Protocol, RequestFacts, Verdict};
use std::time::Duration;

/// A value for each knob that has no default.
fn needed(fault: Fault, row: &Row) -> Fault {
    row.knobs.iter().filter(|knob| knob.unsaid == Unsaid::Refused).fold(fault, |fault, knob| {
        let value = match knob.kind {
            KnobKind::Count(_, least, _) => least.to_string(),
            KnobKind::Offset => "-5m".to_owned(),
            _ => "x".to_owned(),
        };
        fault.knob(knob.name, value)
    })
}

fn plan_of(row: &Row, stage: Stage) -> Plan {
    let fault = needed(Fault::new(row.name), row);
    Plan::seed(1).byzantine(Byzantine::Allowed).rule(Rule::new("r").fault(fault).at(stage))
}

fn actions(fault: Fault) -> Vec<Action> {
    let plan = Plan::seed(1).byzantine(Byzantine::Allowed).rule(Rule::new("r").fault(fault));
    check::check(&plan).unwrap().remove(0).actions
}

#[test]
fn every_row_of_the_specification_is_there() {
    let families = [('T', 12), ('H', 5), ('S', 18), ('U', 3), ('W', 11), ('C', 10), ('K', 1), ('B', 4), ('A', 6)];
    let expected: BTreeSet<String> =
        families.iter().flat_map(|(letter, last)| (1..=*last).map(move |n| format!("{letter}{n}"))).collect();
    let ids: BTreeSet<String> = rows().map(|row| row.id.to_owned()).collect();
    assert_eq!(ids, expected);
}

#[test]
fn names_and_ids_are_unique_and_find_their_rows() {
    let names: BTreeSet<_> = rows().map(|row| row.name).collect();
    assert_eq!(names.len(), rows().count());
    for row in rows() {
        assert_eq!(find(row.name).unwrap().id, row.id);
        assert_eq!(find(&row.id.to_lowercase()).unwrap().name, row.name);
    }
}

#[test]
fn every_default_is_a_value_of_its_knob() {
    for row in rows() {
        for knob in row.knobs {
            if let Unsaid::Default(text) = knob.unsaid {
                assert!(knob.kind.parse(text).is_ok(), "{row:?} {}", knob.name);
            }
        }
    }
}

#[test]
fn every_row_compiles_at_each_of_its_stages_and_makes_actions() {
    for row in rows() {
        assert!(!row.stages.is_empty() && !row.wire.is_empty() && !row.client.is_empty(), "{row:?}");
        for stage in row.stages {
            let prepared = check::check(&plan_of(row, *stage)).unwrap_or_else(|c| panic!("{row:?} at {stage}: {c:?}"));
            assert!(!prepared[0].actions.is_empty(), "{row:?}");
            let terminals = prepared[0].actions.iter().filter(|action| action.is_terminal()).count();
            assert!(terminals <= 1, "{row:?}");
        }
    }
}

#[test]
fn every_word_of_every_choice_makes_a_row_that_compiles() {
    for row in rows() {
        for knob in row.knobs {
            let KnobKind::Choice(words) = knob.kind else { continue };
            let made: BTreeSet<String> = words
                .iter()
                .map(|word| format!("{:?}", actions(needed(Fault::new(row.name), row).knob(knob.name, *word))))
                .collect();
            assert_eq!(made.len(), words.len(), "{row:?}: two values of {} do the same", knob.name);
        }
    }
}

#[test]
fn every_action_survives_being_recorded() {
    for row in rows() {
        for action in actions(needed(Fault::new(row.name), row)) {
            let text = serde_json::to_string(&action).unwrap();
            assert_eq!(serde_json::from_str::<Action>(&text).unwrap(), action, "{text}");
        }
    }
}

#[test]
fn every_fault_fires_for_the_traffic_it_is_about_and_for_no_other() {
    let traffic = [("list", "reads"), ("update", "writes"), ("watch", "streams")];
    for row in rows().filter(|row| row.stages[0] != Stage::Connection) {
        for (verb, kind) in traffic {
            for protocol in [Protocol::Http1, Protocol::Http2] {
                let engine = plan_of(row, row.stages[0]).compile().unwrap();
                let request = RequestFacts { verb, resource: "pods", protocol, ..RequestFacts::default() };
                let about = row.on.to_string() == "all" || row.on.to_string().contains(kind);
                let expected = about && (row.protocols == Protocols::Any || protocol == Protocol::Http2);
                let fires = !engine.decide(&request, Duration::ZERO).is_pass();
                assert_eq!(fires, expected, "{row:?} {verb} {protocol}");
            }
        }
    }
}

#[test]
fn byzantine_rows_need_leave() {
    for row in rows() {
        let plan = plan_of(row, row.stages[0]).byzantine(Byzantine::Refused);
        assert_eq!(plan.compile().is_err(), row.legality == Legality::Byzantine, "{row:?}");
    }
}

#[test]
fn byzantine_values_need_leave_even_in_legal_rows() {
    for (name, knob, value, legal) in [
        ("odd-frame", "form", "unknown-field", true),
        ("odd-frame", "form", "wrong-type", false),
        ("retry-after", "retryAfter", "date(5s)", true),
        ("retry-after", "retryAfter", "-1", false),
        ("retry-after", "retryAfter", "twice(1,2)", false),
        ("too-many-inflight", "retryAfter", "text(soon)", false),
    ] {
        let plan = Plan::seed(0).rule(Rule::new("r").fault(Fault::new(name).knob(knob, value)));
        assert_eq!(plan.compile().is_ok(), legal, "{name} {value}");
    }
}

/// Name, knobs, and the actions that must come of them.
#[test]
fn rows_make_the_actions_that_they_promise() {
    let cut = |how, at| vec![Action::Cut { how, at }];
    let respond = |case| vec![Action::Respond { reply: Reply::new(case) }];
    let after = |case, wait| {
        vec![
            Action::Delay { wait: Wait::Fixed(Duration::from_secs(wait)) },
            Action::Respond { reply: Reply::new(case) },
        ]
    };
    let second = Duration::from_secs(1);
    type Promise = (&'static str, &'static [(&'static str, &'static str)], Vec<Action>);
    let table: Vec<Promise> = vec![
        ("T1", &[], vec![Action::Refuse { lasts: second }]),
        ("T2", &[], cut(Cut::Reset, Point::Here)),
        ("T3", &[("afterBytes", "10")], cut(Cut::Reset, Point::AfterBytes(10))),
        ("T4", &[("afterFrames", "3")], cut(Cut::Reset, Point::AfterFrames(3))),
        ("T5", &[], cut(Cut::Eof, Point::Here)),
        ("T5", &[("after", "1s")], cut(Cut::Eof, Point::After(second))),
        ("T6", &[("afterBytes", "1")], cut(Cut::TlsEof, Point::AfterBytes(1))),
        ("T7", &[("afterFrames", "2")], cut(Cut::HalfOpen, Point::AfterFrames(2))),
        ("T9", &[("wait", "2s")], vec![Action::Delay { wait: Wait::Fixed(second * 2) }]),
        ("T10", &[("rate", "10")], vec![Action::Throttle { bytes_per_second: 10 }]),
        ("T10", &[("chunks", "4")], vec![Action::Dribble { chunks: 4, over: second * 5 }]),
        ("H1", &[], vec![Action::GoAway { code: H2Code::NoError, streams_back: 0, abrupt: false }]),
        ("H3", &[], vec![Action::RstStream { code: H2Code::RefusedStream, at: Point::Here }]),
        ("H4", &[("code", "CANCEL")], vec![Action::RstStream { code: H2Code::Cancel, at: Point::Here }]),
        ("S1", &[], respond(Case::TooManyInflight)),
        ("S3", &[], respond(Case::CacheNotReady)),
        ("S4", &[("form", "late")], respond(Case::ShuttingDown)),
        ("S5", &[("text", "boom")], respond(Case::Internal("boom".into()))),
        ("S5", &[("form", "server-timeout")], respond(Case::ServerTimeout)),
        ("S6", &[("status", "503"), ("body", "empty")], respond(Case::Gateway { status: 503, html: false })),
        ("S7", &[], respond(Case::RequestTimeout)),
        ("S7", &[("delay", "34s"), ("form", "write")], after(Case::WriteDeadline, 34)),
        ("S9", &[], respond(Case::Unauthorized)),
        ("S10", &[], respond(Case::Forbidden)),
        ("S11", &[], respond(Case::Conflict)),
        ("S12", &[("form", "uid")], respond(Case::UidMismatch)),
        ("S13", &[], respond(Case::NotFound)),
        ("S14", &[("status", "413")], respond(Case::TooLarge)),
        ("U1", &[], cut(Cut::Reset, Point::Here)),
        ("U2", &[("form", "timeout")], respond(Case::RequestTimeout)),
        ("W1", &[("form", "http")], respond(Case::WatchExpired)),
        (
            "W1",
            &[("afterFrames", "2")],
            vec![Action::ErrorFrame { reply: Reply::new(Case::WatchExpired), after_frames: 2 }],
        ),
        ("W3", &[], cut(Cut::Clean, Point::AfterFrames(0))),
        ("W3", &[("after", "1s")], cut(Cut::Clean, Point::After(second))),
        ("W7", &[("afterFrames", "1")], vec![Action::Gap { after_frames: 1 }]),
        ("C1", &[("revisions", "3")], vec![Action::StaleRead { lag: Lag::Revisions(3) }]),
        ("C1", &[("age", "1s")], vec![Action::StaleRead { lag: Lag::Age(second) }]),
        ("C3", &[], after(Case::FutureRevision, 3)),
        ("C4", &[], respond(Case::ContinueExpired)),
        ("C8", &[], vec![Action::Compact { keep: 0 }]),
    ];
    for (name, knobs, expected) in table {
        let fault = knobs.iter().fold(Fault::new(name), |fault, (knob, value)| fault.knob(*knob, *value));
        assert_eq!(actions(fault), expected, "{name} {knobs:?}");
    }
}

#[test]
fn u1_and_u2_look_the_same_and_differ_in_their_stage() {
    assert_eq!(find("U1").unwrap().stages, [Stage::AfterCommit]);
    assert_eq!(find("U2").unwrap().stages, [Stage::BeforeCommit]);
    assert_eq!(actions(Fault::new("U1")), actions(Fault::new("U2")));
}

#[test]
fn the_ramp_of_priority_and_fairness_climbs_with_each_firing() {
    let engine = Plan::seed(0).rule(Rule::new("r").fault("apf-reject")).compile().unwrap();
    let seconds: Vec<_> = (0..7).map(|_| retry_after(&engine)).collect();
    assert_eq!(seconds, ["1", "2", "4", "8", "16", "32", "32"]);
}

fn retry_after(engine: &Engine) -> String {
    let request = RequestFacts { verb: "get", resource: "pods", name: "a", ..RequestFacts::default() };
    let verdict = engine.decide(&request, Duration::ZERO);
    let Some((_, Action::Respond { reply })) = verdict.actions().next() else { panic!("{verdict:?}") };
    assert!(matches!(reply.retry_after, RetryAfter::Seconds(_)), "the verdict leaves nothing to choose");
    reply.render(&request, &StoreFacts::default()).header("Retry-After").unwrap_or_default().to_owned()
}

#[test]
fn a_written_out_answer_is_sent_as_written() {
    let fault = Fault::respond(429)
        .knob("body", "slow down")
        .knob("contentType", "text/plain")
        .knob("headers", "X-One: 1\nX-Two: 2")
        .knob("retryAfter", "3");
    let Some(Action::Respond { reply }) = actions(fault).pop() else { panic!("no answer") };
    let answer = reply.render(&RequestFacts::default(), &StoreFacts::default());
    assert_eq!((answer.status, answer.body.as_str()), (429, "slow down"));
    let expected = [("content-type", "text/plain"), ("x-one", "1"), ("x-two", "2"), ("retry-after", "3")];
    for (name, value) in expected {
        assert_eq!(answer.header(name), Some(value));
    }
}

#[test]
fn frame_rules_fire_for_frames() {
    let engine = plan_of(find("tamper-frame").unwrap(), Stage::Frame).compile().unwrap();
    let request = RequestFacts { verb: "watch", resource: "pods", ..RequestFacts::default() };
    let frame = FrameFacts { request, event: crate::EventType::Added, namespace: "d", name: "p", object: None };
    assert_eq!(engine.decide(&request, Duration::ZERO), Verdict::Pass);
    assert!(!engine.decide_frame(&frame, Duration::ZERO).is_pass());
}

/// The table of docs/FAULTS.md is made from the catalogue; when this fails, put the printed table there.
#[test]
fn the_document_lists_the_catalogue_as_it_is() {
    let table: String = rows().map(documented).collect();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/FAULTS.md");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    assert!(text.contains(&table), "docs/FAULTS.md is stale; its table should be:\n{table}");
}

#[test]
fn the_plan_of_the_document_is_a_plan() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/FAULTS.md");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let yaml = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let plan = Plan::from_yaml("FAULTS.md", yaml).unwrap();
    assert_eq!(Plan::from_yaml("again", &plan.to_yaml()).unwrap(), plan);
    assert_eq!(plan.rules().len(), 2);
}

fn documented(row: &Row) -> String {
    let escape = |text: &str| text.replace('|', "\\|");
    let knobs: Vec<_> = row
        .knobs
        .iter()
        .map(|knob| {
            let unsaid = match knob.unsaid {
                Unsaid::Default("") => "default empty".to_owned(),
                Unsaid::Default(text) => format!("default `{text}`"),
                Unsaid::Nothing => "optional".to_owned(),
                Unsaid::Refused => "required".to_owned(),
            };
            format!("`{}`: {} ({}; {unsaid})", knob.name, knob.about, knob.kind)
        })
        .collect();
    let legality = match row.legality {
        Legality::Legal => "legal".to_owned(),
        Legality::Byzantine => "byzantine".to_owned(),
        Legality::Except(knob, words) => format!("legal, but for {knob} {}", words.join(", ")),
    };
    let stages: Vec<_> = row.stages.iter().map(ToString::to_string).collect();
    let cells = [
        format!("{} `{}`", row.id, row.name),
        format!("{}. *Client:* {}.", row.wire, row.client),
        format!("{}; {}; {}", row.on, row.site, row.protocols),
        stages.join(", "),
        legality,
        if knobs.is_empty() { "–".to_owned() } else { knobs.join("<br>") },
    ];
    format!("| {} |\n", cells.map(|cell| escape(&cell)).join(" | "))
}
