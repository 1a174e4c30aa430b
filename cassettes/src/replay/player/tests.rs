//! The player on small tapes made by hand.

use super::*;
use crate::format::Tree;
use crate::format::model::{Entry, Frame, Marks, Render, Response};

fn json(text: &str) -> Body {
    Body::Json { tree: Tree::from_json(text.as_bytes()).unwrap(), render: Render::default() }
}

fn request(line: &str, body: Option<&str>) -> Request {
    let (method, url) = line.split_once(' ').unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    Request {
        method: method.into(),
        path: path.into(),
        query: rehearsal_apimachinery::request_info::parse_query(query),
        body: body.map(json),
        ..Request::default()
    }
}

/// A call of lane `sut` from `req` to `end`.
fn call(id: u64, (req, end): (u64, u64), line: &str, body: Option<&str>, answer: &str) -> Call {
    Call {
        id,
        lane: "sut".into(),
        seq: Marks { req, head: Some(end), end },
        request: request(line, body),
        response: Some(Response { status: 200, body: Some(json(answer)), ..Response::default() }),
        ..Call::default()
    }
}

fn event(seq: u64, revision: &str, cause: &[u64]) -> Frame {
    let object = format!(r#"{{"type":"ADDED","object":{{"metadata":{{"resourceVersion":"{revision}"}}}}}}"#);
    Frame { seq, content: json(&object), cause: cause.to_vec(), ..Frame::default() }
}

fn player(calls: &[Call], manner: Manner) -> Player {
    let entries = calls.iter().cloned().map(Entry::Call).collect();
    Player::new(&Tape { entries, ..Tape::default() }, Options { manner, ..Options::default() })
}

fn answered(answer: &Answer) -> u64 {
    match answer {
        Answer::Call { call, .. } => call.id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_field_that_a_mask_hides_may_be_another() {
    let body = |node: &str| format!(r#"{{"kind":"Pod","metadata":{{"name":"a"}},"spec":{{"nodeName":"{node}"}}}}"#);
    let story = [call(1, (1, 2), "POST /api/v1/namespaces/d/pods", Some(&body("x")), POD)];
    let asked = request("POST /api/v1/namespaces/d/pods", Some(&body("y")));
    assert!(matches!(player(&story, Manner::Strict).answer("sut", &asked, false), Answer::Refuse(_)));
    let mut mask = Mask::default();
    mask.add("pods", "spec.nodeName");
    assert_eq!(answered(&player(&story, Manner::Strict).masked(&mask).answer("sut", &asked, false)), 1);
}

const POD: &str = r#"{"kind":"Pod","metadata":{"name":"a"}}"#;

fn story() -> Vec<Call> {
    vec![
        call(1, (1, 2), "GET /api/v1/namespaces/d/pods/a", None, r#"{"code":404}"#),
        call(2, (3, 4), "POST /api/v1/namespaces/d/pods", Some(POD), POD),
        call(3, (5, 6), "GET /api/v1/namespaces/d/pods/a", None, POD),
    ]
}

#[test]
fn a_poll_before_the_write_sees_what_it_saw_last() {
    let mut player = player(&story(), Manner::Lenient);
    let get = request("GET /api/v1/namespaces/d/pods/a", None);
    assert_eq!(answered(&player.answer("sut", &get, true)), 1);
    assert_eq!(answered(&player.answer("sut", &get, true)), 1);
    let post = request("POST /api/v1/namespaces/d/pods", Some(r#"{"metadata":{"name":"a","uid":"x"},"kind":"Pod"}"#));
    assert_eq!(answered(&player.answer("sut", &post, true)), 2);
    assert_eq!(answered(&player.answer("sut", &get, true)), 3);
    let report = player.report();
    assert_eq!((report.answered, report.repeated, report.unused.len()), (4, 1, 0));
}

#[test]
fn strict_waits_for_what_came_before_and_then_refuses() {
    let mut player = player(&story(), Manner::Strict);
    let post = request("POST /api/v1/namespaces/d/pods", Some(POD));
    assert!(matches!(player.answer("sut", &post, true), Answer::Wait));
    let Answer::Refuse(why) = player.answer("sut", &post, false) else { panic!("accepted") };
    assert_eq!(why.candidates[0].state, "it comes after #1, which has not been sent");
    assert_eq!(player.report().verdict(true), crate::replay::Verdict::Unmatched);
}

#[test]
fn another_body_is_refused_with_the_place() {
    let mut player = player(&story(), Manner::Lenient);
    let post =
        request("POST /api/v1/namespaces/d/pods", Some(r#"{"kind":"Pod","metadata":{"name":"a","labels":{"x":"1"}}}"#));
    let Answer::Refuse(why) = player.answer("sut", &post, true) else { panic!("accepted") };
    assert_eq!(why.candidates[0].call, 2);
    assert_eq!(why.candidates[0].differences, [r#"metadata.labels: nothing on the tape, {"x":"1"} now"#]);
}

#[test]
fn concurrent_calls_come_in_any_order() {
    let calls = [
        call(1, (1, 4), "GET /api/v1/pods", None, "{}"),
        call(2, (2, 3), "GET /api/v1/services", None, "{}"),
        call(3, (5, 6), "GET /api/v1/nodes", None, "{}"),
    ];
    let mut player = player(&calls, Manner::Strict);
    assert!(matches!(player.answer("sut", &request("GET /api/v1/nodes", None), true), Answer::Wait));
    assert_eq!(answered(&player.answer("sut", &request("GET /api/v1/services", None), true)), 2);
    assert_eq!(answered(&player.answer("sut", &request("GET /api/v1/pods", None), true)), 1);
    assert_eq!(answered(&player.answer("sut", &request("GET /api/v1/nodes", None), true)), 3);
}

#[test]
fn a_frame_waits_for_the_write_that_caused_it() {
    let mut watch = call(1, (1, 9), "GET /api/v1/pods?watch=1&resourceVersion=5", None, "{}");
    watch.frames = vec![event(2, "6", &[]), event(4, "7", &[2])];
    watch.end = End::RecorderStop;
    let mut player =
        player(&[watch, call(2, (3, 5), "POST /api/v1/namespaces/d/pods", Some(POD), POD)], Manner::Lenient);
    let again = request("GET /api/v1/pods?watch=true&resourceVersion=5&timeoutSeconds=400", None);
    let Answer::Watch(stream) = player.answer("sut", &again, true) else { panic!("no stream") };
    assert!(stream.open && stream.frames.len() == 2);
    assert_eq!(player.gate(1, 0), FrameGate::Open);
    assert_eq!(player.gate(1, 1), FrameGate::Behind(2));
    player.answer("sut", &request("POST /api/v1/namespaces/d/pods", Some(POD)), true);
    assert_eq!(player.gate(1, 1), FrameGate::Open);
}

#[test]
fn a_watch_that_resumes_gets_what_it_has_not_seen() {
    let mut watch = call(1, (1, 9), "GET /api/v1/pods?watch=1&resourceVersion=5", None, "{}");
    watch.frames = vec![event(2, "6", &[]), event(4, "7", &[])];
    let mut player = player(&[watch], Manner::Strict);
    let first = request("GET /api/v1/pods?watch=1&resourceVersion=5", None);
    assert!(matches!(player.answer("sut", &first, true), Answer::Watch(s) if s.frames.len() == 2));
    let resumed = request("GET /api/v1/pods?watch=1&resourceVersion=6", None);
    assert!(matches!(player.answer("sut", &resumed, true), Answer::Watch(s) if s.open && s.frames.len() == 1));
}

#[test]
fn a_frame_that_followed_a_write_of_its_lane_follows_it_again_whoever_caused_it() {
    let mut watch = call(1, (1, 90), "GET /api/v1/pods?watch=1&resourceVersion=1", None, "{}");
    watch.frames = vec![event(3, "2", &[]), event(6, "4", &[])];
    let calls = [watch, call(2, (4, 5), "POST /api/v1/namespaces/d/pods", Some(POD), POD)];
    let mut player = player(&calls, Manner::Lenient);
    player.answer("sut", &calls[0].request, true);
    assert_eq!([player.gate(1, 0), player.gate(1, 1)], [FrameGate::Open, FrameGate::Behind(2)]);
    player.answer("sut", &calls[1].request, true);
    assert_eq!(player.gate(1, 1), FrameGate::Open);
}
